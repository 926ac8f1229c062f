package main

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// tree makes a small root file system.
func tree(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for name, mode := range map[string]os.FileMode{"bin/run": 0o755, "etc/conf": 0o640, "bin/suid": 0o755 | os.ModeSetuid} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(name), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("run", filepath.Join(dir, "bin/link")); err != nil {
		t.Fatal(err)
	}
	return dir
}

// entries reads a tar file.
func entries(t *testing.T, r io.Reader) (map[string][]byte, []tar.Header) {
	t.Helper()
	data := map[string][]byte{}
	var headers []tar.Header
	for tr := tar.NewReader(r); ; {
		h, err := tr.Next()
		if err == io.EOF {
			return data, headers
		}
		if err != nil {
			t.Fatal(err)
		}
		if data[h.Name], err = io.ReadAll(tr); err != nil {
			t.Fatal(err)
		}
		headers = append(headers, *h)
	}
}

func makeArchive(t *testing.T, epoch string, args ...string) []byte {
	t.Helper()
	out := filepath.Join(t.TempDir(), "out.tar")
	if err := run(append(args, out), epoch); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	if left, _ := filepath.Glob(filepath.Join(filepath.Dir(out), ".*")); len(left) > 0 {
		t.Errorf("temporary files are left: %q", left)
	}
	return data
}

func TestSameInputSameBytes(t *testing.T) {
	for _, format := range []string{"oci", "docker"} {
		args := []string{"-format", format, "-name", "localhost/x:1", "-label", "b=2", "-label", "a=1", "-expose", "80/tcp", "-volume", "/data"}
		one, two := tree(t), tree(t)
		if err := os.Chtimes(filepath.Join(two, "bin/run"), time.Unix(1, 0), time.Unix(2, 0)); err != nil {
			t.Fatal(err)
		}
		a, b := makeArchive(t, "", append(args, one)...), makeArchive(t, "", append(args, two)...)
		if !bytes.Equal(a, b) {
			t.Errorf("%s: two trees with the same files give different archives", format)
		}
		if bytes.Equal(a, makeArchive(t, "86400", append(args, one)...)) {
			t.Errorf("%s: SOURCE_DATE_EPOCH changes nothing", format)
		}
	}
}

func TestLayerAndConfig(t *testing.T) {
	dir := tree(t)
	data, _ := entries(t, bytes.NewReader(makeArchive(t, "", "-format", "docker", "-name", "web", "-arch", "arm64", "-user", "1:2", "-cmd", "/bin/run", "-cmd", "a b",
		"-entrypoint", "/e", "-env", "A=b=c", "-workdir", "/w", "-stop-signal", "SIGINT", "-label", "k=v=w", "-owner", "/etc/conf=5:6", dir)))
	var manifest []struct {
		Config   string
		RepoTags []string
		Layers   []string
	}
	if err := json.Unmarshal(data["manifest.json"], &manifest); err != nil {
		t.Fatal(err)
	}
	if len(manifest) != 1 || manifest[0].RepoTags[0] != "web:latest" {
		t.Fatalf("manifest %+v", manifest)
	}
	want := `"architecture":"arm64","os":"linux","config":{"User":"1:2","Env":["A=b=c"],"Entrypoint":["/e"],"Cmd":["/bin/run","a b"],"WorkingDir":"/w","Labels":{"k":"v=w"},"StopSignal":"SIGINT"},"rootfs":`
	if got := string(data[manifest[0].Config]); !strings.Contains(got, want) {
		t.Errorf("config %s\nwant in it %s", got, want)
	}
	_, headers := entries(t, bytes.NewReader(data[manifest[0].Layers[0]]))
	var got []string
	for _, h := range headers {
		got = append(got, strings.TrimSpace(strings.Join([]string{h.FileInfo().Mode().String(), owner(h), h.Name, h.Linkname}, " ")))
	}
	wantList := "drwxr-xr-x 0:0 bin/\nLrwxrwxrwx 0:0 bin/link run\n-rwxr-xr-x 0:0 bin/run\nurwxr-xr-x 0:0 bin/suid\ndrwxr-xr-x 0:0 etc/\n-rw-r----- 5:6 etc/conf"
	if list := strings.Join(got, "\n"); list != wantList {
		t.Errorf("layer\n%s\nwant\n%s", list, wantList)
	}
}

func owner(h tar.Header) string {
	return string(rune('0'+h.Uid)) + ":" + string(rune('0'+h.Gid))
}

func TestRefuses(t *testing.T) {
	pipe := tree(t)
	if err := syscall.Mkfifo(filepath.Join(pipe, "pipe"), 0o600); err != nil {
		t.Fatal(err)
	}
	out := filepath.Join(t.TempDir(), "out.tar")
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{pipe, out}, "pipe is neither a file"},
		{[]string{"/nonexistent", out}, "no such file"},
		{[]string{"-owner", "nope=1:1", tree(t), out}, "there is no nope"},
		{[]string{"-owner", "bin/run=me", tree(t), out}, "PATH=UID:GID"},
		{[]string{"-format", "zip", tree(t), out}, "use oci or docker"},
		{[]string{out}, "give a directory"},
		{[]string{tree(t), "/nonexistent/out.tar"}, "no such file"},
	} {
		if err := run(c.args, ""); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q: %v, want an error with %q", c.args, err, c.want)
		}
		if _, err := os.Stat(out); err == nil {
			t.Fatalf("%q left an archive", c.args)
		}
	}
	if err := run([]string{tree(t), out}, "yesterday"); err == nil {
		t.Error("SOURCE_DATE_EPOCH=yesterday was accepted")
	}
}
