package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"github.com/spf13/pflag"
	"golang.org/x/sys/unix"

	"github.com/berth-pods/berth/engine"
	"github.com/berth-pods/berth/engine/cgroup"
	"github.com/berth-pods/berth/engine/sd"
	"github.com/berth-pods/berth/engine/spec"
)

// updateFlags are the flags of run that can be given to a container that is there.
func updateFlags(set *pflag.FlagSet, c *spec.Container) {
	bindLimits(set, c)
	for _, f := range flagTable(healthFlags, commonFlags) {
		if f.name != "restart" && f.name != "no-healthcheck" && !strings.HasPrefix(f.name, "health-") {
			continue
		}
		flag := set.VarPF(f.bind(c), f.name, f.short, f.usage())
		if f.arg == "" {
			flag.NoOptDefVal = "true"
		}
	}
}

// bindLimits adds the flags about what a container may use, but for those that a container that is there cannot be given.
func bindLimits(set *pflag.FlagSet, c *spec.Container) {
	for _, f := range limitFlags {
		switch f.name {
		case "cgroup-parent", "rdt-class", "oom-kill-disable":
			continue
		}
		set.VarPF(f.bind(c), f.name, f.short, f.usage())
	}
}

func updateVerb() Verb {
	return Verb{
		Name: "update", Usage: "[OPTION…] CONTAINER", Summary: "change the limits of a container, while it runs",
		Text: `The options are those of run. What is not given stays. The limits of a container that runs are changed at once: in its cgroup, and
as properties of its unit, so that systemctl show tells them. They are kept with a container that outlives its end. The
restart policy and what concerns the container's health count from its next start on. What is in a unit file is changed there:
with the next start of the unit it counts again.`,
		Flags: func(set *pflag.FlagSet) {
			set.BoolP("latest", "l", false, "the container that was made last")
			updateFlags(set, &spec.Container{})
		},
		Run: runUpdate,
	}
}

// mergeUpdate returns the container as it is to be, and whether some of that counts only later.
func mergeUpdate(c spec.Container, args []string) (merged spec.Container, later bool, err error) {
	// Two rounds: what is given must be known before it is written over what was.
	given := newFlagSet("update")
	given.BoolP("latest", "l", false, "")
	updateFlags(given, &spec.Container{})
	if err := given.Parse(args); err != nil {
		return c, false, err
	}
	named := 0
	given.Visit(func(f *pflag.Flag) {
		later = later || f.Name == "restart" || strings.Contains(f.Name, "health")
		if f.Name != "latest" {
			named++
		}
	})
	if named == 0 {
		return c, false, errors.New("nothing is to be changed: give a limit, as --memory=1g")
	}
	replaceGiven(given, &c)
	second := newFlagSet("update")
	second.BoolP("latest", "l", false, "")
	updateFlags(second, &c)
	return c, later, second.Parse(args)
}

// replaceGiven takes out of a container the limits whose place others take.
func replaceGiven(given *pflag.FlagSet, c *spec.Container) {
	given.Visit(func(f *pflag.Flag) {
		switch f.Name { // a list takes the place of the one that was; two ways to say the same exclude each other
		case "blkio-weight-device":
			c.BlkioWeightDevices = nil
		case "cgroup-conf":
			c.CgroupConf = nil
		case "device-read-bps":
			c.ReadBps = nil
		case "device-read-iops":
			c.ReadIOps = nil
		case "device-write-bps":
			c.WriteBps = nil
		case "device-write-iops":
			c.WriteIOps = nil
		case "cpus":
			c.CPUQuota, c.CPUPeriod = "", ""
		case "cpu-quota", "cpu-period":
			c.CPUs = ""
		case "memory":
			if c.MemorySwap != "-1" {
				c.MemorySwap = ""
			}
		}
	})
}

func parseUpdate(args []string) (before, after engine.State, later bool, err error) {
	set := newFlagSet("update")
	latest := set.BoolP("latest", "l", false, "")
	updateFlags(set, &spec.Container{})
	if err := set.Parse(args); err != nil {
		return before, after, false, err
	}
	if before, err = oneContainer(set.Args(), *latest); err != nil {
		return before, after, false, err
	}
	after = before
	after.Container, later, err = mergeUpdate(before.Container, args)
	return before, after, later, err
}

func runUpdate(ctx context.Context, env *Env, args []string) error {
	before, after, later, err := parseUpdate(args)
	if err != nil {
		return err
	}
	old, err := spec.UnitProperties(before.Container.Limits)
	if err != nil {
		return err
	}
	properties, err := spec.UnitProperties(after.Container.Limits)
	if err != nil {
		return err
	}
	files, err := changedFiles(before.Container.Limits, after.Container.Limits)
	if err != nil {
		return err
	}
	if _, err := restartProperties(after.Container.Restart); err != nil {
		return err
	}
	if after.Running() {
		if err := updateLive(ctx, env, after, spec.ChangedProperties(old, properties), files); err != nil {
			return err
		}
	}
	err = runDirs().Change(after.ID, func(now *engine.State) (err error) {
		now.Container, _, err = mergeUpdate(now.Container, args)
		return err
	})
	if err != nil {
		return fmt.Errorf("update container %q: %w", after.Name, err)
	}
	after.Tell("update")
	if later && after.Running() {
		fmt.Fprintf(env.Err, "container %q runs: what concerns restarts and health counts from its next start on\n", after.Name)
	}
	_, err = fmt.Fprintln(env.Out, after.ID)
	return err
}

// changedFiles are the files of the container's group that say something else than before.
func changedFiles(before, after spec.Limits) ([]spec.GroupFile, error) {
	files, err := spec.GroupFiles(after, deviceNumber)
	if err != nil {
		return nil, err
	}
	written, _ := spec.GroupFiles(before, deviceNumber) // a device may be gone: then all is written again
	return slices.DeleteFunc(files, func(f spec.GroupFile) bool { return slices.Contains(written, f) }), nil
}

// updateLive changes the limits of a container that runs: those of its unit first where they become wider, for the container's own
// group cannot have more than the unit's. systemd takes all or none.
func updateLive(ctx context.Context, env *Env, s engine.State, properties []string, files []spec.GroupFile) error {
	if s.Cgroup == "" {
		return fmt.Errorf("container %q has no cgroup of its own whose limits could be changed; start it under systemd", s.Name)
	}
	for _, f := range files {
		if err := cgroup.CanSet(s.Cgroup, f.Name); err != nil {
			return fmt.Errorf("update container %q: %w", s.Name, err)
		}
	}
	if len(properties) > 0 && s.Unit != "" {
		if err := sd.SetProperties(ctx, env.Run, userManaged(), s.Unit, properties); err != nil {
			return fmt.Errorf("update container %q: %w", s.Name, err)
		}
	}
	for _, f := range files {
		if err := cgroup.Set(s.Cgroup, f.Name, f.Text); err != nil {
			return fmt.Errorf("update container %q: write %q to %s: %w", s.Name, f.Text, f.Name, err)
		}
	}
	return nil
}

// deviceNumber is the number of a block device, as the files of a control group name it.
func deviceNumber(path string) (string, error) {
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		return "", &fs.PathError{Op: "device", Path: path, Err: err}
	}
	if st.Mode&unix.S_IFMT != unix.S_IFBLK {
		return "", fmt.Errorf("%s is no block device", path)
	}
	return fmt.Sprintf("%d:%d", unix.Major(st.Rdev), unix.Minor(st.Rdev)), nil
}
