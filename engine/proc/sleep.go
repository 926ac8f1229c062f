package proc

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
)

// Sleeper is a program that does nothing but be in namespaces.
type Sleeper struct {
	Program    string   // path of a static program that sleeps
	Words      []string // its words, with its name
	Namespaces uintptr  // that are made for it (clone(2))
	Hollow     bool     // nothing but the program is to be seen by way of it, see Hollow
	// UIDs and GIDs are the maps of its own user namespace. Without them it is in the one that Join is the path of, and the others
	// are made in that.
	UIDs, GIDs []syscall.SysProcIDMap
	Join       string
	// Brief says that it is to end with the thread that starts it, should its caller be killed.
	Brief bool
}

// Sleep starts the program. When it returns, all namespaces are there. What it returns kills the program and reaps it; who leaves
// that out leaves an orphan that stays.
func Sleep(s Sleeper) (id ID, end func(), err error) {
	var cmd *exec.Cmd
	if s.Join != "" {
		cmd, err = startJoined(s)
	} else {
		cmd, err = startApart(s)
	}
	if err != nil {
		if cmd != nil && cmd.Process != nil {
			cmd.Process.Kill()
			cmd.Wait()
		}
		return ID{}, nil, fmt.Errorf("start a program that sleeps: %w", err)
	}
	end = func() {
		cmd.Process.Kill()
		cmd.Wait()
	}
	if id, err = Identify(cmd.Process.Pid); err != nil {
		end()
	}
	return id, end, err
}

// startApart starts the program as root of the new user namespace or, where that has none, as the first user there. It must be
// nobody of the outside: who is in the namespace too could make it do what that one may (ptrace(2)).
func startApart(s Sleeper) (cmd *exec.Cmd, err error) {
	word, _ := os.ReadFile("/proc/self/setgroups")
	denied := strings.HasPrefix(string(word), "deny") // to a user without ranges
	attr := &syscall.SysProcAttr{
		Cloneflags: s.Namespaces | syscall.CLONE_NEWUSER, UidMappings: s.UIDs, GidMappings: s.GIDs, GidMappingsEnableSetgroups: !denied, Setsid: true,
		Credential: &syscall.Credential{Uid: uint32(s.UIDs[0].ContainerID), Gid: uint32(s.GIDs[0].ContainerID), NoSetGroups: denied},
	}
	if s.Brief {
		attr.Pdeathsig = syscall.SIGKILL
	}
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	defer null.Close()
	cmd = &exec.Cmd{Path: s.Program, Args: s.Words, Dir: "/", Env: []string{}, SysProcAttr: attr, Stdin: null, Stdout: null, Stderr: null}
	if !s.Hollow {
		return cmd, cmd.Start()
	}
	cmd.Path = HollowProgram
	return cmd, startHollow(s.Program, cmd.Start)
}

// startJoined starts a shell by programs that work as only a process of one thread can (setns(2)). It tells when it is there.
func startJoined(s Sleeper) (*exec.Cmd, error) {
	words := []string{"--user=" + s.Join, "--", "unshare"}
	for _, ns := range []struct {
		flag uintptr
		word string
	}{{syscall.CLONE_NEWIPC, "--ipc"}, {syscall.CLONE_NEWNET, "--net"}, {syscall.CLONE_NEWUTS, "--uts"}} {
		if s.Namespaces&ns.flag != 0 {
			words = append(words, ns.word)
		}
	}
	script := "echo; exec sleep infinity"
	if s.Brief {
		script = "echo; read end" // of the input, when nobody has its other end any more
	}
	cmd := exec.Command("nsenter", append(words, "--", "sh", "-c", script)...)
	var said strings.Builder
	cmd.Dir, cmd.Stderr, cmd.SysProcAttr = "/", &said, &syscall.SysProcAttr{Setsid: true}
	if _, err := cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	if _, err := io.ReadFull(out, make([]byte, 1)); err != nil {
		err = errors.Join(err, cmd.Wait())
		return nil, fmt.Errorf("enter %s: %s: %w", s.Join, lastLine(said.String()), err)
	}
	return cmd, nil
}
