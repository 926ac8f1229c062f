package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/berth-pods/berth/engine"
	"github.com/berth-pods/berth/engine/autoupdate"
	"github.com/berth-pods/berth/engine/keeper"
	"github.com/berth-pods/berth/engine/proc"
	"github.com/berth-pods/berth/engine/spec"
)

func TestPrintUpdates(t *testing.T) {
	results := []autoupdate.Result{
		{Container: autoupdate.Container{Unit: "a.service", ID: "0123456789abcdef", Name: "a", Image: "host/a:1", Policy: "registry"}, Updated: "true"},
		{Container: autoupdate.Container{Unit: "b.service", ID: "fedcba9876543210", Name: "b", Image: "host/b:1", Policy: "local"}, Updated: "rolled back", Err: errors.New("b does not work")},
	}
	for format, want := range map[string]string{
		"":                             "UNIT       CONTAINER         IMAGE     POLICY    UPDATED\na.service  0123456789ab (a)  host/a:1  registry  true\nb.service  fedcba987654 (b)  host/b:1  local     rolled back\n",
		"table":                        "UNIT       CONTAINER         IMAGE     POLICY    UPDATED\na.service  0123456789ab (a)  host/a:1  registry  true\nb.service  fedcba987654 (b)  host/b:1  local     rolled back\n",
		"table {{.Unit}} {{.Updated}}": "UNIT       UPDATED\na.service  true\nb.service  rolled back\n",
		"{{.Unit}} {{.Updated}}":       "a.service true\nb.service rolled back\n",
	} {
		var out bytes.Buffer
		err := printUpdates(&Env{Out: &out}, results, format)
		if out.String() != want || err == nil || err.Error() != "b does not work" {
			t.Errorf("%q: %q, %v; want %q", format, out.String(), err, want)
		}
	}
}

// What a restart of its unit would not make anew is told one by one, and keeps nothing else from being updated.
func TestUpdatable(t *testing.T) {
	dirs := emptyRun(t)
	self, err := proc.Identify(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	registry := spec.Container{Labels: []string{"io.containers.autoupdate=registry"}}
	for i, s := range []engine.State{
		{Name: "good", Unit: "good.service", Container: registry},
		{Name: "labelled", Container: spec.Container{Labels: append([]string{"PODMAN_SYSTEMD_UNIT=good.service"}, registry.Labels...)}},
		{Name: "unlabelled", Unit: "good.service"},
		{Name: "disabled", Unit: "good.service", Container: spec.Container{Labels: []string{"io.containers.autoupdate=disabled"}}},
		{Name: "alone", Container: registry},
		{Name: "again", Unit: "again.service", Existing: true, Container: registry},
		{Name: "front", Unit: "run-p1.scope", Container: registry},
		{Name: "gone", Unit: "gone.service", Container: registry},
		{Name: "tree", Unit: "good.service", Image: "/tree", ImageID: "-", Container: registry},
	} {
		s.ID, s.Init = strings.Repeat(fmt.Sprintf("%02d", i), 32), self
		s.ImageID = map[string]string{"": "1"}[s.ImageID]
		lay(t, dirs, s)
	}
	env := &Env{Run: func(_ context.Context, c proc.Command) ([]byte, error) {
		return map[string][]byte{
			"good.service": []byte("LoadState=loaded\nCanStart=yes\n"), "run-p1.scope": []byte("LoadState=loaded\nCanStart=no\n"),
			"gone.service": []byte("LoadState=not-found\nCanStart=no\n"),
		}[c.Args[len(c.Args)-1]], nil
	}}
	list, refused, err := updateHost{env: env}.updatable(t.Context(), dirs)
	var names, why []string
	for _, c := range list {
		names = append(names, c.Name+" "+c.Unit)
	}
	for _, e := range refused {
		text, _, _ := strings.Cut(strings.TrimPrefix(e.Error(), "update container "), ";")
		why = append(why, text)
	}
	slices.Sort(names)
	slices.Sort(why)
	if want := []string{"good good.service", "labelled good.service"}; err != nil || !slices.Equal(names, want) {
		t.Errorf("%q, %v, want %q", names, err, want)
	}
	want := []string{
		`"again": a restart of again.service starts the container that is there, with the image it has`,
		`"alone": it has no unit that systemd could restart`,
		`"front": systemd cannot restart run-p1.scope, which it does not start`,
		`"gone": systemd cannot restart gone.service, which is not-found`,
		`"tree": it is made of a directory, not of an image`,
	}
	if !slices.Equal(why, want) {
		t.Errorf("%q, want %q", why, want)
	}
}

func TestGone(t *testing.T) {
	for said, want := range map[string]bool{
		"LoadState=not-found\nActiveState=inactive\n": true, "LoadState=not-found\nActiveState=failed\n": true,
		"LoadState=not-found\nActiveState=active\n": false, "LoadState=loaded\nActiveState=inactive\n": false,
		"LoadState=masked\nActiveState=inactive\n": false, "LoadState=bad-setting\nActiveState=failed\n": false, "": false,
	} {
		env := &Env{Run: func(context.Context, proc.Command) ([]byte, error) { return []byte(said), nil }}
		if got := (updateHost{env: env}).gone(t.Context(), "web.service"); got != want {
			t.Errorf("%q: %t", said, got)
		}
	}
	env := &Env{Run: func(context.Context, proc.Command) ([]byte, error) { return nil, errors.New("no bus") }}
	if (updateHost{env: env}).gone(t.Context(), "web.service") {
		t.Error("a unit is gone that systemd was not asked for")
	}
}

// A systemctl that a signal ended has said nothing of the image.
func TestUnseen(t *testing.T) {
	for code, want := range map[int]bool{1: false, 143: true, 130: true} {
		for _, verb := range []string{"reset-failed", "try-restart", "show"} {
			env := &Env{Run: func(_ context.Context, c proc.Command) ([]byte, error) {
				if slices.Contains(c.Args, verb) {
					return nil, &proc.ExitError{Program: "systemctl", Code: code}
				}
				return []byte("ActiveState=active\n"), nil
			}}
			err := updateHost{env: env, settle: time.Minute}.Restart(t.Context(), "web.service", autoupdate.How{})
			if got := errors.Is(err, autoupdate.ErrUnseen); err == nil || got != (want || verb == "show") {
				t.Errorf("%s ended with %d: %v", verb, code, err)
			}
		}
	}
	env := &Env{Run: func(context.Context, proc.Command) ([]byte, error) { return []byte("ActiveState=active\n"), nil }}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	emptyRun(t)
	if err := (updateHost{env: env, settle: time.Minute}).Restart(ctx, "web.service", autoupdate.How{}); !errors.Is(err, autoupdate.ErrUnseen) {
		t.Errorf("while it settles: %v", err)
	}
}

// Somebody who stops or restarts a unit that is watched has said nothing of the image; a unit that ends by itself has.
func TestStoppedByOthers(t *testing.T) {
	probed := &spec.Health{OnFailure: "restart"}
	show := func(state, result, invocation string) string {
		return "ActiveState=" + state + "\nResult=" + result + "\nInvocationID=" + invocation + "\nType=notify\n"
	}
	up, ready := show("active", "success", "1"), show("active", "success", "2")
	old, own, byOther := "1", "2", autoupdate.ErrStopped
	for _, c := range []struct {
		name   string
		shown  []string // one after the other
		told   []string // the invocations that systemd was told to end, by the journal
		fails  bool     // the restart
		health *spec.Health
		how    autoupdate.How
		want   error
		text   string
	}{
		{name: "works", shown: []string{up, ready}, told: []string{old}},
		{name: "restarted", shown: []string{up, ready, show("deactivating", "success", "2"), show("activating", "success", "3")}, told: []string{old, own}, want: byOther},
		{name: "stopped", shown: []string{up, ready, show("deactivating", "success", "2"), show("inactive", "success", "2")}, told: []string{old, own}, want: byOther},
		{name: "stopped and forgotten", shown: []string{up, ready, show("inactive", "success", "")}, told: []string{old, own}, want: byOther},
		{name: "stopped and killed", shown: []string{up, ready, show("failed", "signal", "2")}, told: []string{old, own}, want: byOther},
		{name: "stopped while it starts", shown: []string{up, show("failed", "exit-code", "2")}, told: []string{old, own}, fails: true, want: byOther},
		{name: "stopped before", shown: []string{show("inactive", "success", "1")}, want: byOther},
		{name: "stopped before, to be started", shown: []string{show("inactive", "success", "1"), ready}, how: autoupdate.How{Down: true}},
		{name: "does not start", shown: []string{up, show("failed", "exit-code", "2")}, told: []string{old}, fails: true, text: "exit-code, systemctl"},
		{name: "ends", shown: []string{up, ready, show("inactive", "success", "2")}, told: []string{old}, text: "did not stay up: it is inactive"},
		{name: "ends and is forgotten", shown: []string{up, ready, show("inactive", "success", "")}, told: []string{old}, text: "did not stay up: it is inactive"},
		{name: "is restarted by systemd", shown: []string{up, ready, show("active", "success", "3")}, told: []string{old}, text: "ended and was started again"},
		{name: "is restarted by its probes", shown: []string{up, ready, ready, show("active", "success", "3")}, told: []string{old, own}, health: probed,
			text: "ended and was started again"},
		{name: "no journal", shown: []string{up, ready, show("failed", "signal", "2")}, text: "did not stay up: signal"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dirs := emptyRun(t)
			self, err := proc.Identify(os.Getpid())
			if err != nil {
				t.Fatal(err)
			}
			lay(t, dirs, engine.State{ID: strings.Repeat("0", 64), Name: "web", Unit: "web.service", Init: self, Health: c.health})
			env := &Env{Run: func(_ context.Context, p proc.Command) ([]byte, error) {
				switch {
				case filepath.Base(p.Path) == "journalctl":
					var lines strings.Builder
					for _, id := range c.told {
						fmt.Fprintf(&lines, "{\"__REALTIME_TIMESTAMP\":\"%d\",\"INVOCATION_ID\":%q}\n", time.Now().UnixMicro(), id)
					}
					return []byte(lines.String()), nil
				case slices.Contains(p.Args, "show"):
					now := c.shown[0]
					if len(c.shown) > 1 {
						c.shown = c.shown[1:]
					}
					return []byte(now), nil
				case c.fails && slices.Contains(p.Args, "try-restart"):
					return nil, &proc.ExitError{Program: "systemctl", Code: 1}
				}
				return nil, nil
			}}
			synctest.Test(t, func(t *testing.T) {
				err = updateHost{env: env, settle: time.Second}.Restart(t.Context(), "web.service", c.how)
			})
			switch {
			case c.text == "" && !errors.Is(err, c.want):
				t.Errorf("%v, want %v", err, c.want)
			case c.text != "" && (err == nil || errors.Is(err, autoupdate.ErrUnseen) || !strings.Contains(err.Error(), c.text)):
				t.Errorf("%v, want %s", err, c.text)
			}
		})
	}
}

func TestPin(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("QUADLET_UNIT_DIRS", dir)
	for name, text := range map[string]string{
		"web.container": "[Container]\nImage=host:5000/team/web:1\n", "other.container": "[Container]\nImage=x.image\n", "none.container": "[Container]\nExec=x\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	digest := "sha256:" + strings.Repeat("a", 64)
	var out bytes.Buffer
	env := &Env{Out: &out, Run: func(_ context.Context, c proc.Command) ([]byte, error) {
		if len(c.Args) > 2 && c.Args[1] == "inspect" {
			return []byte(fmt.Sprintf(`[{"Id":"1","Digest":"%s"}]`, digest)), nil
		}
		return nil, nil
	}}
	if err := runPin(t.Context(), env, []string{"web"}); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "web.container.d", "50-berth-pin.conf")
	data, _ := os.ReadFile(file)
	if !strings.HasSuffix(string(data), "\n[Container]\nImage=host:5000/team/web@"+digest+"\n") || out.String() != file+"\n" {
		t.Errorf("%q, %q", data, out.String())
	}
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"nope"}, "there is no nope.container in " + dir},
		{[]string{"other"}, "is no name with a digest of its own"},
		{[]string{"none"}, "has no Image="},
		{[]string{"--digest", "sha256:1", "web"}, "is no digest"},
		{[]string{"--digest", digest, "web", "none"}, "--digest is for one unit"},
		{nil, "name a unit"},
	} {
		if err := runPin(t.Context(), env, c.args); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("pin %q: %v, want %q", c.args, err, c.want)
		}
	}
	if err := runUnpin(t.Context(), env, []string{"web.service"}); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(filepath.Dir(file)); err == nil {
		t.Error("the drop-in is still there")
	}
	if err := runUnpin(t.Context(), env, []string{"web"}); err == nil || !strings.Contains(err.Error(), "not pinned") {
		t.Error(err)
	}
}

// A container with a health check has worked when it is healthy.
func TestWaitForHealth(t *testing.T) {
	probed := &spec.Health{Interval: time.Second, Timeout: time.Second, Retries: 3, StartPeriod: 10 * time.Second, Startup: &spec.Startup{Interval: time.Second, Success: 2}}
	failed := []keeper.Probe{{ExitCode: 7, Output: "no answer\n"}}
	for _, c := range []struct {
		name    string
		health  *spec.Health
		verdict keeper.Verdict
		waited  time.Duration
		waiting bool
		want    string // in the error
	}{
		{"no health check", nil, keeper.Verdict{}, time.Hour, false, ""},
		{"only when asked", &spec.Health{}, keeper.Verdict{Status: keeper.Starting}, time.Hour, false, ""},
		{"healthy", probed, keeper.Verdict{Status: keeper.Healthy}, 0, false, ""},
		{"starting", probed, keeper.Verdict{Status: keeper.Starting, Log: failed}, 20 * time.Second, true, ""},
		{"unhealthy", probed, keeper.Verdict{Status: keeper.Unhealthy, Log: failed}, 0, false, `container "web" is unhealthy: the probe ended with status 7 and said "no answer"`},
		{"for ever starting", probed, keeper.Verdict{Status: keeper.Starting}, 22 * time.Second, false, "still not healthy, it is starting"},
	} {
		verdict := func(s engine.State) *keeper.Verdict {
			if s.Health == nil {
				return nil
			}
			return &c.verdict
		}
		waiting, err := waitForHealth([]engine.State{{Name: "web", Health: c.health}}, verdict, c.waited)
		if waiting != c.waiting || (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %t, %v", c.name, waiting, err)
		}
	}
}
