//go:build containers_image_openpgp

package main

import (
	"bufio"
	"context"
	"fmt"
	"strings"
	"time"

	units "github.com/docker/go-units"

	"github.com/berth-pods/berth/engine/image"
)

// A step is a line of the history as templates see it.
type step struct {
	ID, Created, CreatedAt, CreatedSince, CreatedBy, Size, Comment string
	Tags                                                           []string
}

func runHistory(_ context.Context, c call) error {
	steps, err := c.images.History(c.args[0])
	if err != nil {
		return err
	}
	format := c.flags.text("format")
	if format == "json" {
		for i := range steps {
			if steps[i].ID == "" {
				steps[i].ID = "<missing>"
			}
		}
		return printJSON(c.Out, steps)
	}
	var rows []any
	for _, s := range steps {
		rows = append(rows, c.step(s))
	}
	switch {
	case c.flags.yes("quiet"):
		format = "{{.ID}}"
	case format == "":
		format = "table {{.ID}}\t{{.Created}}\t{{.CreatedBy}}\t{{.Size}}\t{{.Comment}}"
	}
	return printRows(c.Out, format, rows, step{}, false)
}

func (c call) step(s image.Step) step {
	full, human := c.flags.yes("no-trunc"), c.flags.yes("human")
	r := step{ID: "<missing>", CreatedBy: s.CreatedBy, Size: units.HumanSizeWithPrecision(float64(s.Size), 3), Comment: s.Comment, Tags: s.Tags}
	if s.ID != "" {
		r.ID = shortID(s.ID, false)
		if full {
			r.ID = s.ID
		}
	}
	if s.Created != nil {
		r.CreatedAt, r.CreatedSince = s.Created.UTC().Format(time.RFC3339), units.HumanDuration(time.Since(*s.Created))+" ago"
	}
	r.Created = r.CreatedSince
	if !human {
		r.Created, r.Size = r.CreatedAt, fmt.Sprint(s.Size)
	}
	if by := []rune(r.CreatedBy); !full && len(by) > 45 {
		r.CreatedBy = string(by[:42]) + "..."
	}
	r.CreatedBy = strings.NewReplacer("\t", " ", "\n", " ").Replace(r.CreatedBy)
	return r
}

func runTree(_ context.Context, c call) error {
	find := c.images.Tree
	if c.flags.yes("whatrequires") {
		find = c.images.Requires
	}
	s, nodes, err := find(c.args[0])
	if err != nil {
		return err
	}
	fmt.Fprintf(c.Out, "Image ID: %s\nTags:     [%s]\nSize:     %s\n", shortID(s.ID, false), strings.Join(s.Names, " "), units.HumanSizeWithPrecision(float64(s.Size), 4))
	if len(nodes) == 0 {
		fmt.Fprintln(c.Out, "No Image Layers")
		return nil
	}
	fmt.Fprintln(c.Out, "Image Layers")
	c.printNodes("", nodes)
	return nil
}

func (c call) printNodes(indent string, nodes []image.Node) {
	for i, n := range nodes {
		branch, below := "├── ", "│   "
		if i == len(nodes)-1 {
			branch, below = "└── ", "    "
		}
		top := ""
		if len(n.Tops) > 0 {
			top = " Top Layer of: [" + strings.Join(n.Tops, " ") + "]"
		}
		fmt.Fprintf(c.Out, "%s%sID: %s Size: %7s%s\n", indent, branch, shortID(n.ID, false), units.HumanSizeWithPrecision(float64(n.Size), 4), top)
		c.printNodes(indent+below, n.Kids)
	}
}

func runPrune(_ context.Context, c call) error {
	if !c.flags.yes("force") && !c.confirm() {
		return nil
	}
	removed, err := c.images.Prune(image.PruneOptions{All: c.flags.yes("all"), Filters: c.flags.texts("filter"), Now: time.Now()})
	for _, r := range removed {
		tell("remove", r.Deleted, strings.Join(r.Untagged, ","))
		fmt.Fprintln(c.Out, r.Deleted)
	}
	return err
}

// confirm asks before a prune. No answer is no.
func (c call) confirm() bool {
	what := "all images without a name that no container uses"
	if c.flags.yes("all") {
		what = "all images that no container uses"
	}
	fmt.Fprintf(c.Out, "This removes %s. Go on? [y/N] ", what)
	answer, _ := bufio.NewReader(c.In).ReadString('\n')
	return strings.HasPrefix(strings.ToLower(strings.TrimSpace(answer)), "y")
}
