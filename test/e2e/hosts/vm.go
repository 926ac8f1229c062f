package hosts

import (
	"context"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
)

// vm is a virtual machine with a kernel of its own. Its disk is a layer over the base's; the payload travels in the initrd
// of the first boot.
type vm struct {
	base    Base
	dir     string
	initrd  string // of the next boot
	mailbox *mailbox
	process *process
}

// launchVM runs the tree's QEMU. $1 is the base's directory, $2 the machine's, $3 the initrd's name. $4 the accelerator.
// Writes reach the host's page cache at once and never wait for a disk, which outlives the emulator: a power cut
// loses what the guest had not written, no more.
const launchVM = `
set -eu
tree=$1/tree
mount --bind "$1" "$tree/srv"
mount --bind "$2" "$tree/mnt"
mount --rbind /dev "$tree/dev"
[ -e "$2/disk.qcow2" ] ||
	chroot "$tree" qemu-img create -q -f qcow2 -F raw -b /srv/disk.img /mnt/disk.qcow2
exec chroot "$tree" qemu-system-x86_64 -M q35 -accel "$4" -smp 2 -m 4096 -cpu max \
	-nodefaults -nic none -display none -serial file:/mnt/console.log -no-reboot \
	-kernel /srv/vmlinuz -initrd "/mnt/$3" \
	-append "console=ttyS0 quiet loglevel=4 mitigations=off panic=-1 systemd.show_status=0 net.ifnames=0" \
	-drive file=/mnt/disk.qcow2,if=virtio,format=qcow2,cache=unsafe,discard=unmap \
	-device virtio-rng-pci -device virtio-serial-pci \
	-chardev socket,id=agent,path=/mnt/agent/agent -device virtserialport,chardev=agent,name=berth.agent
`

func newVM(base Base, dir string) (*vm, error) {
	v := &vm{base: base, dir: dir, initrd: "initrd-first"}
	payload := filepath.Join(dir, "payload")
	if err := writeInitrd(filepath.Join(dir, "initrd-first"), base.Tree(), payload); err != nil {
		return nil, err
	}
	if err := writeInitrd(filepath.Join(dir, "initrd"), base.Tree(), ""); err != nil {
		return nil, err
	}
	var err error
	v.mailbox, err = newMailbox(filepath.Join(dir, "agent"))
	return v, err
}

func (v *vm) on(ctx context.Context) (io.ReadWriteCloser, error) {
	log, err := os.OpenFile(filepath.Join(v.dir, "console.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	cmd := exec.Command("unshare", "--mount", "--propagation", "private", "sh", "-c", launchVM, "launch",
		v.base.Dir, v.dir, v.initrd, accelerator())
	cmd.Stdout, cmd.Stderr = log, log
	if v.process, err = start(cmd); err != nil {
		return nil, err
	}
	v.initrd = "initrd"
	return v.mailbox.accept(ctx, v.process)
}

// rebooted waits for the emulator to end, which it does instead of a reset, and starts it again.
func (v *vm) rebooted(ctx context.Context) (io.ReadWriteCloser, error) {
	if err := v.process.wait(ctx); err != nil {
		return nil, err
	}
	return v.on(ctx)
}

func (v *vm) cut() error {
	if v.process == nil {
		return nil
	}
	return v.process.kill()
}

func (v *vm) close() {
	v.mailbox.close()
}

// accelerator is KVM where the processor offers virtualisation. There are hosts with a /dev/kvm and without it, made for
// guests with a kernel of their own: an ordinary kernel dies on those.
func accelerator() string {
	info, err := os.ReadFile("/proc/cpuinfo")
	if err != nil || !regexp.MustCompile(`(?m)^flags\s*:.*\b(vmx|svm)\b`).Match(info) {
		return "tcg,thread=multi"
	}
	kvm, err := os.OpenFile("/dev/kvm", os.O_RDWR, 0)
	if err != nil {
		return "tcg,thread=multi"
	}
	kvm.Close()
	return "kvm"
}
