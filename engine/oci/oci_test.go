package oci

import (
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/berth-pods/berth/engine"
	"github.com/berth-pods/berth/engine/proc"
	"github.com/berth-pods/berth/engine/spec"
)

// fake is a runtime whose program is a shell script. It notes its words in the file "words" and its environment in "env".
func fake(t *testing.T, name, script string) (Runtime, engine.Bundle) {
	t.Helper()
	dir := t.TempDir()
	program := filepath.Join(dir, name)
	text := "#!/bin/sh\ncd " + dir + "\necho \"$@\" >>words\nenv >env\n" + script + "\n"
	if err := os.WriteFile(program, []byte(text), 0o755); err != nil {
		t.Fatal(err)
	}
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { null.Close() })
	b := engine.Bundle{ID: "abc", Dir: dir, RuntimeRoot: filepath.Join(dir, "runtime"), Stdin: null, Stdout: null, Stderr: null}
	return Runtime{Path: program, Run: proc.Run}, b
}

func TestCheck(t *testing.T) {
	groups := spec.Container{}
	groups.Groups = []string{"keep-groups"}
	noCgroup := spec.Container{}
	noCgroup.Cgroups = "disabled"
	for _, tt := range []struct {
		path string
		c    spec.Container
		want string
	}{
		{"/usr/bin/crun", groups, ""}, {"/usr/bin/crun", noCgroup, ""}, {"/usr/sbin/runc", spec.Container{}, ""},
		{"/usr/sbin/runc", groups, "keep-groups needs crun"}, {"/opt/runc-1.3", noCgroup, "disabled needs crun"},
	} {
		err := Runtime{Path: tt.path}.Check(tt.c)
		if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: got %v, want %q", tt.path, err, tt.want)
		}
	}
}

func words(t *testing.T, b engine.Bundle) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(b.Dir, "words"))
	if err != nil {
		t.Fatal(err)
	}
	return strings.ReplaceAll(strings.TrimSpace(string(text)), b.Dir, "DIR")
}

func TestCommandLines(t *testing.T) {
	const global = "--root DIR/runtime --log DIR/runtime.log --log-format json "
	tests := []struct {
		name, program string
		cgroup        bool
		extra         int
		want          string
	}{
		{"crun with a group", "crun", true, 0, global + "--cgroup-manager cgroupfs create --bundle DIR --pid-file DIR/init.pid abc"},
		{"crun without", "crun", false, 0, global + "--cgroup-manager disabled create --bundle DIR --pid-file DIR/init.pid abc"},
		{"runc", "runc", true, 0, global + "create --bundle DIR --pid-file DIR/init.pid abc"},
		{"sockets", "runc", true, 2, global + "create --bundle DIR --pid-file DIR/init.pid --preserve-fds 2 abc"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r, b := fake(t, tt.program, "echo 4321 >init.pid")
			b.Cgroup = tt.cgroup
			for range tt.extra {
				f, err := os.Open(os.DevNull)
				if err != nil {
					t.Fatal(err)
				}
				defer f.Close()
				b.Extra = append(b.Extra, f)
			}
			if pid, err := r.Create(context.Background(), b); pid != 4321 || err != nil {
				t.Errorf("%d, %v", pid, err)
			}
			if got := words(t, b); got != tt.want {
				t.Errorf("\ngot  %s\nwant %s", got, tt.want)
			}
		})
	}
	old, b := fake(t, "crun", "echo 4321 >init.pid")
	old.OldKeyring, old.NoPivot = true, true
	if _, err := old.Create(context.Background(), b); err != nil {
		t.Error(err)
	}
	if got := words(t, b); got != global+"--cgroup-manager disabled create --bundle DIR --pid-file DIR/init.pid --no-new-keyring --no-pivot abc" {
		t.Errorf("no new keyring: %s", got)
	}
	exec, b := fake(t, "runc", "echo 4321 >exec.pid")
	b.ConsoleSocket, b.Extra = "/proc/1/fd/7/console.sock", []*os.File{nil, b.Stdin}
	if pid, err := exec.Exec(context.Background(), b); pid != 4321 || err != nil {
		t.Errorf("exec: %d, %v", pid, err)
	}
	if got := words(t, b); got != global+"exec --process DIR/process.json --detach --pid-file DIR/exec.pid --console-socket /proc/1/fd/7/console.sock --preserve-fds 2 abc" {
		t.Errorf("exec: %s", got)
	}
	r, b := fake(t, "runc", "")
	if err := r.Start(context.Background(), b); err != nil {
		t.Error(err)
	}
	if got := words(t, b); got != global+"start abc" {
		t.Errorf("start: %s", got)
	}
}

// TestEnvironment: the runtime sees neither systemd's socket, which it would answer on in our place, nor the sockets that
// are for the container.
func TestEnvironment(t *testing.T) {
	for name, value := range map[string]string{"NOTIFY_SOCKET": "/run/n", "LISTEN_FDS": "1", "LISTEN_PID": "7", "LISTEN_FDNAMES": "x", "OTHER": "stays"} {
		t.Setenv(name, value)
	}
	r, b := fake(t, "crun", "echo 4321 >init.pid")
	if _, err := r.Create(context.Background(), b); err != nil {
		t.Fatal(err)
	}
	env, err := os.ReadFile(filepath.Join(b.Dir, "env"))
	if err != nil || !strings.Contains(string(env), "OTHER=stays") {
		t.Fatalf("%s, %v", env, err)
	}
	if strings.Contains(string(env), "NOTIFY_SOCKET") || strings.Contains(string(env), "LISTEN_") {
		t.Errorf("passed on:\n%s", env)
	}
}

// TestStdio: the container's output goes where the bundle says.
func TestStdio(t *testing.T) {
	r, b := fake(t, "crun", "echo out; echo err >&2; cat >in; echo 4321 >init.pid")
	file := func(name, text string) *os.File {
		path := filepath.Join(b.Dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		f, err := os.OpenFile(path, os.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { f.Close() })
		return f
	}
	b.Stdin, b.Stdout, b.Stderr = file("stdin", "input"), file("stdout", ""), file("stderr", "")
	if _, err := r.Create(context.Background(), b); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"stdout": "out\n", "stderr": "err\n", "in": "input"} {
		if got, _ := os.ReadFile(filepath.Join(b.Dir, name)); string(got) != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
}

func TestErrors(t *testing.T) {
	log := func(line string) string { return "echo '" + line + "' >>runtime.log\n" }
	tests := []struct{ name, script, want string }{
		{"of the log", log(`{"msg":"first","level":"error"}`) + log(`{"msg":"exec format error","level":"error"}`) + log(`{"msg":"note","level":"debug"}`) + "exit 1", "crun: exec format error"},
		{"none in the log", log("no JSON") + "exit 3", "crun ended with status 3"},
		{"killed", "kill -9 $$", "crun ended with status 137"},
		{"no PID file", "", "no such file"},
		{"odd PID file", "echo 1 >init.pid", `wrote "1\n" as the container's PID`},
		{"text in PID file", "echo x >init.pid", `wrote "x\n"`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r, b := fake(t, "crun", tt.script)
			if _, err := r.Create(context.Background(), b); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
}

func TestMissingProgram(t *testing.T) {
	r := Runtime{Path: "/none/crun", Run: proc.Run}
	want := "OCI runtime /none/crun is not there; install the package crun, or set runtime= in containers.conf"
	if _, err := r.Create(context.Background(), engine.Bundle{ID: "abc", Dir: t.TempDir()}); err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

func TestCancelled(t *testing.T) {
	r, b := fake(t, "crun", "exec sleep 1000")
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := r.Start(ctx, b); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

// TestCreateOrphaned: a runtime that goes on when its caller was killed would make the container after somebody has removed what there was.
func TestCreateOrphaned(t *testing.T) {
	if program := os.Getenv("BERTH_TEST_RUNTIME"); program != "" { // this is the caller
		runtime.LockOSThread()
		Runtime{Path: program, Run: proc.Run}.Create(t.Context(), engine.Bundle{ID: "abc", Dir: filepath.Dir(program)})
		t.Fatal("it has not waited")
	}
	r, b := fake(t, "crun", "exec sleep 1000 >alive")
	alive := filepath.Join(b.Dir, "alive")
	if err := unix.Mkfifo(alive, 0o600); err != nil {
		t.Fatal(err)
	}
	caller := exec.Command(os.Args[0], "-test.run=^TestCreateOrphaned$")
	caller.Env = append(os.Environ(), "BERTH_TEST_RUNTIME="+r.Path)
	if err := caller.Start(); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(alive) // the runtime has opened it then
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	caller.Process.Kill()
	caller.Wait()
	ended := make(chan error, 1)
	go func() {
		_, err := f.Read(make([]byte, 1)) // the end, when nobody has it open any more
		ended <- err
	}()
	select {
	case err := <-ended:
		if err != io.EOF {
			t.Error(err)
		}
	case <-time.After(10 * time.Second):
		t.Error("the runtime goes on")
	}
}
