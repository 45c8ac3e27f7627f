package gameserver

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/wire"
)

const (
	// maxBehind is how many steps a late loop makes up for; it gives up the rest.
	maxBehind = 3
	// maxEvents is how many transport events one step handles; the rest wait.
	maxEvents = 4096
)

// loop runs one session. Everything in it is owned by the goroutine of run,
// except the channels and the clock.
type loop struct {
	cfg       Config
	hand      throng.Handover
	logger    *slog.Logger
	metrics   *metrics
	orders    <-chan throng.Order
	leaves    <-chan leaving
	clock     *regionClock
	reporter  *reporter
	mover     *mover
	keeper    *keeper
	watchdog  *watchdog
	transport Transport

	rate   int
	script Script
	world  *World

	tick       throng.Tick
	skipped    int             // steps that were given up
	steps      stepTimes       // how long they took
	late       stepTimes       // when they began, after they were to
	shown      throng.Revision // of the roster, on the display
	admission  *admission
	roster     roster
	pulse      pulse
	suspended  bool
	seats      map[throng.PlayerID]*seat
	conns      map[ConnID]*seat
	later      []func() // for the next step
	parked     []Event  // of players who come back, while suspended
	joined     []*seat  // who is in the world, in the order of joining
	attributes attributes
	emits      float64       // events that the script may still publish
	emitShare  float64       // how many a second are the session's share of what its place may; 0: not known
	patterns   time.Duration // boot clock: when sequences of inputs were told
	emitted    int           // by the script, for their names
	drain      *drain        // nil: the session does not drain
	leaveBy    time.Time     // by the registry's clock, when the process has to end; zero: it has not
	ordersDone uint64
	bound      bool          // a heartbeat was accepted
	opened     time.Duration // boot clock
	emptySince time.Duration // boot clock
	// askedRetire is when the registry was last asked to end the session.
	askedRetire time.Duration // boot clock
	end         *ending
}

// ending is why a session is over. Told: the registry knows already.
type ending struct {
	throng.Ending
	told bool
}

func newLoop(s *Server, hand throng.Handover, logger *slog.Logger) *loop {
	cfg := s.cfg
	cfg.Logger = logger
	return &loop{
		cfg:       cfg,
		hand:      hand,
		logger:    logger,
		metrics:   s.metrics,
		orders:    s.orders,
		leaves:    s.leaves,
		clock:     newRegionClock(hand.Now),
		reporter:  newReporter(cfg),
		mover:     newMover(cfg),
		keeper:    newKeeper(cfg),
		watchdog:  newWatchdog(cfg),
		transport: cfg.Transport,
		world:     NewWorld(),
		admission: newAdmission(hand.Capacity),
		emits:     mostEmits,
		seats:     map[throng.PlayerID]*seat{},
		conns:     map[ConnID]*seat{},
	}
}

// run hosts the session until it is over, and says why.
func (l *loop) run(ctx context.Context) ending {
	keeping, keepNoMore := context.WithCancel(context.WithoutCancel(ctx))
	ctx, cancel := context.WithCancel(ctx)
	reported := make(chan struct{})
	defer func() {
		cancel()
		keepNoMore()
		<-reported
	}()
	if err := l.script.Start(); err != nil {
		close(reported)
		return ending{Ending: throng.Ending{Reason: err.Error(), Failed: true}}
	}
	go func() {
		defer close(reported)
		l.speak(ctx, keeping)
	}()
	l.tellOpened()
	l.opened = l.cfg.BootClock()
	l.emptySince = l.opened
	l.feelPulse(l.opened) // a stop before the first step is one, too

	step := time.Second / time.Duration(l.rate)
	next := time.Now().Add(step)
	timer := time.NewTimer(step)
	defer timer.Stop()
	for l.end == nil {
		l.watchdog.beat()
		select {
		case <-ctx.Done():
			l.finish("the game server was told to stop", false)
		case o := <-l.orders:
			l.orderNow(o)
		case v := <-l.leaves:
			l.leave(v)
		case ask := <-l.reporter.beats:
			ask <- l.report()
		case res := <-l.reporter.confirmed:
			l.confirmed(res)
		case res := <-l.reporter.answered:
			l.answered(res)
		case res := <-l.mover.moved:
			l.handed(res)
		case f := <-l.keeper.answers:
			l.later = append(l.later, f)
		case err := <-l.reporter.retired:
			l.retired(err)
		case e := <-l.transport.Events():
			// At once, so that an arrival is confirmed before the next step.
			l.feelPulse(l.cfg.BootClock())
			l.event(e)
		case <-timer.C:
			l.late.add(time.Since(next))
			l.step(step)
			next = l.nextStep(next, step)
			timer.Reset(time.Until(next))
		}
	}
	l.tellAll()
	l.sayBye()
	l.settle()
	l.logSteps(ctx)
	return *l.end
}

// logSteps says how long steps took, and how late they began.
func (l *loop) logSteps(ctx context.Context) {
	l.logger.InfoContext(ctx, "steps of the session", "count", l.steps.count,
		"steps_p50_ms", l.steps.quantile(0.5).Seconds()*1000, "steps_p99_ms", l.steps.quantile(0.99).Seconds()*1000,
		"late_p50_ms", l.late.quantile(0.5).Seconds()*1000, "late_p99_ms", l.late.quantile(0.99).Seconds()*1000)
}

// speak tells others what the session has for them, until ctx ends; the keeper
// until keeping does.
func (l *loop) speak(ctx, keeping context.Context) {
	var group sync.WaitGroup
	group.Go(func() { l.reporter.run(ctx) })
	group.Go(func() { l.mover.run(ctx) })
	group.Go(func() { l.keeper.run(keeping) })
	group.Wait()
}

// nextStep keeps the rate; a loop that is far behind does not run after it.
func (l *loop) nextStep(last time.Time, step time.Duration) time.Time {
	next := last.Add(step)
	if behind := time.Since(next); behind > maxBehind*step {
		skipped := int(behind / step)
		l.metrics.late.Add(float64(skipped))
		l.skipped += skipped
		next = next.Add(time.Duration(skipped) * step)
	}
	return next
}

// step simulates once and sends everybody his view.
func (l *loop) step(dt time.Duration) {
	begun := time.Now()
	boot := l.cfg.BootClock()
	l.feelPulse(boot)
	l.events()
	if l.suspended {
		return
	}
	l.tick++
	l.unpark()
	l.lapse(boot)
	l.metrics.away.Set(float64(len(l.admission.away)))
	l.settleArrivals(boot)
	l.runLater()
	rate, most := emitPace(l.emitShare)
	l.emits = min(l.emits+rate*dt.Seconds(), most)
	l.hear()
	l.applyInputs()
	if l.fatal(l.script.Tick(dt.Seconds())) {
		return
	}
	l.giveTokens(boot)
	l.lapseOffers()
	l.serve()
	l.cutOff()
	l.show()
	l.sampleMotion(boot)
	l.tellPatterns(boot)
	l.autosave(boot)
	l.checkDrain(boot)
	l.checkLife(boot)
	l.metrics.ticks.Inc()
	took := time.Since(begun)
	l.metrics.tickSeconds.Observe(took.Seconds())
	l.steps.add(took)
}

// feelPulse suspends the session when this process was stopped, until the
// registry is heard.
func (l *loop) feelPulse(boot time.Duration) {
	serve, stopped := l.pulse.beat(boot)
	if stopped {
		l.logger.Warn("this process was stopped: serving nobody until the registry is heard")
		l.reporter.soon()
	}
	l.suspended = !serve
}

// checkLife ends a session that nobody needs.
func (l *loop) checkLife(boot time.Duration) {
	if len(l.seats) > 0 {
		l.emptySince = boot
		return
	}
	switch {
	case l.admission.draining:
		l.finish("drained", false)
	case !l.bound && boot-l.opened > throng.LeaseTime:
		l.finish("no registry took this session within one lease", false)
	case boot-l.emptySince > l.cfg.EmptyAfter+l.cfg.LonelyAfter:
		l.finish("nobody was there, and no registry to ask", false)
	case boot-l.emptySince > l.cfg.EmptyAfter && boot-l.askedRetire > throng.HeartbeatTime:
		l.askedRetire = boot
		l.reporter.retire(l.heartbeat(), l.emptyReason())
	}
}

func (l *loop) emptyReason() string { return "nobody was there for " + l.cfg.EmptyAfter.String() }

// retired takes the registry's word on whether an empty session may end. While
// somebody is on the way it goes on; while the registry is away it asks again.
func (l *loop) retired(err error) {
	switch {
	case err == nil:
		l.finish(l.emptyReason(), true)
	case throng.KindOf(err) == throng.Conflict:
		l.emptySince = l.cfg.BootClock()
	default:
		l.logger.Warn("empty session could not be ended", "err", err)
	}
}

// fatal handles a script's error. True: the session is over.
func (l *loop) fatal(err error) bool {
	if err == nil {
		return false
	}
	if l.end == nil {
		l.end = &ending{Ending: throng.Ending{Reason: err.Error(), Failed: true}}
	}
	return true
}

func (l *loop) finish(reason string, told bool) {
	if l.end == nil {
		l.end = &ending{Ending: throng.Ending{Reason: reason}, told: told}
	}
}

// sayBye tells all players and the transport.
func (l *loop) sayBye() {
	bye := wire.Bye{Code: wire.ByeEnded, Text: l.end.Reason}
	for conn, s := range l.conns {
		l.bye(conn, s.peer, bye)
	}
	for _, e := range l.parked {
		l.bye(e.Conn, nil, bye)
	}
}

// orderNow carries out an order that came ahead of the next heartbeat. If one
// before it was lost on that way it does not count as done: the heartbeat brings
// both, in order.
func (l *loop) orderNow(o throng.Order) {
	if o.ID != 0 && o.ID <= l.ordersDone {
		return
	}
	l.carryOut(o)
	if o.ID == l.ordersDone+1 {
		l.ordersDone = o.ID
	}
}

// order carries out the next one of all that the registry has for this session.
func (l *loop) order(o throng.Order) {
	if o.ID != 0 && o.ID <= l.ordersDone {
		return
	}
	l.carryOut(o)
	l.ordersDone = max(l.ordersDone, o.ID)
}

// carryOut does what the registry says; a second time changes nothing.
func (l *loop) carryOut(o throng.Order) {
	switch o.Kind {
	case throng.OrderEvict:
		l.admission.fence(o.Player, o.Epoch, l.clock.now())
		if s := l.seats[o.Player]; s != nil && s.epoch <= o.Epoch {
			l.remove(s, wire.Bye{Code: wire.ByeEvicted, Text: o.Reason})
		}
	case throng.OrderDrain:
		l.drainBy(o)
	case throng.OrderEnd:
		l.finish(o.Reason, true)
	case throng.OrderReport:
		l.reporter.soonReport()
	case throng.OrderFlush:
		l.flush(o)
	}
}

// answered takes a heartbeat's answer.
func (l *loop) answered(res beatResult) {
	a := res.answer
	l.clock.set(a.Now, res.at)
	l.pulse.answered(res.begun)
	if a.Ended {
		reason := a.Reason
		if reason == "" {
			reason = "the registry says that the session is over"
		}
		l.finish(reason, true)
		return
	}
	l.bound = true
	l.emitShare = a.EventRate
	l.roster.ack(a.Acked)
	for _, o := range a.Orders {
		l.order(o)
	}
}

// heartbeat is what the registry is told.
func (l *loop) heartbeat() throng.Heartbeat {
	return throng.Heartbeat{
		Session:     l.hand.Session,
		Server:      l.cfg.ID,
		Incarnation: l.cfg.Incarnation,
		Address:     l.transport.Address(),
		Web:         webOf(l.transport),
		Attributes:  l.attributes.of(l.seats),
		Revision:    l.roster.revision,
		Changes:     l.roster.pending(),
		OrdersDone:  l.ordersDone,
	}
}

// report is all that an empty registry needs to know.
func (l *loop) report() throng.Report {
	r := throng.Report{
		Heartbeat: l.heartbeat(),
		Place:     l.hand.Place,
		Version:   l.hand.Version,
		Capacity:  l.hand.Capacity,
		State:     throng.SessionOpen,
		OpenedAt:  l.hand.OpenedAt,
		Private:   l.hand.Private,
		Code:      l.hand.Code,
	}
	if l.admission.draining {
		r.State = throng.SessionDraining
	}
	for _, s := range l.seats {
		r.Seats = append(r.Seats, throng.SeatReport{Player: s.player, Epoch: s.epoch, Key: s.key})
	}
	return r
}
