package engine

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"github.com/berth-pods/berth/engine/proc"
	"github.com/berth-pods/berth/engine/spec"
)

// TestSeccompPolicy: an image's own profile counts for those who ask for it, and for nobody else.
func TestSeccompPolicy(t *testing.T) {
	e := &Engine{Seccomp: func(path string) ([]byte, error) { return []byte(`{"defaultAction":"SCMP_ACT_ERRNO"}`), nil }}
	image := spec.ImageConfig{SeccompProfile: `{"defaultAction":"SCMP_ACT_LOG"}`}
	for _, tt := range []struct {
		policy, opt string
		image       spec.ImageConfig
		want        specs.LinuxSeccompAction
	}{
		{"", "", image, specs.ActErrno}, {"default", "", image, specs.ActErrno}, {"image", "", image, specs.ActLog},
		{"image", "", spec.ImageConfig{}, specs.ActErrno}, {"image", "seccomp=/a/file", image, specs.ActErrno},
	} {
		c := spec.Container{DeviceFlags: spec.DeviceFlags{SeccompPolicy: tt.policy}}
		if tt.opt != "" {
			c.SecurityOpts = []string{tt.opt}
		}
		if f, err := e.seccompFilter(c, tt.image); err != nil || f.DefaultAction != tt.want {
			t.Errorf("%+v: %+v, %v", tt, f, err)
		}
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

const hookText = `{"version":"1.0.0","hook":{"path":"/bin/NAME"},"when":{"always":true},"stages":["STAGE"]}`

// TestHooks: files come in the order of their names, those of a later directory hide others, and a directory that others
// may write to is refused.
func TestHooks(t *testing.T) {
	first, second := t.TempDir(), t.TempDir()
	text := func(name, stage string) string {
		return strings.NewReplacer("NAME", name, "STAGE", stage).Replace(hookText)
	}
	write(t, filepath.Join(first, "b.json"), text("b", "prestart"))
	write(t, filepath.Join(first, "a.json"), text("hidden", "prestart"))
	write(t, filepath.Join(second, "a.json"), text("a", "prestart"))
	write(t, filepath.Join(second, "c.json"), text("c", "precreate"))
	e := &Engine{HookDirs: []string{first, "/nope", second}}
	var asked []string
	answer := ""
	e.Programs = func(_ context.Context, c proc.Command) ([]byte, error) {
		asked = append(asked, c.Path)
		return []byte(answer), nil
	}
	config := &specs.Spec{Process: &specs.Process{Args: []string{"x"}}}
	if err := e.addHooks(context.Background(), &config, false); err != nil {
		t.Fatal(err)
	}
	if h := config.Hooks.Prestart; len(h) != 2 || h[0].Path != "/bin/a" || h[1].Path != "/bin/b" || len(asked) != 1 || asked[0] != "/bin/c" {
		t.Errorf("prestart %+v, precreate %v", h, asked)
	}
	answer = `{"hostname":"changed"}`
	if err := e.addHooks(context.Background(), &config, false); err != nil || config.Hostname != "changed" {
		t.Errorf("the answer of a precreate hook: %+v, %v", config, err)
	}
	if err := os.Chmod(second, 0o777); err != nil {
		t.Fatal(err)
	}
	if err := e.addHooks(context.Background(), &config, false); err == nil || !strings.Contains(err.Error(), "can be written to by others") {
		t.Errorf("a directory of others: %v", err)
	}
}
