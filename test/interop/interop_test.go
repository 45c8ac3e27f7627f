package interop

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/gameserver"
	"github.com/throng-gg/throng/udp"
	"github.com/throng-gg/throng/wire/netcode"
)

// plays is how long a connection with losses lasts.
func plays() time.Duration {
	if long() {
		return 10 * time.Minute
	}
	return 6 * time.Second // more than the silence that ends one
}

// ours is our server, which echoes.
type ours struct {
	*udp.Transport
	metrics *prometheus.Registry

	mu   sync.Mutex // guards what follows
	came []string   // user data
	left int        // with a goodbye
	lost int
}

func ourServer(t *testing.T, capacity int) *ours {
	t.Helper()
	s := &ours{metrics: prometheus.NewRegistry()}
	var err error
	if s.Transport, err = udp.New(udp.Config{Listen: anyPort, Metrics: s.metrics}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	var group sync.WaitGroup
	group.Go(func() {
		if err := s.Run(ctx); err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	group.Go(func() {
		for {
			select {
			case <-ctx.Done():
				return
			case e := <-s.Events():
				s.take(e)
			}
		}
	})
	t.Cleanup(func() {
		cancel()
		group.Wait()
	})
	if err := s.Listen(key, capacity, time.Now); err != nil {
		t.Fatal(err)
	}
	return s
}

func (s *ours) take(e gameserver.Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case e.Kind == gameserver.EventConnected:
		s.came = append(s.came, string(bytes.TrimRight(e.Data, "\x00")))
	case e.Kind == gameserver.EventMessage:
		s.Send(e.Conn, e.Data)
	case e.Lost:
		s.lost++
	default:
		s.left++
	}
}

// dropped is how many datagrams were ignored for a reason.
func (s *ours) dropped(t *testing.T, reason string) int {
	t.Helper()
	families, err := s.metrics.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if f.GetName() == "throng_udp_dropped_total" && m.GetLabel()[0].GetValue() == reason {
				return int(m.GetCounter().GetValue())
			}
		}
	}
	return 0
}

func (s *ours) awaitEnds(t *testing.T, n int) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); ; <-time.After(10 * time.Millisecond) {
		s.mu.Lock()
		left, lost := s.left, s.lost
		s.mu.Unlock()
		if left+lost == n {
			if lost != 0 {
				t.Errorf("%d of %d ends came without a goodbye", lost, n)
			}
			return
		}
		if time.Now().After(end) {
			t.Fatalf("got %d ends, want %d", left+lost, n)
		}
	}
}

func TestTheirClient(t *testing.T) {
	for name, path := range peers(t) {
		t.Run(name, func(t *testing.T) {
			t.Run("plays", func(t *testing.T) { t.Parallel(); theyPlay(t, path) })
			t.Run("full", func(t *testing.T) { t.Parallel(); theyAreDenied(t, path) })
			t.Run("tokens", func(t *testing.T) { t.Parallel(); theirBadTokens(t, path) })
			t.Run("shutdown", func(t *testing.T) { t.Parallel(); theyAreSentAway(t, path) })
		})
	}
}

func theyPlay(t *testing.T, path string) {
	s := ourServer(t, 4)
	c := theirClient(t, path, tokenFor(t, 1, s.Address(), lossy(t, s.Address()), nil), plays())
	c.await("state 3", 20*time.Second)
	checkPlayed(t, c.await("sent", plays()+20*time.Second), plays())
	s.awaitEnds(t, 1)
	if got := fmt.Sprint(s.came); got != "[player 1]" {
		t.Errorf("came: got %s", got)
	}
}

// checkPlayed reads a peer's last line: with 5 % loss each way 90.25 % come back.
func checkPlayed(t *testing.T, line string, played time.Duration) {
	t.Helper()
	var sent, received, bad int
	if _, err := fmt.Sscanf(line, "sent %d received %d bad %d", &sent, &received, &bad); err != nil {
		t.Fatalf("%q: %v", line, err)
	}
	t.Logf("in %s: %s", played, line)
	if bad != 0 || float64(sent) < 0.8*30*played.Seconds() || float64(received) < 0.8*float64(sent) || received == sent {
		t.Errorf("%s: want none bad, 30/s sent and about 90 %% echoed", line)
	}
}

func theyAreDenied(t *testing.T, path string) {
	s := ourServer(t, 1) // and as much again, and one
	for n := range uint64(3) {
		theirClient(t, path, tokenFor(t, n, s.Address(), s.Address(), nil), time.Minute).await("state 3", 20*time.Second)
	}
	theirClient(t, path, tokenFor(t, 9, s.Address(), s.Address(), nil), time.Minute).await("state -1", 20*time.Second)
	if s.dropped(t, "full") == 0 {
		t.Error("nobody was counted as denied")
	}
}

func theirBadTokens(t *testing.T, path string) {
	s := ourServer(t, 4)
	quick := func(c *netcode.TokenConfig) { c.TimeoutSeconds = 2 }
	expired := tokenFor(t, 1, s.Address(), s.Address(), func(c *netcode.TokenConfig) {
		quick(c)
		c.Create, c.Expire = c.Create-60, c.Create-30
	})
	theirClient(t, path, expired, time.Second).await("state -2", 20*time.Second)
	if s.dropped(t, "expired") == 0 {
		t.Error("no request was counted as expired")
	}
	good := tokenFor(t, 2, s.Address(), s.Address(), quick)
	theirClient(t, path, good, time.Second).await("sent", 20*time.Second)
	s.awaitEnds(t, 1)
	theirClient(t, path, good, time.Second).await("state -2", 20*time.Second)
	if s.dropped(t, "used") == 0 {
		t.Error("no request was counted as used")
	}
	forged := tokenFor(t, 3, s.Address(), s.Address(), func(c *netcode.TokenConfig) { quick(c); c.Key[0]++ })
	theirClient(t, path, forged, time.Second).await("state -2", 20*time.Second)
	if s.dropped(t, "forged") == 0 || len(s.came) != 1 {
		t.Errorf("forged: %d, came: %q", s.dropped(t, "forged"), s.came)
	}
}

func theyAreSentAway(t *testing.T, path string) {
	s := ourServer(t, 4)
	c := theirClient(t, path, tokenFor(t, 1, s.Address(), s.Address(), nil), time.Minute)
	c.await("state 3", 20*time.Second)
	s.Disconnect(gameserver.ConnID(1 * netcode.MaxClients)) // the first one, in slot 0
	c.await("state 0", 20*time.Second)
}

func TestOurClient(t *testing.T) {
	for name, path := range peers(t) {
		t.Run(name, func(t *testing.T) {
			t.Run("plays", func(t *testing.T) { t.Parallel(); wePlay(t, path) })
			t.Run("full", func(t *testing.T) { t.Parallel(); weAreDenied(t, path) })
			t.Run("tokens", func(t *testing.T) { t.Parallel(); ourBadTokens(t, path) })
			t.Run("shutdown", func(t *testing.T) { t.Parallel(); weAreSentAway(t, path) })
		})
	}
}

func wePlay(t *testing.T, path string) {
	p, addr := theirServer(t, path, 4, netcode.ProtocolID)
	var received, bad atomic.Int64
	c, err := udp.Dial(t.Context(), tokenFor(t, 1, addr, lossy(t, addr), nil), func(b []byte) {
		received.Add(1)
		if len(b) < 9 || !bytes.Equal(b, payload(binary.LittleEndian.Uint64(b))) {
			bad.Add(1)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	if got := p.await("connected", time.Second); strings.Trim(got, "\x00") != "connected 1 player 1" {
		t.Errorf("their server: got %q", got)
	}
	var group sync.WaitGroup
	group.Go(func() { _ = c.Run(context.WithoutCancel(t.Context())) })
	ticker := time.NewTicker(time.Second / 30)
	defer ticker.Stop()
	sent := uint64(0)
	for end := time.Now().Add(plays()); time.Now().Before(end) && c.Err() == nil; sent++ {
		<-ticker.C
		if err := c.Send(payload(sent)); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
	group.Wait()
	checkPlayed(t, fmt.Sprintf("sent %d received %d bad %d", sent, received.Load(), bad.Load()), plays())
	if got := p.await("disconnected", 3*time.Second); got != "disconnected 1 2" && got != "disconnected 1" { // 2: by the client
		t.Errorf("their server: got %q", got)
	}
}

// join connects our client for good.
func join(t *testing.T, token []byte) *udp.Conn {
	t.Helper()
	c, err := udp.Dial(t.Context(), token, func([]byte) {})
	if err != nil {
		t.Fatal(err)
	}
	var group sync.WaitGroup
	group.Go(func() { _ = c.Run(context.WithoutCancel(t.Context())) })
	t.Cleanup(func() {
		_ = c.Close()
		group.Wait()
	})
	return c
}

func refused(t *testing.T, what string, token []byte, want throng.Kind) {
	t.Helper()
	c, err := udp.Dial(t.Context(), token, func([]byte) {})
	if err == nil {
		_ = c.Close()
	}
	if err == nil || throng.KindOf(err) != want {
		t.Errorf("%s: got %v, want %s", what, err, want)
	}
}

func weAreDenied(t *testing.T, path string) {
	_, addr := theirServer(t, path, 1, netcode.ProtocolID)
	join(t, tokenFor(t, 1, addr, addr, nil))
	refused(t, "a full server", tokenFor(t, 2, addr, addr, nil), throng.Full)
}

func ourBadTokens(t *testing.T, path string) {
	p, addr := theirServer(t, path, 4, netcode.ProtocolID)
	quick := func(c *netcode.TokenConfig) { c.TimeoutSeconds = 2 }
	refused(t, "expired", tokenFor(t, 1, addr, addr, func(c *netcode.TokenConfig) {
		quick(c)
		c.Create, c.Expire = c.Create-60, c.Create-30
	}), throng.Unavailable)
	refused(t, "forged", tokenFor(t, 2, addr, addr, func(c *netcode.TokenConfig) { quick(c); c.Key[0]++ }), throng.Unavailable)
	refused(t, "another protocol", tokenFor(t, 3, addr, addr, func(c *netcode.TokenConfig) { quick(c); c.ProtocolID = 1 }), throng.Unavailable)
	good := tokenFor(t, 4, addr, addr, quick)
	if err := join(t, good).Close(); err != nil {
		t.Fatal(err)
	}
	p.await("disconnected", 20*time.Second)
	refused(t, "used", good, throng.Unavailable)
}

func weAreSentAway(t *testing.T, path string) {
	p, addr := theirServer(t, path, 4, netcode.ProtocolID)
	c := join(t, tokenFor(t, 1, addr, addr, nil))
	if _, err := p.in.Write([]byte("drop\n")); err != nil {
		t.Fatal(err)
	}
	select {
	case <-c.Done():
	case <-time.After(20 * time.Second):
		t.Fatal("not told")
	}
	if c.Reason() != netcode.ReasonRemote {
		t.Errorf("reason: got %s", c.Reason())
	}
}
