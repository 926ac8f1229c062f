package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// inSandbox is set in the copy of this test binary that runs as PID 1 of
// namespaces of its own, where planting leaks harms nobody.
const inSandbox = "LEAKCHECK_TEST_SANDBOX"

func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == holdVerb {
		os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
	}
	os.Exit(m.Run())
}

// TestSandbox plants the leaks in namespaces with their own /run, /tmp and
// store, so that it neither sees nor touches the machine: outside it starts
// itself once more inside.
func TestSandbox(t *testing.T) {
	if os.Getenv(inSandbox) != "" {
		furnish(t)
		t.Run("selftest", testSelftest)
		t.Run("idle", testIdle)
		return
	}
	if os.Geteuid() != 0 {
		t.Skip("not root: leaks cannot be planted")
	}
	cmd := exec.Command("/proc/self/exe", "-test.run=^TestSandbox$", "-test.v")
	cmd.Env = append(os.Environ(), inSandbox+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNS | unix.CLONE_NEWPID | unix.CLONE_NEWNET |
		unix.CLONE_NEWIPC | unix.CLONE_NEWUTS}
	out, err := cmd.CombinedOutput()
	t.Logf("%s", out)
	if err != nil {
		t.Fatalf("in the sandbox: %v", err)
	}
}

// inOwnCgroup moves this process into a cgroup of its own and makes it the
// root of what it sees: others make and remove theirs beside it. It needs a
// tree mounted on cgroupRoot, on which it mounts its own.
func inOwnCgroup(t *testing.T) error {
	t.Helper()
	outer := filepath.Join(cgroupRoot, cgroupOf(os.Getpid()))
	back, err := os.OpenFile(filepath.Join(outer, "cgroup.procs"), os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	parent, err := os.Open(outer)
	if err != nil {
		return err
	}
	name := fmt.Sprintf("leakcheck-test-%d", time.Now().UnixNano())
	if err := unix.Mkdirat(int(parent.Fd()), name, 0o755); err != nil {
		return err
	}
	t.Cleanup(func() {
		_, err := back.WriteString("0")
		err = errors.Join(err, unix.Unlinkat(int(parent.Fd()), name, unix.AT_REMOVEDIR))
		if err != nil {
			t.Errorf("leave the sandbox's cgroup: %v", err)
		}
	})
	if err := os.WriteFile(filepath.Join(outer, name, "cgroup.procs"), []byte("0"), 0); err != nil {
		return err
	}
	return unix.Mount(filepath.Join(outer, name), cgroupRoot, "", unix.MS_BIND, "")
}

// furnish gives the sandbox its own places to write.
func furnish(t *testing.T) {
	t.Helper()
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		t.Fatal(err)
	}
	mounts := []struct{ kind, target string }{
		{"proc", "/proc"}, {"cgroup2", cgroupRoot}, {"tmpfs", "/run"}, {"tmpfs", "/tmp"}, {"tmpfs", "/var/tmp"}, {"tmpfs", "/var/lib"},
		{"tmpfs", "/dev/shm"},
	}
	for _, m := range mounts {
		err := unix.Mount(m.kind, m.target, m.kind, 0, "")
		if err != nil && m.kind == "cgroup2" {
			t.Logf("cgroups are not compared: mount %s: %v", m.target, err)
			continue
		}
		if err != nil {
			t.Fatalf("mount %s: %v", m.target, err)
		}
	}
	if err := inOwnCgroup(t); err != nil {
		t.Logf("cgroups of others may show: %v", err)
	}
}

// cannotPlant lists the collectors that have nothing to look at in the
// sandbox, with the reason.
var cannotPlant = map[string]string{
	"fds":   "no systemd",
	"units": "no systemd",
	"nft":   "the nft program may be absent",
	// These depend on what the kernel of the build machine gives.
	"devices":  "no loop devices",
	"keyrings": "no keys",
	"cgroups":  "no cgroup v2",
}

func testSelftest(t *testing.T) {
	for _, c := range collectors() {
		v := c.test()
		switch {
		case v.err != nil:
			t.Errorf("%s: %v", c.name, v.err)
		case v.skipped != "" && cannotPlant[c.name] == "":
			t.Errorf("%s: skipped: %s", c.name, v.skipped)
		case v.skipped != "":
			t.Logf("%s: not tried: %s", c.name, v.skipped)
		default:
			t.Logf("%s: found %s", c.name, v.found)
		}
	}
}

// testIdle wants two snapshots of a machine at rest to be equal, but for what
// the sandbox shares with its kernel.
func testIdle(t *testing.T) {
	shared, err := parseAllowance(`(devices|keyrings) .* # the kernel is not ours alone`)
	if err != nil {
		t.Fatal(err)
	}
	a := take()
	if found := (judge{allowed: []allowance{shared}}).compare(a, take()); len(found) > 0 {
		t.Errorf("nothing happened, reported: %v", found)
	}
}

// TestEveryCollectorHasALeak keeps the self-test complete.
func TestEveryCollectorHasALeak(t *testing.T) {
	for _, c := range collectors() {
		if c.plant == nil || c.run == nil || c.about == "" {
			t.Errorf("%s is incomplete", c.name)
		}
	}
}

func TestDiffLines(t *testing.T) {
	tests := []struct {
		name string
		a, b string
		want string
	}{
		{"equal", "a b", "a b", ""},
		{"new", "a", "a b", "x + b"},
		{"gone", "a b", "b", "x - a"},
		{"twice", "a", "a a", "x + a"},
		{"both", "a c", "b c", "x - a|x + b"},
		{"from nothing", "", "a", "x + a"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var got []string
			for _, d := range diffLines("x", strings.Fields(tt.a), strings.Fields(tt.b)) {
				got = append(got, d.String())
			}
			if s := strings.Join(got, "|"); s != tt.want {
				t.Errorf("got %q, want %q", s, tt.want)
			}
		})
	}
}

func TestAllowances(t *testing.T) {
	tests := []struct {
		line, text string
		allowed    bool
		wantErr    bool
	}{
		{line: `files \+ .* /run/lock/x # made once, kept`, text: "d0755 0:0 /run/lock/x", allowed: true},
		{line: `files \+ .* /run/lock/x # made once, kept`, text: "d0755 0:0 /run/lock/xy"},
		{line: `files .*`, wantErr: true},
		{line: `files .* # `, wantErr: true},
		{line: `files ( # broken`, wantErr: true},
	}
	for _, tt := range tests {
		a, err := parseAllowance(tt.line)
		if (err != nil) != tt.wantErr {
			t.Errorf("%q: error %v, want one: %v", tt.line, err, tt.wantErr)
		}
		if err != nil {
			continue
		}
		j := judge{allowed: []allowance{a}}
		if got := j.allows(difference{"files", '+', tt.text}); got != tt.allowed {
			t.Errorf("%q on %q: allowed %v", tt.line, tt.text, got)
		}
	}
}

// TestEndsByItself: what is gone by itself is no leak; what has come, or should still be there, is told.
func TestEndsByItself(t *testing.T) {
	a := picture("keyrings: uid=0 keyring _ses.1", "units: web.service failed failed not-found", "units: db.service active running", "volumes: /v canary=1",
		"units: user 1000 old.service failed failed", "units: run-<n>.service failed failed", "units: run-<n>.service transient",
		"files: -0644 0:0 /run/systemd/transient/run-<n>.service", "files: -0644 0:0 /run/user/1000/systemd/transient/a.scope",
		"files: -0644 0:0 /etc/systemd/system/failed.service", "files: -0600 0:0 /run/containers/storage/overlay-layers/.tmp-mountpoints.json12",
		"store: /s: unfinished overlay-containers/.tmp-volatile-containers.json34", "store: /s: unfinished overlay-containers/.volatile-containers.json")
	b := picture("keyrings: uid=0 keyring _ses.2", "units: new.service failed failed not-found", "files: -0644 0:0 /run/systemd/transient/run-<n>.scope",
		"store: /s: unfinished overlay-layers/.tmp-layers.json56")
	var got []string
	for _, d := range (judge{}).compare(a, b) {
		got = append(got, d.String())
	}
	want := []string{"keyrings + uid=0 keyring _ses.2", "units - db.service active running", "units + new.service failed failed not-found", "volumes - /v canary=1",
		"files - -0644 0:0 /etc/systemd/system/failed.service", "files + -0644 0:0 /run/systemd/transient/run-<n>.scope",
		"store - /s: unfinished overlay-containers/.volatile-containers.json", "store + /s: unfinished overlay-layers/.tmp-layers.json56"}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

// picture makes a snapshot of "collector: line" lines; other collectors saw nothing.
func picture(lines ...string) *Snapshot {
	s := &Snapshot{Version: snapshotVersion, Collectors: map[string]*Collected{}}
	for _, c := range collectors() {
		s.Collectors[c.name] = &Collected{}
	}
	for _, line := range lines {
		name, text, _ := strings.Cut(line, ": ")
		c := s.Collectors[name]
		c.Lines = append(c.Lines, text)
		slices.Sort(c.Lines)
	}
	return s
}

// running is what one container of web.service adds.
var running = []string{
	"containers: system.slice/web.service/nginx root=overlay:systemd-web",
	"namespaces: mnt held by process system.slice/web.service/nginx",
	"processes: system.slice/web.service/nginx",
	"cgroups: system.slice/web.service",
	"units: web.service active running",
	"store: /var/lib/containers/storage: container systemd-web",
	"store: /var/lib/containers/storage: layer <systemd-web:layer>",
	"network: host link veth3 kind=veth master=podman0 up mtu=1500",
	"network: host route 10.88.0.0/16 table=254 type=1 dev=veth3 metric=256",
	"sysctls: ipv4/conf/veth3/forwarding = 1",
	"leases: /run/berth/net/10.88.0.2",
}

func TestExpectRunning(t *testing.T) {
	idle := []string{"processes: system.slice/cron.service/cron"}
	without := func(prefix string) []string {
		return slices.DeleteFunc(slices.Clone(running), func(s string) bool { return strings.HasPrefix(s, prefix) })
	}
	tests := []struct {
		name   string
		expect string
		before []string
		now    []string
		want   string // text that a difference must hold; "" wants none
	}{
		{"one runs", "running:1", idle, slices.Concat(idle, running), ""},
		{"one runs, none wanted", "none", idle, slices.Concat(idle, running), "web.service"},
		{"one runs, two wanted", "running:2", idle, slices.Concat(idle, running), "1 containers are running, want 2"},
		{"a process of nobody", "running:1", nil, append(slices.Clone(running), "processes: outside/conmon"), "outside/conmon"},
		{"a loop device", "running:1", nil, append(slices.Clone(running), "devices: loop /x"), "loop /x"},
		{"a dummy link", "running:1", nil, append(slices.Clone(running), "network: host link d0 kind=dummy"), "d0"},
		{"something went away", "running:1", idle, running, "cron"},
		{"no record", "running:1", nil, without("store: /var/lib/containers/storage: container"), "no record"},
		{"no cgroup", "running:1", nil, without("cgroups"), "nothing of"},
		{"a dead record", "running:1", nil, append(slices.Clone(running), "store: /s: container systemd-old"), "systemd-old has no running"},
		{"a held namespace", "running:1", nil, append(slices.Clone(running), "namespaces: net held by mount /run/netns/x"), "/run/netns/x"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			e, err := parseExpectation(tt.expect)
			if err != nil {
				t.Fatal(err)
			}
			found := judge{expect: e}.compare(picture(tt.before...), picture(tt.now...))
			all := fmt.Sprint(found)
			if tt.want == "" && len(found) > 0 || tt.want != "" && !strings.Contains(all, tt.want) {
				t.Errorf("got %v, want %q", all, tt.want)
			}
		})
	}
}

func TestParseContainer(t *testing.T) {
	tests := []struct {
		line string
		want startedContainer
	}{
		{"system.slice/web.service/container/nginx root=overlay:systemd-web",
			startedContainer{"system.slice/web.service/container/nginx", "web.service", "systemd-web", true}},
		{"user.slice/user-1000.slice/user@1000.service/app.slice/u.service/container/sh root=fuse.fuse-overlayfs:systemd-u",
			startedContainer{"user.slice/user-1000.slice/user@1000.service/app.slice/u.service/container/sh", "u.service", "systemd-u", false}},
		{"outside/sh root=tmpfs:x", startedContainer{"outside/sh", "", "x", false}},
	}
	for _, tt := range tests {
		if got, ok := parseContainer(tt.line); !ok || got != tt.want {
			t.Errorf("%s\n got %+v, %v\nwant %+v", tt.line, got, ok, tt.want)
		}
	}
	if _, ok := parseContainer("nonsense"); ok {
		t.Error("nonsense is no container")
	}
}

func TestParseExpectation(t *testing.T) {
	for _, bad := range []string{"", "running", "running:", "running:-1", "running:x", "3"} {
		if _, err := parseExpectation(bad); err == nil {
			t.Errorf("%q: no error", bad)
		}
	}
}

func TestOneSidedCollector(t *testing.T) {
	a, b := picture(), picture()
	b.Collectors["nft"].Skipped = "no nft"
	if found := (judge{}).compare(a, b); len(found) != 1 || !strings.Contains(found[0].String(), "no nft") {
		t.Errorf("got %v, want the reason", found)
	}
}

// TestRun checks the exit statuses that scripts rely on.
func TestRun(t *testing.T) {
	dir := t.TempDir()
	write := func(name, content string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	empty := `{"leakcheck":1,"collectors":{`
	for i, c := range collectors() {
		if i > 0 {
			empty += ","
		}
		empty += fmt.Sprintf(`%q:{"lines":[%s]}`, c.name, map[bool]string{true: `"one"`}[c.name == "ipc"])
	}
	a := write("a.json", empty+"}}")
	b := write("b.json", strings.Replace(empty, `"one"`, `"one","two"`, 1)+"}}")
	tests := []struct {
		args []string
		code int
		out  string
	}{
		{[]string{"diff", a, a}, exitSame, ""},
		{[]string{"diff", a, b}, exitDifferent, "ipc + two\n"},
		{[]string{"diff", b, a}, exitDifferent, "ipc - two\n"},
		{[]string{"diff", a, b, "--allow", write("allow", `ipc \+ two # because`)}, exitSame, ""},
		{[]string{"diff", a, b, "--allow", write("bad", `ipc \+ two`)}, exitTrouble, ""},
		{[]string{"diff", "--expect", "nonsense", a, b}, exitTrouble, ""},
		{[]string{"diff", a}, exitTrouble, ""},
		{[]string{"diff", a, filepath.Join(dir, "absent")}, exitTrouble, ""},
		{[]string{"diff", a, write("old.json", `{"leakcheck":0}`)}, exitTrouble, ""},
		{[]string{"diff", a, write("cut.json", `{"leakch`)}, exitTrouble, ""},
		{[]string{"nonsense"}, exitTrouble, ""},
		{nil, exitTrouble, ""},
	}
	for _, tt := range tests {
		var out, errOut bytes.Buffer
		code := run(tt.args, &out, &errOut)
		if code != tt.code || out.String() != tt.out {
			t.Errorf("%q: exit %d with %q, want %d with %q", tt.args, code, out.String(), tt.code, tt.out)
		}
		if code == exitTrouble && errOut.Len() == 0 {
			t.Errorf("%q: trouble without a word", tt.args)
		}
	}
}

// TestRest gives snapshots of a machine on which something is there for a moment.
func TestRest(t *testing.T) {
	picture := func(collector string, lines ...string) *Snapshot {
		s := &Snapshot{Version: snapshotVersion, Collectors: map[string]*Collected{}}
		for _, c := range collectors() {
			s.Collectors[c.name] = &Collected{}
		}
		s.Collectors[collector].Lines = lines
		return s
	}
	still := picture("units", "web.service active running")
	tests := []struct {
		name   string
		before []*Snapshot // what is seen before the machine is still
		moving string      // what is told when it never is
	}{
		{name: "still"},
		{"a file for a moment", []*Snapshot{picture("files", "-0600 0:0 /run/x.tmp")}, "files - -0600 0:0 /run/x.tmp"},
		{"a job", slices.Repeat([]*Snapshot{picture("units", "clean.service activating start")}, 5), "units ! clean.service activating start"},
		{"a job of a user's", slices.Repeat([]*Snapshot{picture("units", "user 1000 x.service deactivating stop")}, 5),
			"units ! user 1000 x.service deactivating stop"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			seen := 0
			s, moving := rest(func() *Snapshot {
				seen++
				if seen <= len(tt.before) {
					return tt.before[seen-1]
				}
				return still
			}, time.Hour)
			if s != still || len(moving) != 0 {
				t.Errorf("rest after %d snapshots: %v, moving %v", seen, s, moving)
			}
			if seen != len(tt.before)+2 {
				t.Errorf("rest took %d snapshots, want %d", seen, len(tt.before)+2)
			}
			if tt.moving == "" {
				return
			}
			// The control: with no time to wait, what moves is told.
			next := append(slices.Clone(tt.before), still)
			_, moving = rest(func() *Snapshot {
				first := next[0]
				next = next[1:]
				return first
			}, 0)
			if len(moving) == 0 || moving[0].String() != tt.moving {
				t.Errorf("with no time: moving %v, want %s", moving, tt.moving)
			}
		})
	}
}
