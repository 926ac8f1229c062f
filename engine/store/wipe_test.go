package store

import (
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
)

// TestWipe: what the store has made goes, what others have put there stays, and a link is not followed.
func TestWipe(t *testing.T) {
	outside, dir := t.TempDir(), t.TempDir()
	for _, p := range []string{outside + "/keep/file", dir + "/overlay/l/x", dir + "/overlay-images/images.json", dir + "/volumes/v/_data/f", dir + "/db.sql-wal", dir + "/photos/a", dir + "/overlay.txt"} {
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(p, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, link := range []string{dir + "/volumes/link", dir + "/secrets"} {
		if err := os.Symlink(outside+"/keep", link); err != nil {
			t.Fatal(err)
		}
	}
	left, err := wipe(dir, wiped)
	if want := []string{dir + "/overlay.txt", dir + "/photos"}; err != nil || !slices.Equal(left, want) {
		t.Errorf("left: %v, %v; want %v", left, err, want)
	}
	list, err := os.ReadDir(dir)
	if err != nil || len(list) != 2 {
		t.Errorf("still there: %v, %v", list, err)
	}
	if _, err := os.Stat(outside + "/keep/file"); err != nil {
		t.Errorf("a link was followed: %v", err)
	}
	if left, err := wipe(dir+"/none", wiped); err != nil || left != nil {
		t.Errorf("a store that is not there: %v, %v", left, err)
	}
}

func TestMountsBelow(t *testing.T) {
	const info = `24 1 254:0 / / rw - ext4 /dev/vda rw
30 24 254:0 /var/lib/containers/storage/overlay /var/lib/containers/storage/overlay rw - ext4 /dev/vda rw
31 24 0:55 / /var/lib/containers/storage/volumes/my\040nfs/_data rw - nfs h:/x rw
32 24 0:56 / /var/lib/containers/storage2/x rw - tmpfs tmpfs rw
33 24 0:57 / /var/lib/containers/storage rw - ext4 /dev/vdb rw
34 24 0:58 / /var/lib/containers/storage/volumes rw - ext4 /dev/vdc rw
`
	own, others := mountsBelow(info, "/var/lib/containers/storage")
	if want := []string{"/var/lib/containers/storage/overlay"}; !slices.Equal(own, want) {
		t.Errorf("its own: %q, want %q", own, want)
	}
	if want := []string{"/var/lib/containers/storage/volumes/my nfs/_data", "/var/lib/containers/storage/volumes"}; !slices.Equal(others, want) {
		t.Errorf("others: %q, want %q", others, want)
	}
}

func TestStrangers(t *testing.T) {
	text := `[{"id":"aa","names":["web"],"metadata":"{\"image-name\":\"x\"}"},{"id":"bb","metadata":` + strconv.Quote(mark("boot", true)) +
		`},{"id":"cc","metadata":""},{"id":"dd","metadata":` + strconv.Quote(mark("", false)) + `}]`
	if got, want := strangers([]byte(text)), []string{"web", "cc"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	if got := strangers([]byte(`[{"id":`)); got != nil {
		t.Errorf("a broken file: %q", got)
	}
}
