package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"github.com/berth-pods/berth/engine"
	"github.com/berth-pods/berth/engine/sd"
	"github.com/berth-pods/berth/engine/spec"
	"github.com/berth-pods/berth/engine/store"
)

// facts are what is shown of a container: its state, its image, and while it runs what the runtime was told.
type facts struct {
	engine.State
	image  store.Looked
	config specs.Spec // empty when it does not run
	status string
}

// inspect gathers all that is known of a container. What cannot be read, the image of a container whose image was removed by
// force for one, is left out.
func (i inspection) inspect(s engine.State) inspected {
	f := facts{State: s, status: status(s)}
	if !s.Container.Rootfs {
		f.image, _ = i.images.Look(s.ImageID)
	}
	dir := runDirs().Container(s.ID)
	if data, err := os.ReadFile(filepath.Join(dir, "config.json")); err == nil {
		if json.Unmarshal(data, &f.config) != nil {
			f.config = specs.Spec{}
		}
	}
	if f.config.Process == nil {
		f.config.Process = &specs.Process{}
	}
	if f.config.Linux == nil {
		f.config.Linux = &specs.Linux{}
	}
	out := inspected{
		ID: s.ID, Name: s.Name, Created: s.Created, Args: []string{}, State: f.state(), Image: s.ImageID, ImageDigest: f.image.Digest, ImageName: s.Image, Pod: s.Pod,
		StaticDir: filepath.Join(runDirs().Keep, s.ID, "userdata"), PidFile: s.Container.PIDFile, OCIRuntime: filepath.Base(s.Runtime), Driver: "overlay",
		AppArmorProfile: f.config.Process.ApparmorProfile, ProcessLabel: f.config.Process.SelinuxLabel, MountLabel: f.config.Linux.MountLabel, ExecIDs: []string{}, GraphDriver: f.graph(), Mounts: f.mounts(),
		Dependencies: []string{}, NetworkSettings: f.network(), KubeExitCodePropagation: "invalid", Config: f.shownConfig(), HostConfig: f.host(),
		Berth: inspectedBerth{Unit: s.Unit, Cgroup: s.Cgroup, IDs: s.IDs, Addresses: s.Addresses, Attached: s.Attached, Container: s.Container},
	}
	if len(s.Command) > 0 {
		out.Path, out.Args = s.Command[0], s.Command[1:]
	}
	if c := f.capabilities(); c != nil {
		out.EffectiveCaps, out.BoundingCaps = c.Effective, c.Bounding
	}
	if s.Container.Rootfs {
		out.Rootfs, out.ImageName = s.Image, ""
	}
	if f.running() {
		files := dir
		if s.NetFiles != "" {
			files = s.NetFiles
		}
		out.ResolvConfPath, out.HostsPath = filepath.Join(files, "resolv.conf"), filepath.Join(files, "hosts")
		out.HostnamePath, out.OCIConfigPath = filepath.Join(dir, "hostname"), filepath.Join(dir, "config.json")
	}
	out.RestartCount = restartCounts(i.ctx, i.env, []*engine.State{&s})[0]
	if i.o.size {
		if written, whole, err := i.images.Sizes(s.ID); err == nil {
			out.SizeRw, out.SizeRootFs = &written, &whole
		}
	}
	return out
}

func (f facts) running() bool { return f.status == "running" || f.status == "paused" }

// capabilities are those that the container has, or that it will have.
func (f facts) capabilities() *specs.LinuxCapabilities {
	if c := f.config.Process.Capabilities; c != nil {
		return c
	}
	uid := uint32(0)
	if user, _, _ := strings.Cut(first(f.Container.User, f.image.Config.User, "root"), ":"); user != "root" && user != "0" {
		uid = 1 // which of the others makes no difference
	}
	c, err := spec.Capabilities(f.Container, uid)
	if err != nil {
		return nil
	}
	return c
}

func (f facts) state() inspectedState {
	s := inspectedState{
		OciVersion: f.config.Version, Status: f.status, Running: f.running(), Paused: f.status == "paused", ExitCode: exitCode(f.State),
		StartedAt: f.Started, FinishedAt: f.Finished, Health: health(f.State), CgroupPath: f.Cgroup,
	}
	if s.Running {
		s.Pid = f.Init.PID
	}
	if f.Exit != nil {
		s.OOMKilled, s.Error = f.Exit.OOM, f.Exit.Error
	}
	return s
}

// graph are the directories of the overlay: containers/storage has the container's under its own ID.
func (f facts) graph() inspectedDriver {
	d := inspectedDriver{Name: "overlay", Data: map[string]string{}}
	if f.Container.Rootfs {
		return d
	}
	layer := filepath.Join(filepath.Dir(runDirs().Keep), "overlay", f.ID)
	d.Data["LowerDir"] = strings.Join(f.image.Layers, ":")
	for _, part := range [][2]string{{"MergedDir", "merged"}, {"UpperDir", "diff"}, {"WorkDir", "work"}} {
		d.Data[part[0]] = filepath.Join(layer, part[1])
	}
	return d
}

func (f facts) mounts() []inspectedMount {
	list := []inspectedMount{}
	for _, m := range mountsOf(f.State) {
		out := inspectedMount{
			Type: "bind", Source: m.Source, Destination: m.Destination, Options: orEmpty(m.Options), RW: !slices.Contains(m.Options, "ro"), Propagation: "rprivate",
		}
		if m.Name != "" || m.Anonymous {
			out.Type, out.Name, out.Driver = "volume", m.Name, "local"
			if m.Layer {
				out.Driver = "image"
			}
			if out.Source == "" && m.Name != "" {
				if v, err := volumes().Find(m.Name); err == nil {
					out.Source = v.Path
				}
			}
		}
		for _, o := range m.Options {
			if slices.Contains([]string{"shared", "rshared", "slave", "rslave", "private", "rprivate", "unbindable", "runbindable"}, o) {
				out.Propagation = o
			}
		}
		list = append(list, out)
	}
	return list
}

// endpoint sorts the addresses of an attachment by their family.
func endpoint(a engine.Attached) inspectedEndpoint {
	e := inspectedEndpoint{MacAddress: a.MAC}
	for _, address := range a.Addresses {
		p, err := netip.ParsePrefix(address)
		switch {
		case err != nil:
		case p.Addr().Is4() && e.IPAddress == "":
			e.IPAddress, e.IPPrefixLen = p.Addr().String(), p.Bits()
		case p.Addr().Is6() && e.GlobalIPv6Address == "":
			e.GlobalIPv6Address, e.GlobalIPv6PrefixLen = p.Addr().String(), p.Bits()
		}
	}
	for _, gateway := range a.Gateways {
		if ip, err := netip.ParseAddr(gateway); err == nil && ip.Is4() {
			e.Gateway = gateway
		} else {
			e.IPv6Gateway = gateway
		}
	}
	return e
}

func (f facts) network() inspectedNetwork {
	n := inspectedNetwork{Ports: f.ports(publishedOf(f.State)), Networks: map[string]inspectedAttachment{}}
	for _, a := range f.Attached {
		n.Networks[a.Network] = inspectedAttachment{inspectedEndpoint: endpoint(a), NetworkID: a.NetworkID, Aliases: orEmpty(a.Aliases)}
	}
	if len(f.Attached) == 1 {
		n.inspectedEndpoint = endpoint(f.Attached[0])
	}
	if len(f.Attached) == 0 && slices.Contains([]string{"", "pasta", "none", "host"}, f.Network.Mode) {
		for _, name := range shownNetworks(f.State) {
			n.Networks[name] = inspectedAttachment{NetworkID: name, Aliases: []string{}}
		}
	}
	if f.running() {
		n.SandboxKey = fmt.Sprintf("/proc/%d/ns/net", f.Init.PID)
	}
	return n
}

// bindings are the published ports, by those in the container.
func bindings(list []spec.PortMapping) map[string][]inspectedBinding {
	out := map[string][]inspectedBinding{}
	for _, m := range list {
		for n := range max(m.Range, 1) {
			b := inspectedBinding{m.HostIP, strconv.Itoa(int(m.HostPort + n))}
			if b.HostIP == "" {
				b.HostIP = "0.0.0.0"
			}
			key := fmt.Sprintf("%d/%s", m.ContainerPort+n, m.Protocol)
			out[key] = append(out[key], b)
		}
	}
	return out
}

// ports are those that are published, and the container's that are only named.
func (f facts) ports(published []spec.PortMapping) map[string][]inspectedBinding {
	out := bindings(published)
	for _, port := range slices.Concat(f.image.Config.Exposed, f.Container.Expose) {
		if !strings.Contains(port, "/") {
			port += "/tcp"
		}
		if _, published := out[port]; !published {
			out[port] = nil
		}
	}
	return out
}

func (f facts) shownConfig() inspectedConfig {
	c, image := f.Container, f.image.Config
	out := inspectedConfig{
		Hostname: spec.HostName(f.ID, c), User: first(c.User, image.User), Tty: f.config.Process.Terminal, OpenStdin: c.Interactive, Env: f.environment(),
		Cmd: spec.Command(c, image), Image: f.Image, WorkingDir: first(f.config.Process.Cwd, c.WorkDir, image.WorkingDir, "/"), Labels: spec.Labels(c.Labels), Annotations: f.config.Annotations,
		StopSignal: first(f.StopSig, c.StopSignal, image.StopSignal, "SIGTERM"), Timezone: c.Timezone, Umask: first(c.Umask, "0022"), Secrets: f.secrets(),
		Timeout: uint(c.Timeout.Seconds()), StopTimeout: uint(max(f.StopTime, c.StopTimeout).Seconds()), Passwd: c.Passwd, ChrootDirs: c.ChrootDirs, SDNotifyMode: c.SDNotify,
		CreateCommand: orEmpty(c.CreateCommand),
		SystemdMode:   c.Systemd == "always", ExposedPorts: map[string]struct{}{},
	}
	if words, err := spec.Entrypoint(c, image); err == nil {
		out.Entrypoint = words
	}
	if out.Annotations == nil {
		out.Annotations = spec.Labels(c.Annotations)
	}
	if systemd, err := spec.SystemdMode(c, image); err == nil {
		out.SystemdMode = systemd
	}
	for port := range f.ports(f.State.Network.Publish) {
		out.ExposedPorts[port] = struct{}{}
	}
	f.addHealth(&out)
	return out
}

// environment is what the container's program has, without the values of secrets. Before it has run, it is what it will get
// of the image and by flags.
func (f facts) environment() []string {
	list := f.config.Process.Env
	if list == nil {
		var err error
		if list, err = spec.Environment(spec.Input{ID: f.ID, Container: f.Container, Image: f.image.Config}); err != nil {
			list = f.Container.Environment
		}
	}
	return slices.DeleteFunc(slices.Clone(list), func(e string) bool {
		name, _, _ := strings.Cut(e, "=")
		return slices.ContainsFunc(f.Container.Secrets, func(word string) bool {
			s, err := spec.ParseSecret(word)
			return err != nil || s.Env && s.Target == name
		})
	})
}

func (f facts) secrets() []inspectedSecretUse {
	var list []inspectedSecretUse
	for _, word := range f.Container.Secrets {
		if s, err := spec.ParseSecret(word); err == nil {
			list = append(list, inspectedSecretUse{Name: s.Name, UID: s.UID, GID: s.GID, Mode: s.Mode})
		}
	}
	return list
}

func (f facts) addHealth(out *inspectedConfig) {
	h := f.Health
	if h == nil {
		h, _ = spec.ParseHealth(f.Container.HealthFlags, f.image.Config.Health)
	}
	if h == nil {
		out.HealthcheckOnFailureAction, out.HealthLogDestination, out.HealthcheckMaxLogCount, out.HealthcheckMaxLogSize = "none", "local", 5, 500
		return
	}
	out.Healthcheck = &inspectedHealth{Test: healthTest(h.Command), StartPeriod: h.StartPeriod, Interval: h.Interval, Timeout: h.Timeout, Retries: h.Retries}
	out.HealthcheckOnFailureAction, out.HealthLogDestination = h.OnFailure, first(h.LogDir, "local")
	out.HealthcheckMaxLogCount, out.HealthcheckMaxLogSize = h.LogCount, h.LogSize
	if s := h.Startup; s != nil {
		out.StartupHealthCheck = &inspectedHealth{Test: healthTest(s.Command), Interval: s.Interval, Timeout: s.Timeout, Retries: s.Retries, Successes: s.Success}
	}
}

// healthTest writes a probe as Docker does.
func healthTest(command []string) []string {
	if len(command) == 3 && command[0] == "/bin/sh" && command[1] == "-c" {
		return []string{"CMD-SHELL", command[2]}
	}
	return append([]string{"CMD"}, command...)
}

func (f facts) host() inspectedHost {
	c, cgroups := f.Container, "default" // what there is beside is not told by Podman either
	if c.Cgroups == "disabled" {
		cgroups = c.Cgroups
	}
	out := inspectedHost{
		Binds: f.binds(), CgroupManager: "systemd", CgroupMode: first(c.CgroupNS, "private"), ContainerIDFile: c.CIDFile, LogConfig: f.log(), NetworkMode: f.networkMode(),
		PortBindings: bindings(f.State.Network.Publish), RestartPolicy: restartPolicy(c.Restart), AutoRemove: c.Remove, AutoRemoveImage: c.RemoveImage, Annotations: f.config.Annotations,
		VolumesFrom: c.VolumesFrom, CapAdd: capabilityNames(c.CapAdd), CapDrop: capabilityNames(c.CapDrop), DNS: orEmpty(c.DNS), DNSOptions: orEmpty(c.DNSOptions),
		DNSSearch: orEmpty(c.DNSSearch), ExtraHosts: orEmpty(c.AddHosts), GroupAdd: orEmpty(c.Groups), IpcMode: first(c.IPC, "shareable"), Cgroups: cgroups,
		PidMode: first(c.PID, "private"), Privileged: c.Privileged, PublishAllPorts: c.PublishAll, ReadonlyRootfs: c.ReadOnly, SecurityOpt: orEmpty(c.SecurityOpts),
		Tmpfs: map[string]string{}, UTSMode: first(c.UTS, "private"), UsernsMode: c.UserNS, ShmSize: 65536000, Runtime: "oci", CgroupParent: c.CgroupParent,
		CpusetCpus: c.CPUSet, CpusetMems: c.CPUSetMems, Devices: []inspectedDevice{}, Init: c.Init, Ulimits: []inspectedUlimit{}, CgroupConf: spec.Labels(c.CgroupConf),
	}
	if n, err := c.Limits.Numbers(); err == nil {
		out.Memory, out.MemoryReservation, out.MemorySwap, out.PidsLimit, out.CPUQuota = n.Memory, n.Reservation, n.Swap, n.Pids, n.Quota
		out.CPUShares, out.CPUPeriod, out.BlkioWeight = n.Shares, n.Period, n.Weight
	}
	if cpus, err := strconv.ParseFloat(c.CPUs, 64); err == nil {
		out.NanoCpus = int64(math.Round(cpus * 1e9))
	}
	if n, err := spec.ParseBytes(c.ShmSize); err == nil && n > 0 {
		out.ShmSize = int64(n)
	}
	if c.OOMScoreAdj != nil {
		out.OomScoreAdj = *c.OOMScoreAdj
	}
	for _, t := range c.Tmpfs {
		if m, err := spec.ParseTmpfs(t); err == nil {
			out.Tmpfs[m.Destination] = strings.Join(m.Options, ",")
		}
	}
	for _, word := range c.Devices {
		if d, err := spec.ParseDevice(word); err == nil {
			out.Devices = append(out.Devices, inspectedDevice{d.Source, d.Destination, d.Access})
		}
	}
	for _, r := range f.config.Process.Rlimits {
		out.Ulimits = append(out.Ulimits, inspectedUlimit{r.Type, int64(r.Soft), int64(r.Hard)})
	}
	out.IDMappings = f.idMaps()
	return out
}

// restartCounts are how often systemd has started containers again by itself. It forgets a unit that has given up.
func restartCounts(ctx context.Context, env *Env, list []*engine.State) []int {
	counts := make([]int, len(list))
	var units []string
	var places []int
	for i, s := range list {
		if s.Exit != nil {
			counts[i] = s.Exit.Restarts
		} else if sd.IsService(s.Unit) {
			units, places = append(units, s.Unit), append(places, i)
		}
	}
	for i, n := range sd.Restarts(ctx, env.Run, userManaged(), units...) {
		counts[places[i]] = n
	}
	return counts
}

func (f facts) idMaps() *inspectedMaps {
	if f.IDs.Empty() {
		return nil
	}
	words := func(list []spec.IDMap) (out []string) {
		for _, m := range list {
			out = append(out, fmt.Sprintf("%d:%d:%d", m.Inside, m.Outside, m.Count))
		}
		return out
	}
	return &inspectedMaps{words(f.IDs.UIDs), words(f.IDs.GIDs)}
}

func (f facts) binds() []string {
	list := []string{}
	for _, m := range f.mounts() {
		mode := "rw"
		if !m.RW {
			mode = "ro"
		}
		options := []string{mode, m.Propagation}
		for _, o := range m.Options {
			if o != "rw" && o != "ro" && o != m.Propagation {
				options = append(options, o)
			}
		}
		list = append(list, first(m.Name, m.Source)+":"+m.Destination+":"+strings.Join(options, ","))
	}
	return list
}

func (f facts) log() inspectedLog {
	l := f.Log
	if l.Driver == "" {
		l, _ = spec.ParseLog(f.Container, spec.LogFacts{ID: f.ID, Name: f.Name, Image: f.Image, ImageID: f.ImageID})
	}
	return inspectedLog{Type: l.Driver, Path: l.Path, Tag: l.Tag, Size: humanSize(l.MaxSize, 4)}
}

func (f facts) networkMode() string {
	switch n := f.State.Network; {
	case n.Mode == "container" || n.Mode == "ns":
		return n.Mode + ":" + n.Peer
	case n.Mode != "":
		return n.Mode
	case rootlessMode() && len(f.Attached) == 0:
		return "pasta"
	}
	return "bridge"
}

func restartPolicy(word string) inspectedPolicy {
	name, count, _ := strings.Cut(word, ":")
	n, _ := strconv.Atoi(count)
	return inspectedPolicy{first(name, "no"), n}
}

// capabilityNames writes them as the kernel does (capabilities(7)).
func capabilityNames(words []string) []string {
	list := []string{}
	for _, w := range words {
		name := strings.ToUpper(w)
		if name != "ALL" && !strings.HasPrefix(name, "CAP_") {
			name = "CAP_" + name
		}
		list = append(list, name)
	}
	return list
}

// first is the first of the words that says something.
func first(words ...string) string {
	for _, w := range words {
		if w != "" {
			return w
		}
	}
	return ""
}

func orEmpty(list []string) []string {
	if list == nil {
		return []string{}
	}
	return list
}
