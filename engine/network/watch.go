package network

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// quiet is how long the firewall must be left alone before it is looked at: who reloads it makes many changes in a row.
const quiet = 100 * time.Millisecond

// again is the longest time that a failure to put things back is left alone: the firewall's own program may be away for a
// moment, or for good.
const again = time.Second

// pauseAfter is how long to wait, besides quiet, after one more failure: it grows, so that a program that is restarting is
// not waited for longer than it takes.
func pauseAfter(last time.Duration) time.Duration { return min(last+quiet/2, again) }

// WatchTables calls lost at once, and then each time that tables of the kernel's firewall have been deleted, as by a reload
// or by `nft flush ruleset`, until ctx is done. After a failure it is called again soon.
func WatchTables(ctx context.Context, lost func() error) error {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_NETFILTER)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if err := unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: 1 << (unix.NFNLGRP_NFTABLES - 1)}); err != nil {
		return fmt.Errorf("listen to changes of the firewall: %w", err)
	}
	buf := make([]byte, 1<<16)
	pending, pause := true, time.Duration(0)
	for ctx.Err() == nil {
		fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
		n, err := unix.Poll(fds, int(quiet/time.Millisecond))
		if err != nil && !errors.Is(err, unix.EINTR) {
			return err
		}
		if n <= 0 {
			wait := again
			if pending = pending && lost() != nil; pending {
				pause = pauseAfter(pause)
				wait = pause
			} else {
				pause = 0
			}
			if err := waitFor(ctx, fd, wait, pending); err != nil {
				return err
			}
			continue
		}
		size, _, err := unix.Recvfrom(fd, buf, unix.MSG_DONTWAIT)
		switch {
		case errors.Is(err, unix.ENOBUFS): // more than the kernel keeps for us: anything may have happened
			pending = true
		case errors.Is(err, unix.EAGAIN), errors.Is(err, unix.EINTR):
		case err != nil:
			return fmt.Errorf("changes of the firewall: %w", err)
		default:
			pending = pending || deletesTable(buf[:size])
		}
	}
	return nil
}

// waitFor returns when the socket has something to say, or ctx is done, or, with briefly, after that time.
func waitFor(ctx context.Context, fd int, wait time.Duration, briefly bool) error {
	for ctx.Err() == nil {
		fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
		n, err := unix.Poll(fds, int(wait/time.Millisecond))
		if n > 0 || n == 0 && briefly {
			return nil
		}
		if err != nil && !errors.Is(err, unix.EINTR) {
			return err
		}
	}
	return nil
}

// deletesTable looks for the message among those of a datagram (netlink(7), struct nlmsghdr).
func deletesTable(b []byte) bool {
	for len(b) >= unix.SizeofNlMsghdr {
		size := int(binary.NativeEndian.Uint32(b))
		if size < unix.SizeofNlMsghdr || size > len(b) {
			return false
		}
		if binary.NativeEndian.Uint16(b[4:]) == unix.NFNL_SUBSYS_NFTABLES<<8|unix.NFT_MSG_DELTABLE {
			return true
		}
		b = b[min((size+3)&^3, len(b)):]
	}
	return false
}
