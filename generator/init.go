package generator

import (
	"github.com/berth-pods/berth/units"
	"github.com/berth-pods/berth/units/unitfile"
)

// InitContainer= makes a container prepare its pod: its unit has ended well before those of the pod's other containers start.
// systemd keeps that order, and lets what an unfinished preparation holds up fail with it.

// prepares shapes the unit of a container that prepares its pod. It counts as there until the pod stops, so that the
// restart of another container does not run it again.
func (c *conversion) prepares(service *unitfile.Section) {
	service.Set("Type", "oneshot")
	service.Set("RemainAfterExit", "yes")
}

// afterInit lets the unit of a container in a pod wait for those that prepare it: all of them, or those before it in the
// order of the file names when it is one itself.
func (c *conversion) afterInit(pod string) {
	for _, e := range c.entries {
		if e == c.entry {
			if e.init {
				return
			}
			continue
		}
		if e.init && e.pod == pod && e.refused == "" {
			c.need(e.service)
		}
	}
}

// checkInit looks at InitContainer=.
func (c *conversion) checkInit() {
	key := c.Unit.Berth.InitContainer
	if !key.On {
		return
	}
	s, ok := c.Section.(*units.Container)
	switch {
	case !ok:
		c.Errorf(key.At, "InitContainer= is for .container files")
	case s.Pod.Text == "":
		c.Errorf(key.At, "InitContainer=yes needs Pod=: it runs before the other containers of that pod")
	case c.entry.name.Template():
		c.Errorf(key.At, "InitContainer= is not for templates: write it into the file of an instance")
	}
	if !ok {
		return
	}
	if s.Notify.Text != "" {
		c.Errorf(s.Notify.At, "Notify= has no meaning with InitContainer=yes: the unit is ready when the container has ended")
	}
	service := c.File.Section("Service")
	if kind := service.Last("Type"); kind != nil && kind.Value == "notify" {
		c.Errorf(kind.At, "Type=notify has no meaning with InitContainer=yes: the unit is a oneshot")
	}
	if stays := service.Last("RemainAfterExit"); stays != nil {
		if on, _ := units.ParseBool(stays.Value); !on {
			c.Errorf(stays.At, "RemainAfterExit="+stays.Value+" has no meaning with InitContainer=yes: the unit stays until the pod stops")
		}
	}
}
