# hosts: nspawn vm
# timeout: 8m
# User namespaces: the container's IDs are others outside, its files are its own inside, and nothing is copied for root.
. "$BERTH_E2E/berth.sh"

needs tester
load_image
load_user_image
warm_up
cp /etc/subuid /etc/subgid "$tmp/"
defer cp "$tmp/subuid" "$tmp/subgid" /etc/
B="berth run --rm --network none"
M='cat /proc/self/uid_map | tr -s " " | paste -sd,'
as_tester $B $IMAGE true

say "what a user's containers lack is told, and put right"
defer eval "rm -f /etc/systemd/system/user@.service.d/berth-delegate.conf; systemctl daemon-reload"
# A machine may have no controllers to delegate.
lacking() { (berth setup rootless "$@" --format json || true) | jq -r '.[] | select(.state == "wrong" and .name != "delegation") | .name' | paste -sd' '; }
assert_eq "lacking" "$(lacking tester)" ""
sed -i /^tester:/d /etc/subuid /etc/subgid
rm /var/lib/systemd/linger/tester
assert_eq "status" "$(exit_code berth setup rootless tester)" 1
assert_eq "lacking" "$(lacking tester)" "subuid subgid linger"
assert_match "a line of it" "$(as_tester berth setup rootless || true)" '^wrong +linger +not set: .*; to mend: loginctl enable-linger tester$'
assert_match "a user's fix" "$(must_fail as_tester berth setup rootless --fix)" "only root can change the machine"
assert_match "nobody" "$(must_fail berth setup rootless e2e-nobody)" 'no user is named "e2e-nobody"'
assert_eq "lacking after --fix" "$(lacking tester --fix 2>"$tmp/changed")" ""
assert_eq "changes" "$(grep -c -e 'the line tester:100000:65536' -e 'tester lingers' "$tmp/changed")" 3
assert_eq "as the user" "$(as_tester berth setup rootless | grep -c -e '^ok .*XDG_RUNTIME_DIR' -e '^ok .*linger')" 2

say "ranges that are missing are named"
sed -i /^containers:/d /etc/subuid /etc/subgid
assert_match "no range" "$(must_fail $B --userns=auto $IMAGE true)" '/etc/subuid gives no range to "containers": add the line "containers:2147483647:2147483648"'
berth setup userns >/dev/null
assert_eq "ranges" "$(grep -h ^containers: /etc/subuid /etc/subgid | uniq)" containers:2147483647:2147483648
assert_match "again" "$(berth setup userns)" "has a range already"
$B --userns=auto $IMAGE true
wait_for 20 no_scope
leak_snapshot

say "auto: a range that no other container has"
for i in 1 2; do
	quadlet e2e-auto$i.container <<F
[Container]
Image=$IMAGE
UserNS=auto
User=33
Volume=e2e-ns:/data
Exec=sh -c 'echo $i >/tmp/own; echo idle; trap "exit 0" TERM; sleep 100000 & wait'
F
	systemctl start e2e-auto$i
	wait_journal 30 idle -u e2e-auto$i
done
outside() { awk '{ print $2, $3 }' "/proc/$(property "$1" MainPID)/uid_map"; }
one=$(outside e2e-auto1) two=$(outside e2e-auto2)
assert_match "range" "$one" '^[0-9]+ 65536$'
[ "$one" != "$two" ] || die "both have the range $one"
[ $((${one% *} - ${two% *})) -ge 65536 ] || [ $((${two% *} - ${one% *})) -ge 65536 ] || die "ranges overlap: $one, $two"
assert_eq "user outside" "$(awk '/^Uid:/ { print $2 }' "/proc/$(property e2e-auto1 MainPID)/status")" $((${one% *} + 33))
assert_eq "layers of the image" "$(ls /var/lib/containers/storage/overlay-images | grep -c '^[0-9a-f]\{64\}$')" 1
grep -q mapped-layers /var/lib/containers/storage/overlay-images/images.json && die "the image was copied"
systemctl stop e2e-auto1 e2e-auto2
[ ! -e /run/berth/leases/ids ] || die "leases are left: $(ls /run/berth/leases/ids)"

say "volumes: on the disk by the container's IDs, whatever they are outside"
data=$(berth volume mount e2e-ns)
assert_eq "owner of the volume" "$(stat -c %u:%g "$data")" 33:33
$B --uidmap=0:100000:5000 -v e2e-ns:/data $IMAGE sh -c 'echo x >/data/f && chown 44:45 /data/f'
assert_eq "owner of a file" "$(stat -c %u:%g "$data/f")" 44:45
assert_eq "seen through another map" "$($B --uidmap=0:300000:5000 -v e2e-ns:/data $IMAGE stat -c %u:%g /data/f)" 44:45
mkdir "$tmp/dir" && echo x >"$tmp/dir/f"
assert_eq "a path of the host" "$($B --userns=auto -v "$tmp/dir:/d" $IMAGE stat -c %u /d/f)" 65534
assert_eq "with idmap" "$($B --userns=auto -v "$tmp/dir:/d:idmap" $IMAGE stat -c %u /d/f)" 0
assert_eq "with maps" "$($B -v "$tmp/dir:/d:idmap=uids=0-7-1;gids=0-8-1" $IMAGE stat -c %u:%g /d/f)" 7:8
berth volume rm e2e-ns >/dev/null

say "maps"
assert_eq "u and g" "$($B --uidmap=u0:100000:10 --uidmap=g0:200000:10 $IMAGE sh -c "$M; cat /proc/self/gid_map | tr -s ' '")" " 0 100000 10
 0 200000 10"
assert_eq "keep-id of root" "$($B --userns=keep-id:uid=5,gid=6 $IMAGE sh -c 'id -u; id -g' | paste -sd:)" 5:6
assert_match "overlap" "$(must_fail $B --uidmap=0:100000:10 --uidmap=5:200000:1 $IMAGE true)" 'IDs of the container in common'
assert_match "no place" "$(must_fail $B --userns=auto:size=10 --user 50 $IMAGE true)" 'user 50:.* has no place'
assert_eq "secret" "$(printf s | berth secret create e2e-s - >/dev/null; $B --userns=auto --secret e2e-s,uid=5,mode=0400 $IMAGE stat -c %u /run/secrets/e2e-s)" 5
berth secret rm e2e-s >/dev/null
assert_eq "network of its own" "$(berth run --rm --userns=auto $IMAGE sh -c 'httpd -p 80 && echo bound; ip -4 -o addr show eth0 | wc -l' | paste -sd,)" bound,1

rm -rf /etc/containers/systemd/e2e-auto* "$tmp/dir"
systemctl daemon-reload
wait_for 20 no_scope
leak_check

say "of a user: keep-id gives him his own number, and his files"
as_tester sh -c 'mkdir -p ~/e2e-dir && echo mine >~/e2e-dir/f'
defer rm -rf /home/tester/e2e-dir
assert_match "keep-id" "$(as_tester $B --userns=keep-id -v /home/tester/e2e-dir:/d $IMAGE sh -c 'id -u; stat -c %u /d/f; stat -c %u /etc; echo new >/d/new' 2>&1 | paste -sd,)" '1000,1000,0$'
assert_eq "owner of his file" "$(stat -c %u /home/tester/e2e-dir/new)" 1000
assert_eq "unshare" "$(as_tester berth unshare sh -c 'id -u; stat -c %u ~/e2e-dir/f; chown 5 ~/e2e-dir/new' | paste -sd,)" 0,0
assert_eq "another's file" "$(stat -c %u /home/tester/e2e-dir/new)" 100004
assert_eq "the status of what it ran" "$(exit_code as_tester berth unshare sh -c 'exit 7') $(exit_code as_tester berth unshare no-such)" "7 127"
assert_match "unshare by root" "$(must_fail berth unshare true)" 'for users'
assert_no_match "the copy is made once" "$(as_tester $B --userns=keep-id $IMAGE true 2>&1)" 'copies the image'
assert_match "map" "$(as_tester $B --userns=keep-id $IMAGE sh -c "$M")" '0 1 1000, *1000 0 1, *1001 1001'
assert_eq "the caller as root" "$(as_tester $B --userns=keep-id:uid=0,gid=0 -v /home/tester/e2e-dir:/d $IMAGE stat -c %u /d/f)" 0
assert_eq "nomap" "$(as_tester $B --userns=nomap -v /home/tester/e2e-dir:/d $IMAGE stat -c %u /d/f 2>/dev/null)" 65534
user_quadlet e2e-keep.container <<F
[Container]
Image=$IMAGE
UserNS=keep-id
Exec=sh -c '$IDLE'
F
as_tester systemctl --user start e2e-keep
pid=$(user_property e2e-keep MainPID)
assert_init e2e-keep "$pid"
assert_eq "the user manager's own" "$(awk '/^Uid:/ { print $2 }' "/proc/$pid/status")" 1000
as_tester systemctl --user stop e2e-keep
assert_eq "result" "$(user_property e2e-keep Result)" success
