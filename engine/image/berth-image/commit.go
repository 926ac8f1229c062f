//go:build containers_image_openpgp

package main

import (
	"context"
	"fmt"

	"github.com/berth-pods/berth/engine/image"
)

func runOfContainer(ctx context.Context, c call) error {
	o := image.CommitOptions{
		Author: c.flags.text("author"), Message: c.flags.text("message"), Command: c.flags.text("created-by"), Changes: c.flags.texts("change"),
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
