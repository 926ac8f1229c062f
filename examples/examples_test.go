// Package examples has no code of its own: its test runs the scripts that make the examples' images.
package examples

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// imageKey finds the image that a unit file names.
var imageKey = regexp.MustCompile(`(?m)^Image=(.*)$`)

// The image that a script makes is the one that the unit beside it wants, and is the same each time.
func TestBuildImages(t *testing.T) {
	out, err := exec.Command("dpkg-query", "-W", "-f", "${db:Status-Status}", "busybox-static").Output()
	if err != nil || string(out) != "installed" {
		t.Skip("needs Debian's busybox-static: apt install busybox-static")
	}
	for _, name := range []string{"hello", "web"} { // the packages for db come over the network
		t.Run(name, func(t *testing.T) {
			unit, err := os.ReadFile(filepath.Join(name, name+".container"))
			if err != nil {
				t.Fatal(err)
			}
			first := build(t, name)
			want := `"org.opencontainers.image.ref.name":"` + string(imageKey.FindSubmatch(unit)[1]) + `"`
			if index := entry(t, first, "index.json"); !strings.Contains(index, want) {
				t.Errorf("index.json is %s, want %s in it", index, want)
			}
			if !bytes.Equal(first, build(t, name)) {
				t.Error("a second run makes other bytes")
			}
		})
	}
}

func build(t *testing.T, name string) []byte {
	t.Helper()
	file := filepath.Join(t.TempDir(), "out.tar")
	if said, err := exec.Command(filepath.Join(name, "build-image.sh"), file).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, said)
	}
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func entry(t *testing.T, archive []byte, name string) string {
	t.Helper()
	r := tar.NewReader(bytes.NewReader(archive))
	for {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			t.Fatalf("there is no %s in the archive", name)
		}
		if err != nil {
			t.Fatal(err)
		}
		if h.Name == name {
			data, err := io.ReadAll(r)
			if err != nil {
				t.Fatal(err)
			}
			return string(data)
		}
	}
}
