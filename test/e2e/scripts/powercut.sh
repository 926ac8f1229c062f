# What the machine does while the writes to its disk /dev/vdc are recorded; see test/powercut. TestPowerCuts runs it.
. "$BERTH_E2E/berth.sh"

disk=/dev/vdc1 marks=/dev/vdc2 at=/mnt/recorded
mark() { powercut mark $marks "$@"; }

# What is not synced comes to the disk when it will. Without auto_da_alloc, the kernel helps none of those who rename a file that
# is not on the disk yet.
declare -A options=([ext4]=noauto_da_alloc,commit=1 [btrfs]=commit=1 [xfs]=defaults)
type=$(blkid -o value -s TYPE $disk)
mkdir -p $at
mount -t "$type" -o "${options[$type]}" $disk $at
mkdir $at/containers $at/etc
[ ! -d /etc/containers ] || cp -a /etc/containers/. $at/etc
mkdir -p /var/lib/containers /etc/containers /etc/containers/systemd
mount --bind $at/containers /var/lib/containers
mount --bind $at/etc /etc/containers
berth images >/dev/null # the store is there
sync -f $at

say "an image"
mark maybe image $IMAGE
load_image
mark have image $IMAGE
berth tag $IMAGE localhost/other:1
mark have image localhost/other:1

say "volumes, networks, secrets, containers: two of each, one goes again"
for i in 1 2; do
	berth volume create made$i >/dev/null
	mark have volume made$i
	berth network create made$i >/dev/null
	mark have network made$i
	printf 'text of made%s' $i | berth secret create made$i - >/dev/null
	mark have secret made$i
	berth create --name made$i --network none $IMAGE true >/dev/null
	mark have container made$i
done
for kind in container volume network secret; do
	mark maybe $kind made1
	berth $kind rm made1 >/dev/null
done

say "a unit writes a ledger into a volume, and fills another from the image; it is stopped and started"
quadlet powercut.container <<F
[Container]
Image=$IMAGE
Network=none
Volume=ledger:/l
Volume=filled:/etc
Volume=/usr/libexec/berth-test/powercut:/powercut:ro
AddDevice=$marks
Exec=/powercut ledger $marks ledger /l/ledger 1000
F
ledger=$at/containers/storage/volumes/ledger/_data/ledger
has() { [ "$(wc -l <$ledger)" -ge "$1" ]; }
for n in 10 20; do
	systemctl start powercut
	mark have volume ledger
	mark have file containers/storage/volumes/filled/_data/passwd
	wait_for 60 has $n
	systemctl stop powercut
done

say "a container is started and stopped, and an image goes"
berth start made2 >/dev/null
mark maybe container made2
berth rm -f made2 >/dev/null
mark maybe image localhost/other:1
mark maybe image $IMAGE
berth rmi localhost/other:1 $IMAGE >/dev/null

say "the controls"
powercut ledger -unsynced $marks control $at/control 10
powercut torn $at 4
sync -f $at
