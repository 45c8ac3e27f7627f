package beacon

import (
	"bytes"
	"context"
	"hash/maphash"
	"net"
	"net/http/httptest"
	"net/netip"
	"testing"
	"time"

	"github.com/throng-gg/throng/edge/beacon/probe"
)

const patience = 30 * time.Second

func run(t *testing.T, c Config) *Beacon {
	t.Helper()
	c.Listen = netip.MustParseAddrPort("127.0.0.1:0")
	b, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan error, 1)
	go func() { done <- b.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	return b
}

func TestProbe(t *testing.T) {
	b := run(t, Config{})
	got, err := probe.UDP(t.Context(), b.Address().String(), patience)
	if err != nil || got.Answered != probe.Probes || got.Median <= 0 {
		t.Errorf("got %+v, %v, want %d answers", got, err, probe.Probes)
	}
}

// A beacon that stands for a far region answers as late as that one would.
func TestFarBeacon(t *testing.T) {
	const far = 20 * time.Millisecond
	b := run(t, Config{Far: far})
	got, err := probe.UDP(t.Context(), b.Address().String(), patience)
	if err != nil || got.Answered != probe.Probes || got.Median < far {
		t.Errorf("by UDP: got %+v, %v, want %d answers after %s", got, err, probe.Probes, far)
	}
	s := httptest.NewServer(Handler(far))
	defer s.Close()
	if got, err := probe.HTTP(t.Context(), s.Client(), s.URL+probe.Path, patience); err != nil || got.Answered != probe.Probes || got.Median < far {
		t.Errorf("by HTTP: got %+v, %v, want %d answers after %s", got, err, probe.Probes, far)
	}
}

func TestHandler(t *testing.T) {
	s := httptest.NewServer(Handler(0))
	defer s.Close()
	got, err := probe.HTTP(t.Context(), s.Client(), s.URL+probe.Path, patience)
	if err != nil || got.Answered != probe.Probes {
		t.Errorf("got %+v, %v, want %d answers", got, err, probe.Probes)
	}
	resp, err := s.Client().Get(s.URL + probe.Path) //nolint:noctx // bounded by the test
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	for name, want := range map[string]string{"Access-Control-Allow-Origin": "*", "Timing-Allow-Origin": "*", "Cache-Control": "no-store"} {
		if got := resp.Header.Get(name); got != want {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
}

// What is answered is answered with itself, so never with more; all else with
// nothing, as is whoever asks too often.
func TestAmplifiesNothing(t *testing.T) {
	b := run(t, Config{PerSource: 5})
	socket, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(b.Address()))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = socket.Close() }()
	good := append([]byte("THRNGBCN"), make([]byte, 8)...)
	for _, bad := range [][]byte{{}, {0}, []byte("THRNGBCN"), good[:15], append([]byte("x"), good...), append(good, make([]byte, probe.Most)...)} {
		if _, err := socket.Write(bad); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 20 {
		good[probe.Size-1] = byte(i)
		if _, err := socket.Write(good); err != nil {
			t.Fatal(err)
		}
	}
	buffer := make([]byte, 2000)
	_ = socket.SetReadDeadline(time.Now().Add(patience))
	for i := range 5 {
		n, err := socket.Read(buffer)
		if good[probe.Size-1] = byte(i); err != nil || !bytes.Equal(buffer[:n], good) {
			t.Fatalf("answer %d: got %x, %v, want %x", i, buffer[:n], err, good)
		}
	}
}

func TestLimits(t *testing.T) {
	l := makeLimits(10, maphash.MakeSeed())
	now := time.Unix(1000, 0)
	count := func(a string, n int) (ok int) {
		for range n {
			if l.take(netip.MustParseAddr(a), now) {
				ok++
			}
		}
		return ok
	}
	if got := count("2001:db8::1", 20) + count("2001:db8::ffff:2", 20); got != 10 {
		t.Errorf("one /64 got %d answers, want 10", got)
	}
	now = now.Add(500 * time.Millisecond)
	if got := count("2001:db8::3", 20); got != 5 {
		t.Errorf("half a second later %d answers, want 5", got)
	}
	if len(l.buckets) != sources {
		t.Errorf("%d lines", len(l.buckets))
	}
}
