package hosts

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
)

// nspawn is a machine in namespaces of this kernel.
//
// Its root is an overlay: the payload and the tree below, what the machine writes above. /var and /home are real
// directories, because container storage is itself an overlay and the kernel takes no overlay as an upper layer.
type nspawn struct {
	dir, tree string
	mailbox   *mailbox
	process   *process
}

// launchNspawn runs in namespaces of its own: the mounts go with the processes, and all processes go with its first one, for
// systemd-nspawn alone would leave the machine running when it is killed. $1 is the tree, $2 the name. The paths of the
// overlay are relative, for an absolute one may hold a colon. The shell stays, as systemd-nspawn must not be process 1.
const launchNspawn = `
set -eu
mount -t overlay overlay -o "lowerdir=payload:$1,upperdir=upper,workdir=work" root
mount --bind var root/var
mount --bind home root/home
mkdir -p /run/systemd
mount -t tmpfs tmpfs /run/systemd # so that systemd-nspawn leaves nothing of its own behind
systemd-nspawn --quiet --directory=root --machine="$2" --register=no --keep-unit --boot --console=pipe \
	--private-network --capability=all --system-call-filter=@known --resolv-conf=off --timezone=off --link-journal=no \
	--bind=/dev/fuse --bind=/dev/net/tun --bind="$PWD/agent:/run/berth-test"
exit
`

func newNspawn(base Base, dir string) (*nspawn, error) {
	n := &nspawn{dir: dir}
	var err error
	if n.tree, err = filepath.Rel(dir, base.Tree()); err != nil {
		return nil, err
	}
	for _, name := range []string{"upper", "work", "root"} {
		if err := os.Mkdir(filepath.Join(dir, name), 0o755); err != nil {
			return nil, err
		}
	}
	for _, name := range []string{"var", "home"} {
		if err := copyTree(filepath.Join(base.Tree(), name), filepath.Join(dir, name)); err != nil {
			return nil, err
		}
	}
	if from := filepath.Join(dir, "payload/var"); exists(from) {
		if err := copyTree(from+"/.", filepath.Join(dir, "var")); err != nil {
			return nil, err
		}
	}
	n.mailbox, err = newMailbox(filepath.Join(dir, "agent"))
	return n, err
}

func copyTree(from, to string) error {
	if out, err := exec.Command("cp", "-a", from, to).CombinedOutput(); err != nil {
		return fmt.Errorf("copy %s: %w\n%s", from, err, out)
	}
	return nil
}

func (n *nspawn) on(ctx context.Context) (io.ReadWriteCloser, error) {
	name := filepath.Base(n.dir)
	cgroups, err := machineCgroups(name)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(cgroups[0], 0o755); err != nil {
		return nil, fmt.Errorf("make the machine's cgroup: %w", err)
	}
	cgroup, err := os.Open(cgroups[0])
	if err != nil {
		return nil, err
	}
	defer cgroup.Close()
	console, err := os.OpenFile(filepath.Join(n.dir, "console.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, err
	}
	defer console.Close()
	cmd := exec.Command("unshare", "--mount", "--propagation", "private", "--pid", "--mount-proc", "--fork",
		"--kill-child", "sh", "-c", launchNspawn, "launch", n.tree, name)
	cmd.Dir = n.dir
	cmd.Env = append(os.Environ(),
		"SYSTEMD_NSPAWN_UNIFIED_HIERARCHY=1",
		"SYSTEMD_NSPAWN_API_VFS_WRITABLE=1", // container runtimes write to /proc/sys and /sys
		"SYSTEMD_SECCOMP=0",                 // a filter of nspawn's would be inherited by every container
	)
	cmd.Stdout, cmd.Stderr = console, console
	cmd.SysProcAttr = &syscall.SysProcAttr{UseCgroupFD: true, CgroupFD: int(cgroup.Fd())}
	if n.process, err = start(cmd); err != nil {
		return nil, err
	}
	return n.mailbox.accept(ctx, n.process)
}

// rebooted waits for systemd-nspawn to end, which it does with --keep-unit when the machine reboots, and starts it again.
func (n *nspawn) rebooted(ctx context.Context) (io.ReadWriteCloser, error) {
	if err := n.process.wait(ctx); err != nil {
		return nil, err
	}
	return n.on(ctx)
}

func (n *nspawn) cut() error {
	if n.process == nil {
		return nil
	}
	err := n.process.kill()
	return errors.Join(err, removeCgroups(filepath.Base(n.dir)))
}

func (n *nspawn) close() {
	n.mailbox.close()
}
