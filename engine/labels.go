package engine

import (
	"fmt"
	"os"

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
