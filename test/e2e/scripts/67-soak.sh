# hosts: nspawn
# timeout: 5m
# Again and again: units start and stop, as root and as a user, and both managers reload and re-execute themselves, beside
# containers that run all the time. Nothing grows, and no container notices. `make torture` takes 10,000 starts, 1,000
# reloads and 100 re-executions, CI some; BERTH_SOAK="STARTS RELOADS REEXECS" takes other numbers.
. "$BERTH_E2E/berth.sh"

soak="8 3 1"
[ -z "${BERTH_TORTURE:-}" ] || soak="10000 1000 100"
read -r cycles reloads reexecs <<<"${BERTH_SOAK:-$soak}"
load_image
load_user_image
warm_up
warm_up_user
sc() { as_tester systemctl --user "$@"; }

# Those that run all the time say it when they are told something.
TOLD='trap "exit 0" TERM; trap "echo told" USR1; echo up; sleep 100000 & while :; do wait; done'
unit() {
	printf '[Container]\nImage=%s\nExec=sh -c '\''%s'\''\n' "$IMAGE" "$2"
	printf '%s\n' "${@:3}"
} >"$1.container"
root=/etc/containers/systemd user=/home/tester/.config/containers/systemd
mkdir -p $root
defer sh -c "rm -f $root/e2e67* $user/e2e67*"
echo '[Network]' >$root/e2e67.network
unit $root/e2e67-up-none "$TOLD" Network=none
unit $root/e2e67-up-bridge "$TOLD" Network=e2e67.network
unit $user/e2e67-up-user "$TOLD" Network=bridge
# Those that come and go.
unit $root/e2e67-none "$IDLE" Network=none
unit $root/e2e67-bridge "$IDLE" Network=e2e67.network PublishPort=18067:80
unit $user/e2e67-pasta "$IDLE" Network=pasta PublishPort=127.0.0.1:18068:80
unit $user/e2e67-user "$IDLE" Network=bridge PublishPort=18069:80
kinds=(none bridge pasta user)

# cycle KIND starts and stops a unit, and writes down how long it took, in ms.
cycle() {
	local begin=${EPOCHREALTIME/./} manager=systemctl
	[ "$1" = none ] || [ "$1" = bridge ] || manager=sc
	$manager start "e2e67-$1"
	$manager stop "e2e67-$1"
	echo "$1 $(((${EPOCHREALTIME/./} - begin) / 1000))" >>"$tmp/times"
}
# measure prints what stays: each process with the number of its descriptors and its memory (PSS, KiB).
measure() {
	local pid name
	{
		echo "$(property berth-keeper MainPID) keeper"
		echo "$(property berth-dns MainPID) names"
		echo "$(user_property berth-keeper MainPID) user-keeper"
		echo "$(user_property berth-net MainPID) user-net"
		echo "$(user_property berth-pasta MainPID) user-pasta"
		echo "1 systemd"
		echo "$(property user@1000 MainPID) user-systemd"
	} | while read -r pid name; do
		echo "$name $pid $(ls "/proc/$pid/fd" | wc -l) $(awk '/^Pss:/ { print $2 }' "/proc/$pid/smaps_rollup")"
	done
}
# grown BEFORE AFTER prints what has other descriptors, more memory, or is another process. Go
# collects garbage when there are 4 MiB of it, so the memory may waver by as much. systemd itself is for the reader only:
# leakcheck has its descriptors.
grown() {
	join "$1" "$2" | awk '$1 ~ /systemd$/ { next } $2 != $5 || $3 != $6 || $7 > $4 + 4096 { print }'
}
not_grown() { measure >"$tmp/now" && grown "$tmp/before" "$tmp/now" >"$tmp/grown" && ! grep . "$tmp/grown"; }
files() { find /run/berth /run/containers /run/user/1000/{berth,containers} /var/lib/containers /home/tester/.local/share/containers -xdev | sort; }
same_files() { files | diff "$tmp/files" -; }
pids() { echo "$(property e2e67-up-none MainPID) $(property e2e67-up-bridge MainPID) $(user_property e2e67-up-user MainPID)"; }
started() { echo "$(property e2e67-up-none NRestarts) $(property e2e67-up-bridge NRestarts) $(user_property e2e67-up-user NRestarts)"; }
# flat WHEN: nothing is there that was not before.
flat() {
	assert_eq "the containers that run, $1" "$(pids) $(started)" "$running"
	leakcheck check "$tmp/leak.json" --within 30s || die "something was left behind, $1"
	wait_for 20 same_files
	wait_for 20 not_grown
}

systemctl daemon-reload && sc daemon-reload
systemctl start e2e67-up-none e2e67-up-bridge
sc start e2e67-up-user
for kind in "${kinds[@]}"; do cycle "$kind"; done
: >"$tmp/times"
touch "$tmp"/{before,now,grown,files,wait_for}
running="$(pids) $(started)"
assert_no_match "the containers that run" " ${running% * * *} " ' 0 '
files >"$tmp/files"
old_enough() { [ "$(ps -o etimes= -p "$(user_property berth-pasta MainPID)")" -gt 2 ]; }
wait_for 20 old_enough # pasta opens sockets ahead, and looks once a second whether it has enough
measure >"$tmp/before"
leak_snapshot

say "$cycles starts and stops"
for ((i = 0; i < cycles; i++)); do
	cycle "${kinds[i % 4]}"
	[ $((i % 500)) != 499 ] || flat "after $((i + 1)) starts and stops"
done
flat "after $cycles starts and stops"

say "$reloads reloads"
for ((i = 0; i < reloads; i++)); do
	systemctl daemon-reload
	sc daemon-reload
done
flat "after $reloads reloads"

say "$reexecs re-executions"
for ((i = 0; i < reexecs; i++)); do
	systemctl daemon-reexec
	sc daemon-reexec
	assert_eq "the containers that run" "$(pids)" "${running% * * *}"
done
flat "after $reexecs re-executions"

say "they are still heard, and stop as they should"
for pid in $(pids); do kill -USR1 "$pid"; done
for up in none bridge user; do wait_journal 30 '^told$' -t "e2e67-up-$up"; done
join "$tmp/before" "$tmp/now" | awk '{ printf "%-12s %2d descriptors, then %2d; %5d KiB, then %5d\n", $1, $3, $6, $4, $7 }'
# tenth prints the median of a tenth of the times on standard input: tenth head, tenth tail
tenth() {
	local n=$((cycles / 40 > 0 ? cycles / 40 : 1))
	$1 -n "$n" "$tmp/of-kind" | sort -n | sed -n "$(((n + 1) / 2))p"
}
for kind in "${kinds[@]}"; do
	sed -n "s/^$kind //p" "$tmp/times" >"$tmp/of-kind"
	printf '%-12s %d times, %d ms in the first tenth (median), %d in the last\n' "$kind" "$(wc -l <"$tmp/of-kind")" "$(tenth head)" "$(tenth tail)"
done
# The controls: one descriptor more, a process that is another one, and memory are seen.
printf 'a 1 5 100\nb 2 5 100\nc 3 5 100\nd 4 5 100\nsystemd 1 5 100\n' >"$tmp/control1"
printf 'a 1 6 100\nb 9 5 100\nc 3 5 9000\nd 4 5 120\nsystemd 1 6 9000\n' >"$tmp/control2"
assert_eq "what has grown" "$(grown "$tmp/control1" "$tmp/control2" | cut -d ' ' -f 1 | xargs)" "a b c"
systemctl stop e2e67-up-none e2e67-up-bridge
sc stop e2e67-up-user
systemctl stop e2e67-network
berth network rm -f systemd-e2e67 >/dev/null
sc stop berth-net
rm -f $root/e2e67* $user/e2e67*
systemctl daemon-reload && sc daemon-reload
tally $((cycles + reloads + reexecs)) 0 0
