// berth-host-agent runs inside a test machine and carries out the commands that come in over a stream:
//
//	berth-host-agent /run/berth-test/agent              a unix socket that the outside listens on
//	berth-host-agent /dev/virtio-ports/berth.agent      a serial port of a virtual machine
package main

import (
	"fmt"
	"io"
	"net"
	"os"

	"github.com/berth-pods/berth/test/e2e/hosts/agent"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: berth-host-agent SOCKET|PORT")
		os.Exit(2)
	}
	if err := serve(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "berth-host-agent:", err)
		os.Exit(1)
	}
}

func serve(path string) error {
	stream, err := open(path)
	if err != nil {
		return err
	}
	defer stream.Close()
	return agent.Serve(stream)
}

func open(path string) (io.ReadWriteCloser, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if info.Mode().Type() == os.ModeSocket {
		return net.Dial("unix", path)
	}
	return os.OpenFile(path, os.O_RDWR, 0)
}
