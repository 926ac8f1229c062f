//go:build containers_image_openpgp

package image

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	"go.podman.io/image/v5/types"
	"go.podman.io/storage"

	"github.com/berth-pods/berth/examples/mkimage/archive"
)

// loadAs stores an image under names and returns its ID; user makes it differ from others.
func loadAs(t *testing.T, im *Images, user string, names ...string) string {
	t.Helper()
	i := twoLayers(t, names...)
	i.Config.User = user
	i.Created = time.Unix(int64(len(user))*1000, 0)
	loaded, err := im.Load(t.Context(), writeFile(t, "x.tar", string(imageFiles(t, archive.OCI, i).tar(t))))
	if err != nil {
		t.Fatal(err)
	}
	return loaded[0].ID
}

func names(t *testing.T, im *Images, id string) []string {
	t.Helper()
	img, _, err := im.lookup(id)
	if err != nil {
		t.Fatal(err)
	}
	sorted := slices.Clone(img.Names)
	slices.Sort(sorted)
	return sorted
}

func TestTag(t *testing.T) {
	im := openStore(t)
	one, two := loadAs(t, im, "a", "web"), loadAs(t, im, "bb", "db")
	if err := im.Tag("web", []string{"front:1", "quay.io/team/front", "db"}); err != nil {
		t.Fatal(err)
	}
	if got := names(t, im, one); !slices.Equal(got, []string{"localhost/db:latest", "localhost/front:1", "localhost/web:latest", "quay.io/team/front:latest"}) {
		t.Errorf("the image is called %q", got)
	}
	if got := names(t, im, two); len(got) != 0 {
		t.Errorf("the other image is still called %q", got)
	}
	if err := im.Untag("web", []string{"front:1"}); err != nil {
		t.Fatal(err)
	}
	if err := im.Untag("web", []string{"front:1"}); err == nil || !strings.Contains(err.Error(), "not called") {
		t.Errorf("a name was taken away twice: %v", err)
	}
	if err := im.Untag(one, nil); err != nil || len(names(t, im, one)) != 0 {
		t.Errorf("untag without names left %q (%v)", names(t, im, one), err)
	}
	for _, bad := range [][]string{{"Bad"}, {"x@sha256:" + strings.Repeat("0", 64)}} {
		if err := im.Tag(one, bad); err == nil {
			t.Errorf("tag %q was accepted", bad)
		}
	}
}

func TestRemove(t *testing.T) {
	im := openStore(t)
	id := loadAs(t, im, "a", "web:1", "web:2")
	if _, err := im.Remove("nope", RemoveOptions{}); !errors.Is(err, ErrMissing) {
		t.Errorf("a missing image: %v", err)
	}
	if _, err := im.Remove("nope", RemoveOptions{Ignore: true}); err != nil {
		t.Errorf("a missing image with ignore: %v", err)
	}
	if _, err := im.Remove(id, RemoveOptions{}); err == nil || !strings.Contains(err.Error(), "several names") {
		t.Errorf("by ID with two names: %v", err)
	}
	r, err := im.Remove("web:1", RemoveOptions{})
	if err != nil || r.Deleted != "" || !slices.Equal(r.Untagged, []string{"localhost/web:1"}) {
		t.Errorf("one of two names: %+v, %v", r, err)
	}
	c, err := im.store.CreateContainer("", []string{"user"}, id, "", "", nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range []RemoveOptions{{}, {Force: true}} {
		if _, err := im.Remove("web:2", o); !errors.Is(err, ErrInUse) || !strings.Contains(err.Error(), "container user") {
			t.Errorf("in use, %+v: %v", o, err)
		}
	}
	if removed, err := im.RemoveAll(); err != nil || len(removed) != 0 {
		t.Errorf("remove all of what is in use: %+v, %v", removed, err)
	}
	if err := im.store.DeleteContainer(c.ID); err != nil {
		t.Fatal(err)
	}
	if r, err := im.Remove("web:2", RemoveOptions{}); err != nil || r.Deleted != id {
		t.Errorf("the last name: %+v, %v", r, err)
	}
	mustBeEmpty(t, im)
}

func TestRemoveAll(t *testing.T) {
	im := openStore(t)
	loadAs(t, im, "a", "web")
	loadAs(t, im, "bb")
	if removed, err := im.RemoveAll(); err != nil || len(removed) != 2 {
		t.Errorf("%+v, %v; want two images removed", removed, err)
	}
	mustBeEmpty(t, im)
}

func TestList(t *testing.T) {
	im := openStore(t)
	web, db, none := loadAs(t, im, "a", "web:1", "quay.io/team/web:2"), loadAs(t, im, "bb", "db"), loadAs(t, im, "ccc")
	for _, c := range []struct {
		filters string
		want    []string
	}{
		{"", []string{none, db, web}},
		{"reference=web", []string{web}},
		{"reference=web:1", []string{web}},
		{"reference=web:9", nil},
		{"reference=team/*", []string{web}},
		{"reference=*", []string{db, web}},
		{"dangling=true", []string{none}},
		{"dangling=false", []string{db, web}},
		{"label=app", []string{none, db, web}},
		{"label=app=db", nil},
		{"id=" + db[:12], []string{db}},
		{"before=db", []string{web}},
		{"since=db", []string{none}},
		{"dangling=false since=web:1", []string{db}},
		{"readonly=true", nil},
		{"containers=false manifest=false intermediate=false", []string{none, db, web}},
		{"containers=true", nil},
		{"manifest=true", nil},
		{"intermediate=true", nil},
		{"until=1960-01-01", nil},
		{"until=1s", []string{none, db, web}},
		{"digest=sha256:", []string{none, db, web}},
		{"digest=sha256:0", nil},
		{"label!=nothing", []string{none, db, web}},
	} {
		list, err := im.List(strings.Fields(c.filters))
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, s := range list {
			got = append(got, s.ID)
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("filters %q: %q, want %q", c.filters, got, c.want)
		}
	}
	for _, bad := range []string{"dangling", "dangling=x", "color=red", "before=nope"} {
		if _, err := im.List([]string{bad}); err == nil {
			t.Errorf("filter %q was accepted", bad)
		}
	}
}

func TestRefers(t *testing.T) {
	for _, c := range []struct {
		pattern, full string
		want          bool
	}{
		{"web", "localhost/web:latest", true}, {"web:latest", "localhost/web:latest", true}, {"web:1", "localhost/web:latest", false},
		{"localhost/web", "localhost/web:1", true}, {"eb", "localhost/web:1", false}, {"w*", "localhost/web:1", true},
		{"host:5000/web", "host:5000/web:1", true}, {"web:*", "a/web@sha256:00", false}, {"[", "web:1", false},
	} {
		if got := refers(c.pattern, c.full); got != c.want {
			t.Errorf("refers(%q, %q) = %t", c.pattern, c.full, got)
		}
	}
}

func TestTally(t *testing.T) {
	start := time.Unix(0, 0)
	a := types.BlobInfo{Digest: digest.FromString("a"), Size: 100}
	b := types.BlobInfo{Digest: digest.FromString("b"), Size: 300}
	unknown := types.BlobInfo{Digest: digest.FromString("c"), Size: -1}
	tally := newTally("web", start, nil)
	for i, step := range []struct {
		event types.ProgressProperties
		want  string
	}{
		{types.ProgressProperties{Event: types.ProgressEventNewArtifact, Artifact: a}, "web: 0% (0 B of 100 B, 0 B/s)"},
		{types.ProgressProperties{Event: types.ProgressEventNewArtifact, Artifact: b}, "web: 0% (0 B of 400 B, 0 B/s)"},
		{types.ProgressProperties{Event: types.ProgressEventRead, Artifact: b, Offset: 150}, "web: 37% (150 B of 400 B, 50 B/s)"},
		{types.ProgressProperties{Event: types.ProgressEventDone, Artifact: b, Offset: 300}, "web: 75% (300 B of 400 B, 75 B/s)"},
		{types.ProgressProperties{Event: types.ProgressEventSkipped, Artifact: a}, "web: 100% (400 B of 400 B, 80 B/s)"},
		{types.ProgressProperties{Event: types.ProgressEventNewArtifact, Artifact: unknown}, "web: 100% (400 B of 400 B, 66 B/s)"},
		{types.ProgressProperties{Event: types.ProgressEventRead, Artifact: unknown, Offset: 999}, "web: 100% (1 kB of 400 B, 199 B/s)"},
	} {
		if got := tally.add(step.event, start.Add(time.Duration(i+1)*time.Second)).String(); got != step.want {
			t.Errorf("step %d: %q, want %q", i, got, step.want)
		}
	}
	if p := tally.progress(start); p.Blobs != 2 || p.Of != 3 || p.Waiting != 999 {
		t.Errorf("%d of %d blobs and %d bytes waiting, want 2 of 3 and 999", p.Blobs, p.Of, p.Waiting)
	}
}

// TestTornStore: an image of an additional store whose layers cannot be read is listed, and says so.
func TestTornStore(t *testing.T) {
	below := openStore(t)
	id := loadAs(t, below, "a", "web:1")
	root := filepath.Join(t.TempDir(), "copy") // which this process does not have open for writing
	if out, err := exec.Command("cp", "-a", below.store.GraphRoot(), root).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if err := os.WriteFile(filepath.Join(root, "overlay-layers", "layers.json"), []byte(`[{"id":"0`), 0o600); err != nil {
		t.Fatal(err)
	}
	above := openStoreWith(t, Options{DriverOptions: []string{"overlay.sync=none", "overlay.imagestore=" + root}})
	list, err := above.List(nil)
	if err != nil || len(list) != 1 || list[0].ID != id || list[0].Unread == nil || !strings.Contains(list[0].Unread.Error(), root) {
		t.Errorf("%+v, %v", list, err)
	}
	if list, err := below.List(nil); err != nil || len(list) != 1 || list[0].Unread != nil {
		t.Errorf("whole: %+v, %v", list, err)
	}
}

// TestUnfinished: an image whose program was killed before the manifest was stored is in no list, and prune removes it.
func TestUnfinished(t *testing.T) {
	im := openStore(t)
	web, none := loadAs(t, im, "a", "web:1"), loadAs(t, im, "bb")
	layer := func(id string) string {
		img, err := im.store.Image(id)
		if err != nil {
			t.Fatal(err)
		}
		return img.TopLayer
	}
	half := strings.Repeat("f", 64)
	if _, err := im.store.CreateImage(half, nil, layer(web), "", &storage.ImageOptions{}); err != nil {
		t.Fatal(err)
	}
	if list, err := im.List(nil); err != nil || len(list) != 2 || list[0].ID != none || list[1].ID != web {
		t.Errorf("listed: %+v, %v", list, err)
	}
	if removed, err := im.Prune(PruneOptions{Now: time.Now()}); err != nil || len(removed) != 2 {
		t.Errorf("pruned: %+v, %v; want the one without a name, and the unfinished one", removed, err)
	}
	if list, err := im.List(nil); err != nil || len(list) != 1 || layer(web) == "" {
		t.Errorf("left: %+v, %v", list, err)
	}
}

// TestSettle: what was changed in the lists is synced once, and that it was is seen. That it is on the disk then is for test/powercut
// to show.
func TestSettle(t *testing.T) {
	im := openStore(t)
	before := im.changed()
	id := loadAs(t, im, "a", "web:1")
	if im.changed() == before {
		t.Error("a load is not seen as a change")
	}
	if err := im.settle(); err != nil || im.changed() != im.begun {
		t.Errorf("after a sync: %v, %v, %v", err, im.changed(), im.begun)
	}
	for _, dir := range im.lists() { // a clock of the file system's may stand still for milliseconds
		if err := os.Chtimes(dir, time.Time{}, time.Unix(1, 0)); err != nil {
			t.Fatal(err)
		}
	}
	im.begun = im.changed()
	if err := im.Tag(id, []string{"web:2"}); err != nil {
		t.Fatal(err)
	}
	if im.changed() == im.begun {
		t.Error("a new name is not seen as a change")
	}
}
