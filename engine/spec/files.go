package spec

import (
	"fmt"
	"net/netip"
	"slices"
	"sort"
	"strings"
)

// HostsFile is the container's /etc/hosts: the host's own lines, what was added, and the container's name.
func HostsFile(c Container, id, hostText string, addresses, gateways []string) (string, error) {
	var b strings.Builder
	for _, entry := range c.AddHosts {
		i := strings.IndexByte(entry, ':')
		if i < 1 {
			return "", fmt.Errorf("added host %q is not NAME:IP", entry)
		}
		names, ip := strings.ReplaceAll(entry[:i], ";", " "), entry[i+1:]
		if strings.ContainsAny(entry, "\n\r\t #") {
			return "", fmt.Errorf("added host %q has white space or # in it; several names are separated by ;", entry)
		}
		if ip == "host-gateway" {
			if len(gateways) == 0 {
				return "", fmt.Errorf("added host %q: the container has no gateway to the host", entry)
			}
			ip = gateways[0]
		}
		if _, err := netip.ParseAddr(strings.Trim(ip, "[]")); err != nil {
			return "", fmt.Errorf("added host %q: %q is not an IP address", entry, ip)
		}
		fmt.Fprintf(&b, "%s\t%s\n", strings.Trim(ip, "[]"), names)
	}
	if text := strings.TrimRight(hostText, "\n"); text != "" {
		b.WriteString(text + "\n")
	}
	if !strings.Contains(hostText, "localhost") {
		b.WriteString("127.0.0.1\tlocalhost\n::1\tlocalhost\n")
	}
	names := strings.Join(uniqueNames(HostName(id, c), c.Name), " ")
	if len(addresses) == 0 {
		fmt.Fprintf(&b, "127.0.1.1\t%s\n", names)
	}
	for _, a := range addresses {
		fmt.Fprintf(&b, "%s\t%s\n", a, names)
	}
	for i, g := range gateways {
		if i == 0 {
			fmt.Fprintf(&b, "%s\thost.containers.internal host.docker.internal\n", g)
		}
	}
	return b.String(), nil
}

func uniqueNames(a, b string) []string {
	if a == b || b == "" {
		return []string{a}
	}
	return []string{a, b}
}

// NameService is how a network answers questions for names.
type NameService struct {
	Servers []string
	Search  []string // domain of the containers' names; nil when the servers know none of containers
}

// ResolvConf is the container's /etc/resolv.conf. A name server on the loopback device is of no use in another network
// namespace and is left out there. A network that knows its containers' names asks the servers of c itself.
func ResolvConf(c Container, hostText string, network NameService, netHost bool) string {
	var search, options []string
	servers := network.Servers
	if len(c.DNS) > 0 && (network.Search == nil || len(servers) == 0) {
		servers = c.DNS
	}
	fromHost := len(servers) == 0
	for _, line := range strings.Split(hostText, "\n") {
		words := strings.Fields(line)
		if len(words) < 2 {
			continue
		}
		switch words[0] {
		case "nameserver":
			ip, err := netip.ParseAddr(words[1])
			if fromHost && err == nil && (netHost || !ip.IsLoopback()) {
				servers = append(servers, words[1])
			}
		case "search", "domain":
			search = words[1:]
		case "options":
			options = append(options, words[1:]...)
		}
	}
	if len(c.DNSSearch) > 0 {
		search = c.DNSSearch
	}
	if len(search) == 0 || search[0] != "." {
		// First of all: no domain of the host may answer for a container's name.
		search = append(slices.Clone(network.Search), search...)
	}
	if len(c.DNSOptions) > 0 {
		options = c.DNSOptions
	}
	var b strings.Builder
	if len(search) > 0 && search[0] != "." {
		fmt.Fprintf(&b, "search %s\n", strings.Join(search, " "))
	}
	for _, s := range servers {
		fmt.Fprintf(&b, "nameserver %s\n", s)
	}
	if len(options) > 0 {
		fmt.Fprintf(&b, "options %s\n", strings.Join(options, " "))
	}
	return b.String()
}

// CheckDNS refuses name servers that are none. The word none alone leaves the image's /etc/resolv.conf.
func CheckDNS(c Container) error {
	for _, s := range c.DNS {
		if _, err := netip.ParseAddr(s); err != nil && !c.ImageDNS() {
			return fmt.Errorf("name server %q is not an IP address, nor the only one and none", s)
		}
	}
	return nil
}

// ImageDNS reports whether the image's /etc/resolv.conf is to stay.
func (c Container) ImageDNS() bool { return len(c.DNS) == 1 && c.DNS[0] == "none" }

// Labels reads NAME[=VALUE] words into a map.
func Labels(words []string) map[string]string {
	m := map[string]string{}
	for _, w := range words {
		name, value, _ := strings.Cut(w, "=")
		m[name] = value
	}
	return m
}

// SortedKeys returns the keys of m in order.
func SortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	return keys
}
