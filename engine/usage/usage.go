// Package usage reads what a container uses: from its control group (cgroups(7)) and the devices of its network.
package usage

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// Sample is what a container has used up to a moment, and uses then. What the kernel does not count here is nil.
type Sample struct {
	At             time.Time
	CPU, System    time.Duration // processor time: all, and in the kernel
	Memory         *uint64       // without what the kernel could take back at once
	MemoryMax      *uint64       // nil without a limit
	Read, Written  *uint64       // bytes of block devices
	Received, Sent *uint64       // bytes of the network
	Processes      *uint64
}

// Places are where it is read.
type Places struct {
	Group string // directory of the control group; "" for none
	Net   string // file that lists network devices, of the container's namespace; "" for one that is not its own
}

// Read takes a sample.
func Read(p Places, now time.Time) Sample {
	s := Sample{At: now}
	if p.Group != "" {
		s.readGroup(p.Group)
	}
	if text, err := os.ReadFile(p.Net); err == nil {
		in, out := parseDevices(string(text))
		s.Received, s.Sent = &in, &out
	}
	return s
}

func (s *Sample) readGroup(dir string) {
	read := func(name string) string {
		text, _ := os.ReadFile(filepath.Join(dir, name))
		return strings.TrimSpace(string(text))
	}
	cpu := keyed(read("cpu.stat"))
	s.CPU, s.System = time.Duration(cpu["usage_usec"])*time.Microsecond, time.Duration(cpu["system_usec"])*time.Microsecond
	s.Memory, s.MemoryMax, s.Processes = number(read("memory.current")), number(read("memory.max")), number(read("pids.current"))
	if s.Memory != nil {
		used := *s.Memory - min(*s.Memory, keyed(read("memory.stat"))["inactive_file"])
		s.Memory = &used
	}
	if text, err := os.ReadFile(filepath.Join(dir, "io.stat")); err == nil {
		in, out := parseIO(string(text))
		s.Read, s.Written = &in, &out
	}
}

// keyed reads lines of a word and a number.
func keyed(text string) map[string]uint64 {
	m := map[string]uint64{}
	for _, line := range strings.Split(text, "\n") {
		name, value, _ := strings.Cut(line, " ")
		if n := number(value); n != nil {
			m[name] = *n
		}
	}
	return m
}

// number is nil for what is none, as "max".
func number(text string) *uint64 {
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		return nil
	}
	return &n
}

// parseIO adds up the devices of io.stat. One that lies on another counts what that one counts too: only whole devices, and
// those that lie on none, would tell the truth, but the kernel says so of neither, as Podman and Docker do.
func parseIO(text string) (read, written uint64) {
	for _, word := range strings.Fields(text) {
		name, value, _ := strings.Cut(word, "=")
		n, err := strconv.ParseUint(value, 10, 64)
		switch {
		case err != nil:
		case name == "rbytes":
			read += n
		case name == "wbytes":
			written += n
		}
	}
	return read, written
}

// parseDevices adds up the lines of /proc/PID/net/dev, without the loopback device.
func parseDevices(text string) (received, sent uint64) {
	for _, line := range strings.Split(text, "\n") {
		name, counts, ok := strings.Cut(line, ":")
		f := strings.Fields(counts)
		if !ok || strings.TrimSpace(name) == "lo" || len(f) < 9 {
			continue
		}
		in, _ := strconv.ParseUint(f[0], 10, 64)
		out, _ := strconv.ParseUint(f[8], 10, 64)
		received, sent = received+in, sent+out
	}
	return received, sent
}

// Percent is how much of one processor was used between two samples.
func Percent(before, after Sample) float64 {
	passed := after.At.Sub(before.At)
	if passed <= 0 || after.CPU < before.CPU {
		return 0
	}
	return 100 * float64(after.CPU-before.CPU) / float64(passed)
}

// MachineMemory is how much memory the machine has, from the text of /proc/meminfo; 0 when it is not there.
func MachineMemory(meminfo string) uint64 {
	for _, line := range strings.Split(meminfo, "\n") {
		f := strings.Fields(line)
		if len(f) == 3 && f[0] == "MemTotal:" {
			n, _ := strconv.ParseUint(f[1], 10, 64)
			return n << 10
		}
	}
	return 0
}
