package network

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/berth-pods/berth/engine"
	"github.com/berth-pods/berth/engine/atomicfile"
	"github.com/berth-pods/berth/engine/enginetest"
	"github.com/berth-pods/berth/engine/proc"
	"github.com/berth-pods/berth/engine/spec"
	"github.com/berth-pods/berth/engine/usernet"
)

// TestMain runs the tests in a network namespace of their own: the devices that they make go with it.
func TestMain(m *testing.M) {
	if os.Getuid() != 0 || os.Getenv("BERTH_TEST_NETNS") != "" {
		os.Exit(m.Run())
	}
	runtime.LockOSThread()
	err := unix.Unshare(unix.CLONE_NEWNET | unix.CLONE_NEWNS)
	if err == nil {
		// A sysfs shows the network namespace that it was mounted in.
		err = errors.Join(loopbackUp(), unix.Mount("", "/", "", unix.MS_PRIVATE|unix.MS_REC, ""), unix.Mount("sysfs", "/sys", "sysfs", 0, ""))
	}
	if err == nil {
		err = syscall.Exec("/proc/self/exe", os.Args, append(os.Environ(), "BERTH_TEST_NETNS=1"))
	}
	fmt.Fprintln(os.Stderr, "make a network namespace for the tests:", err)
	os.Exit(1)
}

func loopbackUp() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	lo, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	lo.SetUint16(unix.IFF_UP)
	return unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, lo)
}

// requireRoot skips a test that makes network devices.
func requireRoot(t *testing.T) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("making network devices needs root")
	}
}

var update = flag.Bool("update", false, "write the golden files anew")

// recorder is a runner that notes what it was to run, and may fail.
type recorder struct {
	calls []string
	err   error
}

func (r *recorder) run(_ context.Context, c proc.Command) ([]byte, error) {
	call := c.Path + " " + strings.Join(c.Args, " ")
	if c.Stdin != nil {
		input, _ := io.ReadAll(c.Stdin)
		call += "\n" + string(input)
	}
	r.calls = append(r.calls, call)
	return nil, r.err
}

// machine is an adapter on a machine with programs that are never run.
func machine(t *testing.T) (Adapter, *recorder) {
	t.Helper()
	a, r := leasing(t), &recorder{}
	dir := filepath.Dir(a.Leases)
	for _, name := range []string{"netavark", "pasta"} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	a.Run, a.Netavark, a.Pasta, a.Aardvark = r.run, filepath.Join(dir, "netavark"), filepath.Join(dir, "pasta"), "/lib/aardvark-dns"
	a.Machine = "machine"
	a.Configs, a.StateDir = []string{filepath.Join(dir, "networks")}, filepath.Join(dir, "run/networks")
	return a, r
}

// setUp connects a container.
func setUp(t *testing.T, a Adapter, r engine.NetworkRequest) {
	t.Helper()
	_, err := a.Plan(t.Context(), r)
	if err := errors.Join(err, a.Setup(t.Context(), r)); err != nil {
		t.Fatal(err)
	}
}

func golden(t *testing.T, name, got string, a Adapter) {
	t.Helper()
	got = strings.ReplaceAll(got, filepath.Dir(a.Leases), "DIR")
	got = strings.ReplaceAll(got, fmt.Sprint("/proc/", os.Getpid(), "/fd/"), "/proc/PID/fd/")
	file := filepath.Join("testdata", name)
	if *update {
		if err := errors.Join(os.MkdirAll("testdata", 0o755), os.WriteFile(file, []byte(got), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("differs from %s (-update writes it anew):\n%s", file, got)
	}
}

func TestBridge(t *testing.T) {
	requireRoot(t)
	a, calls := machine(t)
	ctx := context.Background()
	r := request(t, a, "c1")
	r.NetNS, r.IP = "/proc/7/fd/9", "10.88.0.42"
	r.Publish = []spec.PortMapping{{HostIP: "127.0.0.1", HostPort: freePort(t), ContainerPort: 80, Range: 1, Protocol: "tcp"}}
	status, err := a.Plan(ctx, r)
	if err != nil || fmt.Sprint(status.Addresses, status.Host, status.DNSServers) != "[10.88.0.42] [10.88.0.1] []" {
		t.Fatalf("%v, %v", status, err)
	}
	if len(calls.calls) > 0 {
		t.Errorf("planning ran %v", calls.calls)
	}
	if err := a.Setup(ctx, r); err != nil {
		t.Fatal(err)
	}
	if err := a.Teardown(ctx, r); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(a.StateDir); err != nil {
		t.Errorf("netavark makes no directory above its own: %v", err)
	}
	text := strings.ReplaceAll(strings.Join(calls.calls, "\n")+"\n", fmt.Sprintf(`"host_port":%d`, r.Publish[0].HostPort), `"host_port":PORT`)
	golden(t, "bridge.txt", text, a)
	if _, err := os.Stat(a.Leases); !os.IsNotExist(err) {
		t.Errorf("leases are left: %v", err)
	}
	if err := a.Teardown(ctx, r); err != nil {
		t.Errorf("a second time: %v", err)
	}
}

// TestTeardownAsFarAsItGot: without Setup netavark has nothing to undo, and the leases go.
func TestTeardownAsFarAsItGot(t *testing.T) {
	a, calls := machine(t)
	ctx := context.Background()
	r := request(t, a, "c1")
	if err := a.Teardown(ctx, r); err != nil {
		t.Errorf("without a plan: %v", err)
	}
	if _, err := a.Plan(ctx, r); err != nil {
		t.Fatal(err)
	}
	if err := a.Teardown(ctx, r); err != nil || len(calls.calls) > 0 {
		t.Errorf("planned only: %v, %v", err, calls.calls)
	}
	if _, err := os.Stat(a.Leases); !os.IsNotExist(err) {
		t.Errorf("leases are left: %v", err)
	}
}

// TestTeardownKeepsLeases: as long as netavark's rules may be there, nobody else gets the address.
func TestTeardownKeepsLeases(t *testing.T) {
	requireRoot(t)
	a, calls := machine(t)
	ctx := context.Background()
	r := request(t, a, "c1")
	r.IP, r.NetNS = "10.88.0.9", "/proc/7/fd/9"
	if _, err := a.Plan(ctx, r); err != nil {
		t.Fatal(err)
	}
	calls.err = &proc.ExitError{Program: "netavark", Code: 1, Stdout: `{"error":"no such device "}`}
	if err := a.Setup(ctx, r); err == nil || err.Error() != "netavark setup: no such device" {
		t.Errorf("setup: %v", err)
	}
	if err := a.Teardown(ctx, r); err == nil || err.Error() != "netavark teardown: no such device" {
		t.Errorf("teardown: %v", err)
	}
	if holder, err := os.Readlink(filepath.Join(a.Leases, "net/podman/10.88.0.9")); holder != "c1" {
		t.Errorf("the lease is %q, %v", holder, err)
	}
	calls.err = nil
	if err := a.Teardown(ctx, r); err != nil {
		t.Error(err)
	}
}

func TestPlanOfAnotherVersion(t *testing.T) {
	a, _ := machine(t)
	r := request(t, a, "c1")
	for text, want := range map[string]string{`{"version":2}`: "version 2", `{`: "damaged"} {
		if err := os.WriteFile(planFile(r.Dir), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		for name, err := range map[string]error{"setup": a.Setup(context.Background(), r), "teardown": a.Teardown(context.Background(), r)} {
			if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), planFile(r.Dir)) {
				t.Errorf("%s of %s: %v", name, text, err)
			}
		}
	}
}

func TestPlanRefuses(t *testing.T) {
	tests := []struct {
		name   string
		change func(*Adapter, *engine.NetworkRequest)
		want   string
	}{
		{"unknown network", func(_ *Adapter, r *engine.NetworkRequest) { r.Networks = []string{"web"} }, "; `berth network create web` makes it. That of a file web.network is Network=web.network, and a restart of web-network.service makes it anew"},
		{"pruned network of a file", func(_ *Adapter, r *engine.NetworkRequest) { r.Networks = []string{"systemd-web"} }, "That of a file web.network is Network=web.network, and a restart of web-network.service makes it anew"},
		{"name that leads elsewhere", func(_ *Adapter, r *engine.NetworkRequest) { r.Networks = []string{"../web"} }, "network: name"},
		{"twice", func(_ *Adapter, r *engine.NetworkRequest) { r.Networks = []string{"bridge", "podman"} }, "named twice"},
		{"address of another", func(_ *Adapter, r *engine.NetworkRequest) { r.Networks = []string{"bridge:ip=1.2.3.4"} }, "in no subnet of network \"podman\", which has 10.88.0.0/16"},
		{"no netavark", func(a *Adapter, _ *engine.NetworkRequest) { a.Netavark = "/none/netavark" }, "install the package netavark"},
		{"no pasta", func(a *Adapter, _ *engine.NetworkRequest) { a.Rootless, a.Pasta = true, "/none/pasta" }, "install the package passt"},
		{"bridge without root", func(a *Adapter, r *engine.NetworkRequest) { a.Rootless, r.Networks = true, []string{"web"} }, "looked after by the user's service manager (systemd --user), and berth-pasta.service does not run"},
		{"sctp without root", func(a *Adapter, r *engine.NetworkRequest) {
			a.Rootless, r.Publish = true, []spec.PortMapping{{HostPort: 1, ContainerPort: 80, Range: 1, Protocol: "sctp"}}
		}, "pasta forwards tcp and udp"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a, _ := machine(t)
			r := request(t, a, "c1")
			tt.change(&a, &r)
			if _, err := a.Plan(context.Background(), r); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
}

func TestDefinitionOfAFile(t *testing.T) {
	a, _ := machine(t)
	if err := os.MkdirAll(a.Configs[0], 0o755); err != nil {
		t.Fatal(err)
	}
	text := `{"name":"web","id":"x","driver":"bridge","network_interface":"podman7","subnets":[{"subnet":"10.7.0.0/30","gateway":"10.7.0.1"},{"subnet":"fd07::/126","gateway":"fd07::1"}],"dns_enabled":true}`
	if err := os.WriteFile(filepath.Join(a.Configs[0], "web.json"), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	r := request(t, a, "c1")
	r.Networks = []string{"web"}
	status, err := a.Plan(context.Background(), r)
	if err != nil || len(status.Addresses) != 2 || status.Addresses[0] != "10.7.0.2" || fmt.Sprint(status.DNSServers) != "[10.7.0.1 fd07::1]" {
		t.Errorf("%+v, %v", status, err)
	}
	if err := os.WriteFile(filepath.Join(a.Configs[0], "web.json"), []byte("{"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := a.Plan(context.Background(), r); err == nil || !strings.Contains(err.Error(), "web.json") {
		t.Errorf("damaged: %v", err)
	}
}

// addNetwork writes a network's file.
func addNetwork(t *testing.T, a Adapter, text string) {
	t.Helper()
	var d definition
	if err := errors.Join(json.Unmarshal([]byte(text), &d), os.MkdirAll(a.Configs[0], 0o755)); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(a.Configs[0], d.Name+".json"), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

const (
	frontFile = `{"name":"front","id":"f0","driver":"bridge","network_interface":"berthtest1","subnets":[{"subnet":"10.71.0.0/24","gateway":"10.71.0.1"},{"subnet":"fd71::/64","gateway":"fd71::1"}],"dns_enabled":true}`
	backFile  = `{"name":"back","id":"b0","driver":"bridge","network_interface":"berthtest2","subnets":[{"subnet":"10.72.0.0/24","gateway":"10.72.0.1"}],"internal":true,"dns_enabled":true}`
	lanFile   = `{"name":"lan","id":"c0","driver":"macvlan","network_interface":"eth9","dns_enabled":false,"ipam_options":{"driver":"dhcp"}}`
)

// TestSeveralNetworks: one call of netavark connects to all, and connecting and disconnecting later to one.
func TestSeveralNetworks(t *testing.T) {
	requireRoot(t)
	a, calls := machine(t)
	for _, text := range []string{frontFile, backFile, lanFile} {
		addNetwork(t, a, text)
	}
	dhcp := 0
	a.StartDHCP = func(context.Context) error { dhcp++; return nil }
	ctx := context.Background()
	r := request(t, a, "c1")
	r.NetNS, r.Aliases, r.DNS = "/proc/7/fd/9", []string{"www"}, []string{"192.0.2.53"}
	r.Networks = []string{"front:ip6=fd71::7,alias=web,interface_name=lan0", "back:mac=02:00:00:00:00:07"}
	status, err := a.Plan(ctx, r)
	if err != nil {
		t.Fatal(err)
	}
	text := fmt.Sprintf("%+v\n", status)
	if err := a.Setup(ctx, r); err != nil {
		t.Fatal(err)
	}
	if status, err = a.Connect(ctx, r, spec.Attachment{Network: "lan"}); err != nil || dhcp != 1 {
		t.Fatalf("connect: %v; DHCP was started %d times", err, dhcp)
	}
	text += fmt.Sprintf("%+v\n", status)
	if _, err := a.Connect(ctx, r, spec.Attachment{Network: "lan"}); err == nil || !strings.Contains(err.Error(), "already") {
		t.Errorf("twice: %v", err)
	}
	if status, err = a.Disconnect(ctx, r, "front"); err != nil {
		t.Fatal(err)
	}
	text += fmt.Sprintf("%+v\n", status)
	if _, err := os.Stat(filepath.Join(a.Leases, "net/front")); !os.IsNotExist(err) {
		t.Errorf("leases of the network that it left: %v", err)
	}
	if _, err := a.Disconnect(ctx, r, "front"); err == nil || !strings.Contains(err.Error(), "is not on network") {
		t.Errorf("twice: %v", err)
	}
	if err := a.Teardown(ctx, r); err != nil {
		t.Fatal(err)
	}
	golden(t, "several.txt", text+strings.Join(calls.calls, "\n")+"\n", a)
	if _, err := os.Stat(a.Leases); !os.IsNotExist(err) {
		t.Errorf("leases are left: %v", err)
	}
}

// TestDeviceNames: an interface is named like the device that its network is on, where that is free and no bridge.
func TestDeviceNames(t *testing.T) {
	requireRoot(t)
	a, _ := machine(t)
	for _, text := range []string{frontFile, lanFile, strings.Replace(strings.Replace(lanFile, `"lan"`, `"more"`, 1), "c0", "d0", 1)} {
		addNetwork(t, a, text)
	}
	a.DeviceNames = true
	for words, want := range map[string]string{"front lan more": "eth0 eth9 eth1", "lan:interface_name=own": "own"} {
		r := request(t, a, "c1")
		r.Networks = strings.Fields(words)
		status, err := a.Plan(t.Context(), r)
		var got []string
		for _, at := range status.Attached {
			got = append(got, at.Interface)
		}
		if err != nil || strings.Join(got, " ") != want {
			t.Errorf("%s: %s, %v; want %s", words, got, err, want)
		}
	}
}

// TestNameServerPort: netavark is told of the name server's port and of the firewall's driver, by its environment, at the end too
// when they are others by then.
func TestNameServerPort(t *testing.T) {
	requireRoot(t)
	a, _ := machine(t)
	addNetwork(t, a, frontFile)
	var seen []string
	a.Run = func(_ context.Context, c proc.Command) ([]byte, error) {
		for _, e := range c.Env {
			if strings.HasPrefix(e, "NETAVARK_") {
				seen = append(seen, e)
			}
		}
		if input, _ := io.ReadAll(c.Stdin); strings.Contains(string(input), "berth_") {
			t.Errorf("netavark reads %s", input)
		}
		return nil, nil
	}
	a.DNSPort, a.Firewall = 1053, "nftables"
	r := request(t, a, "c1")
	r.NetNS, r.Networks = "/proc/7/fd/9", []string{"front"}
	if _, err := a.Plan(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	err := a.Setup(t.Context(), r)
	a.DNSPort, a.Firewall = 0, ""
	if err := errors.Join(err, a.Teardown(t.Context(), r)); err != nil {
		t.Fatal(err)
	}
	const want = "NETAVARK_FW=nftables NETAVARK_DNS_PORT=1053"
	if got := strings.Join(seen, " "); got != want+" "+want {
		t.Errorf("it is told %s", got)
	}
}

// TestConnectFails: what netavark could not do leaves no lease, and the container stays on the networks it had.
func TestConnectFails(t *testing.T) {
	a, calls := machine(t)
	addNetwork(t, a, frontFile)
	addNetwork(t, a, backFile)
	ctx := context.Background()
	r := request(t, a, "c1")
	r.NetNS, r.Networks = "/proc/7/fd/9", []string{"front"}
	if _, err := a.Plan(ctx, r); err != nil {
		t.Fatal(err)
	}
	calls.err = &proc.ExitError{Program: "netavark", Code: 1, Stdout: `{"error":"no"}`}
	if _, err := a.Connect(ctx, r, spec.Attachment{Network: "back"}); err == nil {
		t.Error("it was connected")
	}
	if _, err := a.Connect(ctx, r, spec.Attachment{Network: "none-such"}); err == nil {
		t.Error("it was connected to nothing")
	}
	if _, err := os.Stat(filepath.Join(a.Leases, "net/back")); !os.IsNotExist(err) {
		t.Errorf("leases are left: %v", err)
	}
	if p, err := a.recorded(r); err != nil || fmt.Sprint(p.Order, len(p.Leases)) != "[front] 2" {
		t.Errorf("%+v, %v", p, err)
	}
}

// place is a namespace of bridges that is the caller's own.
type place struct {
	err       error // of publishing
	published int   // how many ports are
}

func (*place) ID(context.Context) (string, error)         { return "1", nil }
func (*place) Do(_ context.Context, f func() error) error { return f() }
func (p *place) Withdraw(context.Context, string) error   { p.published = 0; return nil }
func (p *place) Publish(_ context.Context, _ string, list []usernet.Forward) error {
	p.published = len(list)
	return p.err
}

// TestTeardownAwaitsHolder: the rules and names of a container go also when the program that holds the user's network is being
// started again just then.
func TestTeardownAwaitsHolder(t *testing.T) {
	requireRoot(t)
	a, calls := machine(t)
	addNetwork(t, a, frontFile)
	self, err := proc.Identify(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	ns, err := os.Open("/proc/self/ns/net")
	if err != nil {
		t.Fatal(err)
	}
	defer ns.Close()
	var st unix.Stat_t
	if err := unix.Fstat(int(ns.Fd()), &st); err != nil {
		t.Fatal(err)
	}
	n := usernet.Net{Dir: t.TempDir()}
	hold := func(start uint64) {
		text, _ := json.Marshal(map[string]any{"version": 1, "process": proc.ID{PID: self.PID, Start: start}, "netFD": ns.Fd(), "inode": st.Ino, "id": "one"})
		if err := atomicfile.Write(filepath.Join(n.Dir, "holder.json"), text, 0o600); err != nil {
			t.Error(err)
		}
	}
	hold(self.Start)
	a.Place = n
	r := request(t, a, "c1")
	r.NetNS, r.Networks = "/proc/7/fd/9", []string{"front"}
	setUp(t, a, r)
	calls.calls, r.NetNS = nil, ""
	hold(self.Start + 1)
	if err := a.Teardown(enginetest.WaitedFor{Context: t.Context(), Call: func() { hold(self.Start) }}, r); err != nil || len(calls.calls) != 1 {
		t.Errorf("%v; %d calls of netavark", err, len(calls.calls))
	}
}

// ending is a place that ends when something is to be done in it, or says that it has.
type ending struct {
	place
	ends, gone bool
}

func (p *ending) ID(context.Context) (string, error) {
	if p.gone {
		return "", usernet.ErrNone
	}
	return "1", nil
}

func (p *ending) Do(context.Context, func() error) error {
	p.gone = p.ends
	return usernet.ErrNone
}

// TestTeardownBesideTheEnd: when the user's network goes while a container is taken off, the container's rules have gone with it; as long as it is
// there the leases stay.
func TestTeardownBesideTheEnd(t *testing.T) {
	requireRoot(t)
	for _, ends := range []bool{true, false} {
		a, _ := machine(t)
		addNetwork(t, a, frontFile)
		a.Place = &place{}
		r := request(t, a, "c1")
		r.NetNS, r.Networks = "/proc/7/fd/9", []string{"front"}
		setUp(t, a, r)
		a.Place = &ending{ends: ends}
		err := a.Teardown(t.Context(), r)
		_, statErr := os.Stat(filepath.Join(a.Leases, "net/front"))
		if (err == nil) != ends || os.IsNotExist(statErr) != ends {
			t.Errorf("it ends: %t: %v; its leases: %v", ends, err, statErr)
		}
	}
}

// returning is a place whose program is being started again, for long.
type returning struct{ place }

func (returning) ID(context.Context) (string, error) { return "", usernet.ErrReturns }

// TestTeardownWithoutHolder: the leases stay as long as rules may be in the user's network that use them, though nobody can go there.
func TestTeardownWithoutHolder(t *testing.T) {
	requireRoot(t)
	a, calls := machine(t)
	addNetwork(t, a, frontFile)
	a.Place = &place{}
	r := request(t, a, "c1")
	r.NetNS, r.Networks = "/proc/7/fd/9", []string{"front"}
	setUp(t, a, r)
	calls.calls, a.Place = nil, &returning{}
	if err := a.Teardown(t.Context(), r); !errors.Is(err, usernet.ErrReturns) {
		t.Errorf("while nobody is there: %v", err)
	}
	if _, err := os.Stat(filepath.Join(a.Leases, "net/front")); err != nil {
		t.Errorf("while nobody is there: %v", err)
	}
	a.Place = &place{}
	if err := a.Teardown(t.Context(), r); err != nil || len(calls.calls) != 1 {
		t.Errorf("%v; %d calls of netavark", err, len(calls.calls))
	}
}

// TestPublishFails: when the ports cannot be published a container is neither connected nor taken off.
func TestPublishFails(t *testing.T) {
	requireRoot(t)
	a, calls := machine(t)
	addNetwork(t, a, frontFile)
	addNetwork(t, a, strings.NewReplacer("front", "more", "f0", "m0", "test1", "test3", "10.71", "10.73", "fd71", "fd73").Replace(frontFile))
	there := &place{}
	a.Place = there
	r := request(t, a, "c1")
	r.NetNS, r.Networks = "/proc/7/fd/9", []string{"front"}
	r.Publish = []spec.PortMapping{{HostPort: freePort(t), ContainerPort: 80, Range: 1, Protocol: "tcp"}}
	setUp(t, a, r)
	calls.calls, there.err = nil, errors.New("nobody listens")
	if _, err := a.Connect(t.Context(), r, spec.Attachment{Network: "more"}); !errors.Is(err, there.err) || len(calls.calls) != 2 {
		t.Errorf("connect: %v; %d calls of netavark", err, len(calls.calls))
	}
	if _, err := os.Stat(filepath.Join(a.Leases, "net/more")); !os.IsNotExist(err) {
		t.Errorf("leases are left: %v", err)
	}
	calls.calls = nil
	if _, err := a.Disconnect(t.Context(), r, "front"); !errors.Is(err, there.err) || len(calls.calls) > 0 {
		t.Errorf("disconnect: %v; %v", err, calls.calls)
	}
	if p, err := a.recorded(r); err != nil || fmt.Sprint(p.Order, len(p.Leases)) != "[front] 3" || there.published != 1 {
		t.Errorf("%+v, %v; %d published", p, err, there.published)
	}
}

// TestDisconnectOnFullDisk: where the change cannot be written down nothing is changed.
func TestDisconnectOnFullDisk(t *testing.T) {
	requireRoot(t)
	a, calls := machine(t)
	addNetwork(t, a, frontFile)
	addNetwork(t, a, backFile)
	r := request(t, a, "c1")
	if err := unix.Mount("tmpfs", r.Dir, "tmpfs", 0, "size=64k"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Unmount(r.Dir, unix.MNT_DETACH) })
	r.NetNS, r.Networks = "/proc/7/fd/9", []string{"front", "back"}
	setUp(t, a, r)
	full := filepath.Join(r.Dir, "full")
	if err := os.WriteFile(full, make([]byte, 64<<10), 0o600); !errors.Is(err, unix.ENOSPC) {
		t.Fatal(err)
	}
	calls.calls = nil
	if _, err := a.Disconnect(t.Context(), r, "front"); !errors.Is(err, unix.ENOSPC) || strings.Contains(err.Error(), "\n") || len(calls.calls) > 0 {
		t.Errorf("%v; %v", err, calls.calls)
	}
	if p, err := a.recorded(r); err != nil || len(p.Options.Networks) != 2 {
		t.Errorf("%+v, %v", p, err)
	}
	if _, err := a.Disconnect(t.Context(), r, "front"); !errors.Is(err, unix.ENOSPC) {
		t.Errorf("again: %v", err)
	}
	if err := os.Remove(full); err != nil {
		t.Fatal(err)
	}
	if status, err := a.Disconnect(t.Context(), r, "front"); err != nil || fmt.Sprint(status.Attached) == "" {
		t.Errorf("with room: %+v, %v", status, err)
	}
}

// TestNetavarkHangs: it is killed when its time is over, with what it has started, and others get their turn.
// FuzzNetavarkReply: what netavark says went wrong is told in its words, and of a reply that is none the last line of what it wrote, or its
// status.
func FuzzNetavarkReply(f *testing.F) {
	for _, reply := range []string{`{"error":"no such device\n"}`, `{"error":7}`, `{"error":""}`, `{"Error":" "}`, `{`, `null`, `[]`, ``, "\x00", `{"error":"a"}{"error":"b"}`} {
		f.Add(reply, "", 1)
		f.Add(reply, "panicked at src/main.rs\nnote: run with RUST_BACKTRACE=1\n", 101)
	}
	f.Fuzz(func(t *testing.T, reply, stderr string, code int) {
		exit := &proc.ExitError{Program: "netavark", Code: code, Stdout: reply, Stderr: stderr}
		got := netavarkError(exit)
		var told struct{ Error string }
		want := exit.Error()
		if json.Unmarshal([]byte(reply), &told) == nil && strings.TrimSpace(told.Error) != "" {
			want = strings.TrimSpace(told.Error)
		}
		if got != want || got == "" {
			t.Errorf("%q with %q and status %d is told as %q, want %q", reply, stderr, code, got, want)
		}
	})
}

func TestNetavarkHangs(t *testing.T) {
	a, _ := machine(t)
	addNetwork(t, a, frontFile)
	if err := os.WriteFile(a.Netavark, []byte("#!/bin/sh\nsleep 100000 & wait\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	r := request(t, a, "c1")
	r.NetNS, r.Networks = "/proc/7/fd/9", []string{"front"}
	if _, err := a.Plan(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	a.Run, a.Patience = proc.Run, 100*time.Millisecond
	if err := a.Setup(t.Context(), r); err == nil || !strings.Contains(err.Error(), "netavark setup has not ended within 100ms and was killed") {
		t.Error(err)
	}
	unlock, err := a.lock()
	if err != nil {
		t.Fatal(err)
	}
	unlock()
}

func TestHardwareAddress(t *testing.T) {
	a := Adapter{Machine: "m"}
	one := a.hardwareAddress("c", "n")
	mac, err := net.ParseMAC(one)
	if err != nil || mac[0]&3 != 2 || one != a.hardwareAddress("c", "n") {
		t.Errorf("%s, %v", one, err)
	}
	for _, other := range []string{a.hardwareAddress("d", "n"), a.hardwareAddress("c", "m"), (Adapter{Machine: "x"}).hardwareAddress("c", "n"), (Adapter{}).hardwareAddress("c", "n")} {
		if other == one {
			t.Errorf("%s again", other)
		}
	}
	if (Adapter{}).hardwareAddress("c", "n") == (Adapter{}).hardwareAddress("c", "n") {
		t.Error("without the machine's ID the address is not random")
	}
}

// TestStandIn: a namespace with a device of the container's name, which goes with its handle.
func TestStandIn(t *testing.T) {
	requireRoot(t)
	ns, err := standIn(&netavarkOptions{Networks: map[string]perNetwork{"a": {InterfaceName: "eth0"}, "b": {InterfaceName: "eth1"}}})
	if err != nil {
		t.Fatal(err)
	}
	defer ns.Close()
	out, err := proc.Run(context.Background(), proc.Command{
		Path: "/usr/bin/nsenter", Args: []string{"--net=/proc/self/fd/3", "/bin/cat", "/proc/net/dev"}, Extra: []*os.File{ns},
	})
	if err != nil || !strings.Contains(string(out), "eth0:") || !strings.Contains(string(out), "eth1:") {
		t.Errorf("%s, %v", out, err)
	}
	if here, _ := os.ReadFile("/proc/thread-self/net/dev"); strings.Contains(string(here), "eth1:") {
		t.Error("the device is in the host's namespace")
	}
}

// TestTeardownOfADeadContainer: netavark is shown the stand-in when the container's own namespace is gone, and is not told to remove
// the network's routes, which went with it.
func TestTeardownOfADeadContainer(t *testing.T) {
	requireRoot(t)
	a, calls := machine(t)
	if err := errors.Join(os.MkdirAll(a.Configs[0], 0o755),
		os.WriteFile(filepath.Join(a.Configs[0], "web.json"), []byte(`{"name":"web","network_interface":"berthtest0","subnets":[{"subnet":"10.7.0.0/24"}],"routes":[{"destination":"10.8.0.0/16","gateway":"10.7.0.9"}]}`), 0o644)); err != nil {
		t.Fatal(err)
	}
	r := request(t, a, "c1")
	r.NetNS, r.Networks = "/proc/7/fd/9", []string{"web"}
	setUp(t, a, r)
	r.NetNS = ""
	if err := a.Teardown(context.Background(), r); err != nil {
		t.Error(err)
	}
	if len(calls.calls) != 2 {
		t.Fatalf("ran %v", calls.calls)
	}
	line, _, _ := strings.Cut(calls.calls[1], "\n")
	if want := fmt.Sprintf(" teardown /proc/%d/fd/", os.Getpid()); !strings.Contains(line, want) {
		t.Errorf("ran %s, want %s", line, want)
	}
	for i, want := range []bool{true, false} {
		if strings.Contains(calls.calls[i], "10.8.0.0/16") != want {
			t.Errorf("call %d: %s", i, calls.calls[i])
		}
	}
}

// TestTeardownTwice: of two removals of a container the second does not call netavark, and that the names are gone already is
// no error; that something else is missing is.
func TestTeardownTwice(t *testing.T) {
	requireRoot(t)
	const gone = `{"error":"remove aardvark entries: IO error: No such file or directory (os error 2)"}`
	for _, tt := range []struct {
		name, said string
		names      bool // aardvark-dns has a file of the network
		fails      bool
	}{
		{"done", "", true, false},
		{"without names", gone, false, false},
		{"another file is missing", gone, true, true},
		{"more is wrong", `{"error":"several errors: remove aardvark entries: IO error: No such file or directory (os error 2); no bridge"}`, false, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a, calls := machine(t)
			a.StateDir = t.TempDir()
			addNetwork(t, a, `{"name":"web","network_interface":"berthtest0","driver":"bridge","dns_enabled":true,"subnets":[{"subnet":"10.7.0.0/24"}]}`)
			if tt.names {
				if err := errors.Join(os.Mkdir(filepath.Join(a.StateDir, "aardvark-dns"), 0o755), os.WriteFile(filepath.Join(a.StateDir, "aardvark-dns/web"), nil, 0o644)); err != nil {
					t.Fatal(err)
				}
			}
			r := request(t, a, "c1")
			r.NetNS, r.Networks = "/proc/7/fd/9", []string{"web"}
			ctx := context.Background()
			setUp(t, a, r)
			r.NetNS = ""
			if tt.said != "" {
				calls.err = &proc.ExitError{Program: "netavark", Code: 1, Stdout: tt.said}
			}
			if err := a.Teardown(ctx, r); (err != nil) != tt.fails {
				t.Fatalf("first: %v", err)
			}
			calls.err = nil
			before := len(calls.calls)
			if err := a.Teardown(ctx, r); err != nil {
				t.Errorf("second: %v", err)
			}
			if again := len(calls.calls) > before; again != tt.fails {
				t.Errorf("netavark was called again: %t", again)
			}
		})
	}
}

// TestTeardownAfterAKilledOne: an interface that an earlier teardown has taken away, from a namespace that is still there, is
// stood in for; one that is there is not.
func TestTeardownAfterAKilledOne(t *testing.T) {
	requireRoot(t)
	a, calls := machine(t)
	if err := os.MkdirAll(a.Configs[0], 0o755); err != nil {
		t.Fatal(err)
	}
	for i, name := range []string{"web", "back"} {
		text := fmt.Sprintf(`{"name":%q,"network_interface":"berthtest%d","subnets":[{"subnet":"10.7.%d.0/24"}]}`, name, i, i)
		if err := os.WriteFile(filepath.Join(a.Configs[0], name+".json"), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	r := request(t, a, "c1")
	r.Networks = []string{"web", "back"}
	if _, err := a.Plan(context.Background(), r); err != nil {
		t.Fatal(err)
	}
	ns, err := standIn(&netavarkOptions{Networks: map[string]perNetwork{"back": {InterfaceName: "eth1"}}}) // without eth0, that of web
	if err != nil {
		t.Fatal(err)
	}
	defer ns.Close()
	r.NetNS = namespacePath(ns)
	if err := a.Setup(context.Background(), r); err != nil {
		t.Fatal(err)
	}
	if err := a.Teardown(context.Background(), r); err != nil {
		t.Error(err)
	}
	if len(calls.calls) != 3 {
		t.Fatalf("ran %v", calls.calls)
	}
	for i, network := range []string{"back", "web"} {
		line, input, _ := strings.Cut(calls.calls[1+i], "\n")
		if own := strings.HasSuffix(line, " teardown "+r.NetNS); own != (network == "back") || !strings.Contains(input, fmt.Sprintf(`"networks":{%q:{`, network)) {
			t.Errorf("call %d is not for %s alone, or in the wrong namespace: %s %s", i, network, line, input)
		}
	}
}

func TestPastaArgs(t *testing.T) {
	port := func(ip string, host, container, count uint16, protocol string) spec.PortMapping {
		return spec.PortMapping{HostIP: ip, HostPort: host, ContainerPort: container, Range: count, Protocol: protocol}
	}
	base := "--config-net --quiet --no-map-gw --no-netns-quit --dns-forward 169.254.1.1 --map-guest-addr 169.254.1.2 "
	tests := []struct {
		ports []spec.PortMapping
		extra []string
		want  string
	}{
		{nil, nil, "-t none -u none -T none -U none"},
		{[]spec.PortMapping{port("", 8080, 80, 1, "tcp")}, nil, "-t 8080:80 -u none -T none -U none"},
		{[]spec.PortMapping{port("127.0.0.1", 8080, 80, 1, "tcp"), port("", 53, 53, 1, "udp"), port("::1", 1, 2, 1, "tcp")}, nil,
			"-t 127.0.0.1/8080:80 -t ::1/1:2 -u 53:53 -T none -U none"},
		{[]spec.PortMapping{port("", 8000, 9000, 11, "udp")}, nil, "-t none -u 8000-8010:9000-9010 -T none -U none"},
		{nil, []string{"-I", "eth7"}, "-t none -u none -T none -U none -I eth7"},
		{nil, []string{"-T", "80", "--udp-ns", "53"}, "-t none -u none -T 80 --udp-ns 53"},
		{nil, []string{"-t", "8443:443", "--udp-ports=53"}, "-T none -U none -t 8443:443 --udp-ports=53"},
	}
	for _, tt := range tests {
		if got := strings.Join(pastaArgs(tt.ports, tt.extra), " "); got != base+tt.want {
			t.Errorf("got  %s\nwant %s", got, base+tt.want)
		}
	}
}

// TestPastaHost: where the container finds the host is the user's to say.
func TestPastaHost(t *testing.T) {
	for words, want := range map[string]struct{ host, args string }{
		"":                              {"[169.254.1.2]", " --map-guest-addr 169.254.1.2 -t"},
		"--map-guest-addr none":         {"[]", " --map-guest-addr none"},
		"--map-guest-addr=none":         {"[]", " --map-guest-addr=none"},
		"--map-guest-addr=10.1.2.3 -4":  {"[10.1.2.3]", " --map-guest-addr=10.1.2.3 -4"},
		"-4 --map-guest-addr 192.0.2.1": {"[192.0.2.1]", " -4 --map-guest-addr 192.0.2.1"},
	} {
		extra := strings.Fields(words)
		args := strings.Join(pastaArgs(nil, extra), " ")
		if host := fmt.Sprint(hostBehind(extra)); host != want.host || !strings.Contains(args, want.args) || strings.Count(args, mapHost) != 1 {
			t.Errorf("%q: host %s, %s", words, host, args)
		}
	}
}

// TestOldPasta: one that does not know the word for the host's address is started without it, and says all else itself.
func TestOldPasta(t *testing.T) {
	a, _ := machine(t)
	r := request(t, a, "c1")
	for said, want := range map[string]int{"pasta: unrecognized option '--map-guest-addr'\nUsage: pasta\n  --version\tShow the version": 2, "Failed to bind port 80": 1} {
		var calls [][]string
		a.Run = func(_ context.Context, c proc.Command) ([]byte, error) {
			calls = append(calls, slices.Clone(c.Args))
			if slices.Contains(c.Args, mapHost) {
				return nil, &proc.ExitError{Program: "pasta", Code: 1, Stderr: said}
			}
			return nil, nil
		}
		err := a.startPasta(t.Context(), r, &plan{PastaArgs: pastaArgs(nil, nil)})
		if (err == nil) != (want == 2) || len(calls) != want || want == 2 && len(calls[1]) != len(calls[0])-2 {
			t.Errorf("%s: %v, %q", said, err, calls)
		}
	}
}

func TestPastaMapsTheGateway(t *testing.T) {
	extra := []string{"--map-gw", "-I", "eth7"}
	want := "--config-net --quiet --no-netns-quit --dns-forward 169.254.1.1 --map-guest-addr 169.254.1.2 -t none -u none -T none -U none -I eth7"
	if got := strings.Join(pastaArgs(nil, extra), " "); got != want || extra[0] != "--map-gw" {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestPasta(t *testing.T) {
	a, calls := machine(t)
	a.Rootless = true
	r := request(t, a, "c1")
	r.NetNS, r.Networks = "/proc/7/fd/9", []string{"pasta:--mtu,1400"}
	ctx := context.Background()
	status, err := a.Plan(ctx, r)
	if err != nil || fmt.Sprint(status.DNSServers, status.Host) != "["+pastaDNS+"] ["+pastaHost+"]" {
		t.Fatalf("%+v, %v", status, err)
	}
	if err := errors.Join(a.Setup(ctx, r), a.Teardown(ctx, r)); err != nil {
		t.Fatal(err)
	}
	golden(t, "pasta.txt", strings.Join(calls.calls, "\n")+"\n", a)
	calls.err = &proc.ExitError{Program: "pasta", Code: 1, Stderr: "Failed to bind port 80"}
	if err := a.Setup(ctx, r); err == nil || !strings.Contains(err.Error(), "pasta: Failed to bind port 80") {
		t.Errorf("got %v", err)
	}
}

// TestPastaOfRoot: root, whose pasta may not do what it is to do, is told what to take instead; a user has other reasons.
func TestPastaOfRoot(t *testing.T) {
	a, calls := machine(t)
	calls.err = &proc.ExitError{Program: "pasta", Code: 1, Stderr: "Couldn't open network namespace /proc/7/fd/9: Permission denied"}
	r := request(t, a, "c1")
	for _, a.Rootless = range []bool{false, true} {
		if err := a.startPasta(t.Context(), r, &plan{}); err == nil || strings.Contains(err.Error(), "Network=bridge") == a.Rootless {
			t.Errorf("rootless %v: %v", a.Rootless, err)
		}
	}
}

// TestStopPasta: only a process that runs pasta is ended on the word of a PID file.
func TestStopPasta(t *testing.T) {
	a, _ := machine(t)
	r := request(t, a, "c1")
	for _, text := range []string{"", "x", "0", "-1", "1", fmt.Sprint(os.Getpid()), "1073741824"} {
		if err := os.WriteFile(engine.PastaPIDFile(r.Dir), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := stopPasta(t.Context(), r); err != nil {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// TestChosenPortIsTold: who asked for any port learns which one it is, on a bridge and with pasta.
func TestChosenPortIsTold(t *testing.T) {
	for _, rootless := range []bool{false, true} {
		a := leasing(t)
		a.Rootless, a.Netavark, a.Pasta = rootless, os.Args[0], os.Args[0]
		r := request(t, a, "c1")
		r.Publish = []spec.PortMapping{{ContainerPort: 80, Range: 1, Protocol: "tcp"}}
		status, err := a.Plan(context.Background(), r)
		if err != nil || len(status.Published) != 1 || status.Published[0].HostPort == 0 {
			t.Errorf("rootless %v: %+v, %v", rootless, status.Published, err)
		}
	}
}

// TestForwards: a user's ports go to the first addresses of each kind that are on a network which is no internal one.
func TestForwards(t *testing.T) {
	p := &plan{Order: []string{"in", "a", "b"}, Options: &netavarkOptions{
		Networks: map[string]perNetwork{"in": {StaticIPs: []string{"10.0.0.2"}}, "a": {StaticIPs: []string{"10.1.0.2"}}, "b": {StaticIPs: []string{"10.2.0.2", "fd00::2"}}},
		NetworkInfo: map[string]definition{
			"in": {Internal: true, Subnets: []subnet{{Subnet: "10.0.0.0/24"}}}, "a": {Subnets: []subnet{{Subnet: "10.1.0.0/24"}}}, "b": {},
		},
		PortMappings: []spec.PortMapping{{HostIP: "127.0.0.1", HostPort: 8080, ContainerPort: 80, Range: 2, Protocol: "tcp"}},
	}}
	got := fmt.Sprint(p.forwards())
	if want := "[{tcp 127.0.0.1 8080 80 [10.1.0.2 fd00::2] [10.0.0.0/24 10.1.0.0/24]} {tcp 127.0.0.1 8081 81 [10.1.0.2 fd00::2] [10.0.0.0/24 10.1.0.0/24]}]"; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	p.Order = []string{"in"}
	if got := p.forwards(); len(got) > 0 {
		t.Errorf("published on an internal network: %v", got)
	}
}
