package inroot

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// entry is one of an archive.
type entry struct {
	name, link, body string
	kind             byte
	mode             int64
}

func archive(t *testing.T, entries ...entry) *tar.Reader {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, e := range entries {
		h := &tar.Header{Name: e.name, Linkname: e.link, Typeflag: e.kind, Mode: e.mode, Size: int64(len(e.body)), Uid: os.Getuid(), Gid: os.Getgid()}
		if h.Typeflag == 0 {
			h.Typeflag = tar.TypeReg
		}
		if h.Mode == 0 {
			h.Mode = 0o644
		}
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, e.body); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return tar.NewReader(&b)
}

func handle(t *testing.T, p string) *os.File {
	t.Helper()
	f, err := os.OpenFile(p, unix.O_PATH, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

func TestPackAndUnpackAreInverse(t *testing.T) {
	requireRoot(t)
	_, dir, _ := tree(t)
	when := time.Unix(1234567890, 0)
	err := errors.Join(os.WriteFile(filepath.Join(dir, "set"), []byte("x"), 0o600), os.Chown(filepath.Join(dir, "set"), 5, 6),
		unix.Chmod(filepath.Join(dir, "set"), 0o4755), os.Link(filepath.Join(dir, "set"), filepath.Join(dir, "etc/same")),
		os.Symlink("/nowhere", filepath.Join(dir, "link")), unix.Mkfifo(filepath.Join(dir, "fifo"), 0o600), os.Mkdir(filepath.Join(dir, "closed"), 0o500),
		os.WriteFile(filepath.Join(dir, "closed/in"), nil, 0o644), os.Chtimes(filepath.Join(dir, "closed"), when, when), os.Chtimes(filepath.Join(dir, "set"), when, when),
		unix.Mknod(filepath.Join(dir, "dev"), unix.S_IFCHR|0o600, int(unix.Mkdev(10, 130))))
	if err != nil {
		t.Fatal(err)
	}
	out := t.TempDir()
	root, err := Open(out)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	done := make(chan error, 1)
	go func() { done <- errors.Join(Pack(w, handle(t, dir), "top", PackOptions{}), w.Close()) }()
	select {
	case err = <-done:
	case <-time.After(10 * time.Second):
		t.Fatal("a pipe or a device in the tree holds it up")
	}
	var notes []string
	o := UnpackOptions{Note: func(s string) { notes = append(notes, s) }}
	if err := errors.Join(err, root.Unpack(".", Entries{Rest: tar.NewReader(&b)}, o)); err != nil {
		t.Fatal(err)
	}
	if len(notes) != 1 || !strings.Contains(notes[0], "top/dev is a device") {
		t.Errorf("notes: %q", notes)
	}
	var set, same, closed, fifo unix.Stat_t
	top := filepath.Join(out, "top")
	err = errors.Join(unix.Stat(filepath.Join(top, "set"), &set), unix.Stat(filepath.Join(top, "etc/same"), &same),
		unix.Stat(filepath.Join(top, "closed"), &closed), unix.Lstat(filepath.Join(top, "fifo"), &fifo))
	link, linkErr := os.Readlink(filepath.Join(top, "link"))
	_, devErr := os.Lstat(filepath.Join(top, "dev"))
	if err := errors.Join(err, linkErr); err != nil || !os.IsNotExist(devErr) || link != "/nowhere" {
		t.Error(err, devErr, link)
	}
	if set.Uid != 5 || set.Gid != 6 || set.Mode&0o7777 != 0o4755 || set.Ino != same.Ino || set.Mtim.Sec != when.Unix() {
		t.Errorf("%+v, %+v", set, same)
	}
	if closed.Mode&0o7777 != 0o500 || closed.Mtim.Sec != when.Unix() || fifo.Mode&unix.S_IFMT != unix.S_IFIFO {
		t.Errorf("%+v, %+v", closed, fifo)
	}
}

func TestForeignArchiveGivesNoRights(t *testing.T) {
	requireRoot(t)
	for _, foreign := range []bool{true, false} { // false is the control: the bits do come over
		root, dir, _ := tree(t)
		o := UnpackOptions{Foreign: foreign, Owner: func(int, int) (int, int) { return 0, 0 }}
		if err := root.Unpack(".", Entries{Rest: archive(t, entry{name: "su", body: "x", mode: 0o6755})}, o); err != nil {
			t.Fatal(err)
		}
		var st unix.Stat_t
		if err := unix.Stat(filepath.Join(dir, "su"), &st); err != nil || (st.Mode&0o6000 == 0) != foreign {
			t.Errorf("foreign %t: mode %o, %v", foreign, st.Mode, err)
		}
	}
}

func TestUnpackStaysInside(t *testing.T) {
	_, _, canary := tree(t)
	tests := map[string]struct {
		entries []entry
		says    string // "" when it may be unpacked, inside
	}{
		"up":           {[]entry{{name: "../canary/new", body: "x"}}, "leads out"},
		"deep up":      {[]entry{{name: "etc/../../canary/new", body: "x"}}, "leads out"},
		"absolute":     {[]entry{{name: canary + "/new", body: "x"}}, ""},
		"link, then":   {[]entry{{name: "a", kind: tar.TypeSymlink, link: canary}, {name: "a/new", body: "x"}}, ""},
		"rel link":     {[]entry{{name: "a", kind: tar.TypeSymlink, link: "../canary"}, {name: "a/new", body: "x"}}, ""},
		"link as file": {[]entry{{name: "a", kind: tar.TypeSymlink, link: canary + "/passwd"}, {name: "a", body: "x"}}, ""},
		"link as dir":  {[]entry{{name: "a", kind: tar.TypeSymlink, link: canary}, {name: "a", kind: tar.TypeDir, mode: 0o777}, {name: "a/new", body: "x"}}, "--overwrite"},
		"hard link":    {[]entry{{name: "a", kind: tar.TypeLink, link: "../canary/passwd"}}, "leads out"},
		"hard by link": {[]entry{{name: "a", kind: tar.TypeSymlink, link: canary}, {name: "b", kind: tar.TypeLink, link: "a/passwd"}, {name: "b", body: "x"}}, "open in container"},
		"over all":     {[]entry{{name: ".", body: "x"}}, "take the place"},
		"dir for file": {[]entry{{name: "etc/passwd", kind: tar.TypeDir}}, "--overwrite"},
		"file for dir": {[]entry{{name: "etc", body: "x"}}, "--overwrite"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			root, _, _ := tree(t)
			for _, r := range []Root{root, root.WithoutLinks()} {
				err := r.Unpack(".", Entries{Rest: archive(t, tt.entries...)}, UnpackOptions{})
				if tt.says != "" && (err == nil || !strings.Contains(err.Error(), tt.says)) {
					t.Errorf("got %v, want an error with %q", err, tt.says)
				}
			}
		})
	}
	t.Run("control", func(t *testing.T) {
		// Who joins the paths instead writes into the canary.
		_, dir, canary := tree(t)
		if err := os.Symlink(canary, filepath.Join(dir, "a")); err != nil {
			t.Fatal(err)
		}
		out := filepath.Join(dir, "a/new")
		if err := os.WriteFile(out, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := os.Stat(filepath.Join(canary, "new")); err != nil {
			t.Error("the link does not lead out, so that the test shows nothing")
		}
		os.Remove(out)
	})
}

func TestUnpackOverwrites(t *testing.T) {
	root, dir, _ := tree(t)
	o := UnpackOptions{Overwrite: true}
	err := root.Unpack(".", Entries{Rest: archive(t, entry{name: "etc", body: "x"}, entry{name: "d/e/f", body: "y"}, entry{name: "d/e", kind: tar.TypeDir})}, o)
	text, readErr := os.ReadFile(filepath.Join(dir, "etc"))
	if err := errors.Join(err, readErr); err != nil || string(text) != "x" {
		t.Fatalf("%q, %v", text, err)
	}
	if err := root.Unpack(".", Entries{Rest: archive(t, entry{name: "etc", kind: tar.TypeDir, mode: 0o755})}, o); err != nil {
		t.Fatal(err)
	}
}

func TestUnpackKeepsDirectoriesThatAreThere(t *testing.T) {
	root, dir, _ := tree(t)
	err := root.Unpack(".", Entries{Rest: archive(t, entry{name: "./", kind: tar.TypeDir, mode: 0o700}, entry{name: "./etc", kind: tar.TypeDir, mode: 0o700}, entry{name: "./etc/new", body: "x"})}, UnpackOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range []string{dir, filepath.Join(dir, "etc")} {
		if info, err := os.Stat(p); err != nil || info.Mode().Perm() != 0o755 {
			t.Errorf("%s: %v, %v", p, info.Mode(), err)
		}
	}
}

// A file that says to be larger than the disk is refused before a byte is written: an archive may say so in 512 bytes.
func TestUnpackRefusesWhatHasNoRoom(t *testing.T) {
	root, dir, _ := tree(t)
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	if err := w.WriteHeader(&tar.Header{Name: "hole", Size: 1 << 60, Mode: 0o644, Format: tar.FormatPAX}); err != nil {
		t.Fatal(err)
	}
	err := root.Unpack(".", Entries{Rest: tar.NewReader(&b)}, UnpackOptions{})
	if err == nil || !strings.Contains(err.Error(), "no room") {
		t.Error(err)
	}
	if _, err := os.Lstat(filepath.Join(dir, "hole")); !os.IsNotExist(err) {
		t.Error("something is left: ", err)
	}
}

// flipOut makes a directory that is exchanged with a link out of the root over and over.
func flipOut(t *testing.T, dir, canary string) (enough func() bool) {
	t.Helper()
	d, l := filepath.Join(dir, "d"), filepath.Join(dir, "l")
	if err := errors.Join(os.Mkdir(d, 0o755), os.Symlink(canary, l)); err != nil {
		t.Fatal(err)
	}
	return flip(t, d, l, 10_000)
}

// A process of the container exchanges a directory with a link out of the container while something is unpacked into it,
// or packed from it.
func TestRace(t *testing.T) {
	t.Run("unpack", func(t *testing.T) {
		root, dir, canary := tree(t)
		enough := flipOut(t, dir, canary)
		for end := time.Now().Add(raceLimit); !enough() && time.Now().Before(end); {
			// It may fail; what counts is where it has written, which tree looks at.
			root.Unpack("d", Entries{Rest: archive(t, entry{name: "new", body: "x"}, entry{name: "sub/new", body: "x"})}, UnpackOptions{})
		}
	})
	t.Run("pack", func(t *testing.T) {
		root, dir, canary := tree(t)
		enough := flipOut(t, dir, canary)
		for end := time.Now().Add(raceLimit); !enough() && time.Now().Before(end); {
			top, err := root.Handle("d")
			if err != nil {
				continue // a link, which leads nowhere inside
			}
			var b bytes.Buffer
			w := tar.NewWriter(&b)
			Pack(w, top, "d", PackOptions{})
			w.Close()
			top.Close()
			if strings.Contains(b.String(), secret) {
				t.Fatal("it has read the canary")
			}
		}
	})
	t.Run("control", func(t *testing.T) {
		_, dir, canary := tree(t)
		flipOut(t, dir, canary)
		out := filepath.Join(canary, "new")
		end := time.Now().Add(raceLimit)
		for {
			if info, err := os.Lstat(filepath.Join(dir, "d")); err == nil && info.IsDir() { // looked at, and then used
				os.WriteFile(filepath.Join(dir, "d/new"), nil, 0o600)
			}
			if _, err := os.Stat(out); err == nil {
				break
			}
			if time.Now().After(end) {
				t.Error("who looks first and then joins the paths was never led out, so that the race shows nothing")
				break
			}
		}
		os.Remove(out)
	})
}

// FuzzUnpack: nothing of an archive gets out of the directory. tree looks after the canary, to which the seeds lead.
func FuzzUnpack(f *testing.F) {
	for _, list := range [][]entry{
		{{name: "a/b", body: "x"}, {name: "a/c", link: "a/b", kind: tar.TypeLink}},
		{{name: "l", link: "../../canary", kind: tar.TypeSymlink}, {name: "l/passwd", body: "x"}, {name: "l/new", body: "x"}},
		{{name: "l", link: "../../canary", kind: tar.TypeSymlink}, {name: "h", link: "l/passwd", kind: tar.TypeLink}, {name: "h", body: "x"}},
		{{name: "l", link: "../../canary/passwd", kind: tar.TypeSymlink}, {name: "h", link: "l", kind: tar.TypeLink}, {name: "l", body: "x"}, {name: "h/y", body: "x"}},
		{{name: "../../canary/x", body: "x"}, {name: "/canary/x", body: "x"}, {name: "a/../../../canary/x", body: "x"}},
		{{name: ".", kind: tar.TypeSymlink, link: "/"}, {name: "etc/passwd", kind: tar.TypeFifo}, {name: "etc", kind: tar.TypeSymlink, link: "../../canary"}},
	} {
		var b bytes.Buffer
		w := tar.NewWriter(&b)
		for _, e := range list {
			kind := max(e.kind, tar.TypeReg)
			if err := w.WriteHeader(&tar.Header{Name: e.name, Linkname: e.link, Typeflag: kind, Mode: 0o755, Size: int64(len(e.body))}); err != nil {
				f.Fatal(err)
			}
			io.WriteString(w, e.body)
		}
		w.Close()
		f.Add(b.Bytes(), true)
		f.Add(b.Bytes(), false)
	}
	f.Fuzz(func(t *testing.T, data []byte, overwrite bool) {
		requireRoot(t)
		if !small(data) {
			return
		}
		root, _, canary := tree(t)
		err := root.Unpack("etc", Entries{Rest: tar.NewReader(bytes.NewReader(data))}, UnpackOptions{Overwrite: overwrite, Foreign: true})
		if body, readErr := os.ReadFile(filepath.Join(canary, "passwd")); readErr != nil || string(body) != secret {
			t.Errorf("the canary is %q, %v (unpacking: %v)", body, readErr, err)
		}
	})
}

// small says that an archive does not unpack to more than this machine should be asked for.
func small(data []byte) bool {
	r := tar.NewReader(bytes.NewReader(data))
	for total := int64(0); ; {
		h, err := r.Next()
		if err != nil {
			return true
		}
		if total += h.Size; h.Size > 1<<20 || total > 1<<22 {
			return false
		}
	}
}
