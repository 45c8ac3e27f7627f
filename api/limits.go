package api

import (
	"container/list"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"github.com/throng-gg/throng"
)

// Rate is a token bucket: so many a second, so many at once.
type Rate struct {
	PerSecond float64
	Burst     int
}

func (r Rate) or(fallback Rate) Rate {
	if r.PerSecond <= 0 || r.Burst <= 0 {
		return fallback
	}
	return r
}

// Limits bounds what callers can ask of one door. Zero means the default.
type Limits struct {
	Joins    Rate // matchmake calls of one player; 20 a second, 120 at once
	Calls    Rate // all other calls of one account; 50 a second, 200 at once
	Machine  Rate // calls of one game server or node; 100 a second, 1000 at once
	Region   Rate // tickets that one other region sends, and apart from them its calls of what players own; 5,000 a second, 20,000 at once
	DevToken Rate // dev tokens asked from one address; 500 a second, 5000 at once

	// Socket is players' WebSockets begun from one address; 50 a second, 1000 at
	// once.
	Socket Rate

	// Claim is calls of game servers that ask who they are, from one address,
	// which may be that of a whole cluster; 200 a second, 5000 at once.
	Claim Rate

	// Failures is tokens and API keys from one address that were not valid; 2 a
	// second, 100 at once. Past that only tokens that were good before count.
	Failures Rate

	// Guesses and RemoteGuesses are invites and codes that were wrong, of one
	// player (10 at once, then 10 a minute) and from one address (100 at once,
	// then 2 a second).
	Guesses, RemoteGuesses Rate
	// Openings are sessions that one player opens by mode new or private; 6 at
	// once, then 6 a minute.
	Openings Rate
	// Handoffs are calls of one session to hand players off; 20 a second, 200 at
	// once. HandoffOpenings are those of them for a session of their own, without
	// repeats; 20 at once, then 30 a minute.
	Handoffs, HandoffOpenings Rate
	// Owned are calls of one session about what its players own: checkouts, saves,
	// transfers and inventories; 100 a second, 1,000 at once.
	Owned Rate

	// Seeks are one player's calls for tickets that are not known here, which other
	// regions are asked for; 0.5 a second, 10 at once. Past that they are not.
	Seeks Rate

	// Callers is how many buckets are remembered, 200,000. Past that, the one
	// that was not used for longest is forgotten, and is full when it comes back.
	Callers int
	// Accounts and Machines are how many of their calls run at the same time,
	// apart from each other so that a herd of joins silences no heartbeat:
	// 20,000 and 5,000. Past that: Unavailable. Of each a class of calls may have
	// its share (see package shed), so joins have room for 14,000.
	Accounts, Machines int
	// LongPolls is how many calls may wait at the same time, 10,000. Past that
	// they are answered at once, as if they had not asked to wait.
	LongPolls int
	// Controls is how many control connections are open, 20,000. Past that:
	// Unavailable.
	Controls int
	// Sockets is how many players' WebSockets are relayed, 5,000. Past that:
	// Unavailable.
	Sockets int
}

func (l Limits) withDefaults() Limits {
	return Limits{
		Joins:         l.Joins.or(Rate{20, 120}),
		Calls:         l.Calls.or(Rate{50, 200}),
		Machine:       l.Machine.or(Rate{100, 1000}),
		Region:        l.Region.or(Rate{5_000, 20_000}),
		Seeks:         l.Seeks.or(Rate{0.5, 10}),
		DevToken:      l.DevToken.or(Rate{500, 5000}),
		Socket:        l.Socket.or(Rate{50, 1000}),
		Claim:         l.Claim.or(Rate{200, 5000}),
		Failures:      l.Failures.or(Rate{2, 100}),
		Guesses:       l.Guesses.or(Rate{1.0 / 6, 10}),
		RemoteGuesses: l.RemoteGuesses.or(Rate{2, 100}),
		Openings:      l.Openings.or(Rate{0.1, 6}),

		Handoffs:        l.Handoffs.or(Rate{20, 200}),
		Owned:           l.Owned.or(Rate{100, 1000}),
		HandoffOpenings: l.HandoffOpenings.or(Rate{0.5, 20}),

		Callers:   orDefault(l.Callers, 200_000),
		Accounts:  orDefault(l.Accounts, 20_000),
		Machines:  orDefault(l.Machines, 5_000),
		LongPolls: orDefault(l.LongPolls, 10_000),
		Controls:  orDefault(l.Controls, 20_000),
		Sockets:   orDefault(l.Sockets, 5_000),
	}
}

func orDefault(n, fallback int) int {
	if n <= 0 {
		return fallback
	}
	return n
}

// gate lets so many in at the same time.
type gate struct {
	most int64
	in   atomic.Int64
}

func newGate(most int) *gate { return &gate{most: int64(most)} }

// enter says whether there is room; who got in must leave.
func (g *gate) enter() bool { return g.enterUpTo(g.most) }

// enterUpTo is enter for who may not have all of the room.
func (g *gate) enterUpTo(most int64) bool {
	if g.in.Add(1) > most {
		g.in.Add(-1)
		return false
	}
	return true
}

func (g *gate) leave() { g.in.Add(-1) }

// bucketKey is one caller in one of the limits' classes.
type bucketKey struct {
	class class
	who   string
}

type bucket struct {
	key     bucketKey
	limiter *rate.Limiter
}

// buckets remembers the callers that were seen last.
type buckets struct {
	most int

	mu    sync.Mutex
	byKey map[bucketKey]*list.Element // of *bucket
	order *list.List                  // most recently used first
}

func newBuckets(most int) *buckets {
	return &buckets{most: most, byKey: make(map[bucketKey]*list.Element), order: list.New()}
}

// take takes one token. RateLimited: there is none, and when there is one.
func (b *buckets) take(key bucketKey, limit Rate, now time.Time) error {
	_, err := b.borrow(key, limit, now)
	return err
}

// borrow is take with a way to give the token back.
func (b *buckets) borrow(key bucketKey, limit Rate, now time.Time) (back func(), err error) {
	limiter := b.limiter(key, limit)
	reservation := limiter.ReserveN(now, 1)
	wait := reservation.DelayFrom(now)
	if wait == 0 {
		return func() { reservation.CancelAt(now) }, nil
	}
	reservation.CancelAt(now)
	return nil, throng.RetryLater(throng.RateLimited, wait, "more than %g calls a second", limit.PerSecond)
}

// wait is how long there is no token to take; it takes none.
func (b *buckets) wait(key bucketKey, limit Rate, now time.Time) time.Duration {
	b.mu.Lock()
	at, ok := b.byKey[key]
	b.mu.Unlock()
	if !ok {
		return 0
	}
	known, _ := at.Value.(*bucket)
	missing := 1 - known.limiter.TokensAt(now)
	if missing <= 0 {
		return 0
	}
	return time.Duration(missing / limit.PerSecond * float64(time.Second))
}

func (b *buckets) limiter(key bucketKey, limit Rate) *rate.Limiter {
	b.mu.Lock()
	defer b.mu.Unlock()
	if at, ok := b.byKey[key]; ok {
		b.order.MoveToFront(at)
		known, _ := at.Value.(*bucket)
		return known.limiter
	}
	if b.order.Len() >= b.most {
		oldest := b.order.Back()
		gone, _ := b.order.Remove(oldest).(*bucket)
		delete(b.byKey, gone.key)
	}
	made := &bucket{key: key, limiter: rate.NewLimiter(rate.Limit(limit.PerSecond), limit.Burst)}
	b.byKey[key] = b.order.PushFront(made)
	return made.limiter
}
