# hosts: nspawn
# timeout: 4m
# Terminals and the foreground: what is typed arrives, sizes follow, signals and exit statuses pass; with systemd and without it.
. "$BERTH_E2E/berth.sh"

load_image
load_user_image
warm_up_prompt
leak_snapshot

# on_terminal NAME COMMAND… runs a command on a terminal of its own, in the background. What it shows goes to $tmp/NAME.out;
# descriptor 7 is its keyboard.
on_terminal() {
	local name=$1
	shift
	rm -f "$tmp/$name.keys"
	mkfifo "$tmp/$name.keys"
	printf '%q ' "$@" >"$tmp/$name.sh"
	: >"$tmp/$name.out"
	script --quiet --return --flush --command "stty rows 33 cols 77; echo \$\$ >$tmp/$name.pid; exec sh $tmp/$name.sh" /dev/null <"$tmp/$name.keys" >"$tmp/$name.out" 2>&1 &
	front=$!
	exec 7>"$tmp/$name.keys"
}
shows() { grep -q -- "$2" "$tmp/$1.out"; }
typed_again() {
	shows front '^three:44:' || { press 'echo three:$((40+4)):\n' && sleep 0.2 && shows front '^three:44:'; }
}
press() { printf "$1" >&7; }
# ends WANT: what runs on the terminal ends with that status.
ends() {
	local code=0
	wait "$front" || code=$?
	exec 7>&-
	assert_eq "exit status" "$code" "$1"
}
unset TERM
# keeper_pid prints the keeper of the manager whose containers are being tried.
keeper_pid() { "${as[@]}" systemctl $manager show -P MainPID berth-keeper.service; }
b() { "${as[@]}" berth "$@"; }

# in_front FLAGS SCRIPT runs a container without a terminal in the background; pid is the berth that is to get signals.
in_front() {
	: >"$tmp/out" # else the last one's "ready" may be seen
	"${as[@]}" berth run --rm $1 --name e2e-front --network none $IMAGE sh -c "$2" >"$tmp/out" &
	front=$!
	wait_for 20 grep -q ready "$tmp/out"
	pid=$(pgrep -o -f '^/usr/bin/berth run --cgroups=split .*e2e-front')
}
ended_with() {
	local code=0
	wait "$front" || code=$?
	assert_eq "status" "$code" "$1"
}

foreground() {
	say "pipes: ${as[0]:-root}"
	assert_eq "standard input" "$(echo hi | "${as[@]}" timeout 60 berth run --rm -i --network none $IMAGE cat)" hi
	assert_eq "without -i" "$(echo hi | "${as[@]}" timeout 60 berth run --rm --network none $IMAGE cat)" ""
	assert_eq "--attach stdout" "$(b run --rm -a stdout --network none $IMAGE sh -c 'echo out; echo err >&2' 2>&1)" out
	assert_eq "--attach stderr" "$(b run --rm --attach stderr --network none $IMAGE sh -c 'echo out; echo err >&2' 2>&1)" err
	assert_eq "--attach stdin" "$(echo hi | b run --rm -i -a stdout --network none $IMAGE cat)" ""
	assert_eq "status" "$(exit_code b run --rm --network none $IMAGE sh -c 'exit 7')" 7
	assert_eq "no such command" "$(exit_code b run --rm -t --network none $IMAGE /no/such)" 127
	assert_eq "a directory" "$(exit_code b run --rm -t --network none $IMAGE /etc)" 126
	assert_eq "no such stream" "$(exit_code b run --rm -a stdfoo --network none $IMAGE true)" 125
	assert_eq "-a with -d" "$(exit_code b run -d --rm -a stdout --network none $IMAGE true)" 125
	assert_eq "wrong keys" "$(exit_code b run --rm -t --detach-keys ctrl- --network none $IMAGE true)" 125

	say "a terminal: ${as[0]:-root}"
	assert_eq "output" "$(b run --rm -t --network none $IMAGE sh -c 'tty; echo $TERM; exit 3' </dev/null || echo $?)" $'/dev/pts/0\r\nxterm\r\n3'
	assert_eq "the end of what is typed" "$(echo hi | "${as[@]}" timeout 60 berth run --rm -it --network none $IMAGE cat)" $'hi\r\nhi\r'
	on_terminal front "${as[@]}" berth run --rm -it --name e2e-front --network none $IMAGE sh
	press 'echo size:$(stty size):\n'
	wait_for 20 shows front 'size:33 77:'
	stty -F "/proc/$(cat "$tmp/front.pid")/fd/0" rows 12 cols 99
	kill -WINCH "$(cat "$tmp/front.pid")" 2>/dev/null || true
	press 'trap "echo window:\$(stty size):" WINCH; trap "echo int" INT; stty size; until [ "$(stty size)" = "12 99" ]; do :; done; echo now:12:99:\n'
	wait_for 20 shows front '^now:12:99:'
	press '\003'
	wait_for 20 shows front '^int'
	press 'exit 9\n'
	ends 9

	say "detach, attach, and a killed keeper: ${as[0]:-root}"
	on_terminal front "${as[@]}" berth run --rm -it --name e2e-front --network none $IMAGE sh
	press 'echo unit:$((40+2)):\n'
	wait_for 20 shows front '^unit:42:'
	press '\020\021'
	ends 0
	"${as[@]}" berth attach --no-stdin e2e-front >"$tmp/watch" &
	watch=$!
	on_terminal front "${as[@]}" berth attach --detach-keys ctrl-a,x e2e-front
	press 'echo two:$((40+3)) $(stty size):\n'
	wait_for 20 shows front '^two:43 33 77:'
	wait_for 20 grep -q '^two:43' "$tmp/watch"
	kill -9 "$(keeper_pid)"
	wait_for 20 typed_again # what was on its way to the keeper when it was killed has to be typed once more
	press '\001x'
	ends 0
	on_terminal front "${as[@]}" berth attach e2e-front
	press 'exit 9\n'
	ends 9
	code=0
	wait "$watch" || code=$?
	assert_eq "status of the one who only watched" "$code" 9
	assert_match "what he saw" "$(cat "$tmp/watch")" '^three:44:'

	say "signals: ${as[0]:-root}"
	in_front "" 'trap "exit 11" USR1; trap "echo hup" HUP; echo ready; while :; do sleep 0.05; done'
	kill -HUP "$pid"
	wait_for 20 grep -q hup "$tmp/out"
	kill -USR1 "$pid"
	ended_with 11
	in_front --sig-proxy=false 'trap "exit 11" USR1; trap "exit 12" TERM; echo ready; while :; do sleep 0.05; done'
	kill -USR1 "$pid"
	b kill -s TERM e2e-front >/dev/null
	ended_with 12
}

as=() manager=
foreground
as=(env -C / runuser -u tester -- env -i HOME=/home/tester USER=tester PATH=/usr/bin:/bin XDG_RUNTIME_DIR=/run/user/1000
	DBUS_SESSION_BUS_ADDRESS=unix:path=/run/user/1000/bus)
manager=--user
foreground
as=() manager=

say "without systemd"
cat >"$tmp/bare.sh" <<'F'
set -eu
mount -t tmpfs none /run
IMAGE=$1
fail() { echo "FAIL: $*"; exit 1; }
[ ! -e /run/systemd ] || fail "systemd is here"
[ "$(berth run --rm --network none $IMAGE echo hello)" = hello ] || fail "output"
code=0; berth run --rm --network none $IMAGE sh -c 'exit 7' || code=$?
[ "$code" = 7 ] || fail "status $code"
[ "$(echo hi | berth run --rm -i --network none $IMAGE cat)" = hi ] || fail "standard input"
[ "$(berth run --rm -t --network none $IMAGE tty)" = "$(printf '/dev/pts/0\r')" ] || fail "terminal"
code=0; said=$(berth run -d --network none $IMAGE true 2>&1) || code=$?
[ "$code" = 125 ] || fail "status of -d: $code"
case $said in *"needs systemd"*) ;; *) fail "run -d said: $said" ;; esac
code=0; berth run --rm --network none $IMAGE sh -c 'trap "exit 5" TERM; touch /dev/shm/ready; while :; do sleep 0.05; done' & front=$!
until [ -n "$(berth ps -q)" ] && berth exec "$(berth ps -q)" test -e /dev/shm/ready 2>/dev/null; do sleep 0.05; done
kill -TERM $front
wait $front || code=$?
[ "$code" = 5 ] || fail "status after a signal: $code"
berth run --network none --name kept $IMAGE sh -c 'exit 3' || true
berth ps -a | grep -q 'Exited (3).*kept' || fail "the container that is kept: $(berth ps -a)"
berth rm kept
[ -z "$(berth ps -a -q)" ] || fail "left: $(berth ps -a)"
[ -z "$(ls /run/berth/names 2>/dev/null)" ] || fail "names are left"
F
timeout -k 5 60 unshare --kill-child --mount --pid --fork --mount-proc sh -x "$tmp/bare.sh" $IMAGE || die "without systemd, see above"

say "nothing is left"
assert_alone
wait_for 20 no_scope
wait_for 20 user_no_scope
rm -rf "$tmp"/front.* "$tmp/out" "$tmp/watch" "$tmp/bare.sh"
leak_check
