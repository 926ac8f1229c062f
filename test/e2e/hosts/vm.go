package hosts

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// vm is a virtual machine with a kernel of its own. Its disk is a layer over the base's.
type vm struct {
	base    Base
	dir     string
	record  string   // where the recorded disk lies, see Options; "" for none
	kernel  string   // words for the kernel's command line
	first   []string // QEMU's arguments for the first start only
	mailbox *mailbox
	process *process
}

// launchVM runs the tree's QEMU. $1 is the base's directory, $2 the machine's, $3 the accelerator, the rest are further
// arguments. Writes reach the host's page cache at once and never wait for a disk, which outlives the emulator: a power
// cut loses what the guest had not written, no more.
const launchVM = `
set -eu
tree=$1/tree
mount --bind "$1" "$tree/srv"
mount --bind "$2" "$tree/mnt"
mount --rbind /dev "$tree/dev"
accel=$3
shift 3
[ -e "$tree/mnt/disk.qcow2" ] ||
	chroot "$tree" qemu-img create -q -f qcow2 -F raw -b /srv/disk.img /mnt/disk.qcow2
exec chroot "$tree" qemu-system-x86_64 -M q35 -accel "$accel" -smp 2 -m 4096 -cpu max \
	-nodefaults -nic none -display none -serial file:/mnt/console.log -no-reboot \
	-monitor unix:/mnt/monitor,server=on,wait=off \
	-kernel /srv/vmlinuz -initrd /mnt/initrd \
	-append "console=ttyS0 quiet loglevel=4 mitigations=off panic=-1 systemd.show_status=0 net.ifnames=0 $BERTH_KERNEL" \
	-drive file=/mnt/disk.qcow2,if=virtio,format=qcow2,cache=unsafe,discard=unmap \
	-drive file=/mnt/payload.raw,if=virtio,format=raw,readonly=on \
	-device virtio-rng-pci -device virtio-serial-pci \
	-chardev socket,id=agent,path=/mnt/agent/agent -device virtserialport,chardev=agent,name=berth.agent "$@"
`

// payloadSize is the size of the disk that carries the payload in, in bytes. It is the same for all machines, for one that
// wakes up looks at the disk of another; the file is sparse.
const payloadSize = 1 << 30

// showRecorded comes before launchVM on a machine with a recorded disk.
const showRecorded = `mount --bind "$BERTH_RECORD" "$1/tree/media" || exit 1
`

// recordedDisk are QEMU's arguments for the third disk. The log is begun anew at each start. The guest's flushes are in it, for
// its order is what matters; that they go no further than the host's page cache saves time.
var recordedDisk = []string{
	"-blockdev", "driver=file,node-name=recorded-file,filename=/media/disk.img,cache.no-flush=on",
	"-blockdev", "driver=file,node-name=recorded-log,filename=/media/writes.log,cache.no-flush=on",
	"-blockdev", "driver=blklogwrites,node-name=recorded,file=recorded-file,log=recorded-log",
	"-device", "virtio-blk-pci,drive=recorded,addr=0x1e", // after the other disks
}

// newVM makes a machine with the payload, a directory, on its second disk. The first boot copies the payload to the first disk.
func newVM(base Base, dir, payload string, o Options) (*vm, error) {
	v := &vm{base: base, dir: dir, record: o.Record, kernel: o.Kernel}
	if err := writeInitrd(filepath.Join(dir, "initrd"), base.Tree()); err != nil {
		return nil, err
	}
	if err := writePayloadDisk(filepath.Join(dir, "payload.raw"), payload); err != nil {
		return nil, fmt.Errorf("write the payload's disk: %w", err)
	}
	var err error
	v.mailbox, err = newMailbox(filepath.Join(dir, "agent"))
	return v, err
}

// writePayloadDisk writes a disk that holds a tar archive and zeros.
func writePayloadDisk(to, payload string) error {
	out, err := exec.Command("tar", "--create", "--file="+to, "--directory="+payload, "--owner=0", "--group=0", ".").CombinedOutput()
	if err != nil {
		return fmt.Errorf("tar: %w\n%s", err, out)
	}
	info, err := os.Stat(to)
	if err != nil {
		return err
	}
	if info.Size() > payloadSize {
		return fmt.Errorf("%d bytes do not fit on %d", info.Size(), payloadSize)
	}
	return os.Truncate(to, payloadSize)
}

func (v *vm) on(ctx context.Context) (io.ReadWriteCloser, error) {
	log, err := os.OpenFile(filepath.Join(v.dir, "console.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	launch, more := launchVM, v.first
	if v.record != "" {
		launch, more = showRecorded+launchVM, slices.Concat(recordedDisk, v.first)
		if err := os.WriteFile(filepath.Join(v.record, "writes.log"), nil, 0o600); err != nil {
			return nil, err
		}
	}
	args := []string{"--mount", "--propagation", "private", "sh", "-c", launch, "launch", v.base.Dir, v.dir, accelerator()}
	cmd := exec.Command("unshare", append(args, more...)...)
	cmd.Env = append(os.Environ(), "BERTH_RECORD="+v.record, "BERTH_KERNEL="+v.kernel)
	cmd.Stdout, cmd.Stderr = log, log
	if v.process, err = start(cmd); err != nil {
		return nil, err
	}
	v.first = nil
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
	if v.mailbox != nil {
		v.mailbox.close()
	}
}

// snapshot stores the running machine in its disk under a name, and ends it.
func (v *vm) snapshot(ctx context.Context, name string) error {
	dir, err := os.Open(v.dir)
	if err != nil {
		return err
	}
	defer dir.Close()
	monitor, err := net.Dial("unix", fmt.Sprintf("/proc/self/fd/%d/monitor", dir.Fd()))
	if err != nil {
		return err
	}
	defer monitor.Close()
	stop := context.AfterFunc(ctx, func() { monitor.Close() })
	defer stop()
	if _, err := fmt.Fprintf(monitor, "savevm %s\nquit\n", name); err != nil {
		return err
	}
	answer, err := io.ReadAll(monitor)
	if err := errors.Join(err, v.process.wait(ctx)); err != nil {
		return err
	}
	if strings.Contains(string(answer), "Error") {
		return fmt.Errorf("savevm: %s", answer)
	}
	return nil
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
