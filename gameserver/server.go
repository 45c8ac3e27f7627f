package gameserver

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/wire"
)

// Config is what a game server is made of. Fields without a default are needed.
type Config struct {
	ID          throng.ServerID
	Incarnation throng.Incarnation // new at each start of the process

	Control   Control
	Registry  Registry
	Packages  Packages
	Transport Transport
	// Logs takes the session's log; nil: nobody does.
	Logs Logs
	// Events takes what happens in the session; nil: nobody does.
	Events Publisher
	// Arrivals hears how players came in; nil: nobody does.
	Arrivals Arrivals
	// Handoffs finds seats elsewhere; nil: nobody is moved.
	Handoffs Handoffs
	// Profiles and Ledger keep what players own; nil: the script is told that
	// they are Unavailable.
	Profiles Profiles
	Ledger   Ledger
	// Drains hears that this process has to end; nil: only reports say so.
	Drains Drains
	// Display shows people what the server does; nil: nobody does.
	Display Display
	// Load compiles a place's script for a session.
	Load func(LoadConfig) (Place, error)
	// BootClock counts also while the machine sleeps.
	BootClock func() time.Duration

	// EmptyAfter is how long a session without players goes on; default 60 s.
	EmptyAfter time.Duration
	// KeepSeat is how long the seat of a player whose connection was lost is
	// kept for him; default 30 s.
	KeepSeat time.Duration
	// SaveEvery is how often it is looked at whether a player's profile has changed,
	// a quarter of it earlier at random; default 180 s.
	SaveEvery time.Duration
	// Token makes a netcode connect token for this server's own address and its
	// session's route that is sealed with the session's key, carries the claims, and was good for life
	// when they expire; its nonce and its connection's keys are new each time.
	// With it clients come back into their seats. Nil: they get none, and cannot.
	Token func(h throng.Handover, c wire.Claims, life time.Duration) ([]byte, error)
	// LonelyAfter is how long an idle server waits for a control plane that
	// does not answer, before it ends itself; default 5 min.
	LonelyAfter time.Duration
	// HangAfter is how long the session's loop may take for one step before the
	// session is given up; default 10 s, negative: for ever.
	HangAfter time.Duration
	// MemoryMost is how many bytes this process may hold before the session is
	// given up; 0: any number.
	MemoryMost int64
	// Random jitters heartbeats and retries; nil: math/rand/v2.
	Random func() uint64

	Logger  *slog.Logger
	Metrics prometheus.Registerer // nil: not registered
}

// LoadConfig is what a place's script gets.
type LoadConfig struct {
	Files    map[string][]byte // the manifest and the scripts, by path
	Handover throng.Handover
	World    *World
	// ScriptError counts a script's error that the session survives.
	ScriptError func(error)
	// SetAttribute takes what the script says of its session by one of the place's
	// signals; nil: nothing any more. It is called by the loop.
	SetAttribute func(name string, a *throng.Attribute)
	// Handoff moves players elsewhere. What comes of it is told to Script.Handed,
	// with the same call, in a later step.
	Handoff func(call uint64, ask HandoffAsk)
	// Store keeps what players own. What comes of a call is told to the Script,
	// with the same call, in a later step.
	Store Store
	// Send tells a player's client something, in order, once while it stays
	// connected. False: he is not, or was told too much: 8 KiB a second, 16 at once.
	Send func(p throng.PlayerID, m throng.Message) bool
	// Publish tells those outside of the session what the script says. False: nobody
	// listens, or it is too much: 20 a second, 100 at once.
	Publish func(m throng.Message) bool
	// Ready says that a draining session's players can be moved now.
	Ready func()
	// Log writes a line to the place's log. It does not wait.
	Log    func(level throng.LogLevel, text string)
	Logger *slog.Logger
}

// Store is what a script asks for of what its players own. It does not wait.
type Store interface {
	// Save keeps a player's document; Script.Saved is told, unless call is 0.
	Save(call uint64, p throng.PlayerID, document []byte)
	// Post posts a transfer, with its members' epochs filled in, and an ID when
	// it has none; Script.Posted is told.
	Post(call uint64, t throng.Transfer)
	// Balance reads what a player owns; Script.Held is told.
	Balance(call uint64, p throng.PlayerID)
}

// Place is a loaded place: its script and what its manifest says of the loop.
type Place struct {
	Script   Script
	TickRate int // Hz
	Signals  []throng.Signal
}

// Server is one game server process's life. It hosts at most one session.
type Server struct {
	cfg     Config
	metrics *metrics

	// handovers holds one: a second session is a Conflict.
	handovers chan throng.Handover
	// orders is bounded; full: the order is dropped, heartbeats bring it again.
	orders chan throng.Order
	// stop holds one.
	stop chan string
	// leaves holds one.
	leaves chan leaving

	mu   sync.Mutex
	hand *throng.Handover // guarded by mu; what was accepted
	left bool             // guarded by mu; Leave was called
}

// New makes a server. It starts nothing.
func New(cfg Config) (*Server, error) {
	if cfg.ID == "" || cfg.Incarnation == "" || cfg.Control == nil || cfg.Registry == nil ||
		cfg.Packages == nil || cfg.Transport == nil || cfg.Load == nil || cfg.BootClock == nil || cfg.Logger == nil {
		return nil, throng.Errorf(throng.Invalid, "game server: a needed part of its configuration is missing")
	}
	if cfg.EmptyAfter == 0 {
		cfg.EmptyAfter = time.Minute
	}
	if cfg.KeepSeat < 0 {
		return nil, throng.AtField(throng.Invalid, "KeepSeat", "%s is no time to keep a seat", cfg.KeepSeat)
	}
	if cfg.KeepSeat == 0 {
		cfg.KeepSeat = 30 * time.Second
	}
	if cfg.SaveEvery <= 0 {
		cfg.SaveEvery = 3 * time.Minute
	}
	if cfg.LonelyAfter == 0 {
		cfg.LonelyAfter = 5 * time.Minute
	}
	if cfg.HangAfter == 0 {
		cfg.HangAfter = 10 * time.Second
	}
	if cfg.Random == nil {
		cfg.Random = rand.Uint64
	}
	m, err := newMetrics(cfg.Metrics)
	if err != nil {
		return nil, err
	}
	return &Server{
		cfg:       cfg,
		metrics:   m,
		handovers: make(chan throng.Handover, 1),
		orders:    make(chan throng.Order, 256),
		stop:      make(chan string, 1),
		leaves:    make(chan leaving, 1),
	}, nil
}

// errIdleStop ends a server that never had a session.
var errIdleStop = errors.New("stopped while idle")

// Run waits for a session, hosts it, and returns when it is over: nil when it
// ended in order, also when the control plane stopped an idle server.
func (s *Server) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var group sync.WaitGroup
	defer group.Wait()
	defer cancel()
	contact := make(chan bool, 1)
	group.Go(func() { s.stayConnected(ctx, contact) })

	hand, err := s.await(ctx, contact)
	switch {
	case errors.Is(err, errIdleStop):
		return nil
	case err != nil:
		return err
	}
	return s.host(ctx, hand)
}

// stayConnected keeps the control connection up. contact holds the newest word
// on whether there is one.
func (s *Server) stayConnected(ctx context.Context, contact chan bool) {
	backoff := 50 * time.Millisecond
	for ctx.Err() == nil {
		begun := time.Now()
		err := s.cfg.Control.Serve(ctx, s.hello(), directives{s, contact})
		tell(contact, false)
		if ctx.Err() != nil {
			return
		}
		if time.Since(begun) > 5*time.Second {
			backoff = 50 * time.Millisecond
		}
		s.cfg.Logger.WarnContext(ctx, "control connection lost", "err", err)
		select {
		case <-ctx.Done():
		case <-time.After(backoff/2 + upTo(s.cfg.Random, backoff)):
			backoff = min(2*backoff, 2*time.Second)
		}
	}
}

func (s *Server) hello() throng.Hello {
	h := throng.Hello{Server: s.cfg.ID, Incarnation: s.cfg.Incarnation, Address: s.cfg.Transport.Address(), Web: webOf(s.cfg.Transport)}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.hand != nil {
		h.Session = s.hand.Session
	}
	return h
}

// tell replaces what contact holds. Only one goroutine tells.
func tell(contact chan bool, connected bool) {
	select {
	case <-contact:
	default:
	}
	contact <- connected
}

// await waits for a session. A server that nobody wants ends.
func (s *Server) await(ctx context.Context, contact <-chan bool) (throng.Handover, error) {
	lonely := time.NewTimer(s.cfg.LonelyAfter)
	defer lonely.Stop()
	for {
		select {
		case <-ctx.Done():
			return throng.Handover{}, errIdleStop
		case h := <-s.handovers:
			return h, nil
		case reason := <-s.stop:
			s.cfg.Logger.InfoContext(ctx, "stopped while idle", "reason", reason)
			return throng.Handover{}, errIdleStop
		case connected := <-contact:
			lonely.Reset(s.cfg.LonelyAfter)
			if connected {
				lonely.Stop()
			}
		case <-lonely.C:
			return throng.Handover{}, throng.Errorf(throng.Unavailable,
				"no control plane was heard for %s", s.cfg.LonelyAfter)
		}
	}
}

// host runs one session to its end.
func (s *Server) host(ctx context.Context, hand throng.Handover) error {
	logger := s.cfg.Logger.With("session", string(hand.Session), "place", string(hand.Place))
	logger.InfoContext(ctx, "session handed over", "version", int(hand.Version), "capacity", hand.Capacity)
	if s.cfg.Display != nil {
		s.cfg.Display.Hosts(hand)
	}
	book := newLogbook(s, hand, logger)
	writing, closeBook := context.WithCancel(context.WithoutCancel(ctx))
	var written sync.WaitGroup
	defer written.Wait()
	defer closeBook()
	written.Go(func() { book.run(writing) })
	book.add(throng.LogInfo, fmt.Sprintf("session started: version %d, %d seats", hand.Version, hand.Capacity))

	l, err := s.open(ctx, hand, book)
	if err != nil {
		end := throng.Ending{
			Reason: fmt.Sprintf("place could not be loaded: %v", err),
			Failed: throng.KindOf(err) == throng.Invalid, // the place's own fault
		}
		logger.ErrorContext(ctx, "session ended", "reason", end.Reason)
		s.tellEnded(hand, book.clock.now(), end)
		book.end(end)
		closeBook()
		s.sayEnd(ctx, s.blankBeat(hand), end)
		return fmt.Errorf("load place %s: %w", hand.Place, err)
	}
	end, ok := s.watched(ctx, l)
	s.tellEnded(hand, l.clock.now(), end.Ending)
	book.end(end.Ending)
	closeBook()
	if !ok {
		s.sayEnd(ctx, s.blankBeat(hand), end.Ending)
		return throng.Errorf(throng.Internal, "session %s: %s", hand.Session, end.Reason)
	}
	logger.InfoContext(ctx, "session ended", "reason", end.Reason, "ticks", int(l.tick), "skipped", l.skipped)
	if !end.told {
		s.sayEnd(ctx, l.heartbeat(), end.Ending)
	}
	return nil
}

// blankBeat says which session, of which nothing else is known.
func (s *Server) blankBeat(hand throng.Handover) throng.Heartbeat {
	return throng.Heartbeat{
		Session: hand.Session, Server: s.cfg.ID, Incarnation: s.cfg.Incarnation,
		Address: s.cfg.Transport.Address(), Web: webOf(s.cfg.Transport),
	}
}

func (s *Server) open(ctx context.Context, hand throng.Handover, book *logbook) (*loop, error) {
	fetch, cancel := context.WithTimeout(ctx, throng.LeaseTime)
	defer cancel()
	files, err := s.cfg.Packages.Fetch(fetch, cmp.Or(hand.Scripts, hand.Package))
	if err != nil {
		return nil, fmt.Errorf("fetch package: %w", err)
	}
	l := newLoop(s, hand, book.logger)
	l.clock = book.clock
	place, err := s.cfg.Load(LoadConfig{
		Files: files, Handover: hand, World: l.world, Logger: book.logger, Log: book.add,
		ScriptError: func(error) { s.metrics.scriptErrs.Inc() }, SetAttribute: l.attributes.set,
		Handoff: l.scriptHandoff, Send: l.tell, Publish: l.publish, Ready: l.breakNow, Store: l,
	})
	if err != nil {
		return nil, err
	}
	l.script, l.rate, l.attributes.signals = place.Script, place.TickRate, place.Signals
	if err := s.cfg.Transport.Listen(hand.Key, hand.Capacity, l.clock.now); err != nil {
		return nil, fmt.Errorf("listen: %w", err)
	}
	return l, nil
}

// sayEnd tells the registry once or twice; when it does not hear, the lease
// tells it.
func (s *Server) sayEnd(ctx context.Context, beat throng.Heartbeat, e throng.Ending) {
	ctx = context.WithoutCancel(ctx)
	for range 2 {
		once, cancel := context.WithTimeout(ctx, time.Second)
		err := s.cfg.Registry.End(once, beat, e)
		cancel()
		if err == nil || final(err) {
			return
		}
		s.cfg.Logger.WarnContext(ctx, "end was not heard", "err", err)
	}
}

// directives is how the control connection reaches the server.
type directives struct {
	s       *Server
	contact chan bool
}

// Connected tells that the control plane answers; called before Serve returns.
func (d directives) Connected() { tell(d.contact, true) }

// Handover gives the server its session.
func (d directives) Handover(h throng.Handover) error {
	s := d.s
	s.mu.Lock()
	defer s.mu.Unlock()
	if h.Incarnation != s.cfg.Incarnation {
		return throng.Errorf(throng.Conflict, "handover is meant for incarnation %s", h.Incarnation)
	}
	if s.hand != nil {
		if s.hand.Session == h.Session {
			return nil
		}
		return throng.Errorf(throng.Conflict, "server has session %s", s.hand.Session)
	}
	if s.left {
		return throng.Errorf(throng.Conflict, "server has to end")
	}
	select {
	case s.handovers <- h:
		s.hand = &h
		return nil
	default:
		return throng.Errorf(throng.Conflict, "server has a session")
	}
}

// Order is one order for the server's session.
func (d directives) Order(session throng.SessionID, o throng.Order) {
	d.s.mu.Lock()
	mine := d.s.hand != nil && d.s.hand.Session == session
	d.s.mu.Unlock()
	if !mine {
		return
	}
	select {
	case d.s.orders <- o:
	default: // the next heartbeat's answer brings it again
	}
}

// Stop ends an idle server; one with a session ends by orders only.
func (d directives) Stop(reason string) {
	select {
	case d.s.stop <- reason:
	default: // it is stopping already
	}
}
