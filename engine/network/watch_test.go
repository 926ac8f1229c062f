package network

import (
	"context"
	"encoding/binary"
	"errors"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestDeletesTable(t *testing.T) {
	message := func(kind, payload int) []byte {
		b := make([]byte, (unix.SizeofNlMsghdr+payload+3)&^3)
		binary.NativeEndian.PutUint32(b, uint32(unix.SizeofNlMsghdr+payload))
		binary.NativeEndian.PutUint16(b[4:], uint16(unix.NFNL_SUBSYS_NFTABLES<<8|kind))
		return b
	}
	rule, table := message(unix.NFT_MSG_DELRULE, 5), message(unix.NFT_MSG_DELTABLE, 20)
	for name, tt := range map[string]struct {
		datagram []byte
		want     bool
	}{
		"nothing": {nil, false}, "a rule": {rule, false}, "a table": {table, true}, "both": {append(append([]byte{}, rule...), table...), true},
		"cut off": {table[:20], false}, "no size": {make([]byte, 32), false},
	} {
		if got := deletesTable(tt.datagram); got != tt.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// TestPauseAfter: a program that is back after a second or two is noticed within half a second more, and one that stays away
// is asked for once a second.
func TestPauseAfter(t *testing.T) {
	var at, pause time.Duration
	for tries := 0; at < 2*time.Second; tries++ {
		pause = pauseAfter(pause)
		if at += pause + quiet; pause+quiet > time.Second/2 || tries > 10 {
			t.Errorf("try %d is %v after the one before, at %v", tries, pause+quiet, at)
		}
	}
	for range 30 {
		pause = pauseAfter(pause)
	}
	if pause != again {
		t.Errorf("%v in the end", pause)
	}
}

// TestWatchTablesAgain: after a failure rules are put back a moment later, with nobody saying anything.
func TestWatchTablesAgain(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	calls := 0
	err := WatchTables(ctx, func() error {
		if calls++; calls < 3 {
			return errors.New("the firewall is away")
		}
		cancel()
		return nil
	})
	if errors.Is(err, unix.EPERM) {
		t.Skip("only root may listen to the firewall")
	}
	if err != nil || calls != 3 {
		t.Errorf("%d calls, %v", calls, err)
	}
}
