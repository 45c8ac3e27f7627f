package sim

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"sync"
	"time"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/gameserver"
)

// server is a game server's process: production's, on a simulated machine.
type server struct {
	w         *world
	id        throng.ServerID
	life      throng.Incarnation
	node      *node
	transport *transport
	began     time.Time
	cancel    context.CancelFunc
	gone      sync.Once
	twin      time.Time // since when its session is another's; the watch's own

	mu      sync.Mutex
	hand    throng.Handover // the session that it took; zero: none
	stopped chan struct{}   // not nil while the process is stopped; closed when it goes on
	halted  time.Time       // when it was stopped last
	woken   time.Time       // when it went on after a long stop, and was not heard since; else zero
	idled   time.Duration   // how long it was stopped
	excuse  time.Time       // since when it may lose its session by its own fault; zero: never
	epochs  map[throng.Member]throng.Epoch
}

// startServer boots one.
func (w *world) startServer(id throng.ServerID, _ []string) (end func(reason string), err error) {
	w.mu.Lock()
	w.booted++
	n := w.booted
	s := &server{
		w: w, id: id, node: newNode(aServer, fmt.Sprintf("server%d", n)), began: time.Now(),
		life: throng.MakeIncarnation(throng.Entropy{byte(n), byte(n >> 8)}), epochs: map[throng.Member]throng.Epoch{},
	}
	s.transport = newTransport(s, n)
	w.servers[id] = s
	w.order = append(w.order, s)
	w.stats.Servers++
	w.mu.Unlock()
	ctx, cancel := context.WithCancel(w.root)
	s.cancel = cancel
	random := w.dice.source("server", s.node.name)
	run, err := gameserver.New(gameserver.Config{
		ID: id, Incarnation: s.life, Control: control{s}, Registry: registry{s}, Packages: packages{}, Transport: s.transport,
		HangAfter: -1, // a stopped process is one in which nothing runs, here only its calls stand still
		Load: func(gameserver.LoadConfig) (gameserver.Place, error) {
			return gameserver.Place{Script: script{s}, TickRate: 1}, nil
		},
		BootClock: s.boot, EmptyAfter: 10 * time.Second, KeepSeat: keepSeat, Logger: slog.New(slog.DiscardHandler), Random: random,
	})
	must(err)
	boot := w.dice.between(w.plan.boot/2, w.plan.boot*2, "boot")
	w.event(s.node.name, "allocated", string(id))
	w.all.Go(func() {
		w.pause(ctx, boot)
		err := run.Run(ctx)
		reason := "exit status 0"
		if err != nil {
			reason = "exit status 1"
		}
		s.exit(reason)
	})
	return s.exit, nil
}

// keepSeat is how long the seat of a lost player is kept.
const keepSeat = 8 * time.Second

// exit ends the process, once, whatever it was doing.
func (s *server) exit(reason string) {
	s.gone.Do(func() {
		s.w.event(s.node.name, "is over", reason)
		close(s.node.down)
		s.cancel()
		s.resume()
		s.transport.broken()
		s.w.machine.Over(s.id, reason)
	})
}

// stop is SIGSTOP: the process does nothing until resume.
func (s *server) stop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopped == nil {
		s.stopped, s.halted = make(chan struct{}), time.Now()
	}
}

func (s *server) resume() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopped != nil {
		close(s.stopped)
		s.stopped = nil
		if time.Since(s.halted) > stoppedTime {
			s.woken = time.Now()
		}
	}
}

// How long a server must be stopped to suspend itself, and for how long it does
// so if the registry is away.
const (
	stoppedTime = 6500 * time.Millisecond // 5 s, and what it did not tick just before
	resumeTime  = 15 * time.Second
)

// unheard says that it was stopped, goes on, and should serve nobody yet.
func (s *server) unheard() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return !s.woken.IsZero() && time.Since(s.woken) < resumeTime
}

// gate holds who runs in the process while it is stopped.
func (s *server) gate() {
	s.mu.Lock()
	stopped := s.stopped
	s.mu.Unlock()
	if stopped == nil {
		return
	}
	since := time.Now()
	<-stopped
	s.mu.Lock()
	s.idled = max(s.idled, time.Since(since))
	s.mu.Unlock()
}

// boot is the process's clock that counts while it is stopped.
func (s *server) boot() time.Duration {
	s.gate()
	if s.w.off(GuardPulse) {
		// As if nobody looked at it.
		s.mu.Lock()
		defer s.mu.Unlock()
		return time.Since(s.began) - s.idled
	}
	return time.Since(s.began) + time.Second
}

// session is the session that it took; empty: none.
func (s *server) session() throng.SessionID {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.hand.Session
}

// excused says that the server may lose its session by its own fault.
func (s *server) excused() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return !s.excuse.IsZero()
}

func (s *server) excuseNow() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.excuse.IsZero() {
		s.excuse = time.Now()
	}
}

// packages has an empty one.
type packages struct{}

// Fetch is gameserver.Packages'.
func (packages) Fetch(context.Context, throng.PackageHash) (map[string][]byte, error) {
	return map[string][]byte{}, nil
}

// script is a place that does nothing.
type script struct{ s *server }

func (script) Start() error { return nil }
func (script) Join(throng.PlayerID, throng.Origin, ...throng.Attribute) error {
	return nil
}
func (script) Leave(throng.PlayerID) error                   { return nil }
func (script) Input(throng.PlayerID, gameserver.Input) error { return nil }
func (script) Message(throng.PlayerID, throng.Message) error { return nil }

func (script) Handed(uint64, error) error                  { return nil }
func (script) Drain(time.Duration) (waits bool, err error) { return false, nil }

func (script) Loaded(throng.PlayerID, throng.Profile, error) error { return nil }
func (script) Document(throng.PlayerID) ([]byte, error)            { return nil, nil }
func (script) Saved(uint64, error) error                           { return nil }
func (script) Posted(uint64, throng.Receipt, error) error          { return nil }
func (script) Held(uint64, throng.Holding, error) error            { return nil }

// Tick stops with the process.
func (c script) Tick(float64) error {
	c.s.gate()
	return nil
}

// registry is the registry as a game server reaches it.
type registry struct{ s *server }

// tell calls the registry from the server.
func tell[T any](ctx context.Context, s *server, op string, serve func(context.Context, *process) (T, error)) (T, error) {
	s.gate()
	v, err := ring(ctx, s.w, caller{s.node, op}, 5*time.Second, serve)
	s.gate()
	return v, err
}

func tell0(ctx context.Context, s *server, op string, serve func(context.Context, *process) error) error {
	_, err := tell(ctx, s, op, func(ctx context.Context, p *process) (none, error) { return none{}, serve(ctx, p) })
	return err
}

// Heartbeat is gameserver.Registry's.
func (r registry) Heartbeat(ctx context.Context, h throng.Heartbeat) (throng.HeartbeatAnswer, error) {
	told := r.s.original(h)
	a, err := tell(ctx, r.s, "beat", func(ctx context.Context, p *process) (throng.HeartbeatAnswer, error) {
		return p.registry.Heartbeat(ctx, told)
	})
	return r.heard(h, a, err)
}

// Report is gameserver.Registry's.
func (r registry) Report(ctx context.Context, rep throng.Report) (throng.HeartbeatAnswer, error) {
	told := rep
	told.Heartbeat = r.s.original(rep.Heartbeat)
	told.Seats = nil
	for _, seat := range rep.Seats {
		seat.Epoch = r.s.epochOf(seat.Player, seat.Epoch)
		told.Seats = append(told.Seats, seat)
	}
	a, err := tell(ctx, r.s, "full report", func(ctx context.Context, p *process) (throng.HeartbeatAnswer, error) {
		return p.registry.Report(ctx, told)
	})
	return r.heard(rep.Heartbeat, a, err)
}

// heard passes an answer on, without what a guard would have told.
func (r registry) heard(h throng.Heartbeat, a throng.HeartbeatAnswer, err error) (throng.HeartbeatAnswer, error) {
	if err != nil {
		return a, err
	}
	r.s.mu.Lock()
	r.s.woken = time.Time{}
	r.s.mu.Unlock()
	if r.s.w.off(GuardOrders) {
		a.Orders = nil
	}
	if a.Ended && a.Reason == "the session runs on another server" && r.s.w.off(GuardBind) {
		a.Ended, a.Acked = false, h.Revision
	}
	for i := range a.Orders {
		a.Orders[i] = r.s.disguise(a.Orders[i])
	}
	return a, nil
}

// Confirm is gameserver.Registry's.
func (r registry) Confirm(ctx context.Context, h throng.Heartbeat, c throng.RosterChange) error {
	c.Epoch = r.s.epochOf(c.Player, c.Epoch)
	err := tell0(ctx, r.s, "confirm", func(ctx context.Context, p *process) error { return p.registry.Confirm(ctx, h, c) })
	if err == nil {
		r.s.w.watch.confirmed(r.s, c)
	}
	return err
}

// End is gameserver.Registry's.
func (r registry) End(ctx context.Context, h throng.Heartbeat, e throng.Ending) error {
	return tell0(ctx, r.s, "end by", func(ctx context.Context, p *process) error { return p.registry.EndBy(ctx, h, e) })
}

// Retire is gameserver.Registry's.
func (r registry) Retire(ctx context.Context, h throng.Heartbeat, reason string) error {
	return tell0(ctx, r.s, "retire", func(ctx context.Context, p *process) error { return p.registry.Retire(ctx, h, reason) })
}

// alias is the epoch under which an arrival is shown to the server. Without
// GuardFloor it is a new one each time, so that the server knows nothing that
// ever spoke against it; all others see the true one.
func (s *server) alias(p throng.PlayerID, e throng.Epoch) throng.Epoch {
	if !s.w.off(GuardFloor) {
		return e
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	shown := e + throng.Epoch(len(s.epochs)+1)<<40
	s.epochs[throng.Member{Player: p, Epoch: shown}] = e
	return shown
}

// known is the newest alias of an epoch.
func (s *server) known(p throng.PlayerID, e throng.Epoch) throng.Epoch {
	s.mu.Lock()
	defer s.mu.Unlock()
	shown := e
	for m, own := range s.epochs {
		if m.Player == p && own == e {
			shown = max(shown, m.Epoch)
		}
	}
	return shown
}

func (s *server) epochOf(p throng.PlayerID, shown throng.Epoch) throng.Epoch {
	s.mu.Lock()
	defer s.mu.Unlock()
	if e, ok := s.epochs[throng.Member{Player: p, Epoch: shown}]; ok {
		return e
	}
	return shown
}

// original is a heartbeat with the true epochs.
func (s *server) original(h throng.Heartbeat) throng.Heartbeat {
	if !s.w.off(GuardFloor) {
		return h
	}
	changes := make([]throng.RosterChange, len(h.Changes))
	for i, c := range h.Changes {
		c.Epoch = s.epochOf(c.Player, c.Epoch)
		changes[i] = c
	}
	h.Changes = changes
	return h
}

// disguise shows an order with the epochs that the server knows.
func (s *server) disguise(o throng.Order) throng.Order {
	s.mu.Lock()
	defer s.mu.Unlock()
	if o.Kind != throng.OrderEvict || len(s.epochs) == 0 {
		return o
	}
	own, shown := o.Epoch, throng.Epoch(0)
	for m, e := range s.epochs {
		if m.Player == o.Player && e <= own {
			shown = max(shown, m.Epoch)
		}
	}
	o.Epoch = max(shown, own)
	return o
}

// control is the server's connection to the orchestrator.
type control struct{ s *server }

// pingTime is after how long a broken connection is noticed.
const pingTime = 10 * time.Second

// Serve is gameserver.Control's.
func (c control) Serve(ctx context.Context, hello throng.Hello, d gameserver.Directives) error {
	s := c.s
	w := s.w
	s.gate()
	p := w.process(0)
	if p == nil || w.net.isCut(s.node, p.node) {
		w.net.wait(ctx, s.node, 50*time.Millisecond)
		return errAway("control")
	}
	delay := func(op string) time.Duration {
		return w.dice.between(50*time.Microsecond, 5*time.Millisecond, "link", s.node.name, op)
	}
	if !w.net.wait(ctx, s.node, delay("hello")) {
		return errAway("control")
	}
	l := &link{s: s, p: p, down: d, lost: make(chan struct{}), delay: delay}
	detach, err := p.fleet.Attach(hello, l)
	if err != nil {
		w.event(s.node.name, "is refused", err.Error())
		return err
	}
	left := false
	defer func() { detach(left) }()
	defer l.lose()
	d.Connected()
	ping := time.NewTicker(pingTime / 2)
	defer ping.Stop()
	silent := 0
	for {
		select {
		case <-ctx.Done():
			left = true
			return ctx.Err()
		case <-s.node.down:
			return errAway("control")
		case <-p.node.down:
			return errAway("control")
		case <-l.lost:
			return errAway("control")
		case <-ping.C:
		}
		s.mu.Lock()
		stopped := s.stopped != nil
		s.mu.Unlock()
		if !stopped && !w.net.isCut(s.node, p.node) {
			silent = 0
			continue
		}
		if silent++; silent == 2 {
			return errAway("control")
		}
	}
}

// link is the orchestrator's end of the connection.
type link struct {
	s     *server
	p     *process
	down  gameserver.Directives
	lost  chan struct{} // closed when it is over
	once  sync.Once
	delay func(op string) time.Duration
}

func (l *link) lose() { l.once.Do(func() { close(l.lost) }) }

func (l *link) isLost() bool {
	select {
	case <-l.lost:
		return true
	default:
		return false
	}
}

// Handover is fleet.Link's.
func (l *link) Handover(ctx context.Context, h throng.Handover) error {
	answered := make(chan error, 1)
	l.s.w.later(l.delay("handover"), func() {
		// Bytes that were sent wait in a stopped process's socket.
		if l.isLost() || l.s.w.net.isCut(l.s.node, l.p.node) {
			return
		}
		l.s.gate()
		err := l.down.Handover(h)
		if err == nil {
			l.s.took(h)
		}
		if l.s.w.dice.chance(30, "handover answer", l.s.node.name) {
			return
		}
		answered <- err
	})
	select {
	case err := <-answered:
		l.s.w.pause(ctx, l.delay("handed"))
		return err
	case <-l.lost:
		return errAway("handover")
	case <-ctx.Done():
		return errAway("handover")
	}
}

// Order is fleet.Link's.
func (l *link) Order(id throng.SessionID, o throng.Order) error {
	if l.isLost() {
		return errAway("order")
	}
	l.s.w.later(l.delay("order"), func() {
		if l.isLost() || l.s.w.net.isCut(l.s.node, l.p.node) || l.s.w.dice.chance(30, "order lost", l.s.node.name) {
			return
		}
		l.s.gate()
		l.down.Order(id, l.s.disguise(o))
	})
	return nil
}

// Stop is fleet.Link's.
func (l *link) Stop(reason string) error {
	l.s.w.later(l.delay("stop"), func() {
		if !l.isLost() {
			l.s.gate()
			l.down.Stop(reason)
		}
	})
	return nil
}

// took notes the session that the server was given.
func (s *server) took(h throng.Handover) {
	s.mu.Lock()
	first := s.hand.Session == ""
	s.hand = h
	s.mu.Unlock()
	if first {
		s.w.event(s.node.name, "takes", string(h.Session))
	}
}

// address is where the n-th server's players connect.
func address(n int) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, byte(n >> 8), byte(n)}), 7000)
}
