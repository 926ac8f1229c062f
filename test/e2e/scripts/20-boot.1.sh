# timeout: 8m
# hosts: nspawn vm
# then: reboot
# Enabled units run after a boot with nobody logged in, after another one, and after the power was cut.
. "$BERTH_E2E/berth.sh"

load_image
load_user_image
add_svc
svc_image
mkdir -p /etc/containers/systemd /home/tester/.config/containers/systemd
cat >/etc/containers/systemd/e2e-boot.container <<F
[Container]
Image=$IMAGE
Exec=sh -c '$SERVE'
PublishPort=18090:80
Volume=e2e-boot:/data
[Install]
WantedBy=multi-user.target
F
cat >/etc/containers/systemd/e2e-none.container <<F
[Container]
Image=$IMAGE
Network=none
Exec=sh -c '$IDLE'
[Install]
WantedBy=multi-user.target
F
cat >/etc/containers/systemd/e2e-svc.container <<F
[Container]
Image=$IMAGE
Network=none
Exec=sh -c '$IDLE'
[Service]
User=svc
MemoryMax=64M
[Install]
WantedBy=multi-user.target
F
cat >/home/tester/.config/containers/systemd/e2e-user.container <<F
[Container]
Image=$IMAGE
PublishPort=18091:80
Exec=sh -c '$SERVE'
[Install]
WantedBy=default.target
F
chown -R tester:tester /home/tester/.config

# Pods that were made by hand are there after a boot, and no unit starts them.
made_by_hand() {
	"$@" pod create --label kept=yes --userns auto:size=1000 e2e-hand >/dev/null
	"$@" create --name e2e-ready --pod e2e-hand --init-ctr always $IMAGE true >/dev/null
	"$@" run -d --name e2e-main --pod e2e-hand $IMAGE sh -c "echo before >/file; $IDLE" >/dev/null
}
if pods_too; then
	berth setup userns >/dev/null
	made_by_hand berth
	made_by_hand as_tester berth
fi
touch /run/e2e-volatile /var/lib/e2e-synced
sync
