package engine

import (
	"net/netip"

	"golang.org/x/sys/unix"
)

// hostAddress is the address that the machine has for others: where a datagram to one would come from. None is sent.
func hostAddress() []string {
	for _, to := range []unix.Sockaddr{
		&unix.SockaddrInet4{Addr: [4]byte{198, 51, 100, 1}, Port: 9}, &unix.SockaddrInet6{Addr: [16]byte{0: 0x20, 1: 0x01, 2: 0x0d, 3: 0xb8, 15: 1}, Port: 9}, // of nobody (RFC 5737, RFC 3849)
	} {
		if ip := sourceTo(to); ip.IsValid() {
			return []string{ip.String()}
		}
	}
	return nil
}

// sourceTo is the own address of a socket that is connected there; not valid where no route leads there.
func sourceTo(to unix.Sockaddr) (ip netip.Addr) {
	family := unix.AF_INET
	if _, six := to.(*unix.SockaddrInet6); six {
		family = unix.AF_INET6
	}
	fd, err := unix.Socket(family, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return ip
	}
	defer unix.Close(fd)
	if unix.Connect(fd, to) != nil {
		return ip
	}
	switch own, _ := unix.Getsockname(fd); own := own.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrFrom4(own.Addr)
	case *unix.SockaddrInet6:
		return netip.AddrFrom16(own.Addr)
	}
	return ip
}
