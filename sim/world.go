package sim

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/memory"
)

// plan is what a seed makes of a shape.
type plan struct {
	capacity  int  // of a session
	processes int  // of the control plane
	stock     int  // idle servers
	buries    bool // the backend is told that a server is over
	most      int  // servers
	tickets   int  // that a matchmaker works on at once
	players   int
	parties   int           // thousandths of joins that are a party's
	boot      time.Duration // of a server, about
	arrive    time.Duration // in which players come first
	action    time.Duration // in which they do things
	settle    time.Duration // from the end of the last fault to the last look
	faults    []fault
}

// world is one region in one schedule.
type world struct {
	root    context.Context //nolint:containedctx // of all that is started, by whatever is simulated
	config  Config
	plan    plan
	dice    *dice
	began   time.Time
	store   *store
	machine *memory.Machine // that game servers run on
	watch   watch
	net     network
	trace   trace
	all     sync.WaitGroup
	stop    chan struct{} // closed when the schedule is over

	// mu is the innermost lock, and guards what follows.
	mu        sync.Mutex
	processes []*process
	servers   map[throng.ServerID]*server
	order     []*server // as they were booted
	booted    int
	players   map[throng.PlayerID]*player // not changed after the start
	names     []throng.PlayerID           // of those who come and go: without zoe
	everyone  []throng.PlayerID
	stats     Stats
	faults    int       // going on
	begun     int       // faults that ever began
	healed    time.Time // when the last one ended
	losses    int       // of what the store knew
}

// zero is when worlds begin: later than the first epoch, as real ones do.
const zero = 26 * 366 * 24 * time.Hour

// Run plays one schedule in a bubble of its own.
func Run(t *testing.T, c Config) Result {
	t.Helper()
	var r Result
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t.Context(), c)
		r = w.run()
	})
	return r
}

func newWorld(ctx context.Context, c Config) *world {
	if c.Off != GuardEpoch { // before the first epoch they are counters
		<-time.After(zero)
	}
	w := &world{
		root: ctx, config: c, dice: newDice(c.Seed), began: time.Now(), stop: make(chan struct{}),
		servers: map[throng.ServerID]*server{}, players: map[throng.PlayerID]*player{},
	}
	var err error
	w.machine, err = memory.NewMachine(memory.MachineConfig{Begin: w.startServer})
	must(err)
	w.trace = newTrace(c.Trace)
	w.plan = w.planned()
	w.net.w = w
	w.watch = newWatch(w)
	w.processes = make([]*process, w.plan.processes)
	w.store = newStore(w, w.plan.remembers())
	return w
}

func (w *world) run() Result {
	ctx, cancel := context.WithCancel(w.root)
	w.healed = w.began
	w.cast()
	for n := range w.plan.processes {
		w.startProcess(n)
	}
	w.all.Go(func() { w.watch.run() })
	w.pause(ctx, throng.TokenTime+time.Second)
	var acting sync.WaitGroup
	for _, id := range w.names {
		acting.Go(func() { w.players[id].run(ctx) })
	}
	var breaking sync.WaitGroup
	for i, f := range w.plan.faults {
		breaking.Go(func() { w.strike(i, f) })
	}
	w.pause(ctx, w.plan.action)
	breaking.Wait()
	cancel()
	acting.Wait()
	w.event("world", "is healed", "")
	w.settle()
	w.watch.last()
	w.shutDown()
	w.stats.Worlds = 1
	w.stats.Virtual = time.Since(w.began)
	w.stats.Sessions = len(w.watch.seen)
	return Result{
		Seed: w.config.Seed, Violations: w.watch.violations, Trace: w.trace.lines, Hash: w.trace.hash, Stats: w.stats,
	}
}

// cast makes the players, each with the next ones as friends.
func (w *world) cast() {
	for n := range w.plan.players {
		id := throng.PlayerID(name(n))
		w.names = append(w.names, id)
		w.players[id] = &player{w: w, id: id, node: newNode(aPlayer, string(id))}
	}
	for n, id := range w.names {
		for k := 1; k < min(4, len(w.names)); k++ {
			w.players[id].friends = append(w.players[id].friends, w.players[w.names[(n+k)%len(w.names)]])
		}
	}
	zoe := &player{w: w, id: "zoe", node: newNode(aPlayer, "zoe")}
	w.players[zoe.id] = zoe
	w.everyone = append(slices.Clone(w.names), zoe.id)
}

func name(n int) string {
	names := []string{"ada", "bo", "cy", "dee", "eli", "flo"}
	if n < len(names) {
		return names[n]
	}
	return fmt.Sprintf("p%d", n)
}

// settle waits until all should be well again. Half-way somebody new joins, and
// has to be served.
func (w *world) settle() {
	ctx := w.root
	w.pause(ctx, recovery)
	zoe := w.players["zoe"]
	zoe.join(ctx, []throng.PlayerID{zoe.id})
	w.pause(ctx, w.plan.settle-recovery)
}

// shutDown ends all that runs.
func (w *world) shutDown() {
	close(w.stop)
	for n := range w.plan.processes {
		if p := w.process(n); p != nil {
			p.kill()
		}
	}
	w.mu.Lock()
	all := append([]*process(nil), w.processes...)
	servers := append([]*server(nil), w.order...)
	w.mu.Unlock()
	for _, s := range servers {
		s.exit("the world is over")
	}
	w.store.mu.Lock()
	w.store.end()
	w.store.mu.Unlock()
	for _, p := range all {
		if p != nil {
			p.over.Wait()
		}
	}
	w.all.Wait()
}

// over says that the schedule is over, and nothing means anything any more.
func (w *world) over() bool {
	select {
	case <-w.stop:
		return true
	default:
		return false
	}
}

// pause is false when ctx ended first.
func (w *world) pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// later runs f after a while, if the schedule is not over by then.
func (w *world) later(d time.Duration, f func()) {
	w.all.Add(1)
	time.AfterFunc(d, func() {
		defer w.all.Done()
		if !w.over() {
			f()
		}
	})
}

// event writes one line of the trace.
func (w *world) event(actor, what, whom string, more ...string) {
	if w.over() {
		return
	}
	w.trace.add(time.Since(w.began), actor, what, whom, more)
}

// anySession is one that lives, as somebody may have found it in a list.
func (w *world) anySession(who string) throng.SessionID {
	w.mu.Lock()
	defer w.mu.Unlock()
	var live []throng.SessionID
	for _, s := range w.order {
		if id := s.session(); id != "" && !s.node.dead() {
			live = append(live, id)
		}
	}
	if len(live) == 0 {
		return ""
	}
	return live[w.dice.below(len(live), "session", who)]
}

// trace is what happened, as a hash and, if wanted, as lines.
type trace struct {
	mu    *sync.Mutex
	keep  bool
	lines []string
	hash  uint64
}

func newTrace(keep bool) trace { return trace{mu: &sync.Mutex{}, keep: keep} }

func (t *trace) add(at time.Duration, actor, what, whom string, more []string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.hash = mix(t.hash ^ uint64(at))
	t.hash = hash(hash(hash(t.hash, actor), what), whom)
	for _, s := range more {
		t.hash = hash(t.hash, s)
	}
	if t.keep {
		t.lines = append(t.lines, fmt.Sprintf("%12.6f %-10s %s %s %s", at.Seconds(), actor, what, whom, strings.Join(more, " ")))
	}
}

// note writes a line that is no event: the hash is the same without it.
func (t *trace) note(at time.Duration, actor, what, whom string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.lines = append(t.lines, fmt.Sprintf("%12.6f %-10s . %s %s", at.Seconds(), actor, what, whom))
}
