package spec

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

// GroupFile is a file of a control group, and what is to be written into it (cgroups(7)).
type GroupFile struct{ Name, Text string }

// GroupFiles are the limits as files of a container's own group, for one that runs already. Devices are named by their paths;
// device tells their numbers, as 8:0.
func GroupFiles(l Limits, device func(path string) (string, error)) ([]GroupFile, error) {
	p, err := l.parse()
	if err != nil {
		return nil, err
	}
	var list []GroupFile
	add := func(name, format string, args ...any) {
		list = append(list, GroupFile{name, fmt.Sprintf(format, args...)})
	}
	if p.memory != nil {
		add("memory.max", "%s", orMax(*p.memory))
		swap := int64(-1)
		if *p.swap >= 0 {
			swap = *p.swap - *p.memory
		}
		add("memory.swap.max", "%s", orMax(swap))
	}
	if p.memory == nil && l.Memory != "" {
		add("memory.max", "max")
		add("memory.swap.max", "max")
	}
	if p.reservation != nil {
		add("memory.low", "%s", orMax(*p.reservation))
	}
	if p.quota != nil || p.period != nil || l.CPUQuota != "" || l.CPUs != "" {
		quota, period := int64(-1), uint64(defaultPeriod)
		if p.quota != nil && *p.quota > 0 {
			quota = *p.quota
		}
		if p.period != nil {
			period = *p.period
		}
		add("cpu.max", "%s %d", orMax(quota), period)
	}
	if p.shares != nil {
		add("cpu.weight", "%d", cpuWeight(*p.shares))
	}
	if l.CPUSet != "" {
		add("cpuset.cpus", "%s", l.CPUSet)
	}
	if l.CPUSetMems != "" {
		add("cpuset.mems", "%s", l.CPUSetMems)
	}
	if p.pids != nil {
		add("pids.max", "%s", orMax(*p.pids))
	}
	if p.pids == nil && l.PidsLimit != "" {
		add("pids.max", "max")
	}
	if p.weight != nil {
		add("io.weight", "default %d", ioWeight(uint64(*p.weight)))
	}
	for _, w := range p.deviceWeights {
		number, err := device(w.device)
		if err != nil {
			return nil, err
		}
		add("io.weight", "%s %d", number, ioWeight(w.n))
	}
	for i, key := range []string{readBps: "rbps", writeBps: "wbps", readIOps: "riops", writeIOps: "wiops"} {
		for _, r := range p.rates[i] {
			number, err := device(r.device)
			if err != nil {
				return nil, err
			}
			add("io.max", "%s %s=%d", number, key, r.n)
		}
	}
	for _, name := range SortedKeys(p.unified) {
		add(name, "%s", p.unified[name])
	}
	return list, nil
}

func orMax(n int64) string {
	if n < 0 || n == math.MaxInt64 {
		return "max"
	}
	return strconv.FormatInt(n, 10)
}

// ChangedProperties are the properties of a unit that are not as they were. Those that were there and are not any more get the
// value that stands for none.
func ChangedProperties(before, after []string) []string {
	list := slices.DeleteFunc(slices.Clone(after), func(p string) bool {
		return slices.Contains(before, p) || strings.HasPrefix(p, "Slice=")
	})
	none := map[string]string{"MemoryMax": "infinity", "MemorySwapMax": "infinity", "MemoryLow": "0", "TasksMax": "infinity", "CPUQuotaPeriodSec": "infinity"}
	for _, p := range before {
		name, _, _ := strings.Cut(p, "=")
		gone := !slices.ContainsFunc(after, func(a string) bool { return strings.HasPrefix(a, name+"=") })
		if reset := name + "=" + none[name]; gone && name != "Slice" && !slices.Contains(list, reset) {
			list = append(list, reset)
		}
	}
	return list
}
