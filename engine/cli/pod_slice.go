package cli

import (
	"context"
	"errors"
	"fmt"
	"reflect"

	"github.com/berth-pods/berth/engine"
	"github.com/berth-pods/berth/engine/sd"
	"github.com/berth-pods/berth/engine/spec"
	"github.com/berth-pods/berth/units"
)

// podSlice is the slice that the pod's containers are in, "" for a pod without limits.
func podSlice(p engine.Pod) string {
	l := p.Spec.Common.Limits
	if reflect.DeepEqual(l, spec.Limits{}) {
		return ""
	}
	return units.PodSlice(p.Name, l.CgroupParent, rootlessMode())
}

// limitPod makes the pod's slice and gives it the limits. A user's service manager must be asked outside of any user namespace.
func limitPod(ctx context.Context, env *Env, p engine.Pod) error {
	slice := podSlice(p)
	if slice == "" {
		return nil
	}
	properties, err := p.Spec.SliceProperties()
	if err == nil {
		err = sd.MakeSlice(ctx, env.Run, sd.Slice{User: rootlessMode(), Name: slice, Description: "Containers of pod " + p.Name, Properties: properties})
	}
	if err != nil {
		return fmt.Errorf("limits of pod %q: %w", p.Name, err)
	}
	return nil
}

// unlimitPod takes away what limitPod has made. systemd stops the slice by itself.
func unlimitPod(p engine.Pod) error {
	if slice := podSlice(p); slice != "" {
		return sd.ForgetSlice(rootlessMode(), slice)
	}
	return nil
}

// inSlice gives a container that is to be in a pod what the unit of the container has from the pod: the slice of one with limits,
// and when it is started again.
func inSlice(c spec.Container) (spec.Container, error) {
	p, in, err := podNamed(c)
	if errors.Is(err, engine.ErrNoPod) {
		return c, nil // the start says so
	}
	if in && c.CgroupParent == "" {
		c.CgroupParent = podSlice(p)
	}
	if in && c.Restart == "" && !c.Remove && c.InitCtr == "" {
		c.Restart = p.Spec.Common.Restart
	}
	return c, err
}
