package spec

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Pod is what `berth pod create` was asked for.
type Pod struct {
	Name       string   `json:"name"`
	Share      []string `json:"share"` // kinds of namespaces, sorted: ipc, net, pid, user, uts
	ExitPolicy string   `json:"exitPolicy,omitempty"`
	InfraName  string   `json:"infraName,omitempty"`
	// Common is what the pod has in place of its containers: networks, ports, names, and volumes that all of them see.
	Common Container `json:"common"`
	// Maker is the container that was started with --pod new:NAME.
	Maker string `json:"maker,omitempty"`
	// Kept says that the pod outlives a reboot.
	Kept bool `json:"kept,omitempty"`
}

// DefaultShare are the namespaces that the containers of a pod share when nothing is said.
var DefaultShare = []string{"ipc", "net", "uts"}

// ParseShare reads a --share list: kinds of namespaces, none, or +KIND for one more than the usual ones.
func ParseShare(s string) ([]string, error) {
	more, plus := strings.CutPrefix(s, "+")
	var list []string
	if plus {
		list = slices.Clone(DefaultShare)
	}
	for _, kind := range splitNonEmpty(more, ",") {
		switch kind {
		case "ipc", "net", "pid", "user", "uts":
			list = append(list, kind)
		case "none":
			if more != "none" {
				return nil, fmt.Errorf("--share=%s: none stands alone", s)
			}
		case "cgroup":
			return nil, fmt.Errorf("--share=%s: each container has a %s namespace of its own; ipc, net, pid, user and uts can be shared", s, kind)
		default:
			return nil, fmt.Errorf("--share=%s: %q is not known; ipc, net, pid, user and uts can be shared", s, kind)
		}
	}
	slices.Sort(list)
	return slices.Compact(list), nil
}

// Shares reports whether the containers of the pod share that kind of namespace.
func (p Pod) Shares(kind string) bool { return slices.Contains(p.Share, kind) }

// Sharing is Share as the kernel has it: a user namespace is shared by the containers of a pod that has one, as in Podman, and else
// it is each one's own.
func (p Pod) Sharing() []string {
	list := slices.DeleteFunc(slices.Clone(p.Share), func(kind string) bool { return kind == "user" })
	if u, err := ParseUserNS(p.Common); err == nil && u.Own() {
		list = append(list, "user")
		slices.Sort(list)
	}
	return list
}

// checkUsers refuses a user namespace that a pod cannot have.
func (p Pod) checkUsers() error {
	u, err := ParseUserNS(p.Common)
	switch {
	case err != nil:
		return err
	case u.Mode == "container":
		return fmt.Errorf("--userns=%s: a pod has a user namespace of its own, or joins that of a path (ns:PATH), or has the host's", p.Common.UserNS)
	case u.Mode == "ns" && p.Shares("pid"):
		return fmt.Errorf("--userns=%s with --share=+pid: the PID namespace must be made in the user namespace, so that the pod needs one of its own; take auto, or maps", p.Common.UserNS)
	}
	return nil
}

// Elsewhere is how the containers' namespace of that kind is said when it is not the pod's own: host or ns:PATH, from --pid and
// --uts; "" when the pod has one.
func (p Pod) Elsewhere(kind string) string {
	mode := map[string]string{"pid": p.Common.PID, "uts": p.Common.UTS}[kind]
	if mode == "private" {
		return ""
	}
	return mode
}

// checkElsewhere refuses namespaces that containers would not be in, and names that would be others' too.
func (p Pod) checkElsewhere() error {
	for _, kind := range []string{"pid", "uts"} {
		mode := p.Elsewhere(kind)
		switch path, other := strings.CutPrefix(mode, "ns:"); {
		case mode == "":
		case mode != "host" && (!other || !strings.HasPrefix(path, "/")):
			return fmt.Errorf("--%s=%s: known for a pod are private, host and ns:PATH", kind, mode)
		case !p.Shares(kind):
			return fmt.Errorf("--%s=%s: the containers of pod %q have such a namespace each; --share=+%s lets them share one", kind, mode, p.Name, kind)
		case kind == "uts" && p.Common.HostName != "":
			return fmt.Errorf("--hostname=%s with --uts=%s would rename others too; leave one of them out", p.Common.HostName, mode)
		}
	}
	return nil
}

// CheckPod refuses what no later step would look at.
func CheckPod(p Pod) error {
	if err := CheckName(p.Name); err != nil {
		return fmt.Errorf("pod: %w", err)
	}
	if p.ExitPolicy != "" && p.ExitPolicy != "stop" && p.ExitPolicy != "continue" {
		return fmt.Errorf("--exit-policy=%s: known are continue and stop", p.ExitPolicy)
	}
	c := p.Common
	if !p.Shares("net") && (len(c.Publish) > 0 || len(c.Networks) > 0 || c.IP != "" || c.IP6 != "" || c.MAC != "") {
		return fmt.Errorf("pod %q shares no network, so it has no ports and addresses", p.Name)
	}
	if c.HostName != "" && !p.Shares("uts") {
		return fmt.Errorf("pod %q shares no host name (--share=uts), so it can be given none", p.Name)
	}
	if err := checkHostName(c.HostName); err != nil {
		return err
	}
	if err := errors.Join(p.checkElsewhere(), p.checkUsers()); err != nil {
		return err
	}
	if _, err := parseSecurity(c); err != nil {
		return err
	}
	if _, err := sysctls(c, slices.Equal(c.Networks, []string{"host"})); err != nil {
		return err
	}
	if _, err := p.SliceProperties(); err != nil {
		return err
	}
	if _, err := Slice(c.CgroupParent); err != nil {
		return err
	}
	if c.HostsBase == "image" {
		return fmt.Errorf("--hosts-file=image: pod %q has no image; name a file, or none", p.Name)
	}
	return CheckDNS(c)
}

// Join makes the container one of the pod: what the pod has, the container has not by itself.
func (p Pod) Join(c Container) (Container, error) {
	if p.Shares("net") && p.Maker != c.Name {
		for _, own := range []struct {
			given bool
			what  string
		}{
			{len(c.Publish) > 0 || c.PublishAll, "published ports"}, {len(c.Networks) > 0, "networks"},
			{c.IP != "" || c.IP6 != "" || c.MAC != "", "addresses"}, {len(c.Aliases) > 0, "network aliases"},
			{len(c.AddHosts) > 0, "added hosts"}, {c.HostsBase != "", "the hosts that /etc/hosts begins with"}, {len(c.DNS)+len(c.DNSSearch)+len(c.DNSOptions) > 0, "name servers"},
		} {
			if own.given {
				return c, fmt.Errorf("container %q is in pod %q, which has the network: %s are given to the pod", c.Name, p.Name, own.what)
			}
		}
	}
	if p.Shares("net") {
		c.Publish, c.Networks, c.IP, c.IP6, c.MAC, c.Aliases, c.PublishAll = nil, nil, "", "", "", nil, false
		c.NoHosts = c.NoHosts || p.Common.NoHosts
		c.NoHostName = c.NoHostName || p.Common.NoHostName
		c.DNS = nil
		if p.Common.ImageDNS() {
			c.DNS = p.Common.DNS
		}
	}
	if p.Shares("user") && OwnUsers(c) {
		return c, fmt.Errorf("container %q is in pod %q, whose containers have one user namespace: --userns and maps are given to the pod", c.Name, p.Name)
	}
	if p.Shares("uts") {
		if c.HostName != "" && p.Maker != c.Name {
			return c, fmt.Errorf("container %q is in pod %q, whose containers have one host name: it is given to the pod", c.Name, p.Name)
		}
		c.HostName = p.HostName()
	}
	for _, f := range p.handedOn(&c) {
		if *f.own == "" {
			*f.own = f.pods
		}
	}
	for _, l := range p.added(&c) {
		*l.own = append(slices.Clone(l.pods), *l.own...)
	}
	return c, nil
}

// handedOn are the values of the pod's that a container has unless it has one of its own.
func (p Pod) handedOn(c *Container) []struct {
	own  *string
	pods string
} {
	type value = struct {
		own  *string
		pods string
	}
	list := []value{{&c.ShmSize, p.Common.ShmSize}, {&c.ShmSizeSystemd, p.Common.ShmSizeSystemd}}
	if !c.Remove && c.InitCtr == "" { // those do not go together with a restart
		list = append(list, value{&c.Restart, p.Common.Restart})
	}
	return list
}

// added are the lists of the pod's that come before a container's own, which so has the last word.
func (p Pod) added(c *Container) []struct {
	own  *[]string
	pods []string
} {
	return []struct {
		own  *[]string
		pods []string
	}{
		{&c.Volumes, p.Common.Volumes}, {&c.VolumesFrom, p.Common.VolumesFrom}, {&c.Devices, p.Common.Devices}, {&c.GPUs, p.Common.GPUs},
		{&c.SecurityOpts, p.Common.SecurityOpts}, {&c.Sysctls, p.Common.Sysctls},
	}
}

// Part undoes Join: the container as it was asked for, to be made in another pod.
func (p Pod) Part(c Container) Container {
	if p.Shares("uts") {
		c.HostName, c.UTS = "", ""
	}
	if p.Shares("ipc") {
		c.IPC = ""
	}
	if p.Shares("pid") {
		c.PID = ""
	}
	for _, f := range p.handedOn(&c) {
		if *f.own == f.pods {
			*f.own = ""
		}
	}
	for _, l := range p.added(&c) {
		if n := len(l.pods); n <= len(*l.own) && slices.Equal((*l.own)[:n], l.pods) {
			*l.own = slices.Clone((*l.own)[n:])
		}
	}
	if p.Shares("net") {
		c.NoHosts, c.DNS = c.NoHosts && !p.Common.NoHosts, nil
	}
	return c
}

// HostName is the name that the containers' kernel tells, when they share it.
func (p Pod) HostName() string {
	if p.Common.HostName != "" {
		return p.Common.HostName
	}
	return p.Name[:min(64, len(p.Name))]
}
