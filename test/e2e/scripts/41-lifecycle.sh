# hosts: nspawn vm
# timeout: 8m
# Containers without --rm outlive their end: they are listed, tell how they ended, start again and are removed; systemd looks
# after each run of them. As root and as a user.
. "$BERTH_E2E/berth.sh"

load_image
load_user_image
warm_up_prompt
systemctl start network-online.target
as_tester berth run --rm --network none --userns=keep-id $IMAGE true # a copy of the image stays
leak_snapshot

b() { "${as[@]}" berth "$@"; }
ctl() { "${as[@]}" systemctl $manager "$@"; }
state() { b ps -a | grep " e2e-life\$" | grep -Eo 'Up|Created|Paused|Exited \([0-9]+\)'; }
is() { [ "$(state)" = "$1" ]; }

# many calls a command so many times at once; their statuses are in $tmp/many.
many() {
	local n=$1
	shift
	for i in $(seq "$n"); do
		(exit_code "$@" >"$tmp/many.$i") &
	done
	for i in $(seq "$n"); do wait -n || true; done
	cat "$tmp"/many.[0-9]* >"$tmp/many"
	rm "$tmp"/many.[0-9]*
}
# own_unit starts the container in a unit of another name.
own_unit() {
	"${as[@]}" systemd-run $manager --quiet --collect --property=Type=notify --property=NotifyAccess=all --property=Delegate=yes --property=KillMode=mixed \
		"--property=ExecStopPost=-berth container cleanup $id" berth start "$id" 2>/dev/null
}
rounds() { [ "$(b exec e2e-life sh -c 'wc -l </rounds')" = "$1" ]; }
# runs_once ROUNDS: the container has been started so often, and its layer is mounted once.
runs_once() {
	assert_eq "state" "$(state)" Up
	wait_for 20 rounds "$1"
	local upper
	upper=$(b inspect -f '{{.GraphDriver.Data.UpperDir}}' e2e-life)
	assert_eq "mounts of $upper" "$(cat /proc/[0-9]*/mountinfo 2>/dev/null | grep "upperdir=$upper[, ]" | cut -d' ' -f 3 | sort -u | wc -l)" 1
}

life() {
	say "run -d, stop, start: ${as[*]:-root}"
	id=$(b run -d --name e2e-life --network none $IMAGE sh -c 'trap "exit 5" TERM; echo round >>/rounds; sleep 100000 & wait $!')
	assert_match "what run -d prints" "$id" '^[0-9a-f]{64}$'
	assert_eq "state" "$(state)" Up
	assert_eq "unit" "$(ctl show -P MainPID e2e-life)" "$(b inspect e2e-life | grep -o '"Pid": [0-9]*' | cut -d' ' -f 2)"
	assert_eq "the name again" "$(exit_code b run -d --name e2e-life $IMAGE true)" 125
	wait_for 20 b exec e2e-life test -s /rounds
	b pause e2e-life >/dev/null
	assert_eq "stop of a paused one" "$(b stop e2e-life)" e2e-life
	assert_eq "state" "$(state)" "Exited (5)"
	assert_eq "not among those that run" "$(b ps -q)" ""
	assert_match "inspect" "$(b inspect e2e-life)" '"ExitCode": 5'
	assert_eq "start" "$(b start e2e-life)" e2e-life
	wait_for 20 b exec e2e-life grep -qz 'round.round' /rounds

	say "restart, pause, kill, wait"
	b restart e2e-life >/dev/null
	assert_eq "state" "$(state)" Up
	b pause e2e-life >/dev/null
	assert_eq "state" "$(state)" Paused
	assert_eq "pause of a paused one" "$(exit_code b pause e2e-life)" 125
	assert_eq "wait for a state of one that runs" "$(b wait --condition paused --interval 20ms e2e-life)" -1
	b unpause e2e-life >/dev/null
	assert_eq "rm of one that runs" "$(exit_code b rm e2e-life) $(exit_code b rm e2e-life e2e-none) $(exit_code b rm e2e-none e2e-life)" "2 2 2"
	assert_match "wait for what never is" "$(must_fail b wait --condition healthy e2e-life)" 'has no health check'
	assert_match "at no time" "$(must_fail b wait --interval nonsense e2e-life)" 'interval=nonsense: use a time'
	b wait e2e-life >"$tmp/code" &
	waiting=$!
	b kill -s KILL e2e-life >/dev/null
	wait "$waiting"
	assert_eq "status from wait" "$(cat "$tmp/code")" 137
	assert_eq "state" "$(state)" "Exited (137)"
	b start e2e-life >/dev/null

	if [ "$BERTH_HOST" != vm ]; then
		say "many starts at once: one does it, and nothing of it is taken away by the others"
		b stop e2e-life >/dev/null
		many "$at_once" b start e2e-life
		assert_eq "all say that it was started" "$(sort "$tmp/many" | uniq -c | xargs)" "$at_once 0"
		runs_once 5
		b stop e2e-life >/dev/null
		many "$at_once" own_unit
		assert_eq "how many units have started it" "$(grep -c '^0$' "$tmp/many")" 1
		runs_once 6
		b stop e2e-life >/dev/null
		b start e2e-life >/dev/null

		say "clones"
		id=$(b container clone --run e2e-life)
		assert_eq "who runs" "$(b ps --format '{{.Names}}' --sort names | xargs)" "e2e-life e2e-life-clone"
		wait_for 20 b exec e2e-life-clone grep -qx round /rounds # and none of the other's
		assert_match "destroy" "$(must_fail b container clone --destroy e2e-life-clone)" 'container is running: "e2e-life-clone"; --force stops it'
		b container clone --destroy --force e2e-life-clone e2e-life-too >/dev/null
		assert_eq "who is there" "$(b ps -a --format '{{.Names}} {{.State}}' --sort names | xargs)" "e2e-life running e2e-life-too created"
		assert_eq "cleanup" "$(b container cleanup --rm e2e-life-too)" e2e-life-too
		assert_eq "cleanup of all that do not run" "$(b container cleanup --all)" ""
	fi
	assert_eq "rm -f" "$(b rm -f e2e-life)" e2e-life
	assert_eq "rm of none" "$(exit_code b rm e2e-life)" 1
	ctl reset-failed 2>/dev/null || true

	say "one takes the place of another of its name"
	b run -d --rm --name e2e-life --network none $IMAGE sh -c "$IDLE" >/dev/null
	id=$(b run -d --rm --replace --name e2e-life --network none $IMAGE sh -c "$IDLE")
	assert_match "who is there now" "$(b inspect e2e-life)" "$id"
	assert_eq "state" "$(state)" Up
	b run --rm --replace --name e2e-life --network none $IMAGE true
	assert_eq "all are gone" "$(b ps -a -q)" ""

	say "in the foreground: seen, and found again"
	code=0
	b run --name e2e-life --network none $IMAGE sh -c 'echo one; echo two >&2; cat; exit 6' >"$tmp/seen" 2>&1 </dev/null || code=$?
	assert_eq "what is seen" "$(sort "$tmp/seen" | paste -sd,) $code" "one,two 6"
	rm "$tmp/seen"
	found() { [ "$(b logs e2e-life 2>&1 | sort | paste -sd,)" = "${1:-one,two}" ]; }
	wait_for 20 found
	assert_eq "state" "$(state)" "Exited (6)"
	assert_eq "a pipe through it" "$(seq 20000 | b run --replace -i --name e2e-life --network none $IMAGE cat | md5sum)" "$(seq 20000 | md5sum)"
	b rm e2e-life >/dev/null
	assert_eq "with a file for the log" "$(b run --rm --log-driver k8s-file --log-opt path=/tmp/e2e-front.log --network none $IMAGE echo seen)" seen
	wait_for 20 grep -q seen /tmp/e2e-front.log
	rm /tmp/e2e-front.log
	assert_eq "with none" "$(b run --rm --log-driver none --network none $IMAGE echo seen)" seen

	b run --rm --log-driver journald --name e2e-life --network none $IMAGE sh -c "echo one; $IDLE" >"$tmp/seen" </dev/null &
	wait_for 20 found idle,one
	b stop e2e-life >/dev/null
	wait $! || die "the one with a log ended with $?"
	assert_eq "what is seen" "$(paste -sd, "$tmp/seen")" one,idle
	rm "$tmp/seen"

	say "a service of the machine's has the container's name"
	printf '[Service]\nExecStart=sleep 100000\n' | "${as[@]}" tee "$units/e2e-taken.service" >/dev/null
	ctl daemon-reload
	b run -d --name e2e-taken --network none $IMAGE sh -c "$IDLE" >/dev/null
	assert_eq "its unit" "$(b inspect -f '{{.State.CgroupPath}}' e2e-taken | grep -o '[^/]*service/container-')" berth-e2e-taken.service/container-
	b rm -f e2e-taken >/dev/null
	assert_eq "the other was left alone" "$(ctl is-active e2e-taken || true)" inactive
	rm "$units/e2e-taken.service"
	ctl daemon-reload

	say "create, start -a, and a program that is not there"
	b create --name e2e-life --network none $IMAGE sh -c 'echo out; exit 9' >/dev/null
	assert_eq "state" "$(state)" Created
	code=0
	out=$(b start -a e2e-life) || code=$?
	assert_eq "start -a" "$out $code" "out 9"
	assert_eq "state" "$(state)" "Exited (9)"
	b rm e2e-life >/dev/null
	b create --name e2e-first --network none $IMAGE sh -c "$IDLE" >/dev/null
	b run -d --rm --requires e2e-first --name e2e-life --network none $IMAGE sh -c "$IDLE" >/dev/null
	assert_eq "--requires" "$(b ps --format '{{.Names}}' | sort | paste -sd' ')" "e2e-first e2e-life"
	assert_match "--requires nobody" "$(must_fail b create --requires e2e-none --network none $IMAGE true)" '--requires=e2e-none: no such container|--requires=e2e-none:'
	b rm -f e2e-life e2e-first >/dev/null
	assert_eq "no program" "$(exit_code b run -d --name e2e-life --network none $IMAGE /no/such)" 127
	assert_match "why" "$(b inspect e2e-life)" '"Error": ".*/no/such'
	b rm e2e-life >/dev/null
	ctl reset-failed 2>/dev/null || true
}

as=() manager= units=/run/systemd/system at_once=20
[ "$BERTH_HOST" = vm ] || life # emulated: a share will do
as=(as_tester) manager=--user units=/home/tester/.config/systemd/user at_once=6
as_tester mkdir -p $units
life
as_tester rmdir $units
as=() manager=

say "--restart"
berth run --detach --name e2e-life --restart on-failure:2 --network none $IMAGE sh -c 'echo >>/rounds; wc -l </rounds; exit 3' >/dev/null
given_up() { has_property e2e-life ActiveState inactive && is "Exited (3)"; }
wait_for 60 given_up
assert_eq "what inspect says of them" "$(berth inspect -f '{{.RestartCount}} {{.State.Status}} {{.State.ExitCode}}' e2e-life)" "2 exited 3"
assert_eq "rounds, and one more" "$(berth start -a e2e-life || true)" 4
berth rm e2e-life >/dev/null
systemctl reset-failed 2>/dev/null || true
berth run --detach --name e2e-life --restart always --network none $IMAGE false >/dev/null
wait_for 30 is "Exited (1)"
berth stop e2e-life >/dev/null
assert_eq "stopped between two rounds" "$(property e2e-life ActiveState)" inactive
berth rm e2e-life >/dev/null
must_fail berth run --detach --name e2e-life --restart always --network none -v /none:/x $IMAGE true >/dev/null
assert_eq "a first start that fails" "$(property e2e-life ActiveState)" inactive
berth rm e2e-life >/dev/null
as=(as_tester) manager=--user
b run --detach --name e2e-life --userns=keep-id --restart always --network none $IMAGE false >/dev/null # does not outlive its end
wait_for 30 is "Exited (1)"
b stop e2e-life >/dev/null
assert_eq "stopped between two rounds, with users of its own" "$(ctl is-active e2e-life || true)" inactive
b rm -f -i e2e-life >/dev/null
as=() manager=

say "foreground: exit status, signal, and what stays"
assert_eq "status" "$(exit_code berth run --name e2e-life --network none $IMAGE sh -c 'exit 4')" 4
assert_eq "state" "$(state)" "Exited (4)"
assert_eq "prune" "$(berth container prune -f | wc -l)" 1

say "run -d --rm prints the ID, and leaves nothing"
assert_match "what run -d prints" "$(berth run -d --rm --name e2e-life --network none $IMAGE true)" '^[0-9a-f]{64}$'
gone() { [ "$(exit_code berth container exists e2e-life)" = 1 ]; }
wait_for 30 gone

if [ "$BERTH_HOST" != vm ]; then
	say "stop of a Quadlet's container is systemd's"
	quadlet e2e-quad.container <<F
[Container]
Image=$IMAGE
Network=none
Exec=sh -c '$IDLE'
[Service]
Restart=always
F
	systemctl start e2e-quad
	berth restart systemd-e2e-quad >/dev/null
	assert_eq "state" "$(property e2e-quad ActiveState)" active
	berth stop e2e-quad >/dev/null
	assert_eq "state" "$(property e2e-quad ActiveState)" inactive
	rm /etc/containers/systemd/e2e-quad.container
	systemctl daemon-reload
fi

say "nothing is left"
wait_for 20 no_scope
wait_for 20 user_no_scope
rm -f "$tmp/code" "$tmp/many"
leak_check
