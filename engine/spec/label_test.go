package spec

import (
	"reflect"
	"strings"
	"testing"
)

func TestLabelOptions(t *testing.T) {
	tests := []struct {
		name string
		c    Container
		want []string
	}{
		{"none", Container{}, nil},
		{"asked for", Container{SecurityOpts: []string{"label=type:spc_t", "label:level=s0:c1", "label=filetype:usr_t", "label=nested"}}, []string{"type:spc_t", "level:s0:c1", "filetype:usr_t"}},
		{"disabled", Container{SecurityOpts: []string{"label=disable"}}, []string{"disable"}},
		{"privileged", Container{Privileged: true}, []string{"disable"}},
		{"processes of the host", Container{Namespaces: Namespaces{PID: "host"}}, []string{"disable"}},
		{"memory of the host", Container{Namespaces: Namespaces{IPC: "host"}}, []string{"disable"}},
		{"of another", Container{Namespaces: Namespaces{IPC: "container:x"}}, nil},
		{"privileged, and asked for", Container{Privileged: true, SecurityOpts: []string{"label=type:container_t"}}, []string{"type:container_t"}},
	}
	for _, tt := range tests {
		if got, err := LabelOptions(tt.c); err != nil || !reflect.DeepEqual(got, tt.want) {
			t.Errorf("%s: %q, %v; want %q", tt.name, got, err, tt.want)
		}
	}
	if _, err := LabelOptions(Container{SecurityOpts: []string{"label=colour:red"}}); err == nil || !strings.Contains(err.Error(), "colour") {
		t.Errorf("an unknown option: %v", err)
	}
}

func TestLevel(t *testing.T) {
	a, b := Level("web", 0)
	if c, d := Level("web", 0); c != a || d != b {
		t.Error("a name has two levels")
	}
	if c, d := Level("db", 0); c == a && d == b {
		t.Error("two names have one level")
	}
	seen := map[[2]int]bool{}
	for n := range Levels {
		if n > 3000 && n < Levels-3000 {
			continue // each takes a thousand steps
		}
		first, second := Level("web", n)
		if first < 0 || first >= second || second >= categories || seen[[2]int{first, second}] {
			t.Fatalf("level %d: %d, %d", n, first, second)
		}
		seen[[2]int{first, second}] = true
	}
	if first, second := Level("web", Levels); first != a || second != b {
		t.Errorf("after all of them comes %d, %d and not %d, %d", first, second, a, b)
	}
}

func TestRelabel(t *testing.T) {
	for word, want := range map[string]string{"/a:/b:z": "z", "data:/b:Z,ro": "Z", "/a:/b:Z,Z": "Z", "/a:/b": ""} {
		if v, err := ParseVolume(word); err != nil || v.Relabel != want {
			t.Errorf("%s: %q, %v; want %q", word, v.Relabel, err, want)
		}
	}
	if _, err := ParseVolume("/a:/b:z,Z"); err == nil || !strings.Contains(err.Error(), "leave one of them out") {
		t.Errorf("both: %v", err)
	}
	for source, want := range map[string]bool{"/": false, "/etc/": false, "/home": false, "/home/me": true, "/sys/fs": false, "/proc/1": false, "/srv/data": true, "/usr/../etc": false} {
		if err := CheckRelabel(source); (err == nil) != want {
			t.Errorf("%s: %v", source, err)
		}
	}
}

func TestBuildLabels(t *testing.T) {
	s := mustBuild(t, with(func(in *Input) {
		in.Host.Label = Label{Process: "u:r:container_t:s0:c1,c2", File: "u:r:container_file_t:s0:c1,c2"}
	}))
	if s.Process.SelinuxLabel != "u:r:container_t:s0:c1,c2" || s.Linux.MountLabel != "u:r:container_file_t:s0:c1,c2" {
		t.Errorf("got %q and %q", s.Process.SelinuxLabel, s.Linux.MountLabel)
	}
}
