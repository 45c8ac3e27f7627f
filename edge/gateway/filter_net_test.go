package gateway

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/wire/netcode"
)

// room is a network namespace of its own, in which one thread does what it is told.
type room struct {
	id  int // of the thread
	say chan func()
}

// newRoom skips the test where there may be none. The room goes with the test.
func newRoom(t *testing.T) room {
	t.Helper()
	r := room{say: make(chan func())}
	ready := make(chan error)
	go func() {
		runtime.LockOSThread() // for ever: the thread ends with it
		err := unix.Unshare(unix.CLONE_NEWNET)
		r.id = unix.Gettid()
		ready <- err
		for do := range r.say {
			do()
		}
	}()
	t.Cleanup(func() { close(r.say) })
	if err := <-ready; err != nil {
		t.Skipf("SKIPPED: no network namespaces here: %v", err)
	}
	return r
}

// do waits until it is done there.
func (r room) do(what func()) {
	done := make(chan struct{})
	r.say <- func() {
		defer close(done)
		what()
	}
	<-done
}

// ip runs a command of iproute2 there.
func (r room) ip(t *testing.T, args string) {
	t.Helper()
	r.do(func() {
		if out, err := exec.CommandContext(t.Context(), "ip", strings.Fields(args)...).CombinedOutput(); err != nil {
			t.Errorf("ip %s: %v: %s", args, err, out)
		}
	})
	if t.Failed() {
		t.FailNow()
	}
}

func (r room) socket(t *testing.T, at string) (c *net.UDPConn) {
	t.Helper()
	r.do(func() {
		var err error
		if c, err = net.ListenUDP("udp4", net.UDPAddrFromAddrPort(netip.MustParseAddrPort(at))); err != nil {
			t.Error(err)
		}
	})
	if t.Failed() {
		t.FailNow()
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// gatewayBehindFilter is a gateway at 10.0.0.1 of its room, that a client's room
// reaches by a cable.
func gatewayBehindFilter(t *testing.T, c Config) (g *Gateway, ours, theirs room) {
	t.Helper()
	if _, err := exec.LookPath("ip"); err != nil {
		t.Skipf("SKIPPED: no iproute2: %v", err)
	}
	ours, theirs = newRoom(t), newRoom(t)
	ours.ip(t, "link add gw0 type veth peer name gw1")
	ours.ip(t, "link set gw1 netns "+strconv.Itoa(theirs.id))
	ours.ip(t, "addr add 10.0.0.1/24 dev gw0")
	theirs.ip(t, "addr add 10.0.0.2/24 dev gw1")
	ours.ip(t, "link set gw0 up")
	ours.ip(t, "link set lo up")
	theirs.ip(t, "link set gw1 up")
	c.Listen, c.Inner, c.Keys, c.XDP = netip.MustParseAddrPort("10.0.0.1:7800"), loopback, edgeKeys, "gw0"
	ours.do(func() {
		var err error
		if g, err = New(t.Context(), c); err != nil {
			t.Error(err)
		}
	})
	if t.Failed() {
		t.FailNow()
	}
	start(t, g)
	if g.filter == nil {
		t.Skip("SKIPPED: the kernel takes no filter")
	}
	return g, ours, theirs
}

// On a real cable: garbage ends in the kernel and is counted, no worker sees it; who has
// shown a token gets through, both ways.
func TestFilterOnACable(t *testing.T) {
	g, ours, theirs := gatewayBehindFilter(t, Config{Workers: 2})
	server, client := ours.socket(t, "127.0.0.1:0"), theirs.socket(t, "10.0.0.2:4000")
	at := netip.MustParseAddrPort(server.LocalAddr().String())
	send := func(b []byte) {
		t.Helper()
		if _, err := client.WriteToUDPAddrPort(b, g.Address()); err != nil {
			t.Fatal(err)
		}
	}
	// ears is what comes to a socket within a time; nothing is nothing.
	ears := func(c *net.UDPConn, within time.Duration) ([]byte, netip.AddrPort) {
		t.Helper()
		b := make([]byte, 2000)
		_ = c.SetReadDeadline(time.Now().Add(within))
		n, from, err := c.ReadFromUDPAddrPort(b)
		if err != nil && !errors.Is(err, context.DeadlineExceeded) && !strings.Contains(err.Error(), "timeout") {
			t.Fatal(err)
		}
		return b[:n], from
	}
	payload := packet(netcode.TypePayload, 100)
	const garbage = 50
	for range garbage {
		send([]byte("garbage"))
		send(payload)
		send(packet(netcode.TypeProof, 50))
	}
	await(t, "the verdicts", func() bool {
		s := g.Stats()
		return s.FromClients[Unknown] == garbage && s.FromClients[Malformed] == 2*garbage
	})
	for _, w := range g.workers {
		w.mu.Lock()
		if w.fromClients != [verdicts]uint64{} {
			t.Errorf("a worker saw %v of what the filter drops", w.fromClients)
		}
		w.mu.Unlock()
	}
	send(requestOf(tokenFor(t, at, g.Address())))
	got, inner := ears(server, patience)
	if len(got) != netcode.CarriedSize+netcode.RequestSize {
		t.Fatalf("the server got %d bytes", len(got))
	}
	alive := append(append([]byte(nil), got[:netcode.CarriedSize]...), packet(netcode.TypeKeepAlive, 8)...)
	if _, err := server.WriteToUDPAddrPort(alive, inner); err != nil {
		t.Fatal(err)
	}
	if got, _ := ears(client, patience); len(got) != len(alive)-netcode.CarriedSize {
		t.Fatalf("the client got %d bytes", len(got))
	}
	send(payload)
	if got, _ := ears(server, patience); len(got) != netcode.CarriedSize+len(payload) {
		t.Errorf("the server got %d bytes, want the payload", len(got))
	}
	if s := g.Stats(); s.FromClients[Forwarded] != 2 || s.Flows != 1 {
		t.Errorf("got %d forwarded and %d flows, want 2 and 1", s.FromClients[Forwarded], s.Flows)
	}
}

// Where the kernel takes no filter, as an interface has one already, a gateway works without.
func TestNoFilter(t *testing.T) {
	_, ours, theirs := gatewayBehindFilter(t, Config{Workers: 1})
	var g *Gateway
	ours.do(func() {
		var err error
		g, err = New(t.Context(), Config{Listen: netip.MustParseAddrPort("10.0.0.1:7801"), Inner: loopback, Keys: edgeKeys, Workers: 1, XDP: "gw0"})
		if err != nil {
			t.Error(err)
		}
		bad := Config{Listen: netip.MustParseAddrPort("10.0.0.1:0"), Inner: loopback, Keys: edgeKeys, Workers: 1, XDP: "none-such"}
		if _, err := New(t.Context(), bad); throng.KindOf(err) != throng.Invalid || err == nil || !strings.Contains(err.Error(), "xdp") {
			t.Errorf("an interface that is none: got %v, want invalid", err)
		}
	})
	if t.Failed() {
		t.FailNow()
	}
	if g.filter != nil {
		t.Fatal("an interface has two filters")
	}
	start(t, g)
	client := theirs.socket(t, "10.0.0.2:4000")
	if _, err := client.WriteToUDPAddrPort([]byte("garbage"), g.Address()); err != nil {
		t.Fatal(err)
	}
	await(t, "the verdict", func() bool { return g.Stats().FromClients[Malformed] == 1 })
}

// start runs a gateway until the test ends.
func start(t *testing.T, g *Gateway) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan error, 1)
	go func() { done <- g.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
}
