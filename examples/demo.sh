#!/bin/sh
# Runs examples/web on a throw-away machine, as a person would: load the image, drop the file, start the unit, look at it.
set -eu
cd "$(dirname "$0")/.."
host="go run ./test/e2e/hosts/berth-host"
image=.cache/demo/web.tar
mkdir -p .cache/demo

echo "== the image: busybox's web server, made from a Debian package"
examples/web/build-image.sh "$image"

echo "== a machine with systemd, and berth installed in it"
# $host is two words.
# shellcheck disable=SC2086
exec $host run -put "$image:/root/web.tar" -put examples/web/web.container:/root/web.container nspawn sh -eu <<'F'
show() {
	printf '\n# %s\n' "$*"
	"$@"
}
export SYSTEMD_PAGER=''
show berth load -i /root/web.tar
show cat /root/web.container
show mkdir -p /etc/containers/systemd
show cp /root/web.container /etc/containers/systemd/
show systemctl daemon-reload
show systemctl start web
show systemctl status web
show curl -sS --retry 20 --retry-all-errors --retry-delay 1 http://127.0.0.1:8080/
show berth ps
show journalctl -u web -o short --no-pager
echo
echo "The container's own PID 1 is systemd's main process. No process stays for it; one keeper reads what all containers write:"
pid=$(systemctl show -P MainPID web)
show grep -E '^(Name|Pid|NSpid):' "/proc/$pid/status"
show pgrep -l 'berth|conmon|crun' || echo "(none)"
show systemctl stop web
show berth ps -a
echo
echo "That was the demo. README.md tells how to install berth on this machine."
F
