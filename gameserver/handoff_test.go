package gameserver

import (
	"context"
	"fmt"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/wire"
	"github.com/throng-gg/throng/wire/netcode"
)

const elsewhere = throng.SessionID("ses_test_000123456789abcdef")

// removal answers handoffs as a test says, and writes them down. Safe for
// concurrent use.
type removal struct {
	t      *testing.T
	mu     sync.Mutex
	asked  []throng.Handoff
	answer func(throng.Handoff) error // nil: there are seats
	door   *doorway                   // where arrivals are known
}

func (r *removal) Handoff(_ context.Context, h throng.Heartbeat, ask throng.Handoff) (throng.Handed, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.asked = append(r.asked, ask)
	if err := ask.Check(); err != nil || h.Server != testServer || len(h.Changes) != 0 {
		r.t.Errorf("asked for %+v by %+v: %v", ask, h, err)
	}
	if r.answer != nil {
		if err := r.answer(ask); err != nil {
			return throng.Handed{}, err
		}
	}
	to := throng.Handed{Key: ask.Key(h.Session), Session: elsewhere, Place: "arena", Version: 2, Expires: time.Now().Add(throng.TokenTime)}
	for i, m := range ask.Members {
		token, err := netcode.MakeToken(netcode.TokenConfig{Expire: uint64(i + 1), Servers: []netip.AddrPort{testAddress}})
		if err != nil {
			r.t.Error(err)
		}
		to.Tokens = append(to.Tokens, throng.HandedToken{Player: m.Player, Token: token})
	}
	return to, nil
}

func (r *removal) Origin(ctx context.Context, s throng.SessionID, k throng.TicketKey) (throng.Origin, error) {
	if err := r.door.check(); err != nil {
		return throng.Origin{}, err
	}
	return r.door.Origin(ctx, s, k)
}

func (r *removal) set(answer func(throng.Handoff) error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.answer = answer
}

// groups is who was asked for together, in order.
func (r *removal) groups() (out []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, ask := range r.asked {
		var names []string
		for _, m := range ask.Members {
			names = append(names, string(m.Player))
		}
		out = append(out, strings.Join(names, "+"))
	}
	return out
}

// inTick does something as the script would.
func (s *stage) inTick(f func()) {
	s.place.mu.Lock()
	s.place.do = f
	s.place.mu.Unlock()
	s.wait(200 * time.Millisecond)
}

func (s *stage) answerTo(call uint64) (err error, told bool) { //nolint:revive // told is about err
	s.place.mu.Lock()
	defer s.place.mu.Unlock()
	err, told = s.place.handed[call]
	return err, told
}

// offers is the handoffs that a client was sent.
func (s *stage) offers(conn ConnID) (out []wire.Handoff) {
	s.t.Helper()
	s.net.mu.Lock()
	defer s.net.mu.Unlock()
	for _, b := range s.net.out[conn] {
		if wire.MessageOf(b) != wire.MessageHandoff {
			continue
		}
		h, err := wire.ParseHandoff(b)
		if err != nil {
			s.t.Fatal(err)
		}
		out = append(out, h)
	}
	return out
}

// enter brings a party into the game and returns its connections.
func (s *stage) enter(ticket throng.TicketID, party ...throng.PlayerID) (conns []ConnID, g throng.Grant) {
	s.t.Helper()
	g = s.grant(ticket, party...)
	for _, m := range g.Members {
		conns = append(conns, s.connect(g, m))
	}
	s.wait(200 * time.Millisecond)
	return conns, g
}

func TestHandoffIsTold(t *testing.T) {
	play(t, func(s *stage) {
		conns, g := s.enter("t", "ada", "bo")
		both := HandoffAsk{Players: []throng.PlayerID{"ada", "bo"}, Mode: throng.ModeDropIn}
		s.inTick(func() { s.ask(1, both); s.ask(2, both) })
		s.wait(time.Second)
		if err, told := s.answerTo(1); !told || err != nil {
			t.Errorf("the first: told %v, %v; want seats", told, err)
		}
		if err, told := s.answerTo(2); !told || throng.KindOf(err) != throng.Conflict {
			t.Errorf("of players who are on their way: told %v, %v; want a conflict", told, err)
		}
		ada, bo := s.offers(conns[0]), s.offers(conns[1])
		if len(ada) != 1 || len(bo) != 1 || ada[0].Session != elsewhere {
			t.Fatalf("told %d and %d times, want once each", len(ada), len(bo))
		}
		if slices.Equal(ada[0].Token, bo[0].Token) {
			t.Error("both got one token")
		}
		s.inside("while they are told", 2, "ada", "bo")
		s.inTick(func() { s.ask(4, both) })
		if err, told := s.answerTo(4); !told || throng.KindOf(err) != throng.Conflict {
			t.Errorf("of players who have seats elsewhere: told %v, %v; want a conflict", told, err)
		}
		// Her seat is taken elsewhere; he does not make it.
		if _, err := s.registry.Lookup(t.Context(), g.Key); err != nil {
			t.Fatal(err)
		}
		s.net.events <- Event{Kind: EventDisconnected, Conn: conns[0]}
		s.wait(10 * time.Second)
		s.inside("ten seconds later", 1, "bo")
		s.inTick(func() { s.ask(3, HandoffAsk{Players: []throng.PlayerID{"bo"}, Mode: throng.ModeNew, Data: "x"}) })
		s.wait(time.Second)
		if err, told := s.answerTo(3); !told || err != nil {
			t.Errorf("bo, again: told %v, %v; want seats", told, err)
		}
	})
}

func TestRefusedHandoffMovesNobody(t *testing.T) {
	play(t, func(s *stage) {
		conns, _ := s.enter("t", "ada", "bo")
		s.moves.set(func(throng.Handoff) error { return throng.Errorf(throng.Full, "no room") })
		all := HandoffAsk{Players: []throng.PlayerID{"ada", "bo"}, Mode: throng.ModeSession, Session: elsewhere}
		stranger := HandoffAsk{Players: []throng.PlayerID{"ada", "eve"}, Mode: throng.ModeDropIn}
		s.inTick(func() { s.ask(1, stranger); s.ask(2, all) })
		s.wait(time.Second)
		for call, want := range map[uint64]throng.Kind{1: throng.Conflict, 2: throng.Full} {
			if err, told := s.answerTo(call); !told || throng.KindOf(err) != want {
				t.Errorf("call %d: told %v, %v; want %s", call, told, err, want)
			}
		}
		if n := len(s.offers(conns[0])) + len(s.offers(conns[1])); n != 0 {
			t.Errorf("players were told %d times of seats that they have not", n)
		}
		s.inside("after that", 2, "ada", "bo")
	})
}

// A handoff that is not answered is the same one when it is asked for again.
func TestUnansweredHandoffIsRepeated(t *testing.T) {
	play(t, func(s *stage) {
		s.enter("t", "ada")
		tries := 0
		s.moves.set(func(throng.Handoff) error {
			if tries++; tries < 4 {
				return throng.Errorf(throng.Unavailable, "no answer")
			}
			return nil
		})
		one := HandoffAsk{Players: []throng.PlayerID{"ada"}, Mode: throng.ModeDropIn}
		s.inTick(func() { s.ask(1, one) })
		s.wait(8 * time.Second)
		if err, told := s.answerTo(1); !told || err != nil {
			t.Errorf("told %v, %v; want seats", told, err)
		}
		ids := map[throng.TicketID]bool{}
		for _, ask := range s.moves.asked {
			ids[ask.ID] = true
		}
		if len(ids) != 1 || tries != 4 {
			t.Errorf("%d names in %d tries, want one in four", len(ids), tries)
		}
		s.moves.set(func(throng.Handoff) error { return throng.Errorf(throng.Unavailable, "away") })
		s.wait(10 * time.Second)
		s.inTick(func() { s.ask(2, one) })
		s.wait(moveTime + 5*time.Second)
		if err, told := s.answerTo(2); !told || throng.KindOf(err) != throng.Unavailable {
			t.Errorf("a door that is away: told %v, %v; want unavailable", told, err)
		}
	})
}

// arrive holds seats for players who were handed off by another session.
func (s *stage) arrive(ask throng.Handoff, data string) throng.Grant {
	s.t.Helper()
	const from = throng.SessionID("ses_test_ff0123456789abcdef")
	ctx := s.t.Context()
	t := throng.Ticket{
		Key: ask.Key(from), Place: "arena", Version: 1, Mode: throng.ModeDropIn,
		From: throng.Origin{Session: from, Place: "lobby", Data: data},
	}
	for _, m := range ask.Members {
		t.Party = append(t.Party, m.Player)
	}
	c, err := s.registry.Claim(ctx, t)
	if err != nil {
		s.t.Fatal(err)
	}
	h, _, err := s.registry.Hold(ctx, c, s.session.ID)
	if err != nil {
		s.t.Fatal(err)
	}
	g, err := s.registry.Settle(ctx, c, h)
	if err != nil {
		s.t.Fatal(err)
	}
	return g
}

// Who is handed off plays elsewhere until he is confirmed here, so he waits
// where others play unconfirmed; and the script learns where he is from.
func TestArrivalByHandoffWaitsForItsConfirm(t *testing.T) {
	play(t, func(s *stage) {
		g := s.arrive(throng.Handoff{ID: "1", Members: []throng.Member{{Player: "ada", Epoch: 1}}}, "red")
		s.door.set(true)
		s.connect(g, g.Members[0])
		s.wait(4 * time.Second)
		if got := s.place.in(); len(got) != 0 {
			t.Errorf("unconfirmed for 4 s: got %v in the place, want nobody", got)
		}
		s.door.set(false)
		s.wait(3 * time.Second)
		s.inside("once the registry is back", 1, "ada")
		want := []throng.Origin{{Session: "ses_test_ff0123456789abcdef", Place: "lobby", Data: "red"}}
		if !reflect.DeepEqual(s.place.from, want) {
			t.Errorf("the script was told %+v, want %+v", s.place.from, want)
		}
	})
}

func TestDrainMovesAllTogetherOrInHalves(t *testing.T) {
	play(t, func(s *stage) {
		s.enter("pair", "ada", "bo")
		s.enter("one", "cy")
		s.moves.set(func(h throng.Handoff) error {
			if len(h.Members) > 2 {
				return throng.Errorf(throng.Full, "no room for %d", len(h.Members))
			}
			return nil
		})
		s.order(0)
		got := s.moves.groups()
		slices.Sort(got[1:])
		if fmt.Sprint(got) != "[ada+bo+cy ada+bo cy]" {
			t.Errorf("asked for %v, want all, then the pair and the one", got)
		}
	})
}

// order drains the session and waits until its server has heard of it.
func (s *stage) order(within time.Duration) {
	s.t.Helper()
	if err := s.registry.Drain(s.t.Context(), s.session.ID, "update", within); err != nil {
		s.t.Fatal(err)
	}
	s.wait(throng.HeartbeatTime + time.Second)
}

// A party of whom one lost his connection waits for him, and who is not moved is
// tried again; the operator's end is the end.
func TestDrainTriesAgainUntilItsEnd(t *testing.T) {
	play(t, func(s *stage) {
		conns, _ := s.enter("pair", "ada", "bo")
		s.enter("one", "cy")
		s.lose(conns[0])
		s.moves.set(func(throng.Handoff) error { return throng.Errorf(throng.NoCapacity, "no server") })
		s.order(2 * time.Minute)
		s.wait(15 * time.Second)
		if got := s.moves.groups(); len(got) < 2 || got[0] != "cy" || got[1] != "cy" {
			t.Errorf("while ada is away: asked for %v, want cy alone, more than once", got)
		}
		s.wait(70 * time.Second)
		if got := s.moves.groups(); !slices.Contains(got, "bo+cy") && !slices.Contains(got, "bo") {
			t.Errorf("once ada's seat is given up: asked for %v, want bo too", got)
		}
		s.inside("nobody is killed", 2, "bo", "cy")
		s.wait(30 * time.Second)
		s.over(nil)
		if left := s.place.drained; len(left) != 1 || left[0] < 100*time.Second || left[0] > 2*time.Minute {
			t.Errorf("the place was told %v, want once the two minutes", left)
		}
	})
}

func TestDrainWaitsForTheBreak(t *testing.T) {
	for _, c := range []struct {
		name   string
		within time.Duration
		ready  bool
		quiet  time.Duration // nobody is moved before
		moved  time.Duration // after that they are, within
	}{
		{"the place says when", 0, true, 40 * time.Second, 2 * time.Second},
		{"it never does", 0, false, 100 * time.Second, 30 * time.Second},
		{"the end comes first", time.Minute, false, 15 * time.Second, 20 * time.Second},
	} {
		t.Run(c.name, func(t *testing.T) {
			play(t, func(s *stage) {
				s.place.waits = true
				s.enter("one", "cy")
				s.order(c.within)
				s.wait(c.quiet)
				if got := s.moves.groups(); len(got) != 0 {
					t.Fatalf("before the break: asked for %v", got)
				}
				if c.ready {
					s.inTick(s.ready)
				}
				s.wait(c.moved)
				if got := s.moves.groups(); len(got) == 0 || got[0] != "cy" {
					t.Errorf("asked for %v, want cy", got)
				}
			})
		})
	}
}

func TestHalve(t *testing.T) {
	name := func(n int) (out []throng.PlayerID) {
		for i := range n {
			out = append(out, throng.PlayerID(fmt.Sprintf("%d.%d", n, i)))
		}
		return out
	}
	for _, sizes := range [][]int{{1, 1}, {9, 1}, {5, 4, 3, 2, 1}, {1, 1, 1, 1, 1}, {3, 3, 3}} {
		var parties [][]throng.PlayerID
		total := 0
		for _, n := range sizes {
			parties, total = append(parties, name(n)), total+n
		}
		half, rest := halve(parties)
		a, b := len(slices.Concat(half...)), len(slices.Concat(rest...))
		if len(half) == 0 || len(rest) == 0 || a+b != total || len(half)+len(rest) != len(sizes) || max(a, b)-min(a, b) > sizes[0] {
			t.Errorf("%v: got %d parties of %d players and %d of %d", sizes, len(half), a, len(rest), b)
		}
	}
}
