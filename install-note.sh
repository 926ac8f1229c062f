#!/bin/sh
# Says what is still to be done on this machine, and lets the service managers read anew what an earlier berth's generator has made: the
# commands in it are those of that one. Podman's own generator may be installed beside berth's: both would make a unit of
# each file, and the one that systemd finds first wins. Podman's container of a unit that runs meanwhile would keep its name. A
# profile of AppArmor is loaded at the next boot, or now.
set -eu
root=${1:-}
for kind in system user; do
	for dir in /usr/lib /lib /usr/local/lib /etc; do
		peer=$dir/systemd/$kind-generators/podman-$kind-generator
		mask=/etc/systemd/$kind-generators/podman-$kind-generator
		[ -e "$root$peer" ] || continue
		[ "$(readlink "$root$mask" 2>/dev/null)" = /dev/null ] && continue
		cat <<-NOTE
		note: Podman's generator is installed too: $peer
		      Both would turn the same files into units. Stop those that run, mask Podman's, and berth runs them:
		        mkdir -p /etc/systemd/$kind-generators && ln -sf /dev/null $mask && systemctl daemon-reload
		NOTE
		break
	done
done
if [ -z "$root" ] && grep -qs '/berth rm ' /run/systemd/generator/*.service /run/user/*/systemd/generator/*.service; then
	systemctl daemon-reload && systemctl kill --kill-whom=main --signal=HUP 'user@*.service' || # systemd(1), SIGHUP
		echo "note: units are those of the berth before until \`systemctl daemon-reload\`, and for a user \`systemctl --user daemon-reload\`"
fi
if [ -z "$root" ] && [ "$(cat /sys/module/apparmor/parameters/enabled 2>/dev/null)" = Y ] &&
	! grep -q '^berth-default ' /sys/kernel/security/apparmor/profiles 2>/dev/null; then
	echo "note: until the next boot containers have no profile of AppArmor's, unless you load it: apparmor_parser -r /etc/apparmor.d/berth-default"
fi
