package spec

import (
	"fmt"
	"strconv"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// resources are the limits of the container's own cgroup. Those that systemd has are properties of the unit instead.
func resources(c Container, host Host, rules []specs.LinuxDeviceCgroup) (*specs.LinuxResources, error) {
	r := &specs.LinuxResources{}
	if !host.Rootless && !c.Privileged {
		r.Devices = append([]specs.LinuxDeviceCgroup{{Allow: false, Access: "rwm"}}, rules...)
	}
	if c.Memory != "" {
		limit, err := ParseBytes(c.Memory)
		if err != nil {
			return nil, fmt.Errorf("memory limit: %w", err)
		}
		if !host.Resources {
			return nil, fmt.Errorf("memory limit %s: the unit's cgroup has no memory controller; use MemoryMax= in [Service] or delegate it", c.Memory)
		}
		n := int64(limit)
		r.Memory = &specs.LinuxMemory{Limit: &n}
	}
	if c.PidsLimit != "" && c.PidsLimit != "-1" && c.PidsLimit != "0" {
		n, err := strconv.ParseInt(c.PidsLimit, 10, 64)
		if err != nil || n < 0 {
			return nil, fmt.Errorf("pids limit %q is not a number; -1 means no limit", c.PidsLimit)
		}
		if !host.Resources {
			return nil, fmt.Errorf("pids limit %s: the unit's cgroup has no pids controller; use TasksMax= in [Service] or delegate it", c.PidsLimit)
		}
		r.Pids = &specs.LinuxPids{Limit: &n}
	}
	return r, nil
}

// ParseBytes reads N with one of the units b, k, m, g, t (powers of 1024, in any case, "kb" and "kib" too); no unit is bytes.
func ParseBytes(s string) (uint64, error) {
	digits := strings.TrimRight(strings.ToLower(s), "bkmgti")
	unit := strings.ToLower(s)[len(digits):]
	shift, ok := map[string]uint{
		"": 0, "b": 0, "k": 10, "kb": 10, "kib": 10, "m": 20, "mb": 20, "mib": 20,
		"g": 30, "gb": 30, "gib": 30, "t": 40, "tb": 40, "tib": 40,
	}[unit]
	n, err := strconv.ParseUint(digits, 10, 64)
	if err != nil || !ok || n > 1<<62>>shift {
		return 0, fmt.Errorf("%q is not a size such as 512m or 2g", s)
	}
	return n << shift, nil
}
