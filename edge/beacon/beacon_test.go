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

	"github.com/throng-gg/throng"
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
	got, err := Probe(t.Context(), b.Address(), patience)
	if err != nil || got.Answered != Probes || got.Median <= 0 {
		t.Errorf("got %+v, %v, want %d answers", got, err, Probes)
	}
}

func TestProbeHTTP(t *testing.T) {
	s := httptest.NewServer(Handler())
	defer s.Close()
	got, err := ProbeHTTP(t.Context(), s.Client(), s.URL+"/beacon", patience)
	if err != nil || got.Answered != Probes {
		t.Errorf("got %+v, %v, want %d answers", got, err, Probes)
	}
	if _, err := ProbeHTTP(t.Context(), s.Client(), s.URL+"/other", patience); throng.KindOf(err) != throng.Unavailable {
		t.Errorf("no beacon: got %v, want unavailable", err)
	}
}

func TestNobodyAnswers(t *testing.T) {
	silent, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = silent.Close() }()
	at := netip.MustParseAddrPort(silent.LocalAddr().String())
	if _, err := Probe(t.Context(), at, time.Millisecond); throng.KindOf(err) != throng.Unavailable {
		t.Errorf("got %v, want unavailable", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Probe(ctx, at, patience); err == nil {
		t.Error("a cancelled probe has no error")
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
	good := append([]byte(magic), make([]byte, 8)...)
	for _, bad := range [][]byte{{}, {0}, []byte(magic), good[:15], append([]byte("x"), good...), append(good, make([]byte, ProbeMost)...)} {
		if _, err := socket.Write(bad); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 20 {
		good[ProbeSize-1] = byte(i)
		if _, err := socket.Write(good); err != nil {
			t.Fatal(err)
		}
	}
	buffer := make([]byte, 2000)
	_ = socket.SetReadDeadline(time.Now().Add(patience))
	for i := range 5 {
		n, err := socket.Read(buffer)
		if good[ProbeSize-1] = byte(i); err != nil || !bytes.Equal(buffer[:n], good) {
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

func TestOf(t *testing.T) {
	ms := time.Millisecond
	for _, c := range []struct {
		trips []time.Duration
		want  Latency
	}{
		{nil, Latency{}},
		{[]time.Duration{7 * ms}, Latency{Median: 7 * ms, Answered: 1}},
		{[]time.Duration{30 * ms, 20 * ms, 90 * ms, 21 * ms, 19 * ms}, Latency{Median: 21 * ms, Jitter: 20250 * time.Microsecond, Answered: 5}},
	} {
		if got := Of(c.trips); got != c.want {
			t.Errorf("%v: got %+v, want %+v", c.trips, got, c.want)
		}
	}
}

func FuzzIsProbe(f *testing.F) {
	f.Add([]byte(magic + "12345678"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if IsProbe(b) && (len(b) < ProbeSize || len(b) > ProbeMost) {
			t.Errorf("%d bytes are a probe", len(b))
		}
	})
}
