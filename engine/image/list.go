//go:build containers_image_openpgp

package image

import (
	"cmp"
	"errors"
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.podman.io/storage"

	"github.com/berth-pods/berth/engine/image/name"
)

// Summary is one image as lists show it.
type Summary struct {
	ID         string            `json:"Id"`
	Names      []string          `json:"Names"`
	Digest     string            `json:"Digest"`
	Digests    []string          `json:"RepoDigests"`
	Created    time.Time         `json:"CreatedAt"`
	Size       int64             `json:"Size"` // bytes, layers as unpacked
	Labels     map[string]string `json:"Labels"`
	Containers int               `json:"Containers"`
	Dangling   bool              `json:"Dangling"` // it has no name
	ReadOnly   bool              `json:"ReadOnly"` // it is in an additional store
	Arch       string            `json:"Arch"`
	OS         string            `json:"Os"`
	History    []string          `json:"History"` // names that it had
	IsList     bool              `json:"IsManifestList"`

	// Unread is why something of it cannot be read, its size above all; nil also when somebody is just removing it.
	Unread error `json:"-"`

	unfinished bool
	top        string // its top layer
}

// List returns the images that match all filters, the newest first. See the text of the verb images for the filters.
func (im *Images) List(filters []string) ([]Summary, error) {
	all, err := im.summaries(filters)
	return slices.DeleteFunc(all, func(s Summary) bool { return s.unfinished }), err
}

// unfinished tells of an image that was being stored when the power was cut, or its program killed: the record comes first, then
// the manifest, under one lock. The next load or pull of the image finishes it, and prune removes it.
func unfinished(img *storage.Image) bool {
	return len(img.Names) == 0 && !slices.Contains(img.BigDataNames, storage.ImageDigestBigDataKey)
}

// summaries is List with the unfinished ones.
func (im *Images) summaries(filters []string) ([]Summary, error) {
	match, err := im.matcher(filters)
	if err != nil {
		return nil, err
	}
	images, err := im.store.Images()
	if err != nil {
		return nil, fmt.Errorf("list images: %w", err)
	}
	users, err := im.users()
	if err != nil {
		return nil, err
	}
	var all []Summary
	for i := range images {
		s := im.summary(&images[i])
		s.Containers = len(users[s.ID])
		if match(s) {
			all = append(all, s)
		}
	}
	slices.SortFunc(all, func(a, b Summary) int {
		return cmp.Or(b.Created.Compare(a.Created), strings.Compare(a.ID, b.ID))
	})
	return all, nil
}

// summary leaves out what it cannot read: an image that another program is just removing must not hide the others.
func (im *Images) summary(img *storage.Image) Summary {
	s := Summary{
		ID: img.ID, Names: img.Names, Digest: img.Digest.String(), Digests: repoDigests(img.Names, img.Digests),
		Created: img.Created, Dangling: len(img.Names) == 0, ReadOnly: img.ReadOnly, History: img.NamesHistory,
		unfinished: unfinished(img), IsList: slices.Contains(img.BigDataNames, instancesKey), top: img.TopLayer,
	}
	if s.Size, s.Unread = im.contentSize(img); errors.Is(s.Unread, storage.ErrLayerUnknown) {
		s.Unread = nil
	}
	c, err := im.config(img)
	if err != nil {
		return s
	}
	s.Labels, s.Arch, s.OS = c.Config.Labels, c.Architecture, c.OS
	if c.Created != nil {
		s.Created = *c.Created
	}
	return s
}

// users maps the ID of an image to the containers made from it, by name where they have one.
func (im *Images) users() (map[string][]string, error) {
	containers, err := im.store.Containers()
	if err != nil {
		return nil, fmt.Errorf("list containers: %w", err)
	}
	users := map[string][]string{}
	for _, c := range containers {
		label := c.ID[:min(12, len(c.ID))]
		if len(c.Names) > 0 {
			label = c.Names[0]
		}
		users[c.ImageID] = append(users[c.ImageID], label)
	}
	return users, nil
}

func (im *Images) matcher(filters []string) (func(Summary) bool, error) {
	var all []func(Summary) bool
	for _, f := range filters {
		key, value, found := strings.Cut(f, "=")
		if !found {
			return nil, fmt.Errorf("filter %q: write it as KEY=VALUE", f)
		}
		one, err := im.filter(key, value)
		if err != nil {
			return nil, fmt.Errorf("filter %q: %w", f, err)
		}
		all = append(all, one)
	}
	return func(s Summary) bool {
		for _, one := range all {
			if !one(s) {
				return false
			}
		}
		return true
	}, nil
}

func (im *Images) filter(key, value string) (func(Summary) bool, error) {
	switch key {
	case "reference":
		return func(s Summary) bool {
			return slices.ContainsFunc(s.Names, func(n string) bool { return refers(value, n) })
		}, nil
	case "id":
		return func(s Summary) bool { return strings.HasPrefix(s.ID, strings.TrimPrefix(value, "sha256:")) }, nil
	case "digest":
		return func(s Summary) bool {
			return slices.ContainsFunc(append(s.Digests, s.Digest), func(d string) bool {
				return strings.HasPrefix(d[strings.IndexByte(d, '@')+1:], value)
			})
		}, nil
	case "label":
		return hasLabel(value), nil
	case "label!":
		has := hasLabel(value)
		return func(s Summary) bool { return !has(s) }, nil
	case "dangling", "readonly", "containers", "intermediate", "manifest":
		return im.yesOrNo(key, value)
	case "until":
		at, err := when(value, time.Now())
		return func(s Summary) bool { return s.Created.Before(at) }, err
	case "before", "since", "after":
		img, _, err := im.lookup(value)
		if err != nil {
			return nil, err
		}
		than := im.summary(img).Created
		if key == "before" {
			return func(s Summary) bool { return s.Created.Before(than) }, nil
		}
		return func(s Summary) bool { return s.Created.After(than) }, nil
	}
	return nil, fmt.Errorf("there is no filter %q; there are reference, id, digest, label, label!, dangling, intermediate, readonly, containers, manifest, before, since and until", key)
}

// yesOrNo are the filters that an image passes or does not.
func (im *Images) yesOrNo(key, value string) (func(Summary) bool, error) {
	want, err := strconv.ParseBool(value)
	if err != nil {
		return nil, fmt.Errorf("%q is neither true nor false", value)
	}
	parents := map[string]bool{}
	if key == "intermediate" {
		layers, err := im.store.Layers()
		if err != nil {
			return nil, fmt.Errorf("list layers: %w", err)
		}
		for _, l := range layers {
			parents[l.Parent] = true
		}
	}
	return func(s Summary) bool {
		return want == map[string]bool{"dangling": s.Dangling, "readonly": s.ReadOnly, "containers": s.Containers > 0,
			"intermediate": s.Dangling && s.top != "" && parents[s.top], "manifest": s.IsList}[key]
	}, nil
}

func hasLabel(want string) func(Summary) bool {
	key, value, found := strings.Cut(want, "=")
	return func(s Summary) bool {
		have, ok := s.Labels[key]
		return ok && (!found || have == value)
	}
}

// refers tells whether a pattern as typed, a glob with an optional tag and any number of leading parts left out,
// matches a full name: web, web:*, localhost/web and */web all match localhost/web:latest.
func refers(pattern, full string) bool {
	repository, tag := splitName(full)
	wantRepository, wantTag := splitName(pattern)
	if wantTag != "" && (tag == "" || !glob(wantTag, tag)) {
		return false
	}
	for rest := repository; ; {
		if glob(wantRepository, rest) {
			return true
		}
		_, after, found := strings.Cut(rest, "/")
		if !found {
			return false
		}
		rest = after
	}
}

func glob(pattern, s string) bool {
	ok, err := path.Match(pattern, s)
	return err == nil && ok
}

// references are the filters that the argument of the verb images stands for.
func references(s string) string {
	if n, err := name.Parse(s); err == nil && n.Digest != "" {
		return "id=" + n.Digest
	}
	return "reference=" + s
}

// ListNamed lists the images called s, as a glob or a part of a name.
func (im *Images) ListNamed(s string, filters []string) ([]Summary, error) {
	return im.List(append(slices.Clone(filters), references(s)))
}
