package store

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestVolumeOptions(t *testing.T) {
	for _, tt := range []struct{ kind, device, o, want string }{
		{"", "", "", "none"},
		{"tmpfs", "tmpfs", "size=1m,uid=5", "tmpfs tmpfs size=1m,uid=5"},
		{"bind", "/srv", "", "bind /srv "},
		{"none", "/srv", "bind,ro", "none /srv bind,ro"},
		{"nfs", "host:/dir", "addr=host,ro", "nfs host:/dir addr=host,ro"},
		{"ext4", "/dev/sdb1", "uid=3,noatime", "ext4 /dev/sdb1 noatime"},
		{"", "", "uid=3,gid=4", "none"},
		{"", "", "size=10m,inodes=100,uid=3", "none"},
		{"", "/srv", "", "!needs type="}, {"bind", "srv", "", "!absolute"}, {"", "", "size=1x", "!no number"}, {"", "", "size=10m,inodes=0", "!no number"}, {"", "", "size=99999999999999t", "!no number"}, {"", "", "noatime", "!needs type="},
		{"ext4", "/dev/x", "uid=x", "!not a number"},
	} {
		options := map[string]string{}
		for name, value := range map[string]string{"type": tt.kind, "device": tt.device, "o": tt.o} {
			if value != "" {
				options[name] = value
			}
		}
		var vol Volume
		err := vol.SetOptions("local", options)
		got := "none"
		if m, ok, _ := vol.mountSource(); ok {
			got = fmt.Sprintf("%s %s %s", m.Type, m.Device, m.Options)
		}
		if part, bad := strings.CutPrefix(tt.want, "!"); bad {
			if err == nil || !strings.Contains(err.Error(), part) {
				t.Errorf("%+v: %v", tt, err)
			}
		} else if got != tt.want || err != nil {
			t.Errorf("%+v: %s, %v", tt, got, err)
		}
	}
	var vol Volume
	if err := vol.SetOptions("nosuch", nil); err == nil {
		t.Error("any driver is taken")
	}
	if err := vol.SetOptions("image", map[string]string{"image": "web"}); err != nil || vol.Driver != "image" {
		t.Errorf("driver image: %v", err)
	}
	for _, bad := range []map[string]string{nil, {"image": ""}, {"image": "web", "o": "size=1m"}} {
		if err := vol.SetOptions("image", bad); err == nil || !strings.Contains(err.Error(), "image=NAME") {
			t.Errorf("driver image, %v: %v", bad, err)
		}
	}
	if err := vol.SetOptions("", map[string]string{"x": "y"}); err == nil {
		t.Error("any option is taken")
	}
}

// Anonymous volumes of an earlier boot go; Podman's, those of this boot, those that were to stay, and those that a container has do not.
func TestSweepVolumes(t *testing.T) {
	root := t.TempDir()
	name := func(c string) string { return strings.Repeat(c, 64) }
	for _, vol := range []Volume{
		{Name: name("a"), Anonymous: true, Boot: "before"}, {Name: name("b"), Anonymous: true, Boot: "now"}, {Name: name("c"), Anonymous: true}, {Name: "named", Boot: "before"},
		{Name: name("e"), Anonymous: true, Boot: "before"},
	} {
		if _, err := ensure(root, vol, func(string) error { return nil }); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.MkdirAll(filepath.Join(root, name("d"), "_data"), 0o755); err != nil { // Podman's
		t.Fatal(err)
	}
	asked := 0
	unused := func(volume string) error {
		asked++
		if volume == name("e") {
			return errors.New("a container that outlives its end has it")
		}
		return nil
	}
	for range 2 { // the second time in a boot nobody is asked
		if err := sweepVolumes(root, "now", unused); err != nil || asked != 2 {
			t.Fatalf("asked %d times, %v", asked, err)
		}
	}
	var left []string
	entries, _ := os.ReadDir(root)
	for _, e := range entries {
		left = append(left, e.Name()[:1])
	}
	if got := strings.Join(left, ""); got != "bcden" {
		t.Errorf("left: %s", got)
	}
}
