# hosts: nspawn vm
# timeout: 4m
# A .volume unit makes a volume, the first container fills it, and it is removed when nobody has it.
. "$BERTH_E2E/berth.sh"

load_image
quadlet e2e-vol.volume <<F
[Volume]
VolumeName=e2e-vol
Label=app=e2e
F
quadlet e2e-voluser.container <<F
[Container]
Image=$IMAGE
Network=none
Volume=e2e-vol.volume:/etc
Exec=sh -c '$IDLE'
F
systemctl start e2e-voluser
assert_eq "the volume's unit" "$(property e2e-vol-volume ActiveState)" active
assert_eq "volumes" "$(berth volume ls -q)" e2e-vol
path=$(berth volume inspect e2e-vol | sed -n 's/.*"Mountpoint": "\(.*\)".*/\1/p')
assert_match "filled from the image" "$(cat "$path/passwd")" '^root:'
assert_match "label" "$(berth volume inspect e2e-vol)" '"app": "e2e"'
assert_match "in use" "$(must_fail berth volume rm e2e-vol)" 'used by systemd-e2e-voluser'
assert_eq "exit status" "$(exit_code berth volume rm e2e-vol) $(exit_code berth volume rm e2e-none)" "2 1"
berth run -d --name e2e-forced --network none -v e2e-forced:/d $IMAGE sh -c "$IDLE" >/dev/null
assert_eq "by force" "$(berth volume rm -f -t 0 e2e-forced e2e-none) $(exit_code berth container exists e2e-forced)" "e2e-forced 1"
systemctl stop e2e-voluser e2e-vol-volume
systemctl start e2e-vol-volume # --ignore: it is there
berth volume rm e2e-vol >/dev/null
assert_eq "exists" "$(exit_code berth volume exists e2e-vol)" 1
test ! -e "$path"

say "the same for a user"
load_user_image
as_tester berth volume create e2e-uvol >/dev/null
as_tester berth run --rm --network none -v e2e-uvol:/etc --user 1234 $IMAGE cat /etc/passwd >/dev/null
assert_eq "user's volumes" "$(as_tester berth volume ls -q)" e2e-uvol
as_tester berth volume rm e2e-uvol >/dev/null
assert_eq "user's volumes" "$(as_tester berth volume ls -q)" ""
