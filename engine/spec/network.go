package spec

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
)

// Attachment is a network that a container is to be on, and how.
type Attachment struct {
	Network       string   `json:"network"`
	IPs           []string `json:"ips,omitempty"` // asked for, of both families
	MAC           string   `json:"mac,omitempty"`
	Aliases       []string `json:"aliases,omitempty"`
	Interface     string   `json:"interface,omitempty"`     // name in the container; "" for ethN
	HostInterface string   `json:"hostInterface,omitempty"` // name on the host; "" for vethN
}

// Networks is what the --network words of a container come to.
type Networks struct {
	Mode     string // host, none, pasta, container, ns; "" when the container is on the networks of Attach
	Argument string // the options of pasta, the container's name, the path
	Default  bool   // nothing was said: what this kind of user usually gets
	Attach   []Attachment
	Note     string // a sentence for people; "" for none
}

// standAlone are the modes that are no networks and cannot be joined with another.
var standAlone = []string{"host", "none", "pasta", "slirp4netns", "container", "ns"}

// DefaultNetwork is the bridge that is always there.
const DefaultNetwork = "podman"

// ParseNetworks reads the --network words, and the flags that belong to the only one of them.
func ParseNetworks(words []string, ip, ip6, mac string, aliases []string) (Networks, error) {
	var n Networks
	for _, word := range words {
		mode, argument, _ := strings.Cut(word, ":")
		if slices.Contains(standAlone, mode) {
			if len(words) > 1 {
				return n, fmt.Errorf("network %s stands alone, but there are %d networks", mode, len(words))
			}
			n.Mode, n.Argument = mode, argument
			return n.alone(word, ip, ip6, mac)
		}
		a, err := ParseAttachment(word)
		if err != nil {
			return n, err
		}
		n.Default = len(words) == 1 && (mode == "" || mode == "private" || mode == "default")
		n.Attach = append(n.Attach, a)
	}
	if len(words) == 0 {
		n.Default, n.Attach = true, []Attachment{{Network: DefaultNetwork}}
	}
	return n, n.complete(ip, ip6, mac, aliases)
}

// alone checks a mode that stands alone.
func (n Networks) alone(word, ip, ip6, mac string) (Networks, error) {
	if ip != "" || ip6 != "" || mac != "" {
		return n, fmt.Errorf("network %s: an address can be chosen on a bridge network only", word)
	}
	switch n.Mode {
	case "host", "none":
		if n.Argument != "" {
			return n, fmt.Errorf("network %s takes no options: %q", n.Mode, n.Argument)
		}
	case "slirp4netns":
		n.Note = fmt.Sprintf("network %s: pasta connects the container instead, which needs none of slirp4netns's options", word)
		n.Mode, n.Argument = "pasta", ""
	case "container":
		if err := CheckName(n.Argument); err != nil {
			return n, fmt.Errorf("network %q: container: %w", word, err)
		}
	case "ns":
		if !strings.HasPrefix(n.Argument, "/") {
			return n, fmt.Errorf("network %q: the path of a network namespace must be absolute", word)
		}
	}
	return n, nil
}

// complete adds what the single flags say.
func (n Networks) complete(ip, ip6, mac string, aliases []string) error {
	if (ip != "" || ip6 != "" || mac != "") && len(n.Attach) > 1 {
		return errors.New("--ip, --ip6 and --mac-address are for a container on one network; with several, write --network NAME:ip=…,mac=…")
	}
	seen := map[string]bool{}
	for i := range n.Attach {
		a := &n.Attach[i]
		if seen[a.Network] {
			return fmt.Errorf("network %q is named twice", a.Network)
		}
		seen[a.Network] = true
		for _, option := range []struct{ flag, value string }{{"ip", ip}, {"ip6", ip6}, {"mac", mac}} {
			if option.value == "" {
				continue
			}
			if err := a.set(option.flag, option.value); err != nil {
				return err
			}
		}
		a.Aliases = append(a.Aliases, aliases...)
	}
	return nil
}

// ParseAttachment reads NAME[:OPTION=VALUE,…].
func ParseAttachment(word string) (Attachment, error) {
	name, options, _ := strings.Cut(word, ":")
	switch name {
	case "", "private", "default", "bridge":
		name = DefaultNetwork
	}
	a := Attachment{Network: name}
	if err := CheckName(name); err != nil {
		return a, fmt.Errorf("network: %w", err)
	}
	for _, o := range splitNonEmpty(options, ",") {
		key, value, ok := strings.Cut(o, "=")
		if !ok || value == "" {
			return a, fmt.Errorf("network %q: option %q is not NAME=VALUE", name, o)
		}
		if err := a.set(key, value); err != nil {
			return a, fmt.Errorf("network %q: %w", name, err)
		}
	}
	return a, nil
}

// Word is the attachment as ParseAttachment reads it.
func (a Attachment) Word() string {
	word, before := a.Network, ":"
	add := func(key string, values ...string) {
		for _, v := range values {
			if v != "" {
				word, before = word+before+key+v, ","
			}
		}
	}
	add("ip=", a.IPs...)
	add("mac=", a.MAC)
	add("alias=", a.Aliases...)
	add("interface_name=", a.Interface)
	add("host_interface_name=", a.HostInterface)
	return word
}

func (a *Attachment) set(key, value string) error {
	switch key {
	case "ip", "ip6":
		ip, err := netip.ParseAddr(value)
		if err != nil || ip.Zone() != "" {
			return fmt.Errorf("%s=%s is not an IP address", key, value)
		}
		if key == "ip6" && ip.Is4() {
			return fmt.Errorf("ip6=%s is an IPv4 address", value)
		}
		a.IPs = append(a.IPs, ip.String())
	case "mac":
		mac, err := net.ParseMAC(value)
		if err != nil || len(mac) != 6 {
			return fmt.Errorf("mac=%s is not a hardware address such as 92:d0:c6:0a:29:33", value)
		}
		a.MAC = mac.String()
	case "alias":
		if err := checkHostName(value); err != nil || strings.Contains(value, ",") {
			return fmt.Errorf("alias=%s is no host name", value)
		}
		a.Aliases = append(a.Aliases, value)
	case "interface_name":
		a.Interface = value
		return CheckInterface(value)
	case "host_interface_name":
		a.HostInterface = value
		return CheckInterface(value)
	default:
		return fmt.Errorf("unknown option %q; known are ip, ip6, mac, alias, interface_name, host_interface_name", key)
	}
	return nil
}

// CheckInterface refuses what is no name of a network device (netdevice(7), IFNAMSIZ).
func CheckInterface(name string) error {
	if len(name) > 15 || name == "." || name == ".." || strings.ContainsAny(name, "/: \t\n") {
		return fmt.Errorf("%q is no name of a network interface: at most 15 characters, without / : and white space", name)
	}
	return nil
}
