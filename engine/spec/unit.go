package spec

import (
	"fmt"
	"strings"
)

// What berth itself needs in the unit beside the container: it starts and stops it from there.
const (
	ownMemory = 32 << 20
	ownTasks  = 64
)

// UnitProperties are the limits as properties of the unit that berth has systemd make for a container
// (systemd.resource-control(5)), so that systemctl, systemd-cgtop and systemd-oomd know of them. The exact ones are
// those of the container's own group; the unit's leave room for berth, which must be able to stop a container that has
// used up all of its own.
func UnitProperties(l Limits) ([]string, error) {
	list, err := properties(l, ownMemory, ownTasks)
	if err != nil {
		return nil, err
	}
	slice, err := Slice(l.CgroupParent)
	if slice != "" {
		list = append(list, "Slice="+slice)
	}
	return list, err
}

// SliceProperties are the limits of a pod as properties of its slice.
func (p Pod) SliceProperties() ([]string, error) { return properties(p.Common.Limits, 0, 0) }

// properties are the limits, with room for more memory and processes.
func properties(l Limits, moreMemory, moreTasks int64) ([]string, error) {
	p, err := l.parse()
	if err != nil {
		return nil, err
	}
	var list []string
	add := func(format string, args ...any) { list = append(list, fmt.Sprintf(format, args...)) }
	if p.memory != nil {
		add("MemoryMax=%d", *p.memory+moreMemory)
		if *p.swap >= 0 {
			add("MemorySwapMax=%d", *p.swap-*p.memory)
		}
	}
	if p.reservation != nil {
		add("MemoryLow=%d", *p.reservation)
	}
	if p.quota != nil {
		period := uint64(defaultPeriod)
		if p.period != nil {
			period = *p.period
		}
		add("CPUQuota=%d%%", max(1, uint64(*p.quota)*100/period))
	}
	if p.period != nil {
		add("CPUQuotaPeriodSec=%dus", *p.period)
	}
	if p.shares != nil {
		add("CPUWeight=%d", cpuWeight(*p.shares))
	}
	if l.CPUSet != "" {
		add("AllowedCPUs=%s", l.CPUSet)
	}
	if l.CPUSetMems != "" {
		add("AllowedMemoryNodes=%s", l.CPUSetMems)
	}
	if p.pids != nil {
		add("TasksMax=%d", *p.pids+moreTasks)
	}
	if p.weight != nil {
		add("IOWeight=%d", ioWeight(uint64(*p.weight)))
	}
	for _, w := range p.deviceWeights {
		add("IODeviceWeight=%s %d", w.device, ioWeight(w.n))
	}
	for i, name := range []string{readBps: "IOReadBandwidthMax", writeBps: "IOWriteBandwidthMax", readIOps: "IOReadIOPSMax", writeIOps: "IOWriteIOPSMax"} {
		for _, r := range p.rates[i] {
			add("%s=%s %d", name, r.device, r.n)
		}
	}
	return list, nil
}

// Slice is the slice that --cgroup-parent names, "" for none.
func Slice(parent string) (string, error) {
	if parent != "" && (!strings.HasSuffix(parent, ".slice") || strings.ContainsAny(parent, "/ \n")) {
		return "", fmt.Errorf("--cgroup-parent=%s is no slice of systemd, whose name ends with .slice", parent)
	}
	return parent, nil
}

// cpuWeight maps shares (2 to 262144) to a weight (1 to 10000), as the runtimes do.
func cpuWeight(shares uint64) uint64 {
	return 1 + (min(max(shares, 2), 262144)-2)*9999/262142
}

// ioWeight maps a weight of 10 to 1000 to one of 1 to 10000, as the runtimes do.
func ioWeight(weight uint64) uint64 { return 1 + (weight-10)*9999/990 }
