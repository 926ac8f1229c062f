package usernet

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// forwarder opens published ports on the host and connects those who come with the containers. It is in the host's network
// namespace; only the sockets to the containers are made in the user's.
type forwarder struct {
	net  Net
	ns   *os.File // the user's network namespace
	warn func(format string, args ...any)
	// transparent says that a socket may have the client's address.
	transparent bool

	mu   sync.Mutex
	open map[string][]io.Closer // by container
}

// serve answers those who publish and withdraw.
func (w *forwarder) serve(control net.Listener) {
	for {
		conn, err := accept(control)
		if err != nil {
			return
		}
		go func() {
			defer conn.Close()
			conn.SetDeadline(time.Now().Add(answerPatience))
			buf := make([]byte, 256)
			size, err := conn.Read(buf)
			id, _, whole := strings.Cut(string(buf[:size]), "\n")
			if err != nil || !whole || id != filepath.Base(id) || strings.HasPrefix(id, ".") {
				io.WriteString(conn, "error: an ID is wanted\n")
				return
			}
			if err := w.load(id); err != nil {
				fmt.Fprintf(conn, "error: %v\n", err)
				return
			}
			io.WriteString(conn, "ok\n")
		}()
	}
}

// accept waits for the next who comes, as long as the listener is not closed.
func accept(l net.Listener) (net.Conn, error) {
	for {
		conn, err := l.Accept()
		if err == nil || errors.Is(err, net.ErrClosed) {
			return conn, err
		}
		time.Sleep(50 * time.Millisecond) // no file is free, for one
	}
}

// loadAll opens the ports of all containers, as after a restart.
func (w *forwarder) loadAll() {
	list, _ := os.ReadDir(w.net.file("ports"))
	for _, e := range list {
		if strings.HasPrefix(e.Name(), ".") { // half written
			continue
		}
		if err := w.load(e.Name()); err != nil {
			w.warn("%v", err)
		}
	}
}

// load closes the container's ports and opens those that are written down now.
func (w *forwarder) load(id string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, c := range w.open[id] {
		c.Close()
	}
	delete(w.open, id)
	list, err := readPublished(w.net.portsOf(id))
	if err != nil {
		return err
	}
	var opened []io.Closer
	for _, f := range list {
		c, err := w.listen(f)
		if err != nil {
			for _, c := range opened {
				c.Close()
			}
			return fmt.Errorf("port %d/%s: %w", f.HostPort, f.Protocol, err)
		}
		opened = append(opened, c)
	}
	if len(opened) > 0 {
		w.open[id] = opened
	}
	return nil
}

func (w *forwarder) listen(f Forward) (io.Closer, error) {
	address := net.JoinHostPort(f.HostIP, fmt.Sprint(f.HostPort))
	if f.Protocol == "udp" {
		l, err := net.ListenPacket("udp", address)
		if err != nil {
			return nil, reason(err)
		}
		u := &udpPort{forwarder: w, forward: f, conn: l.(*net.UDPConn), flows: map[netip.AddrPort]*udpFlow{}}
		if err := u.wantAddresses(); err != nil {
			l.Close()
			return nil, err
		}
		go u.serve()
		return u, nil
	}
	l, err := net.Listen("tcp", address)
	if err != nil {
		return nil, reason(err)
	}
	go w.serveTCP(l, f)
	return l, nil
}

// reason takes the system's reason out of the library's sentence.
func reason(err error) error {
	var sys *os.SyscallError
	if errors.As(err, &sys) {
		return sys.Err
	}
	return err
}

func (w *forwarder) serveTCP(l net.Listener, f Forward) {
	for {
		conn, err := accept(l)
		if err != nil {
			return
		}
		go w.connect(conn.(*net.TCPConn), f)
	}
}

// connect connects a client with the container and stays until both sides have said all.
func (w *forwarder) connect(client *net.TCPConn, f Forward) {
	defer client.Close()
	peer := client.RemoteAddr().(*net.TCPAddr).AddrPort()
	server, err := w.dial(f, peer)
	if err != nil {
		client.SetLinger(0) // the client sees a connection that is refused, though late
		return
	}
	defer server.Close()
	done := make(chan struct{})
	go func() {
		io.Copy(server, client)
		server.CloseWrite()
		close(done)
	}()
	io.Copy(client, server)
	client.CloseWrite()
	<-done
}

// dialPatience is how long a container may take to accept.
const dialPatience = 10 * time.Second

func (w *forwarder) dial(f Forward, peer netip.AddrPort) (*net.TCPConn, error) {
	c, err := w.socket(f, peer, unix.SOCK_STREAM)
	if err != nil {
		return nil, err
	}
	tcp, ok := c.(*net.TCPConn)
	if !ok {
		c.Close()
		return nil, errors.New("not a TCP connection")
	}
	return tcp, nil
}

// socket makes a socket that is connected with the container, as far as it can be with the client's address and port.
func (w *forwarder) socket(f Forward, peer netip.AddrPort, kind int) (net.Conn, error) {
	to, from, ok := f.destination(peer.Addr())
	if !ok {
		return nil, errors.New("the container has no address")
	}
	if !w.transparent {
		from = netip.Addr{}
	}
	var fd int
	err := within(w.ns, func() (err error) {
		fd, err = unix.Socket(family(to), kind|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
		return err
	})
	if err != nil {
		return nil, err
	}
	file := os.NewFile(uintptr(fd), "container")
	defer file.Close()
	if from.IsValid() {
		if err := bindAs(fd, from, peer.Port()); err != nil {
			return nil, err
		}
	}
	if err := connectTo(file, sockaddr(to, f.Port)); err != nil {
		return nil, err
	}
	return net.FileConn(file)
}

// bindAs gives the socket an address that is not of this machine (ip(7), IP_TRANSPARENT) and marks what it sends, so that
// the answers are known. The port is the client's, if it is free.
func bindAs(fd int, from netip.Addr, port uint16) error {
	level, option := unix.SOL_IP, unix.IP_TRANSPARENT
	if !from.Is4() {
		level, option = unix.SOL_IPV6, unix.IPV6_TRANSPARENT
	}
	err := errors.Join(
		unix.SetsockoptInt(fd, level, option, 1),
		unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1),
		unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_MARK, outMark),
	)
	if err != nil {
		return err
	}
	err = unix.Bind(fd, sockaddr(from, port))
	if errors.Is(err, unix.EADDRINUSE) {
		err = unix.Bind(fd, sockaddr(from, 0))
	}
	return err
}

// connectTo connects the socket without blocking the thread.
func connectTo(file *os.File, to unix.Sockaddr) error {
	if err := file.SetDeadline(time.Now().Add(dialPatience)); err != nil {
		return err
	}
	raw, err := file.SyscallConn()
	if err != nil {
		return err
	}
	var result error
	err = raw.Write(func(fd uintptr) bool {
		result = unix.Connect(int(fd), to)
		return !errors.Is(result, unix.EINPROGRESS) && !errors.Is(result, unix.EALREADY)
	})
	if errors.Is(result, unix.EISCONN) {
		result = nil
	}
	return errors.Join(err, result)
}

func family(a netip.Addr) int {
	if a.Is4() {
		return unix.AF_INET
	}
	return unix.AF_INET6
}

func sockaddr(a netip.Addr, port uint16) unix.Sockaddr {
	if a.Is4() {
		return &unix.SockaddrInet4{Port: int(port), Addr: a.As4()}
	}
	return &unix.SockaddrInet6{Port: int(port), Addr: a.As16()}
}
