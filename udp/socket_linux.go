package udp

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"strconv"
	"sync/atomic"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/throng-gg/throng/udp/batch"
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

	in, out *batch.Messages
	room    [batch.Size][readSize]byte
}

func newSocket(c *net.UDPConn) (*socket, error) {
	s := &socket{in: batch.New(), out: batch.New()}
	raw, err := c.SyscallConn()
	if err != nil {
		return nil, err
	}
	var failed error
	err = raw.Control(func(fd uintptr) {
		// Another descriptor, as the poller knows c's, until c is closed.
		s.fd, s.family, failed = batch.Duplicate(fd)
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
	for i := range s.room {
		s.in.SetBuffer(i, s.room[i][:])
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

// read takes what there is, up to batch.Size datagrams, and does not wait.
func (s *socket) read() (int, error) {
	if s.over.Load() {
		return 0, net.ErrClosed
	}
	n, errno := s.in.Receive(s.fd)
	if errno != 0 && errno != unix.EAGAIN && errno != unix.EINTR {
		return 0, errno
	}
	return n, nil
}

// at is one datagram of those that were read, until the next read.
func (s *socket) at(i int) (datagram []byte, from netip.AddrPort) {
	return s.room[i][:min(s.in.Len(i), readSize)], addrPort(s.in.From(i))
}

// write sends datagrams, at most batch.Size, and says how many went before one that
// the kernel refused.
func (s *socket) write(datagrams []outgoing) (int, error) {
	if s.over.Load() {
		return 0, net.ErrClosed
	}
	for i, d := range datagrams {
		s.setTo(i, d.to)
		s.out.SetBuffer(i, d.data)
	}
	n, errno := s.out.Send(s.fd, 0, len(datagrams))
	if errno != 0 {
		return 0, errno
	}
	return n, nil
}

// close ends waiting, reading and writing, once. It is called under the mutex.
func (s *socket) close() error {
	if s.over.Swap(true) {
		return nil
	}
	return errors.Join(s.set.Close(), unix.Close(s.fd))
}

func addrPort(name *batch.Name) netip.AddrPort {
	ip, port, scope := name.Address()
	a := netip.AddrFrom16(ip)
	if a.Is4In6() {
		a = a.Unmap()
	} else if scope != 0 {
		a = a.WithZone(strconv.Itoa(int(scope)))
	}
	return netip.AddrPortFrom(a, port)
}

// setTo says where a datagram goes. What the socket's family has no address for goes
// nowhere: to port 0, which the kernel refuses.
func (s *socket) setTo(i int, to netip.AddrPort) {
	ip, port, scope := to.Addr(), to.Port(), 0
	if s.family == unix.AF_INET && !ip.Unmap().Is4() {
		ip, port = netip.IPv4Unspecified(), 0
	}
	if zone := ip.Zone(); zone != "" {
		scope, _ = strconv.Atoi(zone) // as addrPort made it
	}
	s.out.SetTo(i, ip.As16(), port, uint32(scope), s.family)
}
