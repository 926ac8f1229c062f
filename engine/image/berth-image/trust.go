//go:build containers_image_openpgp

package main

import (
	"context"
	"fmt"
	"strings"
	"text/tabwriter"

	"github.com/berth-pods/berth/engine/image"
)

// accounts are those of the policy that the command line names.
func (c call) accounts() *image.Accounts {
	a := image.OpenAccounts()
	a.UsePolicy(c.policy)
	return a
}

func runSign(ctx context.Context, c call) error {
	r, err := c.registry()
	if err != nil {
		return fmt.Errorf("image sign: %w", err)
	}
	for _, name := range c.args {
		o := image.SignOptions{Registry: r, Key: c.flags.text("sign-by"), Directory: c.flags.text("directory"), All: c.flags.yes("all")}
		if err := c.accounts().Sign(ctx, name, o); err != nil {
			return err
		}
		tell("sign", "", name)
	}
	return nil
}

func runTrustSet(_ context.Context, c call) error {
	if err := c.accounts().SetTrust(c.args[0], c.flags.text("type"), c.flags.texts("pubkeysfile")); err != nil {
		return fmt.Errorf("image trust set: %w", err)
	}
	return nil
}

func runTrustShow(_ context.Context, c call) error {
	if c.flags.yes("raw") {
		text, err := c.accounts().RawPolicy()
		if err == nil {
			fmt.Fprintln(c.Out, strings.TrimRight(text, "\n"))
		}
		return err
	}
	name := ""
	if len(c.args) > 0 {
		name = c.args[0]
	}
	list, err := c.accounts().TrustList(name)
	if err != nil {
		return err
	}
	if c.flags.yes("json") {
		return c.printIndented(list)
	}
	w := tabwriter.NewWriter(c.Out, 12, 2, 2, ' ', 0)
	if !c.flags.yes("noheading") {
		fmt.Fprintln(w, "TRANSPORT\tNAME\tTYPE\tID\tSTORE")
	}
	for _, t := range list {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", t.Transport, t.Repo, t.Type, t.ID, t.Store)
	}
	return w.Flush()
}
