package api

import (
	"context"
	"hash/fnv"
	"slices"
	"sync"
	"time"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/api/gen"
)

const (
	// sentFor is how long a door remembers at least where a ticket went, and sentMost
	// how many: then half of them are forgotten.
	sentFor  = throng.TicketTime
	sentMost = 400_000
	// mostTries is how many regions one call asks for seats, and tryWait how long one
	// of them may wait at a time, so that what is lost is soon noticed.
	mostTries = 3
	tryWait   = 3 * time.Second
	// ownTime is for the own region's summary, which is in memory.
	ownTime = 200 * time.Millisecond
)

// anywhere places a ticket in the region that is best for it.
func (c calls) anywhere(ctx context.Context, t throng.Ticket, r throng.Release, wait time.Duration) (gen.Placed, error) {
	if c.cfg.Elsewhere == nil {
		return c.here(ctx, t, wait)
	}
	begun := time.Now()
	t.Regions = c.ways(ctx, t, r)
	var err error
	for tries := range mostTries {
		i := next(t.Regions)
		if i < 0 || tries > 0 && fails(err) && !c.cfg.Elsewhere.Again() {
			break
		}
		var placed gen.Placed
		placed, err = c.at(ctx, t, i, max(wait-time.Since(begun), 0))
		t.Regions[i].Code = outcomeOf(err)
		if err == nil || !passesOn(err) || ctx.Err() != nil {
			c.wrote(t, begun, placed, err)
			return placed, err
		}
	}
	if err == nil {
		err = throng.RetryLater(throng.NoCapacity, time.Second, "no region can take the party now")
	}
	c.wrote(t, begun, gen.Placed{}, err)
	return gen.Placed{}, err
}

// ways is the regions in the order in which a ticket tries them.
func (c calls) ways(ctx context.Context, t throng.Ticket, r throng.Release) []throng.RegionChoice {
	only := func(id throng.RegionID) []throng.RegionChoice {
		return []throng.RegionChoice{{Region: id, Try: true, Latency: latencyTo(t, id)}}
	}
	switch {
	case t.Mode == throng.ModeSession:
		return only(t.Session.Region())
	case t.Mode == throng.ModeFriend:
		if before, known := c.sent.of(t.Key); known {
			return only(before)
		}
		return only(c.beside(ctx, t.Friend))
	case t.Mode != throng.ModeDropIn && t.Mode != throng.ModeNew:
		return only(c.cfg.Region)
	}
	before, known := c.sent.of(t.Key)
	if known && before == c.cfg.Region && c.cfg.Matchmaker.Waiting(t.Key) != nil {
		return only(before)
	}
	list := c.cfg.Elsewhere.Rank(throng.RegionWish{
		Place: t.Place, Seats: len(t.Party), New: t.Mode == throng.ModeNew, Weights: r.Weights, Farthest: r.Farthest(),
		Latencies: t.Latencies, Random: drawOf(t.Key),
	}, c.ownSummary(ctx))
	if known { // its answer is there
		for i := range list {
			if list[i].Region == before {
				first := list[i]
				first.Try = true
				copy(list[1:i+1], list[:i])
				list[0] = first
			}
		}
	}
	return list
}

// drawOf is a ticket's lot, the same at every door.
func drawOf(k throng.TicketKey) uint64 {
	h := fnv.New64a()
	_, _ = h.Write([]byte(string(k.Caller) + " " + string(k.Ticket))) // it has no errors
	return h.Sum64()
}

func latencyTo(t throng.Ticket, id throng.RegionID) float64 {
	if ms, ok := t.Latencies[id]; ok {
		return ms
	}
	return -1
}

// ownSummary is what this region has; nil: it cannot be said.
func (c calls) ownSummary(ctx context.Context) *throng.RegionSummary {
	ctx, cancel := context.WithTimeout(ctx, ownTime)
	defer cancel()
	s, err := c.cfg.Summaries.Summary(ctx)
	if err != nil {
		return nil
	}
	return &s
}

// next is the first region that is to be tried and was not; -1: there is none.
func next(list []throng.RegionChoice) int {
	for i, r := range list {
		if r.Try && r.Code == "" {
			return i
		}
	}
	return -1
}

// at tries one region.
func (c calls) at(ctx context.Context, t throng.Ticket, i int, wait time.Duration) (placed gen.Placed, err error) {
	id, begun := t.Regions[i].Region, time.Now()
	c.sent.keep(t.Key, id)
	if id == c.cfg.Region {
		own := t // which the matchmaker keeps, while what comes of it is written down here
		own.Regions = slices.Clone(t.Regions)
		placed, err = c.here(ctx, own, min(wait, tryWait))
	} else {
		c.cfg.Elsewhere.Sent(id, t.Place, len(t.Party))
		placed, err = c.cfg.Elsewhere.Matchmake(ctx, id, t, min(wait, tryWait))
	}
	if err == nil {
		ask := throng.TicketAsk{Key: t.Key, Player: t.Key.Caller, Line: placed.Line()}
		placed, err = c.further(ctx, id, ask, placed, begun.Add(wait))
	}
	if err != nil && id != c.cfg.Region {
		c.sent.forget(t.Key)
	}
	return placed, err
}

// further waits until a moment for a ticket that waits in a region. NoCapacity: it
// waits for a game server where none comes, and another region has some.
func (c calls) further(ctx context.Context, id throng.RegionID, ask throng.TicketAsk, placed gen.Placed, until time.Time) (gen.Placed, error) {
	for placed.Assignment == nil && ctx.Err() == nil {
		if c.hopeless(ctx, id, placed) {
			return gen.Placed{}, throng.RetryLater(throng.NoCapacity, time.Second, "no game server comes in region %s", id)
		}
		left := time.Until(until)
		if left <= 0 {
			break
		}
		asked := time.Now()
		ask.Line = placed.Line()
		next, err := c.lookupAt(ctx, id, ask, min(left, tryWait))
		if err != nil {
			return gen.Placed{}, err
		}
		placed = next
		// A door without room for those who wait answers at once.
		if pause := min(tryWait/4-time.Since(asked), left); placed.Assignment == nil && pause > 0 {
			timer := time.NewTimer(pause)
			select {
			case <-timer.C:
			case <-ctx.Done():
				timer.Stop()
			}
		}
	}
	return placed, nil
}

// hopeless says whether a ticket waits where no game server can be started, while
// another region has some.
func (c calls) hopeless(ctx context.Context, id throng.RegionID, placed gen.Placed) bool {
	if placed.Waiting == nil || len(c.cfg.Elsewhere.Others()) == 0 {
		return false
	}
	there, other := false, false
	for _, r := range c.cfg.Elsewhere.Rank(throng.RegionWish{Seats: 1, New: true}, c.ownSummary(ctx)) {
		there = there || r.Region == id && r.Why == throng.RegionFull
		other = other || r.Region != id && r.Why == ""
	}
	return there && other
}

// lookupAt waits for a ticket that a region has.
func (c calls) lookupAt(ctx context.Context, id throng.RegionID, ask throng.TicketAsk, wait time.Duration) (gen.Placed, error) {
	if id == c.cfg.Region {
		return c.lookupHere(ctx, ask, wait)
	}
	return c.cfg.Elsewhere.Lookup(ctx, id, ask, wait)
}

// here places a ticket in this region.
func (c calls) here(ctx context.Context, t throng.Ticket, wait time.Duration) (gen.Placed, error) {
	placed, err := c.place(ctx, t, wait)
	if err != nil {
		return gen.Placed{}, err
	}
	return c.placed(t.Key, t.Key.Caller, placed)
}

// placed is the answer to one member of the party.
func (c calls) placed(k throng.TicketKey, player throng.PlayerID, p throng.Placement) (gen.Placed, error) {
	if p.Assignment == nil {
		w := waiting(k, p)
		return gen.Placed{Waiting: &w}, nil
	}
	a, err := c.assigned(player, *p.Assignment)
	return gen.Placed{Assignment: &a}, err
}

// passesOn says whether another region may have what this one refused.
func passesOn(err error) bool {
	k := throng.KindOf(err)
	return fails(err) || k == throng.Full || k == throng.NoCapacity || k == throng.Contention || k == throng.NotFound
}

// fails says whether a region did not do what it could have.
func fails(err error) bool {
	k := throng.KindOf(err)
	return err != nil && (k == throng.Unavailable || k == throng.Internal || k == throng.RateLimited)
}

func outcomeOf(err error) string {
	if err == nil {
		return "ok"
	}
	return throng.KindOf(err).String()
}

// lookup waits for a ticket wherever it went.
func (c calls) lookup(ctx context.Context, ask throng.TicketAsk, wait time.Duration) (gen.Placed, error) {
	if c.cfg.Elsewhere == nil {
		return c.lookupHere(ctx, ask, wait)
	}
	until := time.Now().Add(wait)
	id, known := c.sent.of(ask.Key)
	if !known {
		id = c.cfg.Region
	}
	placed, err := c.lookupAt(ctx, id, ask, min(wait, tryWait))
	if !known && throng.KindOf(err) == throng.NotFound && err != nil {
		var found bool
		if id, placed, found = c.seek(ctx, ask); !found {
			return gen.Placed{}, err
		}
		c.sent.keep(ask.Key, id)
		err = nil
	}
	if err == nil {
		placed, err = c.further(ctx, id, ask, placed, until)
	}
	if err = again(err); (fails(err) || throng.KindOf(err) == throng.NoCapacity) && err != nil && ctx.Err() == nil {
		c.sent.forget(ask.Key) // sent again, it may go elsewhere
	}
	return placed, err
}

// again is the error of a ticket that waited in vain: sent once more it goes on to
// other regions.
func again(err error) error {
	if k := throng.KindOf(err); err != nil && (k == throng.NoCapacity || k == throng.Full) && throng.RetryAfterOf(err) == 0 {
		return throng.RetryLater(throng.NoCapacity, time.Second, "there may be room in another region: %w", err)
	}
	return err
}

// seek asks all others for a ticket that is not known here: this door was started
// after it was sent, or another one sent it. False: nobody has it, or the player
// asks too often.
func (c calls) seek(ctx context.Context, ask throng.TicketAsk) (throng.RegionID, gen.Placed, bool) {
	if c.buckets.take(bucketKey{classSeek, string(ask.Player)}, c.limits.Seeks, time.Now()) != nil {
		return "", gen.Placed{}, false
	}
	type answer struct {
		id     throng.RegionID
		placed gen.Placed
		err    error
	}
	others := c.cfg.Elsewhere.Others()
	answers := make(chan answer, len(others)) // none waits
	ctx, cancel := context.WithTimeout(ctx, tryWait)
	defer cancel()
	for _, id := range others {
		go func() {
			placed, err := c.cfg.Elsewhere.Lookup(ctx, id, ask, 0)
			answers <- answer{id, placed, err}
		}()
	}
	for range others {
		if a := <-answers; a.err == nil {
			return a.id, a.placed, true
		}
	}
	return "", gen.Placed{}, false
}

// leave gives back a member's seat wherever it is.
func (c calls) leave(ctx context.Context, k throng.TicketKey, player throng.PlayerID) error {
	id, known := c.sent.of(k)
	if known && id != c.cfg.Region {
		return c.cfg.Elsewhere.Leave(ctx, id, k, player)
	}
	err := c.leaveHere(ctx, k, player)
	if known || c.cfg.Elsewhere == nil || throng.KindOf(err) != throng.NotFound || err == nil {
		return err
	}
	id, _, found := c.seek(ctx, throng.TicketAsk{Key: k, Player: player})
	if !found {
		return err
	}
	return c.cfg.Elsewhere.Leave(ctx, id, k, player)
}

// wrote records where a ticket was sent, and what came of it. What only this region
// tried its matchmaker records.
func (c calls) wrote(t throng.Ticket, begun time.Time, placed gen.Placed, err error) {
	here, sent := false, false
	for _, r := range t.Regions {
		here = here || r.Code != "" && r.Region == c.cfg.Region
		sent = sent || r.Code != "" && r.Region != c.cfg.Region
	}
	if c.cfg.Joins == nil || here && !sent {
		return
	}
	took := float64(time.Since(begun).Microseconds()) / 1000
	r := throng.JoinRecord{
		Ticket: t.Key.Ticket, Caller: t.Key.Caller, Region: c.cfg.Region, Place: t.Place, Version: t.Version, Mode: t.Mode,
		Party: t.Party, Players: len(t.Party), At: begun, Under: 1, TookMs: took, Code: outcomeOf(err), Regions: t.Regions,
		Steps: []throng.JoinStep{{Step: throng.StepAdmitted}},
	}
	if err != nil {
		r.Detail = clip(err.Error())
	}
	for _, tried := range t.Regions {
		if tried.Code != "" && tried.Region != c.cfg.Region {
			s := throng.JoinStep{AfterMs: took, Step: throng.StepSent, Detail: "to region " + string(tried.Region)}
			if tried.Code != outcomeOf(nil) {
				s.Code = tried.Code
			}
			r.Steps = append(r.Steps, s)
		}
	}
	switch a := placed.Assignment; {
	case a != nil:
		r.Session, r.Version = throng.SessionID(a.Session), throng.Version(a.Version)
	case err == nil:
		r.Detail = "waits there"
	}
	r.Steps = append(r.Steps, throng.JoinStep{AfterMs: took, Step: throng.StepAnswered, Session: r.Session})
	c.cfg.Joins.Record(r)
}

// sent remembers where tickets went. It is safe for use by several goroutines.
type sent struct {
	mu       sync.Mutex
	new, old map[throng.TicketKey]throng.RegionID // guarded by mu
	since    time.Time                            // guarded by mu; when new was
}

func newSent() *sent { return &sent{new: map[throng.TicketKey]throng.RegionID{}, since: time.Now()} }

func (s *sent) of(k throng.TicketKey) (throng.RegionID, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r, ok := s.new[k]; ok {
		return r, true
	}
	r, ok := s.old[k]
	return r, ok
}

func (s *sent) keep(k throng.TicketKey, r throng.RegionID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if now := time.Now(); len(s.new) >= sentMost/2 || now.Sub(s.since) > sentFor {
		s.old, s.new, s.since = s.new, map[throng.TicketKey]throng.RegionID{}, now
	}
	s.new[k] = r
}

func (s *sent) forget(k throng.TicketKey) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.new, k)
	delete(s.old, k)
}
