# Functions for the scripts that run containers:  . "$BERTH_E2E/berth.sh"
. "$BERTH_E2E/lib.sh"

IMAGE=localhost/busybox:latest

# load_image brings the test image into root's store, and load_user_image into tester's.
# Both start the keeper, of which one for each manager stays: what leak checks find is what containers have left with it.
load_image() {
	berth load --quiet -i "$IMAGES/busybox.tar" >/dev/null
	systemctl start berth-keeper.service
}
load_user_image() {
	as_tester berth load --quiet -i "$IMAGES/busybox.tar" >/dev/null
	as_tester systemctl --user start berth-keeper.service
}

# warm_up lets the parts that stay for good be made before the first leak snapshot: netavark's empty chains, the store's
# lock files, the target that generated units want.
warm_up() {
	: >"$tmp/wait_for"
	systemctl start network-online.target
	berth run --rm $IMAGE true
	berth run --rm --network none $IMAGE true
	wait_for 20 no_scope
}

# warm_up_user does the same for tester's. The unit that all of a user's wait for is there once a file is.
warm_up_user() {
	: >"$tmp/wait_for"
	as_tester berth run --rm --network none $IMAGE true
	user_quadlet e2e-any.container <<F
[Container]
Image=$IMAGE
Network=none
Exec=true
F
	as_tester systemctl --user start podman-user-wait-network-online.service
	rm -f /home/tester/.config/containers/systemd/e2e-any.container
}

# warm_up_prompt does what a container in the foreground needs, for root and tester, and no more.
warm_up_prompt() {
	: >"$tmp/wait_for"
	berth run --rm --network none $IMAGE true
	as_tester berth run --rm --network none $IMAGE true
	wait_for 20 no_scope
	wait_for 20 user_no_scope
}

# no_scope: systemd has forgotten the scopes of containers that ran in the foreground; user_no_scope: tester's manager has.
no_scope() { [ -z "$(systemctl list-units --all --plain --no-legend 'run-*.scope')" ]; }
user_no_scope() { [ -z "$(as_tester systemctl --user list-units --all --plain --no-legend 'run-*.scope')" ]; }

# allow_storage lets leak_check_allowed pass over what killed storage code leaves. The library writes beside and renames, as it should: what
# lay beside is swept away when it is ten minutes old, or at the next boot.
allow_storage() {
	cat >"$tmp/allowed" <<'F'
.*/overlay-(layers|containers|images)/\.tmp-.* # of the storage library, swept when ten minutes old
.*unfinished overlay-(layers|containers|images)/\.tmp-.* # the same, as the store's own check words it
.*unfinished overlay(-layers/tmp|/tempdirs)/lock-.* # an empty file of the storage library's, which removes it when it is opened next
.*dangling link l/.* # a layer's short name, when the kill came between the two; swept at the next boot
F
}
# leak_check_allowed SECONDS is leak_check without what $tmp/allowed has.
leak_check_allowed() { leakcheck check "$tmp/leak.json" --within "$1s" --allow "$tmp/allowed" || die "something was left behind, see above"; }

# assert_init UNIT PID: the process is PID 1 of its own PID namespace.
assert_init() {
	[ "$2" -gt 1 ] || die "$1 has no main process"
	assert_match "NSpid of $1's main process" "$(grep ^NSpid: "/proc/$2/status")" '[[:space:]]1$'
}

# assert_alone: no process of ours, of the runtime or of a monitor is there, but for one keeper in each manager's unit of it. The one that told systemd that the service is
# ready may still be on its way out.
assert_alone() { wait_for 10 alone; }
alone() {
	local found
	found=$(pgrep -l -x 'berth|berth-image|crun|runc|conmon|netavark' || true)
	[ -z "$found" ] || { echo "$found" && return 1; }
	found=$(pgrep -x berth-keeper | sed 's|.*|/proc/&/cgroup|' | xargs -r sed -n 's/^0:://p' 2>/dev/null | sort)
	[ -z "$(grep -v '/berth-keeper.service$' <<<"$found" | uniq)" ] && [ -z "$(uniq -d <<<"$found")" ] || { echo "keepers: $found" && return 1; }
}

# SERVE is a shell command that answers HTTP on port 80 and ends at once when it is told to.
SERVE='trap "exit 0" TERM; mkdir -p /www; echo it-works >/www/index.html; httpd -f -v -p 80 -h /www & echo serving; wait $!'
# IDLE says that it is there and ends at once when it is told to.
IDLE='trap "exit 0" TERM; echo idle; sleep 100000 & wait $!'

# pods_too: pods over a boot are the same on both kinds of machine, and the emulated one is slow.
pods_too() { [ "${BERTH_HOST:-local}" != vm ]; }

# rounds SHARE ALL is how often something is done: SHARE times, once where all is emulated, ALL times with BERTH_TORTURE, or then
# BERTH_ROUNDS times.
rounds() {
	[ "${BERTH_HOST:-local}" != vm ] || set -- 1 "$2"
	[ -z "${BERTH_TORTURE:-}" ] || set -- "${BERTH_ROUNDS:-$2}"
	echo "$1"
}

# took BEGIN is how many milliseconds have gone by since $EPOCHREALTIME was that.
took() { echo $(((${EPOCHREALTIME/./} - ${1/./}) / 1000)); }

# longest WHAT <MILLISECONDS says how long things took. That they take no more than is promised is for who reads it on a quiet
# machine; here they must not take ten times that.
longest() {
	local all worst
	all=$(sort -n)
	worst=$(tail -n 1 <<<"$all")
	say "$1: $(wc -l <<<"$all") times, $(sed -n "$(((($(wc -l <<<"$all")) + 1) / 2))p" <<<"$all") ms in the middle, $worst ms at most"
	tally "$(wc -l <<<"$all")" 0 0
	[ "$worst" -lt "$2" ] || die "$1: $worst ms"
}

# outlives PROPERTY UNIT COMMAND… kills the unit's main process with SIGKILL, again and again, until the command works again.
# PROPERTY is property or user_property.
outlives() {
	local get=$1 unit=$2 old begin i
	shift 2
	for ((i = $(rounds 2 100); i > 0; i--)); do
		old=$($get "$unit" MainPID)
		kill -9 "$old"
		begin=$EPOCHREALTIME
		wait_for 20 another_main "$get" "$unit" "$old"
		wait_for 20 "$@"
		took "$begin" >>"$tmp/outlives"
	done
	longest "$unit is back" 10000 <"$tmp/outlives"
	rm "$tmp/outlives"
}
another_main() { local new && new=$("$1" "$2" MainPID) && [ "$new" != "$3" ] && [ "$new" -gt 1 ]; }

# add_svc makes svc, a user for services: with subordinate IDs and a home, but no way to log in.
add_svc() {
	id svc >/dev/null 2>&1 || useradd -r -m -d /var/lib/svc -s /usr/sbin/nologin svc
	grep -q ^svc: /etc/subuid || usermod --add-subuids 300000-365535 --add-subgids 300000-365535 svc
}
# as_svc runs a command as svc, as sudo would.
as_svc() { (cd / && setpriv --reuid svc --regid svc --init-groups env -i HOME=/var/lib/svc USER=svc PATH="$PATH" "$@"); }
# svc_image brings the test image into svc's store.
svc_image() { as_svc berth load --quiet <"$IMAGES/busybox.tar" >/dev/null; }
