package keeper

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// now does at once what is done beside the loop.
func now(work, then func()) { work(); then() }

func texts(words ...string) (list []line) {
	for _, w := range words {
		list = append(list, line{text: []byte(strings.TrimSuffix(w, "+")), partial: strings.HasSuffix(w, "+")})
	}
	return list
}

var stamp = regexp.MustCompile(`(?m)^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}(Z|[+-]\d\d:\d\d) `)

func TestFile(t *testing.T) {
	s := &fileSink{beside: now, path: filepath.Join(t.TempDir(), "ctr.log"), warn: func(f string, a ...any) { t.Errorf(f, a...) }}
	for _, step := range []struct {
		lines    []line
		standard int
	}{{texts("one", "", "tw+"), prioInfo}, {texts("o"), prioInfo}, {texts("bad"), prioError}} {
		if n, err := s.write(step.lines, step.standard); n != len(step.lines) || err != nil {
			t.Fatal(n, err)
		}
	}
	s.close()
	data, err := os.ReadFile(s.path)
	if got := stamp.ReplaceAllString(string(data), ""); err != nil || got != "stdout F one\nstdout F \nstdout P tw\nstdout F o\nstderr F bad\n" {
		t.Errorf("%q, %v", data, err)
	}
}

// TestTornFile: half a line of a keeper that was killed is taken away; a file of somebody else's is not touched before.
func TestTornFile(t *testing.T) {
	for before, want := range map[string]string{
		"": "", "a\n": "a\n", "a\nb": "a\n", "ab": "", "a\n" + strings.Repeat("b", 9000): "a\n", strings.Repeat("b", 4096) + "\n": strings.Repeat("b", 4096) + "\n",
	} {
		s := &fileSink{beside: now, path: filepath.Join(t.TempDir(), "ctr.log")}
		if err := os.WriteFile(s.path, []byte(before), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := s.write(texts("x"), prioInfo); err != nil {
			t.Fatal(err)
		}
		s.close()
		data, _ := os.ReadFile(s.path)
		if got := stamp.ReplaceAllString(string(data), ""); got != want+"stdout F x\n" {
			t.Errorf("%.20q: %.60q", before, got)
		}
	}
}

func TestRotation(t *testing.T) {
	s := &fileSink{beside: now, path: filepath.Join(t.TempDir(), "ctr.log"), maxSize: 400, warn: func(f string, a ...any) { t.Errorf(f, a...) }}
	for i := range 20 {
		if _, err := s.write(texts(fmt.Sprintf("line %02d", i)), prioInfo); err != nil {
			t.Fatal(err)
		}
	}
	s.close()
	older, err1 := os.ReadFile(s.path + oldSuffix)
	newer, err2 := os.ReadFile(s.path)
	if err1 != nil || err2 != nil || len(older) > 400 || len(newer) > 400 || !strings.HasSuffix(string(newer), "line 19\n") {
		t.Fatalf("%v, %v, %d and %d bytes", err1, err2, len(older), len(newer))
	}
	all := string(older) + string(newer)
	first := 20 - strings.Count(all, "\n")
	for i := first; i < 20; i++ {
		if !strings.Contains(all, fmt.Sprintf("line %02d\n", i)) {
			t.Errorf("line %d is missing", i)
		}
	}
}

// TestLostFile: a file that cannot be written does not hold the container up, and is complained of once.
func TestLostFile(t *testing.T) {
	warnings := 0
	s := &fileSink{beside: now, path: filepath.Join(t.TempDir(), "none/ctr.log"), warn: func(string, ...any) { warnings++ }}
	for range 3 {
		if n, err := s.write(texts("a", "b"), prioInfo); n != 2 || err != nil {
			t.Error(n, err)
		}
	}
	if warnings != 1 {
		t.Errorf("%d warnings", warnings)
	}
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink("/etc/passwd", link); err != nil {
		t.Fatal(err)
	}
	s = &fileSink{beside: now, path: link, warn: func(string, ...any) { warnings++ }}
	s.write(texts("a"), prioInfo)
	if warnings != 2 {
		t.Error("a link was followed")
	}
}

// TestFileOfTwoRuns: the run before this one may write its last lines beside it.
func TestFileOfTwoRuns(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ctr.log")
	runs := []*fileSink{{beside: now, path: path}, {beside: now, path: path}}
	for i, text := range []string{"one", "two", "three", "four"} {
		if _, err := runs[i%2].write(texts(text), prioInfo); err != nil {
			t.Fatal(err)
		}
	}
	data, err := os.ReadFile(path)
	if got := stamp.ReplaceAllString(string(data), ""); err != nil || got != "stdout F one\nstdout F two\nstdout F three\nstdout F four\n" {
		t.Errorf("%q, %v", data, err)
	}
	for _, s := range runs {
		s.close()
	}
}

// TestFileOfTwoContainers: it is put aside for both.
func TestFileOfTwoContainers(t *testing.T) {
	b := newBench(t)
	path := filepath.Join(t.TempDir(), "ctr.log")
	var write []*os.File
	for _, digit := range []string{"a", "b"} {
		read, w := pipes(t)
		r := record()
		r.ID, r.Driver, r.Path, r.MaxSize = strings.Repeat(digit, 64), K8sFile, path, 400
		if err := b.keep(r, read); err != nil {
			t.Fatal(err)
		}
		write = append(write, w...)
	}
	for i := range 20 {
		fmt.Fprintf(write[i%2*2], "line %02d\n", i)
		b.until("it is written", func() bool {
			data, _ := os.ReadFile(path)
			return strings.HasSuffix(string(data), fmt.Sprintf("line %02d\n", i))
		})
	}
	older, err := os.ReadFile(path + oldSuffix)
	newer, err2 := os.ReadFile(path)
	all := string(older) + string(newer)
	if first := 20 - strings.Count(all, "\n"); err != nil || err2 != nil || len(older) < 300 || !strings.Contains(all, fmt.Sprintf("line %02d\n", first)) {
		t.Errorf("%v, %v, %q", err, err2, all)
	}
	for _, w := range write {
		w.Close()
	}
	b.until("nothing is left", func() bool { return len(b.k.containers) == 0 && len(b.k.files) == 0 && len(b.k.jobs) == 0 })
}

// TestFileThatIsGone: where somebody has renamed the file, or removed it, the next line goes into a new one.
func TestFileThatIsGone(t *testing.T) {
	for name, take := range map[string]func(path string) error{
		"renamed": func(path string) error { return os.Rename(path, path+".gz") },
		"removed": os.Remove,
		"replaced": func(path string) error {
			return errors.Join(os.WriteFile(path+".new", nil, 0o600), os.Rename(path+".new", path))
		},
	} {
		for _, limit := range []int64{0, 1000} {
			s := &fileSink{beside: now, path: filepath.Join(t.TempDir(), "ctr.log"), maxSize: limit, warn: func(f string, a ...any) { t.Errorf(f, a...) }}
			s.write(texts("one"), prioInfo)
			if err := take(s.path); err != nil {
				t.Fatal(err)
			}
			s.write(texts("two"), prioInfo)
			s.write(texts("three"), prioInfo)
			s.close()
			data, err := os.ReadFile(s.path)
			if got := stamp.ReplaceAllString(string(data), ""); err != nil || got != "stdout F two\nstdout F three\n" {
				t.Errorf("%s, limit %d: %q, %v", name, limit, data, err)
			}
		}
	}
}

// TestOwnFileThatIsGone: a line that comes when the container's directory is being removed does not hinder that.
func TestOwnFileThatIsGone(t *testing.T) {
	for _, limit := range []int64{0, 100} {
		s := &fileSink{beside: now, own: true, path: filepath.Join(t.TempDir(), "ctr.log"), maxSize: limit, warn: func(f string, a ...any) { t.Errorf(f, a...) }}
		for range 2 {
			s.write(texts(strings.Repeat("x", 100)), prioInfo)
		}
		if _, err := os.Stat(s.path + oldSuffix); (err == nil) != (limit > 0) {
			t.Errorf("limit %d: put aside: %v", limit, err)
		}
		if err := os.Remove(s.path); err != nil {
			t.Fatal(err)
		}
		s.write(texts("last"), prioInfo)
		s.close()
		if _, err := os.Stat(s.path); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("limit %d: it is there again: %v", limit, err)
		}
	}
}

// BenchmarkFile is what a line costs.
func BenchmarkFile(b *testing.B) {
	s := &fileSink{beside: now, path: filepath.Join(b.TempDir(), "ctr.log"), warn: b.Errorf}
	for b.Loop() {
		s.write(texts("one"), prioInfo)
	}
	s.close()
}

// TestFilePutAsideByAnother: what another one has put in the place of a full file is not put aside in its name.
func TestFilePutAsideByAnother(t *testing.T) {
	s := &fileSink{beside: now, path: filepath.Join(t.TempDir(), "ctr.log"), maxSize: 200, warn: func(f string, a ...any) { t.Errorf(f, a...) }}
	write := func() {
		t.Helper()
		if _, err := s.write(texts(strings.Repeat("x", 100)), prioInfo); err != nil {
			t.Fatal(err)
		}
	}
	write()
	if err := os.Rename(s.path, s.path+".gz"); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(s.path, []byte("theirs\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	write()
	s.close()
	data, err := os.ReadFile(s.path)
	if err != nil || !strings.HasPrefix(string(data), "theirs\n") || strings.Count(string(data), "\n") != 2 {
		t.Errorf("%q, %v", data, err)
	}
}

// deadMount mounts a file system whose server does not answer, and returns the server's side: its end is an error for all who wait.
func deadMount(t *testing.T, dir string) *os.File {
	t.Helper()
	f, err := os.OpenFile("/dev/fuse", os.O_RDWR, 0)
	if err == nil {
		err = unix.Mount("dead", dir, "fuse", unix.MS_NOSUID|unix.MS_NODEV, fmt.Sprintf("fd=%d,rootmode=40000,user_id=0,group_id=0", f.Fd()))
	}
	if err != nil {
		t.Skip("a file system that does not answer cannot be made here:", err)
	}
	t.Cleanup(func() { f.Close(); unix.Unmount(dir, unix.MNT_DETACH) })
	return f
}

// TestLogFileThatDoesNotAnswer: only the container whose file it is waits, and loses nothing of what the file takes later.
func TestLogFileThatDoesNotAnswer(t *testing.T) {
	b := newBench(t)
	dir := t.TempDir()
	server := deadMount(t, dir)
	read, write := pipes(t)
	r := record()
	r.ID, r.Driver, r.Path = strings.Repeat("ab", 32), K8sFile, filepath.Join(dir, "ctr.log")
	if err := b.keep(r, read); err != nil {
		t.Fatal(err)
	}
	others, of := pipes(t)
	if err := b.keep(record(), others); err != nil {
		t.Fatal(err)
	}
	fmt.Fprint(write[0], "one\n")
	done := make(chan bool)
	go func() { b.steps(); close(done) }()
	select {
	case <-done:
	case <-time.After(5 * time.Second):
		server.Close()
		<-done
		t.Fatal("the keeper waits for the file")
	}
	fmt.Fprint(write[0], "two\n")
	fmt.Fprint(write[1], "three\n")
	fmt.Fprint(of[0], "of another one\n")
	b.steps()
	if got := messages(b.entries()); !slices.Equal(got, []string{"of another one"}) {
		t.Errorf("of the other container: %q", got)
	}
	for i, want := range []int{8, 6} { // a keeper that is killed now leaves it to the next one
		if n, err := unix.IoctlGetInt(int(read[i].Fd()), unix.TIOCINQ); n != want || err != nil {
			t.Errorf("%d bytes are in pipe %d, want %d: %v", n, i, want, err)
		}
	}
	unix.Unmount(dir, unix.MNT_DETACH)
	server.Close()
	b.until("two and three are written", func() bool {
		data, _ := os.ReadFile(r.Path)
		text := stamp.ReplaceAllString(string(data), "")
		return strings.Contains(text, "stdout F two\n") && strings.Contains(text, "stderr F three\n")
	})
	for _, w := range append(write, of...) {
		w.Close()
	}
	b.until("nothing is left", func() bool { return len(b.k.containers) == 0 && len(b.k.files) == 0 && len(b.k.jobs) == 0 })
}
