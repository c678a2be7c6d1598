package netns

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net/netip"
	"os"
	"syscall"
)

// loopback is the index of lo, the first interface of every namespace.
const loopback = 1

// Prepare brings lo up and makes every address of a range local, so that a process
// can listen on any of them. It is what "ip link set lo up" and "ip route add local
// RANGE dev lo" do, without that program.
func Prepare(addresses string) error {
	prefix, err := netip.ParsePrefix(addresses)
	if err != nil {
		return fmt.Errorf("reading the range: %w", err)
	}
	socket, err := syscall.Socket(syscall.AF_NETLINK, syscall.SOCK_RAW|syscall.SOCK_CLOEXEC, syscall.NETLINK_ROUTE)
	if err != nil {
		return fmt.Errorf("opening a netlink socket: %w", err)
	}
	defer func() { _ = syscall.Close(socket) }()
	up := message(syscall.IfInfomsg{Index: loopback, Flags: syscall.IFF_UP, Change: syscall.IFF_UP})
	if err := change(socket, syscall.RTM_NEWLINK, 0, up); err != nil {
		return fmt.Errorf("bringing lo up: %w", err)
	}
	network := prefix.Masked().Addr().As4()
	route := message(
		syscall.RtMsg{
			Family: syscall.AF_INET, Dst_len: uint8(prefix.Bits()), Table: syscall.RT_TABLE_LOCAL, //nolint:gosec // At most 32.
			Protocol: syscall.RTPROT_STATIC, Scope: syscall.RT_SCOPE_HOST, Type: syscall.RTN_LOCAL,
		},
		attribute{Len: attributeSize, Type: syscall.RTA_DST, Value: network},
		attribute{Len: attributeSize, Type: syscall.RTA_OIF, Value: [4]byte(message(uint32(loopback)))},
	)
	if err := change(socket, syscall.RTM_NEWROUTE, syscall.NLM_F_CREATE|syscall.NLM_F_EXCL, route); err != nil {
		return fmt.Errorf("making %s local: %w", prefix, err)
	}
	return nil
}

// attribute is an attribute of four bytes.
type attribute struct {
	Len, Type uint16
	Value     [4]byte
}

const attributeSize = 8

// message is values as the kernel lays them out.
func message(parts ...any) []byte {
	var b bytes.Buffer
	for _, part := range parts {
		if err := binary.Write(&b, binary.NativeEndian, part); err != nil {
			panic("laying out a netlink message: " + err.Error()) // They have fixed sizes.
		}
	}
	return b.Bytes()
}

// change sends a request and reads the acknowledgement.
func change(socket int, kind uint16, flags uint16, body []byte) error {
	request := message(syscall.NlMsghdr{
		Len: uint32(syscall.NLMSG_HDRLEN + len(body)), Type: kind, Flags: syscall.NLM_F_REQUEST | syscall.NLM_F_ACK | flags, Seq: 1, //nolint:gosec // A few bytes.
	})
	if err := syscall.Sendto(socket, append(request, body...), 0, &syscall.SockaddrNetlink{Family: syscall.AF_NETLINK}); err != nil {
		return os.NewSyscallError("sendto", err)
	}
	reply := make([]byte, os.Getpagesize())
	n, _, err := syscall.Recvfrom(socket, reply, 0)
	if err != nil {
		return os.NewSyscallError("recvfrom", err)
	}
	messages, err := syscall.ParseNetlinkMessage(reply[:n])
	if err != nil || len(messages) != 1 || messages[0].Header.Type != syscall.NLMSG_ERROR || len(messages[0].Data) < 4 {
		return fmt.Errorf("the kernel answered with %d messages, none of which is understood: %w", len(messages), err)
	}
	// An acknowledgement is an error of number 0; an error has a negative number.
	if number := int32(binary.NativeEndian.Uint32(messages[0].Data)); number != 0 { //nolint:gosec // It is one.
		return syscall.Errno(-number)
	}
	return nil
}
