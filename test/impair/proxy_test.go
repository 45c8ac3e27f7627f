package impair

import (
	"context"
	"encoding/binary"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// echo answers every datagram, and counts the addresses that it came from.
type echo struct {
	socket *net.UDPConn
	heard  atomic.Int64
	mu     sync.Mutex
	from   map[netip.AddrPort]bool
}

func startEcho(t *testing.T) *echo {
	t.Helper()
	e := &echo{socket: listen(t), from: map[netip.AddrPort]bool{}}
	var group sync.WaitGroup
	group.Go(func() {
		for b := make([]byte, 2000); ; {
			n, from, err := e.socket.ReadFromUDPAddrPort(b)
			if err != nil {
				return
			}
			e.mu.Lock()
			e.from[from] = true
			e.mu.Unlock()
			e.heard.Add(1)
			_, _ = e.socket.WriteToUDPAddrPort(b[:n], from)
		}
	})
	t.Cleanup(func() {
		_ = e.socket.Close()
		group.Wait()
	})
	return e
}

func (e *echo) addresses() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return len(e.from)
}

func listen(t *testing.T) *net.UDPConn {
	t.Helper()
	s, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func addressOf(s *net.UDPConn) netip.AddrPort { return netip.MustParseAddrPort(s.LocalAddr().String()) }

func run(t *testing.T, cfg Config) *Proxy {
	t.Helper()
	p, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan error, 1)
	go func() { done <- p.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return p
}

// client is one flow: it counts the numbers that come back.
type client struct {
	socket *net.UDPConn
	said   int // by the test's goroutine
	mu     sync.Mutex
	got    map[uint32]int
}

func dial(t *testing.T, p *Proxy) *client {
	t.Helper()
	s, err := net.DialUDP("udp4", nil, net.UDPAddrFromAddrPort(p.Address()))
	if err != nil {
		t.Fatal(err)
	}
	c := &client{socket: s, got: map[uint32]int{}}
	var group sync.WaitGroup
	group.Go(func() {
		for b := make([]byte, 2000); ; {
			n, err := s.Read(b)
			if err != nil {
				return
			}
			if n == 4 {
				c.mu.Lock()
				c.got[binary.LittleEndian.Uint32(b)]++
				c.mu.Unlock()
			}
		}
	})
	t.Cleanup(func() {
		_ = s.Close()
		group.Wait()
	})
	return c
}

func (c *client) say(t *testing.T, n uint32) {
	t.Helper()
	c.said++
	if _, err := c.socket.Write(binary.LittleEndian.AppendUint32(nil, n)); err != nil {
		t.Fatal(err)
	}
}

// came is how many datagrams came back, and of how many numbers.
func (c *client) came() (all, different int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, n := range c.got {
		all += n
	}
	return all, len(c.got)
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); !ok(); <-time.After(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not within 30 s: %s", what)
		}
	}
}

func TestProxyDoesWhatItCounts(t *testing.T) {
	e := startEcho(t)
	bad := Way{Delay: 20 * time.Millisecond, Jitter: 5 * time.Millisecond, Loss: 0.1, Reorder: 0.05, Duplicate: 0.05}
	p := run(t, Config{Server: addressOf(e.socket), Up: bad, Down: bad, Seed: 5})
	clients := []*client{dial(t, p), dial(t, p), dial(t, p)}
	const each = 300
	for n := range uint32(each) {
		for _, c := range clients {
			c.say(t, n)
		}
		<-time.After(time.Millisecond)
	}
	var all, different int
	var n Counts
	eventually(t, "all that was sent has come", func() bool {
		n = p.Counts()
		all, different = 0, 0
		for _, c := range clients {
			came, of := c.came()
			all, different = all+came, different+of
		}
		heard := int(e.heard.Load())
		return n.In == 3*each+heard && n.Sent == n.In-n.Lost+n.Twice-n.Dropped && all == n.Sent-heard
	})
	if n.Lost == 0 || n.Held == 0 || n.Twice == 0 || n.Dropped != 0 {
		t.Errorf("%+v: want some of each, and none dropped", n)
	}
	// 0.9 * 0.9 of them; the dice are the same in every run, but for what order they
	// come back in.
	if different < 3*each*7/10 || different > 3*each*9/10 {
		t.Errorf("%d of %d numbers came back", different, 3*each)
	}
	if e.addresses() != 3 {
		t.Errorf("the server saw %d addresses, want one for each client", e.addresses())
	}
}

func TestMoveAndCut(t *testing.T) {
	e := startEcho(t)
	p := run(t, Config{Server: addressOf(e.socket)})
	c := dial(t, p)
	repeat := func(n uint32) {
		t.Helper()
		eventually(t, "an answer", func() bool {
			c.say(t, n)
			c.mu.Lock()
			defer c.mu.Unlock()
			return c.got[n] > 0
		})
	}
	settled := func() (n Counts) {
		t.Helper()
		eventually(t, "what was said so far has come in, with its answers", func() bool {
			n = p.Counts()
			return n.In == c.said+int(e.heard.Load()) && n.In == n.Sent+n.Dropped
		})
		return n
	}
	repeat(1)
	settled()
	if err := p.Move(); err != nil {
		t.Fatal(err)
	}
	repeat(2)
	if e.addresses() != 2 {
		t.Errorf("the server saw %d addresses, want the one before and the one after", e.addresses())
	}
	before := settled()
	p.Cut(true)
	c.say(t, 3)
	eventually(t, "it is dropped", func() bool { return p.Counts().Dropped > before.Dropped })
	p.Cut(false)
	repeat(4)
	if _, different := c.came(); different != 3 {
		t.Errorf("%d numbers came back, want all but the one that was sent while it was cut", different)
	}
}

func TestBounds(t *testing.T) {
	e := startEcho(t)
	p := run(t, Config{Server: addressOf(e.socket), Up: Way{Delay: time.Hour}, Flows: 2, Queue: 5})
	for range 3 {
		c := dial(t, p)
		for n := range uint32(4) {
			c.say(t, n)
		}
	}
	eventually(t, "all came in", func() bool { return p.Counts().In == 12 })
	// The third client has no flow, and of the others' eight there is room for four.
	if n := p.Counts(); n.Dropped != 8 || n.Sent != 0 {
		t.Errorf("%+v: want 8 dropped, and none sent yet", n)
	}
}
