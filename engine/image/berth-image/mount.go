//go:build containers_image_openpgp

package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/berth-pods/berth/engine/tty"
)

func runMount(_ context.Context, c call) error {
	if len(c.args) == 0 && !c.flags.yes("all") {
		return c.printMounts()
	}
	names := c.args
	if c.flags.yes("all") {
		list, err := c.images.List(nil)
		if err != nil {
			return err
		}
		for _, s := range list {
			names = append(names, s.ID)
		}
	}
	var errs []error
	for _, n := range names {
		m, err := c.images.Mount(n)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		if len(names) > 1 {
			fmt.Fprintln(c.Out, m.ID, m.Path)
		} else {
			fmt.Fprintln(c.Out, m.Path)
		}
	}
	return errors.Join(errs...)
}

func (c call) printMounts() error {
	list, err := c.images.Mounts()
	if err != nil {
		return err
	}
	if c.flags.text("format") == "json" {
		return printJSON(c.Out, list)
	}
	for _, m := range list {
		name := m.ID
		if len(m.Repositories) > 0 {
			name = m.Repositories[0]
		}
		fmt.Fprintf(c.Out, "%s  %s\n", name, m.Path)
	}
	return nil
}

func runUnmount(_ context.Context, c call) error {
	names := c.args
	if c.flags.yes("all") {
		list, err := c.images.Mounts()
		if err != nil {
			return err
		}
		for _, m := range list {
			names = append(names, m.ID)
		}
	} else if len(names) == 0 {
		return errors.New("image unmount: needs the name of an image, or --all")
	}
	var errs []error
	for _, n := range names {
		id, err := c.images.Unmount(n, c.flags.yes("force"))
		if err != nil {
			errs = append(errs, err)
			continue
		}
		fmt.Fprintln(c.Out, id)
	}
	return errors.Join(errs...)
}

func runDiff(_ context.Context, c call) error {
	other := ""
	if len(c.args) > 1 {
		other = c.args[1]
	}
	list, err := c.images.Diff(c.args[0], other)
	if err != nil {
		return err
	}
	if c.flags.text("format") == "json" {
		all := map[string][]string{}
		for _, d := range list {
			key := map[string]string{"A": "added", "C": "changed", "D": "deleted"}[d.Kind]
			all[key] = append(all[key], d.Path)
		}
		return printJSON(c.Out, all)
	}
	for _, d := range list {
		fmt.Fprintln(c.Out, d.Kind, tty.Printable(d.Path))
	}
	return nil
}
