package sim

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/session"
)

// FaultKind is a way in which a part breaks.
type FaultKind string

// The kinds.
const (
	FaultFlush    FaultKind = "flush"     // the store is emptied
	FaultRollback FaultKind = "rollback"  // the store is killed and comes back from an older copy
	FaultFailover FaultKind = "failover"  // another store, without the last writes and with another clock, takes over
	FaultPause    FaultKind = "pause"     // the store is stopped, and goes on
	FaultCutStore FaultKind = "cut-store" // processes do not reach the store
	FaultCutDoor  FaultKind = "cut-door"  // no game server reaches the control plane
	FaultCutOne   FaultKind = "cut-one"   // one game server does not
	FaultLossy    FaultKind = "lossy"     // calls and answers are lost, doubled and slow
	FaultControl  FaultKind = "control"   // a control-plane process is killed, and started again
	FaultBlackout FaultKind = "blackout"  // all of them are
	FaultCrash    FaultKind = "crash"     // a game server is killed
	FaultStop     FaultKind = "stop"      // a game server is stopped, and goes on
	FaultDrain    FaultKind = "drain"     // an operator drains a session
	FaultEnd      FaultKind = "end"       // an operator ends a session
)

// FaultKinds is all of them.
func FaultKinds() []FaultKind {
	return []FaultKind{
		FaultFlush, FaultRollback, FaultFailover, FaultPause, FaultCutStore, FaultCutDoor, FaultCutOne,
		FaultLossy, FaultControl, FaultBlackout, FaultCrash, FaultStop, FaultDrain, FaultEnd,
	}
}

// fault is one that will happen.
type fault struct {
	kind  FaultKind
	after time.Duration // from the beginning of the action
	lasts time.Duration
}

// planned draws a schedule.
func (w *world) planned() plan {
	d := w.dice
	p := plan{
		capacity: 2 + d.below(3, "capacity"), processes: 1 + d.below(2, "processes"), stock: 1 + d.below(2, "stock"), most: 12, buries: d.below(2, "buries") == 0,
		tickets: 64, players: 2 + d.below(4, "players"), parties: 300, boot: d.between(200*time.Millisecond, 2*time.Second, "boot time"),
		arrive: 3 * time.Second, action: d.between(15*time.Second, 35*time.Second, "action"), settle: 50 * time.Second,
	}
	faults := []int{1, 1, 1, 2, 2, 3}[d.below(6, "faults")]
	switch w.config.Shape {
	case Herd:
		p.capacity, p.processes, p.stock, p.most, p.tickets = 10, 3, 4, 80, 1000
		p.players, p.parties, p.arrive, p.action = 200, 200, 500*time.Millisecond, 30*time.Second
		faults = d.below(2, "herd faults")
	case Region:
		p.capacity, p.processes, p.stock, p.most, p.tickets = 4, 3, 3, 80, 1000
		p.players, p.action, p.settle = 60, 4*time.Minute, 70*time.Second
		faults = 8
	case Small:
	}
	for range faults {
		p.faults = append(p.faults, w.plannedFault(p.action))
	}
	return p
}

func (w *world) plannedFault(action time.Duration) fault {
	d := w.dice
	kinds := FaultKinds()
	f := fault{
		kind:  kinds[d.below(len(kinds), "kind")],
		after: d.between(time.Second, action, "after"),
		lasts: d.between(100*time.Millisecond, 6*time.Second, "lasts"),
	}
	if d.chance(500, "long") {
		f.lasts = d.between(6*time.Second, 32*time.Second, "lasts long")
	}
	if w.config.Fault != "" {
		f.kind = w.config.Fault
	}
	return f
}

// remembers says whether the store must be able to come back as it was.
func (p plan) remembers() bool {
	return p.has(FaultRollback) || p.has(FaultFailover)
}

func (p plan) has(k FaultKind) bool {
	return slices.ContainsFunc(p.faults, func(f fault) bool { return f.kind == k })
}

// strike lets a fault happen, from its beginning to its end.
func (w *world) strike(n int, f fault) {
	ctx := w.root
	w.pause(ctx, f.after)
	hit, undo := w.aim(n, f)
	if hit == "" {
		return
	}
	w.event("fault", string(f.kind), hit, f.lasts.Round(time.Millisecond).String())
	w.pause(ctx, f.lasts)
	undo()
	w.mu.Lock()
	w.faults--
	w.healed = time.Now()
	w.mu.Unlock()
	w.event("fault", string(f.kind)+" ends", hit)
}

// breaks says that something is broken from now on.
func (w *world) breaks() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.faults++
	w.begun++
	w.stats.Faults++
}

// loses says that the store does not know any more what it knew.
func (w *world) loses() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.losses++
}

// aim breaks something, and returns what and how it becomes whole again. Empty:
// there is nothing to break.
func (w *world) aim(n int, f fault) (hit string, undo func()) {
	nothing := func() {}
	switch f.kind {
	case FaultFlush:
		w.breaks()
		w.loses()
		w.store.flush()
		return "store", nothing
	case FaultRollback, FaultFailover:
		w.breaks()
		w.loses()
		return w.loseWrites(f)
	case FaultPause:
		w.breaks()
		w.store.pause()
		return "store", w.store.resume
	case FaultCutStore:
		w.breaks()
		from := side{kind: aProcess}
		if w.dice.chance(500, "cut store") {
			from.name = fmt.Sprintf("control%d", w.dice.below(w.plan.processes, "cut store which"))
		}
		return "store from " + cmp.Or(from.name, "all"), w.cut(from, side{kind: aStore})
	case FaultCutDoor:
		w.breaks()
		w.watch.cutOff(f)
		return "servers", w.cut(side{kind: aServer}, side{kind: aProcess})
	case FaultLossy:
		w.breaks()
		w.lossy(1)
		return "network", func() { w.lossy(-1) }
	case FaultControl, FaultBlackout:
		return w.killProcesses(f)
	case FaultCutOne, FaultCrash, FaultStop, FaultDrain, FaultEnd:
		return w.aimAtServer(n, f)
	}
	return "", nothing
}

func (w *world) cut(a, b side) (undo func()) {
	c := &cut{a, b, time.Now()}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.net.cuts = append(w.net.cuts, c)
	return func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.net.cuts = slices.DeleteFunc(w.net.cuts, func(o *cut) bool { return o == c })
	}
}

func (w *world) lossy(n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.net.lossy += n
}

// failoverTime is how long a replica waits at least before it takes over. Longer
// than a stamp is good for, or a store that lacks the last writes would look as
// if nothing had happened.
const failoverTime = 4 * time.Second

// loseWrites stops the store; afterwards it is what it was some time before.
func (w *world) loseWrites(f fault) (hit string, undo func()) {
	d := w.dice
	// A store that is back before its newest stamp is old, without what came after
	// that, looks as if nothing had happened: whoever runs one must see to it that
	// this takes longer, as GuardFailover shows.
	age := d.between(session.StampTime+100*time.Millisecond, 20*time.Second, "age")
	skew := w.store.skewNow()
	if f.kind == FaultFailover {
		age = d.between(0, 1500*time.Millisecond, "lag")
		skew = d.between(-time.Second/2, time.Second/2, "skew")
	}
	to := w.store.now().Add(-age)
	w.store.stop()
	return fmt.Sprintf("store, and loses %s", age.Round(time.Millisecond)), func() {
		if wait := failoverTime - f.lasts; f.kind == FaultFailover && wait > 0 && !w.off(GuardFailover) {
			w.pause(w.root, wait)
		}
		w.loses() // what came since another fault's store was back
		w.store.rollback(to)
		w.store.again(skew)
	}
}

func (w *world) killProcesses(f fault) (hit string, undo func()) {
	which := []int{w.dice.below(w.plan.processes, "kill")}
	if f.kind == FaultBlackout {
		which = which[:0]
		for n := range w.plan.processes {
			which = append(which, n)
		}
	}
	which = slices.DeleteFunc(which, func(n int) bool { return w.process(n) == nil })
	if len(which) == 0 {
		return "", nil
	}
	w.breaks()
	for _, n := range which {
		w.process(n).kill()
	}
	return fmt.Sprint("processes ", which), func() {
		for _, n := range which {
			w.startProcess(n)
		}
	}
}

// aimAtServer breaks one game server, or what it hosts.
func (w *world) aimAtServer(n int, f fault) (hit string, undo func()) {
	nothing := func() {}
	w.mu.Lock()
	var live []*server
	for _, s := range w.order {
		if !s.node.dead() && (f.kind == FaultCutOne || f.kind == FaultCrash || f.kind == FaultStop || s.session() != "") {
			live = append(live, s)
		}
	}
	// Those that host somebody are hit more often.
	slices.SortStableFunc(live, func(a, b *server) int {
		return cmp.Compare(b.session(), a.session())
	})
	w.mu.Unlock()
	if len(live) == 0 {
		return "", nothing
	}
	s := live[0]
	if w.dice.chance(500, "any server", fmt.Sprint(n)) {
		s = live[w.dice.below(len(live), "which server", fmt.Sprint(n))]
	}
	expected := func(string, *server, time.Duration) {}
	if w.calm(recovery) {
		expected = w.watch.expect
	}
	w.breaks()
	switch f.kind { //nolint:exhaustive // those that hit a server
	case FaultCutOne:
		s.excuseFor(f)
		return s.node.name, w.cut(side{aServer, s.node.name}, side{kind: aProcess})
	case FaultCrash:
		s.excuseNow()
		expected("crash", s, crashTime)
		s.exit("signal: killed")
		return s.node.name, nothing
	case FaultStop:
		s.excuseFor(f)
		if f.lasts > hangTime+time.Second {
			expected("hang", s, hangTime)
		}
		s.stop()
		return s.node.name, s.resume
	}
	s.excuseNow()
	id := s.session()
	p := w.process(0)
	if p == nil {
		return s.node.name, nothing
	}
	w.later(0, func() {
		calling, cancel := context.WithTimeout(w.root, 5*time.Second)
		defer cancel()
		if f.kind == FaultDrain {
			_ = p.registry.Drain(calling, id, "an operator said so", 0)
			return
		}
		_ = p.registry.End(calling, id, "an operator said so")
	})
	return s.node.name + " " + string(id), nothing
}

// beatAgain is how long after a fault a heartbeat comes through: it may have
// been tried just before, and that is a try and the pause after it.
const beatAgain = 2500 * time.Millisecond

// patience is how long a server may be silent and keep its session for sure:
// its last heartbeat may have been about to come.
const patience = throng.LeaseTime - throng.HeartbeatTime*11/10 - beatAgain

// excuseFor is excuseNow if so long a silence may cost the session.
func (s *server) excuseFor(f fault) {
	if s.w.plan.silence(f) > patience || s.w.plan.has(FaultLossy) {
		s.excuseNow()
	}
}

// silence is for how long heartbeats may fail because of a fault and of others
// that go on then, or so shortly before or after that none comes in between.
func (p plan) silence(f fault) time.Duration {
	from, to := f.after, f.after+f.lasts
	for range p.faults {
		for _, o := range p.faults {
			if o.hinders() && o.after <= to+beatAgain && o.after+o.lasts >= from-beatAgain {
				from, to = min(from, o.after), max(to, o.after+o.lasts)
			}
		}
	}
	return to - from
}

// hinders says whether heartbeats of servers that live on may fail.
func (f fault) hinders() bool {
	switch f.kind {
	case FaultFlush, FaultCrash, FaultDrain, FaultEnd:
		return false
	case FaultRollback, FaultFailover, FaultPause, FaultCutStore, FaultCutDoor, FaultCutOne, FaultLossy,
		FaultControl, FaultBlackout, FaultStop:
	}
	return true
}

// recovery is how long after a fault the service is whole again.
const recovery = 15 * time.Second

// calm says that no fault is going on, and none was for a while.
func (w *world) calm(since time.Duration) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.calmLocked(since)
}

func (w *world) calmLocked(since time.Duration) bool {
	return w.faults == 0 && time.Since(w.healed) >= since
}
