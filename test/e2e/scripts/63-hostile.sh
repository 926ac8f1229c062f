# hosts: nspawn
# timeout: 5m
# Images, volumes and words that are made to do harm: what lies outside of a container stays as it is, and the container gets
# nothing that it was not given. Each attack has its control, which shows that it would work on one who is careless.
. "$BERTH_E2E/berth.sh"

load_image
warm_up
B="berth run --rm --network none"
canary=/run/e2e-canary
mkdir -p $canary/d
echo canary >$canary/file
echo root:x:0:0:canary:/:/bin/sh >$canary/passwd
defer rm -rf $canary
seen() { find $canary -printf '%p %m %U:%G %s %T@ %l\n' | sort && cat $canary/file $canary/passwd; }
intact=$(seen)
assert_intact() { assert_eq "the canary after: $1" "$(seen)" "$intact"; }

# image NAME COMMANDS [OPTION…] makes an image of busybox's files after COMMANDS were run among them.
image() {
	local name=$1 commands=$2
	shift 2
	rm -rf "$tmp/root" && mkdir -p "$tmp/root/bin" "$tmp/root/etc" "$tmp/root/tmp"
	cp "$(command -v busybox)" "$tmp/root/bin/busybox"
	for applet in sh cat ls id grep; do ln -s busybox "$tmp/root/bin/$applet"; done
	echo root:x:0:0::/:/bin/sh >"$tmp/root/etc/passwd"
	(cd "$tmp/root" && eval "$commands")
	tar -C "$tmp/root" -c . | berth import --quiet "$@" - "localhost/e2e63-$name" >/dev/null
	defer berth rmi "localhost/e2e63-$name"
}
berth auto-update --dry-run >/dev/null
$B --cap-add sys_ptrace $IMAGE true # whose filter crun keeps
leak_snapshot

say "the files that berth makes for a container, where the image has links to the host"
image files "rm etc/passwd; ln -s $canary/passwd etc/passwd; ln -s $canary/passwd etc/group
	for f in hosts resolv.conf hostname; do ln -s $canary/link-\$f etc/\$f; done"
assert_match "hosts" "$($B -u 4321 localhost/e2e63-files sh -c 'cat /etc/hosts; cat /etc/passwd 2>&1 || true')" '127.0.0.1.*localhost'
assert_intact "links to files"
rm -f "$canary/link-hosts" && echo careless >"$tmp/root/etc/hosts" # the control: who follows the link gets out
assert_match "control" "$(seen)" 'link-hosts'
rm "$canary/link-hosts" && touch -r $canary/file "$tmp/stamp"
intact=$(seen)
image dirs "rm -r etc; ln -s $canary etc; ln -s $canary run; ln -s $canary w" --change 'WORKDIR /w/new/dir'
must_fail $B localhost/e2e63-dirs sh -c 'echo >/etc/x; echo >/run/x' >/dev/null
must_fail $B -w /bin localhost/e2e63-dirs sh -c 'echo >/etc/x; echo >/run/x' >/dev/null
assert_intact "links to directories, and a working directory"
assert_match "passwd that is a pipe" "$(image pipe 'rm etc/passwd; mkfifo etc/passwd'; must_fail timeout 20 $B localhost/e2e63-pipe id)" 'no regular file'
assert_match "a huge group file" "$(image huge 'truncate -s 2M etc/group'; must_fail timeout 20 $B localhost/e2e63-huge id)" 'larger than'

say "what is mounted, where the image has links"
image mounts "ln -s $canary v; ln -s proc p; mkdir proc" --change "VOLUME /v/d"
for words in "" "-v /usr:/v/d:ro" "--tmpfs /v/d" "--mount type=image,source=$IMAGE,destination=/v/d"; do
	$B $words localhost/e2e63-mounts sh -c 'echo evil >/v/d/x' >/dev/null 2>&1 || true
	assert_intact "a mount ($words) by a link"
done
assert_eq "mounts at the canary" "$(grep -c $canary /proc/self/mountinfo || true)" 0
assert_match "subpath of an image" "$(must_fail $B --mount "type=image,source=localhost/e2e63-mounts,destination=/m,subpath=v/d" $IMAGE ls /m)" 'has no v/d'
for words in "-v /srv:/p" "-v /srv:/p/self/attr" "--tmpfs /p/sys"; do
	assert_match "a mount ($words) over /proc" "$(must_fail $B --image-volume ignore $words localhost/e2e63-mounts true)" 'leads to /proc'
done
image own 'mkdir proc; ln -s proc p' --change 'VOLUME /p/self/attr'
assert_match "a volume of the image's over /proc" "$(must_fail $B localhost/e2e63-own true)" 'leads to /proc/self/attr'
berth volume create e2e63 >/dev/null
ln -s /proc "$(berth volume mount e2e63)/out"
assert_match "a link in a volume" "$(must_fail $B -v e2e63:/data -v /srv:/data/out/sys $IMAGE true)" 'leads to /proc/sys'
for place in proc dev sys; do
	image $place "rm -rf $place; ln -s tmp $place"
	assert_match "/$place is a link" "$(must_fail $B localhost/e2e63-$place true)" "the image's /$place is a link"
done

long=$(printf '/%0250d' {1..14})
$B -v /srv:"$long" $IMAGE grep -q /00000 /proc/self/mountinfo
assert_match "a name of 256 characters" "$(must_fail $B -v "/srv:/$(printf '%0256d' 1)" $IMAGE true)" 'name too long'
assert_eq "of long places systemd sees" "$(grep -c /00000 /proc/1/mountinfo || true)" 0
mkdir "$tmp/control" && mount --bind "$tmp/control" "$tmp/control"
assert_eq "control" "$(grep -c "$tmp/control" /proc/1/mountinfo)" 1
umount "$tmp/control" && rmdir "$tmp/control"

say "files of an image with names that engines read"
crun spec --bundle "$tmp"
hook='.hooks.poststart = [{"path": "/usr/bin/touch", "args": ["touch", "'$canary'/pwned"]}]'
jq "$hook | .root.path = \".\" | .process.terminal = false | .process.args = [\"/bin/busybox\", \"true\"]" "$tmp/config.json" >"$tmp/hooked.json"
image names "cp $tmp/hooked.json config.json; cp config.json .krun_config.json; mkdir -p etc/containers/systemd; cp $tmp/hooked.json etc/containers/systemd/e2e63i.container"
$B -w / localhost/e2e63-names cat /config.json >/dev/null
cp "$tmp/hooked.json" "$(berth volume mount e2e63)/config.json"
$B -v e2e63:/v -w /v localhost/e2e63-names ls >/dev/null
assert_intact "a configuration in the image"
crun --root "$tmp/crun" --cgroup-manager disabled run --bundle "$tmp/root" e2e63-control # who takes the image for the bundle
assert_match "control" "$(seen)" pwned
rm -r "$canary/pwned" "$tmp"/{config,hooked}.json "$tmp/crun"
intact=$(seen)

say "what others may guess: names in /tmp and /var/tmp"
guesses() {
	strace -qq -f --seccomp-bpf -e trace=open,openat,mkdir,mkdirat -o "$tmp/trace" "$@" >/dev/null
	sed -nE 's|.*"((/var)?/tmp/[^/"]+).*|\1|p' "$tmp/trace" | sort -u
}
life() { for words in "load --quiet -i $IMAGES/busybox.oci.tar" "run --rm --network none $IMAGE true"; do guesses berth $words; done | sort; }
first=$(life)
assert_match "names" "$first" berth-image
assert_eq "the same names twice" "$(comm -12 <(echo "$first") <(life))" ""
assert_eq "control" "$(for words in mkdir cp\ /dev/null; do guesses $words /tmp/e2e63; done | uniq -d)" /tmp/e2e63
rm -r "$tmp/trace" /tmp/e2e63

say "set-user-ID programs and devices in a volume"
volume=$(berth volume mount e2e63)
install -m 4755 /usr/bin/cat "$volume/cat"
mknod -m 666 "$volume/zero" c 1 5
tar -C "$volume" -c . | { berth volume create e2e63b >/dev/null && berth volume import e2e63b -; } # as an archive brings them
try() { $B -u 1000 -v "$1" -v /usr:/usr:ro -v /lib:/lib:ro -v /lib64:/lib64:ro $IMAGE sh -c '/v/cat /proc/self/status | grep Uid; head -c 3 /v/zero | wc -c' 2>/dev/null | paste -sd' '; }
for v in e2e63 e2e63b; do
	assert_match "as it is ($v)" "$(try $v:/v)" $'^Uid:\t1000\t1000\t1000\t1000 0$'
	assert_match "control ($v)" "$(try $v:/v:suid,dev)" $'^Uid:\t1000\t0\t0\t0 3$'
done
berth volume rm e2e63 e2e63b >/dev/null

say "what the container sees of the host"
image env true --change 'LABEL io.containers.autoupdate=registry' --change 'LABEL PODMAN_SYSTEMD_UNIT=berth-keeper.service' \
	--change 'LABEL run.oci.keep_original_groups=1' --change 'LABEL org.systemd.property.ExecStopPost=/bin/touch'
assert_no_match "the host's variables" "$(SECRET63=canary63 $B localhost/e2e63-env sh -c set)" canary63
assert_match "control" "$(SECRET63=canary63 $B --env SECRET63 localhost/e2e63-env sh -c set)" canary63
exec 17<$canary/passwd
assert_eq "open files" "$($B $IMAGE sh -c 'for f in /proc/self/fd/*; do [ "$(readlink $f)" = "" ] || echo ${f##*/}; done' | paste -sd' ')" "0 1 2"
assert_match "control" "$(ls /proc/self/fd | paste -sd' ')" 17
exec 17<&-
masked='n=0; for f in /proc/keys /proc/timer_list /proc/interrupts; do [ -z "$(head -c 4 $f 2>/dev/null)" ] || n=$((n + 1)); done; echo $n'
assert_eq "what is masked" "$($B $IMAGE sh -c "$masked")" 0
assert_eq "control" "$($B --security-opt unmask=ALL $IMAGE sh -c "$masked")" 3
assert_match "a sysctl of the host" "$($B $IMAGE sh -c '(echo x >/proc/sys/kernel/core_pattern) 2>&1 || true')" 'Read-only'

assert_eq "router advertisements on a bridge" "$(berth run --rm --network bridge $IMAGE cat /proc/sys/net/ipv6/conf/eth0/accept_ra)" 0
assert_eq "control: what the kernel begins with" "$($B $IMAGE cat /proc/sys/net/ipv6/conf/default/accept_ra)" 1

say "the runtime's program, and one that joins a container, held by /proc/PID/exe"
programs() { sha256sum "$(command -v crun)" "$(command -v berth)" /usr/libexec/berth/berth-*; }
before=$(programs)
cat >"$tmp/hold" <<'F'
cd /proc
while :; do
	for p in [0-9]*; do
		[ -e $p/exe ] && ! [ $p/exe -ef /bin/busybox ] && (
			exec 3<$p/exe && readlink /proc/self/fd/3 >>/seen
			while [ -e $p ] && ! [ $p/exe -ef /bin/busybox ]; do :; done
			echo evil >>/proc/self/fd/3 && echo written >>/seen
		)
	done 2>>/errors
done
F
cp "$(command -v nsenter)" "$(command -v busybox)" "$tmp"
berth run -d --name e2e63 --network none --cap-add sys_ptrace -v "$tmp/hold:/hold:ro" $IMAGE sh /hold >/dev/null # without, crun cannot be held at all
held() { berth exec e2e63 grep -q "$1" /seen; }
wait_for 30 held /crun
wait_for 30 eval 'berth exec e2e63 true; berth exec e2e63 grep -q Read-only /errors'
assert_eq "programs" "$(programs)" "$before"
joined() { "$tmp/nsenter" -t "$(berth inspect e2e63 | jq '.[0].State.Pid')" -p "$tmp/busybox" true || true; held written; }
wait_for 30 joined
assert_match "control" "$(tail -qc 5 "$tmp"/{nsenter,busybox} | tr -d '\0')" evil
assert_eq "programs" "$(programs)" "$before"
berth rm -f -t 0 e2e63 >/dev/null
rm "$tmp"/{hold,nsenter,busybox}

say "words of labels and variables stay words"
evil=$'x\nExecStartPre=/bin/touch '$canary/pwned
berth run -d --name e2e63 --network none --label "l=$evil" --env "E=$evil" localhost/e2e63-env sh -c "$IDLE" >/dev/null
unit=$(berth inspect e2e63 | jq -r '.[0].Unit // empty')
assert_match "unit" "${unit:=e2e63.service}" '\.service$'
assert_eq "commands before the start" "$(property "$unit" ExecStartPre)" ""
assert_eq "variable" "$(berth exec e2e63 sh -c 'echo "$E"')" "$evil"
assert_eq "annotations" "$(jq '.annotations // {} | keys | map(select(test("systemd|oci|autoupdate|PODMAN"))) | length' /run/berth/"$(berth inspect e2e63 | jq -r '.[0].Id // .[0].ID')"/config.json)" 0
assert_no_match "units to be updated" "$(berth auto-update --dry-run)" 'e2e63|keeper'
berth rm -f e2e63 >/dev/null
quadlet e2e63q.container <<F
[Container]
Image=$IMAGE
Network=none
PodmanArgs="--label=l=x\nExecStartPre=/bin/touch $canary/pwned"
Environment="E=x\nExecStartPre=/bin/touch $canary/pwned"
Exec=sh -c '$IDLE'
F
systemctl start e2e63q
assert_eq "commands before the start" "$(property e2e63q ExecStartPre)" ""

say "a container that tells systemd when it is ready, and that another process is its own"
systemd-run --quiet --unit=e2e63-bystander sleep 100000
bystander=$(property e2e63-bystander MainPID)
quadlet e2e63n.container <<F
[Container]
Image=$IMAGE
Network=none
Notify=yes
Volume=/usr:/usr:ro
Volume=/lib:/lib:ro
Volume=/lib64:/lib64:ro
Exec=sh -c 'for m in MAINPID=$bystander READY=1 STATUS=fed; do printf \$\$m | socat - UNIX-SENDTO:/run/notify/notify.sock; done; \
	while sleep 0.5; do printf WATCHDOG=1 | socat - UNIX-SENDTO:/run/notify/notify.sock; done'
[Service]
WatchdogSec=2
F
sed 's/while.*/exec sleep 100000'\''/' /etc/containers/systemd/e2e63n.container | quadlet e2e63w.container # the control, which is not fed
systemctl start e2e63n
systemctl start e2e63w
systemctl kill --signal=KILL berth-keeper
wait_for 20 has_property e2e63w Result watchdog
assert_eq "the one that is fed" "$(property e2e63n StatusText) $(property e2e63n ActiveState)" "fed active"
main=$(property e2e63n MainPID)
assert_init e2e63n "$main"
( # the control: systemd takes it
	echo $BASHPID >"/sys/fs/cgroup$(sed -n 's/^0:://p' "/proc/$main/cgroup")/cgroup.procs"
	{ # the sender stays until it is heard: systemd looks up by its PID what unit it is of
		printf MAINPID=$bystander
		wait_for 20 has_property e2e63n MainPID "$bystander"
	} | socat -u - UNIX-SENDTO:/run/systemd/notify
)
systemctl kill --kill-whom=all --signal=KILL e2e63n e2e63w
systemctl stop e2e63n e2e63w e2e63-bystander
rm -f /etc/containers/systemd/e2e63[nw].container

say "what others may write to, and what a container on the machine's network may speak to"
open_to_all() { find /run/berth /var/lib/containers/storage -xdev -path '*/diff' -prune -o ! -type l -perm /o+w ! -perm -1000 -print; }
assert_eq "files of berth's that others may write to" "$(open_to_all)" ""
install -m 666 /dev/null /run/berth/e2e63-control
assert_eq "control" "$(open_to_all)" /run/berth/e2e63-control
rm /run/berth/e2e63-control
berth run -d --name e2e63-kept $IMAGE sleep 100000 >/dev/null
settings=/etc/containers/containers.conf.d/e2e63.conf
defer rm -f $settings
install -D -m 666 /dev/null $settings
assert_match "settings that others may write to" "$(must_fail $B $IMAGE true)" "$settings can be written to by others"
assert_match "a removal all the same" "$(berth rm -f e2e63-kept 2>&1)" "^$settings can be written to by others"
assert_eq "what is left" "$(berth ps -aq --filter name=e2e63-kept)" ""
chmod 644 $settings
$B $IMAGE true # the control
rm $settings
reachable() { berth run --rm --network host $IMAGE grep -Eo '@.*(berth|podman|container).*' /proc/net/unix || true; }
assert_eq "sockets without a file" "$(reachable)" ""
systemd-run --quiet --unit=e2e63-listener socat ABSTRACT-LISTEN:berth-control,fork /dev/null
abstract() { grep -q @berth-control /proc/net/unix; }
wait_for 20 abstract
assert_eq "control" "$(reachable)" @berth-control
systemctl stop e2e63-listener
systemctl stop e2e63q
assert_intact "lines in labels and variables"
printf '[Service]\nType=oneshot\nEnvironment=E=%s\nExecStart=/bin/true\n' "$evil" >/run/systemd/system/e2e63c.service # the control: a careless text
systemctl daemon-reload
assert_match "control" "$(property e2e63c ExecStartPre)" pwned
rm /run/systemd/system/e2e63c.service
rm -f /etc/containers/systemd/e2e63q.container
systemctl daemon-reload
systemctl reset-failed
berth rmi -f $(berth images --format '{{.Repository}}' | grep e2e63-) >/dev/null
deferred=("${deferred[0]}")
rm -rf "$tmp/root" "$tmp/stamp" && : >"$tmp/wait_for"
wait_for 20 no_scope
leak_check
