package udp

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/throng-gg/throng/gameserver"
)

// router is a NAT between one client and a server: the server sees its outer
// socket, which forget replaces by one at another port. What comes to the old
// one is lost.
type router struct {
	t      *testing.T
	server netip.AddrPort
	inner  *net.UDPConn
	outer  atomic.Pointer[net.UDPConn]
	client atomic.Pointer[netip.AddrPort]
	group  sync.WaitGroup
}

func newRouter(t *testing.T, server netip.AddrPort) *router {
	t.Helper()
	inner, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(netip.MustParseAddrPort("127.0.0.1:0")))
	if err != nil {
		t.Fatal(err)
	}
	r := &router{t: t, server: server, inner: inner}
	r.forget()
	r.group.Go(func() {
		for b := make([]byte, 2000); ; {
			n, from, err := inner.ReadFromUDPAddrPort(b)
			if err != nil {
				return
			}
			r.client.Store(&from)
			_, _ = r.outer.Load().Write(b[:n])
		}
	})
	t.Cleanup(func() {
		_, _ = inner.Close(), r.outer.Load().Close()
		r.group.Wait()
	})
	return r
}

func (r *router) address() netip.AddrPort {
	return netip.MustParseAddrPort(r.inner.LocalAddr().String())
}

// forget lets the client come out at another port.
func (r *router) forget() {
	r.t.Helper()
	next, err := net.DialUDP("udp4", nil, net.UDPAddrFromAddrPort(r.server))
	if err != nil {
		r.t.Fatal(err)
	}
	old := r.outer.Swap(next)
	if old != nil {
		_ = old.Close()
	}
	r.group.Go(func() {
		for b := make([]byte, 2000); ; {
			n, err := next.Read(b)
			switch {
			case errors.Is(err, net.ErrClosed):
				return
			case err == nil && r.outer.Load() == next:
				_, _ = r.inner.WriteToUDPAddrPort(b[:n], *r.client.Load())
			}
		}
	})
}

// A router that forgets its clients costs a player less than a second: the same
// connection goes on, both ways, and no token is used for it.
func TestAddressChange(t *testing.T) {
	registry := prometheus.NewRegistry()
	r := listen(t, Config{Metrics: registry}, 4)
	counts := r.echo(t.Context())
	nat := newRouter(t, r.Address())
	c, got := dial(t, redirected(tokenFor(t, r.Address(), 1), nat.address()))
	other, others := dial(t, tokenFor(t, r.Address(), 2))
	echoOne(t, c, got, "before")
	const moves = 5
	var gaps []time.Duration
	for i := range moves {
		nat.forget()
		begun := time.Now()
		want := fmt.Sprintf("after %d", i)
		for back := false; !back; {
			if err := c.Send([]byte(want)); err != nil {
				t.Fatalf("after %s: %v", time.Since(begun), err)
			}
			select {
			case s := <-got:
				back = s == want
			case <-time.After(time.Second / 30):
			}
		}
		gaps = append(gaps, time.Since(begun))
		echoOne(t, other, others, want)
	}
	slices.Sort(gaps)
	t.Logf("carried on after %s", gaps)
	if gaps[moves/2] > time.Second {
		t.Errorf("carried on after %s in the middle, want within 1 s", gaps[moves/2])
	}
	if n := counts(); n[gameserver.EventConnected] != 2 || n[gameserver.EventDisconnected] != 0 {
		t.Errorf("events: got %v, want two connections and no end", n)
	}
	if n := metric(t, registry, "throng_udp_moved_total", ""); n != moves {
		t.Errorf("throng_udp_moved_total: got %v, want %d", n, moves)
	}
}
