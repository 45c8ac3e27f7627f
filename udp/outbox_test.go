package udp

import (
	"fmt"
	"net/netip"
	"runtime"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/throng-gg/throng/gameserver"
)

// Payloads that were held arrive once each, in order, over both IP versions.
func TestHold(t *testing.T) {
	for _, listens := range []string{"127.0.0.1:0", "0.0.0.0:0", "[::1]:0", "[::]:0"} {
		t.Run(listens, func(t *testing.T) {
			registry := prometheus.NewRegistry()
			addr := netip.MustParseAddrPort(listens)
			public := netip.AddrPort{}
			if addr.Addr().IsUnspecified() {
				public = netip.MustParseAddrPort("127.0.0.1:0")
			}
			if addr.Addr().Is6() && !hasIPv6(t) {
				t.Skip("this machine has no IPv6")
			}
			r := listen(t, Config{Listen: addr, Public: public, Metrics: registry}, 4)
			c, got := dial(t, tokenFor(t, r.Address(), 1))
			id := r.next(t).Conn
			if err := c.Send([]byte("here")); err != nil {
				t.Fatal(err)
			}
			r.next(t).Done()
			const n = batchSize + 10 // dial keeps 100
			r.Hold()
			for i := range n {
				r.Send(id, fmt.Append(nil, i))
			}
			if waits := n - batchSize; metric(t, registry, "throng_udp_datagrams_total", "out") < batchSize || r.events.out.waiting < waits && runtime.GOOS == "linux" {
				t.Errorf("held: %d wait, want at least %d", r.events.out.waiting, waits)
			}
			r.Release()
			for i := range n {
				select {
				case s := <-got:
					if s != fmt.Sprint(i) {
						t.Fatalf("got %s, want %d", s, i)
					}
				case <-time.After(time.Minute):
					t.Fatalf("%d never came", i)
				}
			}
		})
	}
}

// One whose address the kernel refuses takes no other's datagrams with it.
func TestHoldRefused(t *testing.T) {
	registry := prometheus.NewRegistry()
	r := listen(t, Config{Metrics: registry}, 4)
	_, got := dial(t, tokenFor(t, r.Address(), 1))
	id := r.next(t).Conn
	r.Hold()
	r.mu.Lock()
	r.events.Datagram(netip.MustParseAddrPort("127.0.0.1:0"), []byte("to nowhere"))
	r.mu.Unlock()
	r.Send(id, []byte("to somebody"))
	r.Release()
	select {
	case s := <-got:
		if s != "to somebody" {
			t.Errorf("got %q", s)
		}
	case <-time.After(time.Minute):
		t.Fatal("nothing came")
	}
	if n := metric(t, registry, "throng_udp_dropped_total", dropUnsent); n != 1 {
		t.Errorf("unsent: got %v, want 1", n)
	}
}

func hasIPv6(t *testing.T) bool {
	t.Helper()
	r, err := New(Config{Listen: netip.MustParseAddrPort("[::1]:0")})
	if err != nil {
		return false
	}
	return r.socket.close() == nil
}

// Inputs in and snapshots out, by the kernel and the queue of events, allocate
// nothing once all is warm.
func TestSteadyStateDoesNotAllocate(t *testing.T) {
	r := listen(t, Config{}, 4)
	c, got := dial(t, tokenFor(t, r.Address(), 1))
	id := r.next(t).Conn
	input, snapshot := make([]byte, 60), make([]byte, 200)
	const in, out = 20, 40
	exchange := func() {
		for range in {
			if err := c.Send(input); err != nil {
				t.Fatal(err)
			}
			e := <-r.Events()
			if e.Kind != gameserver.EventMessage {
				t.Fatalf("got %v", e)
			}
			e.Done()
		}
		r.Hold()
		for range out {
			r.Send(id, snapshot)
		}
		r.Release()
		for range out {
			<-got
		}
	}
	if raceDetector {
		t.Skip("with -race a sync.Pool loses a quarter of what it is given, on purpose")
	}
	// The test's own client makes a string of each payload.
	if n := testing.AllocsPerRun(50, exchange); n > out {
		t.Errorf("allocations for %d payloads in and %d out: got %v beside the test's own %d", in, out, n-out, out)
	}
}
