package network

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/berth-pods/berth/engine"
	"github.com/berth-pods/berth/engine/proc"
	"github.com/berth-pods/berth/engine/spec"
)

// netavarkOptions is what netavark reads on its standard input.
type netavarkOptions struct {
	ContainerID   string                `json:"container_id"`
	ContainerName string                `json:"container_name"`
	Networks      map[string]perNetwork `json:"networks"`
	NetworkInfo   map[string]definition `json:"network_info"`
	PortMappings  []spec.PortMapping    `json:"port_mappings,omitempty"`
	DNSServers    []string              `json:"dns_servers,omitempty"`
	// Firewall is the driver that makes the rules, and must take them away: not for netavark, which reads it elsewhere.
	Firewall string `json:"berth_firewall,omitempty"`
	// DNSPort is where the name server listens, 0 for its usual port: likewise.
	DNSPort uint16 `json:"berth_dns_port,omitempty"`
}

type perNetwork struct {
	StaticIPs     []string          `json:"static_ips,omitempty"`
	Aliases       []string          `json:"aliases,omitempty"`
	InterfaceName string            `json:"interface_name"`
	StaticMAC     string            `json:"static_mac,omitempty"`
	Options       map[string]string `json:"options,omitempty"`
}

func newOptions(r engine.NetworkRequest) *netavarkOptions {
	return &netavarkOptions{
		ContainerID: r.ID, ContainerName: r.Name,
		Networks: map[string]perNetwork{}, NetworkInfo: map[string]definition{}, DNSServers: r.DNS,
	}
}

// only is the options for one of the networks.
func (o netavarkOptions) only(network string) *netavarkOptions {
	o.Networks = map[string]perNetwork{network: o.Networks[network]}
	o.NetworkInfo = map[string]definition{network: o.NetworkInfo[network]}
	return &o
}

// withoutRoutes is the options without the networks' routes. The kernel removes those with the interface, and netavark fails when one
// that it is to remove has gone.
func (o netavarkOptions) withoutRoutes() *netavarkOptions {
	o.NetworkInfo = maps.Clone(o.NetworkInfo)
	for name, d := range o.NetworkInfo {
		d.Routes = nil
		o.NetworkInfo[name] = d
	}
	return &o
}

// byInterface divides the options: for networks whose interface is in the namespace, and for those whose is not. In a
// namespace that cannot be looked at all count as there, and netavark will say what is wrong with it.
func (o netavarkOptions) byInterface(netns string) (there, gone *netavarkOptions) {
	missing := missingInterfaces(netns, &o)
	divide := func(want bool) *netavarkOptions {
		part := o
		part.Networks, part.NetworkInfo = map[string]perNetwork{}, map[string]definition{}
		for name, n := range o.Networks {
			if missing[n.InterfaceName] == want {
				part.Networks[name], part.NetworkInfo[name] = n, o.NetworkInfo[name]
			}
		}
		return &part
	}
	return divide(false), divide(true)
}

// missingInterfaces says which of the interfaces a network namespace lacks.
func missingInterfaces(netns string, o *netavarkOptions) map[string]bool {
	missing := map[string]bool{}
	err := inNetwork(netns, func() error {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		for _, n := range o.Networks {
			index, err := unix.NewIfreq(n.InterfaceName)
			if err != nil {
				return err
			}
			missing[n.InterfaceName] = errors.Is(unix.IoctlIfreq(fd, unix.SIOCGIFINDEX, index), unix.ENODEV)
		}
		return nil
	})
	if err != nil {
		return nil
	}
	return missing
}

// patience is how long netavark may take. It needs some hundredths of a second; what it asks may answer never, and all other
// containers wait for their turn. A set-up took half a minute on a small machine that booted, and loaded the firewall's modules; a stop
// must have time left for the rest.
const (
	setupPatience = time.Minute
	patience      = 20 * time.Second
)

// errStuck says that netavark was killed when its time was over.
var errStuck = errors.New("netavark is stuck")

// netavark runs `netavark ACTION NAMESPACE`.
func (a Adapter) netavark(ctx context.Context, action, netns string, o *netavarkOptions) error {
	words := *o
	words.Firewall, words.DNSPort = "", 0
	input, err := json.Marshal(words)
	if err != nil {
		return err
	}
	limit := patience
	if action == "setup" {
		limit = setupPatience
	}
	limit = cmp.Or(a.Patience, limit)
	ctx, cancel := context.WithTimeoutCause(ctx, limit, errStuck)
	defer cancel()
	err = a.inPlace(ctx, func() error {
		// netavark makes its own directories, and none above them: the first network after a boot may need it for names alone.
		if err := os.MkdirAll(a.StateDir, 0o755); err != nil {
			return err
		}
		_, err := a.Run(ctx, proc.Command{Path: a.Netavark, Args: append(a.flags(), action, netns), Env: a.environment(*o), Stdin: bytes.NewReader(input)})
		return err
	})
	var exit *proc.ExitError
	if err != nil && errors.Is(context.Cause(ctx), errStuck) {
		return fmt.Errorf("netavark %s has not ended within %v and was killed; see whether `nft list tables` answers, and firewalld where that runs", action, limit)
	}
	if errors.As(err, &exit) {
		return fmt.Errorf("netavark %s: %s", action, netavarkError(exit))
	}
	return err
}

// environment lets netavark find nft, which a user's PATH need not have, and iptables a lock that a user may take. The driver of the
// firewall, and the name server's port, are named where they are not netavark's own choice.
func (a Adapter) environment(o netavarkOptions) []string {
	var more []string
	if o.Firewall != "" {
		more = append(more, "NETAVARK_FW="+o.Firewall)
	}
	if o.DNSPort != 0 {
		more = append(more, "NETAVARK_DNS_PORT="+strconv.Itoa(int(o.DNSPort)))
	}
	if a.Place != nil {
		more = append(more, "PATH="+os.Getenv("PATH")+":/usr/sbin:/sbin", "XTABLES_LOCKFILE="+filepath.Join(a.StateDir, "xtables.lock"))
	}
	if more == nil {
		return nil
	}
	return append(os.Environ(), more...)
}

func (a Adapter) flags() []string {
	args := []string{"--config", a.StateDir, "--rootless", strconv.FormatBool(a.Place != nil)}
	if a.Aardvark != "" {
		args = append(args, "--aardvark-binary", a.Aardvark)
	}
	return args
}

// netavarkError takes the sentence out of netavark's reply, which is JSON on its standard output.
func netavarkError(exit *proc.ExitError) string {
	var reply struct{ Error string }
	err := json.Unmarshal([]byte(exit.Stdout), &reply)
	if said := strings.TrimSpace(reply.Error); err == nil && said != "" {
		return said
	}
	return exit.Error()
}

// teardownBridge lets netavark take the container's interface and port rules away, and the bridge when nobody else is on
// it. When the container ended on its own, its namespace and interface are gone already; when an earlier teardown was
// killed, the interface is gone but the namespace, which a pod holds, may be there. netavark insists on seeing them, so it is
// shown a stand-in.
func (a Adapter) teardownBridge(ctx context.Context, r engine.NetworkRequest, o *netavarkOptions) error {
	for _, name := range spec.SortedKeys(o.NetworkInfo) {
		if o.NetworkInfo[name].Driver != bridgeDriver {
			continue
		}
		var release func()
		err := a.inPlace(ctx, func() (err error) {
			release, err = a.matchBridge(ctx, r, name, o.NetworkInfo[name].NetworkInterface)
			return err
		})
		if err != nil {
			return fmt.Errorf("bridge of network %q: %w", name, err)
		}
		defer release()
	}
	if r.NetNS != "" {
		there, gone := o.byInterface(r.NetNS)
		if len(there.Networks) > 0 {
			if err := a.takeDown(ctx, r.NetNS, there); err != nil {
				return err
			}
		}
		if o = gone; len(o.Networks) == 0 {
			return nil
		}
	}
	ns, err := standIn(o)
	if err != nil {
		return err
	}
	defer ns.Close()
	return a.takeDown(ctx, namespacePath(ns), o)
}

// takeDown runs `netavark teardown`, which takes names, interfaces and rules away and says of each what it could not. That
// the names of a network are gone already is no error: an earlier teardown was killed after it, or somebody has cleared
// netavark's directory, as `podman system reset` does.
func (a Adapter) takeDown(ctx context.Context, netns string, o *netavarkOptions) error {
	err := a.netavark(ctx, "teardown", netns, o.withoutRoutes())
	if err == nil || !strings.HasPrefix(err.Error(), "netavark teardown: remove aardvark entries: ") {
		return err
	}
	for name, d := range o.NetworkInfo {
		if d.DNSEnabled && !a.hasNames(name) {
			return nil
		}
	}
	return err
}

// hasNames tells whether aardvark-dns knows names on a network: it has a file for each.
func (a Adapter) hasNames(network string) bool {
	for _, file := range []string{network, network + "%int"} {
		if _, err := os.Stat(filepath.Join(a.StateDir, "aardvark-dns", file)); err == nil {
			return true
		}
	}
	return false
}

// linkPatience is how long matchBridge waits. The kernel needs some milliseconds, more when many namespaces end at once.
const linkPatience = 500 * time.Millisecond

// matchBridge makes the bridge look as if every container that is not torn down yet were still there, because netavark
// counts the bridge's interfaces to learn whether this is the last one: it waits until the kernel has taken a dead
// container's interface off, makes the bridge anew when it is missing, and puts a place holder for the others on it, who
// may have died too. release takes the place holder away.
func (a Adapter) matchBridge(ctx context.Context, r engine.NetworkRequest, network, bridge string) (release func(), err error) {
	home, err := a.home(ctx)
	if err != nil {
		return nil, err
	}
	others := a.others(r, network, home)
	deadline := time.Now().Add(linkPatience)
	there, ports, err := bridgePorts(bridge)
	for err == nil && r.NetNS == "" && ports > others && ctx.Err() == nil && time.Now().Before(deadline) {
		time.Sleep(2 * time.Millisecond)
		there, ports, err = bridgePorts(bridge)
	}
	if err != nil {
		return nil, err
	}
	if !there {
		// Podman may make it at this moment: that will do as well.
		if err := addDevice(bridge); err != nil && !errors.Is(err, unix.EEXIST) {
			return nil, err
		}
	}
	if others == 0 {
		return func() {}, nil
	}
	tap, err := holdBridge(bridge)
	if err != nil {
		return nil, err
	}
	return func() { tap.Close() }, nil
}

// others counts the containers that netavark has connected to the network at home, less this one.
func (a Adapter) others(r engine.NetworkRequest, network, home string) int {
	dir := filepath.Join(a.Leases, "net", network)
	list, _ := os.ReadDir(dir)
	seen := map[string]bool{}
	for _, e := range list {
		holder, err := os.Readlink(filepath.Join(dir, e.Name()))
		if err != nil || holder == r.ID {
			continue
		}
		run := filepath.Dir(a.Leases)
		for _, dir := range []string{filepath.Join(run, holder), filepath.Join(run, "pods", holder)} {
			if p, err := a.recorded(engine.NetworkRequest{Dir: dir}); err == nil && p != nil && p.Begun && p.Home == home {
				seen[holder] = true
			}
		}
	}
	return len(seen)
}

// holdBridge puts a device on the bridge that the kernel removes when the file is closed (a TAP device, the kernel's
// networking/tuntap).
func holdBridge(bridge string) (*os.File, error) {
	f, err := os.OpenFile("/dev/net/tun", os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	err = func() error {
		tap, err := unix.NewIfreq("berth-hold%d")
		if err != nil {
			return err
		}
		tap.SetUint16(unix.IFF_TAP | unix.IFF_NO_PI)
		if err := unix.IoctlIfreq(int(f.Fd()), unix.TUNSETIFF, tap); err != nil {
			return fmt.Errorf("make a TAP device: %w", err)
		}
		return joinBridge(bridge, tap.Name())
	}()
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

func joinBridge(bridge, device string) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	index, err := unix.NewIfreq(device)
	if err != nil {
		return err
	}
	if err := unix.IoctlIfreq(fd, unix.SIOCGIFINDEX, index); err != nil {
		return err
	}
	join, err := unix.NewIfreq(bridge)
	if err != nil {
		return err
	}
	join.SetUint32(index.Uint32())
	return unix.IoctlIfreq(fd, unix.SIOCBRADDIF, join)
}

// bridgePorts counts the devices on the bridge in the thread's network namespace: /sys shows only the one that it was
// mounted in (rtnetlink(7)).
func bridgePorts(bridge string) (there bool, ports int, err error) {
	dump, err := syscall.NetlinkRIB(unix.RTM_GETLINK, unix.AF_UNSPEC)
	if err != nil {
		return false, 0, fmt.Errorf("list network devices: %w", err)
	}
	messages, err := syscall.ParseNetlinkMessage(dump)
	if err != nil {
		return false, 0, err
	}
	masters, index := map[uint32]int{}, uint32(0)
	for i := range messages {
		attributes, err := syscall.ParseNetlinkRouteAttr(&messages[i])
		if err != nil || messages[i].Header.Type != unix.RTM_NEWLINK {
			continue
		}
		for _, a := range attributes {
			switch {
			case a.Attr.Type == unix.IFLA_MASTER && len(a.Value) >= 4:
				masters[binary.NativeEndian.Uint32(a.Value)]++
			case a.Attr.Type == unix.IFLA_IFNAME && string(bytes.TrimRight(a.Value, "\x00")) == bridge:
				there, index = true, binary.NativeEndian.Uint32(messages[i].Data[4:8]) // ifi_index of struct ifinfomsg
			}
		}
	}
	return there, masters[index], nil
}

// standIn makes a network namespace with devices named like the container's interfaces.
func standIn(o *netavarkOptions) (*os.File, error) {
	return inNewThread(func() (*os.File, error) {
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return nil, proc.NoNamespace("net", err)
		}
		for _, name := range spec.SortedKeys(o.Networks) {
			if err := addDevice(o.Networks[name].InterfaceName); err != nil {
				return nil, fmt.Errorf("make stand-in interface: %w", err)
			}
		}
		return os.Open(fmt.Sprintf("/proc/self/task/%d/ns/net", unix.Gettid()))
	})
}

// inNetwork calls f in a network namespace.
func inNetwork(netns string, f func() error) error {
	_, err := inNewThread(func() (*os.File, error) {
		ns, err := os.Open(netns)
		if err != nil {
			return nil, err
		}
		defer ns.Close()
		if err := unix.Setns(int(ns.Fd()), unix.CLONE_NEWNET); err != nil {
			return nil, err
		}
		return nil, f()
	})
	return err
}

// inNewThread calls f in a thread that ends with it, with the namespaces that f has moved it into.
func inNewThread(f func() (*os.File, error)) (*os.File, error) {
	type result struct {
		f   *os.File
		err error
	}
	done := make(chan result)
	go func() {
		runtime.LockOSThread() // never unlocked: this thread ends with the goroutine
		file, err := f()
		done <- result{file, err}
	}()
	r := <-done
	return r.f, r.err
}

// addDevice makes a network device in the thread's namespace: a bridge, the one kind that needs no more than one ioctl.
func addDevice(name string) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	ifname, err := unix.BytePtrFromString(name)
	if err != nil {
		return err
	}
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.SIOCBRADDBR, uintptr(unsafe.Pointer(ifname))); errno != 0 {
		return errno
	}
	return nil
}
