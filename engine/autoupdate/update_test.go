package autoupdate

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// A host is a registry, a store and units in memory.
type host struct {
	registry map[string]string // image → ID, whose digest is "d-ID"
	store    map[string]string // name → ID
	runs     map[string]string // unit → ID
	images   map[string]string // unit → image
	bad      map[string]bool   // IDs with which no unit works
	during   map[string]func() // what else happens
	repacked bool              // the registry has other digests of the same images
	unseen   int               // restarts that nobody sees the end of
	stopped  map[string]bool   // units that somebody has stopped
	offline  bool
	did      []string
}

func (h *host) Remote(_ context.Context, c Container) (string, error) {
	if h.offline {
		return "", errors.New("no link")
	}
	if h.repacked {
		return "other-" + h.registry[c.Image], nil
	}
	return "d-" + h.registry[c.Image], nil
}

func (h *host) Local(_ context.Context, image string) (Local, error) {
	return Local{ID: h.store[image], Digests: []string{"d-" + h.store[image]}}, nil
}

func (h *host) Pull(_ context.Context, c Container) (string, error) {
	h.did = append(h.did, "pull "+c.Image)
	h.store[c.Image] = h.registry[c.Image]
	h.happens("pull " + c.Image)
	return h.store[c.Image], nil
}

func (h *host) Tag(_ context.Context, id, name string) error {
	h.store[name] = id
	return nil
}

func (h *host) happens(what string) {
	if f := h.during[what]; f != nil {
		f()
	}
}

func (h *host) Restart(ctx context.Context, unit string, how How) error {
	if h.stopped[unit] && !how.Down {
		return fmt.Errorf("%s: %w", unit, ErrStopped)
	}
	h.did = append(h.did, map[bool]string{true: "quickly "}[how.Hurry]+"restart "+unit)
	h.runs[unit] = h.store[h.images[unit]]
	if h.unseen > 0 {
		h.unseen--
		return fmt.Errorf("systemctl: %w", ErrUnseen)
	}
	if h.happens("restart " + unit); ctx.Err() != nil {
		return ctx.Err()
	}
	h.happens("settled " + unit)
	if h.stopped[unit] {
		return fmt.Errorf("%s: %w", unit, ErrStopped)
	}
	if h.bad[h.runs[unit]] {
		return errors.New("it failed")
	}
	return nil
}

func (h *host) stop(unit string) func() { return func() { h.stopped[unit] = true } }

func (h *host) containers(policy string) []Container {
	var list []Container
	for unit, id := range h.runs {
		list = append(list, Container{Unit: unit, Name: unit, Image: h.images[unit], ImageID: id, Policy: policy})
	}
	return list
}

// updater is one that finds no unit gone.
func (h *host) updater(t *testing.T) *Updater {
	return &Updater{Host: h, Rollback: true, Log: func(s string) { t.Log(s) }, Now: time.Now, Record: func(Event) error { return nil },
		Gone: func(context.Context, string) bool { return false }, Forget: func(_ context.Context, name string) error {
			delete(h.store, name)
			return nil
		}}
}

func TestRun(t *testing.T) {
	for _, c := range []struct {
		name    string
		policy  string
		change  func(*host, *Updater)
		want    string // result per unit
		runs    string // ID that unit a runs afterwards
		did     string
		history int
	}{
		{"nothing new", "registry", func(*host, *Updater) {}, "a false, b false", "1", "", 0},
		{"a new image", "registry", func(h *host, _ *Updater) { h.registry["web"] = "2" }, "a true, b true", "2", "pull web, restart a, restart b", 2},
		{"dry run", "registry", func(h *host, u *Updater) { h.registry["web"], u.DryRun = "2", true }, "a pending, b pending", "1", "", 0},
		{"a bad image", "registry", func(h *host, _ *Updater) { h.registry["web"], h.bad["2"] = "2", true }, "a rolled back, b rolled back", "1", "pull web, restart a, restart a", 2},
		{"a bad image, no way back", "registry", func(h *host, u *Updater) { h.registry["web"], h.bad["2"], u.Rollback = "2", true, false }, "a failed, b failed", "2", "pull web, restart a", 1},
		{"known to be bad", "registry", func(h *host, u *Updater) {
			h.registry["web"], u.Past = "2", []Event{{Image: "web", Mark: "d-2", Result: RolledBack}}
		}, "a false, b false", "1", "", 0},
		{"better than the bad one", "registry", func(h *host, u *Updater) {
			h.registry["web"], u.Past = "3", []Event{{Image: "web", Mark: "d-2", Result: RolledBack}}
		}, "a true, b true", "3", "pull web, restart a, restart b", 2},
		{"no link", "registry", func(h *host, _ *Updater) { h.offline = true }, "a failed, b failed", "1", "", 0},
		{"the same, packed in another way", "registry", func(h *host, _ *Updater) { h.repacked = true }, "a false, b false", "1", "pull web", 0},
		{"the same, and one unit behind", "registry", func(h *host, _ *Updater) { h.repacked, h.runs["b"] = true, "0" }, "a false, b true", "1", "pull web, restart b", 1},
		{"pulled by somebody", "registry", func(h *host, _ *Updater) { h.registry["web"], h.store["web"] = "2", "2" }, "a true, b true", "2", "restart a, restart b", 2},
		{"local, nothing new", "local", func(h *host, _ *Updater) { h.offline = true }, "a false, b false", "1", "", 0},
		{"local, built anew", "local", func(h *host, _ *Updater) { h.offline, h.store["web"] = true, "2" }, "a true, b true", "2", "restart a, restart b", 2},
		{"local and bad", "local", func(h *host, _ *Updater) { h.store["web"], h.bad["2"] = "2", true }, "a rolled back, b rolled back", "1", "restart a, restart a", 2},
		{"a wrong label", "always", func(*host, *Updater) {}, "a failed, b failed", "1", "", 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := &host{registry: map[string]string{"web": "1"}, store: map[string]string{"web": "1"}, runs: map[string]string{"a": "1", "b": "1"},
				images: map[string]string{"a": "web", "b": "web"}, bad: map[string]bool{}}
			history := History{filepath.Join(t.TempDir(), "x", "history.json")}
			u := h.updater(t)
			u.Record = history.Add
			c.change(h, u)
			var got []string
			for _, r := range u.Run(t.Context(), h.containers(c.policy)) {
				got = append(got, r.Unit+" "+r.Updated)
				if (r.Updated == Failed || r.Updated == RolledBack) != (r.Err != nil) {
					t.Errorf("%s is %s with the error %v", r.Unit, r.Updated, r.Err)
				}
			}
			if s := strings.Join(got, ", "); s != c.want {
				t.Errorf("%s, want %s", s, c.want)
			}
			if h.runs["a"] != c.runs || strings.Join(h.did, ", ") != c.did {
				t.Errorf("a runs %s after %q, want %s after %q", h.runs["a"], h.did, c.runs, c.did)
			}
			events, err := history.Load()
			if err != nil || len(events) != c.history {
				t.Errorf("history %v, %v, want %d events", events, err, c.history)
			}
			if len(events) > 0 && !h.bad[h.runs["a"]] && h.store[lastGood("a")] != h.runs["a"] {
				t.Errorf("the last good image of a is %s, and it runs %s", h.store[lastGood("a")], h.runs["a"])
			}
		})
	}
}

func TestHistoryIsBounded(t *testing.T) {
	h := History{filepath.Join(t.TempDir(), "history.json")}
	for i := range keepEvents + 3 {
		if err := h.Add(Event{Unit: fmt.Sprint(i), Result: Yes}); err != nil {
			t.Fatal(err)
		}
	}
	all, err := h.Load()
	if err != nil || len(all) != keepEvents || all[0].Unit != "3" {
		t.Errorf("%d events, the first %v, %v", len(all), all[0], err)
	}
}

func TestGroups(t *testing.T) {
	got := groups([]Container{{Unit: "b", Image: "x", Policy: "local"}, {Unit: "c", Image: "y"}, {Unit: "a", Image: "x", Policy: "local"}, {Unit: "d", Image: "x", Policy: "registry"}})
	var units []string
	for _, g := range got {
		var names []string
		for _, c := range g {
			names = append(names, c.Unit)
		}
		units = append(units, strings.Join(names, "+"))
	}
	if want := []string{"a+b", "d", "c"}; !slices.Equal(units, want) {
		t.Errorf("%q, want %q", units, want)
	}
}

// An update that is interrupted goes back, and the image is tried again by the next one: nobody knows whether it works.
func TestInterrupted(t *testing.T) {
	for _, c := range []struct {
		name     string
		before   func(*host, context.CancelFunc)
		rollback bool
		want     string
		runs     string
		did      string
	}{
		{"while a unit starts", func(h *host, cancel context.CancelFunc) { h.during["restart b"] = cancel }, true, "a rolled back, b rolled back", "1 1",
			"pull web, restart a, restart b, quickly restart a, quickly restart b"},
		{"after the pull", func(h *host, cancel context.CancelFunc) { h.during["pull web"] = cancel }, true, "a rolled back, b rolled back", "1 1", "pull web"},
		{"between two units", func(h *host, cancel context.CancelFunc) { h.during["settled a"] = cancel }, true, "a rolled back, b rolled back", "1 1",
			"pull web, restart a, quickly restart a"},
		{"systemctl first of all", func(h *host, _ context.CancelFunc) { h.unseen = 1 }, true, "a rolled back, b rolled back", "1 1", "pull web, restart a, quickly restart a"},
		{"stopped by somebody before it", func(h *host, _ context.CancelFunc) { h.during["pull web"] = h.stop("a") }, true, "a rolled back, b rolled back", "1 1", "pull web"},
		{"stopped by somebody", func(h *host, _ context.CancelFunc) { h.during["settled a"] = h.stop("a") }, true, "a rolled back, b rolled back", "2 1",
			"pull web, restart a"},
		{"stopped by somebody, after one that works", func(h *host, _ context.CancelFunc) { h.during["settled b"] = h.stop("b") }, true,
			"a rolled back, b rolled back", "1 2", "pull web, restart a, restart b, quickly restart a"},
		{"no way back", func(h *host, cancel context.CancelFunc) { h.during["restart b"] = cancel }, false, "a failed, b failed", "2 2", "pull web, restart a, restart b"},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := &host{registry: map[string]string{"web": "2"}, store: map[string]string{"web": "1"}, runs: map[string]string{"a": "1", "b": "1"},
				images: map[string]string{"a": "web", "b": "web"}, during: map[string]func(){}, stopped: map[string]bool{}}
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			c.before(h, cancel)
			history := History{filepath.Join(t.TempDir(), "history.json")}
			u := h.updater(t)
			u.Rollback, u.Record = c.rollback, history.Add
			var got []string
			for _, r := range u.Run(ctx, h.containers("registry")) {
				got = append(got, r.Unit+" "+r.Updated)
				if r.Err == nil || !strings.Contains(r.Err.Error(), "the update to 2 was interrupted") {
					t.Errorf("%s: %v", r.Unit, r.Err)
				}
			}
			if s := strings.Join(got, ", "); s != c.want || h.runs["a"]+" "+h.runs["b"] != c.runs || strings.Join(h.did, ", ") != c.did {
				t.Errorf("%s; they run %s after %q; want %s, %s after %q", s, h.runs, h.did, c.want, c.runs, c.did)
			}
			events, err := history.Load()
			if err != nil || len(events) == 0 {
				t.Fatalf("history %v, %v", events, err)
			}
			for unit := range h.stopped { // which is started again
				h.runs[unit] = h.store["web"]
			}
			h.during, h.stopped = map[string]func(){}, map[string]bool{}
			u.Past = events
			for _, r := range u.Run(t.Context(), h.containers("registry")) {
				if r.Updated != map[bool]string{true: Yes, false: No}[c.rollback] || h.runs[r.Unit] != "2" {
					t.Errorf("the next update: %s %s, it runs %s", r.Unit, r.Updated, h.runs[r.Unit])
				}
			}
		})
	}
}

// The units that worked with a bad image and that somebody has stopped since are left so; the one that it keeps down is started.
func TestBackAfterStop(t *testing.T) {
	h := &host{registry: map[string]string{"web": "2"}, store: map[string]string{"web": "1"}, runs: map[string]string{"a": "1", "b": "1"},
		images: map[string]string{"a": "web", "b": "web"}, bad: map[string]bool{}, during: map[string]func(){}, stopped: map[string]bool{}}
	h.during["restart b"] = func() { h.bad["2"], h.stopped["a"] = true, true }
	for _, r := range h.updater(t).Run(t.Context(), h.containers("registry")) {
		if r.Updated != RolledBack {
			t.Errorf("%s: %s, %v", r.Unit, r.Updated, r.Err)
		}
	}
	if did := strings.Join(h.did, ", "); did != "pull web, restart a, restart b, restart b" {
		t.Error(did)
	}
}

// An image that did not work stays known as such when the update to another one is interrupted.
func TestInterruptedAfterBad(t *testing.T) {
	u := Updater{Past: []Event{{Image: "web", Mark: "d-2", Result: RolledBack}, {Image: "web", Result: RolledBack}}}
	if !u.bad("web", "d-2") || u.bad("web", "") {
		t.Error("a bad image is forgotten, or nothing is one")
	}
}

// The image that is kept for a unit goes with the unit, and no other does.
func TestForget(t *testing.T) {
	kept := []string{"a", "gone", "stopped"}
	for _, c := range []struct {
		name   string
		change func(*Updater)
		want   []string
	}{
		{"one is gone", func(*Updater) {}, []string{"a", "stopped"}},
		{"dry run", func(u *Updater) { u.DryRun = true }, kept},
		{"not by its last update alone", func(u *Updater) { u.Past = append(u.Past, Event{Unit: "gone"}, Event{Unit: "never"}) }, []string{"a", "stopped"}},
		{"nobody says so", func(u *Updater) { u.Gone = func(context.Context, string) bool { return false } }, kept},
	} {
		h := &host{registry: map[string]string{"web": "1"}, store: map[string]string{"web": "1"}, runs: map[string]string{"a": "1"}, images: map[string]string{"a": "web"}}
		u := h.updater(t)
		for _, unit := range kept {
			h.store[lastGood(unit)] = "1"
			u.Past = append(u.Past, Event{Unit: unit, Image: "web", Result: Yes})
		}
		u.Gone = func(_ context.Context, unit string) bool { return unit == "gone" || unit == "never" }
		c.change(u)
		u.Run(t.Context(), h.containers("registry"))
		var left []string
		for _, unit := range kept {
			if h.store[lastGood(unit)] != "" {
				left = append(left, unit)
			}
		}
		if !slices.Equal(left, c.want) || h.store["web"] != "1" {
			t.Errorf("%s: the images of %q are kept, want %q; %q", c.name, left, c.want, h.store)
		}
	}
}

// FuzzHistory: the file with what was done is read or refused, and one that was read can be added to.
func FuzzHistory(f *testing.F) {
	for _, text := range []string{`{"version":1,"events":[{"unit":"web.service"}]}`, `{"version":2}`, `{"events":null}`, `null`, `[]`, ``} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		h := History{filepath.Join(t.TempDir(), "history.json")}
		if err := os.WriteFile(h.Path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		before, err := h.Load()
		if err != nil {
			return
		}
		for _, e := range before {
			_ = e.String()
		}
		if err := h.Add(Event{Reason: "one more"}); err != nil {
			return // a time that cannot be written
		}
		if after, err := h.Load(); err != nil || len(after) != min(len(before)+1, keepEvents) || after[len(after)-1].Reason != "one more" {
			t.Errorf("%s: after one more there are %d, %v", data, len(after), err)
		}
	})
}
