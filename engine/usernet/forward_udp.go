package usernet

import (
	"errors"
	"net"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// udpPort forwards what comes to a port. Each client has a socket to the container, for as long as one of them speaks.
type udpPort struct {
	*forwarder
	forward Forward
	conn    *net.UDPConn

	mu     sync.Mutex
	flows  map[netip.AddrPort]*udpFlow
	closed bool
}

// udpFlow is one client. control says by which of the host's addresses the client came, and so which it is answered from.
type udpFlow struct {
	server  net.Conn
	client  netip.AddrPort
	control []byte
}

const (
	udpIdle     = 2 * time.Minute // as long as the kernel keeps a flow that was answered (nf_conntrack_udp_timeout_stream)
	maxUDPFlows = 4096            // of a port; more are dropped, as the kernel does
	maxDatagram = 65535
)

// wantAddresses asks the kernel for the address that each datagram was sent to (ip(7), IP_PKTINFO).
func (u *udpPort) wantAddresses() error {
	raw, err := u.conn.SyscallConn()
	if err != nil {
		return err
	}
	var set error
	err = raw.Control(func(fd uintptr) {
		domain, err := unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_DOMAIN)
		if err == nil && domain == unix.AF_INET6 {
			err = unix.SetsockoptInt(int(fd), unix.SOL_IPV6, unix.IPV6_RECVPKTINFO, 1)
		} else if err == nil {
			err = unix.SetsockoptInt(int(fd), unix.SOL_IP, unix.IP_PKTINFO, 1)
		}
		set = err
	})
	return errors.Join(err, set)
}

func (u *udpPort) serve() {
	data, control := make([]byte, maxDatagram), make([]byte, 256)
	for {
		size, controlSize, _, client, err := u.conn.ReadMsgUDPAddrPort(data, control)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			continue // an ICMP error of an earlier answer
		}
		if flow := u.flow(client, control[:controlSize]); flow != nil {
			flow.server.Write(data[:size])
		}
	}
}

// flow is the client's, made when there is none; nil when it cannot be.
func (u *udpPort) flow(client netip.AddrPort, control []byte) *udpFlow {
	u.mu.Lock()
	defer u.mu.Unlock()
	if f := u.flows[client]; f != nil {
		f.server.SetReadDeadline(time.Now().Add(udpIdle))
		return f
	}
	if u.closed || len(u.flows) >= maxUDPFlows {
		return nil
	}
	server, err := u.socket(u.forward, client, unix.SOCK_DGRAM)
	if err != nil {
		return nil
	}
	f := &udpFlow{server, client, append([]byte(nil), control...)}
	server.SetReadDeadline(time.Now().Add(udpIdle))
	u.flows[client] = f
	go u.answer(f)
	return f
}

// answer hands the container's answers on, until nothing has been said for a while.
func (u *udpPort) answer(f *udpFlow) {
	defer func() {
		u.mu.Lock()
		defer u.mu.Unlock()
		delete(u.flows, f.client)
		f.server.Close()
	}()
	data := make([]byte, maxDatagram)
	for {
		size, err := f.server.Read(data)
		if errors.Is(err, unix.ECONNREFUSED) {
			continue // the container does not listen, or not yet
		}
		if err != nil {
			return
		}
		u.conn.WriteMsgUDPAddrPort(data[:size], f.control, f.client)
		f.server.SetReadDeadline(time.Now().Add(udpIdle))
	}
}

// Close ends the port and its flows.
func (u *udpPort) Close() error {
	err := u.conn.Close()
	u.mu.Lock()
	defer u.mu.Unlock()
	u.closed = true
	for _, f := range u.flows {
		f.server.SetReadDeadline(time.Unix(1, 0))
	}
	return err
}
