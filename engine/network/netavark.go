package network

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
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
}

type perNetwork struct {
	StaticIPs     []string `json:"static_ips,omitempty"`
	Aliases       []string `json:"aliases,omitempty"`
	InterfaceName string   `json:"interface_name"`
}

func newOptions(r engine.NetworkRequest, d definition) *netavarkOptions {
	return &netavarkOptions{
		ContainerID: r.ID, ContainerName: r.Name,
		Networks:    map[string]perNetwork{},
		NetworkInfo: map[string]definition{d.Name: d},
	}
}

// netavark runs `netavark ACTION NAMESPACE`.
func (a Adapter) netavark(ctx context.Context, action, netns string, o *netavarkOptions) error {
	input, err := json.Marshal(o)
	if err != nil {
		return err
	}
	args := []string{"--config", a.StateDir, "--rootless", "false"}
	if a.Aardvark != "" {
		args = append(args, "--aardvark-binary", a.Aardvark)
	}
	_, err = a.Run(ctx, proc.Command{Path: a.Netavark, Args: append(args, action, netns), Stdin: bytes.NewReader(input)})
	var exit *proc.ExitError
	if errors.As(err, &exit) {
		return fmt.Errorf("netavark %s: %s", action, netavarkError(exit))
	}
	return err
}

// netavarkError takes the sentence out of netavark's reply, which is JSON on its standard output.
func netavarkError(exit *proc.ExitError) string {
	var reply struct{ Error string }
	if err := json.Unmarshal([]byte(exit.Stdout), &reply); err == nil && reply.Error != "" {
		return strings.TrimSpace(reply.Error)
	}
	return exit.Error()
}

// teardownBridge lets netavark take the container's interface and port rules away, and the bridge when nobody else is on
// it. When the container ended on its own, its namespace and interface are gone already. netavark insists on seeing them,
// so it is shown a stand-in.
func (a Adapter) teardownBridge(ctx context.Context, netns string, o *netavarkOptions) error {
	if netns != "" {
		return a.netavark(ctx, "teardown", netns, o)
	}
	a.awaitLinks(ctx, o)
	ns, err := standIn(o)
	if err != nil {
		return err
	}
	defer ns.Close()
	return a.netavark(ctx, "teardown", fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), ns.Fd()), o)
}

// linkPatience is how long awaitLinks waits. The kernel needs some milliseconds, more when many namespaces end at once.
const linkPatience = 500 * time.Millisecond

// awaitLinks waits until the kernel has taken the dead container's end off the bridge, which it does some time after the
// namespace's last process: netavark keeps a bridge that has more interfaces than containers.
func (a Adapter) awaitLinks(ctx context.Context, o *netavarkOptions) {
	ctx, cancel := context.WithTimeout(ctx, linkPatience)
	defer cancel()
	for _, name := range spec.SortedKeys(o.NetworkInfo) {
		bridge := o.NetworkInfo[name].NetworkInterface
		for entries(filepath.Join("/sys/class/net", bridge, "brif")) > a.others(name, o.ContainerID) {
			select {
			case <-ctx.Done():
				return
			case <-time.After(2 * time.Millisecond):
			}
		}
	}
}

// others counts the containers that lease an address of the network, less the one given.
func (a Adapter) others(network, id string) int {
	dir := filepath.Join(a.Leases, "net", network)
	list, _ := os.ReadDir(dir)
	seen := map[string]bool{}
	for _, e := range list {
		if holder, err := os.Readlink(filepath.Join(dir, e.Name())); err == nil && holder != id {
			seen[holder] = true
		}
	}
	return len(seen)
}

func entries(dir string) int {
	list, _ := os.ReadDir(dir)
	return len(list)
}

// standIn makes a network namespace with devices named like the container's interfaces.
func standIn(o *netavarkOptions) (*os.File, error) {
	type result struct {
		f   *os.File
		err error
	}
	done := make(chan result)
	go func() {
		runtime.LockOSThread() // never unlocked: this thread ends with the goroutine
		f, err := standInHere(o)
		done <- result{f, err}
	}()
	r := <-done
	return r.f, r.err
}

func standInHere(o *netavarkOptions) (*os.File, error) {
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		return nil, fmt.Errorf("make network namespace: %w", err)
	}
	for _, name := range spec.SortedKeys(o.Networks) {
		if err := addDevice(o.Networks[name].InterfaceName); err != nil {
			return nil, fmt.Errorf("make stand-in interface: %w", err)
		}
	}
	return os.Open(fmt.Sprintf("/proc/self/task/%d/ns/net", unix.Gettid()))
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
