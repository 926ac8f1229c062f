package rootless

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/berth-pods/berth/engine/proc"
	"github.com/berth-pods/berth/engine/rootless/gate"
	"github.com/berth-pods/berth/engine/userns"
)

const (
	// enteredVariable says that this very process was started by the manager, outside of the namespace that it is in.
	enteredVariable = "BERTH_USERNS_ENTERED"
	// ReadyVariable tells a holder the file descriptor that it closes when it is ready, or writes its complaint to.
	ReadyVariable = "BERTH_HOLDER_READY"
)

// Entered reports whether Enter has put this process into the user's namespace: the manager knows it, not its parent.
func Entered() bool { return os.Getenv(enteredVariable) != "" }

// Enter replaces this process by the same program, with the same arguments, as root of the user namespace that the user's
// process was set up in, in a mount namespace of its own. A new user namespace would not do: it is a sibling of that one
// and has no rights over it, whereas the user has all rights over both (user_namespaces(7)). On success it does not return.
func Enter(process proc.ID) error {
	fd, err := namespaceOf(process)
	if err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	// nsenter(1), for only a process of one thread may change its user namespace (setns(2)), and Go's have several.
	path, err := exec.LookPath("nsenter")
	if err != nil {
		return errors.New("nsenter is not there; install the package util-linux")
	}
	args := []string{
		"nsenter", "--preserve-credentials", fmt.Sprintf("--user=/proc/self/fd/%d", fd), "--",
		"unshare", "--mount", "--propagation", "unchanged", "--", self,
	}
	env := append(configured(), enteredVariable+"=1")
	return fmt.Errorf("nsenter: %w", syscall.Exec(path, append(args, os.Args[1:]...), env))
}

// namespaceOf opens the user namespace that the process was set up in: a file that stays open over an exec.
func namespaceOf(process proc.ID) (int, error) {
	f, err := userns.Of(process.PID)
	if err != nil {
		return -1, err
	}
	defer f.Close()
	if err := process.Check(); err != nil { // the PID may have gone to another process before the file was opened
		return -1, err
	}
	// A number that is not between those that the caller hands on.
	return unix.FcntlInt(f.Fd(), unix.F_DUPFD, 100)
}

// Holder is a process that holds namespaces: this program with other arguments.
type Holder struct {
	Name       string // shown as its program's
	Namespaces uintptr
	Args       []string
	Stderr     *os.File // nil for none
}

// Hold starts the holder in new namespaces, and returns when it says that it is ready. For a user a user namespace is among
// them. It stays when the caller ends.
func Hold(ctx context.Context, run proc.Runner, h Holder) (proc.ID, error) {
	ready, theirs, err := os.Pipe()
	if err != nil {
		return proc.ID{}, err
	}
	defer ready.Close()
	cmd := exec.Command("/proc/self/exe", h.Args...)
	cmd.Args[0] = h.Name
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: h.Namespaces, Setsid: true}
	if h.Stderr != nil {
		cmd.Stderr = h.Stderr
	}
	cmd.Dir, cmd.ExtraFiles, cmd.Env = "/", []*os.File{theirs}, append(os.Environ(), ReadyVariable+"=3")
	if !Needed() {
		err = cmd.Start()
	} else {
		err = startMapped(ctx, run, cmd)
	}
	theirs.Close()
	if err != nil {
		return proc.ID{}, err
	}
	said, err := io.ReadAll(ready)
	if err != nil {
		return proc.ID{}, err
	}
	if len(said) > 0 {
		return proc.ID{}, errors.Join(errors.New(strings.TrimSpace(string(said))), ignoreExit(cmd.Wait()))
	}
	id, err := proc.Identify(cmd.Process.Pid)
	return id, errors.Join(err, cmd.Process.Release())
}

// startMapped starts the command in a user namespace too, and lets it go on when the user's IDs are mapped there.
func startMapped(ctx context.Context, run proc.Runner, cmd *exec.Cmd) error {
	maps, err := ownMaps()
	if err != nil {
		return err
	}
	r, w, err := os.Pipe()
	if err != nil {
		return err
	}
	defer w.Close()
	defer r.Close()
	cmd.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS
	cmd.ExtraFiles = append(cmd.ExtraFiles, r)
	cmd.Env = append(cmd.Env, gate.Variable+"="+strconv.Itoa(2+len(cmd.ExtraFiles)), configuredVariable+"=done",
		fmt.Sprintf("%s=%d", uidVariable, os.Getuid()), fmt.Sprintf("%s=%d", gidVariable, os.Getgid()))
	if err := cmd.Start(); err != nil {
		return noUserNamespace(&Machine{Root: "/"}, err)
	}
	if err := writeMaps(ctx, run, cmd.Process.Pid, maps); err != nil {
		w.Close() // the child sees that nothing was written, and ends
		return errors.Join(err, ignoreExit(cmd.Wait()))
	}
	_, err = io.WriteString(w, gate.Open)
	return err
}
