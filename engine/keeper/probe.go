package keeper

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"

	"golang.org/x/sys/unix"
)

const cgroupMount = "/sys/fs/cgroup"

// Errand does what the keeper has started this program again for, and ends:
//
//	--probe CGROUP RUNTIME WORD…   become the runtime, in the container's cgroup
//	--status CGROUP SOCKET TEXT    tell the service manager something, from within the container's cgroup
//	--save CGROUP FILE…            write what is on the standard input into the files
//	--kill CGROUP FILE             kill the process whose number is in the file
//	--guest UID GID WORD…          become a program of that user's, in the control group that is open
//	--last                         have files open until the standard input ends
func Errand(args []string) error {
	if len(args) == 1 && args[0] == "--last" {
		_, err := io.Copy(io.Discard, os.Stdin)
		return err
	}
	if len(args) < 3 {
		return errors.New("this program is started by systemd")
	}
	if args[0] == "--guest" {
		return becomeGuest(args[1:])
	}
	// What the probe costs is the container's (cgroups(7)). A container may have divided its group, and then none can be in
	// it; the runtime finds a place by itself.
	if args[1] != "" {
		os.WriteFile(filepath.Join(cgroupMount, args[1], "cgroup.procs"), []byte("0"), 0)
	}
	switch args[0] {
	case "--probe":
		return becomeRuntime(args[1], args[2:])
	case "--save":
		data, err := io.ReadAll(os.Stdin)
		if err == nil {
			err = save(data, args[2:])
		}
		return err
	case "--kill":
		killByFile(args[2])
		return nil
	case "--status":
		if len(args) == 4 {
			return tellStatus(args[2], args[3])
		}
	}
	return fmt.Errorf("unknown errand %q", args[0])
}

// becomeRuntime replaces this process by the runtime, which is shown the unit's cgroup as the root of all, as it was when it
// made the container.
func becomeRuntime(group string, words []string) error {
	runtime.LockOSThread()
	unix.CloseOnExec(namespaceFile)
	if group != "" {
		if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
			return fmt.Errorf("make mount namespace: %w", err)
		}
		if err := unix.Mount("", "/", "", unix.MS_SLAVE|unix.MS_REC, ""); err != nil {
			return fmt.Errorf("detach mount namespace: %w", err)
		}
		if err := unix.Mount(filepath.Join(cgroupMount, filepath.Dir(group)), cgroupMount, "", unix.MS_BIND, ""); err != nil {
			return fmt.Errorf("show the unit's cgroup: %w", err)
		}
	}
	return fmt.Errorf("start %s: %w", words[0], unix.Exec(words[0], words, os.Environ()))
}

// tellStatus sends a notification and waits until it has been read: it is for nothing from a process that has ended.
func tellStatus(socket, text string) error {
	var fds [2]int
	if err := unix.Pipe2(fds[:], unix.O_CLOEXEC); err != nil {
		return err
	}
	n := Notifier{Socket: socket}
	if err := n.send(text); err != nil {
		return err
	}
	if err := n.send("BARRIER=1", fds[1]); err != nil {
		return err
	}
	unix.Close(fds[1])
	_, err := look(fds[0], 0, 5000)
	return err
}
