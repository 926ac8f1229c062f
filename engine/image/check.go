//go:build containers_image_openpgp

package image

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"go.podman.io/storage"

	"github.com/berth-pods/berth/engine/atomicfile"
)

// CheckOptions say how thoroughly the store is looked through, and what becomes of what is damaged.
type CheckOptions struct {
	Quick      bool          // without reading the files of each layer
	Repair     bool          // remove damaged images and layers
	Containers bool          // and containers
	Unused     time.Duration // how long a layer may lie there that nobody uses
}

// Damage is what is wrong with one thing of the store.
type Damage struct {
	Kind, ID string
	Errors   []string
}

// Check looks for damage in the store. What was to be removed and could not be is an error.
func (im *Images) Check(o CheckOptions) ([]Damage, error) {
	options := storage.CheckEverything()
	if o.Quick {
		options = storage.CheckMost()
	}
	options.LayerUnreferencedMaximumAge = &o.Unused
	if o.Repair { // not what another process is just storing
		f, err := im.copyLock()
		if err != nil {
			return nil, err
		}
		defer f.Close()
		if err := atomicfile.Lock(f); err != nil {
			return nil, fmt.Errorf("lock %s: %w", f.Name(), err)
		}
	}
	report, err := im.store.Check(options)
	if err != nil {
		return nil, fmt.Errorf("check the store: %w", err)
	}
	delete(report.Layers, "tempdirs") // where the storage library moves what it is about to delete
	list := damages(report)
	if !o.Repair || len(list) == 0 {
		return list, nil
	}
	if errs := im.store.Repair(report, &storage.RepairOptions{RemoveContainers: o.Containers}); len(errs) > 0 {
		return list, fmt.Errorf("repair the store: %w", errors.Join(errs...))
	}
	return list, nil
}

func damages(report storage.CheckReport) (list []Damage) {
	for _, part := range []struct {
		kind string
		ids  map[string][]error
	}{
		{"layer", report.Layers}, {"read-only layer", report.ROLayers},
		{"image", report.Images}, {"read-only image", report.ROImages}, {"container", report.Containers},
	} {
		begin := len(list)
		for id, errs := range part.ids {
			d := Damage{Kind: part.kind, ID: id}
			for _, err := range errs {
				d.Errors = append(d.Errors, err.Error())
			}
			list = append(list, d)
		}
		slices.SortFunc(list[begin:], func(a, b Damage) int { return strings.Compare(a.ID, b.ID) })
	}
	return list
}
