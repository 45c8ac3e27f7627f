package dns

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/throng-gg/throng"
)

// Bounds of a connection.
const (
	idle    = 5 * time.Second // for a query to come, all of it, and for an answer to go
	perConn = 100             // queries
)

// accept serves connections until ctx ends.
func (s *Server) accept(ctx context.Context) error {
	var serving sync.WaitGroup
	defer serving.Wait()
	for failed := 0; failed < failures; {
		conn, err := s.tcp.AcceptTCP()
		switch {
		case errors.Is(err, net.ErrClosed):
			return nil
		case err != nil: // too many files, or one that is gone already
			failed++
			select {
			case <-ctx.Done():
			case <-time.After(10 * time.Millisecond):
			}
			continue
		}
		failed = 0
		peer, err := netip.ParseAddrPort(conn.RemoteAddr().String())
		if err != nil || !s.enter(networkOf(plain(peer.Addr()))) {
			s.metrics.refused.Inc()
			_ = conn.Close()
			continue
		}
		serving.Go(func() {
			defer s.leave(networkOf(plain(peer.Addr())))
			defer func() { _ = conn.Close() }()
			defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
			s.converse(conn, plain(peer.Addr()))
		})
	}
	return throng.Errorf(throng.Internal, "%d connections to %s failed in a row", failures, s.Address())
}

// enter counts a connection; false: there are too many.
func (s *Server) enter(from netip.Prefix) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.conns >= s.config.Connections || s.open[from] >= max(1, s.config.Connections/8) {
		return false
	}
	s.conns++
	s.open[from]++
	s.metrics.conns.Set(float64(s.conns))
	return true
}

func (s *Server) leave(from netip.Prefix) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.conns--
	if s.open[from]--; s.open[from] == 0 {
		delete(s.open, from)
	}
	s.metrics.conns.Set(float64(s.conns))
}

// converse answers queries, each with its length before it, one after the other.
func (s *Server) converse(conn *net.TCPConn, from netip.Addr) {
	in, out := make([]byte, 2+maxQuery), make([]byte, maxAnswer)
	for range perConn {
		if conn.SetDeadline(time.Now().Add(idle)) != nil {
			return
		}
		if _, err := io.ReadFull(conn, in[:2]); err != nil {
			return
		}
		n := int(binary.BigEndian.Uint16(in))
		if n > maxQuery {
			s.metrics.queries[byTCP][Ignored].Inc()
			return
		}
		if _, err := io.ReadFull(conn, in[2:2+n]); err != nil {
			return
		}
		reply := s.answer(in[2:2+n], from, byTCP, time.Now(), out)
		if reply == nil {
			return
		}
		framed := append(binary.BigEndian.AppendUint16(make([]byte, 0, 2+len(reply)), uint16(len(reply))), reply...) //nolint:gosec // it is packed
		if _, err := conn.Write(framed); err != nil {
			return
		}
	}
}
