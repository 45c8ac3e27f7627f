//go:build linux

package batch

import (
	"encoding/binary"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// message is the kernel's struct mmsghdr.
type message struct {
	head unix.Msghdr
	size uint32
	_    [4]byte
}

// Messages are up to Size datagrams that one call reads or writes. They must not be copied.
type Messages struct {
	messages [Size]message
	parts    [Size]unix.Iovec
	names    [Size]Name
	named    int // of how many the name's room may be cut to a name
}

// New returns messages without buffers.
func New() *Messages {
	m := &Messages{}
	for i := range m.messages {
		head := &m.messages[i].head
		head.Name, head.Namelen = &m.names[i][0], unix.SizeofSockaddrInet6
		head.Iov = &m.parts[i]
		head.SetIovlen(1)
	}
	return m
}

// SetBuffer says where a datagram is, or comes to; what is longer is cut.
func (m *Messages) SetBuffer(i int, b []byte) {
	m.parts[i].Base = unsafe.SliceData(b)
	m.parts[i].SetLen(len(b))
}

// SetControl says what control data go with a datagram that is sent.
func (m *Messages) SetControl(i int, b []byte) {
	m.messages[i].head.Control = unsafe.SliceData(b)
	m.messages[i].head.SetControllen(len(b))
}

// Len is how many bytes of a datagram came.
func (m *Messages) Len(i int) int { return int(m.messages[i].size) }

// From is who sent a datagram that came.
func (m *Messages) From(i int) *Name { return &m.names[i] }

// SetTo says where a datagram goes, from a socket of a family.
func (m *Messages) SetTo(i int, ip [16]byte, port uint16, scope uint32, family int) {
	m.messages[i].head.Namelen = m.names[i].set(ip, port, scope, family)
	m.named = max(m.named, i+1)
}

// Wait waits for at least one datagram, in the kernel, and returns how many came. It is an
// error too if the socket's time for that is over, or a signal came.
func (m *Messages) Wait(fd int) (int, syscall.Errno) {
	m.anybody()
	n, _, errno := unix.Syscall6(unix.SYS_RECVMMSG, uintptr(fd), uintptr(unsafe.Pointer(&m.messages[0])), Size, unix.MSG_WAITFORONE, 0, 0)
	m.named, errno = count(n, errno)
	return m.named, errno
}

// Receive takes what there is. EAGAIN: nothing.
func (m *Messages) Receive(fd int) (int, syscall.Errno) {
	m.anybody()
	// Raw, as it never waits: another call wakes a thread of the runtime's.
	n, _, errno := unix.RawSyscall6(unix.SYS_RECVMMSG, uintptr(fd), uintptr(unsafe.Pointer(&m.messages[0])), Size, unix.MSG_DONTWAIT, 0, 0)
	m.named, errno = count(n, errno)
	return m.named, errno
}

func (m *Messages) anybody() {
	for i := range m.named {
		m.messages[i].head.Namelen = unix.SizeofSockaddrInet6
	}
}

// Send sends datagrams from one to before another, and returns how many went before one that
// the kernel refused, and if it was the first, why.
func (m *Messages) Send(fd, from, to int) (int, syscall.Errno) {
	if from >= to {
		return 0, 0
	}
	n, _, errno := unix.RawSyscall6(unix.SYS_SENDMMSG, uintptr(fd), uintptr(unsafe.Pointer(&m.messages[from])), uintptr(to-from), unix.MSG_DONTWAIT, 0, 0)
	return count(n, errno)
}

func count(n uintptr, errno syscall.Errno) (int, syscall.Errno) {
	if errno != 0 {
		return 0, errno
	}
	return int(n), 0
}

// Name is a socket address of either version, as the kernel has it.
type Name [unix.SizeofSockaddrInet6]byte

// Address returns the IP, of version 4 mapped to 6, the port, and the scope or zero.
func (n *Name) Address() (ip [16]byte, port uint16, scope uint32) {
	port = binary.BigEndian.Uint16(n[2:])
	if binary.NativeEndian.Uint16(n[:]) == unix.AF_INET {
		ip[10], ip[11] = 0xff, 0xff
		copy(ip[12:], n[4:8])
		return ip, port, 0
	}
	copy(ip[:], n[8:24])
	return ip, port, binary.NativeEndian.Uint32(n[24:])
}

// set writes an address for a socket of a family and returns its size.
func (n *Name) set(ip [16]byte, port uint16, scope uint32, family int) uint32 {
	clear(n[:])
	binary.NativeEndian.PutUint16(n[:], uint16(family))
	binary.BigEndian.PutUint16(n[2:], port)
	if family == unix.AF_INET {
		copy(n[4:], ip[12:])
		return unix.SizeofSockaddrInet4
	}
	copy(n[8:], ip[:])
	binary.NativeEndian.PutUint32(n[24:], scope)
	return unix.SizeofSockaddrInet6
}
