package spec

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// PortMapping publishes Range ports, from HostPort on, to ContainerPort and the following ones.
type PortMapping struct {
	HostIP        string `json:"host_ip"`
	HostPort      uint16 `json:"host_port"` // 0: any free one
	ContainerPort uint16 `json:"container_port"`
	Range         uint16 `json:"range"`
	Protocol      string `json:"protocol"` // tcp, udp, sctp
}

// ParsePublish reads [[IP:][HOST[-HOST]]:]CONTAINER[-CONTAINER][/PROTOCOL[,PROTOCOL]].
func ParsePublish(s string) ([]PortMapping, error) {
	wrong := func(why string) error {
		return fmt.Errorf("published port %q: %s; the form is [[IP:][HOSTPORT]:]PORT[/tcp|udp|sctp]", s, why)
	}
	rest, protocols, ok := strings.Cut(s, "/")
	if !ok {
		protocols = "tcp"
	}
	ip := ""
	if strings.HasPrefix(rest, "[") {
		end := strings.Index(rest, "]:")
		if end < 0 {
			return nil, wrong("the IPv6 address has no closing ]")
		}
		ip, rest = rest[1:end], rest[end+2:]
	} else if strings.Count(rest, ":") == 2 {
		ip, rest, _ = strings.Cut(rest, ":")
	} else if strings.Count(rest, ":") > 2 {
		return nil, wrong("an IPv6 address stands in [ ]")
	}
	if ip != "" {
		if a, err := netip.ParseAddr(ip); err != nil || a.Zone() != "" {
			return nil, wrong(fmt.Sprintf("%q is not an IP address", ip))
		}
	}
	host, container, ok := strings.Cut(rest, ":")
	if !ok {
		host, container = "", rest
	}
	first, count, err := portRange(container)
	if err != nil {
		return nil, wrong(err.Error())
	}
	m := PortMapping{HostIP: ip, ContainerPort: first, Range: count}
	if host != "" {
		hostFirst, hostCount, err := portRange(host)
		if err != nil {
			return nil, wrong(err.Error())
		}
		if hostCount != count {
			return nil, wrong(fmt.Sprintf("%d host ports for %d container ports", hostCount, count))
		}
		m.HostPort = hostFirst
	}
	var list []PortMapping
	for _, protocol := range strings.Split(protocols, ",") {
		switch protocol = strings.ToLower(protocol); protocol {
		case "tcp", "udp", "sctp":
		default:
			return nil, wrong(fmt.Sprintf("unknown protocol %q", protocol))
		}
		m.Protocol = protocol
		list = append(list, m)
	}
	return list, nil
}

func portRange(s string) (first, count uint16, err error) {
	a, b, ok := strings.Cut(s, "-")
	if !ok {
		b = a
	}
	start, err1 := strconv.ParseUint(a, 10, 16)
	end, err2 := strconv.ParseUint(b, 10, 16)
	if err1 != nil || err2 != nil || start == 0 || end < start {
		return 0, 0, fmt.Errorf("%q is not a port from 1 to 65535 or a range of them", s)
	}
	return uint16(start), uint16(end - start + 1), nil
}
