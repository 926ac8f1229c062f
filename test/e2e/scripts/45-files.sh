# hosts: nspawn
# timeout: 6m
# The files of containers: copied in, out and between, into volumes, of containers that run and that do not, as root and as a
# user; and hostile ones that would lead a copy astray.
. "$BERTH_E2E/berth.sh"

load_image
load_user_image
warm_up
as_tester berth run --rm --network none $IMAGE true
wait_for 20 user_no_scope
leak_snapshot

IDLE='trap "exit 0" TERM; sleep 100000 & wait $!'
b() { "${as[@]}" berth "$@"; }
in_() { b exec "$1" sh -c "$2"; }

copies() {
	say "cp: ${as[*]:-root}"
	d=$tmp/${as[0]:-root}
	mkdir "$d"
	chown "$("${as[@]}" id -un)" "$d"
	"${as[@]}" mkdir "$d/tree" "$d/tree/sub" "$d/out"
	"${as[@]}" sh -c "echo one >$d/one; echo deep >$d/tree/sub/deep; ln -s /etc/passwd $d/tree/link; mkfifo $d/tree/pipe"
	b run -d --name e2e-a --network none -v e2e-data:/data --user 12:13 --tmpfs /scratch $IMAGE sh -c "$IDLE" >/dev/null
	b run -d --name e2e-b --network none $IMAGE sh -c "$IDLE" >/dev/null
	b exec -u 0 e2e-a mkdir /dir

	b cp "$d/one" e2e-a:/dir
	b cp "$d/one" e2e-a:dir/two
	b cp "$d/tree" e2e-a:/dir
	b cp "$d/tree/." e2e-a:/new
	b cp "$d/one" e2e-a:/data/in-volume
	b cp --archive=false "$d/one" e2e-a:/scratch/kept
	assert_eq "what came in" "$(in_ e2e-a 'cat /dir/one /dir/two /dir/tree/sub/deep /new/sub/deep /data/in-volume | xargs')" "one one deep deep one"
	assert_eq "a link and a pipe" "$(in_ e2e-a 'readlink /new/link; test -p /new/pipe && echo pipe')" $'/etc/passwd\npipe'
	assert_eq "whose it is" "$(in_ e2e-a 'stat -c %u:%g /dir/one /new/sub /data/in-volume | xargs')" "12:13 12:13 12:13"
	assert_eq "with --archive=false" "$(in_ e2e-a 'stat -c %u:%g /scratch/kept')" "0:0"
	assert_match "no such directory" "$(must_fail b cp "$d/one" e2e-a:/nowhere/)" 'no such directory'
	assert_match "a directory to a file" "$(must_fail b cp "$d/tree" e2e-a:/dir/one)" 'cannot be copied'
	assert_match "no such file" "$(must_fail b cp e2e-a:/nowhere "$d/out")" 'no such file'
	assert_match "no container" "$(must_fail b cp "$d/one" "$d/two")" 'CONTAINER:PATH'
	b exec -u 0 e2e-a mkdir /dir/tree/link2
	"${as[@]}" sh -c "echo file >$d/tree/link2"
	assert_match "a file to a directory" "$(must_fail b cp "$d/tree" e2e-a:/dir)" '\-\-overwrite'
	b cp --overwrite "$d/tree" e2e-a:/dir
	assert_eq "with --overwrite" "$(in_ e2e-a 'cat /dir/tree/link2')" file

	b cp e2e-a:/dir/tree "$d/out"
	b cp e2e-a:/dir/two "$d/out/renamed"
	assert_eq "what came out" "$(cat "$d/out/tree/sub/deep" "$d/out/renamed" | xargs)" "deep one"
	assert_eq "whose it is" "$(stat -c %U "$d/out/tree/sub/deep" "$d/out/renamed" | uniq)" "$("${as[@]}" id -un)"

	say "between containers, and as archives: ${as[*]:-root}"
	b cp e2e-a:/dir/tree e2e-b:/
	b cp e2e-a:/dir/two e2e-b:/tree/sub/three
	b cp e2e-a:/dir/two e2e-a:/dir/again
	assert_eq "in the other one" "$(in_ e2e-b 'cat /tree/sub/deep /tree/sub/three | xargs')" "deep one"
	assert_match "into itself" "$(must_fail b cp e2e-a:/dir e2e-a:/dir/x)" 'itself'
	b cp e2e-a:/dir/tree - | tar -tf - | sort >"$tmp/list"
	assert_eq "an archive" "$(xargs <"$tmp/list")" "tree/ tree/link tree/link2 tree/pipe tree/sub/ tree/sub/deep"
	"${as[@]}" tar -C "$d/tree" -czf - sub | b cp - e2e-a:/scratch
	assert_eq "an archive" "$(in_ e2e-a 'cat /scratch/sub/deep')" deep
	(cd "$tmp" && mkdir -p up && echo evil >up/evil && tar -cPf evil.tar --transform 's,^,../../../../,' up/evil)
	assert_match "one that leads out" "$(must_fail b cp - e2e-a:/dir <"$tmp/evil.tar")" 'leads out'
	assert_match "rubbish" "$(head -c 2000 /dev/urandom | must_fail b cp - e2e-a:/dir)" 'archive'

	say "one that does not run: ${as[*]:-root}"
	b stop e2e-a >/dev/null
	b cp "$d/one" e2e-a:/dir/late
	b cp "$d/one" e2e-a:/data/late
	b cp e2e-a:/data/in-volume "$d/out/of-volume"
	b cp e2e-a:/dir/late e2e-b:/late
	b cp e2e-b:/late e2e-a:/dir/back
	assert_eq "out of a volume" "$(cat "$d/out/of-volume")" one
	b start e2e-a >/dev/null
	assert_eq "what it finds" "$(in_ e2e-a 'cat /dir/late /data/late /dir/back | xargs; stat -c %u:%g /dir/late')" $'one one one\n12:13'
	b create --name e2e-c --network none $IMAGE cat /given >/dev/null
	b cp "$d/one" e2e-c:/given
	assert_eq "one that was only created" "$(b start -a e2e-c)" one

	say "hostile files: ${as[*]:-root}"
	echo canary >"$tmp/canary" && chmod 644 "$tmp/canary"
	in_ e2e-b "ln -s $tmp /out; ln -s $tmp/canary /file; ln -s ../../../../../../..$tmp /up; mkdir /h; ln -s $tmp/canary /h/one; mkfifo /h/pipe; chmod 4755 /bin/sh 2>/dev/null; cp /bin/busybox /h/su; chmod 6755 /h/su"
	for p in /out/canary /file /up/canary; do
		assert_match "$p" "$(must_fail b cp "e2e-b:$p" "$d/out/stolen")" 'no such file'
		assert_eq "$p" "$(exit_code b cp "$d/one" "e2e-b:$p/x")" 125
	done
	b cp "$d/one" e2e-b:/file # the link itself is replaced, or what it means in the container
	b cp e2e-b:/h "$d/out"
	assert_eq "the link" "$(readlink "$d/out/h/one")" "$tmp/canary"
	assert_eq "no bits" "$(stat -c %a "$d/out/h/su")" 755
	b cp e2e-b:/h/su "$d/out/h/one" 2>/dev/null || true
	assert_eq "the canary" "$(cat "$tmp/canary")" canary
	b rm -f -t 0 e2e-a e2e-b e2e-c >/dev/null
	b volume rm e2e-data >/dev/null
}

as=()
copies
as=(as_tester)
copies

say "a directory that is exchanged with a link all the time"
as=()
mkdir "$tmp/canary.d"
echo secret >"$tmp/canary.d/f"
b run -d --rm --name e2e-flip --network none $IMAGE sh -c "mkdir /d; echo mine >/d/f; ln -s $tmp/canary.d /l
while :; do mv -T /d /x 2>/dev/null; mv -T /l /d 2>/dev/null; mv -T /d /l; mv -T /x /d; done" >/dev/null
pid=$(property e2e-flip MainPID)
for _ in $(seq 15); do
	rm -rf "$tmp/got"
	b cp e2e-flip:/d "$tmp/got" 2>/dev/null || true
	b cp "$tmp/root/one" e2e-flip:/d/ 2>/dev/null || true
	if grep -rqs secret "$tmp/got"; then die "the copy was led out of the container"; fi
done
assert_eq "the canary" "$(ls "$tmp/canary.d")" f
# The control: who joins the paths is led out sooner or later.
led_out() { [ "$(cat "/proc/$pid/root/d/f" 2>/dev/null)" = secret ]; }
wait_for 60 led_out
b rm -f -t 0 e2e-flip >/dev/null

say "what has changed, an archive, a mount, another name"
b run -d --name e2e-d --network none -v e2e-data:/data --label a=b --label "q='s'" -e X=1 -e 'Q=say "hi"' $IMAGE sh -c "echo new >/new; rm /etc/group; echo more >>/etc/passwd; echo hidden >/data/hidden; : >/ready; $IDLE" >/dev/null
wait_for 30 b exec e2e-d test -e /ready
assert_eq "diff" "$(b diff e2e-d | grep -E ' (/new|/etc|/etc/group|/etc/passwd)$' | sort | xargs)" "A /new C /etc C /etc/passwd D /etc/group"
assert_eq "diff, as JSON" "$(b diff --format json e2e-d | jq -c '[.deleted, (.added | index("/new") != null)]')" '[["/etc/group"],true]'
assert_eq "what every container gets is no change" "$(b diff e2e-d | grep -cE ' (/dev|/proc|/sys|/etc/hosts)$' || true)" 0
assert_eq "diff of an image" "$(b diff $IMAGE | grep -E ' /(bin|dev|proc|run|sys)$')" "A /bin"
assert_match "diff -l" "$(b diff -l)" '^A /new$'
b export e2e-d | tar -xOf - new >"$tmp/new"
assert_eq "export" "$(cat "$tmp/new")" new
b export -o "$tmp/e.tar" e2e-d
assert_no_match "export" "$(tar -tf "$tmp/e.tar")" 'hidden|proc/1'
assert_eq "to a place that is not there" "$(exit_code b export -o /nowhere/x e2e-d)" 125
mknod /dev/e2e-null c 1 3
mknod /dev/e2e-full c 1 7
sum=$(sha256sum <"$tmp/e.tar")
b export -o /dev/e2e-null e2e-d
assert_eq "to a device that is full" "$(exit_code b export -o /dev/e2e-full e2e-d)" 125
assert_eq "through a pipe of its own" "$(b export -o /dev/stdout e2e-d | tar -xOf - new)" new
mkdir "$tmp/small" && mount -t tmpfs -o size=256k none "$tmp/small" && echo older >"$tmp/small/e.tar"
assert_eq "with too little room" "$(exit_code b export -o "$tmp/small/e.tar" e2e-d) $(cat "$tmp/small/e.tar") $(ls -A "$tmp/small")" "125 older e.tar"
umount "$tmp/small"
assert_eq "the devices, and the older archive" "$(stat -c %F /dev/e2e-null /dev/e2e-full | sort -u) $(sha256sum <"$tmp/e.tar")" "character special file $sum"
rm /dev/e2e-null /dev/e2e-full

assert_eq "no mounts" "$(b mount)" ""
m=$(b mount e2e-d)
assert_eq "mount of one that runs" "$(cat "$m/new"; ls "$m/data")" new
b exec e2e-d sh -c 'echo later >/later'
assert_eq "it is the same one" "$(cat "$m/later")" later
assert_eq "mounts" "$(b mount --format json | jq -r '.[].mountpoint')" "$m"
b unmount e2e-d >/dev/null
assert_eq "unmounted" "$(b mount)" ""
assert_match "once more" "$(must_fail b umount e2e-d)" 'not mounted'
assert_eq "it runs on" "$(b exec e2e-d cat /later)" later
must_fail as_tester berth mount | grep -q 'needs root'

b rename e2e-d e2e-new
assert_eq "its name" "$(b ps --format json | jq -r '.[].Names[]')" e2e-new
assert_eq "the old one" "$(exit_code b container exists e2e-d)" 0 # of its unit
assert_match "the unit's name is not free" "$(b run -d --rm --name e2e-d --network none $IMAGE sh -c "$IDLE"; b inspect -f '{{.State.CgroupPath}}' e2e-d)" '/berth-e2e-d.service'
b rm -f e2e-d >/dev/null
assert_match "a name that is in use" "$(b create --name e2e-x $IMAGE true >/dev/null; must_fail b rename e2e-x e2e-new)" 'in use'
b rename e2e-x e2e-y
b create --name e2e-x $IMAGE true >/dev/null
assert_eq "the old name is free" "$(b ps -a --filter name=e2e-x --format '{{.Names}}')" e2e-x
b rm e2e-x >/dev/null
b stop e2e-new >/dev/null
b start e2e-new >/dev/null
assert_eq "its unit" "$(property e2e-new ActiveState) $(property e2e-d ActiveState)" "active inactive"
quadlet e2e-unit.container <<F
[Container]
Image=$IMAGE
Network=none
Exec=sh -c '$IDLE'
F
systemctl start e2e-unit
assert_match "one of a unit file" "$(must_fail b rename systemd-e2e-unit e2e-z)" 'ContainerName=e2e-z'
systemctl stop e2e-unit
rm /etc/containers/systemd/e2e-unit.container
systemctl daemon-reload

say "images of containers"
id=$(b commit -a me -m said -c 'ENV Y=2' -c LABEL=c=d --iidfile "$tmp/iid" e2e-new localhost/e2e-made)
assert_eq "--iidfile" "$(cat "$tmp/iid")" "$id"
assert_eq "it runs on" "$(b exec e2e-new cat /later)" later
assert_eq "what it has" "$(b run --rm --network none localhost/e2e-made sh -c 'cat /new; echo $X$Y; ls /data /etc/group 2>&1 | grep -c "No such"')" $'new\n12\n1'
assert_eq "what is known of it" "$(b image inspect localhost/e2e-made | jq -c '.[0] | [.Author, .Labels.a, .Labels.c, (.RootFS.Layers | length), .History[-1].comment]')" '["me","b","d",2,"said"]'
assert_eq "quotes in it" "$(b image inspect localhost/e2e-made | jq -r '.[0] | .Labels.q, (.Config.Env[] | select(startswith("Q=")))')" $'\'s\'\nQ=say "hi"'
printf '{"Labels": {"q": "7"}}' >"$tmp/config"
b commit -q -s -f docker --config "$tmp/config" e2e-new localhost/e2e-flat >/dev/null
rm "$tmp/config"
assert_eq "one layer" "$(b image inspect localhost/e2e-flat | jq -c '.[0] | [(.RootFS.Layers | length), .Labels.q]')" '[1,"7"]'
assert_eq "what it has" "$(b run --rm --network none localhost/e2e-flat cat /new)" new
b save -o "$tmp/made.tar" localhost/e2e-made
assert_match "a change that is none" "$(must_fail b commit -c 'RUN x' e2e-new localhost/e2e-bad)" 'RUN x'
assert_eq "--pause=false" "$(exit_code b commit --pause=false --include-volumes e2e-new localhost/e2e-made)" 0
b rm -f e2e-new e2e-y >/dev/null
b volume rm e2e-data >/dev/null
for i in $(b images -q | sort -u); do
	[ "$(b image inspect "$i" | jq -r '.[0].RepoTags[0] // ""')" = localhost/busybox:latest ] || b rmi -f "$i" >/dev/null
done
find "$tmp" -mindepth 1 ! -name leak.json ! -name wait_for -delete

leak_check
