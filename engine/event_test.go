package engine_test

import (
	"context"
	"strings"
	"testing"

	"github.com/berth-pods/berth/engine"
	"github.com/berth-pods/berth/engine/events"
)

// TestEvents: each thing that happens to a container is told once, in its order, and its end with its exit status.
func TestEvents(t *testing.T) {
	b := newBench(t)
	ctx := context.Background()
	var told []string
	do := func(f func(*engine.Engine) error) {
		t.Helper()
		err := b.on(func(e *engine.Engine) error {
			e.Event = func(event events.Event) {
				text := strings.Join(event.What, "+")
				if event.ExitCode != nil {
					text += map[bool]string{true: "=3", false: "=?"}[*event.ExitCode == 3]
				}
				if event.Name != "web" || event.ID == "" || event.Type != "container" {
					t.Errorf("told %+v", event)
				}
				told = append(told, text)
			}
			return f(e)
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	check := func(want string) {
		t.Helper()
		if got := strings.Join(told, " "); got != want {
			t.Errorf("told %q, want %q", got, want)
		}
		told = nil
	}
	var s engine.State
	do(func(e *engine.Engine) (err error) { s, err = e.Create(ctx, keptWeb()); return err })
	do(func(e *engine.Engine) (err error) { s, err = e.Start(ctx, s); return err })
	check("create start")
	do(func(e *engine.Engine) error { return e.Stop(ctx, s, force) })
	do(func(e *engine.Engine) error { return e.Cleanup(ctx, s, engine.Exit{Code: 3}) })
	do(func(e *engine.Engine) error { return e.Cleanup(ctx, s, engine.Exit{Code: 3}) })
	check("stop died=3")
	do(func(e *engine.Engine) error { return e.Remove(ctx, "web", force) })
	do(func(e *engine.Engine) error { return e.Remove(ctx, "web", force) })
	check("remove")
	do(func(e *engine.Engine) (err error) { s, err = e.Run(ctx, web()); return err })
	check("create+start")
	do(func(e *engine.Engine) error { return e.Remove(ctx, "web", force) })
	check("stop died+remove")
	do(func(e *engine.Engine) (err error) { s, err = e.Run(ctx, web()); return err })
	do(func(e *engine.Engine) error { return e.Cleanup(ctx, s, engine.Exit{Code: 3}) })
	check("create+start died+remove=3")
}
