package contract

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/match"
	"github.com/throng-gg/throng/session"
)

// registryPeers replays what other orchestrators' users report (docs/attacks.md
// has the table), each case named after it.
func registryPeers() []registryCase {
	return []registryCase{
		{name: "LostReplyToCreate: no twin rooms", run: lostReplyToCreate},
		{name: "ReplyLostAfterAllocation: no server is leaked", run: replyLostAfterAllocation},
		{name: "LastSlotRace: 200 players race for 50 seats", run: lastSlot},
		{name: "CancelledRequestStillAllocates: one server, which goes back", run: cancelledRequest},
		{name: "GhostSeatAfterRefusedJoin: a refused player has no seat", run: ghostSeat},
		{name: "HoldExpiresWhileThePlayerConnects: never before his token", run: holdExpires},
	}
}

// stage is matchmakers on a bench's registry, and the servers that they start.
type stage struct {
	b       *bench
	servers chan *server // that were started, in order
	started atomic.Int64
	makers  []*match.Matchmaker
}

// Release is match.Places'.
func (s *stage) Release(context.Context, throng.PlaceID) (throng.Release, error) {
	r := release(4)
	r.TickRate = 30
	return r, nil
}

// Start is match.Fleet's. The servers bind their sessions when the test says so.
func (s *stage) Start(v throng.Session, _ throng.Release) error {
	s.started.Add(1)
	s.servers <- newServer(s.b, v)
	return nil
}

// Resume is match.Fleet's: whoever started a session has it.
func (s *stage) Resume(context.Context, throng.Session, throng.Release) error { return nil }

// Lanes is match.Places'.
func (s *stage) Lanes(ctx context.Context, p throng.PlaceID) (throng.Lanes, error) {
	r, err := s.Release(ctx, p)
	return throng.Lanes{Live: r}, err
}

// Version is match.Places'.
func (s *stage) Version(ctx context.Context, p throng.PlaceID, _ throng.Version) (throng.Release, error) {
	return s.Release(ctx, p)
}

func newStage(t *testing.T, b *bench, makers int) *stage {
	t.Helper()
	s := &stage{b: b, servers: make(chan *server, 64)}
	ctx, stop := context.WithCancel(t.Context())
	var all sync.WaitGroup
	t.Cleanup(func() {
		stop()
		all.Wait()
	})
	for range makers {
		m, err := match.New(match.Config{Region: benchRegion, Registry: b.reg, Sessions: b.reg, Fleet: s, Places: s})
		check(t, err)
		all.Go(func() {
			if err := m.Run(ctx); err != nil {
				t.Errorf("matchmaker: %v", err)
			}
		})
		s.makers = append(s.makers, m)
	}
	return s
}

// sessions returns the sessions that live.
func (s *stage) sessions(t *testing.T) []throng.Session {
	t.Helper()
	return must(s.b.reg.Sessions(t.Context(), "", "", 0))(t)
}

// placed asks a matchmaker until the ticket has its session.
func (s *stage) placed(t *testing.T, m *match.Matchmaker, tk throng.Ticket) throng.Grant {
	t.Helper()
	for {
		p, err := m.Place(t.Context(), tk, time.Minute)
		if err != nil && throng.KindOf(err) == throng.Unavailable {
			continue
		}
		check(t, err)
		if p.Assignment != nil {
			return p.Assignment.Grant
		}
	}
}

// lostReplyToCreate loses the answer to the opening of a session, and has the
// client send its ticket to another matchmaker.
func lostReplyToCreate(t *testing.T, b *bench) {
	s := newStage(t, b, 2)
	var losses atomic.Int64
	b.rig.Break(func(op string, at session.Point) error {
		if op == "Open" && at == session.AfterPersist && losses.Add(1) <= 2 {
			return throng.RetryLater(throng.Unavailable, 100*time.Millisecond, "the answer is lost")
		}
		return nil
	})
	defer b.rig.Break(nil)
	var all sync.WaitGroup
	all.Go(func() {
		for srv := range s.servers {
			srv.beat(t)
		}
	})
	grants := make([]throng.Grant, 2)
	together(2, func(i int) { grants[i] = s.placed(t, s.makers[i], ticket("t1", "ada", "bo")) })
	close(s.servers)
	all.Wait()
	if losses.Load() == 0 {
		t.Fatal("no answer was lost")
	}
	if grants[0].Session != grants[1].Session || grants[0].Nonce != grants[1].Nonce {
		t.Errorf("got grants in %s and %s, want one", grants[0].Session, grants[1].Session)
	}
	held := 0
	for _, v := range s.sessions(t) {
		held += v.Held + v.Seated
	}
	if held != 2 {
		t.Errorf("got %d seats held in all, want those of the party of 2", held)
	}
	// A twin that there may be has no server, and ends by itself.
	own := newServer(b, b.session(t, grants[0].Session))
	b.alive(t, session.StartTime+time.Second, own)
	if n := len(s.sessions(t)); n != 1 {
		t.Errorf("got %d sessions in the end, want 1", n)
	}
}

// replyLostAfterAllocation loses the answer to a server's first heartbeat, so that
// its session is given to another one, and has one come after its session ended.
func replyLostAfterAllocation(t *testing.T, b *bench) {
	v := b.starting(t, 4)
	first := newServer(b, v)
	b.rig.Break(func(op string, at session.Point) error {
		if op == "Heartbeat" && at == session.AfterPersist {
			return throng.Errorf(throng.Unavailable, "the answer is lost")
		}
		return nil
	})
	_, err := b.reg.Heartbeat(t.Context(), first.heartbeat())
	refused(t, err, throng.Unavailable)
	b.rig.Break(nil)
	if a := first.twin().beat(t); !a.Ended {
		t.Errorf("the second server: got %+v, want it told to end", a)
	}
	if a := first.beat(t); a.Ended {
		t.Errorf("the first server: got %+v, want it to have the session", a)
	}
	late := newServer(b, b.starting(t, 4))
	b.alive(t, session.StartTime+time.Second, first)
	if a := late.beat(t); !a.Ended {
		t.Errorf("a server that comes after its session ended: got %+v, want it told to end", a)
	}
}

// cancelledRequest has a client give up and ask again many times while its
// session starts, and then for good.
func cancelledRequest(t *testing.T, b *bench) {
	s := newStage(t, b, 1)
	tk := ticket("t1", "ada")
	for range 10 {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		p, err := s.makers[0].Place(ctx, tk, time.Minute)
		cancel()
		if err == nil && p.Assignment != nil {
			t.Fatalf("got %+v, want nothing while the session has no server", p.Assignment)
		}
	}
	srv := <-s.servers
	srv.beat(t)
	g := s.placed(t, s.makers[0], tk)
	if n := s.started.Load(); n != 1 || g.Session != srv.id {
		t.Errorf("got %d servers started and a grant in %s, want 1 and %s", n, g.Session, srv.id)
	}
	refused(t, b.reg.Retire(t.Context(), srv.report.Heartbeat, "empty"), throng.Conflict)
	check(t, b.reg.Leave(t.Context(), g.Key, "ada"))
	check(t, b.reg.Retire(t.Context(), srv.report.Heartbeat, "empty"))
	if n := len(s.sessions(t)); n != 0 {
		t.Errorf("got %d sessions that nobody wants, want none", n)
	}
}

// ghostSeat has players refused: by the registry, by the server's own count, and
// after the registry seated them.
func ghostSeat(t *testing.T, b *bench) {
	srv := b.open(t, 1)
	g := b.join(t, srv.id, "t1", "ada")
	_, err := b.tryJoin(t, srv.id, ticket("t1", "bo"))
	refused(t, err, throng.Full)
	b.seats(t, srv.id, 0, 1)

	// The server does not let her in; she gives up, and her seat is free at once.
	check(t, b.reg.Leave(t.Context(), g.Key, "ada"))
	b.seats(t, srv.id, 0, 0)
	refused(t, srv.confirm(t, srv.admit(g, "ada")), throng.Denied)
	b.seats(t, srv.id, 0, 0)
	b.at(t, "ada", "")

	// Another one just goes: his seat is free when his hold lapsed.
	b.join(t, srv.id, "t2", "bo")
	b.alive(t, throng.HoldTime+time.Second, srv)
	b.seats(t, srv.id, 0, 0)
	srv.enter(t, b.join(t, srv.id, "t3", "cy"), "cy")
}

// holdExpires has a player connect as late as his token allows, and later.
func holdExpires(t *testing.T, b *bench) {
	srv := b.open(t, 1)
	g := b.join(t, srv.id, "t1", "ada")
	if end := g.TokenExpiry(b.session(t, srv.id).BoundAt); !end.Before(g.Until) {
		t.Fatalf("the token ends at %v, the hold at %v, want the hold to last longer", end, g.Until)
	}
	b.alive(t, throng.TokenTime, srv)
	_, err := b.tryJoin(t, srv.id, ticket("t1", "bo"))
	refused(t, err, throng.Full)
	srv.enter(t, g, "ada")
	b.seats(t, srv.id, 1, 0)
	srv.leave("ada")
	srv.beat(t)

	g = b.join(t, srv.id, "t2", "ada") // comes after somebody else got her seat
	b.alive(t, throng.HoldTime+time.Second, srv)
	other := b.join(t, srv.id, "t2", "bo")
	refused(t, srv.confirm(t, srv.admit(g, "ada")), throng.Denied)
	srv.enter(t, other, "bo")
	b.seats(t, srv.id, 1, 0)
}
