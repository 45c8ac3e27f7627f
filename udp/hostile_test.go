package udp

import (
	"bytes"
	"fmt"
	"net"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/throng-gg/throng/gameserver"
	"github.com/throng-gg/throng/wire/netcode"
)

// requestOf is the request packet of a token.
func requestOf(token []byte) []byte {
	const created, private = 13 + 8, 13 + 3*8 + 24 + 1024 // a request has all of the token's beginning but the time it was made
	return append(append([]byte{0}, token[:created]...), token[created+8:private]...)
}

// Whatever comes from anywhere is bounded, counted by reason, answered with
// nothing, and no player notices.
func TestHostileDatagrams(t *testing.T) {
	registry := prometheus.NewRegistry()
	r := listen(t, Config{Metrics: registry}, 4)
	r.echo(t.Context())
	good, got := dial(t, tokenFor(t, r.Address(), 1))
	echoOne(t, good, got, "before")

	wiretap := newTap(t, r)
	victim, theirs := dial(t, redirected(tokenFor(t, r.Address(), 2), wiretap.address()))
	echoOne(t, victim, theirs, "recorded")
	recorded, answered := wiretap.packet(netcode.TypePayload, &wiretap.up), wiretap.packet(netcode.TypePayload, &wiretap.down)

	cases := []struct {
		name   string
		reason netcode.Drop
		b      []byte
		inside bool // from the victim's own address
	}{
		{"nothing", netcode.DropMalformed, []byte{}, false},
		{"a truncated request", netcode.DropMalformed, requestOf(tokenFor(t, r.Address(), 3))[:1000], false},
		{"an oversized request", netcode.DropMalformed, append(requestOf(tokenFor(t, r.Address(), 4)), 0), false},
		{"an oversized packet", netcode.DropMalformed, append([]byte{0x15, 1}, make([]byte, 1400)...), true},
		{"the largest datagram", netcode.DropMalformed, bytes.Repeat([]byte{0x85}, 60000), true},
		{"a truncated payload", netcode.DropForged, raised(recorded[:len(recorded)-1]), true},
		{"a changed payload", netcode.DropForged, flipped(raised(recorded)), true},
		{"a recorded payload", netcode.DropReplayed, recorded, true},
		{"a recorded payload from elsewhere", netcode.DropUnknown, recorded, false},
		{"a reflected payload", netcode.DropForged, raised(answered), true},
		{"a type of no packet", netcode.DropMalformed, append([]byte{0x19, 1}, make([]byte, 50)...), true},
		{"another protocol", netcode.DropProtocol, requestOf(tokenWith(t, r.Address(), 5, func(c *netcode.TokenConfig) { c.ProtocolID = 1 })), false},
		{"another session's key", netcode.DropForged, requestOf(tokenWith(t, r.Address(), 6, func(c *netcode.TokenConfig) { c.Key[0]++ })), false},
		{"another server's token", netcode.DropAddress, requestOf(tokenFor(t, wiretap.address(), 7)), false},
		{"an expired token", netcode.DropExpired, requestOf(tokenWith(t, r.Address(), 8, func(c *netcode.TokenConfig) { c.Create, c.Expire = 1, 2 })), false},
		{"a rebind of nobody", netcode.DropForged, append([]byte{0x27, 0xff, 0xff, 0}, make([]byte, 74)...), false},
	}
	outside, err := net.DialUDP("udp4", nil, net.UDPAddrFromAddrPort(r.Address()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = outside.Close() })
	for i, c := range cases {
		before := metric(t, registry, "throng_udp_dropped_total", c.reason.String())
		const times = 5 // loopback may lose some
		for range times {
			if c.inside {
				wiretap.inject(bytes.Clone(c.b))
			} else if _, err := outside.Write(c.b); err != nil {
				t.Fatal(err)
			}
		}
		for end := time.Now().Add(10 * time.Second); metric(t, registry, "throng_udp_dropped_total", c.reason.String()) <= before; <-time.After(time.Millisecond) {
			if time.Now().After(end) {
				t.Errorf("%s is not counted as %s", c.name, c.reason)
				break
			}
		}
		echoOne(t, good, got, fmt.Sprint("after ", i))
		echoOne(t, victim, theirs, fmt.Sprint("after ", i))
	}
	if err := outside.SetReadDeadline(time.Now().Add(100 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	if n, err := outside.Read(make([]byte, 2000)); err == nil {
		t.Errorf("%d bytes of answer to what is not genuine", n)
	}
}

func flipped(b []byte) []byte {
	out := bytes.Clone(b)
	out[len(out)-1] ^= 1
	return out
}

// raised is a packet with a number of two bytes that was not seen before: what is
// refused is not refused as recorded.
func raised(b []byte) []byte {
	return append([]byte{0x25, 0xff, 0x3f}, b[1+b[0]>>4:]...)
}

// A flood of forged requests from one socket leaves the others their game.
func TestFlood(t *testing.T) {
	registry := prometheus.NewRegistry()
	r := listen(t, Config{Metrics: registry}, 4)
	counts := r.echo(t.Context())
	c, got := dial(t, tokenFor(t, r.Address(), 1))
	stop := flood(t, r.Address())
	for i := range 20 {
		echoOne(t, c, got, fmt.Sprint(i))
	}
	stop()
	n := metric(t, registry, "throng_udp_dropped_total", netcode.DropForged.String())
	t.Logf("%.0f forged requests meanwhile", n)
	if n == 0 || counts()[gameserver.EventConnected] != 1 || counts()[gameserver.EventDisconnected] != 0 {
		t.Errorf("forged: %v, events: %v", n, counts())
	}
}
