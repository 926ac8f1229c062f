package main

import (
	"encoding/binary"
	"fmt"
	"net/netip"

	"golang.org/x/sys/unix"
)

// collectNetwork looks into the own network namespace and into every other
// that can be reached.
func collectNetwork(m *machine) ([]string, error) {
	return m.inEveryNet(networkLines)
}

// inEveryNet collects lines in every network namespace, "host" being PID 1's.
func (m *machine) inEveryNet(look func() ([]string, error)) ([]string, error) {
	lines, err := look()
	if err != nil {
		return nil, err
	}
	all := prefixed("host ", lines)
	for _, n := range m.spacesOf("net") {
		err := n.inside(func() error {
			lines, err := look()
			all = append(all, prefixed("["+n.label()+"] ", lines)...)
			return err
		})
		if err != nil {
			return all, err
		}
	}
	return all, nil
}

func prefixed(prefix string, lines []string) []string {
	out := make([]string, len(lines))
	for i, line := range lines {
		out[i] = prefix + line
	}
	return out
}

// networkLines describes the namespace of the calling thread. Interface
// numbers, hardware addresses and lifetimes are left out.
func networkLines() ([]string, error) {
	links, err := dump(unix.NETLINK_ROUTE, unix.RTM_GETLINK, make([]byte, unix.SizeofIfInfomsg), unix.SizeofIfInfomsg)
	if err != nil {
		return nil, fmt.Errorf("list links: %w", err)
	}
	devices := map[uint32]string{}
	for _, l := range links {
		devices[linkIndex(l)] = text(get(l.attrs, unix.IFLA_IFNAME))
	}
	var lines []string
	for _, l := range links {
		lines = append(lines, linkLine(l, devices))
	}
	for _, d := range []struct {
		kind   uint16
		header int
		line   func(message, map[uint32]string) string
	}{
		{unix.RTM_GETADDR, unix.SizeofIfAddrmsg, addressLine},
		{unix.RTM_GETROUTE, unix.SizeofRtMsg, routeLine},
		{unix.RTM_GETRULE, unix.SizeofRtMsg, ruleLine},
	} {
		messages, err := dump(unix.NETLINK_ROUTE, d.kind, make([]byte, d.header), d.header)
		if err != nil {
			return lines, fmt.Errorf("netlink dump %d: %w", d.kind, err)
		}
		for _, m := range messages {
			if line := d.line(m, devices); line != "" {
				lines = append(lines, line)
			}
		}
	}
	return lines, nil
}

func linkIndex(m message) uint32 { return binary.NativeEndian.Uint32(m.header[4:]) }

func linkLine(m message, devices map[uint32]string) string {
	line := "link " + text(get(m.attrs, unix.IFLA_IFNAME))
	if kind := text(get(parseAttributes(get(m.attrs, unix.IFLA_LINKINFO)), unix.IFLA_INFO_KIND)); kind != "" {
		line += " kind=" + kind
	}
	if master := number(get(m.attrs, unix.IFLA_MASTER)); master != 0 {
		line += " master=" + devices[master]
	}
	if flags := binary.NativeEndian.Uint32(m.header[8:]); flags&unix.IFF_UP != 0 {
		line += " up"
	}
	return fmt.Sprintf("%s mtu=%d", line, number(get(m.attrs, unix.IFLA_MTU)))
}

// addressLine is "" for IPv6 link-local addresses: every link that is up gets
// one, derived from a random hardware address, a second or two later.
func addressLine(m message, devices map[uint32]string) string {
	value := get(m.attrs, unix.IFA_LOCAL)
	if value == nil {
		value = get(m.attrs, unix.IFA_ADDRESS)
	}
	if ofLink(value) {
		return ""
	}
	device := devices[binary.NativeEndian.Uint32(m.header[4:])]
	return fmt.Sprintf("addr %s/%d dev=%s", address(value), m.header[1], device)
}

// ofLink reports whether an address is one that the kernel gives to IPv6
// links by itself: link-local or multicast.
func ofLink(value []byte) bool {
	a, ok := netip.AddrFromSlice(value)
	return ok && a.Is6() && (a.IsLinkLocalUnicast() || a.IsMulticast())
}

func address(value []byte) string {
	a, ok := netip.AddrFromSlice(value)
	if !ok {
		return "none"
	}
	return a.String()
}

// routeLine leaves out the kernel's cached copies of routes, and those that
// come with link-local addresses.
func routeLine(m message, devices map[uint32]string) string {
	if binary.NativeEndian.Uint32(m.header[8:])&unix.RTM_F_CLONED != 0 || ofLink(get(m.attrs, unix.RTA_DST)) {
		return ""
	}
	table := number(get(m.attrs, unix.RTA_TABLE))
	if table == 0 {
		table = uint32(m.header[4])
	}
	line := fmt.Sprintf("route %s table=%d type=%d", prefix(get(m.attrs, unix.RTA_DST), m.header), table, m.header[7])
	if via := get(m.attrs, unix.RTA_GATEWAY); via != nil {
		line += " via=" + address(via)
	}
	if oif := number(get(m.attrs, unix.RTA_OIF)); oif != 0 {
		line += " dev=" + devices[oif]
	}
	return fmt.Sprintf("%s metric=%d", line, number(get(m.attrs, unix.RTA_PRIORITY)))
}

func prefix(dst, header []byte) string {
	if dst == nil {
		return map[byte]string{unix.AF_INET: "default", unix.AF_INET6: "default6"}[header[0]]
	}
	return fmt.Sprintf("%s/%d", address(dst), header[1])
}

func ruleLine(m message, _ map[uint32]string) string {
	table := number(get(m.attrs, unix.FRA_TABLE))
	if table == 0 {
		table = uint32(m.header[4])
	}
	return fmt.Sprintf("rule family=%d priority=%d table=%d action=%d mark=%#x", m.header[0],
		number(get(m.attrs, unix.FRA_PRIORITY)), table, m.header[7], number(get(m.attrs, unix.FRA_FWMARK)))
}
