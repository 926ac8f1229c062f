package engine_test

import (
	"maps"
	"slices"
	"testing"

	"github.com/berth-pods/berth/engine"
	"github.com/berth-pods/berth/engine/spec"
)

// TestImageLabels: a container has the labels and ports of its image too, its own win, and no label of the image's is a setting.
func TestImageLabels(t *testing.T) {
	for name, make := range map[string]func(b *bench, c spec.Container) (s engine.State, err error){
		"run": func(b *bench, c spec.Container) (engine.State, error) { return b.start(c) },
		"create": func(b *bench, c spec.Container) (s engine.State, err error) {
			c.Remove = false
			err = b.on(func(e *engine.Engine) error { s, err = e.Create(t.Context(), c); return err })
			return s, err
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			b.ImageLabels = []string{"PODMAN_SYSTEMD_UNIT=sshd.service", "from=image", "io.containers.autoupdate=registry", "version=1"}
			b.ImagePorts = []string{"80/tcp", "90/udp"}
			c := web()
			c.Expose = []string{"81"}
			c.Labels = []string{"from=me", "mine"}
			if _, err := make(b, c); err != nil {
				t.Fatal(err)
			}
			s, err := b.dirs().Find("web")
			if got, want := spec.Labels(s.Container.Labels), map[string]string{"from": "me", "mine": "", "version": "1"}; err != nil || !maps.Equal(got, want) {
				t.Errorf("%v, %v; want %v", got, err, want)
			}
			if got, want := s.Container.Expose, []string{"80/tcp", "90/udp", "81"}; !slices.Equal(got, want) {
				t.Errorf("ports %q, want %q", got, want)
			}
			if err := b.remove("web", force); err != nil {
				t.Error(err)
			}
		})
	}
}
