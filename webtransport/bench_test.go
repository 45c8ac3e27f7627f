package webtransport

import (
	"context"
	"net/netip"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/throng-gg/throng/gameserver"
	"github.com/throng-gg/throng/udp"
	"github.com/throng-gg/throng/wire/netcode"
)

// The benchmarks let 50 clients send 100 bytes 30 times a second for 3 s and
// get 300 bytes as often, as in a session of 50. cpu% is of one core, both sides
// and the kernel included.

func BenchmarkUDP50x30(b *testing.B) {
	t, err := udp.New(udp.Config{Listen: netip.MustParseAddrPort("127.0.0.1:0")})
	if err != nil {
		b.Fatal(err)
	}
	benchmark(b, t, func(ctx context.Context, n int, receive func([]byte)) (benchConn, error) {
		token := tokenWith(b, n, func(c *netcode.TokenConfig) {
			c.Servers = []netip.AddrPort{t.Address()}
			c.ClientToServer[0], c.ServerToClient[0] = byte(n)+1, byte(n)+1
		})
		return udp.Dial(ctx, token, receive)
	})
}

func BenchmarkWebTransport50x30(b *testing.B) { benchmarkWeb(b, byDatagrams) }

func BenchmarkWebSocket50x30(b *testing.B) { benchmarkWeb(b, bySocket) }

func benchmarkWeb(b *testing.B, dial dialer) {
	b.Helper()
	t, err := New(Config{Listen: netip.MustParseAddrPort("127.0.0.1:0")})
	if err != nil {
		b.Fatal(err)
	}
	benchmark(b, t, func(ctx context.Context, n int, receive func([]byte)) (benchConn, error) {
		return dial(ctx, running{Transport: t}, tokenFor(b, n), receive)
	})
}

type benchConn interface {
	Run(ctx context.Context) error
	Send(payload []byte) error
}

type benchTransport interface {
	gameserver.Transport
	Run(ctx context.Context) error
}

func benchmark(b *testing.B, t benchTransport, dial func(context.Context, int, func([]byte)) (benchConn, error)) {
	b.Helper()
	const clients = 50
	ctx, stop := context.WithCancel(context.WithoutCancel(b.Context()))
	var all sync.WaitGroup
	defer all.Wait()
	defer stop()
	all.Go(func() {
		if err := t.Run(ctx); err != nil {
			b.Error(err)
		}
	})
	if err := t.Listen(testKey, clients, time.Now); err != nil {
		b.Fatal(err)
	}
	var up, down atomic.Int64
	conns := make([]benchConn, clients)
	for i := range conns {
		c, err := dial(ctx, i+1, func([]byte) { down.Add(1) })
		if err != nil {
			b.Fatal(err)
		}
		conns[i] = c
		all.Go(func() { _ = c.Run(ctx) })
	}
	var players []gameserver.ConnID
	all.Go(func() { serveBench(ctx, t, &up, &players) })
	input := make([]byte, 100)
	for b.Loop() {
		before, start := cpu(b), time.Now()
		up.Store(0)
		down.Store(0)
		ticker := time.NewTicker(time.Second / 30)
		for range 90 {
			<-ticker.C
			for _, c := range conns {
				_ = c.Send(input)
			}
		}
		ticker.Stop()
		used, wall := cpu(b)-before, time.Since(start)
		b.ReportMetric(100*used.Seconds()/wall.Seconds(), "cpu%")
		b.ReportMetric(float64(used.Microseconds())/float64(up.Load()+down.Load()), "us/message")
		b.ReportMetric(100*float64(up.Load())/(90*clients), "up%")
		b.ReportMetric(100*float64(down.Load())/(90*clients), "down%")
	}
}

// serveBench sends everybody a snapshot 30 times a second.
func serveBench(ctx context.Context, t benchTransport, up *atomic.Int64, players *[]gameserver.ConnID) {
	snapshot := make([]byte, 300)
	ticker := time.NewTicker(time.Second / 30)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			for _, c := range *players {
				t.Send(c, snapshot)
			}
		case e := <-t.Events():
			switch e.Kind {
			case gameserver.EventConnected:
				*players = append(*players, e.Conn)
			case gameserver.EventMessage:
				up.Add(1)
			case gameserver.EventDisconnected:
			}
		}
	}
}

func cpu(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
