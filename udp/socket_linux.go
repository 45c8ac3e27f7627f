package udp

import (
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"os"
	"strconv"
	"sync/atomic"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// socket is a bound UDP socket that is read and written many datagrams at a call,
// and that wakes its reader when that asks to be woken only. A net.UDPConn wakes
// the runtime's poller for each datagram, whether anybody waits for it or not.
//
// One goroutine waits; read and write are guarded by the Transport's mutex.
type socket struct {
	fd     int
	family int
	over   atomic.Bool

	// An epoll set that has the socket alone, for one event at a time.
	set   *os.File
	raw   syscall.RawConn
	look  func(set uintptr) bool
	armed bool
	event [1]unix.EpollEvent

	in, out batch
	room    [batchSize][readSize]byte
}

// message is the kernel's struct mmsghdr.
type message struct {
	head unix.Msghdr
	size uint32
	_    [4]byte
}

// batch is what one call takes.
type batch struct {
	messages [batchSize]message
	parts    [batchSize]unix.Iovec
	names    [batchSize]rawName
}

// rawName is a socket address of either version, as the kernel has it.
type rawName [unix.SizeofSockaddrInet6]byte

func newSocket(c *net.UDPConn) (*socket, error) {
	s := &socket{}
	raw, err := c.SyscallConn()
	if err != nil {
		return nil, err
	}
	var failed error
	err = raw.Control(func(fd uintptr) {
		// Another descriptor, as the poller knows c's, until c is closed.
		if s.fd, failed = unix.FcntlInt(fd, unix.F_DUPFD_CLOEXEC, 0); failed == nil {
			s.family, failed = unix.GetsockoptInt(s.fd, unix.SOL_SOCKET, unix.SO_DOMAIN)
		}
	})
	if err = errors.Join(err, failed); err != nil {
		return nil, err
	}
	set, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, errors.Join(err, unix.Close(s.fd))
	}
	err = errors.Join(unix.SetNonblock(set, true), unix.EpollCtl(set, unix.EPOLL_CTL_ADD, s.fd, &unix.EpollEvent{}))
	s.set, s.look = os.NewFile(uintptr(set), "epoll"), s.ready
	if s.raw, failed = s.set.SyscallConn(); err != nil || failed != nil {
		return nil, errors.Join(err, failed, s.set.Close(), unix.Close(s.fd))
	}
	for i := range batchSize {
		for b, part := range map[*batch]*byte{&s.in: &s.room[i][0], &s.out: nil} {
			head := &b.messages[i].head
			head.Name, head.Iov = &b.names[i][0], &b.parts[i]
			head.SetIovlen(1)
			b.parts[i].Base = part
			b.parts[i].SetLen(readSize)
		}
	}
	return s, c.Close()
}

// wait returns when there is a datagram. Its error says that the socket is closed.
func (s *socket) wait() error {
	s.armed = false
	return s.raw.Read(s.look)
}

// ready asks to be woken, once, and says whether there is no need to wait.
func (s *socket) ready(set uintptr) bool {
	if !s.armed {
		s.armed = true
		s.event[0] = unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLONESHOT}
		if unix.EpollCtl(int(set), unix.EPOLL_CTL_MOD, s.fd, &s.event[0]) != nil {
			return true // it is closed, which read says
		}
	}
	n, err := unix.EpollWait(int(set), s.event[:], 0)
	return n > 0 || err != nil && !errors.Is(err, unix.EINTR)
}

// read takes what there is, up to batchSize datagrams, and does not wait.
func (s *socket) read() (int, error) {
	if s.over.Load() {
		return 0, net.ErrClosed
	}
	for i := range s.in.messages {
		s.in.messages[i].head.Namelen = unix.SizeofSockaddrInet6
	}
	// Raw, as it never waits: another call wakes a thread of the runtime's.
	n, _, errno := unix.RawSyscall6(unix.SYS_RECVMMSG, uintptr(s.fd), uintptr(unsafe.Pointer(&s.in.messages[0])), batchSize, unix.MSG_DONTWAIT, 0, 0)
	if errno == unix.EAGAIN || errno == unix.EINTR {
		return 0, nil
	}
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}

// at is one datagram of those that were read, until the next read.
func (s *socket) at(i int) (datagram []byte, from netip.AddrPort) {
	return s.room[i][:min(int(s.in.messages[i].size), readSize)], s.in.names[i].addrPort()
}

// write sends datagrams, at most batchSize, and says how many went before one that
// the kernel refused.
func (s *socket) write(datagrams []outgoing) (int, error) {
	if s.over.Load() {
		return 0, net.ErrClosed
	}
	for i, d := range datagrams {
		s.out.messages[i].head.Namelen = s.out.names[i].set(d.to, s.family)
		s.out.parts[i].Base = unsafe.SliceData(d.data)
		s.out.parts[i].SetLen(len(d.data))
	}
	n, _, errno := unix.RawSyscall6(unix.SYS_SENDMMSG, uintptr(s.fd), uintptr(unsafe.Pointer(&s.out.messages[0])), uintptr(len(datagrams)), unix.MSG_DONTWAIT, 0, 0)
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}

// close ends waiting, reading and writing, once. It is called under the mutex.
func (s *socket) close() error {
	if s.over.Swap(true) {
		return nil
	}
	return errors.Join(s.set.Close(), unix.Close(s.fd))
}

func (r *rawName) addrPort() netip.AddrPort {
	port := binary.BigEndian.Uint16(r[2:])
	if binary.NativeEndian.Uint16(r[:]) == unix.AF_INET {
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte(r[4:8])), port)
	}
	ip := netip.AddrFrom16([16]byte(r[8:24]))
	if scope := binary.NativeEndian.Uint32(r[24:]); scope != 0 {
		ip = ip.WithZone(strconv.Itoa(int(scope)))
	}
	return netip.AddrPortFrom(ip, port)
}

// set writes an address for a socket of a family and returns its size.
func (r *rawName) set(a netip.AddrPort, family int) uint32 {
	clear(r[:])
	binary.NativeEndian.PutUint16(r[:], uint16(family))
	binary.BigEndian.PutUint16(r[2:], a.Port())
	if family == unix.AF_INET {
		ip := a.Addr().Unmap()
		if !ip.Is4() {
			ip = netip.IPv4Unspecified() // refused, as the port is none
			binary.BigEndian.PutUint16(r[2:], 0)
		}
		b := ip.As4()
		copy(r[4:], b[:])
		return unix.SizeofSockaddrInet4
	}
	b := a.Addr().As16()
	copy(r[8:], b[:])
	if zone := a.Addr().Zone(); zone != "" {
		scope, _ := strconv.Atoi(zone) // as addrPort made it
		binary.NativeEndian.PutUint32(r[24:], uint32(scope))
	}
	return unix.SizeofSockaddrInet6
}
