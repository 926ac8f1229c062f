package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/berth-pods/berth/engine"
	"github.com/berth-pods/berth/engine/atomicfile"
	"github.com/berth-pods/berth/engine/enginetest/nofiles"
	"github.com/berth-pods/berth/engine/network"
	"github.com/berth-pods/berth/engine/proc"
	"github.com/berth-pods/berth/engine/sd"
	"github.com/berth-pods/berth/engine/spec"
)

func TestExitOfUnit(t *testing.T) {
	for _, tt := range []struct {
		result, code, status string
		want                 engine.Exit
	}{
		{"success", "exited", "0", engine.Exit{}},
		{"exit-code", "exited", "7", engine.Exit{Code: 7}},
		{"signal", "killed", "KILL", engine.Exit{Code: 137}},
		{"signal", "killed", "TERM", engine.Exit{Code: 143}},
		{"core-dump", "dumped", "SEGV", engine.Exit{Code: 139}},
		{"oom-kill", "killed", "KILL", engine.Exit{Code: 137, OOM: true}},
		{"signal", "killed", "RTMIN+3", engine.Exit{Code: 165}},
		{"timeout", "", "", engine.Exit{Code: 255}},
		{"", "exited", "x", engine.Exit{Code: 255}},
	} {
		env := map[string]string{"SERVICE_RESULT": tt.result, "EXIT_CODE": tt.code, "EXIT_STATUS": tt.status}
		if got := exitOfUnit(func(n string) string { return env[n] }, ""); got != tt.want {
			t.Errorf("%+v: %+v", tt, got)
		}
	}
}

// TestRestartCount: how often systemd had started a container again is known when it has forgotten the unit.
func TestRestartCount(t *testing.T) {
	for restart, want := range map[string]int{"on-failure:2": 2, "always": 2, "no": 0} {
		dirs := emptyRun(t)
		t.Setenv(restartsVariable, "")
		s := engine.State{ID: strings.Repeat("ab", 32), Name: "web", Unit: "web.service", Container: spec.Container{Restart: restart, Rootfs: true}}
		lay(t, dirs, s)
		said := "2\n"
		env := &Env{Run: func(context.Context, proc.Command) ([]byte, error) { return []byte(said), nil }}
		if err := countRestarts(t.Context(), env, []string{s.ID}); err != nil {
			t.Fatal(err)
		}
		if got := (inspection{ctx: t.Context(), env: env}).inspect(s).RestartCount; got != 2 {
			t.Errorf("%s: %d while it runs", restart, got)
		}
		exit := exitOfUnit(os.Getenv, "")
		s.Exit, said = &exit, "0\n"
		if got := (inspection{ctx: t.Context(), env: env}).inspect(s).RestartCount; got != want {
			t.Errorf("%s: %d, want %d", restart, got, want)
		}
	}
	env := &Env{Run: func(context.Context, proc.Command) ([]byte, error) { return []byte("3\n\n0\n\n5\n"), nil }}
	list := []*engine.State{{Unit: "a.service"}, {Exit: &engine.Exit{Restarts: 1}}, {Unit: "b.service"}, {Unit: "run-1.scope"}, {Unit: "c.service"}}
	if got := restartCounts(t.Context(), env, list); !slices.Equal(got, []int{3, 1, 0, 0, 5}) {
		t.Errorf("of several: %v", got)
	}
}

// TestRemoveAllUnread: --all names what cannot be read as well.
func TestRemoveAllUnread(t *testing.T) {
	dir := emptyRun(t).Container(strings.Repeat("0", 64))
	if err := errors.Join(os.MkdirAll(dir, 0o700), os.WriteFile(filepath.Join(dir, "state.json"), []byte("{"), 0o600)); err != nil {
		t.Fatal(err)
	}
	if names, err := (rmOptions{selection: selection{all: true}}).names(nil); err != nil || !slices.Contains(names, filepath.Base(dir)) {
		t.Errorf("%v, %v", names, err)
	}
	if names, err := (rmOptions{selection: selection{filters: []string{"name=x"}}}).names(nil); err != nil || len(names) > 0 {
		t.Errorf("those of a name: %v, %v", names, err)
	}
	if text, err := call("rm", filepath.Base(dir)); err == nil || !strings.Contains(err.Error(), "state.json is damaged") {
		t.Errorf("%q, %v", text, err)
	}
}

// TestStartedElsewhereUnknown: who cannot tell which unit it is of does not take the container for another one's, and cleans up.
func TestStartedElsewhereUnknown(t *testing.T) {
	t.Setenv("SERVICE_RESULT", "success")
	var elsewhere bool
	nofiles.During(t, func() { elsewhere = startedElsewhere(engine.State{Unit: "web.service"}) })
	if elsewhere {
		t.Error("its unit cannot be read, and it counts as another one's")
	}
}

// TestRuledByUnknownUnit: within its unit systemd must not be asked to stop a container, and elsewhere it must. Who cannot tell says so.
func TestRuledByUnknownUnit(t *testing.T) {
	service := engine.State{Unit: "web.service"}
	var unknown error
	nofiles.During(t, func() { _, unknown = ruledByUnit(service) })
	if !errors.Is(unknown, syscall.EMFILE) || !strings.Contains(unknown.Error(), "web.service") {
		t.Errorf("%v", unknown)
	}
	for s, want := range map[string]bool{service.Unit: true, "run-1.scope": false, "": false} {
		if got, err := ruledByUnit(engine.State{Unit: s}); got != want || err != nil {
			t.Errorf("%q: %t, %v", s, got, err)
		}
	}
}

// TestUnreadContainer: a container that cannot be read may be of any pod and on any network; neither is taken from under it.
func TestUnreadContainer(t *testing.T) {
	dirs := emptyRun(t)
	p, err := dirs.CreatePod(spec.Pod{Name: "stack", ExitPolicy: "stop"})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dirs.Container(strings.Repeat("0", 64)), "state.json")
	if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o700), os.WriteFile(file, []byte("{"), 0o600)); err != nil {
		t.Fatal(err)
	}
	env := &Env{Out: io.Discard, Err: io.Discard, Run: proc.Run}
	_, ends := stopsWith(t.Context(), env.Run, p, engine.State{ID: "1"})
	_, prunes := filteredNetworks(network.Registry{}, []string{"dangling=true"})
	for doing, err := range map[string]error{
		"pod rm": removePod(t.Context(), env, p, podRmOptions{}), "pod stop": stopMembers(t.Context(), env, &engine.Engine{Dirs: dirs}, p, nil), "end of a member": ends,
		"network rm": removeNetwork(t.Context(), env, "podman", networkRmOptions{force: true}), "network prune": prunes,
	} {
		if err == nil || !strings.Contains(err.Error(), file) || !strings.Contains(err.Error(), "or reboot") {
			t.Errorf("%s: %v", doing, err)
		}
	}
	if _, err := filteredNetworks(network.Registry{}, nil); err != nil {
		t.Errorf("network ls: %v", err)
	}
	if members, err := dirs.Members(p); err != nil || len(members) > 0 {
		t.Errorf("pod ps: %v, %v", members, err)
	}
}

// TestPodRmBesideStart: a removal of a pod that is not to stop anything waits for who starts a container of it, and leaves it to the
// container's own removal to refuse one that runs by then.
func TestPodRmBesideStart(t *testing.T) {
	dirs := emptyRun(t)
	p, err := dirs.CreatePod(spec.Pod{Name: "stack"})
	if err != nil {
		t.Fatal(err)
	}
	id := strings.Repeat("a", 64)
	lay(t, dirs, engine.State{ID: id, Name: "m", Pod: p.ID})
	members, err := dirs.Members(p)
	if state := podState(p, members); err != nil || state != "Running" {
		t.Errorf("its container is on its way, and the pod is %s: %v", state, err)
	}
	var called []string
	env := &Env{Out: io.Discard, Err: io.Discard, Run: func(_ context.Context, c proc.Command) ([]byte, error) {
		called = c.Args
		return nil, os.ErrInvalid
	}}
	lock, err := atomicfile.LockDir(dirs.Container(id))
	if err != nil {
		t.Fatal(err)
	}
	impatient, cancel := context.WithCancel(t.Context())
	cancel()
	if err := removePod(impatient, env, p, podRmOptions{podStopOptions: podStopOptions{time: 1}}); !errors.Is(err, context.Canceled) || called != nil {
		t.Errorf("it did not wait: %v, called %q", err, called)
	}
	lock.Close()
	for want, o := range map[string]podRmOptions{
		"rm -v -i " + id:             {podStopOptions: podStopOptions{time: 1}},
		"rm -v -i -f --time=1 " + id: {podStopOptions: podStopOptions{time: 1}, force: true},
		"rm -v -i -f " + id:          {podStopOptions: podStopOptions{time: -1}, force: true},
	} {
		if err := removePod(t.Context(), env, p, o); !errors.Is(err, os.ErrInvalid) || strings.Join(called, " ") != want {
			t.Errorf("called %q, want %q; %v", called, want, err)
		}
	}
}

// TestUnreadPod: so may a pod that cannot be read be on any network.
func TestUnreadPod(t *testing.T) {
	dirs := emptyRun(t)
	id := strings.Repeat("0", 64)
	file := filepath.Join(dirs.Pod(id), "state.json")
	if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o700), os.WriteFile(file, []byte("{"), 0o600)); err != nil {
		t.Fatal(err)
	}
	_, prunes := filteredNetworks(network.Registry{}, []string{"dangling=true"})
	for doing, err := range map[string]error{
		"network rm": removeNetwork(t.Context(), &Env{}, "podman", networkRmOptions{force: true}), "network prune": prunes,
	} {
		if err == nil || !strings.Contains(err.Error(), "remove "+file) {
			t.Errorf("%s: %v", doing, err)
		}
	}
	if list, err := dirs.Pods(); err != nil || len(list) > 0 {
		t.Errorf("pod ps: %v, %v", list, err)
	}
}

func TestTakenOver(t *testing.T) {
	for _, tt := range []struct {
		own      bool
		self, of string
		want     bool
	}{
		{true, "web.service", "other.service", true},
		{true, "web.service", "run-1.scope", true},
		{true, "web.service", "web.service", false},
		{true, "web.service", "", false}, // its maker was killed
		{true, "", "other.service", false},
		{false, "web.service", "other.service", false}, // ExecStopPost=berth rm -f -i other
	} {
		if got := (rmOptions{force: true, ignore: true, own: tt.own}).takenOver(tt.self, engine.State{Unit: tt.of}); got != tt.want {
			t.Errorf("%+v: %t", tt, got)
		}
	}
}

// The commands of a unit are for its container also when its file names it differently by now, and for its pod.
func TestOwnUnderAnotherName(t *testing.T) {
	dirs := engine.Dirs{Run: t.TempDir()}
	id := func(c string) string { return strings.Repeat(c, 64) }
	for _, s := range []engine.State{{ID: id("a"), Name: "old"}, {ID: id("b"), Name: "new"}} {
		lay(t, dirs, s)
	}
	for _, tt := range []struct{ names, ids, want []string }{
		{[]string{"new"}, []string{id("a")}, []string{id("a")}},
		{[]string{"new"}, []string{id("a"), id("b")}, []string{id("a")}},
		{[]string{"-f", "old"}, []string{id("a")}, nil},
		{[]string{id("a")[:12]}, []string{id("a")}, nil},
		{[]string{"new"}, []string{id("c")}, nil}, // has gone
		{[]string{"new"}, nil, nil},
	} {
		if got := ownUnder(dirs, tt.names, slices.Clone(tt.ids)); !slices.Equal(got, tt.want) {
			t.Errorf("%v of %v: %v, want %v", tt.ids, tt.names, got, tt.want)
		}
	}
	mine, other, made := engine.Pod{ID: "1", Unit: "p.service"}, engine.Pod{ID: "2", Unit: "q.service"}, engine.Pod{ID: "3"}
	all := []engine.Pod{mine, other, made}
	for _, tt := range []struct{ named, want []engine.Pod }{
		{nil, []engine.Pod{mine}},
		{[]engine.Pod{mine}, []engine.Pod{mine}},
		{[]engine.Pod{other}, []engine.Pod{mine}},
		{[]engine.Pod{made}, []engine.Pod{made, mine}}, // has not been started
	} {
		var got, want []string
		for _, p := range ownPods(slices.Clone(tt.named), all, "p.service") {
			got = append(got, p.ID)
		}
		for _, p := range tt.want {
			want = append(want, p.ID)
		}
		if !slices.Equal(got, want) {
			t.Errorf("pods %v, want %v", got, want)
		}
	}
}

// TestStopOfForgottenUnit: systemd stops a container whose unit has its commands; one whose file has been removed is stopped without it. Of
// a unit whose file is systemd's own it is not asked.
func TestStopOfForgottenUnit(t *testing.T) {
	emptyRun(t)
	transient := filepath.Join(os.Getenv("XDG_RUNTIME_DIR"), "systemd/transient/web.service")
	for load, want := range map[string]string{"loaded": "[stop -- web.service]", "not-found": "[container cleanup c1]", "": "[stop -- web.service]"} {
		if err := errors.Join(os.RemoveAll(filepath.Dir(transient)), os.MkdirAll(filepath.Dir(transient), 0o700)); err != nil {
			t.Fatal(err)
		}
		if load == "" {
			if err := os.WriteFile(transient, nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		cmd := exec.Command("sleep", "1000")
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		init, err := proc.Identify(cmd.Process.Pid)
		if err != nil {
			t.Fatal(err)
		}
		var called []string
		env := &Env{Err: t.Output(), Run: func(_ context.Context, c proc.Command) ([]byte, error) {
			if slices.Contains(c.Args, "show") {
				if load == "" {
					t.Error("systemd is asked")
				}
				return []byte("LoadState=" + load + "\n"), nil
			}
			called = c.Args[len(c.Args)-min(len(c.Args), 3):]
			return nil, cmd.Process.Kill()
		}}
		go cmd.Wait()
		s := engine.State{ID: "c1", Name: "web", Unit: "web.service", Cgroup: "/web.service/container-c1", Init: init, StopTime: time.Minute}
		if _, err := stopOne(context.Background(), env, s, nil); err != nil && !errors.Is(err, os.ErrProcessDone) || fmt.Sprint(called) != want {
			t.Errorf("%s: called %v, %v; want %s", load, called, err, want)
		}
	}
}

// Containers are stopped at the same time, and named in their order; an error of one is no matter for the others.
func TestStopSideBySide(t *testing.T) {
	for _, do := range []func(context.Context, *Env, []string) error{runStop, func(ctx context.Context, env *Env, args []string) error {
		_, err := stopUnits(ctx, env, args, slices.Clone(args), engine.RemoveOptions{Force: true})
		return err
	}} {
		dirs := emptyRun(t)
		var names []string
		for i := range 3 {
			cmd := exec.Command("sleep", "1000")
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			init, err := proc.Identify(cmd.Process.Pid)
			if err != nil {
				t.Fatal(err)
			}
			defer cmd.Wait()
			defer cmd.Process.Kill()
			name := fmt.Sprint("c", i)
			names = append(names, name)
			unit := filepath.Join(os.Getenv("XDG_RUNTIME_DIR"), "systemd/transient", name+".service")
			if err := errors.Join(os.MkdirAll(filepath.Dir(unit), 0o700), os.WriteFile(unit, nil, 0o600)); err != nil {
				t.Fatal(err)
			}
			lay(t, dirs, engine.State{ID: strings.Repeat(fmt.Sprint(i), 64), Name: name, Unit: name + ".service", Init: init})
		}
		begun := make(chan string, len(names))
		all := make(chan struct{})
		go func() {
			for range names {
				<-begun
			}
			close(all)
		}()
		var out strings.Builder
		env := &Env{Err: io.Discard, Out: &out, Run: func(_ context.Context, c proc.Command) ([]byte, error) {
			unit := c.Args[len(c.Args)-1]
			if !slices.Contains(c.Args, "stop") {
				return nil, nil
			}
			begun <- unit
			select {
			case <-all:
			case <-time.After(time.Minute):
				return nil, errors.New("nobody else is stopped meanwhile")
			}
			if unit == "c1.service" {
				return nil, errors.New("it does not end")
			}
			return nil, errors.Join(os.Remove(filepath.Join(dirs.Run, "names", unit[:2])), os.RemoveAll(dirs.Container(strings.Repeat(unit[1:2], 64))))
		}}
		err := do(t.Context(), env, names)
		if err != nil && !strings.HasSuffix(err.Error(), ": it does not end") || out.String() != "c0\nc2\n" {
			t.Errorf("%v, %q", err, out.String())
		}
	}
}

// TestGiveUp: systemd is not left to start a container again and again that has not started once. What has no policy, or did not start as
// others were in its way, has no unit to be stopped.
func TestGiveUp(t *testing.T) {
	made := fmt.Errorf("%w%w", errors.New("port 80 is taken"), hidden{&sd.StartError{Unit: "berth-web.service"}})
	for _, tt := range []struct {
		policy string
		err    error
		want   string
	}{
		{"always", made, "[stop berth-web.service]"}, {"on-failure:3", made, "[stop berth-web.service]"}, {"", made, "[]"}, {"no", made, "[]"}, {"always", sd.ErrAtOnce, "[]"},
	} {
		var called []string
		giveUp(t.Context(), &Env{Run: func(_ context.Context, c proc.Command) ([]byte, error) {
			called = []string{c.Args[0], c.Args[len(c.Args)-1]}
			return nil, nil
		}}, tt.policy, tt.err)
		if fmt.Sprint(called) != tt.want {
			t.Errorf("%s, %v: called %v, want %s", tt.policy, tt.err, called, tt.want)
		}
	}
}

// TestStopBetweenRestarts: a container that has ended and that systemd starts again is stopped by systemd, and no unit that is not its own.
func TestStopBetweenRestarts(t *testing.T) {
	for _, tt := range []struct{ restart, state, stop, want string }{
		{"always", "activating", "stop c1", "[stop -- web.service]"},
		{"on-failure:3", "deactivating", "stop c1", "[stop -- web.service]"},
		{"always", "inactive", "stop c1", "[]"},
		{"always", "failed", "stop c1", "[]"},
		{"always", "active", "stop web", "[]"},
		{"no", "activating", "stop c1", "[]"},
		{"never", "activating", "stop c1", "[]"},
	} {
		var called []string
		asked := 0
		env := &Env{Err: t.Output(), Run: func(_ context.Context, c proc.Command) ([]byte, error) {
			if slices.Contains(c.Args, "show") {
				asked++
				return []byte("ActiveState=" + tt.state + "\nExecStop={ path=/usr/bin/berth ; argv[]=/usr/bin/berth " + tt.stop + " ; }\n"), nil
			}
			called = c.Args[len(c.Args)-3:]
			return nil, nil
		}}
		ended := proc.ID{PID: os.Getpid()} // by now the PID is another's
		s := engine.State{ID: "c1", Name: "web", Unit: "web.service", Init: ended, Container: spec.Container{Restart: tt.restart}}
		if stopped, err := stopOne(context.Background(), env, s, nil); err != nil || fmt.Sprint(called) != tt.want || stopped != (called != nil) || asked > 1 {
			t.Errorf("%+v: called %v, asked %d times, %v, %v", tt, called, asked, stopped, err)
		}
		called = nil
		if err := stopMember(context.Background(), env, nil, s, nil); err != nil || fmt.Sprint(called) != tt.want {
			t.Errorf("%+v, in a pod: called %v, %v", tt, called, err)
		}
	}
}

// TestStopBesideStart: who stops a container that is being started waits until it runs, and stops it then. One that could not be made needs
// no stop.
func TestStopBesideStart(t *testing.T) {
	init, err := proc.Identify(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	stops := map[string]func(context.Context, *Env, engine.State) error{
		"stop": func(ctx context.Context, env *Env, s engine.State) error {
			_, err := stopOne(ctx, env, s, nil)
			return err
		},
		"pod stop": func(ctx context.Context, env *Env, s engine.State) error { return stopMember(ctx, env, nil, s, nil) },
	}
	for how, stop := range stops {
		for _, works := range []bool{true, false} {
			dirs := emptyRun(t)
			s := engine.State{ID: strings.Repeat("a", 64), Name: "web", Unit: "web.service"}
			lay(t, dirs, s)
			lock, err := atomicfile.LockDir(dirs.Container(s.ID))
			if err != nil {
				t.Fatal(err)
			}
			var called []string
			env := &Env{Err: io.Discard, Run: func(_ context.Context, c proc.Command) ([]byte, error) {
				called = c.Args
				return nil, nil
			}}
			impatient, cancel := context.WithCancel(t.Context())
			cancel()
			if err := stop(impatient, env, s); !errors.Is(err, context.Canceled) || called != nil {
				t.Errorf("%s: it did not wait: %v, called %q", how, err, called)
			}
			stopped := make(chan error)
			start := s
			go func() { stopped <- stop(t.Context(), env, start) }()
			if works {
				s.Version, s.Init = 1, init
				var text []byte
				if text, err = json.Marshal(s); err == nil {
					err = atomicfile.Write(filepath.Join(dirs.Container(s.ID), "state.json"), text, 0o600)
				}
			} else {
				err = errors.Join(os.RemoveAll(dirs.Container(s.ID)), os.Remove(filepath.Join(dirs.Run, "names", s.Name)))
			}
			if err != nil {
				t.Fatal(err)
			}
			lock.Close()
			if err := <-stopped; err != nil || works != (slices.Contains(called, "stop") && slices.Contains(called, s.Unit)) || !works && called != nil {
				t.Errorf("%s, a start that works %t: called %v, %v", how, works, called, err)
			}
		}
	}
}

// TestReturns: a container that goes with its end and whose unit is about to run it again is known in between.
func TestReturns(t *testing.T) {
	for _, tt := range []struct {
		container spec.Container
		job, exit string
		want      bool
	}{
		{spec.Container{Restart: "always", Rootfs: true}, "", "exited", true},
		{spec.Container{Restart: "on-failure:2", UserNS: "auto"}, "", "exited", true},
		{spec.Container{Restart: "always", Rootfs: true}, "7 web.service stop running", "exited", false},
		{spec.Container{Restart: "always", Rootfs: true}, "", "", false}, // not asked by its unit
		{spec.Container{Restart: "always"}, "", "exited", false},
		{spec.Container{Rootfs: true}, "", "exited", false},
	} {
		t.Setenv("EXIT_CODE", tt.exit)
		t.Setenv("SERVICE_RESULT", "exit-code")
		env := &Env{Run: func(_ context.Context, c proc.Command) ([]byte, error) {
			if slices.Contains(c.Args, "list-jobs") {
				return []byte(tt.job), nil
			}
			return []byte("on-failure\n"), nil
		}}
		if got := returns(t.Context(), env, engine.State{Unit: unitOfSelf(), ImageID: "i", Container: tt.container}); got != tt.want {
			t.Errorf("%+v %q: %t", tt, tt.job, got)
		}
	}
}

// TestEndSeen: the end of a unit is not that of a container which is another's.
func TestEndSeen(t *testing.T) {
	env := map[string]string{"SERVICE_RESULT": "exit-code", "EXIT_CODE": "exited", "EXIT_STATUS": "7"}
	getenv := func(n string) string { return env[n] }
	if got := endSeen(engine.State{Unit: "web.service"}, "web.service", getenv); got == nil || got.Code != 7 {
		t.Errorf("its own: %+v", got)
	}
	if got := endSeen(engine.State{Unit: "other.service"}, "web.service", getenv); got != nil {
		t.Errorf("another's: %+v", got)
	}
	delete(env, "EXIT_CODE")
	if got := endSeen(engine.State{Unit: "web.service"}, "web.service", getenv); got != nil {
		t.Errorf("at its stop: %+v", got)
	}
}

// TestStartEnded: who starts a container beside others sees what has come of theirs; what was there before counts for nothing then.
func TestStartEnded(t *testing.T) {
	self, err := proc.Identify(1)
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	before, after := began.Add(-time.Hour), began.Add(time.Second)
	failed, missing := errors.New("job failed"), &engine.Exit{Code: 127, Error: "no such program"}
	for _, tt := range []struct {
		name string
		now  engine.State
		err  error
		over bool
		want string
	}{
		{"it runs", engine.State{Init: self, Started: before}, failed, true, ""},
		{"others have started it, and it has ended", engine.State{Started: after, Finished: after, Exit: &engine.Exit{Code: 3}}, sd.ErrAtOnce, true, ""},
		{"others were at its end", engine.State{Started: before, Finished: after, Exit: &engine.Exit{}}, sd.ErrAtOnce, false, sd.ErrAtOnce.Error()},
		{"others could not start it", engine.State{Finished: after, Exit: missing}, sd.ErrAtOnce, true, "no such program"},
		{"others have started it, and that failed", engine.State{Started: after, Finished: after, Exit: missing}, sd.ErrAtOnce, true, "no such program"},
		{"it could not be started earlier", engine.State{Finished: before, Exit: missing}, sd.ErrAtOnce, false, sd.ErrAtOnce.Error()},
		{"it could not be started", engine.State{Finished: after, Exit: missing}, failed, true, "no such program"},
		{"it ended before it was ready", engine.State{Started: after, Finished: after, Exit: &engine.Exit{Code: 1}}, failed, true, "job failed"},
		{"never started", engine.State{}, failed, true, "job failed"},
	} {
		over, err := startEnded(tt.now, began, tt.err)
		got := ""
		if err != nil {
			got = err.Error()
		}
		if over != tt.over || got != tt.want {
			t.Errorf("%s: %t, %v", tt.name, over, err)
		}
		var exit *ExitError
		if is := errors.As(err, &exit); is != (tt.want == "no such program") || is && exit.Code != 127 {
			t.Errorf("%s: status of %v", tt.name, err)
		}
	}
}

// TestByID: what was stopped is found by its ID then, also where another container has taken its name meanwhile; of many all are.
func TestByID(t *testing.T) {
	dirs := emptyRun(t)
	var names, all []string
	for i := range 4 {
		name, id := fmt.Sprint("c", i), fmt.Sprintf("%064x", i)
		lay(t, dirs, engine.State{ID: id, Name: name})
		names, all = append(names, name), append(all, id)
	}
	getenv := func(name string) string { return map[string]string{foundVariable: "c0 old c9 gone"}[name] }
	for _, tt := range []struct {
		names, want []string
	}{
		{[]string{"c0", "c1", "c9"}, []string{"old", "c1", "gone"}},
		{append(names, "none", "c9"), append([]string{"old"}, append(all[1:], "none", "gone")...)},
	} {
		if got := byID(tt.names, foundBefore(getenv)); !slices.Equal(got, tt.want) {
			t.Errorf("%v: %v, want %v", tt.names, got, tt.want)
		}
	}
	if got := byID([]string{"c0"}, foundBefore(func(string) string { return "" })); !slices.Equal(got, []string{"c0"}) {
		t.Errorf("nothing was stopped: %v", got)
	}
}

func TestKeepsLog(t *testing.T) {
	for _, tt := range []struct {
		driver       string
		remove, want bool
	}{
		{"", false, true}, {"", true, false}, {"journald", true, true}, {"k8s-file", true, true}, {"json-file", true, true},
		{"none", false, false}, {"passthrough", false, false}, {"paper", false, false},
	} {
		if got := keepsLog(spec.Container{LogDriver: tt.driver, Remove: tt.remove}); got != tt.want {
			t.Errorf("%+v: %t", tt, got)
		}
	}
}

func TestRestartProperties(t *testing.T) {
	for policy, want := range map[string]string{
		"": "", "no": "", "always": "Restart=always StartLimitIntervalSec=0", "unless-stopped": "Restart=always StartLimitIntervalSec=0",
		"on-failure":   "Restart=on-failure StartLimitIntervalSec=0",
		"on-failure:3": "Restart=on-failure StartLimitIntervalSec=infinity StartLimitBurst=4",
	} {
		got, err := restartProperties(policy)
		if err != nil || strings.Join(got, " ") != want {
			t.Errorf("%q: %v, %v", policy, got, err)
		}
	}
	for _, policy := range []string{"often", "on-failure:x", "on-failure:-1", "on-failure:"} {
		if got, err := restartProperties(policy); err == nil {
			t.Errorf("%q was taken: %v", policy, got)
		}
	}
}

func TestStatusText(t *testing.T) {
	then := time.Now().Add(-3 * time.Minute)
	self, err := proc.Identify(1)
	if err != nil {
		t.Fatal(err)
	}
	for want, s := range map[string]engine.State{
		"Created created 0":                     {},
		"Up 3 minutes running 0":                {Started: then, Init: self},
		"Exited (7) 3 minutes ago exited 7":     {Started: then, Finished: then, Exit: &engine.Exit{Code: 7}},
		"Exited (127) 3 minutes ago exited 127": {Finished: then, Exit: &engine.Exit{Code: 127}},
		"Exited (255) exited 255":               {Started: then},
	} {
		r := psRow{State: &s, status: status(s)}
		if got := fmt.Sprint(r.statusText(), " ", r.status, " ", r.exitCode()); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
