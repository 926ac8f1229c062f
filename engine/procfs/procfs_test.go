package procfs

import (
	"os"
	"slices"
	"strconv"
	"testing"
	"time"
)

func TestReadSelf(t *testing.T) {
	p, err := Read("/proc", os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	if p.PPID != os.Getppid() || p.UID[1] != uint32(os.Geteuid()) || !slices.Equal(p.Args, os.Args) || p.Resident == 0 || p.State == "" {
		t.Errorf("%+v", p)
	}
}

func TestParseStat(t *testing.T) {
	var p Process
	// A name may look like what comes after it.
	err := p.parseStat("7 (a) S 1 (b) R 5 6 7 34819 9 10 11 12 13 14 150 250 17 18 20 -5 1 21 1000 4096 3 x y")
	if err != nil || p.Name != "a) S 1 (b" || p.State != "R" || p.PPID != 5 || p.PGID != 6 || p.TTY != 34819 || p.Used != 4*time.Second || p.Nice != -5 ||
		p.Started != 10*time.Second || p.Size != 4096 || p.Resident != 3*uint64(os.Getpagesize()) {
		t.Errorf("%+v, %v", p, err)
	}
	for _, text := range []string{"", "7 a S 1", "7 (a", "7 (a) S 1 2", ")("} {
		if p.parseStat(text) == nil {
			t.Errorf("%q is taken", text)
		}
	}
}

func TestTable(t *testing.T) {
	p := Process{
		PID: 70, InnerPID: 7, PPID: 60, PGID: 70, State: "S", TTY: 34819, Used: 65 * time.Second, Started: 40 * time.Second, Nice: 3, Size: 8 << 10, Resident: 4 << 10,
		Name: "sh", Args: []string{"sh", "-c", "x"}, UID: [2]uint32{1, 2}, GID: [2]uint32{3, 4}, Groups: []uint32{5, 6}, Seccomp: "2", Label: "l",
	}
	p.parseStatus("CapEff:\t0000000000000003\nCapBnd:\t000001ffffffffff\nCapPrm:\t0\n")
	name := func(prefix string) func(uint32) string {
		return func(id uint32) string { return prefix + strconv.Itoa(int(id)) }
	}
	v := View{
		Uptime: 170 * time.Second, Now: time.Date(2026, 1, 2, 3, 4, 0, 0, time.UTC), User: name("u"), Group: name("g"), HostUser: name("hu"), HostGroup: name("hg"),
		Inner: map[int]int{60: 1, 70: 7},
	}
	want := map[string][2]string{
		"args": {"COMMAND", "sh -c x"}, "capamb": {"AMBIENT CAPS", "none"}, "capbnd": {"BOUNDING CAPS", "full"}, "capeff": {"EFFECTIVE CAPS", "CHOWN,DAC_OVERRIDE"},
		"capinh": {"INHERITED CAPS", "none"}, "capprm": {"PERMITTED CAPS", "none"}, "comm": {"COMMAND", "sh"}, "etime": {"ELAPSED", "2m10s"}, "group": {"GROUP", "g4"},
		"groups": {"GROUPS", "g5,g6"}, "hgroup": {"HGROUP", "hg4"}, "hgroups": {"HGROUPS", "hg5,hg6"}, "hpid": {"HPID", "70"}, "huser": {"HUSER", "hu2"}, "label": {"LABEL", "l"},
		"nice": {"NI", "3"}, "pcpu": {"%CPU", "50.000"}, "pgid": {"PGID", "7"}, "pid": {"PID", "7"}, "ppid": {"PPID", "1"}, "rgroup": {"RGROUP", "g3"}, "rss": {"RSS", "4"},
		"ruser": {"RUSER", "u1"}, "seccomp": {"SECCOMP", "filter"}, "state": {"STATE", "S"}, "stime": {"STIME", "03:01"}, "time": {"TIME", "1m5s"}, "tty": {"TTY", "pts/3"},
		"user": {"USER", "u2"}, "vsz": {"VSZ", "8"},
	}
	list := Descriptors()
	if len(list) != len(want) {
		t.Errorf("%d descriptors, of which %d are tried", len(list), len(want))
	}
	rows := Table(v, []Process{p}, list)
	for i, d := range list {
		if got := [2]string{rows[0][i], rows[1][i]}; got != want[d] {
			t.Errorf("%s: %q, want %q", d, got, want[d])
		}
	}
	if !Known("%a") || Known("aux") {
		t.Error("words of ps")
	}
}
