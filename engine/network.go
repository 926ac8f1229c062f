package engine

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/berth-pods/berth/engine/atomicfile"
	"github.com/berth-pods/berth/engine/keeper"
	"github.com/berth-pods/berth/engine/proc"
	"github.com/berth-pods/berth/engine/spec"
)

// networkRequest reads the network options. The note is a sentence for people, "" for none.
func networkRequest(id string, c spec.Container) (r NetworkRequest, note string, err error) {
	r = NetworkRequest{ID: id, Name: c.Name, Networks: c.Networks, IP: c.IP, IP6: c.IP6, MAC: c.MAC, Aliases: c.Aliases}
	n, err := spec.ParseNetworks(c.Networks, c.IP, c.IP6, c.MAC, c.Aliases)
	if err != nil {
		return r, "", err
	}
	if err := spec.CheckDNS(c); err != nil {
		return r, "", err
	}
	r.Mode, r.Peer = n.Mode, n.Argument
	if !c.ImageDNS() {
		r.DNS = c.DNS
	}
	for _, p := range c.Publish {
		mappings, err := spec.ParsePublish(p)
		if err != nil {
			return r, "", err
		}
		for _, m := range mappings {
			if m.HostPort == 0 || !slices.Contains(r.Publish, m) {
				r.Publish = append(r.Publish, m)
			}
		}
	}
	if !r.connected() && len(r.Publish) > 0 { // as in Podman, files that work there have it
		r.Publish = nil
		return r, fmt.Sprintf("published ports have no effect with network %s: the container has no network of its own to forward them to", c.Networks[0]), nil
	}
	return r, n.Note, nil
}

// connected reports whether the network adapter has anything to do.
func (r NetworkRequest) connected() bool { return r.Mode == "" || r.Mode == "pasta" }

// PastaPIDFile is where the pasta of a container or pod writes its PID, when it has one of its own; its state directory is named.
func PastaPIDFile(dir string) string { return filepath.Join(dir, "pasta.pid") }

// pasta names the pasta that was started, nil without one.
func pasta(dir string) *keeper.Process {
	text, err := atomicfile.Read(PastaPIDFile(dir))
	if err != nil {
		return nil
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		return nil
	}
	id, _ := proc.Identify(pid) // one that has ended already has started at no time
	return &keeper.Process{PID: pid, Start: id.Start}
}

func (r NetworkRequest) host() bool { return r.Mode == "host" }

// reserve plans how a container or pod is connected. What another container that has ended still has of what is asked for is taken away
// with that one, if it does not outlive its end. Its unit does that, but one whose file was removed or renamed while it ran has no
// ExecStopPost= since the next daemon-reload.
func (e *Engine) reserve(ctx context.Context, r NetworkRequest) (NetworkStatus, error) {
	for last := ""; ; {
		status, err := e.Network.Plan(ctx, r)
		var held *HeldError
		if !errors.As(err, &held) || held.Holder == last {
			return status, err
		}
		last = held.Holder
		stays := func(s State) bool { return s.Lasting() || s.OnItsWay() || s.Running() }
		if s, loadErr := e.Dirs.Load(last); loadErr != nil || stays(s) {
			return status, err
		}
		if err := errors.Join(e.Network.Teardown(ctx, r), e.Remove(ctx, last, RemoveOptions{Ignore: true, Spare: stays})); err != nil {
			return status, err
		}
	}
}

// joinNetwork opens the network namespace of another container, or of a path, for a container that is to be in it.
func (e *Engine) joinNetwork(s *State) error {
	var err error
	switch s.Network.Mode {
	case "container":
		var other State
		if other, err = e.Dirs.Find(s.Network.Peer); err != nil {
			return fmt.Errorf("network container:%s: %w", s.Network.Peer, err)
		}
		if s.netns, err = other.Init.OpenNamespace("net"); errors.Is(err, proc.ErrGone) {
			return fmt.Errorf("network container:%s: that container does not run, so it has no network to join", s.Network.Peer)
		}
		if s.NetFiles = other.NetFiles; s.NetFiles == "" {
			s.NetFiles = e.Dirs.Container(other.ID)
		}
		s.Addresses, s.Attached = other.Addresses, other.Attached
	case "ns":
		s.netns, err = openNamespace(s.Network.Peer, unix.CLONE_NEWNET)
	default:
		return nil
	}
	if err != nil {
		return fmt.Errorf("network %s: %w", s.Network.Networks[0], err)
	}
	s.Network.NetNS = handlePath(s.netns)
	return nil
}

// openNamespace opens the file of a namespace and makes sure that it is one of that kind (ioctl_ns(2)).
func openNamespace(path string, kind int) (*os.File, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	if got, err := unix.IoctlRetInt(int(f.Fd()), unix.NS_GET_NSTYPE); err != nil || got != kind {
		f.Close()
		return nil, fmt.Errorf("%s is not a namespace of that kind", path)
	}
	return f, nil
}

// publishAll adds the ports that the image and the caller name, each to a free port of the host.
func publishAll(s *State, image Image) error {
	if !s.Container.PublishAll || !s.Network.connected() {
		return nil
	}
	taken := map[string]bool{}
	for _, m := range s.Network.Publish {
		for i := range m.Range {
			taken[fmt.Sprint(m.ContainerPort+i, m.Protocol)] = true
		}
	}
	for _, word := range slices.Concat(image.Config.Exposed, s.Container.Expose) {
		if strings.Contains(word, ":") {
			return fmt.Errorf("exposed port %q: the form is PORT[-PORT][/tcp|udp|sctp]", word)
		}
		mappings, err := spec.ParsePublish(word)
		if err != nil {
			return fmt.Errorf("exposed port: %w", err)
		}
		for _, m := range mappings {
			if key := fmt.Sprint(m.ContainerPort, m.Protocol); !taken[key] {
				taken[key] = true
				s.Network.Publish = append(s.Network.Publish, m)
			}
		}
	}
	return nil
}

// Connect puts a container on one more network: at once when it runs, and at its next starts when it outlives its end.
func (e *Engine) Connect(ctx context.Context, nameOrID string, a spec.Attachment) error {
	return e.rewire(nameOrID, []Attached{{Network: a.Network}}, func(list []spec.Attachment) ([]spec.Attachment, error) {
		return append(without(list, a.Network), a), nil
	}, func(s *State) (NetworkStatus, error) { return e.Network.Connect(ctx, s.Network, a) })
}

// Disconnect takes a container off a network, in the same way.
func (e *Engine) Disconnect(ctx context.Context, nameOrID, network string) error {
	return e.rewire(nameOrID, nil, func(list []spec.Attachment) ([]spec.Attachment, error) {
		left := without(list, network)
		if len(left) == len(list) {
			return nil, fmt.Errorf("it is not on network %q", network)
		}
		return left, nil
	}, func(s *State) (NetworkStatus, error) { return e.Network.Disconnect(ctx, s.Network, network) })
}

func without(list []spec.Attachment, network string) (left []spec.Attachment) {
	for _, a := range list {
		if a.Network != network {
			left = append(left, a)
		}
	}
	return left
}

// rewire changes the networks of a container. The processes of one that runs are told by the files that they have. Who removes a network sees
// from the first that a container joins it.
func (e *Engine) rewire(nameOrID string, joins []Attached, change func([]spec.Attachment) ([]spec.Attachment, error), live func(*State) (NetworkStatus, error)) error {
	found, err := e.Dirs.Find(nameOrID)
	if err != nil {
		return err
	}
	notRunning := errors.New("it does not run, and has no network to change")
	var files error
	err = e.Dirs.Change(found.ID, func(s *State) error {
		words, err := e.rewired(s, change)
		if err != nil {
			return err
		}
		ns, err := s.Init.OpenNamespace("net")
		switch {
		case errors.Is(err, proc.ErrGone) && !s.Lasting():
			return notRunning
		case errors.Is(err, proc.ErrGone):
			s.setNetworks(words)
			return nil
		case err != nil:
			return err
		}
		defer ns.Close()
		if !s.Networked {
			return errors.New("it is on no bridge network")
		}
		was := s.Attached
		s.Attached = append(slices.Clip(was), joins...)
		if err := e.Dirs.save(*s); err != nil { // where there is no room for that, there is none for the change
			return err
		}
		s.Network.NetNS = handlePath(ns)
		status, err := live(s)
		if err != nil {
			s.Attached = was
			return errors.Join(err, e.Dirs.save(*s))
		}
		s.setNetworks(words)
		s.Addresses, s.Attached = status.Addresses, status.Attached
		files = e.networkFiles(*s, e.Dirs.Container(s.ID), false, status)
		return nil
	})
	if errors.Is(err, ErrNoContainer) {
		err = notRunning
	}
	if err = errors.Join(err, files); err != nil {
		err = fmt.Errorf("networks of container %q: %w", found.Name, err)
	}
	return err
}

// rewired are the words for the networks that a container is to be on.
func (e *Engine) rewired(s *State, change func([]spec.Attachment) ([]spec.Attachment, error)) ([]string, error) {
	c := s.Container
	n, err := spec.ParseNetworks(c.Networks, c.IP, c.IP6, c.MAC, c.Aliases)
	if err != nil {
		return nil, err
	}
	if s.Pod != "" {
		return nil, errors.New("they are its pod's")
	}
	if n.Default && e.Host.Rootless {
		n.Mode = "pasta"
	}
	if n.Mode != "" && n.Mode != "none" {
		return nil, fmt.Errorf("it has network %s, and is on no bridge network", n.Mode)
	}
	list, err := change(n.Attach)
	words := make([]string, len(list))
	for i, a := range list {
		words[i] = a.Word()
	}
	if len(words) == 0 {
		words = []string{"none"}
	}
	return words, err
}

// setNetworks has the words say all about the container's networks.
func (s *State) setNetworks(words []string) {
	c, r := &s.Container, &s.Network
	c.Networks, c.IP, c.IP6, c.MAC, c.Aliases = words, "", "", "", nil
	r.Networks, r.IP, r.IP6, r.MAC, r.Aliases = words, "", "", "", nil
	if r.Mode = ""; words[0] == "none" {
		r.Mode = "none"
	}
}
