package cli

import "github.com/berth-pods/berth/engine/spec"

// limitFlags are the flags about what a container may use.
var limitFlags = []runFlag{
	{"blkio-weight", "", "WEIGHT", "share of input and output beside others, from 10 to 1000", text(func(c *spec.Container) *string { return &c.BlkioWeight })},
	{"blkio-weight-device", "", "DEVICE:WEIGHT", "the same for one device", list(func(c *spec.Container) *[]string { return &c.BlkioWeightDevices })},
	{"cgroup-conf", "", "FILE=VALUE", "write a file of the container's cgroup, as memory.high=1g", list(func(c *spec.Container) *[]string { return &c.CgroupConf })},
	{"cgroup-parent", "", "SLICE", "run in this slice of systemd; in a unit file, Slice= of [Service] says so", text(func(c *spec.Container) *string { return &c.CgroupParent })},
	{"cpu-period", "", "MICROSECONDS", "period that --cpu-quota is counted in", text(func(c *spec.Container) *string { return &c.CPUPeriod })},
	{"cpu-quota", "", "MICROSECONDS", "limit the processor time in each period", text(func(c *spec.Container) *string { return &c.CPUQuota })},
	{"cpu-rt-period", "", "MICROSECONDS", "of cgroup v1 only: no effect", without("cpu-rt-period")},
	{"cpu-rt-runtime", "", "MICROSECONDS", "of cgroup v1 only: no effect", without("cpu-rt-runtime")},
	{"cpu-shares", "c", "SHARES", "share of processor time beside others; 1024 is usual", text(func(c *spec.Container) *string { return &c.CPUShares })},
	{"cpus", "", "NUMBER", "limit the processor time to so many processors, as 1.5", text(func(c *spec.Container) *string { return &c.CPUs })},
	{"cpuset-cpus", "", "LIST", "run on these processors, as 0-3,5", text(func(c *spec.Container) *string { return &c.CPUSet })},
	{"cpuset-mems", "", "LIST", "use the memory of these NUMA nodes", text(func(c *spec.Container) *string { return &c.CPUSetMems })},
	{"device-read-bps", "", "DEVICE:RATE", "limit the bytes read in a second, as /dev/sda:1m", list(func(c *spec.Container) *[]string { return &c.ReadBps })},
	{"device-read-iops", "", "DEVICE:N", "limit the reads in a second", list(func(c *spec.Container) *[]string { return &c.ReadIOps })},
	{"device-write-bps", "", "DEVICE:RATE", "limit the bytes written in a second", list(func(c *spec.Container) *[]string { return &c.WriteBps })},
	{"device-write-iops", "", "DEVICE:N", "limit the writes in a second", list(func(c *spec.Container) *[]string { return &c.WriteIOps })},
	{"memory", "m", "SIZE", "limit the memory, as 512m or 2g", text(func(c *spec.Container) *string { return &c.Memory })},
	{"memory-reservation", "", "SIZE", "keep this much memory when others want it", text(func(c *spec.Container) *string { return &c.MemoryReservation })},
	{"memory-swap", "", "SIZE", "limit memory and swap together; -1 for no limit; twice --memory unless given", text(func(c *spec.Container) *string { return &c.MemorySwap })},
	{"memory-swappiness", "", "N", "of cgroup v1 only: no effect", without("memory-swappiness")},
	{"oom-kill-disable", "", "", "of cgroup v1 only: no effect", without("oom-kill-disable")},
	{"pids-limit", "", "N", "limit the number of processes; -1 for no limit", text(func(c *spec.Container) *string { return &c.PidsLimit })},
	{"rdt-class", "", "NAME", "class of service of Intel's resource director", text(func(c *spec.Container) *string { return &c.RdtClass })},
}
