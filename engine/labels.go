package engine

import (
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/berth-pods/berth/engine/spec"
)

// PodLabels are the labels of a pod, those of files first.
func PodLabels(c spec.Container) ([]string, error) { return labels(c) }

// labels are those of files, then those given one by one, which win.
func labels(c spec.Container) ([]string, error) {
	var all []string
	for _, path := range c.LabelFiles {
		text, err := os.ReadFile(path)
		if err != nil {
			return nil, fmt.Errorf("label file: %w", err)
		}
		all = append(all, spec.ParseLabelFile(string(text))...)
	}
	return append(all, c.Labels...), nil
}

// makeOf writes down which image the container is made of. It has the labels and ports of the image too, and its own win. What berth and Podman
// read settings from is left out: those are for who runs the container.
func (s *State) makeOf(image Image) {
	s.ImageID, s.Image = image.ID, image.Name
	var all []string
	for _, l := range image.Labels {
		if !strings.HasPrefix(l, "io.containers.") && !strings.HasPrefix(l, "PODMAN_SYSTEMD_UNIT=") {
			all = append(all, l)
		}
	}
	s.Container.Labels = append(all, s.Container.Labels...)
	s.Container.Expose = slices.Concat(image.Config.Exposed, s.Container.Expose)
}
