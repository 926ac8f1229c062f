# hosts: nspawn
# torture-hosts: vm
# then: reboot
# What was written is there after a reboot, and after a power cut when it was synced.
. "$BERTH_E2E/lib.sh"

cat >/etc/systemd/system/e2e-boots.service <<'F'
[Service]
Type=oneshot
ExecStart=sh -c 'echo boot >>/var/lib/e2e-boots; sync /var/lib/e2e-boots'
[Install]
WantedBy=multi-user.target
F
systemctl enable e2e-boots.service
test -x /usr/bin/podman
