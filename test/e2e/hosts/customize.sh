#!/bin/sh
# Finishes the root tree of the test machines. mmdebstrap calls it with the tree's path, before it cleans up.
set -eu
tree=$1

# The kernel of the virtual machine: unpacked, not installed, for installing it would build an initrd that nobody uses.
kernel=$(APT_CONFIG=$MMDEBSTRAP_APT_CONFIG apt-cache depends --no-suggests --no-recommends linux-image-cloud-amd64 |
	sed -n 's/^ *Depends: \(linux-image-[0-9].*\)$/\1/p' | head -n 1)
mkdir "$tree/kernel.tmp"
(cd "$tree/kernel.tmp" && APT_CONFIG=$MMDEBSTRAP_APT_CONFIG apt-get -qq -o APT::Sandbox::User=root download "$kernel")
dpkg-deb -x "$tree"/kernel.tmp/*.deb "$tree/kernel.tmp/root"
cp -a "$tree"/kernel.tmp/root/boot/vmlinuz-* "$tree/boot/"
cp -a "$tree"/kernel.tmp/root/usr/lib/modules "$tree/usr/lib/" 2>/dev/null ||
	cp -a "$tree"/kernel.tmp/root/lib/modules "$tree/usr/lib/"
rm -rf "$tree/kernel.tmp"
chroot "$tree" depmod "$(ls "$tree/usr/lib/modules")"

# Who: root without a password, and a user whose manager starts at boot.
chroot "$tree" passwd -d root >/dev/null
chroot "$tree" useradd --create-home --uid 1000 --shell /bin/bash tester
chroot "$tree" passwd -d tester >/dev/null
echo tester:100000:65536 >"$tree/etc/subuid"
echo tester:100000:65536 >"$tree/etc/subgid"
mkdir -p "$tree/var/lib/systemd/linger" "$tree/var/log/journal"
touch "$tree/var/lib/systemd/linger/tester"

# A machine that has been set up: no first-boot questions, no presets that enable services again.
echo berth >"$tree/etc/hostname"
printf '127.0.0.1 localhost\n::1 localhost\n127.0.1.1 berth\n' >"$tree/etc/hosts"
echo '# no name server: the machine has no network' >"$tree/etc/resolv.conf"
systemd-machine-id-setup --root="$tree" >/dev/null 2>&1
rm -rf "$tree"/etc/apt/sources.list.d/* "$tree"/etc/apt/apt.conf.d/99mmdebstrap "$tree"/usr/share/man/* \
	"$tree"/usr/share/locale/*

# Done now, not at every first boot: AppArmor profiles of programs that are not here (8 s in an emulated machine), the
# linker's cache, the journal's catalogue.
for profile in "$tree"/etc/apparmor.d/*; do
	case ${profile##*/} in
	abi | abstractions | tunables | local | disable | force-complain) ;;
	buildah | busybox | crun | runc | podman | rootlesskit | unix-chkpwd | usr.bin.passt | usr.bin.pasta) ;;
	*) rm -f "$profile" ;;
	esac
done
chroot "$tree" ldconfig
journalctl --root="$tree" --update-catalog
touch -r "$tree/usr" "$tree/etc/.updated" "$tree/var/.updated"

# Nothing runs that a test did not start.
systemctl --root="$tree" -q disable nginx.service redis-server.service docker-registry.service \
	netavark-dhcp-proxy.service
[ ! -e "$tree/usr/sbin/dockerd" ] || systemctl --root="$tree" -q disable docker.service docker.socket containerd.service
systemctl --root="$tree" -q mask apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer \
	e2scrub_reap.service fstrim.timer getty@tty1.service serial-getty@ttyS0.service console-getty.service \
	podman-auto-update.timer podman-restart.service podman-clean-transient.service systemd-tmpfiles-clean.timer
ln -s /dev/null "$tree/etc/systemd/user/systemd-tmpfiles-clean.timer"

# Podman is here to be measured beside berth; its generator would take the same files. A benchmark removes the links.
for manager in system user; do
	mkdir -p "$tree/etc/systemd/$manager-generators"
	ln -s /dev/null "$tree/etc/systemd/$manager-generators/podman-$manager-generator"
done
