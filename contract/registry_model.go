package contract

import (
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/throng-gg/throng"
)

func registryModels() []registryCase {
	return []registryCase{
		{name: "promises 1 and 2 hold whatever happens in whatever order", run: model, long: true},
	}
}

func model(t *testing.T, b *bench) {
	rapid.Check(t, func(t *rapid.T) {
		w := &world{b: b.again(), bold: map[throng.SessionID]bool{}}
		for range 3 {
			w.addServer(t)
		}
		t.Repeat(map[string]func(*rapid.T){
			"":        w.invariants,
			"join":    w.join,
			"admit":   w.admit,
			"confirm": w.confirm,
			"enter":   w.enter,
			"beat":    w.beat,
			"leave":   w.leave,
			"giveUp":  w.giveUp,
			"end":     w.end,
			"time":    w.time,
			"lose":    w.lose,
		})
		w.settle(t)
	})
}

// world is some servers and players with what is under way between them.
type world struct {
	b        *bench
	servers  []*server
	grants   []throng.Grant
	confirms []asked
	tickets  int
	// bold says which servers told of a player whose confirm was not answered:
	// they are the last authority on their seats, so one may be held for
	// somebody else already.
	bold map[throng.SessionID]bool
}

// asked is a confirm that is not answered.
type asked struct {
	server *server
	change throng.RosterChange
	done   bool // the registry has answered; the server may not know
}

func (w *world) addServer(t *rapid.T) {
	s := newServer(w.b, must(w.b.reg.Open(t.Context(), release(rapid.IntRange(1, 3).Draw(t, "capacity"))))(t))
	s.beat(t)
	w.servers = append(w.servers, s)
}

func player(t *rapid.T) throng.PlayerID {
	return rapid.SampledFrom([]throng.PlayerID{"ada", "bo", "cy", "di"}).Draw(t, "player")
}

func (w *world) server(t *rapid.T) *server {
	return w.servers[rapid.IntRange(0, len(w.servers)-1).Draw(t, "server")]
}

// expected says whether an error is one that a registry may well give.
func expected(t tester, err error, kinds ...throng.Kind) {
	t.Helper()
	if err == nil {
		return
	}
	for _, k := range kinds {
		if throng.KindOf(err) == k {
			return
		}
	}
	t.Fatalf("got %v (%s), want none or one of %v", err, throng.KindOf(err), kinds)
}

func (w *world) join(t *rapid.T) {
	party := []throng.PlayerID{player(t)}
	if p := player(t); p != party[0] && rapid.Bool().Draw(t, "together") {
		party = append(party, p)
	}
	w.tickets++
	g, err := w.b.tryJoin(t, w.server(t).id, ticket(fmt.Sprintf("t%d", w.tickets), party...))
	expected(t, err, throng.Full, throng.NotFound)
	if err == nil {
		w.grants = append(w.grants, g)
	}
}

// admit lets a granted player into the server, if it has a seat and has not
// seen a later epoch of him.
func (w *world) admit(t *rapid.T) {
	if len(w.grants) == 0 {
		t.Skip()
	}
	g := w.grants[rapid.IntRange(0, len(w.grants)-1).Draw(t, "grant")]
	m := rapid.SampledFrom(g.Members).Draw(t, "member")
	for _, s := range w.servers {
		if s.id != g.Session {
			continue
		}
		_, in := s.seats[m.Player]
		if s.highest[m.Player] >= m.Epoch || !in && len(s.seats) >= s.report.Capacity {
			t.Skip()
		}
		w.confirms = append(w.confirms, asked{server: s, change: s.admit(g, m.Player)})
	}
}

// enter admits and has the confirm answered before anything else happens.
func (w *world) enter(t *rapid.T) {
	before := len(w.confirms)
	w.admit(t)
	if len(w.confirms) > before {
		w.ask(t, before)
	}
}

func (w *world) confirm(t *rapid.T) {
	if len(w.confirms) == 0 {
		t.Skip()
	}
	w.ask(t, rapid.IntRange(0, len(w.confirms)-1).Draw(t, "confirm"))
}

func (w *world) ask(t *rapid.T, i int) {
	a := w.confirms[i]
	err := a.server.confirm(t, a.change)
	expected(t, err, throng.Denied, throng.Unavailable)
	if err != nil && throng.KindOf(err) == throng.Unavailable {
		return
	}
	if rapid.Bool().Draw(t, "repeat") { // its answer was lost
		w.confirms[i].done = true
	} else {
		w.confirms = append(w.confirms[:i:i], w.confirms[i+1:]...)
	}
}

func (w *world) beat(t *rapid.T) {
	w.heard(t, w.server(t))
}

// heard lets a server speak, and stop when it is told.
func (w *world) heard(t *rapid.T, s *server) {
	for _, c := range w.confirms {
		if c.server == s && !c.done {
			w.bold[s.id] = true
		}
	}
	a := s.beat(t)
	s.obey(a)
	if !a.Ended {
		return
	}
	clear(s.seats)
	for i, other := range w.servers {
		if other == s {
			w.servers = append(w.servers[:i:i], w.servers[i+1:]...)
			w.addServer(t)
		}
	}
	kept := w.confirms[:0:0]
	for _, a := range w.confirms {
		if a.server != s {
			kept = append(kept, a)
		}
	}
	w.confirms = kept
}

func (w *world) leave(t *rapid.T) {
	s, p := w.server(t), player(t)
	if _, ok := s.seats[p]; !ok {
		t.Skip()
	}
	s.leave(p)
}

func (w *world) giveUp(t *rapid.T) {
	if len(w.grants) == 0 {
		t.Skip()
	}
	g := w.grants[rapid.IntRange(0, len(w.grants)-1).Draw(t, "grant")]
	m := rapid.SampledFrom(g.Members).Draw(t, "member")
	expected(t, w.b.reg.Leave(t.Context(), g.Key, m.Player), throng.NotFound)
}

func (w *world) end(t *rapid.T) {
	s := w.server(t)
	check(t, w.b.reg.End(t.Context(), s.id, "by hand"))
	w.heard(t, s)
}

func (w *world) time(t *rapid.T) {
	for range rapid.IntRange(1, 6).Draw(t, "seconds") {
		w.b.pass(t, time.Second)
		for _, s := range append([]*server(nil), w.servers...) {
			if rapid.IntRange(0, 4).Draw(t, "speaks") > 0 {
				w.heard(t, s)
			}
		}
	}
}

func (w *world) lose(t *rapid.T) {
	if rapid.IntRange(0, 5).Draw(t, "really") > 0 {
		t.Skip()
	}
	w.b.rig.Lose()
	check(t, w.b.reg.Tick(t.Context()))
	for range 9 {
		w.b.pass(t, time.Second)
		for _, s := range append([]*server(nil), w.servers...) {
			w.heard(t, s)
		}
	}
}

// invariants hold after every action.
func (w *world) invariants(t *rapid.T) {
	for _, s := range w.servers {
		got := w.b.session(t, s.id)
		if got.Seated > got.Capacity {
			t.Fatalf("%s: got %d seated, want at most %d", s.id, got.Seated, got.Capacity)
		}
		if w.bold[s.id] {
			continue
		}
		if got.Seated+got.Held > got.Capacity {
			t.Fatalf("%s: got %d seated and %d held of %d", s.id, got.Seated, got.Held, got.Capacity)
		}
	}
}

// settle lets everything that is under way come to its end: then nobody has
// two seats, and the registry knows what the servers know.
func (w *world) settle(t *rapid.T) {
	for range 3 {
		for _, a := range w.confirms {
			expected(t, a.server.confirm(t, a.change), throng.Denied, throng.Unavailable)
		}
		for _, s := range append([]*server(nil), w.servers...) {
			w.heard(t, s)
		}
	}
	for range int(throng.HoldTime/time.Second) + 1 {
		w.b.pass(t, time.Second)
		for _, s := range append([]*server(nil), w.servers...) {
			w.heard(t, s)
		}
	}
	in := map[throng.PlayerID]throng.SessionID{}
	for _, s := range w.servers {
		for p := range s.seats {
			if other, ok := in[p]; ok {
				t.Fatalf("%s plays in %s and in %s", p, other, s.id)
			}
			in[p] = s.id
		}
		w.b.seats(t, s.id, len(s.seats), 0)
	}
	for _, p := range []throng.PlayerID{"ada", "bo", "cy", "di"} {
		w.b.at(t, p, in[p])
	}
}
