package engine

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/berth-pods/berth/engine/spec"
)

// TestFindWhileItIsPutAway: between the record that says how a container ended and the removal of what it had in this boot, it
// is found as the record has it, by ID and by name.
func TestFindWhileItIsPutAway(t *testing.T) {
	d := Dirs{Run: t.TempDir(), Keep: t.TempDir()}
	id := strings.Repeat("a", 64)
	s := State{ID: id, Name: "web", ImageID: "i", Started: time.Now(), Container: spec.Container{Name: "web", Image: "i"}}
	lock, err := d.reserve(s)
	if err != nil {
		t.Fatal(err)
	}
	lock.Close()
	if err := os.Remove(filepath.Join(d.Container(id), "state.json")); err != nil {
		t.Fatal(err)
	}
	if got, err := d.Find("web"); err != nil || got.ID != id || got.ImageID != "" { // its maker was killed: no more is known
		t.Errorf("without a record: %+v, %v", got, err)
	}
	if err := os.Remove(d.Container(id)); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"web", id} {
		if got, err := d.Find(name); err != nil || got.ID != id || got.Name != "web" {
			t.Errorf("%s, without a directory: %+v, %v", name, got, err)
		}
	}
	s.Exit = &Exit{Code: 7}
	if err := d.keepNew(s); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{id, "web", id[:12]} {
		if got, err := d.Find(name); err != nil || got.Exit == nil || got.Exit.Code != 7 || !got.Lasting() {
			t.Errorf("%s: %+v, %v", name, got.Exit, err)
		}
	}
}

// TestFindByWholeID: a name that looks like an ID is a name, when no container has that ID.
func TestFindByWholeID(t *testing.T) {
	d := Dirs{Run: t.TempDir(), Keep: t.TempDir()}
	ids := []string{strings.Repeat("a", wholeID), strings.Repeat("b", wholeID)}
	for i, name := range []string{"web", strings.Repeat("c", wholeID)} {
		s := State{ID: ids[i], Name: name, ImageID: "i", Started: time.Now(), Container: spec.Container{Name: name}, Exit: &Exit{Code: i}}
		if err := d.keepNew(s); err != nil {
			t.Fatal(err)
		}
	}
	for name, want := range map[string]string{ids[0]: ids[0], ids[1]: ids[1], strings.Repeat("c", wholeID): ids[1], "web": ids[0], "aa": ids[0]} {
		if s, err := d.Find(name); err != nil || s.ID != want {
			t.Errorf("%s: %q, %v", name, s.ID, err)
		}
	}
	if s, err := d.Find(strings.Repeat("d", wholeID)); !errors.Is(err, ErrNoContainer) {
		t.Errorf("one that is not there: %+v, %v", s, err)
	}
}

// TestLockOfAReservation: who finds a name that has just been taken waits for who has taken it, though there is no directory yet.
func TestLockOfAReservation(t *testing.T) {
	d := Dirs{Run: t.TempDir()}
	for range 300 {
		id, err := NewID()
		if err != nil {
			t.Fatal(err)
		}
		var over atomic.Bool
		made := make(chan error)
		go func() {
			lock, err := d.reserve(State{ID: id, Name: "web"})
			over.Store(true)
			lock.Close()
			made <- err
		}()
		for _, err = d.Find("web"); errors.Is(err, ErrNoContainer); _, err = d.Find("web") {
			runtime.Gosched()
		}
		lock, err := d.lockAny(id)
		if err != nil || !over.Load() {
			t.Errorf("it did not wait: %v", err)
		}
		lock.Close()
		if err := errors.Join(<-made, d.release(State{ID: id, Name: "web"})); err != nil || t.Failed() {
			t.Fatal(err)
		}
	}
}

// TestLockAfterAMaker: who has waited for the maker of a container that is kept by then has the lock that keeps others out, whether it ran on or
// has come to its end.
func TestLockAfterAMaker(t *testing.T) {
	for _, ended := range []bool{false, true} {
		d := Dirs{Run: t.TempDir(), Keep: t.TempDir()}
		s := State{ID: strings.Repeat("a", wholeID), Name: "web", ImageID: "i", Container: spec.Container{Name: "web"}}
		maker, err := d.reserve(s)
		if err != nil {
			t.Fatal(err)
		}
		locked := make(chan *os.File)
		go func() {
			lock, err := d.lockAny(s.ID)
			if err != nil {
				t.Errorf("ended %t: %v", ended, err)
			}
			locked <- lock
		}()
		for opened := 0; opened < 2; { // by its maker, and by who waits
			opened = 0
			files, _ := filepath.Glob("/proc/self/fd/*")
			for _, f := range files {
				if target, _ := os.Readlink(f); target == d.Container(s.ID) {
					opened++
				}
			}
		}
		if err := d.keepNew(s); err != nil {
			t.Fatal(err)
		}
		if ended {
			if err := d.release(s); err != nil {
				t.Fatal(err)
			}
		}
		maker.Close()
		lock := <-locked
		if is, want := lock.Name(), filepath.Dir(d.record(s.ID)); is != want {
			t.Errorf("ended %t: %s is locked, want %s", ended, is, want)
		}
		lock.Close()
	}
}

// TestFileOfAnother: a state or record that does not say whose it is, or says another's ID, is damaged. What is removed with a container
// is found by its ID, and the directory of none is that of all.
func TestFileOfAnother(t *testing.T) {
	id, other := strings.Repeat("a", wholeID), strings.Repeat("b", wholeID)
	for _, text := range []string{`{}`, `null`, `{"version":1,"id":"` + other + `","name":"web"}`, `{"version":1,"name":"web"}`} {
		d := Dirs{Run: t.TempDir(), Keep: t.TempDir()}
		for file, read := range map[string]func(string) (State, error){filepath.Join(d.Container(id), "state.json"): d.Load, d.record(id): d.kept} {
			if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o700), os.WriteFile(file, []byte(text), 0o600)); err != nil {
				t.Fatal(err)
			}
			if s, err := read(id); err == nil || !strings.Contains(err.Error(), file+" is damaged") || s.ID == other || s.Name != "" {
				t.Errorf("%s in %s: %+v, %v", text, filepath.Base(file), s, err)
			}
		}
	}
}

func TestForgetRefuses(t *testing.T) {
	d := Dirs{Run: t.TempDir(), Keep: t.TempDir()}
	id := strings.Repeat("a", wholeID)
	for _, dir := range []string{d.Container(id), filepath.Join(d.Keep, id)} {
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	for _, no := range []string{"", ".", id[1:], "../" + id[3:]} {
		if d.forget(no) == nil || d.release(State{ID: no}) == nil {
			t.Errorf("%q is taken for an ID", no)
		}
	}
	for _, dir := range []string{d.Container(id), filepath.Join(d.Keep, id)} {
		if _, err := os.Stat(dir); err != nil {
			t.Error(err)
		}
	}
	if err := errors.Join(d.forget(id), d.release(State{ID: id})); err != nil {
		t.Error(err)
	}
}

// TestRecordUnknown: that a record cannot be looked for does not say that there is none.
func TestRecordUnknown(t *testing.T) {
	d := Dirs{Keep: t.TempDir()}
	id := strings.Repeat("a", wholeID)
	if is, err := d.hasRecord(id); is || err != nil {
		t.Errorf("there is none: %t, %v", is, err)
	}
	if err := errors.Join(os.Mkdir(filepath.Join(d.Keep, id), 0o700), os.WriteFile(filepath.Dir(d.record(id)), nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	if is, err := d.hasRecord(id); is || err == nil {
		t.Errorf("nobody can know: %t, %v", is, err)
	}
}

// TestUnread: what cannot be read of containers is found by their IDs; what others have in the store is not berth's.
func TestUnread(t *testing.T) {
	d := Dirs{Run: t.TempDir(), Keep: t.TempDir()}
	ids := map[string]string{}
	for _, name := range []string{"record", "state", "newer", "whole", "both", "half", "theirs"} {
		ids[name] = fmt.Sprintf("%064x", len(ids))
	}
	var errs []error
	for name, text := range map[string]string{"record": "{", "newer": `{"version":9}`, "whole": `{"version":1,"id":"` + ids["whole"] + `"}`, "both": "{"} {
		errs = append(errs, os.MkdirAll(filepath.Dir(d.record(ids[name])), 0o700), os.WriteFile(d.record(ids[name]), []byte(text), 0o600))
	}
	for _, name := range []string{"state", "both"} {
		errs = append(errs, os.Mkdir(d.Container(ids[name]), 0o700), os.WriteFile(d.stateFile(ids[name]), nil, 0o600))
	}
	errs = append(errs, os.Mkdir(d.Container(ids["half"]), 0o700), os.Mkdir(filepath.Join(d.Keep, ids["theirs"]), 0o700))
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
	want := []string{ids["record"], ids["state"], ids["newer"], ids["both"]}
	if got, err := d.Unread(); err != nil || !slices.Equal(got, want) {
		t.Errorf("%v, %v; want %v", got, err, want)
	}
}

// TestFindDamaged: one whose record is damaged is found by its ID, the beginning of that, and the name that the store has for it, and told of.
func TestFindDamaged(t *testing.T) {
	d := Dirs{Run: t.TempDir(), Keep: t.TempDir()}
	id, other := strings.Repeat("a", wholeID), strings.Repeat("b", wholeID)
	for name, id := range map[string]string{"web": id, "other": other} {
		if err := d.keepNew(State{ID: id, Name: name, ImageID: "i", Container: spec.Container{Name: name}}); err != nil {
			t.Fatal(err)
		}
	}
	store := `[{"id":"` + strings.Repeat("c", wholeID) + `","names":["web"]},{"id":"` + id + `","names":["web"]},{"id":"` + other + `","names":["was"]}]`
	if err := errors.Join(os.WriteFile(filepath.Join(d.Keep, "containers.json"), []byte(store), 0o600), os.WriteFile(d.record(id), nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	for _, word := range []string{id, id[:12], "a", "web"} {
		if s, err := d.Find(word); !errors.Is(err, ErrDamaged) || s.ID != id || !strings.Contains(err.Error(), d.record(id)+" is damaged: ") || !strings.Contains(err.Error(), "; `berth rm "+id[:12]+"` removes") {
			t.Errorf("%s: %+v, %v", word, s.ID, err)
		}
	}
	for word, want := range map[string]string{"other": other, "was": "", "b": other, other: other, "none": "", "c": ""} {
		if s, err := d.Find(word); s.ID != want || (want == "") != errors.Is(err, ErrNoContainer) {
			t.Errorf("%s: %+v, %v", word, s.ID, err)
		}
	}
}

// TestAllWithDamagedState: a container whose state of this boot is damaged is listed as its record has it, and reported.
func TestAllWithDamagedState(t *testing.T) {
	d := Dirs{Run: t.TempDir(), Keep: t.TempDir()}
	id := strings.Repeat("a", wholeID)
	if err := d.keepNew(State{ID: id, Name: "web", ImageID: "i", Container: spec.Container{Name: "web"}}); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(d.Container(id), "state.json")
	if err := errors.Join(os.Mkdir(d.Container(id), 0o700), os.WriteFile(file, []byte("{"), 0o600)); err != nil {
		t.Fatal(err)
	}
	list, unread, err := d.Listed(true)
	if err != nil || len(list) != 1 || list[0].Name != "web" || unread == nil || !strings.Contains(unread.Error(), file) {
		t.Errorf("%+v, %v, %v", list, unread, err)
	}
	if err := os.WriteFile(d.record(id), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if list, unread, err = d.Listed(true); err != nil || len(list) != 0 || unread == nil || !strings.Contains(unread.Error(), file) {
		t.Errorf("both are damaged: %+v, %v, %v", list, unread, err)
	}
}

// TestOutlives: a user namespace that is the one it would have anyway makes no difference.
func TestOutlives(t *testing.T) {
	for userns, want := range map[string]bool{"": true, "host": true, "auto": false, "keep-id:uid=5": false, "ns:/x": false, "wrong": false} {
		if got := Outlives(spec.Container{UserNS: userns}); got != want {
			t.Errorf("userns %q: %v, want %v", userns, got, want)
		}
	}
	if Outlives(spec.Container{UIDMaps: []string{"0:1:1"}}) || Outlives(spec.Container{Rootfs: true}) {
		t.Error("one with maps, or on a directory, does not")
	}
}
