package cli

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"

	"github.com/spf13/pflag"

	"github.com/berth-pods/berth/engine"
	"github.com/berth-pods/berth/engine/spec"
)

type portOptions struct{ all, latest bool }

func (o *portOptions) flags(set *pflag.FlagSet) {
	set.BoolVarP(&o.all, "all", "a", false, "of all containers that run")
	set.BoolVarP(&o.latest, "latest", "l", false, "of the container that was made last")
}

func portVerb() Verb {
	var o portOptions
	return Verb{
		Name: "port", Usage: "[OPTION…] CONTAINER [PORT[/PROTOCOL]]", Summary: "list the ports of the host that lead to a container",
		Flags: o.flags, Run: runPort,
	}
}

func runPort(_ context.Context, env *Env, args []string) error {
	var o portOptions
	set := newFlagSet("port")
	o.flags(set)
	if err := set.Parse(args); err != nil {
		return err
	}
	words := set.Args()
	if o.all {
		if len(words) > 0 || o.latest {
			return errors.New("--all takes no names")
		}
		return allPorts(env)
	}
	var s engine.State
	var err error
	switch {
	case o.latest:
		s, err = latestContainer()
	case len(words) == 0:
		err = errors.New("name one container")
	default:
		s, err = findContainer(words[0])
		words = words[1:]
	}
	if err != nil {
		return err
	}
	if len(words) > 1 {
		return errors.New("name one port")
	}
	list := portLines(publishedOf(s))
	if len(words) == 0 {
		for _, l := range list {
			fmt.Fprintf(env.Out, "%s -> %s\n", l.port, l.host)
		}
		return nil
	}
	wanted, err := parsePort(words[0])
	if err != nil {
		return err
	}
	found := false
	for _, l := range list {
		if l.port == wanted {
			fmt.Fprintln(env.Out, l.host)
			found = true
		}
	}
	if !found {
		return fmt.Errorf("no port of the host leads to %s of container %q", wanted, s.Name)
	}
	return nil
}

func allPorts(env *Env) error {
	list, err := runDirs().List()
	if err != nil {
		return err
	}
	for _, s := range list {
		if !s.Running() {
			continue
		}
		for _, l := range portLines(publishedOf(s)) {
			fmt.Fprintf(env.Out, "%s\t%s -> %s\n", shortID(s.ID, false), l.port, l.host)
		}
	}
	return nil
}

// publishedOf are the ports that lead to a container, or to the pod that it is in.
func publishedOf(s engine.State) []spec.PortMapping {
	if s.Pod != "" && len(s.Network.Publish) == 0 {
		if p, err := runDirs().FindPod(s.Pod); err == nil {
			return p.Network.Publish
		}
	}
	return s.Network.Publish
}

// portLine is one port of a container, as 80/tcp, and where the host has it.
type portLine struct{ port, host string }

func portLines(list []spec.PortMapping) []portLine {
	var lines []portLine
	for _, m := range list {
		host := m.HostIP
		if host == "" {
			host = "0.0.0.0"
		}
		for n := range max(m.Range, 1) {
			lines = append(lines, portLine{fmt.Sprintf("%d/%s", m.ContainerPort+n, m.Protocol), net.JoinHostPort(host, strconv.Itoa(int(m.HostPort+n)))})
		}
	}
	return lines
}

// parsePort reads PORT[/PROTOCOL] and writes it with the protocol.
func parsePort(word string) (string, error) {
	number, protocol, _ := strings.Cut(word, "/")
	if protocol == "" {
		protocol = "tcp"
	}
	if n, err := strconv.ParseUint(number, 10, 16); err != nil || n == 0 {
		return "", fmt.Errorf("%q is no port; write it as 80, or 53/udp", word)
	}
	return number + "/" + strings.ToLower(protocol), nil
}
