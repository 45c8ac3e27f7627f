package udp

import (
	"errors"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// BenchmarkEcho100x30 lets 100 clients send 100 bytes 30 times a second for 3 s,
// each echoed. cpu% is of one core, both sides and the kernel included.
func BenchmarkEcho100x30(b *testing.B) { benchmarkEcho(b, 100) }

// BenchmarkEcho1000x30 has as many clients in one process as a herd of bots, on
// five servers.
func BenchmarkEcho1000x30(b *testing.B) { benchmarkEcho(b, 1000) }

func benchmarkEcho(b *testing.B, clients int) {
	b.Helper()
	servers := make([]running, (clients+199)/200)
	for i := range servers {
		servers[i] = listen(b, Config{}, 200)
		servers[i].echo(b.Context())
	}
	var got, sent atomic.Int64
	conns := make([]*Conn, clients)
	var all sync.WaitGroup
	for i := range conns {
		c, err := Dial(b.Context(), tokenFor(b, servers[i%len(servers)].Address(), i), func([]byte) { got.Add(1) })
		if err != nil {
			b.Fatal(err)
		}
		conns[i] = c
		all.Go(func() { _ = c.Run(b.Context()) })
	}
	payload := make([]byte, 100)
	for b.Loop() {
		before, start := cpu(b), time.Now()
		ticker := time.NewTicker(time.Second / 30)
		for range 90 {
			<-ticker.C
			for _, c := range conns {
				if c.Send(payload) == nil {
					sent.Add(1)
				}
			}
		}
		ticker.Stop()
		used, wall := cpu(b)-before, time.Since(start)
		b.ReportMetric(100*used.Seconds()/wall.Seconds(), "cpu%")
		b.ReportMetric(100*float64(got.Load())/float64(sent.Load()), "echoed%")
	}
	for _, c := range conns {
		_ = c.Close()
	}
	all.Wait()
}

func cpu(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkSendUnderFlood measures a Send while another socket sends forged
// requests as fast as it can.
func BenchmarkSendUnderFlood(b *testing.B) { benchmarkSend(b, flood) }

// BenchmarkSend measures a Send in peace.
func BenchmarkSend(b *testing.B) {
	benchmarkSend(b, func(testing.TB, netip.AddrPort) func() { return func() {} })
}

func benchmarkSend(b *testing.B, disturb func(testing.TB, netip.AddrPort) func()) {
	b.Helper()
	r := listen(b, Config{}, 10)
	c, err := Dial(b.Context(), tokenFor(b, r.Address(), 1), func([]byte) {})
	if err != nil {
		b.Fatal(err)
	}
	id := r.next(b).Conn
	var all sync.WaitGroup
	all.Go(func() { _ = c.Run(b.Context()) })
	stop := disturb(b, r.Address())
	payload, worst := make([]byte, 150), time.Duration(0)
	for b.Loop() {
		start := time.Now()
		r.Send(id, payload)
		worst = max(worst, time.Since(start))
	}
	b.ReportMetric(float64(worst.Microseconds()), "worst-us")
	stop()
	_ = c.Close()
	all.Wait()
}

// flood sends forged requests until it is stopped.
func flood(tb testing.TB, to netip.AddrPort) (stop func()) {
	tb.Helper()
	token := tokenFor(tb, to, 2)
	forged := append([]byte{0}, token[:21]...)
	forged = append(forged, token[29:61+1024]...)
	forged[500] ^= 1
	socket, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(to))
	if err != nil {
		tb.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for _, err := socket.Write(forged); !errors.Is(err, net.ErrClosed); _, err = socket.Write(forged) {
		}
	}()
	return func() {
		if err := socket.Close(); err != nil {
			tb.Error(err)
		}
		<-done
	}
}

// BenchmarkSendTick sends 200 bytes to each of 100 clients, one by one and held:
// CPU of this thread, with the receivers' side of the kernel, for each datagram.
func BenchmarkSendTick(b *testing.B) {
	r := listen(b, Config{}, 60)
	addrs := make([]netip.AddrPort, 100)
	for i := range addrs {
		s, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { _ = s.Close() })
		addrs[i] = netip.MustParseAddrPort(s.LocalAddr().String())
	}
	datagram := make([]byte, 200)
	tick := func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		for _, a := range addrs {
			r.events.Datagram(a, datagram)
		}
	}
	perDatagram := func(b *testing.B, f func()) {
		b.Helper()
		b.ReportAllocs()
		before, n := cpu(b), 0
		for b.Loop() {
			f()
			n++
		}
		b.ReportMetric(float64((cpu(b)-before).Nanoseconds())/float64(n*len(addrs)), "cpu-ns/datagram")
	}
	b.Run("one by one", func(b *testing.B) { perDatagram(b, tick) })
	b.Run("held", func(b *testing.B) {
		perDatagram(b, func() {
			r.Hold()
			tick()
			r.Release()
		})
	})
}
