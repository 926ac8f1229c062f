package engine

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"

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
		r.Publish = append(r.Publish, mappings...)
	}
	if !r.connected() && len(r.Publish) > 0 { // as in Podman, files that work there have it
		r.Publish = nil
		return r, fmt.Sprintf("published ports have no effect with network %s: the container has no network of its own to forward them to", c.Networks[0]), nil
	}
	return r, n.Note, nil
}

// connected reports whether the network adapter has anything to do.
func (r NetworkRequest) connected() bool { return r.Mode == "" || r.Mode == "pasta" }

func (r NetworkRequest) host() bool { return r.Mode == "host" }

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
	for _, word := range append(append([]string{}, image.Config.Exposed...), s.Container.Expose...) {
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

// Connect puts a container on one more network.
func (e *Engine) Connect(ctx context.Context, nameOrID string, a spec.Attachment) error {
	return e.rewire(nameOrID, func(s *State) (NetworkStatus, error) {
		status, err := e.Network.Connect(ctx, s.Network, a)
		if err == nil {
			s.Network.Networks = append(s.Network.Networks, a.Network)
		}
		return status, err
	})
}

// Disconnect takes a container off a network.
func (e *Engine) Disconnect(ctx context.Context, nameOrID, network string) error {
	return e.rewire(nameOrID, func(s *State) (NetworkStatus, error) {
		status, err := e.Network.Disconnect(ctx, s.Network, network)
		if err == nil {
			var words []string
			for _, w := range s.Network.Networks {
				if at, err := spec.ParseAttachment(w); err != nil || at.Network != network {
					words = append(words, w)
				}
			}
			s.Network.Networks = words
		}
		return status, err
	})
}

// rewire changes the networks of a running container and tells its processes by the files that they have.
func (e *Engine) rewire(nameOrID string, change func(*State) (NetworkStatus, error)) error {
	found, err := e.Dirs.Find(nameOrID)
	if err != nil {
		return err
	}
	notRunning := fmt.Errorf("container %q does not run: it has no network to change", found.Name)
	var files error
	err = e.Dirs.Update(found.ID, func(s *State) error {
		ns, err := s.Init.OpenNamespace("net")
		if errors.Is(err, proc.ErrGone) {
			return notRunning
		}
		if err != nil {
			return err
		}
		defer ns.Close()
		if !s.Networked {
			return fmt.Errorf("container %q has network %s: it is on no bridge network", s.Name, strings.Join(s.Network.Networks, ", "))
		}
		s.Network.NetNS = handlePath(ns)
		status, err := change(s)
		if err != nil {
			return fmt.Errorf("networks of container %q: %w", s.Name, err)
		}
		s.Addresses, s.Attached = status.Addresses, status.Attached
		files = e.networkFiles(*s, e.Dirs.Container(s.ID), false, status)
		return nil
	})
	if errors.Is(err, ErrNoContainer) {
		return notRunning
	}
	return errors.Join(err, files)
}
