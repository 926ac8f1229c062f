package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// attribute is one netlink attribute; nested ones are decoded on demand.
type attribute struct {
	kind  uint16
	value []byte
}

// message is one answer of a dump: a fixed header of the family, then attributes.
type message struct {
	kind   uint16
	header []byte
	attrs  []attribute
}

// dump asks the kernel for all objects of one kind in the network namespace
// of the calling thread. Header is the length of the fixed part of an answer.
func dump(protocol int, kind uint16, request []byte, header int) ([]message, error) {
	all, err := talk(protocol, kind, unix.NLM_F_REQUEST|unix.NLM_F_DUMP, request)
	if err != nil {
		return nil, err
	}
	var messages []message
	for _, m := range all {
		if len(m.header) < header {
			continue
		}
		m.attrs = parseAttributes(m.header[header:])
		m.header = m.header[:header]
		messages = append(messages, m)
	}
	return messages, nil
}

// talk sends one request and returns the answers up to the end or the
// acknowledgement, each with its whole payload in header.
func talk(protocol int, kind uint16, flags uint16, request []byte) ([]message, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, protocol)
	if err != nil {
		return nil, fmt.Errorf("open netlink: %w", err)
	}
	defer unix.Close(fd)
	packet := make([]byte, unix.NLMSG_HDRLEN, unix.NLMSG_HDRLEN+len(request))
	binary.NativeEndian.PutUint32(packet[0:], uint32(unix.NLMSG_HDRLEN+len(request)))
	binary.NativeEndian.PutUint16(packet[4:], kind)
	binary.NativeEndian.PutUint16(packet[6:], flags)
	packet = append(packet, request...)
	if err := unix.Sendto(fd, packet, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return nil, fmt.Errorf("ask netlink: %w", err)
	}
	var messages []message
	buffer := make([]byte, 1<<17)
	for {
		n, _, err := unix.Recvfrom(fd, buffer, 0)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("read netlink: %w", err)
		}
		some, done, err := parseMessages(append([]byte(nil), buffer[:n]...))
		messages = append(messages, some...)
		if done || err != nil {
			return messages, err
		}
	}
}

// parseMessages cuts a datagram; done when it holds the end of the answer.
func parseMessages(data []byte) (messages []message, done bool, err error) {
	for len(data) >= unix.NLMSG_HDRLEN {
		length := int(binary.NativeEndian.Uint32(data))
		kind := binary.NativeEndian.Uint16(data[4:])
		if length < unix.NLMSG_HDRLEN || length > len(data) {
			return messages, true, fmt.Errorf("netlink message of %d bytes in %d", length, len(data))
		}
		payload := data[unix.NLMSG_HDRLEN:length]
		switch kind {
		case unix.NLMSG_DONE:
			return messages, true, nil
		case unix.NLMSG_ERROR:
			if len(payload) >= 4 {
				if code := int32(binary.NativeEndian.Uint32(payload)); code != 0 {
					return messages, true, os.NewSyscallError("netlink", unix.Errno(-code))
				}
			}
			return messages, true, nil
		}
		messages = append(messages, message{kind: kind, header: payload})
		data = data[min(align(length), len(data)):]
	}
	return messages, false, nil
}

// parseAttributes cuts a run of attributes; the two high bits of the kind
// are flags and are dropped.
func parseAttributes(data []byte) []attribute {
	var attrs []attribute
	for len(data) >= unix.SizeofRtAttr {
		length := int(binary.NativeEndian.Uint16(data))
		if length < unix.SizeofRtAttr || length > len(data) {
			break
		}
		kind := binary.NativeEndian.Uint16(data[2:]) & 0x3fff
		attrs = append(attrs, attribute{kind, data[unix.SizeofRtAttr:length]})
		data = data[min(align(length), len(data)):]
	}
	return attrs
}

func align(n int) int { return (n + 3) &^ 3 }

// get returns the value of the first attribute of a kind, nil when absent.
func get(attrs []attribute, kind uint16) []byte {
	for _, a := range attrs {
		if a.kind == kind {
			return a.value
		}
	}
	return nil
}

// text is a string attribute without its final NUL.
func text(value []byte) string {
	if n := len(value); n > 0 && value[n-1] == 0 {
		value = value[:n-1]
	}
	return string(value)
}

// number is a 32-bit attribute in the machine's byte order, 0 when absent.
func number(value []byte) uint32 {
	if len(value) < 4 {
		return 0
	}
	return binary.NativeEndian.Uint32(value)
}
