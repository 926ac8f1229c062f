package engine

import (
	"testing"

	"golang.org/x/sys/unix"
)

func TestSourceTo(t *testing.T) {
	for want, to := range map[string]unix.Sockaddr{
		"127.0.0.1": &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}, Port: 9}, "::1": &unix.SockaddrInet6{Addr: [16]byte{15: 1}, Port: 9},
	} {
		if got := sourceTo(to); got.IsValid() && got.String() != want { // a machine may lack one of the two kinds
			t.Errorf("towards %s: %s", want, got)
		}
	}
	if got := sourceTo(&unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}, Port: 9}); !got.IsValid() {
		t.Error("the loopback device has no address")
	}
}
