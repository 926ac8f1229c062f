package engine

import (
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// TestWriteConfig: config.json is the whole of what the specification has for Linux, as its own type is written.
func TestWriteConfig(t *testing.T) {
	config := &specs.Spec{
		Version: "1.0.2", Process: &specs.Process{Args: []string{"a<b"}}, Root: &specs.Root{Path: "/r"}, Hostname: "h", Domainname: "d",
		Mounts: []specs.Mount{{Source: "/s", Destination: "/m"}}, Hooks: &specs.Hooks{Poststop: []specs.Hook{{Path: "/h"}}},
		Annotations: map[string]string{"k": "v"}, Linux: &specs.Linux{CgroupsPath: "c"},
	}
	dir := t.TempDir()
	if err := writeConfig(dir, config); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(filepath.Join(dir, "config.json"))
	want, marshal := json.Marshal(config)
	if err != nil || marshal != nil || string(got) != string(want) {
		t.Errorf("got %s, %v; want %s, %v", got, err, want, marshal)
	}
	written := reflect.TypeFor[linuxConfig]()
	for _, f := range reflect.VisibleFields(reflect.TypeFor[specs.Spec]()) {
		platforms := f.Tag.Get("platform")
		own, _ := written.FieldByName(f.Name)
		if left := len(own.Index) == 1; left != (platforms != "" && !strings.Contains(platforms, "linux")) {
			t.Errorf("%s, for %q, is left out: %v", f.Name, platforms, left)
		}
		if !reflect.ValueOf(config).Elem().FieldByIndex(f.Index).IsZero() == (len(own.Index) == 1) {
			t.Errorf("%s is not tried", f.Name)
		}
	}
}
