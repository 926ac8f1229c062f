package usernet

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/berth-pods/berth/engine/proc"
)

// A container answers a client by the client's own address, which is not of this namespace: without more the answer would go
// out by the default route. What the forwarder's sockets send has a mark, the kernel's connection tracking keeps it, the
// answers get another one, and those are taken for local by a rule and a table of their own. The bit 0x2000 of marks is
// netavark's: what has it gets the address of the bridge.
const (
	outMark     = 0x0be1 // what goes to a container
	answerMark  = 0x0be2 // what comes back
	answerTable = 0xbe
	// rulePriority puts the rule before those that are always there.
	rulePriority = 100
)

var markRules = fmt.Sprintf(`table inet berth
delete table inet berth
table inet berth {
	chain out {
		type filter hook output priority mangle;
		meta mark %#x ct mark set meta mark
	}
	chain answers {
		type filter hook prerouting priority mangle;
		ct direction reply ct mark %#x meta mark set %#x
	}
}
`, outMark, outMark, answerMark)

// routeAnswers lets the answers to the forwarder's clients come to it, in the calling thread's network namespace.
func routeAnswers(ctx context.Context, run proc.Runner) error {
	nft, err := FindNft()
	if err != nil {
		return err
	}
	if _, err := run(ctx, proc.Command{Path: nft, Args: []string{"-f", "-"}, Stdin: strings.NewReader(markRules)}); err != nil {
		return err
	}
	lo, err := loopback()
	if err != nil {
		return err
	}
	for _, family := range []byte{unix.AF_INET, unix.AF_INET6} {
		if family == unix.AF_INET6 && !hasIPv6() {
			continue
		}
		for _, m := range []struct {
			kind uint16
			body []byte
		}{{unix.RTM_NEWRULE, answerRule(family)}, {unix.RTM_NEWROUTE, answerRoute(family, lo)}} {
			if err := ask(m.kind, m.body); err != nil && !errors.Is(err, unix.EEXIST) {
				return fmt.Errorf("route answers: %w", err)
			}
		}
	}
	return nil
}

// FindNft looks for nft also where a user's PATH does not.
func FindNft() (string, error) {
	for _, path := range []string{"nft", "/usr/sbin/nft", "/sbin/nft"} {
		if found, err := exec.LookPath(path); err == nil {
			return found, nil
		}
	}
	return "", errors.New("nft is not there, which speaks to the kernel's firewall; install the package nftables")
}

func hasIPv6() bool {
	_, err := os.Stat("/proc/sys/net/ipv6")
	return err == nil
}

// loopback brings the loopback device up and returns its number.
func loopback() (uint32, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, err
	}
	defer unix.Close(fd)
	lo, err := unix.NewIfreq("lo")
	if err != nil {
		return 0, err
	}
	lo.SetUint16(unix.IFF_UP)
	if err := unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, lo); err != nil {
		return 0, fmt.Errorf("bring the loopback device up: %w", err)
	}
	if err := unix.IoctlIfreq(fd, unix.SIOCGIFINDEX, lo); err != nil {
		return 0, err
	}
	return lo.Uint32(), nil
}

// answerRule is the body of RTM_NEWRULE: what has the mark is looked up in the table (rtnetlink(7)).
func answerRule(family byte) []byte {
	b := []byte{family, 0, 0, 0, unix.RT_TABLE_UNSPEC, 0, 0, unix.FR_ACT_TO_TBL, 0, 0, 0, 0}
	b = attribute(b, unix.FRA_PRIORITY, rulePriority)
	b = attribute(b, unix.FRA_FWMARK, answerMark)
	return attribute(b, unix.FRA_TABLE, answerTable)
}

// answerRoute is the body of RTM_NEWROUTE: all addresses are local, in the table.
func answerRoute(family byte, lo uint32) []byte {
	b := []byte{family, 0, 0, 0, answerTable, unix.RTPROT_STATIC, unix.RT_SCOPE_HOST, unix.RTN_LOCAL, 0, 0, 0, 0}
	return attribute(b, unix.RTA_OIF, lo)
}

func attribute(b []byte, kind uint16, value uint32) []byte {
	b = binary.NativeEndian.AppendUint16(b, 8)
	b = binary.NativeEndian.AppendUint16(b, kind)
	return binary.NativeEndian.AppendUint32(b, value)
}

// ask sends one request to the kernel and reads its verdict (netlink(7)).
func ask(kind uint16, body []byte) error {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_ROUTE)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	var m bytes.Buffer
	header := unix.NlMsghdr{
		Len: uint32(unix.SizeofNlMsghdr + len(body)), Type: kind, Seq: 1,
		Flags: unix.NLM_F_REQUEST | unix.NLM_F_ACK | unix.NLM_F_CREATE | unix.NLM_F_EXCL,
	}
	if err := binary.Write(&m, binary.NativeEndian, header); err != nil {
		return err
	}
	m.Write(body)
	if err := unix.Sendto(fd, m.Bytes(), 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return err
	}
	answer := make([]byte, 4096)
	size, _, err := unix.Recvfrom(fd, answer, 0)
	if err != nil {
		return err
	}
	if size < unix.SizeofNlMsghdr+4 {
		return errors.New("the kernel's answer is too short")
	}
	if code := int32(binary.NativeEndian.Uint32(answer[unix.SizeofNlMsghdr:])); code != 0 {
		return unix.Errno(-code)
	}
	return nil
}
