//go:build containers_image_openpgp

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"

	imgspecv1 "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/berth-pods/berth/engine/image"
)

func runOfContainer(ctx context.Context, c call) error {
	o := image.CommitOptions{
		Author: c.flags.text("author"), Message: c.flags.text("message"), Command: c.flags.text("created-by"), Changes: c.flags.texts("change"),
	}
	for _, flag := range []string{"settings", "config"} {
		path := c.flags.text(flag)
		if path == "" {
			continue
		}
		settings, err := readSettings(path)
		if err != nil {
			return fmt.Errorf("--%s: %w", flag, err)
		}
		o.Settings = append(o.Settings, settings)
	}
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

// readSettings reads the settings of an image from a file with the JSON of its configuration, as Docker has it.
func readSettings(path string) (c imgspecv1.ImageConfig, err error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return c, err
	}
	if err := json.Unmarshal(text, &c); err != nil {
		return c, fmt.Errorf("%s: %w", path, err)
	}
	return c, nil
}
