//go:build containers_image_openpgp

package image

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// PruneOptions say which images go.
type PruneOptions struct {
	All     bool     // also those with names
	Filters []string // until=TIME, label=KEY[=VALUE], label!=KEY[=VALUE]; all must match
	Now     time.Time
}

// LastGood begins the names that keep the last good image of units which auto-update. Such images are not pruned.
const LastGood = "localhost/berth-last-good/"

// Prune removes images that no container uses and no other image is based on, and what is left of pulls that were given up.
func (im *Images) Prune(o PruneOptions) ([]Removed, error) {
	match, err := im.pruneMatcher(o)
	if err != nil {
		return nil, err
	}
	partials{im.partialDir()}.sweep(o.Now.Add(abandonAfter - time.Hour)) // those that nothing was added to for an hour
	all, err := im.summaries(nil)
	if err != nil {
		return nil, err
	}
	var removed []Removed
	var errs []error
	for _, s := range all {
		if s.ReadOnly || s.Containers > 0 || !prunable(s.Names, o) || !match(s) {
			continue
		}
		r, err := im.pruneOne(s.ID, o)
		if err == nil && r.Deleted != "" {
			removed = append(removed, r)
		}
		if !errors.Is(err, ErrInUse) {
			errs = append(errs, err)
		}
	}
	return removed, errors.Join(errs...)
}

// pruneOne removes one image, unless it has been removed or named since it was listed.
func (im *Images) pruneOne(id string, o PruneOptions) (Removed, error) {
	lock, err := im.removing()
	if err != nil {
		return Removed{}, err
	}
	defer lock.Close()
	img, _, err := im.byID(id, id)
	if errors.Is(err, ErrMissing) || err == nil && !prunable(img.Names, o) {
		return Removed{}, nil
	}
	if err != nil {
		return Removed{}, err
	}
	return im.delete(img, id[:12])
}

func prunable(names []string, o PruneOptions) bool {
	return (o.All || len(names) == 0) && !isLastGood(names)
}

func isLastGood(names []string) bool {
	return slices.ContainsFunc(names, func(n string) bool { return strings.HasPrefix(n, LastGood) })
}

func (im *Images) pruneMatcher(o PruneOptions) (func(Summary) bool, error) {
	var all []func(Summary) bool
	for _, f := range o.Filters {
		key, value, found := strings.Cut(f, "=")
		switch {
		case !found:
			return nil, fmt.Errorf("filter %q: write it as KEY=VALUE", f)
		case key == "until":
			at, err := when(value, o.Now)
			if err != nil {
				return nil, fmt.Errorf("filter %q: %w", f, err)
			}
			all = append(all, func(s Summary) bool { return s.Created.Before(at) })
		case key == "label":
			all = append(all, hasLabel(value))
		case key == "label!":
			has := hasLabel(value)
			all = append(all, func(s Summary) bool { return !has(s) })
		default:
			return nil, fmt.Errorf("filter %q: there are until, label and label!", f)
		}
	}
	return func(s Summary) bool {
		return !slices.ContainsFunc(all, func(one func(Summary) bool) bool { return !one(s) })
	}, nil
}

// when reads a time as people give it: a duration before now, seconds since 1970, or a date.
func when(s string, now time.Time) (time.Time, error) {
	if d, err := time.ParseDuration(s); err == nil {
		return now.Add(-d), nil
	}
	if n, err := strconv.ParseFloat(s, 64); err == nil {
		return time.Unix(0, int64(n*1e9)), nil
	}
	for _, layout := range []string{time.RFC3339, "2006-01-02T15:04:05", "2006-01-02 15:04:05", "2006-01-02"} {
		if t, err := time.ParseInLocation(layout, s, time.Local); err == nil {
			return t, nil
		}
	}
	return time.Time{}, fmt.Errorf("%q is no time: use 24h, 2025-12-31 or 2025-12-31T12:00:00Z", s)
}
