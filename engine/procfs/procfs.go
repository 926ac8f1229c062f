// Package procfs reads what the kernel tells of processes (proc(5)) and writes it as ps(1) would.
package procfs

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// ticks is how the kernel counts processor time for programs: in hundredths of a second on all machines (sysconf(3),
// _SC_CLK_TCK).
const ticks = 100

// Process is what is known of one process.
type Process struct {
	PID, PPID, PGID int // as this process sees them
	InnerPID        int // as the process itself does
	State           string
	TTY             int
	Used            time.Duration // processor time
	Started         time.Duration // after the boot
	Nice            int
	Size, Resident  uint64 // bytes of memory
	Name            string
	Args            []string
	UID, GID        [2]uint32 // real and effective
	Groups          []uint32
	Seccomp         string
	Caps            map[string]uint64 // CapInh, CapPrm, CapEff, CapBnd, CapAmb
	Label           string
}

// Read reads what is known of a process, below the directory that is /proc.
func Read(dir string, pid int) (Process, error) {
	p := Process{PID: pid, InnerPID: pid}
	place := filepath.Join(dir, strconv.Itoa(pid))
	stat, err := os.ReadFile(filepath.Join(place, "stat"))
	if err == nil {
		err = p.parseStat(string(stat))
	}
	if err != nil {
		return p, err
	}
	status, err := os.ReadFile(filepath.Join(place, "status"))
	if err != nil {
		return p, err
	}
	p.parseStatus(string(status))
	line, err := os.ReadFile(filepath.Join(place, "cmdline"))
	if err != nil {
		return p, err
	}
	if text := strings.TrimRight(string(line), "\x00"); text != "" {
		p.Args = strings.Split(text, "\x00")
	}
	if label, err := os.ReadFile(filepath.Join(place, "attr/current")); err == nil {
		p.Label = strings.TrimRight(string(label), "\x00\n")
	}
	return p, nil
}

// parseStat reads /proc/PID/stat. The name, in brackets, may have any characters, brackets too.
func (p *Process) parseStat(text string) error {
	open, end := strings.IndexByte(text, '('), strings.LastIndexByte(text, ')')
	if open < 0 || end < open {
		return errors.New("stat of the process is not as expected")
	}
	p.Name = text[open+1 : end]
	f := strings.Fields(text[end+1:])
	if len(f) < 22 {
		return errors.New("stat of the process is not as expected")
	}
	n := func(i int) int64 { v, _ := strconv.ParseInt(f[i], 10, 64); return v }
	p.State, p.PPID, p.PGID, p.TTY, p.Nice = f[0], int(n(1)), int(n(2)), int(n(4)), int(n(16))
	p.Used = time.Duration(n(11)+n(12)) * time.Second / ticks
	p.Started = time.Duration(n(19)) * time.Second / ticks
	p.Size, p.Resident = uint64(n(20)), uint64(n(21))*uint64(os.Getpagesize())
	return nil
}

func (p *Process) parseStatus(text string) {
	p.Caps = map[string]uint64{}
	for _, line := range strings.Split(text, "\n") {
		key, value, _ := strings.Cut(line, ":")
		f := strings.Fields(value)
		switch key {
		case "Uid", "Gid":
			for i := range min(2, len(f)) {
				n, _ := strconv.ParseUint(f[i], 10, 32)
				if key == "Uid" {
					p.UID[i] = uint32(n)
				} else {
					p.GID[i] = uint32(n)
				}
			}
		case "Groups":
			for _, g := range f {
				n, _ := strconv.ParseUint(g, 10, 32)
				p.Groups = append(p.Groups, uint32(n))
			}
		case "NSpid":
			if len(f) > 0 {
				p.InnerPID, _ = strconv.Atoi(f[len(f)-1])
			}
		case "Seccomp":
			if len(f) > 0 {
				p.Seccomp = f[0]
			}
		case "CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb":
			if len(f) > 0 {
				p.Caps[key], _ = strconv.ParseUint(f[0], 16, 64)
			}
		}
	}
}

// View is how processes are looked at.
type View struct {
	Uptime time.Duration // of the machine
	Now    time.Time
	// User and Group are the names in the container, HostUser and HostGroup those of the machine.
	User, Group, HostUser, HostGroup func(id uint32) string
	// Inner is the number that a process of the container has there, by its number here.
	Inner map[int]int
}

// column is a descriptor of `top`.
type column struct {
	name, heading string
	show          func(v View, p Process) string
}

var columns = []column{
	{"args", "COMMAND", func(_ View, p Process) string {
		if len(p.Args) == 0 {
			return "[" + p.Name + "]"
		}
		return strings.Join(p.Args, " ")
	}},
	{"capamb", "AMBIENT CAPS", caps("CapAmb")},
	{"capbnd", "BOUNDING CAPS", caps("CapBnd")},
	{"capeff", "EFFECTIVE CAPS", caps("CapEff")},
	{"capinh", "INHERITED CAPS", caps("CapInh")},
	{"capprm", "PERMITTED CAPS", caps("CapPrm")},
	{"comm", "COMMAND", func(_ View, p Process) string { return p.Name }},
	{"etime", "ELAPSED", func(v View, p Process) string { return (v.Uptime - p.Started).Truncate(time.Millisecond).String() }},
	{"group", "GROUP", func(v View, p Process) string { return v.Group(p.GID[1]) }},
	{"groups", "GROUPS", func(v View, p Process) string { return names(p.Groups, v.Group) }},
	{"hgroup", "HGROUP", func(v View, p Process) string { return v.HostGroup(p.GID[1]) }},
	{"hgroups", "HGROUPS", func(v View, p Process) string { return names(p.Groups, v.HostGroup) }},
	{"hpid", "HPID", func(_ View, p Process) string { return strconv.Itoa(p.PID) }},
	{"huser", "HUSER", func(v View, p Process) string { return v.HostUser(p.UID[1]) }},
	{"label", "LABEL", func(_ View, p Process) string { return orDash(p.Label) }},
	{"nice", "NI", func(_ View, p Process) string { return strconv.Itoa(p.Nice) }},
	{"pcpu", "%CPU", func(v View, p Process) string {
		return fmt.Sprintf("%.3f", 100*p.Used.Seconds()/max((v.Uptime-p.Started).Seconds(), 0.01))
	}},
	{"pgid", "PGID", func(v View, p Process) string { return v.inner(p.PGID) }},
	{"pid", "PID", func(_ View, p Process) string { return strconv.Itoa(p.InnerPID) }},
	{"ppid", "PPID", func(v View, p Process) string { return v.inner(p.PPID) }},
	{"rgroup", "RGROUP", func(v View, p Process) string { return v.Group(p.GID[0]) }},
	{"rss", "RSS", func(_ View, p Process) string { return strconv.FormatUint(p.Resident>>10, 10) }},
	{"ruser", "RUSER", func(v View, p Process) string { return v.User(p.UID[0]) }},
	{"seccomp", "SECCOMP", func(_ View, p Process) string {
		switch p.Seccomp {
		case "0":
			return "disabled"
		case "1":
			return "strict"
		case "2":
			return "filter"
		}
		return "?"
	}},
	{"state", "STATE", func(_ View, p Process) string { return p.State }},
	{"stime", "STIME", func(v View, p Process) string {
		return v.Now.Add(p.Started - v.Uptime).Format("15:04")
	}},
	{"time", "TIME", func(_ View, p Process) string { return p.Used.Truncate(time.Second).String() }},
	{"tty", "TTY", func(_ View, p Process) string { return terminal(p.TTY) }},
	{"user", "USER", func(v View, p Process) string { return v.User(p.UID[1]) }},
	{"vsz", "VSZ", func(_ View, p Process) string { return strconv.FormatUint(p.Size>>10, 10) }},
}

// Usual are the descriptors that are shown when none is asked for.
var Usual = []string{"user", "pid", "ppid", "pcpu", "etime", "tty", "time", "args"}

// aliases are ps's own words for some of the descriptors.
var aliases = map[string]string{
	"%C": "pcpu", "%G": "group", "%P": "ppid", "%U": "user", "%a": "args", "%c": "comm", "%g": "rgroup", "%n": "nice", "%p": "pid", "%r": "pgid",
	"%t": "etime", "%u": "ruser", "%x": "time", "%y": "tty", "%z": "vsz",
}

// Known tells whether a word is a descriptor.
func Known(word string) bool { return find(word) >= 0 }

// Descriptors lists them.
func Descriptors() []string {
	list := make([]string, len(columns))
	for i, c := range columns {
		list[i] = c.name
	}
	return list
}

func find(word string) int {
	if name, ok := aliases[word]; ok {
		word = name
	}
	return slices.IndexFunc(columns, func(c column) bool { return c.name == word })
}

// Table writes the processes with a line of headings: a row for each, in the order of the descriptors, which are known.
func Table(v View, list []Process, descriptors []string) [][]string {
	rows := make([][]string, len(list)+1)
	for _, d := range descriptors {
		c := columns[find(d)]
		rows[0] = append(rows[0], c.heading)
		for i, p := range list {
			rows[i+1] = append(rows[i+1], c.show(v, p))
		}
	}
	return rows
}

// inner is a process's number in the container; 0 for one that is not seen there.
func (v View) inner(pid int) string { return strconv.Itoa(v.Inner[pid]) }

func names(ids []uint32, name func(uint32) string) string {
	list := make([]string, len(ids))
	for i, id := range ids {
		list[i] = name(id)
	}
	return strings.Join(list, ",")
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

// terminal names a device as ps does: pts/3, tty1; ? for none (proc_pid_stat(5), tty_nr).
func terminal(device int) string {
	major, minor := device>>8&0xfff, device&0xff|device>>12&0xfff00
	switch {
	case device == 0:
		return "?"
	case major >= 136 && major < 144:
		return fmt.Sprintf("pts/%d", minor+(major-136)<<8)
	case major == 4 && minor < 64:
		return fmt.Sprintf("tty%d", minor)
	}
	return fmt.Sprintf("%d:%d", major, minor)
}

// capabilityNames are those of capabilities(7), by their numbers.
var capabilityNames = strings.Fields(`CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP LINUX_IMMUTABLE NET_BIND_SERVICE
	NET_BROADCAST NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER SYS_MODULE SYS_RAWIO SYS_CHROOT SYS_PTRACE SYS_PACCT SYS_ADMIN SYS_BOOT SYS_NICE SYS_RESOURCE
	SYS_TIME SYS_TTY_CONFIG MKNOD LEASE AUDIT_WRITE AUDIT_CONTROL SETFCAP MAC_OVERRIDE MAC_ADMIN SYSLOG WAKE_ALARM BLOCK_SUSPEND AUDIT_READ PERFMON BPF
	CHECKPOINT_RESTORE`)

func caps(set string) func(View, Process) string {
	return func(_ View, p Process) string {
		bits := p.Caps[set]
		all := uint64(1)<<len(capabilityNames) - 1
		switch {
		case bits == 0:
			return "none"
		case bits&all == all:
			return "full"
		}
		var list []string
		for i, name := range capabilityNames {
			if bits&(1<<i) != 0 {
				list = append(list, name)
			}
		}
		slices.Sort(list)
		return strings.Join(list, ",")
	}
}
