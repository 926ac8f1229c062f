package engine_test

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"testing"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"github.com/berth-pods/berth/engine"
	"github.com/berth-pods/berth/engine/enginetest"
	"github.com/berth-pods/berth/engine/spec"
)

// exec calls Exec on a thread of its own.
func (b *bench) exec(s engine.State, x engine.Exec) (p engine.Process, err error) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // never unlocked: the thread ends with its mount namespace
		p, err = b.Engine(b.run).Exec(context.Background(), s, x)
	}()
	<-done
	return p, err
}

func TestExec(t *testing.T) {
	b := newBench(t)
	s, err := b.start(web())
	if err != nil {
		t.Fatal(err)
	}
	b.Forget()
	env := filepath.Join(t.TempDir(), "env")
	if err := os.WriteFile(env, []byte("A=file\nB=file\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	x := engine.Exec{ExecOptions: spec.ExecOptions{Command: []string{"id"}, Environment: []string{"A=1"}, User: "0:7"}, EnvFiles: []string{env}}
	p, err := b.exec(s, x)
	if err != nil || p.PID != 4711 || p.Master != nil {
		t.Fatalf("%+v, %v", p, err)
	}
	if got := b.Steps(); !slices.Equal(got, []string{"cgroups.Enter", "runtime.Exec"}) {
		t.Errorf("steps: %v", got)
	}
	var process specs.Process
	if err := json.Unmarshal(b.Process, &process); err != nil {
		t.Fatal(err)
	}
	if process.User.GID != 7 || !slices.Contains(process.Env, "A=1") || !slices.Contains(process.Env, "B=file") || !slices.Equal(process.Args, x.Command) {
		t.Errorf("%s", b.Process)
	}
	if _, err := b.exec(s, engine.Exec{ExecOptions: spec.ExecOptions{Command: []string{"id"}, User: "nobody-knows"}}); !errors.Is(err, engine.ErrNoUser) {
		t.Errorf("a user that is not there: %v", err)
	}
	b.FailAt = enginetest.Moment{Step: "runtime.Exec", After: true}
	if _, err := b.exec(s, x); !errors.Is(err, enginetest.ErrInjected) {
		t.Errorf("a runtime that fails: %v", err)
	}
	if left, _ := filepath.Glob(filepath.Join(b.run, s.ID, "exec-*")); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
	b.End()
	if _, err := b.exec(s, x); !errors.Is(err, engine.ErrNotRunning) {
		t.Errorf("after the end: %v", err)
	}
	b.FailAt = enginetest.Moment{}
	if err := b.remove("web", force); err != nil {
		t.Fatal(err)
	}
	b.clean()
}
