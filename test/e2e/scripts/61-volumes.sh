# hosts: nspawn vm
# timeout: 6m
# Anonymous volumes live as long as their container; options of volumes do what they say; nothing leads out of a volume.
. "$BERTH_E2E/berth.sh"

needs podman
load_image
warm_up
B="berth run --rm --network none"
podman volume create theirs >/dev/null
echo kept >/var/lib/containers/storage/volumes/theirs/_data/file
$B -v warm:/x:O $IMAGE true && berth volume rm warm >/dev/null
wait_for 20 no_scope
leak_snapshot

say "anonymous volumes end with the container"
assert_eq "writable" "$($B -v /anon --read-only $IMAGE sh -c 'echo x >/anon/f && cat /anon/f')" x
quadlet e2e-anon.container <<F
[Container]
Image=$IMAGE
Network=none
Volume=/anon
Volume=/etc
Exec=sh -c '$IDLE'
F
systemctl start e2e-anon
assert_eq "volumes of the container" "$(berth volume ls -q --filter dangling=false | grep -c '^[0-9a-f]\{64\}$')" 2
assert_match "filled from the image" "$(cat /proc/$(property e2e-anon MainPID)/root/etc/passwd)" '^root:'
assert_eq "of another container" "$($B --volumes-from systemd-e2e-anon:ro $IMAGE sh -c 'touch /anon/f 2>/dev/null || echo read-only')" read-only
berth create --name e2e-data --network none -v /data $IMAGE true >/dev/null
$B --volumes-from e2e-data $IMAGE touch /data/x
assert_eq "of one that has never run" "$($B --volumes-from e2e-data $IMAGE ls /data/x)" /data/x
berth rm -v e2e-data >/dev/null
systemctl stop e2e-anon
assert_eq "volumes left" "$(berth volume ls -q | grep -v theirs || true)" ""
must_fail $B -v /anon -v /nonexistent/dir:/x $IMAGE true >/dev/null
assert_eq "volumes left by a failed start" "$(berth volume ls -q | grep -v theirs || true)" ""

mkdir -p "$tmp/image/bin" "$tmp/image/kept"
cp "$(command -v busybox)" "$tmp/image/bin/sh"
tar -C "$tmp/image" -c . | berth import --quiet --change 'VOLUME /kept' - localhost/e2e-kept >/dev/null
filesystem() { $B "$@" localhost/e2e-kept /bin/sh -c "while read -r l; do case \$l in *' /kept '*) echo \"\$l\" ;; esac; done </proc/self/mountinfo"; }
assert_match "the image's volume" "$(filesystem)" '/_data /kept '
assert_match "in memory" "$(filesystem --image-volume tmpfs)" ' - tmpfs '
assert_eq "left out" "$(filesystem --image-volume ignore)" ""
berth rmi localhost/e2e-kept >/dev/null
rm -r "$tmp/image"

say "a volume of Podman's is adopted as it is"
assert_eq "content" "$($B -v theirs:/d $IMAGE cat /d/file)" kept
assert_match "not pruned" "$(berth volume prune -f)$(berth volume ls -q)" theirs
mkdir "$tmp/disk" && echo precious >"$tmp/disk/file"
options=(--opt type=none --opt o=bind --opt "device=$tmp/disk")
podman volume create "${options[@]}" e2e-disk >/dev/null
berth volume create --ignore "${options[@]}" e2e-disk >/dev/null
assert_eq "one that is a file system" "$($B -v e2e-disk:/d $IMAGE cat /d/file)" precious
mount --bind "$tmp/disk" /var/lib/containers/storage/volumes/e2e-disk/_data # as Podman does while a container of its has it
assert_match "mounted" "$(must_fail berth volume rm e2e-disk)" 'a file system is mounted on .*/e2e-disk/_data'
umount /var/lib/containers/storage/volumes/e2e-disk/_data
berth volume rm e2e-disk >/dev/null
podman volume rm e2e-disk >/dev/null 2>&1 || true
assert_eq "its files" "$(cat "$tmp/disk/file")" precious
rm -r "$tmp/disk"

say "options"
mkdir -p "$tmp/src" && echo original >"$tmp/src/file" && chown 7:7 "$tmp/src/file"
assert_eq "overlay" "$($B -v "$tmp/src:/d:O" $IMAGE sh -c 'echo changed >/d/file; cat /d/file')" changed
assert_eq "source of the overlay" "$(cat "$tmp/src/file")" original
berth create --name e2e-forgets --network none -v "$tmp/src:/d:O" $IMAGE sh -c 'cat /d/new; echo new >/d/new' >/dev/null
for round in first second; do
	assert_match "what was written in an earlier run, the $round time" "$(berth start -a e2e-forgets 2>&1)" 'No such file'
done
berth rm e2e-forgets >/dev/null
mkdir "$tmp/up" "$tmp/work"
$B -v "$tmp/src:/d:O,upperdir=$tmp/up,workdir=$tmp/work" $IMAGE sh -c 'echo changed >/d/file'
assert_eq "kept beside" "$(cat "$tmp/up/file") $(cat "$tmp/src/file")" "changed original"
$B -v "$tmp/src:/d:U" -u 1234:1235 $IMAGE true
assert_eq "owners after U" "$(stat -c %u:%g "$tmp/src" "$tmp/src/file" | paste -sd' ')" "1234:1235 1234:1235"
assert_match "U of a system directory" "$(must_fail $B -v /usr:/d:U $IMAGE true)" 'option U would give /usr'
ln -s "$tmp/src" "$tmp/link"
$B -v "$tmp/link:/d:U" -u 1236:1236 $IMAGE true
assert_eq "owners after U by a link of root's" "$(stat -c %u "$tmp/src")" 1236
install -d -o tester "$tmp/of-tester"
as_tester ln -s "$tmp/src" "$tmp/of-tester/link"
assert_match "by a user's link" "$(must_fail $B -v "$tmp/of-tester/link:/d:U" -u 1237:1237 $IMAGE true)" 'a link "link" of the user 1000 to what belongs to the user 1236'
ln -s /usr "$tmp/system"
assert_match "of a system directory by a link" "$(must_fail $B -v "$tmp/system:/d:U" $IMAGE true)" 'option U would give /usr'
assert_eq "owners" "$(stat -c %u "$tmp/src" /usr | paste -sd' ')" "1236 0"
assert_match "noexec" "$($B -v "$tmp/src:/d:noexec,ro" $IMAGE grep ' /d ' /proc/self/mountinfo)" ' ro,.*noexec'
assert_match "defaults of a volume" "$($B -v theirs:/d $IMAGE grep ' /d ' /proc/self/mountinfo)" 'nosuid,nodev'
quadlet e2e-missing.container <<F
[Container]
Image=$IMAGE
Network=none
Volume=/srv/e2e-missing/x:/x
F
must_fail systemctl start e2e-missing >/dev/null
wait_journal 20 'of e2e-missing.service: the host has no /srv/e2e-missing/x' -u e2e-missing
test ! -e /srv/e2e-missing

say "file systems as volumes"
berth volume create -o type=tmpfs -o device=tmpfs -o o=size=1m,mode=1770 t >/dev/null
assert_match "tmpfs" "$($B -v t:/d $IMAGE sh -c 'grep " /d " /proc/self/mountinfo; stat -c %a /d; dd if=/dev/zero of=/d/x bs=1M count=2 2>&1 || true')" 'tmpfs.*size=1024k'
berth volume create -o type=none -o o=bind -o device="$tmp/src" b >/dev/null
assert_eq "bind" "$($B -v b:/d $IMAGE cat /d/file)" original
berth volume create -o type=bind -o device=/srv/e2e-gone g >/dev/null
assert_match "source gone" "$(must_fail $B -v g:/d $IMAGE true)" 'volume "g" of .*the host has no /srv/e2e-gone'
test ! -e /srv/e2e-gone
berth volume rm t b g >/dev/null
berth volume create n >/dev/null
echo own >"$(berth volume mount n)/passwd"
chown 7:8 "$(berth volume mount n)"
as_it_is() { find "$(berth volume mount n)" -printf '%p %m %U:%G %T@ %C@\n' | sort; }
given=$(as_it_is)
B_etc="$B --no-hosts --no-hostname --dns none" # for whose files the runtime makes places, in a volume too
assert_eq "one with something in it" "$($B_etc -v n:/etc:ro $IMAGE cat /etc/passwd) $($B_etc -v n:/etc $IMAGE cat /etc/passwd)" "own own"
assert_eq "as it is" "$(as_it_is)" "$given"
berth volume create e >/dev/null
assert_match "control: an empty one" "$($B -v e:/etc:ro $IMAGE cat /etc/passwd)" '^root:'
berth volume rm n e >/dev/null
berth volume create -o nocopy n >/dev/null
assert_eq "kept empty" "$($B -v n:/etc $IMAGE sh -c 'ls /etc/passwd 2>/dev/null || echo empty')" empty
berth volume rm n >/dev/null

say "limits of volumes"
assert_match "no quotas here" "$(must_fail berth volume create -o o=size=1m q)" 'of /var/lib/containers/storage/volumes .*(has no project quotas|only root)'
assert_eq "nothing of it" "$(exit_code berth volume exists q)" 1
if [ "${BERTH_HOST:-}" = vm ]; then # the others have no loop devices
	truncate -s 64M "$tmp/disk"
	mke2fs -q -t ext4 -O quota,project -E quotatype=prjquota "$tmp/disk"
	modprobe -qa loop quota_v2 || true
	mount -o loop,prjquota "$tmp/disk" /var/lib/containers/storage/volumes
	berth volume create -o o=size=1m,inodes=20 q >/dev/null
	berth volume create q2 >/dev/null
	write='dd if=/dev/zero of=/d/x bs=64k count=32 2>&1; i=0; while [ $i -lt 30 ]; do touch /d/$i 2>/dev/null || break; i=$((i+1)); done; echo made $i'
	limited=$($B -v q:/d $IMAGE sh -c "$write; rm /d/x; touch /d/more && echo again")
	assert_match "limited" "$limited" 'quota exceeded'
	assert_match "files" "$limited" 'made 1[0-9]'
	assert_match "no limit" "$($B -v q2:/d $IMAGE sh -c "$write")" 'made 30'
	berth volume rm q q2 >/dev/null
	umount /var/lib/containers/storage/volumes
	rm "$tmp/disk"
fi

say "a subpath does not lead out, whatever the container does meanwhile"
berth volume create s >/dev/null
s=$(berth volume mount s)
mkdir -p "$s/d/sub" /run/e2e-outside/sub
defer rm -rf /run/e2e-outside
echo inside >"$s/d/sub/file" && echo outside >/run/e2e-outside/sub/file
ln -s /run/e2e-outside "$s/out"
assert_match "a link" "$(must_fail $B -v s:/d:subpath=out/sub $IMAGE cat /d/file)" 'the volume has no out/sub'
assert_match "upwards" "$(must_fail $B -v s:/d:subpath=../../../../../run/e2e-outside/sub $IMAGE cat /d/file)" 'the volume has no'
quadlet e2e-hostile.container <<F
[Container]
Image=$IMAGE
Network=none
Volume=s:/d
Exec=sh -c 'echo idle; cd /d; while :; do mv d e; ln -s /run/e2e-outside d; rm d; mv e d; done'
StopSignal=KILL
StopTimeout=1
F
systemctl start e2e-hostile
seen= naive=
for i in $(seq 6); do
	seen+=" $($B -v s:/d:subpath=d/sub $IMAGE cat /d/file 2>/dev/null || true)"
done
end=$((SECONDS + 60))
until [ "$naive" = outside ] || [ "$SECONDS" -gt "$end" ]; do # the negative control: who follows the path as it stands is led out
	read -r naive <"$s/d/sub/file" || true
done 2>/dev/null
systemctl stop e2e-hostile || true
assert_eq "seen by a naive reader" "$naive" outside
assert_no_match "seen by containers" "$seen" outside
berth volume rm s >/dev/null

say "archives"
berth volume create a >/dev/null
mkdir "$tmp/evil" && ln -s /run/e2e-outside "$tmp/evil/l"
tar -C "$tmp/evil" -cf "$tmp/evil.tar" l && rm "$tmp/evil/l" && mkdir "$tmp/evil/l" && echo evil >"$tmp/evil/l/canary" && tar -C "$tmp/evil" -rf "$tmp/evil.tar" l/canary
must_fail sh -c "berth volume import a '$tmp/evil.tar'; test -e /run/e2e-outside/canary"
echo text >"$(berth volume mount a)/file"
berth volume export a | gzip >"$tmp/a.tgz"
mknod /dev/e2e-full c 1 7
assert_eq "to a device that is full" "$(exit_code berth volume export -o /dev/e2e-full a) $(stat -c %F /dev/e2e-full)" "125 character special file"
rm /dev/e2e-full
berth volume create c >/dev/null
berth volume import c "$tmp/a.tgz"
assert_eq "imported" "$(cat "$(berth volume mount c)/file")" text
assert_eq "pruned" "$(echo y | berth volume prune 2>/dev/null | paste -sd' ')" "a c"

say "what was written is there after kills"
quadlet e2e-ledger.container <<F
[Container]
Image=$IMAGE
Network=none
Volume=ledger:/l
Exec=sh -c 'touch /l/log; n=\$\$(tail -n 1 /l/log | cut -d. -f1); echo idle; while :; do n=\$\$((n+1)); echo \$\$n. >>/l/log; done'
[Service]
Restart=always
RestartSec=0
StartLimitIntervalSec=0
F
systemctl start e2e-ledger
log=$(berth volume mount ledger)/log
wait_for 30 test -e "$log"
grew() { [ "$(wc -l <"$log")" -gt "$1" ]; }
for i in 1 2 3 4; do
	wait_for 30 grew "$(wc -l <"$log")"
	wait_for 30 has_property e2e-ledger ActiveState active # the main process is the container's from then on
	kill -9 "$(property e2e-ledger MainPID)"
done
wait_for 30 grew "$(wc -l <"$log")"
systemctl stop e2e-ledger
assert_eq "the first line out of order" "$(awk '$0 != NR "." { print NR ": " $0; exit }' "$log")" ""
berth volume rm ledger >/dev/null

say "a configuration file restarts the unit that is to be restarted on it"
echo one >/run/e2e-conf
defer rm -f /run/e2e-conf
quadlet e2e-conf.container <<F
[Container]
Image=$IMAGE
Network=none
Volume=/run/e2e-conf:/conf:ro
Exec=sh -c 'echo "read \$\$(cat /conf)"; $IDLE'
[X-Berth]
RestartOn=/run/e2e-conf
F
systemctl start e2e-conf
wait_journal 30 'read one' -u e2e-conf
wait_for 10 has_property e2e-conf-restart.path ActiveState active
echo two >/run/e2e-conf
wait_journal 60 'read two' -u e2e-conf
wait_for 30 has_property e2e-conf ActiveState active
systemctl stop e2e-conf
wait_for 10 has_property e2e-conf-restart.path ActiveState inactive
rm -f /run/e2e-conf
rm -f /etc/containers/systemd/e2e-*.container
systemctl daemon-reload
systemctl reset-failed
rm -rf "${tmp:?}"/src "$tmp"/up "$tmp"/work "$tmp"/evil* "$tmp"/a.tgz "$tmp"/wait_for "$tmp"/link "$tmp"/system "$tmp"/of-tester /run/e2e-outside
: >"$tmp/wait_for"
leak_check
