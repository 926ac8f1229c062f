//go:build containers_image_openpgp

package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/berth-pods/berth/engine/image"
)

// runCheck looks for damage in the store, and after a repair once more: what is left then could not be removed.
func runCheck(_ context.Context, c call) error {
	o := image.CheckOptions{Quick: c.flags.yes("quick"), Containers: c.flags.yes("force"), Unused: c.flags.duration("max")}
	o.Repair = o.Containers || c.flags.yes("repair")
	list, err := c.check(o)
	if err != nil || len(list) == 0 {
		return err
	}
	if !o.Repair {
		return errors.New("the store is damaged; --repair removes damaged images, --force damaged containers too")
	}
	fmt.Fprintln(c.Out, "Removed what is damaged; looking again")
	o.Repair = false
	if list, err = c.check(o); err == nil && len(list) > 0 {
		err = errors.New("the store is still damaged; a container may use what is: --force removes it")
	}
	return err
}

func (c call) check(o image.CheckOptions) ([]image.Damage, error) {
	list, err := c.images.Check(o)
	for _, d := range list {
		fmt.Fprintf(c.Out, "Damaged %s %s:\n", d.Kind, d.ID)
		for _, e := range d.Errors {
			fmt.Fprintf(c.Out, "  %s\n", e)
		}
	}
	return list, err
}
