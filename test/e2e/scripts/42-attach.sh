# hosts: nspawn
# timeout: 4m
# Terminals and open standard inputs of units: the keeper holds them, however often it is killed; nobody who does not read makes a
# container wait; nobody but root and the owner is let in.
. "$BERTH_E2E/berth.sh"

needs tester
load_image
: >"$tmp/wait_for"
berth run --rm --network none $IMAGE true
wait_for 20 no_scope
systemctl start network-online.target
leak_snapshot

say "a unit with a terminal: its output is in the journal, and what is typed arrives"
quadlet e2e-tty.container <<F
[Container]
Image=$IMAGE
Network=none
PodmanArgs=--tty --interactive
Exec=sh -c 'echo hello; tty; read word; echo "got:\$\$word"; exit 5'
[Service]
SuccessExitStatus=5
F
systemctl start e2e-tty
wait_journal 20 '^/dev/pts/0$' -u e2e-tty
assert_eq "what the journal has" "$(journalctl -b -u e2e-tty CONTAINER_NAME=systemd-e2e-tty -o cat)" $'hello\n/dev/pts/0'
code=0
echo word | timeout 60 berth attach e2e-tty.service >/dev/null || code=$?
assert_eq "status" "$code" 5
wait_journal 20 '^got:word$' -u e2e-tty

say "an open standard input, and one who does not read"
many() { berth run -d -i --rm --name e2e-in --network none $IMAGE sh -c 'while read word; do echo "in:$word"; [ $word != many ] || { yes "$(head -c 400 /dev/zero | tr "\\0" x)" | head -n 4000; echo all; }; done; exit 6' >/dev/null; }
many
berth attach --no-stdin -l >"$tmp/lazy" 2>&1 &
lazy=$!
mkfifo "$tmp/in"
timeout 120 berth attach --sig-proxy=false e2e-in <"$tmp/in" >"$tmp/keen" &
keen=$!
exec 8>"$tmp/in"
say_again() { grep -q "^in:$1\$" "$2" || { echo "$1" >&8 && sleep 0.2 && grep -q "^in:$1\$" "$2"; }; }
wait_for 20 say_again first "$tmp/keen"
wait_for 20 say_again second "$tmp/lazy"
kill -STOP "$lazy"
echo many >&8
wait_for 60 grep -q '^all$' "$tmp/keen"
assert_eq "what the one who reads has seen" "$(grep -c '^x*$' "$tmp/keen")" 4000
wait_journal 60 '^all$' CONTAINER_NAME=e2e-in
kill -9 "$(property berth-keeper MainPID)"
wait_for 20 say_again third "$tmp/keen"
exec 8>&- # the end of what is typed
code=0
wait "$keen" || code=$?
assert_eq "status" "$code" 6
kill -CONT "$lazy"
wait "$lazy" || true # nobody knows the status any more: its keeper has gone, and the container with its unit

say "a signal to the one who is attached goes to the container"
berth run -d --rm --name e2e-in --network none $IMAGE sh -c 'trap "exit 8" USR1; while :; do echo tick; sleep 0.05; done' >/dev/null
berth attach e2e-in >"$tmp/keen" &
keen=$!
wait_for 20 grep -q tick "$tmp/keen"
kill -USR1 "$keen"
code=0
wait "$keen" || code=$?
assert_eq "status" "$code" 8

say "only root and the owner are let in, whatever the modes of files are"
many
id=$(berth inspect e2e-in | grep -o '"Id": "[0-9a-f]*"' | cut -d'"' -f 4)
mkdir -p "$tmp/fake/berth/names"
cp -r "/run/berth/$id" "$tmp/fake/berth/"
ln -s "../$id" "$tmp/fake/berth/names/e2e-in"
ln -s /run/berth/keeper.sock "$tmp/fake/berth/keeper.sock"
chmod -R a+rwX "$tmp/fake"
chmod 755 /run/berth
chmod 666 /run/berth/keeper.sock
defer chmod 700 /run/berth
defer chmod 600 /run/berth/keeper.sock
assert_no_match "another user" "$(cd / && must_fail runuser -u tester -- env -i PATH=/usr/bin:/bin HOME=/home/tester XDG_RUNTIME_DIR="$tmp/fake" \
	berth attach e2e-in </dev/null)" 'denied|no keeper|does not run'
wait_journal 20 'user 1000 is not let in' -u berth-keeper
assert_eq "root" "$(echo root | timeout 60 berth attach e2e-in || echo $?)" $'in:root\n6'
many
chmod 700 /run/berth
chmod 600 /run/berth/keeper.sock

say "exec -d -t has a terminal that the keeper holds"
berth exec -d -t e2e-in sh -c 'tty >/dev/shm/tty; seq 20000; touch /dev/shm/done; read never' >/dev/null
wait_for 60 berth exec e2e-in test -e /dev/shm/done
assert_match "its terminal" "$(berth exec e2e-in cat /dev/shm/tty)" '^/dev/pts/'
assert_match "nobody can attach to one in the foreground" "$(berth run --rm --name e2e-front --network none $IMAGE sleep 1000 & front=$!
	wait_for 20 eval 'berth ps | grep -q e2e-front'
	must_fail berth attach e2e-front
	berth rm -f -t 0 e2e-front >/dev/null; wait $front || true)" 'cannot be attached to'
berth rm -f -t 0 e2e-in >/dev/null

say "nothing is left"
rm -f /etc/containers/systemd/e2e-*
systemctl daemon-reload
assert_alone
wait_for 20 no_scope
rm -rf "$tmp"/{lazy,keen,in,fake}
leak_check
