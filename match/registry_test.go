package match

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"reflect"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/memory"
	"github.com/throng-gg/throng/session"
)

// place is what is live, and a fleet whose servers bind their session after a
// second.
type place struct {
	percent  int // of new sessions that run the next version
	t        *testing.T
	registry *session.Registry
	capacity int

	mu      sync.Mutex
	opened  []throng.SessionID
	shown   map[throng.PlayerID]throng.SessionID // who can be followed, and where to
	around  []throng.SessionFriends              // where everybody's friends play
	signals []throng.Signal
}

func (p *place) Release(_ context.Context, id throng.PlaceID) (throng.Release, error) {
	return throng.Release{
		Place: id, Version: 3, Package: "abc", Capacity: p.capacity, TickRate: 30, Weights: throng.Weights{Fill: 1, Friends: 15}, Signals: p.signals,
	}, nil
}

func (p *place) Start(s throng.Session, _ throng.Release) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	unique := throng.Entropy{byte(len(p.opened)), byte(len(p.opened) >> 8)}
	h := throng.Heartbeat{
		Session: s.ID, Server: throng.MakeServerID("eu", unique), Incarnation: throng.MakeIncarnation(unique),
		Address: netip.MustParseAddrPort("127.0.0.1:7000"),
	}
	p.opened = append(p.opened, s.ID)
	time.AfterFunc(time.Second, func() {
		if _, err := p.registry.Heartbeat(p.t.Context(), h); err != nil {
			p.t.Errorf("heartbeat of %s: %v", s.ID, err)
		}
	})
	return nil
}

func (p *place) Resume(context.Context, throng.Session, throng.Release) error { return nil }

func (p *place) Version(ctx context.Context, id throng.PlaceID, _ throng.Version) (throng.Release, error) {
	return p.Release(ctx, id)
}

func (p *place) Lanes(ctx context.Context, id throng.PlaceID) (throng.Lanes, error) {
	r, err := p.Release(ctx, id)
	l := throng.Lanes{Live: r, Percent: p.percent}
	if p.percent > 0 {
		l.Canary = r
		l.Canary.Version++
	}
	return l, err
}

func (p *place) Follow(_ context.Context, _, friend throng.PlayerID) (throng.SessionID, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if s, ok := p.shown[friend]; ok {
		return s, nil
	}
	return "", throng.AtField(throng.NotFound, "friend", "%s does not play here", friend)
}

func (p *place) Around(context.Context, []throng.PlayerID) ([]throng.SessionFriends, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.around, nil
}

// codes gives each session the code that codeOf says.
type codes struct{}

func (codes) CodeHash(s throng.SessionID) throng.CodeHash { return throng.HashCode(codeOf(s)) }

func codeOf(s throng.SessionID) string { return "code-" + string(s[len(s)-8:]) }

// slow is a registry behind a network of up to 5 ms each way, in which answers
// overtake each other.
type slow struct {
	*session.Registry
	mu     sync.Mutex
	random *rand.Rand
}

func (s *slow) pause(ctx context.Context) {
	s.mu.Lock()
	d := time.Duration(s.random.IntN(5000)) * time.Microsecond
	s.mu.Unlock()
	pause(ctx, d)
}

func (s *slow) Hold(ctx context.Context, c throng.Claim, id throng.SessionID) (throng.Hold, throng.Session, error) {
	s.pause(ctx)
	defer s.pause(ctx)
	return s.Registry.Hold(ctx, c, id)
}

func (s *slow) Settle(ctx context.Context, c throng.Claim, h throng.Hold) (throng.Grant, error) {
	s.pause(ctx)
	defer s.pause(ctx)
	return s.Registry.Settle(ctx, c, h)
}

func (s *slow) OpenFor(ctx context.Context, o throng.Opening) (throng.Opened, error) {
	s.pause(ctx)
	defer s.pause(ctx)
	return s.Registry.OpenFor(ctx, o)
}

// overMemory runs n matchmakers over the registry in memory.
func overMemory(t *testing.T, n, capacity int) ([]*Matchmaker, *place) {
	t.Helper()
	store, err := memory.New(memory.Config{})
	if err != nil {
		t.Fatal(err)
	}
	registry, err := session.New(session.Config{Store: store, Region: throng.Region{ID: "eu"}, Codes: codes{}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var all sync.WaitGroup
	t.Cleanup(func() {
		cancel()
		all.Wait()
	})
	all.Go(func() { _ = registry.Run(ctx) })
	synctest.Wait()
	p := &place{t: t, registry: registry, capacity: capacity, shown: map[throng.PlayerID]throng.SessionID{}}
	s := &slow{Registry: registry, random: rand.New(rand.NewPCG(1, 2))}
	made := make([]*Matchmaker, n)
	for i := range made {
		m, err := New(Config{Region: throng.Region{ID: "eu"}, Registry: s, Sessions: s, Fleet: p, Places: p, Friends: p, Origins: s})
		if err != nil {
			t.Fatal(err)
		}
		made[i] = m
		all.Go(func() { _ = m.Run(ctx) })
	}
	return made, p
}

// The herd again, over the registry as it is.
func TestRegistryHerd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, p := overMemory(t, 1, 50)
		var tickets []throng.Ticket
		for i := range 1000 {
			tickets = append(tickets, ticket(fmt.Sprint(i), 1))
		}
		first := all(t, m[0], tickets)
		if len(p.opened) != 20 {
			t.Errorf("got %d sessions, want 1000/50 = 20", len(p.opened))
		}
		for i, again := range all(t, m[0], tickets) {
			if !reflect.DeepEqual(again.Grant, first[i].Grant) {
				t.Fatalf("got %+v for a repeat, want %+v", again.Grant, first[i].Grant)
			}
		}
		// A repeat with other content is refused.
		other := ticket("7", 2)
		if _, err := m[0].Place(t.Context(), other, time.Minute); throng.KindOf(err) != throng.Conflict {
			t.Errorf("got %v, want conflict", err)
		}
	})
}

// Two matchmakers at once, each ticket sent to both: no seat twice, one answer.
func TestRegistryTwoMatchmakers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, p := overMemory(t, 2, 20)
		var tickets []throng.Ticket
		players := 0
		for i := range 200 {
			tickets = append(tickets, ticket(fmt.Sprint(i), 1+i%4))
			players += 1 + i%4
		}
		var here, there []throng.Assignment
		var both sync.WaitGroup
		both.Go(func() { here = all(t, m[0], tickets) })
		both.Go(func() { there = all(t, m[1], tickets) })
		both.Wait()
		seats := map[throng.SessionID]int{}
		for i, a := range here {
			if !reflect.DeepEqual(a.Grant, there[i].Grant) {
				t.Errorf("ticket %d: got %s here and %s there, want one answer", i, a.Grant.Session, there[i].Grant.Session)
			}
			seats[a.Grant.Session] += len(a.Grant.Members)
		}
		held := 0
		for _, id := range p.opened {
			s, err := p.registry.Session(t.Context(), id)
			if err != nil || s.Held != seats[id] || s.Held > s.Capacity {
				t.Errorf("session %s: got %d of %d held, %v, want %d", id, s.Held, s.Capacity, err, seats[id])
			}
			held += s.Held
		}
		if held != players {
			t.Errorf("got %d seats held, want %d", held, players)
		}
	})
}
