package gameserver

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/throng-gg/throng"
)

// However slow the reader, every accepted connection's Connected and
// Disconnected arrive, once and in order, no send blocks, and connections of
// different transports are different ones.
func TestLifecycleIsNeverLost(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		e := newEvents(rapid.IntRange(2, 12).Draw(t, "room"))
		sources := []*Source{e.Source(), e.Source()}
		type conn struct {
			of *Source
			n  uint64
		}
		live, open := []conn{}, map[ConnID]bool{}
		accepted, ended := 0, 0
		read := func() {
			event := <-e.out
			switch event.Kind {
			case EventConnected:
				if open[event.Conn] {
					t.Fatalf("%d connected twice", event.Conn)
				}
				open[event.Conn] = true
			case EventMessage:
				if !open[event.Conn] {
					t.Fatalf("a message of %d, which is not connected", event.Conn)
				}
			case EventDisconnected:
				if !open[event.Conn] {
					t.Fatalf("%d disconnected and was not connected", event.Conn)
				}
				delete(open, event.Conn)
				ended++
			}
		}
		for i := range rapid.IntRange(1, 200).Draw(t, "steps") {
			switch rapid.IntRange(0, 3).Draw(t, "step") {
			case 0:
				c := conn{sources[i%2], uint64(i/2 + 1)}
				if c.of.Connected(c.n, netip.AddrPort{}, []byte("claims")) {
					live = append(live, c)
					accepted++
				}
			case 1:
				if len(live) > 0 {
					c := live[i%len(live)]
					c.of.Message(c.n, []byte("x"))
				}
			case 2:
				if len(live) > 0 {
					live[0].of.Disconnected(live[0].n)
					live = live[1:]
				}
			case 3:
				if len(e.out) > 0 {
					read()
				}
			}
		}
		for _, c := range live {
			c.of.Disconnected(c.n)
		}
		for len(e.out) > 0 {
			read()
		}
		if ended != accepted || len(open) != 0 {
			t.Fatalf("got %d disconnected of %d accepted", ended, accepted)
		}
	})
}

func TestSourcesKnowTheirOwn(t *testing.T) {
	e := newEvents(2)
	first, second := e.Source(), e.Source()
	for _, n := range []uint64{1, 256, 1 << 40} {
		id := second.ID(n)
		if got, own := second.Own(id); got != n || !own {
			t.Errorf("own %d: got %d, %v", n, got, own)
		}
		if _, own := first.Own(id); own {
			t.Errorf("%d of the second is taken for the first's", n)
		}
	}
}

// lane is a Transport that remembers what it was told.
type lane struct {
	*Source
	web    throng.WebAddress
	listen error
	told   []ConnID
}

func (l *lane) Address() netip.AddrPort                      { return testAddress }
func (l *lane) Listen([32]byte, int, func() time.Time) error { return l.listen }
func (l *lane) Send(c ConnID, _ []byte) {
	if _, own := l.Own(c); own {
		l.told = append(l.told, c)
	}
}

func (l *lane) Disconnect(c ConnID) { l.Send(c, nil) }

func (l *lane) WebAddress() throng.WebAddress { return l.web }

func TestJoin(t *testing.T) {
	e := NewEvents()
	udp, web := &lane{Source: e.Source()}, &lane{Source: e.Source(), web: throng.WebAddress{URL: "https://192.0.2.1:1/play"}}
	j, err := Join(udp, web)
	if err != nil {
		t.Fatal(err)
	}
	udp.Connected(7, netip.AddrPort{}, nil)
	web.Connected(7, netip.AddrPort{}, nil)
	ofUDP, ofWeb := (<-j.Events()).Conn, (<-j.Events()).Conn
	if ofUDP == ofWeb {
		t.Errorf("two connections have the ID %d", ofWeb)
	}
	j.Send(ofWeb, []byte("x"))
	j.Disconnect(ofUDP)
	if len(udp.told) != 1 || udp.told[0] != ofUDP || len(web.told) != 1 || web.told[0] != ofWeb {
		t.Errorf("told: got %v and %v, want each its own", udp.told, web.told)
	}
	if got := j.WebAddress().URL; got != web.web.URL {
		t.Errorf("web address: got %q, want %q", got, web.web.URL)
	}
	web.listen = throng.Errorf(throng.Conflict, "no")
	if got := throng.KindOf(j.Listen([32]byte{}, 1, time.Now)); got != throng.Conflict {
		t.Errorf("listen: got %s, want the second one's error", got)
	}
	for name, all := range map[string][]Transport{"none": nil, "strangers": {udp, &lane{Source: NewEvents().Source()}}} {
		if _, err := Join(all...); throng.KindOf(err) != throng.Invalid || err == nil {
			t.Errorf("%s: got %v, want invalid", name, err)
		}
	}
}

// Messages wait for Gather once it was called, in their place before what comes
// after them, and take no room that others were promised.
func TestGather(t *testing.T) {
	e := newEvents(8)
	s := e.Source()
	read := func() (kinds []EventKind) {
		for {
			select {
			case ev := <-e.out:
				kinds = append(kinds, ev.Kind)
				ev.Done()
			default:
				return kinds
			}
		}
	}
	want := func(what string, want ...EventKind) {
		t.Helper()
		if got := read(); !slices.Equal(got, want) {
			t.Errorf("%s: got %v, want %v", what, got, want)
		}
	}
	s.Connected(1, netip.AddrPort{}, nil)
	s.Message(1, []byte("a"))
	want("before the first Gather", EventConnected, EventMessage)
	s.Gather()
	s.Message(1, []byte("b"))
	s.Message(1, []byte("c"))
	want("between two")
	s.Gather()
	want("after the second", EventMessage, EventMessage)
	s.Message(1, []byte("d"))
	s.Disconnected(1)
	want("at another event", EventMessage, EventDisconnected)

	s.Connected(2, netip.AddrPort{}, nil)
	want("another connection", EventConnected)
	taken := 0
	for s.Message(2, []byte("more")) {
		taken++
	}
	if taken != 7 { // of 8, one is promised to the end of the connection
		t.Errorf("took %d messages, want 7", taken)
	}
	s.Disconnected(2)
	if got := read(); len(got) != 8 || got[7] != EventDisconnected {
		t.Errorf("when full: got %v", got)
	}
}
