package session

import (
	"cmp"
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/throng-gg/throng"
)

// Config is what a Registry needs.
type Config struct {
	// Store keeps the records. Required.
	Store Store
	// Region is where the registry is. Required.
	Region throng.Region
	// Courier takes orders to servers at once; nil: they wait for heartbeats.
	Courier Courier
	// Parallel is how many shards are stamped and swept at once: more than one
	// where each is a call to another process. Zero: 1.
	Parallel int
	// Codes makes the codes of private sessions; nil: none can be opened.
	Codes Codes
	// Shards is how many the store keeps apart; zero: throng.Shards. A store
	// with fewer has the others' records in these.
	Shards int
	// Entropy makes session IDs and nonces; safe for concurrent use. Nil:
	// crypto/rand.
	Entropy io.Reader
	// Key is the number, modulo 256, of the region's key that new sessions' keys
	// come from; nil: the names of sessions say none.
	Key func() uint8
	// Over hears of sessions that are over, more than once if they are ended more than
	// once. It does not wait. Nil: nobody does.
	Over func(id throng.SessionID, e throng.Ending)
	// Elsewhere is the highest epoch under which another region knows the player; 0: none
	// does. It is asked for every claim and confirm, and does not wait. Nil: there are no
	// others.
	Elsewhere func(p throng.PlayerID) throng.Epoch
	// Left hears of players who were in a session that ended, more than once if it is ended
	// more than once. It does not wait. Nil: nobody does.
	Left func(list []Departure)
	// Logger; nil: nothing is logged.
	Logger *slog.Logger
	// Metrics; nil: not registered.
	Metrics prometheus.Registerer
}

// Registry is one region's record of sessions, seats and presence. Its methods
// may be called by any number of goroutines and processes on the same store.
// Unavailable, with RetryAfter, means that the store is away or rebuilding.
type Registry struct {
	store    Store
	region   throng.Region
	courier  Courier
	codes    Codes
	parallel int
	entropy  io.Reader
	key      func() uint8
	over     func(id throng.SessionID, e throng.Ending)
	abroad   func(p throng.PlayerID) throng.Epoch
	ended    func(list []Departure)
	shards   int // that are stamped and swept
	log      *slog.Logger
	metrics  *metrics
	clock    atomic.Int64 // the store's at the newest stamp, Unix nanoseconds
	census   atomic.Uint64

	published published
	reports   chan struct{} // has room for those that are taken in at once
	cut       cut
}

// New makes a Registry. Nothing is granted until Run, here or in another
// process on the same store, has stamped the shards.
func New(c Config) (*Registry, error) {
	if c.Store == nil {
		return nil, throng.AtField(throng.Invalid, "Store", "is missing")
	}
	if _, err := throng.ParseRegionID("Region", string(c.Region.ID)); err != nil {
		return nil, err
	}
	if c.Shards < 0 || c.Shards > throng.Shards {
		return nil, throng.AtField(throng.Invalid, "Shards", "is %d, must be 1 to %d", c.Shards, throng.Shards)
	}
	r := &Registry{
		store: c.Store, region: c.Region, courier: c.Courier, codes: c.Codes,
		parallel: min(max(c.Parallel, 1), throng.Shards), shards: cmp.Or(c.Shards, throng.Shards),
		entropy: c.Entropy, key: c.Key, over: c.Over, abroad: c.Elsewhere, ended: c.Left, log: c.Logger, reports: make(chan struct{}, maxReports),
	}
	if r.entropy == nil {
		r.entropy = rand.Reader
	}
	if r.over == nil {
		r.over = func(throng.SessionID, throng.Ending) {}
	}
	if r.abroad == nil {
		r.abroad = func(throng.PlayerID) throng.Epoch { return 0 }
	}
	if r.ended == nil {
		r.ended = func([]Departure) {}
	}
	if r.log == nil {
		r.log = slog.New(slog.DiscardHandler)
	}
	var err error
	r.metrics, err = newMetrics(c.Metrics)
	return r, err
}

// Session returns one session, also an ended one for TombstoneTime. NotFound:
// there is none.
func (r *Registry) Session(ctx context.Context, id throng.SessionID) (s throng.Session, err error) {
	defer r.metrics.done("session", &err)
	if err := r.checkSession(id); err != nil {
		return throng.Session{}, err
	}
	return r.store.Session(ctx, id)
}

// Sessions lists sessions that have not ended, by ID, after the given one, at
// most limit of them (0: 100; at most 1,000). Place empty: of all places.
func (r *Registry) Sessions(ctx context.Context, p throng.PlaceID, after throng.SessionID, limit int) (list []throng.Session, err error) {
	defer r.metrics.done("sessions", &err)
	limit = min(max(cmp.Or(limit, 100), 1), 1000)
	// IDs of a region sort by their shards.
	first := 0
	if after != "" {
		if err := r.checkSession(after); err != nil {
			return nil, err
		}
		first = int(after.Shard())
	}
	for shard := first; shard < throng.Shards && len(list) < limit; shard++ {
		some, err := r.store.Sessions(ctx, ListRequest{Shard: uint8(shard), Place: p, After: after, Limit: limit - len(list)})
		if err != nil {
			return nil, fmt.Errorf("list sessions: %w", err)
		}
		list = append(list, some...)
	}
	return list, nil
}

// Presence returns where a player is; PresenceNone when nothing is known. While
// it can't be told whether he left, he plays.
func (r *Registry) Presence(ctx context.Context, p throng.PlayerID) (at throng.Presence, err error) {
	defer r.metrics.done("presence", &err)
	if _, err := throng.ParsePlayerID("player", string(p)); err != nil {
		return throng.Presence{}, err
	}
	return r.presence(ctx, p)
}

// Changes blocks until something changed after cursor, and returns it. Cursor
// 0, or one that is too old, returns all with Full set. While the registry is
// rebuilding it waits on.
func (r *Registry) Changes(ctx context.Context, cursor uint64) (c throng.SessionChanges, err error) {
	defer r.metrics.done("changes", &err)
	return r.store.Changes(ctx, cursor)
}

// Now is the registry's clock. Unavailable: it is rebuilding, so what it does
// not know may exist all the same.
func (r *Registry) Now(ctx context.Context) (now time.Time, err error) {
	defer r.metrics.done("now", &err)
	return r.store.Now(ctx)
}
