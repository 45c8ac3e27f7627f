package sim

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/memory"
	"github.com/throng-gg/throng/session"
)

const (
	shards    = 4               // that the store keeps apart
	storeCall = 2 * time.Second // longest wait for the store's answer
)

// store is the process that keeps the registry's records, as Redis would: it can
// be emptied, come back from an old copy, fail over, and be stopped.
type store struct {
	w    *world
	node *node
	skew atomic.Int64              // nanoseconds that its clock is off
	at   atomic.Pointer[time.Time] // its clock while old operations are done again; else nil

	mu     sync.Mutex
	mem    *memory.Store
	life   uint64          // counts losses; an older life's cursors mean nothing
	ctx    context.Context //nolint:containedctx // of the life: ends waits for changes
	end    context.CancelFunc
	start  time.Time // of the life, by its clock
	log    []done    // of the life, when an old copy may be needed
	keeps  bool      // whether it keeps log
	away   bool      // not running
	paused bool
	late   []func() // came while it was paused
}

// done is an operation that was carried out.
type done struct {
	at  time.Time
	run func(context.Context, *memory.Store)
}

func newStore(w *world, keeps bool) *store {
	s := &store{w: w, node: newNode(aStore, "store"), keeps: keeps}
	s.skew.Store(int64(w.dice.between(-time.Second/2, time.Second/2, "skew")))
	s.mu.Lock()
	defer s.mu.Unlock()
	s.begin()
	return s
}

// begin starts a life with nothing in it.
func (s *store) begin() {
	if s.end != nil {
		s.end()
	}
	s.ctx, s.end = context.WithCancel(s.w.root)
	s.life++
	s.log = nil
	s.start = s.now()
	s.mem = s.fresh()
}

func (s *store) fresh() *memory.Store {
	quarantine := throng.TokenTime
	if s.w.off(GuardQuarantine) {
		quarantine = 0
	}
	mem, err := memory.New(memory.Config{Now: s.now, Quarantine: quarantine, FeedSize: 512, Shards: shards})
	if err != nil {
		panic(err) // the configuration is this package's own
	}
	return mem
}

// now is the store's clock.
func (s *store) now() time.Time {
	if at := s.at.Load(); at != nil {
		return *at
	}
	return time.Now().Add(s.skewNow())
}

// replays says, to an operation, that it is being done again.
func (s *store) replays() bool { return s.at.Load() != nil }

// flush empties it.
func (s *store) flush() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.begin()
}

// rollback makes it what it was when its clock showed a time: all operations up
// to then are done again. Its stamps are the old ones.
func (s *store) rollback(to time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	log, start, after := s.log, s.start, s.now()
	s.begin()
	s.at.Store(&start)
	s.start = start
	s.mem = s.fresh()
	ctx := s.w.root
	for _, d := range log {
		if d.at.After(to) {
			break
		}
		s.at.Store(&d.at)
		d.run(ctx, s.mem)
		s.log = append(s.log, d)
	}
	if s.w.off(GuardStamp) {
		// As if nobody looked at how old the stamps are.
		for at := s.now(); at.Before(after); at = at.Add(session.TickTime) {
			s.at.Store(&at)
			for n := range uint8(shards) {
				_, _ = s.mem.Stamp(ctx, n, 0)
			}
		}
	}
	s.at.Store(nil)
}

// stop makes it unreachable, as a process that is not there.
func (s *store) stop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.away = true
	s.end()
}

// again lets it run after stop, with the clock of the machine that it is on now.
func (s *store) again(skew time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.away = false
	s.skew.Store(int64(skew))
	s.ctx, s.end = context.WithCancel(s.w.root)
}

// pause stops it with all connections open: what comes is done when it resumes.
func (s *store) pause() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.paused = true
}

func (s *store) resume() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.paused = false
	for _, run := range s.late {
		run()
	}
	s.late = nil
}

// answer is an operation's.
type answer[T any] struct {
	v   T
	err error
}

// do carries out an operation that came over the network.
func do[T any](ctx context.Context, s *store, run func(context.Context, *memory.Store) (T, error)) (T, error) {
	var none T
	s.mu.Lock()
	switch {
	case s.away:
		s.mu.Unlock()
		return none, errAway("store")
	case s.paused:
		told := make(chan answer[T], 1)
		s.late = append(s.late, func() {
			v, err := doNow(s, run)
			told <- answer[T]{v, err}
		})
		s.mu.Unlock()
		t := time.NewTimer(storeCall)
		defer t.Stop()
		select {
		case a := <-told:
			return a.v, a.err
		case <-ctx.Done():
		case <-t.C:
		}
		return none, errAway("store")
	}
	defer s.mu.Unlock()
	return doNow(s, run)
}

func doNow[T any](s *store, run func(context.Context, *memory.Store) (T, error)) (T, error) {
	if s.keeps {
		s.log = append(s.log, done{s.now(), func(ctx context.Context, m *memory.Store) { _, _ = run(ctx, m) }})
	}
	return run(s.w.root, s.mem)
}

// peek looks at what the store knows, without the network. Unavailable: it is
// away, paused or rebuilding.
func peek[T any](s *store, look func(context.Context, *memory.Store) (T, error)) (T, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.away || s.paused {
		var none T
		return none, errAway("store")
	}
	return look(s.w.root, s.mem)
}

// changes is the feed, of the life that the cursor is of. A life's number stands
// above its cursors, which are microseconds and changes, below 2^53.
func (s *store) changes(ctx context.Context, cursor uint64) (throng.SessionChanges, error) {
	const lifeShift = 54
	s.mu.Lock()
	if s.away || s.paused {
		s.mu.Unlock()
		return throng.SessionChanges{}, errAway("changes")
	}
	mem, life, alive := s.mem, s.life, s.ctx
	s.mu.Unlock()
	own := cursor & (1<<lifeShift - 1)
	if cursor>>lifeShift != life {
		own = 0
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(alive, cancel)() //nolint:contextcheck // the store's life ends the wait, too
	ch, err := mem.Changes(ctx, own)
	ch.Cursor |= life << lifeShift
	return ch, err
}
