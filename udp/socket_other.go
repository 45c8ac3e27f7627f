//go:build !linux

package udp

import (
	"net"
	"net/netip"
	"sync/atomic"
)

// socket is a bound UDP socket; see that of Linux. Here each datagram is a call, and
// wakes its reader.
type socket struct {
	conn *net.UDPConn

	ahead     atomic.Bool // wait took one, which read has not
	size, now int
	from, by  netip.AddrPort
	next      [readSize]byte // wait's
	room      [readSize]byte // read's
}

func newSocket(c *net.UDPConn) (*socket, error) { return &socket{conn: c}, nil }

// wait returns when there is a datagram. Its error says that the socket is closed.
func (s *socket) wait() (err error) {
	if s.ahead.Load() {
		return nil
	}
	if s.size, s.from, err = s.conn.ReadFromUDPAddrPort(s.next[:]); err == nil {
		s.ahead.Store(true)
	}
	return err
}

// read takes what there is and does not wait.
func (s *socket) read() (int, error) {
	if !s.ahead.Load() {
		return 0, nil
	}
	s.now, s.by, s.room = s.size, s.from, s.next
	s.ahead.Store(false)
	return 1, nil
}

// at is one datagram of those that were read, until the next read.
func (s *socket) at(int) (datagram []byte, from netip.AddrPort) { return s.room[:s.now], s.by }

// write sends datagrams, and says how many went before one that the kernel refused.
func (s *socket) write(datagrams []outgoing) (int, error) {
	for i, d := range datagrams {
		if _, err := s.conn.WriteToUDPAddrPort(d.data, d.to); err != nil {
			return i, err
		}
	}
	return len(datagrams), nil
}

// close ends waiting, reading and writing.
func (s *socket) close() error { return s.conn.Close() }
