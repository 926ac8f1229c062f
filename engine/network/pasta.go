package network

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/berth-pods/berth/engine"
	"github.com/berth-pods/berth/engine/proc"
	"github.com/berth-pods/berth/engine/spec"
	"github.com/berth-pods/berth/engine/usernet"
)

// A container's own pasta has the addresses of that which a user's bridges share.
const (
	pastaDNS  = usernet.DNS
	pastaHost = usernet.Host
	mapHost   = usernet.MapHost
)

func (a Adapter) planPasta(r engine.NetworkRequest, options string) (engine.NetworkStatus, error) {
	if _, err := os.Stat(a.Pasta); err != nil {
		return engine.NetworkStatus{}, fmt.Errorf("pasta is not at %s; install the package passt, or use Network=host or none", a.Pasta)
	}
	for _, m := range r.Publish {
		if m.Protocol == "sctp" {
			return engine.NetworkStatus{}, fmt.Errorf("port %d/sctp cannot be published without root: pasta forwards tcp and udp", m.ContainerPort)
		}
	}
	p := &plan{Version: planVersion, Pasta: true}
	ports, err := a.leasePorts(r, p)
	if err != nil {
		return engine.NetworkStatus{}, err
	}
	extra := slices.Concat(a.PastaOptions, strings.FieldsFunc(options, func(c rune) bool { return c == ',' }))
	p.PastaArgs = pastaArgs(ports, extra)
	return engine.NetworkStatus{DNSServers: []string{pastaDNS}, Host: hostBehind(extra), Published: ports}, a.record(r, p)
}

// hostBehind tells where the container finds the host with these words.
func hostBehind(extra []string) []string {
	host, said := mappedHost(extra)
	switch {
	case !said:
		return []string{pastaHost}
	case host == "none":
		return nil
	}
	return []string{host}
}

// mappedHost is what the words say last of the host's address; false when they say nothing.
func mappedHost(extra []string) (host string, said bool) {
	for i, word := range extra {
		name, value, joined := strings.Cut(word, "=")
		if name != mapHost {
			continue
		}
		if !joined && i+1 < len(extra) {
			value = extra[i+1]
		}
		host, said = value, true
	}
	return host, said
}

// pastaArgs are pasta's own words (passt(1)): nothing but the published ports is forwarded, and the host's loopback
// device cannot be reached by way of the gateway's address, unless extra words say so. --map-gw is no word of pasta's, which has
// only its contrary: it is Podman's.
func pastaArgs(ports []spec.PortMapping, extra []string) []string {
	args := []string{"--config-net", "--quiet", "--no-map-gw", "--no-netns-quit", "--dns-forward", pastaDNS}
	if _, said := mappedHost(extra); !said {
		args = append(args, mapHost, pastaHost)
	}
	if slices.Contains(extra, "--map-gw") {
		extra = slices.DeleteFunc(slices.Clone(extra), func(word string) bool { return word == "--map-gw" })
		args = slices.Delete(args, 2, 3)
	}
	forwards := map[string][]string{}
	for _, m := range ports {
		forwards[m.Protocol] = append(forwards[m.Protocol], forward(m))
	}
	for _, f := range []struct{ protocol, short, long string }{
		{"tcp", "-t", "--tcp-ports"}, {"udp", "-u", "--udp-ports"}, {"", "-T", "--tcp-ns"}, {"", "-U", "--udp-ns"},
	} {
		for _, word := range forwards[f.protocol] {
			args = append(args, f.short, word)
		}
		said := slices.ContainsFunc(extra, func(word string) bool {
			name, _, _ := strings.Cut(word, "=")
			return name == f.short || name == f.long
		})
		if len(forwards[f.protocol]) == 0 && !said {
			args = append(args, f.short, "none")
		}
	}
	return append(args, extra...)
}

// forward writes a mapping as [ADDRESS/]FIRST[-LAST]:FIRST[-LAST].
func forward(m spec.PortMapping) string {
	span := func(first uint16) string {
		if m.Range <= 1 {
			return strconv.Itoa(int(first))
		}
		return fmt.Sprintf("%d-%d", first, first+m.Range-1)
	}
	word := span(m.HostPort) + ":" + span(m.ContainerPort)
	if m.HostIP != "" {
		word = m.HostIP + "/" + word
	}
	return word
}

// startPasta runs pasta, which goes into the background when the namespace is connected. It lives in the container's
// unit and ends with it.
func (a Adapter) startPasta(ctx context.Context, r engine.NetworkRequest, p *plan) error {
	args := append(append([]string{}, p.PastaArgs...), "--pid", engine.PastaPIDFile(r.Dir), "--netns", r.NetNS)
	_, err := a.Run(ctx, proc.Command{Path: a.Pasta, Args: args})
	var exit *proc.ExitError
	if i := slices.Index(args, mapHost); i >= 0 && errors.As(err, &exit) && strings.Contains(exit.Stderr, "unrecognized option '"+mapHost+"'") {
		_, err = a.Run(ctx, proc.Command{Path: a.Pasta, Args: slices.Delete(args, i, i+2)})
	}
	switch {
	case err == nil:
		return nil
	case !a.Rootless && errors.As(err, &exit) && strings.Contains(exit.Stderr, "Permission denied"): // passt(1), --runas
		return fmt.Errorf("connect container: %w; root's pasta becomes nobody first: it is for users, and Network=bridge for root", err)
	}
	return fmt.Errorf("connect container: %w", err)
}

// pastaPatience is how long pasta may take to end. It needs some milliseconds.
const pastaPatience = time.Second

// stopPasta ends the container's pasta, if it is there. Its ports are free then.
func stopPasta(ctx context.Context, r engine.NetworkRequest) error {
	text, err := os.ReadFile(engine.PastaPIDFile(r.Dir))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil || pid <= 1 {
		return nil // killed before it had written its PID: it never ran
	}
	return endPasta(ctx, pid, engine.PastaPIDFile(r.Dir))
}

// endPasta ends the process with this PID if it is the pasta that has this PID file: the PID was written without a start time, and may
// belong to another process by now, which may be another container's pasta.
func endPasta(ctx context.Context, pid int, pidFile string) error {
	id, err := proc.Identify(pid)
	var pidfd *os.File
	if err == nil {
		pidfd, err = id.Open()
	}
	if errors.Is(err, proc.ErrGone) {
		return nil
	}
	if err != nil {
		return err
	}
	defer pidfd.Close()
	comm, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
	if err != nil || !strings.HasPrefix(string(comm), "pasta") {
		return nil
	}
	words, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	if err != nil || !slices.Contains(strings.Split(string(words), "\x00"), pidFile) {
		return nil
	}
	return proc.End(ctx, pidfd, pastaPatience)
}
