package fleet

import (
	"cmp"
	"context"
	"crypto/rand"
	"io"
	"log/slog"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/throng-gg/throng"
)

const (
	mailbox  = 1024                   // messages on their way to the table; full: their senders wait
	tickTime = 250 * time.Millisecond // between looks at all times
	spare    = 1024                   // rows beyond four times Max, for those that are gone
	askTime  = 5 * time.Second        // that a caller waits for the table
)

// Config is what an Orchestrator needs. Zero values mean the defaults.
type Config struct {
	Region   throng.Region // required
	Backend  Backend       // required
	Registry Registry      // required
	Keys     Keys          // required
	Peers    Peers         // nil: there are none

	Stock int // idle servers kept ready at least; 0: each opening waits for its own
	// StockMost is how many idle servers are kept ready at most, when many
	// sessions are opened; Stock: always as many.
	StockMost int
	Max       int // most servers, those of peers included; 64
	// Patience is how long an opening waits for a server when the backend has
	// none: one that grows by itself may have more in a moment. 0: not at all.
	Patience time.Duration
	// AtOnce is most allocations under way; 8. A backend that answers them in
	// batches is faster with more.
	AtOnce int
	// Shared says that servers start on the machine that sessions come up on: while
	// some do, and no opening waits, the stock is not filled for half a second, and
	// then one by one.
	Shared bool
	// Buries says that the backend learns late, or at a price, that a server is over: one
	// whose session has ended and that has left is released at once.
	Buries bool

	Forecasts func() Forecast // makes what looks ahead; nil: Recent

	Entropy io.Reader             // names servers; crypto/rand
	Logger  *slog.Logger          // nil: says nothing
	Metrics prometheus.Registerer // nil: not registered
}

// Orchestrator owns the game servers of one region, or those of them that are
// connected to it: see peers.go.
type Orchestrator struct {
	region   throng.Region
	backend  Backend
	registry Registry
	keys     Keys
	peers    Peers
	sites    Sites // nil: the backend is without
	stock    Target
	most     int
	atOnce   int
	shared   bool
	buries   bool
	patience time.Duration
	forecast Forecast // owned by the table
	demand   demand
	entropy  io.Reader
	logger   *slog.Logger
	metrics  *metrics

	mail    chan message  // mailbox long; full: the sender waits
	stopped chan struct{} // closed when Run returns
	ready   atomic.Bool
	links   links
	resumes resumes
}

// message is something for the table to do.
type message func(ctx context.Context, t *table, now time.Time)

// Info is a game server as people see it.
type Info struct {
	ID        throng.ServerID
	State     throng.ServerState
	Phase     string // the same in more detail
	Since     time.Time
	Session   throng.SessionID // that it was handed; may be over
	Address   netip.AddrPort   // where its players connect
	Connected bool
}

// New makes an orchestrator that works once it is Run. Invalid: something that
// is required is missing, or the stock is larger than the fleet.
func New(c Config) (*Orchestrator, error) {
	if c.Region.ID == "" || c.Backend == nil || c.Registry == nil || c.Keys == nil {
		return nil, throng.Errorf(throng.Invalid, "a fleet needs a region, a backend, a registry and keys")
	}
	o := &Orchestrator{
		region:   c.Region,
		backend:  c.Backend,
		registry: c.Registry,
		keys:     c.Keys,
		peers:    c.Peers,
		stock:    Target{Floor: c.Stock, Most: max(c.StockMost, c.Stock)},
		most:     c.Max,
		atOnce:   c.AtOnce,
		shared:   c.Shared,
		buries:   c.Buries,
		patience: c.Patience,
		entropy:  c.Entropy,
		logger:   c.Logger,
		mail:     make(chan message, mailbox),
		stopped:  make(chan struct{}),
		links:    links{all: map[throng.ServerID]Link{}},
	}
	o.sites, _ = c.Backend.(Sites)
	if o.most == 0 {
		o.most = 64
	}
	if o.patience < 0 {
		return nil, throng.AtField(throng.Invalid, "Patience", "%s is no time to wait", o.patience)
	}
	if o.atOnce < 0 {
		return nil, throng.AtField(throng.Invalid, "AtOnce", "%d allocations under way are not possible", o.atOnce)
	}
	if c.Stock < 0 || c.StockMost < 0 || o.most < 0 || o.stock.Most > o.most {
		return nil, throng.Errorf(throng.Invalid, "a stock of %d in a fleet of %d is not possible", o.stock.Most, o.most)
	}
	if c.Forecasts == nil {
		c.Forecasts = func() Forecast { return &Recent{} }
	}
	o.forecast, o.demand.forecast = c.Forecasts(), c.Forecasts()
	if o.entropy == nil {
		o.entropy = rand.Reader
	}
	if o.logger == nil {
		o.logger = slog.New(slog.DiscardHandler)
	}
	var err error
	o.metrics, err = newMetrics(c.Metrics)
	return o, err
}

// Run looks after the fleet until ctx ends, and returns when all that it
// started is over. It ends no server then: sessions go on without it. It is
// called once.
func (o *Orchestrator) Run(ctx context.Context) error {
	defer close(o.stopped)
	ctx, cancel := context.WithCancel(ctx)
	var all sync.WaitGroup
	defer all.Wait()
	defer cancel()
	all.Go(func() { o.follow(ctx) })
	all.Go(func() { o.watch(ctx) })
	t := newTable(o, all.Go)
	tick := time.NewTicker(tickTime)
	defer tick.Stop()
	t.reconcile(ctx, time.Now())
	for {
		select {
		case <-ctx.Done():
			return nil
		case f := <-o.mail:
			f(ctx, t, time.Now())
			for range len(o.mail) {
				(<-o.mail)(ctx, t, time.Now())
			}
		case <-tick.C:
			t.tick(ctx, time.Now())
		}
		t.act(ctx, time.Now())
	}
}

// watch hears of ended processes, again and again if the backend loses sight.
func (o *Orchestrator) watch(ctx context.Context) {
	retry := retryFirst
	for ctx.Err() == nil {
		began := time.Now()
		err := o.backend.Watch(ctx, func(x throng.ServerExit) {
			o.send(ctx, func(t *table, now time.Time) { t.exited(ctx, x, now) })
		})
		if ctx.Err() != nil {
			return
		}
		if time.Since(began) > time.Minute {
			retry = retryFirst
		}
		o.logger.WarnContext(ctx, "game servers not watched", "err", err, "retry_after", retry)
		pause(ctx, retry)
		retry = min(2*retry, retryMost)
	}
}

// send gives the table something to do. It is dropped when ctx ends first.
func (o *Orchestrator) send(ctx context.Context, f func(t *table, now time.Time)) {
	select {
	case o.mail <- func(_ context.Context, t *table, now time.Time) { f(t, now) }:
	case <-ctx.Done():
	}
}

// ask has the table answer a caller who has no context of Run's. What it could
// not answer in time it does not do either.
func ask[T any](o *Orchestrator, f func(ctx context.Context, t *table, now time.Time) T) (T, error) {
	told := make(chan T, 1)
	var taken atomic.Bool // by the table, or back by the caller
	question := func(ctx context.Context, t *table, now time.Time) {
		if taken.CompareAndSwap(false, true) {
			told <- f(ctx, t, now)
		}
	}
	timer := time.NewTimer(askTime)
	defer timer.Stop()
	var none T
	select {
	case o.mail <- question:
	case <-o.stopped:
		return none, errStopped()
	case <-timer.C:
		return none, errBusy()
	}
	select {
	case answer := <-told:
		return answer, nil
	case <-o.stopped:
		return none, errStopped()
	case <-timer.C:
	}
	if taken.CompareAndSwap(false, true) {
		return none, errBusy()
	}
	return <-told, nil
}

func errBusy() error {
	return throng.RetryLater(throng.Unavailable, time.Second, "the fleet is too busy")
}

func errStopped() error {
	return throng.RetryLater(throng.Unavailable, time.Second, "the fleet is not looked after")
}

// Start gives a Starting session to the fleet and returns at once. The session
// will be bound, or ended with a reason within 20 s. Repeated for the same
// session it does nothing more. NoCapacity: all servers that there may be are
// in use.
func (o *Orchestrator) Start(s throng.Session, r throng.Release) error {
	refusal, err := ask(o, func(_ context.Context, t *table, now time.Time) error { return t.start(s, r, now) })
	if err != nil {
		return err
	}
	return refusal
}

// Servers lists the servers that are not gone, by ID; none when nobody runs
// the fleet.
func (o *Orchestrator) Servers() []Info {
	all, err := ask(o, func(_ context.Context, t *table, _ time.Time) []Info { return t.list() })
	if err != nil {
		return nil
	}
	return all
}

func (t *table) list() []Info {
	all := make([]Info, 0, len(t.servers))
	for id, s := range t.servers {
		if s.phase == phaseGone {
			continue
		}
		all = append(all, Info{
			ID:        id,
			State:     s.phase.state(),
			Phase:     s.phase.String(),
			Since:     s.since,
			Session:   s.session,
			Address:   s.hello.Address,
			Connected: s.link != nil,
		})
	}
	slices.SortFunc(all, func(a, b Info) int { return cmp.Compare(a.ID, b.ID) })
	return all
}

// Ready says whether the stock was connected once, or as much of it as Max left
// room for; or that it did not come within half a minute: sessions with room take
// players without it. A stock that is used up is no reason to send players away.
func (o *Orchestrator) Ready() bool { return o.ready.Load() }
