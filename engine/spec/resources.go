package spec

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// Limits are the flags about what a container may use.
type Limits struct {
	BlkioWeight        string   `json:"blkioWeight,omitempty"`
	BlkioWeightDevices []string `json:"blkioWeightDevices,omitempty"` // PATH:WEIGHT
	CgroupConf         []string `json:"cgroupConf,omitempty"`         // FILE=VALUE
	CgroupParent       string   `json:"cgroupParent,omitempty"`       // a slice
	CPUPeriod          string   `json:"cpuPeriod,omitempty"`
	CPUQuota           string   `json:"cpuQuota,omitempty"`
	CPUs               string   `json:"cpus,omitempty"`
	CPUSet             string   `json:"cpuset,omitempty"`
	CPUSetMems         string   `json:"cpusetMems,omitempty"`
	CPUShares          string   `json:"cpuShares,omitempty"`
	Memory             string   `json:"memory,omitempty"`
	MemoryReservation  string   `json:"memoryReservation,omitempty"`
	MemorySwap         string   `json:"memorySwap,omitempty"` // with the memory; -1: no limit
	PidsLimit          string   `json:"pidsLimit,omitempty"`
	RdtClass           string   `json:"rdtClass,omitempty"`
	ReadBps            []string `json:"readBps,omitempty"` // PATH:RATE
	ReadIOps           []string `json:"readIOps,omitempty"`
	WriteBps           []string `json:"writeBps,omitempty"`
	WriteIOps          []string `json:"writeIOps,omitempty"`
}

// limits are Limits in numbers.
type limits struct {
	memory, reservation *int64
	swap                *int64 // with the memory
	pids                *int64
	shares, period      *uint64
	quota               *int64
	weight              *uint16
	deviceWeights       []rate
	rates               [4][]rate // of readBps, writeBps, readIOps, writeIOps
	unified             map[string]string
}

// rate is what a device may do.
type rate struct {
	device string
	n      uint64
}

// The order of limits.rates.
const (
	readBps = iota
	writeBps
	readIOps
	writeIOps
)

// parse reads the words.
func (l Limits) parse() (limits, error) {
	var p limits
	for _, step := range []func(Limits) error{p.parseMemory, p.parseCPU, p.parsePids, p.parseIO, p.parseUnified} {
		if err := step(l); err != nil {
			return p, err
		}
	}
	return p, nil
}

func (p *limits) parseMemory(l Limits) (err error) {
	if p.memory, err = size("--memory", l.Memory); err != nil {
		return err
	}
	if p.reservation, err = size("--memory-reservation", l.MemoryReservation); err != nil {
		return err
	}
	switch {
	case l.MemorySwap == "" && p.memory != nil: // as Podman and Docker have it
		twice := min(*p.memory, math.MaxInt64/2) * 2
		p.swap = &twice
	case l.MemorySwap == "-1":
		none := int64(-1)
		p.swap = &none
	default:
		p.swap, err = size("--memory-swap", l.MemorySwap)
	}
	switch {
	case err != nil:
		return err
	case l.MemorySwap != "" && p.memory == nil:
		return fmt.Errorf("--memory-swap=%s counts memory and swap together, so --memory is needed too", l.MemorySwap)
	case p.swap != nil && *p.swap >= 0 && *p.swap < *p.memory:
		return fmt.Errorf("--memory-swap=%s counts memory and swap together: it must be at least --memory=%s", l.MemorySwap, l.Memory)
	case p.memory != nil && p.reservation != nil && *p.reservation > *p.memory:
		return fmt.Errorf("--memory-reservation=%s is more than --memory=%s", l.MemoryReservation, l.Memory)
	}
	return nil
}

// size reads a size; "" and 0 are no limit.
func size(flag, word string) (*int64, error) {
	if word == "" {
		return nil, nil
	}
	n, err := ParseBytes(word)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", flag, err)
	}
	if n == 0 {
		return nil, nil
	}
	limit := int64(n)
	return &limit, nil
}

// defaultPeriod is the kernel's, in microseconds (cgroups(7), cpu.max).
const defaultPeriod = 100000

func (p *limits) parseCPU(l Limits) (err error) {
	if p.shares, err = number[uint64]("--cpu-shares", l.CPUShares); err != nil {
		return err
	}
	if p.period, err = number[uint64]("--cpu-period", l.CPUPeriod); err != nil {
		return err
	}
	if p.quota, err = number[int64]("--cpu-quota", l.CPUQuota); err != nil {
		return err
	}
	for _, list := range []struct{ flag, word string }{{"--cpuset-cpus", l.CPUSet}, {"--cpuset-mems", l.CPUSetMems}} {
		if strings.Trim(list.word, "0123456789,-") != "" {
			return fmt.Errorf("%s=%s is no list such as 0-3,5", list.flag, list.word)
		}
	}
	if l.CPUs == "" {
		return nil
	}
	if l.CPUPeriod != "" || l.CPUQuota != "" {
		return fmt.Errorf("--cpus=%s is another way to write --cpu-quota and --cpu-period; give one or the other", l.CPUs)
	}
	cpus, err := strconv.ParseFloat(l.CPUs, 64)
	if err != nil || !(cpus >= 0 && cpus <= 1e6) {
		return fmt.Errorf("--cpus=%s is no number of processors such as 1.5", l.CPUs)
	}
	if cpus > 0 {
		period, quota := uint64(defaultPeriod), int64(math.Round(cpus*defaultPeriod))
		p.period, p.quota = &period, &quota
	}
	return nil
}

// number reads a number that is not negative; "" and 0 are none.
func number[T int64 | uint64](flag, word string) (*T, error) {
	if word == "" {
		return nil, nil
	}
	n, err := strconv.ParseInt(word, 10, 64)
	if word == "-1" {
		return nil, nil
	}
	if err != nil || n < 0 {
		return nil, fmt.Errorf("%s=%s is no number", flag, word)
	}
	if n == 0 {
		return nil, nil
	}
	v := T(n)
	return &v, nil
}

func (p *limits) parsePids(l Limits) (err error) {
	p.pids, err = number[int64]("--pids-limit", l.PidsLimit)
	return err
}

func (p *limits) parseIO(l Limits) error {
	weight, err := number[uint64]("--blkio-weight", l.BlkioWeight)
	if err != nil || weight != nil && (*weight < 10 || *weight > 1000) {
		return fmt.Errorf("--blkio-weight=%s is no number from 10 to 1000", l.BlkioWeight)
	}
	if weight != nil {
		n := uint16(*weight)
		p.weight = &n
	}
	for _, word := range l.BlkioWeightDevices {
		r, err := parseRate("--blkio-weight-device", word, func(s string) (uint64, error) { return strconv.ParseUint(s, 10, 16) })
		if err != nil || r.n < 10 || r.n > 1000 {
			return fmt.Errorf("--blkio-weight-device=%s is not DEVICE:WEIGHT with a weight from 10 to 1000", word)
		}
		p.deviceWeights = append(p.deviceWeights, r)
	}
	for i, list := range [][]string{l.ReadBps, l.WriteBps, l.ReadIOps, l.WriteIOps} {
		flag := []string{"--device-read-bps", "--device-write-bps", "--device-read-iops", "--device-write-iops"}[i]
		count := ParseBytes
		if i >= readIOps {
			count = func(s string) (uint64, error) { return strconv.ParseUint(s, 10, 63) }
		}
		for _, word := range list {
			r, err := parseRate(flag, word, count)
			if err != nil {
				return err
			}
			p.rates[i] = append(p.rates[i], r)
		}
	}
	return nil
}

func parseRate(flag, word string, count func(string) (uint64, error)) (rate, error) {
	i := strings.LastIndexByte(word, ':')
	if i < 1 || !strings.HasPrefix(word, "/dev/") {
		return rate{}, fmt.Errorf("%s=%s is not DEVICE:NUMBER, such as /dev/sda:1m", flag, word)
	}
	n, err := count(word[i+1:])
	if err != nil {
		return rate{}, fmt.Errorf("%s=%s is not DEVICE:NUMBER, such as /dev/sda:1m", flag, word)
	}
	return rate{word[:i], n}, nil
}

func (p *limits) parseUnified(l Limits) error {
	for _, word := range l.CgroupConf {
		file, value, ok := strings.Cut(word, "=")
		if !ok || file == "" || strings.ContainsAny(file, "/ \n") || !strings.Contains(file, ".") || strings.HasPrefix(file, "cgroup.") {
			return fmt.Errorf("--cgroup-conf=%s is not FILE=VALUE with a file of a controller, such as memory.high=1g", word)
		}
		if p.unified == nil {
			p.unified = map[string]string{}
		}
		p.unified[file] = value
	}
	return nil
}

// BlockDevices are the devices that limits name. Whoever may look fills Input.BlockDevices with their numbers.
func (l Limits) BlockDevices() []string {
	var list []string
	for _, words := range [][]string{l.BlkioWeightDevices, l.ReadBps, l.WriteBps, l.ReadIOps, l.WriteIOps} {
		for _, word := range words {
			if i := strings.LastIndexByte(word, ':'); i > 0 && !slices.Contains(list, word[:i]) {
				list = append(list, word[:i])
			}
		}
	}
	return list
}

// DeviceNumber tells a device to the kernel.
type DeviceNumber struct{ Major, Minor int64 }

// resources are the limits of the container's own cgroup.
func resources(in Input, rules []specs.LinuxDeviceCgroup) (*specs.LinuxResources, error) {
	r := &specs.LinuxResources{}
	if !in.Host.Rootless {
		r.Devices = rules
	}
	p, err := in.Container.Limits.parse()
	if err != nil {
		return nil, err
	}
	for _, step := range []func(*specs.LinuxResources, Input) error{p.setMemory, p.setCPU, p.setPids, p.setIO, p.setUnified} {
		if err := step(r, in); err != nil {
			return nil, err
		}
	}
	return r, nil
}

// need says what is missing when the container's group lacks a controller.
func (h Host) need(controller, flag, property string) error {
	if slices.Contains(h.Controllers, controller) {
		return nil
	}
	return fmt.Errorf("%s: the container's cgroup has no %s controller; use %s= in [Service] or delegate it", flag, controller, property)
}

func (p limits) setMemory(r *specs.LinuxResources, in Input) error {
	l := in.Container.Limits
	if p.memory == nil && p.reservation == nil {
		return nil
	}
	if p.memory != nil {
		if err := in.Host.need("memory", "--memory="+l.Memory, "MemoryMax"); err != nil {
			return err
		}
	}
	if p.reservation != nil {
		if err := in.Host.need("memory", "--memory-reservation="+l.MemoryReservation, "MemoryLow"); err != nil {
			return err
		}
	}
	r.Memory = &specs.LinuxMemory{Limit: p.memory, Reservation: p.reservation}
	if p.memory != nil && (in.Host.Swap || l.MemorySwap != "") {
		r.Memory.Swap = p.swap
	}
	return nil
}

func (p limits) setCPU(r *specs.LinuxResources, in Input) error {
	l := in.Container.Limits
	cpu := &specs.LinuxCPU{Shares: p.shares, Period: p.period, Quota: p.quota, Cpus: l.CPUSet, Mems: l.CPUSetMems}
	if *cpu == (specs.LinuxCPU{}) {
		return nil
	}
	for _, f := range []struct{ controller, flag, word, property string }{
		{"cpu", "--cpus", l.CPUs, "CPUQuota"},
		{"cpu", "--cpu-quota", l.CPUQuota, "CPUQuota"},
		{"cpu", "--cpu-period", l.CPUPeriod, "CPUQuotaPeriodSec"},
		{"cpu", "--cpu-shares", l.CPUShares, "CPUWeight"},
		{"cpuset", "--cpuset-cpus", l.CPUSet, "AllowedCPUs"},
		{"cpuset", "--cpuset-mems", l.CPUSetMems, "AllowedMemoryNodes"},
	} {
		if f.word == "" {
			continue
		}
		if err := in.Host.need(f.controller, f.flag+"="+f.word, f.property); err != nil {
			return err
		}
	}
	r.CPU = cpu
	return nil
}

func (p limits) setPids(r *specs.LinuxResources, in Input) error {
	if p.pids == nil {
		return nil
	}
	r.Pids = &specs.LinuxPids{Limit: p.pids}
	return in.Host.need("pids", "--pids-limit="+in.Container.PidsLimit, "TasksMax")
}

func (p limits) setIO(r *specs.LinuxResources, in Input) error {
	io := &specs.LinuxBlockIO{Weight: p.weight}
	for _, w := range p.deviceWeights {
		n, d := uint16(w.n), specs.LinuxWeightDevice{}
		d.Major, d.Minor, d.Weight = in.BlockDevices[w.device].Major, in.BlockDevices[w.device].Minor, &n
		io.WeightDevice = append(io.WeightDevice, d)
	}
	places := []*[]specs.LinuxThrottleDevice{
		readBps: &io.ThrottleReadBpsDevice, writeBps: &io.ThrottleWriteBpsDevice,
		readIOps: &io.ThrottleReadIOPSDevice, writeIOps: &io.ThrottleWriteIOPSDevice,
	}
	throttled := false
	for i, list := range p.rates {
		for _, rate := range list {
			d := specs.LinuxThrottleDevice{Rate: rate.n}
			d.Major, d.Minor = in.BlockDevices[rate.device].Major, in.BlockDevices[rate.device].Minor
			*places[i] = append(*places[i], d)
			throttled = true
		}
	}
	if p.weight == nil && len(io.WeightDevice) == 0 && !throttled {
		return nil
	}
	r.BlockIO = io
	return in.Host.need("io", "limit of input and output", "IOWeight")
}

func (p limits) setUnified(r *specs.LinuxResources, in Input) error {
	r.Unified = p.unified
	for _, file := range SortedKeys(p.unified) {
		controller, _, _ := strings.Cut(file, ".")
		if err := in.Host.need(controller, "--cgroup-conf="+file, "MemoryHigh"); err != nil {
			return err
		}
	}
	return nil
}

func intelRdt(c Container) *specs.LinuxIntelRdt {
	if c.RdtClass == "" {
		return nil
	}
	return &specs.LinuxIntelRdt{ClosID: c.RdtClass}
}

// ParseBytes reads N, which may have a fraction, with one of the units b, k, m, g, t (powers of 1024, in any case, "kb" and "kib" too);
// no unit is bytes.
func ParseBytes(s string) (uint64, error) {
	digits := strings.TrimRight(strings.ToLower(s), "bkmgti")
	unit := strings.ToLower(s)[len(digits):]
	shift, ok := map[string]uint{
		"": 0, "b": 0, "k": 10, "kb": 10, "kib": 10, "m": 20, "mb": 20, "mib": 20,
		"g": 30, "gb": 30, "gib": 30, "t": 40, "tb": 40, "tib": 40,
	}[unit]
	n, err := strconv.ParseUint(digits, 10, 64)
	if whole, _, ok := strings.Cut(digits, "."); ok && strings.Trim(digits, "0123456789.") == "" && len(whole) < 7 {
		var f float64
		f, err = strconv.ParseFloat(digits, 64)
		n, shift = uint64(f*float64(uint64(1)<<shift)), 0
	}
	if err != nil || !ok || n > 1<<62>>shift {
		return 0, fmt.Errorf("%q is not a size such as 512m or 2g", s)
	}
	return n << shift, nil
}

// Numbers are the limits that were set, as numbers; 0 is none.
type Numbers struct {
	Memory, Reservation, Swap, Pids, Quota int64
	Shares, Period                         uint64
	Weight                                 uint16
}

// Numbers reads the words.
func (l Limits) Numbers() (Numbers, error) {
	p, err := l.parse()
	if err != nil {
		return Numbers{}, err
	}
	return Numbers{
		Memory: value(p.memory), Reservation: value(p.reservation), Swap: value(p.swap), Pids: value(p.pids), Quota: value(p.quota),
		Shares: value(p.shares), Period: value(p.period), Weight: value(p.weight),
	}, nil
}

func value[N any](n *N) (zero N) {
	if n == nil {
		return zero
	}
	return *n
}
