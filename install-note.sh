#!/bin/sh
# Says whether Podman's own generator is installed beside berth's: both would make a unit of each file, and the one that
# systemd finds first wins.
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
		      Both would turn the same files into units. Mask Podman's, and berth runs them:
		        mkdir -p /etc/systemd/$kind-generators && ln -sf /dev/null $mask && systemctl daemon-reload
		NOTE
		break
	done
done
