package engine

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"github.com/berth-pods/berth/engine/inroot"
	"github.com/berth-pods/berth/engine/spec"
)

// passwdLimit bounds the /etc/passwd and /etc/group of an image, in bytes.
const passwdLimit = 1 << 20

// input gathers what spec.Build works on. This is where the container's file system and the host's are read.
func (e *Engine) input(ctx context.Context, s *State, image Image, status NetworkStatus) (spec.Input, error) {
	in := spec.Input{
		ID: s.ID, Container: s.Container, Image: image.Config, Rootfs: s.rootfs,
		NetNS: s.Network.NetNS, NetHost: s.Network.host(), Host: e.specHost(*s), HostCgroups: s.hostCgroups, IDs: s.IDs,
	}
	root, err := inroot.Open(s.files)
	if err != nil {
		return in, fmt.Errorf("root file system: %w", err)
	}
	defer root.Close()
	if in.Container.Environment, err = e.environment(s.Container); err != nil {
		return in, err
	}
	if s.joinUser {
		in.UserNS = handlePath(s.userns)
	}
	who := s.Container
	who.User = orElse(who.User, s.keepUser)
	if in.Process, err = resolveUser(root, who, image.Config.User); err != nil {
		return in, err
	}
	if _, err := s.owner(in.Process); err != nil {
		return in, err
	}
	accounts, err := e.addAccounts(root, *s, in.Process)
	if err != nil {
		return in, err
	}
	if err := makeWorkDir(root, s.Container, image.Config, s.inFiles(in.Process)); err != nil {
		return in, err
	}
	if in.Volumes, err = e.volumes(ctx, s, volumeInput{root, image.Config, in.Process}); err != nil {
		return in, err
	}
	special, err := e.specialMounts(ctx, s)
	if err != nil {
		return in, err
	}
	in.Volumes = append(in.Volumes, special...)
	if s.Container.ImageVolume == "tmpfs" {
		in.Container.Tmpfs = append(slices.Clone(image.Config.Volumes), in.Container.Tmpfs...)
	}
	if in.Devices, err = e.hostDevices(s.Container); err != nil {
		return in, err
	}
	if in.BlockDevices, err = blockDevices(s.Container); err != nil {
		return in, err
	}
	if err := e.joinNamespaces(s, &in); err != nil {
		return in, err
	}
	if in.Systemd, err = spec.SystemdMode(s.Container, image.Config); err != nil {
		return in, err
	}
	if in.Files, err = e.files(*s, in.NetHost, status); err != nil {
		return in, err
	}
	if err := e.secrets(ctx, s, &in); err != nil {
		return in, err
	}
	in.Files = append(in.Files, accounts...)
	zone, err := e.timezone(*s)
	if err != nil {
		return in, err
	}
	in.Files = append(in.Files, zone...)
	if err := e.ownFiles(*s, in.Files); err != nil {
		return in, err
	}
	if in.CDI, err = e.cdi(s.Container); err != nil {
		return in, err
	}
	in.Seccomp, err = e.seccompFilter(s.Container, image.Config)
	return in, err
}

func (e *Engine) specHost(s State) spec.Host {
	h := spec.Host{
		Rootless: e.Host.Rootless, Environment: e.Host.Environment, ListenFDs: e.Host.ListenFDs,
		CgroupsPath: s.cgroupInside, AppArmor: e.Host.AppArmor, Label: s.Label, OOMScoreAdj: e.Host.OOMScoreAdj,
	}
	if spec.WantsAllCapabilities(s.Container) {
		h.Bounding = ownCapabilities()
	}
	if s.cgroupInside != "" {
		h.Controllers, h.Swap = e.Host.Controllers, e.Host.Swap
	}
	if e.saysReady(s) {
		h.NotifyPath = notifyInside
	}
	return h
}

// ownCapabilities are those that this process may give, nil when they are not known.
func ownCapabilities() []string {
	text, err := os.ReadFile("/proc/thread-self/status")
	if err != nil {
		return nil
	}
	for _, line := range strings.Split(string(text), "\n") {
		if set, ok := strings.CutPrefix(line, "CapBnd:"); ok {
			names, err := spec.CapabilityNames(strings.TrimSpace(set))
			if err != nil {
				return nil
			}
			return names
		}
	}
	return nil
}

// environment joins the variables of environment files, in order, with those given one by one, which win.
func (e *Engine) environment(c spec.Container) ([]string, error) {
	var all []string
	for _, path := range c.EnvFiles {
		path, maybe := strings.CutPrefix(path, "-") // as systemd.exec(5) marks a file that may be missing
		text, err := os.ReadFile(path)
		if maybe && errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("environment file: %w", err)
		}
		list, err := spec.ParseEnvFile(path, string(text))
		if err != nil {
			return nil, err
		}
		all = append(all, list...)
	}
	return append(all, c.Environment...), nil
}

func optional(root inroot.Root, path string) ([]byte, error) {
	data, err := root.ReadFile(path, passwdLimit)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return data, err
}

// makeWorkDir makes the working directory where the image lacks it.
func makeWorkDir(root inroot.Root, c spec.Container, image spec.ImageConfig, o owner) error {
	dir := c.WorkDir
	if dir == "" {
		dir = image.WorkingDir
	}
	if dir == "" || c.Rootfs {
		return nil
	}
	if !filepath.IsAbs(dir) {
		return fmt.Errorf("working directory %q is not an absolute path", dir)
	}
	if err := root.MkdirAll(dir, 0o755, o.uid, o.gid); err != nil {
		return fmt.Errorf("working directory: %w", err)
	}
	return nil
}

// files writes the container's /etc/hosts, resolv.conf and hostname into its state directory. One that is in another's
// network shares the other's files of the network.
func (e *Engine) files(s State, netHost bool, status NetworkStatus) ([]spec.Mount, error) {
	network := s.NetFiles
	if network == "" {
		network = e.Dirs.Container(s.ID)
		if err := e.networkFiles(s, network, netHost, status); err != nil {
			return nil, err
		}
	}
	own := []struct{ name, text string }{{"hostname", spec.HostName(s.ID, s.Container) + "\n"}, {"containerenv", e.containerEnv(s)}}
	for _, f := range own {
		if err := createFile(filepath.Join(e.Dirs.Container(s.ID), f.name), f.text); err != nil {
			return nil, err
		}
	}
	var mounts []spec.Mount
	show := func(dir, name, place string) {
		mounts = append(mounts, spec.Mount{
			Source: filepath.Join(dir, name), Destination: place, Options: []string{"bind", "rprivate", "rw", "nosuid", "noexec", "nodev"},
		})
	}
	if !s.Container.ImageDNS() {
		show(network, "resolv.conf", "/etc/resolv.conf")
	}
	if !s.Container.NoHostName {
		show(e.Dirs.Container(s.ID), "hostname", "/etc/hostname")
	}
	show(e.Dirs.Container(s.ID), "containerenv", "/run/.containerenv")
	if !s.Container.NoHosts {
		show(network, "hosts", "/etc/hosts")
	}
	if s.Container.Init {
		program := e.InitProgram
		if s.Container.InitPath != "" {
			program = s.Container.InitPath
		}
		if _, err := os.Stat(program); err != nil {
			return nil, fmt.Errorf("init program %s is not there; install the package catatonit", program)
		}
		mounts = append(mounts, spec.Mount{Source: program, Destination: spec.InitPlace, Options: []string{"bind", "rprivate", "ro", "nosuid", "nodev"}})
	}
	switch socket := e.Host.Environment["NOTIFY_SOCKET"]; {
	case s.notify != nil:
		show(e.Dirs.Container(s.ID), notifyFile, notifyInside)
	case e.saysReady(s) && strings.HasPrefix(socket, "/"):
		mounts = append(mounts, spec.Mount{Source: socket, Destination: notifyInside})
	}
	return mounts, nil
}

// networkFiles writes the files that say who is who on the network.
func (e *Engine) networkFiles(s State, dir string, netHost bool, status NetworkStatus) error {
	base, err := e.hostsBase(s, dir)
	if err != nil {
		return err
	}
	host := status.Host
	switch {
	case e.HostAddress == "none":
		host = nil
	case e.HostAddress != "":
		host = []string{e.HostAddress}
	case netHost, s.Network.Mode == "none":
		host = hostAddress()
	}
	hosts, err := spec.HostsFile(s.Container, s.ID, base, status.Addresses, host)
	if err != nil {
		return err
	}
	names := spec.NameService{Servers: status.DNSServers, Search: status.Search}
	resolv := spec.ResolvConf(s.Container, e.Host.ResolvConf, names, netHost)
	label, err := e.sharedLabel(s) // others may join the network
	if err != nil {
		return err
	}
	write := func(name, text string) error {
		path := filepath.Join(dir, name)
		return errors.Join(writeInPlace(path, text), labelFile(path, label))
	}
	return errors.Join(write("hosts", hosts), write("resolv.conf", resolv))
}

// maxHosts is how large an image's /etc/hosts may be.
const maxHosts = 1 << 20

// hostsBase is what the container's /etc/hosts begins with. The image's own is covered by ours once the container runs, so a copy is
// kept for those who write it anew.
func (e *Engine) hostsBase(s State, dir string) (string, error) {
	switch s.Container.HostsBase {
	case "":
		return e.Host.HostsFile, nil
	case "none":
		return "", nil
	case "image":
		kept := filepath.Join(dir, "hosts.image")
		if text, err := os.ReadFile(kept); err == nil {
			return string(text), nil
		}
		root, err := inroot.Open(s.files)
		if err != nil {
			return "", fmt.Errorf("root file system: %w", err)
		}
		defer root.Close()
		text, err := root.ReadFile("/etc/hosts", maxHosts)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return "", fmt.Errorf("--hosts-file=image: %w", err)
		}
		return string(text), os.WriteFile(kept, text, 0o644)
	}
	text, err := os.ReadFile(s.Container.HostsBase)
	if err != nil {
		return "", fmt.Errorf("--hosts-file: %w", err)
	}
	return string(text), nil
}

// writeInPlace writes a file that containers have mounted: a new one in its place would not be seen.
func writeInPlace(path, text string) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o644)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	return errors.Join(err, f.Close())
}

// timezone shows a copy of the host's description of the zone: the host's own has a label that SELinux may keep containers from.
func (e *Engine) timezone(s State) ([]spec.Mount, error) {
	c, file := s.Container, "/etc/localtime"
	switch c.Timezone {
	case "":
		return nil, nil
	case "local":
	default:
		file = filepath.Join("/usr/share/zoneinfo", filepath.Clean("/"+c.Timezone))
	}
	info, err := os.Stat(file)
	if c.Timezone == "local" && errors.Is(err, fs.ErrNotExist) { // localtime(5): UTC
		return nil, nil
	}
	if err != nil || !info.Mode().IsRegular() {
		return nil, fmt.Errorf("time zone %q is not known: the host has no %s", c.Timezone, file)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	own := filepath.Join(e.Dirs.Container(s.ID), "localtime")
	if err := createFile(own, string(text)); err != nil {
		return nil, err
	}
	return []spec.Mount{{Source: own, Destination: "/etc/localtime", Options: []string{"bind", "rprivate", "ro", "nosuid", "noexec", "nodev"}}}, nil
}

// containerEnv is what programs in the container read about it in /run/.containerenv: that it is one, and, where nothing is
// hidden from them anyway, which.
func (e *Engine) containerEnv(s State) string {
	if !s.Container.Privileged {
		return ""
	}
	rootless := 0
	if e.Host.Rootless {
		rootless = 1
	}
	return fmt.Sprintf("engine=\"berth\"\nname=%q\nid=%q\nimage=%q\nimageid=%q\nrootless=%d\n", s.Name, s.ID, s.Image, s.ImageID, rootless)
}

func createFile(path, text string) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	return errors.Join(err, f.Close())
}

// seccompFilter reads the profile that the options name.
func (e *Engine) seccompFilter(c spec.Container, image spec.ImageConfig) (*specs.LinuxSeccomp, error) {
	path, err := spec.SeccompProfile(c)
	if err != nil || path == "unconfined" {
		return nil, err
	}
	text := []byte(image.SeccompProfile)
	if c.SeccompPolicy != "image" || path != "" || len(text) == 0 {
		text, err = e.Seccomp(path)
	}
	if err != nil || text == nil {
		return nil, err
	}
	bounding, err := spec.BoundingCapabilities(c)
	if err != nil {
		return nil, err
	}
	return spec.Seccomp(text, runtime.GOARCH, bounding)
}
