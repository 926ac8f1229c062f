//go:build containers_image_openpgp

package image

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"go.podman.io/storage"
)

// Step is one line of an image's history, the newest first.
type Step struct {
	ID        string     `json:"id"` // of the image whose top layer this step made; empty when there is none
	Created   *time.Time `json:"created"`
	CreatedBy string     `json:"CreatedBy"`
	Size      int64      `json:"size"` // bytes of the layer as unpacked
	Comment   string     `json:"comment"`
	Tags      []string   `json:"tags,omitempty"`
}

// History returns how the image s came to be.
func (im *Images) History(s string) ([]Step, error) {
	img, _, err := im.lookupImage(s)
	if err != nil {
		return nil, err
	}
	c, err := im.config(img)
	if err != nil {
		return nil, err
	}
	owners, err := im.byTopLayer()
	if err != nil {
		return nil, err
	}
	steps := []Step{}
	layer := img.TopLayer
	for i, h := range slices.Backward(c.History) {
		step := Step{Created: h.Created, CreatedBy: h.CreatedBy, Comment: h.Comment}
		switch {
		case i == len(c.History)-1:
			step.ID, step.Tags = img.ID, img.Names
		case layer != "" && !h.EmptyLayer:
			if o := owners[layer]; len(o) > 0 {
				step.ID, step.Tags = o[0].id, o[0].names
			}
		}
		if !h.EmptyLayer && layer != "" {
			l, err := im.store.Layer(layer)
			if err != nil {
				return nil, fmt.Errorf("history of %s: layer %s: %w", s, layer, err)
			}
			step.Size, layer = max(l.UncompressedSize, 0), l.Parent
		}
		steps = append(steps, step)
	}
	return steps, nil
}

type owner struct {
	id    string
	names []string
}

// byTopLayer maps a layer to the images of which it is the top.
func (im *Images) byTopLayer() (map[string][]owner, error) {
	all, err := im.store.Images()
	if err != nil {
		return nil, fmt.Errorf("list images: %w", err)
	}
	owners := map[string][]owner{}
	for _, img := range all {
		owners[img.TopLayer] = append(owners[img.TopLayer], owner{img.ID, img.Names})
	}
	return owners, nil
}

// Node is one layer in the tree of an image, the top one first.
type Node struct {
	ID   string
	Size int64
	Tops []string // names of the images of which it is the top layer
	Kids []Node   // layers upon it, as Requires finds them
}

// Requires returns the top layer of an image with the layers upon it: those of the images that are based on it.
func (im *Images) Requires(s string) (Summary, []Node, error) {
	img, _, err := im.lookup(s)
	if err != nil {
		return Summary{}, nil, err
	}
	owners, err := im.byTopLayer()
	if err != nil {
		return Summary{}, nil, err
	}
	layers, err := im.store.Layers()
	if err != nil {
		return Summary{}, nil, fmt.Errorf("list layers: %w", err)
	}
	var above func(match func(storage.Layer) bool) []Node
	above = func(match func(storage.Layer) bool) (nodes []Node) {
		for _, l := range layers {
			if match(l) && (l.ID == img.TopLayer || isImages(l.ID, layers, owners)) {
				n := node(l.ID, l.UncompressedSize, owners)
				n.Kids = above(func(k storage.Layer) bool { return k.Parent == l.ID })
				nodes = append(nodes, n)
			}
		}
		slices.SortFunc(nodes, func(a, b Node) int { return strings.Compare(a.ID, b.ID) })
		return nodes
	}
	return im.summary(img), above(func(l storage.Layer) bool { return l.ID == img.TopLayer }), nil
}

// isImages tells whether an image ends at a layer or above it; a container's own layer is no image's.
func isImages(id string, layers []storage.Layer, owners map[string][]owner) bool {
	return len(owners[id]) > 0 || slices.ContainsFunc(layers, func(l storage.Layer) bool { return l.Parent == id && isImages(l.ID, layers, owners) })
}

func node(id string, size int64, owners map[string][]owner) Node {
	n := Node{ID: id, Size: max(size, 0)}
	for _, o := range owners[id] {
		n.Tops = append(n.Tops, o.names...)
	}
	slices.Sort(n.Tops)
	return n
}

// Tree returns the layers of an image.
func (im *Images) Tree(s string) (Summary, []Node, error) {
	img, _, err := im.lookup(s)
	if err != nil {
		return Summary{}, nil, err
	}
	owners, err := im.byTopLayer()
	if err != nil {
		return Summary{}, nil, err
	}
	var nodes []Node
	for id := img.TopLayer; id != ""; {
		l, err := im.store.Layer(id)
		if err != nil {
			return Summary{}, nil, fmt.Errorf("layers of %s: %w", s, err)
		}
		nodes, id = append(nodes, node(id, l.UncompressedSize, owners)), l.Parent
	}
	return im.summary(img), nodes, nil
}
