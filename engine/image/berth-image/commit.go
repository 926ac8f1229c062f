//go:build containers_image_openpgp

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"slices"

	"github.com/berth-pods/berth/engine/image"
)

func runOfContainer(ctx context.Context, c call) error {
	o := image.CommitOptions{
		Author: c.flags.text("author"), Message: c.flags.text("message"), Command: c.flags.text("created-by"), Changes: c.flags.texts("change"),
	}
	settings, err := configChanges(c.flags.text("config"))
	if err != nil {
		return fmt.Errorf("--config: %w", err)
	}
	o.Changes = slices.Concat(o.Changes, settings, c.flags.texts("last-change"))
	switch format := c.flags.text("format"); format {
	case "oci":
	case "docker":
		o.Docker = true
	default:
		return fmt.Errorf("--format=%s: use oci or docker", format)
	}
	if len(c.args) > 1 {
		o.Name = c.args[1]
	}
	if c.flags.yes("all") {
		o.All = c.In
	}
	id, err := c.images.Commit(ctx, c.args[0], o)
	c.watch.end()
	if err != nil {
		return err
	}
	fmt.Fprintln(c.Out, id)
	return nil
}

// configChanges are the settings of a configuration of an image, as instructions of a Containerfile.
func configChanges(path string) (list []string, err error) {
	if path == "" {
		return nil, nil
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var c struct {
		Env, Cmd, Entrypoint         []string
		User, WorkingDir, StopSignal string
		ExposedPorts, Volumes        map[string]any
		Labels                       map[string]string
	}
	if err := json.Unmarshal(text, &c); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	add := func(name string, values ...string) {
		for _, v := range values {
			if v != "" {
				list = append(list, name+" "+v)
			}
		}
	}
	words := func(name string, w []string) {
		if text, err := json.Marshal(w); err == nil && len(w) > 0 {
			add(name, string(text))
		}
	}
	words("ENTRYPOINT", c.Entrypoint)
	words("CMD", c.Cmd)
	add("ENV", c.Env...)
	for _, k := range slices.Sorted(maps.Keys(c.Labels)) {
		add("LABEL", k+"="+c.Labels[k])
	}
	add("EXPOSE", slices.Sorted(maps.Keys(c.ExposedPorts))...)
	for _, k := range slices.Sorted(maps.Keys(c.Volumes)) {
		words("VOLUME", []string{k})
	}
	add("USER", c.User)
	add("WORKDIR", c.WorkingDir)
	add("STOPSIGNAL", c.StopSignal)
	return list, nil
}
