package match

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/throng-gg/throng"
)

// world is a registry, a fleet and a place in memory, with faults to switch on.
type world struct {
	mu       sync.Mutex
	random   *rand.Rand
	capacity int
	version  throng.Version
	percent  int           // of new sessions that run the next version
	bindIn   time.Duration // from Start to bound; negative: never
	startErr error
	feedErr  error
	hook     func(op string) error // before every call of the registry
	signals  []throng.Signal
	// attributes is what the n-th session says; nil: nothing.
	attributes func(n int) throng.SessionAttributes

	lostOpens int // so many openings happen, and nobody hears of it

	drafts   int
	made     int
	sequence uint64
	oldest   uint64 // cursors before it have to read everything
	changed  map[throng.SessionID]uint64
	news     chan struct{} // closed and replaced at each change
	sessions map[throng.SessionID]*throng.Session
	silent   map[throng.SessionID]bool // have room and take no players
	holds    map[throng.SessionID]map[throng.TicketKey]throng.Hold
	claims   map[throng.TicketKey]*throng.Claim
	opened   []throng.SessionID
	ended    int
	settled  int
	unheld   int
	resumes  bool // what Resume is called for gets a server
	resumed  []throng.SessionID
}

func newWorld(seed uint64, capacity int) *world {
	return &world{
		random:   rand.New(rand.NewPCG(seed, 9)),
		capacity: capacity,
		version:  1,
		bindIn:   time.Second,
		news:     make(chan struct{}),
		changed:  map[throng.SessionID]uint64{},
		sessions: map[throng.SessionID]*throng.Session{},
		silent:   map[throng.SessionID]bool{},
		holds:    map[throng.SessionID]map[throng.TicketKey]throng.Hold{},
		claims:   map[throng.TicketKey]*throng.Claim{},
	}
}

// enter takes a while, as a network does, and lets faults happen.
func (w *world) enter(ctx context.Context, op string) error {
	w.mu.Lock()
	d := time.Duration(w.random.IntN(5000)) * time.Microsecond
	hook := w.hook
	w.mu.Unlock()
	pause(ctx, d)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if hook != nil {
		return hook(op)
	}
	return nil
}

// leave is the way back of an answer that already stands.
func (w *world) leave(ctx context.Context) {
	w.mu.Lock()
	d := time.Duration(w.random.IntN(5000)) * time.Microsecond
	w.mu.Unlock()
	pause(ctx, d)
}

func (w *world) touch(id throng.SessionID) {
	w.sequence++
	w.changed[id] = w.sequence
	close(w.news)
	w.news = make(chan struct{})
}

func (w *world) Claim(ctx context.Context, t throng.Ticket) (throng.Claim, error) {
	if err := w.enter(ctx, "claim"); err != nil {
		return throng.Claim{}, err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	c := w.claims[t.Key]
	if c != nil && !same(c.Ticket, t) {
		return throng.Claim{}, throng.Errorf(throng.Conflict, "other content")
	}
	if c == nil {
		c = &throng.Claim{Ticket: t}
		for _, p := range t.Party {
			c.Members = append(c.Members, throng.Member{Player: p, Epoch: 1})
		}
		w.claims[t.Key] = c
	}
	return *c, nil
}

func (w *world) Hold(ctx context.Context, c throng.Claim, id throng.SessionID) (throng.Hold, throng.Session, error) {
	if err := w.enter(ctx, "hold"); err != nil {
		return throng.Hold{}, throng.Session{}, err
	}
	defer w.leave(ctx)
	w.mu.Lock()
	defer w.mu.Unlock()
	s := w.sessions[id]
	if w.silent[id] {
		return throng.Hold{}, throng.Session{}, throng.Errorf(throng.Full, "%s takes no players until its server is heard", id)
	}
	if s == nil || s.State > throng.SessionOpen {
		return throng.Hold{}, throng.Session{}, throng.Errorf(throng.NotFound, "no session %s", id)
	}
	if h, ok := w.holds[id][c.Key]; ok {
		return h, *s, nil
	}
	if s.Free() < len(c.Members) {
		return throng.Hold{}, throng.Session{}, throng.Errorf(throng.Full, "%s is full", id)
	}
	h := throng.Hold{Key: c.Key, Session: id, Members: c.Members, HeldAt: time.Now()}
	w.holds[id][c.Key] = h
	s.Held += len(c.Members)
	w.touch(id)
	return h, *s, nil
}

func (w *world) Unhold(_ context.Context, id throng.SessionID, k throng.TicketKey) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.unheld++
	w.drop(id, k)
	return nil
}

func (w *world) drop(id throng.SessionID, k throng.TicketKey) {
	h, ok := w.holds[id][k]
	if !ok {
		return
	}
	delete(w.holds[id], k)
	w.sessions[id].Held -= len(h.Members)
	w.touch(id)
}

func (w *world) Settle(ctx context.Context, c throng.Claim, h throng.Hold) (throng.Grant, error) {
	if err := w.enter(ctx, "settle"); err != nil {
		return throng.Grant{}, err
	}
	defer w.leave(ctx)
	w.mu.Lock()
	defer w.mu.Unlock()
	known := w.claims[c.Key]
	if known.Grant == nil {
		w.settled++
		known.Grant = &throng.Grant{Hold: h, Place: c.Place, Version: c.Version, Nonce: [24]byte{byte(w.settled)}}
	}
	if known.Grant.Session != h.Session {
		w.drop(h.Session, h.Key)
	}
	return *known.Grant, nil
}

func (w *world) Lookup(_ context.Context, k throng.TicketKey) (throng.Claim, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if c := w.claims[k]; c != nil {
		return *c, nil
	}
	return throng.Claim{}, throng.Errorf(throng.NotFound, "no ticket %s", k.Ticket)
}

func (w *world) Draft(r throng.Release) (throng.Session, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.drafts++
	s := throng.Session{
		ID: throng.SessionID(fmt.Sprintf("ses_eu_%04d", w.drafts)), Place: r.Place, Version: r.Version,
		Capacity: r.Capacity,
	}
	if w.attributes != nil {
		s.Attributes = w.attributes(w.drafts)
	}
	return s, nil
}

func (w *world) DraftPrivate(r throng.Release) (throng.Session, error) {
	s, err := w.Draft(r)
	s.Private, s.Code = true, throng.HashCode("code of "+string(s.ID))
	return s, err
}

func (w *world) OpenFor(ctx context.Context, o throng.Opening) (out throng.Opened, err error) {
	if err := w.enter(ctx, "open"); err != nil {
		return throng.Opened{}, err
	}
	defer w.leave(ctx)
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.lostOpens > 0 {
		w.lostOpens--
		defer func() { out, err = throng.Opened{}, errors.New("connection lost") }()
	}
	id := o.Session.ID
	if w.sessions[id] == nil {
		if others := w.room(o); len(others) > 0 {
			return throng.Opened{Others: others}, nil
		}
		w.made++
		s := o.Session
		s.Number = uint64(w.made)
		w.sessions[id] = &s
		w.holds[id] = map[throng.TicketKey]throng.Hold{}
		for _, c := range o.Parties {
			w.holds[id][c.Key] = throng.Hold{Key: c.Key, Session: id, Members: c.Members, HeldAt: time.Now()}
			s.Held += len(c.Members)
		}
		w.opened = append(w.opened, id)
		w.touch(id)
	}
	out.Session = *w.sessions[id]
	for _, c := range o.Parties {
		out.Holds = append(out.Holds, w.holds[id][c.Key])
	}
	return out, nil
}

func (w *world) room(o throng.Opening) (others []throng.Session) {
	for _, id := range w.opened {
		s := w.sessions[id]
		if o.Room > 0 && s.Number > o.Seen && s.State <= throng.SessionOpen && !s.Private &&
			s.Version == o.Session.Version && s.Free() >= o.Room {
			others = append(others, *s)
		}
	}
	return others
}

// lose empties the registry, but for sessions whose servers report at once.
func (w *world) lose(reported ...throng.SessionID) {
	w.mu.Lock()
	defer w.mu.Unlock()
	clear(w.claims)
	for id, s := range w.sessions {
		clear(w.holds[id])
		s.Held = 0
		if !slices.Contains(reported, id) {
			delete(w.sessions, id)
			delete(w.changed, id)
			w.opened = slices.DeleteFunc(w.opened, func(o throng.SessionID) bool { return o == id })
		}
	}
	w.sequence += 2
	w.oldest = w.sequence
	close(w.news)
	w.news = make(chan struct{})
}

// bind gives a session a server.
func (w *world) bind(id throng.SessionID) {
	w.mu.Lock()
	defer w.mu.Unlock()
	s := w.sessions[id]
	if s.State != throng.SessionStarting {
		return
	}
	s.State, s.Server, s.BoundAt = throng.SessionOpen, "srv_eu_0000000000000000", time.Now()
	s.Address = netip.MustParseAddrPort("127.0.0.1:7000")
	w.touch(id)
}

func (w *world) Abandon(ctx context.Context, id throng.SessionID, reason string) error {
	w.mu.Lock()
	s := w.sessions[id]
	used := len(w.holds[id]) > 0 || s.Seated > 0
	w.mu.Unlock()
	if used {
		return nil
	}
	return w.End(ctx, id, reason)
}

func (w *world) End(_ context.Context, id throng.SessionID, reason string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	s := w.sessions[id]
	if s == nil {
		return throng.Errorf(throng.NotFound, "no session %s", id)
	}
	if s.State != throng.SessionEnded {
		s.State, s.Reason, s.Held = throng.SessionEnded, reason, 0
		w.ended++
		clear(w.holds[id])
		w.touch(id)
	}
	return nil
}

func (w *world) Session(ctx context.Context, id throng.SessionID) (throng.Session, error) {
	if err := w.enter(ctx, "session"); err != nil {
		return throng.Session{}, err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if s := w.sessions[id]; s != nil {
		return *s, nil
	}
	return throng.Session{}, throng.Errorf(throng.NotFound, "no session %s", id)
}

func (w *world) Changes(ctx context.Context, cursor uint64) (throng.SessionChanges, error) {
	if err := w.enter(ctx, "changes"); err != nil {
		return throng.SessionChanges{}, err
	}
	for {
		w.mu.Lock()
		news, err := w.news, w.feedErr
		ch := throng.SessionChanges{Cursor: w.sequence + 1, Full: cursor == 0 || cursor < w.oldest}
		for id, n := range w.changed {
			ended := w.sessions[id].State == throng.SessionEnded
			if ch.Full && !ended || !ch.Full && n >= cursor {
				ch.Sessions = append(ch.Sessions, *w.sessions[id])
			}
		}
		w.mu.Unlock()
		if err != nil {
			return throng.SessionChanges{}, err
		}
		if ch.Full || len(ch.Sessions) > 0 {
			return ch, nil
		}
		select {
		case <-news:
		case <-ctx.Done():
			return throng.SessionChanges{}, ctx.Err()
		}
	}
}

// breakFeed makes the feed answer err until it is nil.
func (w *world) breakFeed(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.feedErr = err
	close(w.news)
	w.news = make(chan struct{})
}

func (w *world) Start(s throng.Session, _ throng.Release) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.startErr != nil {
		return w.startErr
	}
	if w.bindIn >= 0 {
		time.AfterFunc(w.bindIn, func() { w.bind(s.ID) })
	}
	return nil
}

// Resume finds a server for a session if w.resumes says so.
func (w *world) Resume(_ context.Context, s throng.Session, r throng.Release) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.resumed = append(w.resumed, s.ID)
	if s.Version != r.Version {
		return throng.Errorf(throng.Invalid, "session of version %d with the release %d", s.Version, r.Version)
	}
	if w.resumes {
		time.AfterFunc(100*time.Millisecond, func() { w.bind(s.ID) })
	}
	return nil
}

func (w *world) Version(_ context.Context, p throng.PlaceID, v throng.Version) (throng.Release, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return throng.Release{Place: p, Version: v, Capacity: w.capacity}, nil
}

func (w *world) Lanes(_ context.Context, p throng.PlaceID) (throng.Lanes, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if p != "arena" {
		return throng.Lanes{}, throng.Errorf(throng.NotFound, "no place %s", p)
	}
	l := throng.Lanes{Live: throng.Release{
		Place: p, Version: w.version, Capacity: w.capacity, Weights: throng.Weights{Fill: 1, Latency: 1},
		Published: int64(w.version), Signals: w.signals,
	}, Percent: w.percent}
	if w.percent > 0 {
		l.Canary = l.Live
		l.Canary.Version++
	}
	return l, nil
}

// set changes the world while others use it.
func (w *world) set(f func(*world)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	f(w)
}

// audit fails when a session holds more than it has seats for, a party is
// torn, or a ticket has seats in two places.
func (w *world) audit(t *testing.T) {
	t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	seated := map[throng.TicketKey]throng.SessionID{}
	for id, holds := range w.holds {
		players := 0
		for k, h := range holds {
			players += len(h.Members)
			if other, twice := seated[k]; twice {
				t.Errorf("ticket %s has seats in %s and %s, want one", k.Ticket, id, other)
			}
			seated[k] = id
			if !slices.Equal(h.Members, w.claims[k].Members) {
				t.Errorf("ticket %s got seats for %v, want all of %v", k.Ticket, h.Members, w.claims[k].Members)
			}
		}
		if players > w.sessions[id].Capacity {
			t.Errorf("session %s has %d players, want at most %d", id, players, w.sessions[id].Capacity)
		}
	}
}

// run starts a matchmaker over the world and stops it at the test's end.
func (w *world) run(t *testing.T, change func(*Config)) *Matchmaker {
	t.Helper()
	c := Config{Region: throng.Region{ID: "eu"}, Registry: w, Sessions: w, Fleet: w, Places: w}
	random := rand.New(rand.NewPCG(1, 1))
	var mu sync.Mutex
	c.Random = func() uint64 {
		mu.Lock()
		defer mu.Unlock()
		return random.Uint64()
	}
	if change != nil {
		change(&c)
	}
	m, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	over := make(chan error, 1)
	go func() { over <- m.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-over; err != nil {
			t.Errorf("got %v from Run, want nil", err)
		}
	})
	return m
}

// ticket is a drop-in wish of n players.
func ticket(name string, n int) throng.Ticket {
	caller := throng.PlayerID("p-" + name)
	t := throng.Ticket{
		Key:   throng.TicketKey{Caller: caller, Ticket: throng.TicketID("t-" + name)},
		Place: "arena",
		Mode:  throng.ModeDropIn,
		Party: []throng.PlayerID{caller},
	}
	for i := 1; i < n; i++ {
		t.Party = append(t.Party, throng.PlayerID(fmt.Sprintf("p-%s-%d", name, i)))
	}
	return t
}
