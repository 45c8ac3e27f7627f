//go:build linux

package batch

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Socket is a bound UDP socket. Who reads it waits in the kernel, with a thread of his own.
type Socket struct {
	fd     int
	family int
	at     netip.AddrPort
	over   atomic.Bool
}

// buffer rides out 30 ms of a full gigabit; the kernel may give less.
const buffer = 4 << 20

// Bind makes a socket; control may change it before it is bound, or is nil. It is to be closed.
func Bind(ctx context.Context, at netip.AddrPort, control func(network, addr string, c syscall.RawConn) error) (*Socket, error) {
	config := net.ListenConfig{Control: control}
	made, err := config.ListenPacket(ctx, "udp", at.String())
	if err != nil {
		return nil, err
	}
	conn, ok := made.(*net.UDPConn)
	if !ok {
		return nil, errors.Join(net.UnknownNetworkError(at.String()), made.Close())
	}
	s := &Socket{fd: -1}
	err = errors.Join(conn.SetReadBuffer(buffer), conn.SetWriteBuffer(buffer), s.take(conn), conn.Close())
	if err != nil && s.fd >= 0 {
		err = errors.Join(err, s.Close())
	}
	return s, err
}

// take makes another descriptor of a connection's socket, one that waits. Go's poller
// knows the connection's, until that is closed.
func (s *Socket) take(conn *net.UDPConn) (err error) {
	if s.at, err = netip.ParseAddrPort(conn.LocalAddr().String()); err != nil {
		return err
	}
	raw, err := conn.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	err = raw.Control(func(fd uintptr) { s.fd, s.family, failed = Duplicate(fd) })
	if err = errors.Join(err, failed); err != nil {
		return err
	}
	return unix.SetNonblock(s.fd, false)
}

// Duplicate makes another descriptor of a socket, and says of what family it is.
func Duplicate(of uintptr) (fd, family int, err error) {
	if fd, err = unix.FcntlInt(of, unix.F_DUPFD_CLOEXEC, 0); err != nil {
		return -1, 0, err
	}
	if family, err = unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_DOMAIN); err != nil {
		return -1, 0, errors.Join(err, unix.Close(fd))
	}
	return fd, family, nil
}

// SharePort lets several sockets have a port; it is a control of Bind.
func SharePort(_, _ string, c syscall.RawConn) error {
	var failed error
	err := c.Control(func(fd uintptr) {
		failed = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEPORT, 1)
	})
	return errors.Join(err, failed)
}

// Descriptor is for calls of Messages, until Close.
func (s *Socket) Descriptor() int { return s.fd }

// Family is AF_INET or AF_INET6.
func (s *Socket) Family() int { return s.family }

// Address is where it is bound.
func (s *Socket) Address() netip.AddrPort { return s.at }

// Shut ends reading: who waits comes back.
func (s *Socket) Shut() {
	s.over.Store(true)
	_ = unix.Shutdown(s.fd, unix.SHUT_RD) // it wakes who waits, and says that there is no connection
}

// Over says whether it was shut.
func (s *Socket) Over() bool { return s.over.Load() }

// SetPatience bounds how long Messages.Wait waits at the socket.
func (s *Socket) SetPatience(most time.Duration) error {
	at := unix.NsecToTimeval(most.Nanoseconds())
	return unix.SetsockoptTimeval(s.fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &at)
}

// Await waits in the kernel until something comes to a socket or one is shut, or for
// so long, to a millisecond. It may come back before.
func Await(sockets []*Socket, most time.Duration) {
	var room [2]unix.PollFd
	of := room[:0]
	for _, s := range sockets {
		of = append(of, unix.PollFd{Fd: int32(s.fd), Events: unix.POLLIN})
	}
	_, _ = unix.Poll(of, int(most.Milliseconds()))
}

// Close gives the descriptor back, when nobody uses the socket any more.
func (s *Socket) Close() error { return unix.Close(s.fd) }
