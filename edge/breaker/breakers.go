package breaker

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/throng-gg/throng"
)

// Key is who calls which region for what.
type Key struct {
	Caller    string
	Region    throng.RegionID
	Operation string
}

// Config is what Breakers need. Zero values mean the defaults.
type Config struct {
	Rules   Rules
	Keys    int                   // most that are told apart; calls of others are refused; 1,024
	Metrics prometheus.Registerer // nil: not registered
}

// Breakers keeps what is known of all keys. It is safe for use by several
// goroutines at once.
type Breakers struct {
	rules   Rules
	most    int
	metrics *metrics

	mu      sync.Mutex
	lines   map[Key]*line     // guarded by mu
	budgets map[purse]*Budget // guarded by mu
	shown   map[Key]State     // guarded by mu
}

// purse is whose budget it is: a call that is made again at another region is a
// repeated one too.
type purse struct{ caller, operation string }

// line is what is known of one key.
type line struct {
	circuit *Circuit
	limit   *Limit
	times   [64]time.Duration // the last calls that were answered
	next    int               // of times
	known   int               // of times
}

// New makes Breakers. Invalid: the rules make no sense.
func New(c Config) (*Breakers, error) {
	c.Rules = c.Rules.withDefaults()
	if err := c.Rules.check(); err != nil {
		return nil, err
	}
	if c.Keys <= 0 {
		c.Keys = 1024
	}
	m, err := newMetrics(c.Metrics)
	return &Breakers{
		rules: c.Rules, most: c.Keys, metrics: m,
		lines: map[Key]*line{}, budgets: map[purse]*Budget{}, shown: map[Key]State{},
	}, err
}

// State says how calls of a key are treated now.
func (b *Breakers) State(k Key) State {
	b.mu.Lock()
	defer b.mu.Unlock()
	if l := b.lines[k]; l != nil {
		return l.circuit.State(time.Now())
	}
	return Closed
}

// Again says whether a call may be made again, here or at another region.
func (b *Breakers) Again(caller, operation string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	ok := b.budget(purse{caller, operation}).Spend(time.Now())
	result := "refused"
	if ok {
		result = "made"
	}
	b.metrics.repeats.WithLabelValues(caller, operation, result).Inc()
	return ok
}

// Do makes one call, in which the other side may wait for so long before it
// answers. Unavailable: it was not made, because the region fails or too many are
// under way. Else the call's own error.
func (b *Breakers) Do(ctx context.Context, k Key, wait time.Duration, call func(context.Context) error) error {
	b.mu.Lock()
	b.budget(purse{k.Caller, k.Operation}).Earn()
	b.mu.Unlock()
	return b.do(ctx, k, wait, call)
}

// do makes a call for the first time, or again.
func (b *Breakers) do(ctx context.Context, k Key, wait time.Duration, call func(context.Context) error) error {
	u, err := b.begin(k, wait, time.Now())
	if err != nil {
		return err
	}
	outcome := Void // when it panics
	defer func() { b.end(k, u, outcome, time.Now()) }()
	err = call(ctx)
	outcome = outcomeOf(ctx, err)
	return err
}

// underWay is a call that was begun.
type underWay struct {
	pass Pass
	slot Slot
}

func (b *Breakers) begin(k Key, wait time.Duration, now time.Time) (underWay, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	l := b.lines[k]
	if l == nil {
		if len(b.lines) >= b.most {
			return underWay{}, throng.Errorf(throng.Unavailable, "%d kinds of calls are told apart already", b.most)
		}
		l = &line{limit: NewLimit()}
		l.circuit, _ = NewCircuit(b.rules) // they were checked
		b.lines[k] = l
	}
	slot, ok := l.limit.Take()
	if !ok {
		b.metrics.count(k, "busy")
		return underWay{}, throng.RetryLater(throng.Unavailable, limitEvery, "%d calls of region %s are under way already", l.limit.Most(), k.Region)
	}
	pass, ok := l.circuit.Allow(now, wait)
	if b.show(k, l.circuit, now); !ok {
		l.limit.Back(slot, Void, 0, now)
		b.metrics.count(k, "open")
		return underWay{}, throng.RetryLater(throng.Unavailable, b.rules.Pause, "region %s fails, it is not called for now", k.Region)
	}
	return underWay{pass, slot}, nil
}

func (b *Breakers) end(k Key, u underWay, o Outcome, now time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	l, took := b.lines[k], now.Sub(u.pass.at)
	l.circuit.Done(u.pass, o, now)
	b.show(k, l.circuit, now)
	if took > u.pass.wait+b.rules.Slow {
		o = Bad
	}
	if u.pass.wait > 0 {
		took = 0 // it says when there was something to answer
	}
	l.limit.Back(u.slot, o, took, now)
	if o == Good && took > 0 {
		l.times[l.next] = took
		l.next = (l.next + 1) % len(l.times)
		l.known = min(l.known+1, len(l.times))
	}
	b.metrics.count(k, outcomes[o])
	b.metrics.limit.WithLabelValues(k.labels()...).Set(float64(l.limit.Most()))
}

// show tells operators of a state that is another.
func (b *Breakers) show(k Key, c *Circuit, now time.Time) {
	s := c.State(now)
	if before, known := b.shown[k]; known && before == s {
		return
	} else if known {
		b.metrics.transitions.WithLabelValues(append(k.labels(), s.String())...).Inc()
	}
	b.shown[k] = s
	b.metrics.state.WithLabelValues(k.labels()...).Set(float64(s))
}

func (b *Breakers) budget(p purse) *Budget {
	if b.budgets[p] == nil {
		b.budgets[p] = NewBudget(time.Now())
	}
	return b.budgets[p]
}

// outcomeOf says what a call's error says of the other side: a refusal is an
// answer. Not to be reached, or broken, is none.
func outcomeOf(ctx context.Context, err error) Outcome {
	switch {
	case err == nil:
		return Good
	case errors.Is(ctx.Err(), context.Canceled):
		return Void
	case throng.KindOf(err) == throng.Internal, throng.KindOf(err) == throng.Unavailable:
		return Bad
	}
	return Good
}

// Bounds of when a read is made a second time.
const (
	hedgeLeast = 10 * time.Millisecond
	hedgeKnown = 8 // calls that must be known
)

// hedgeAfter is a quarter past when nineteen of twenty calls of late were answered;
// half of what is slow as long as too few are known.
func (b *Breakers) hedgeAfter(k Key) time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	l := b.lines[k]
	if l == nil || l.known < hedgeKnown {
		return b.rules.Slow / 2
	}
	sorted := slices.Sorted(slices.Values(l.times[:l.known]))
	return min(max(sorted[l.known*19/20]*5/4, hedgeLeast), b.rules.Slow/2)
}

// Read makes a call that changes nothing, and makes it a second time, as far as
// the budget goes, when it fails or takes longer than it mostly does. The first
// good answer counts, and ends the other call.
func Read[T any](ctx context.Context, b *Breakers, k Key, call func(context.Context) (T, error)) (T, error) {
	type answer struct {
		value T
		err   error
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	answers := make(chan answer, 2) // as many as there are calls: none waits
	begin := func(do func(context.Context, Key, time.Duration, func(context.Context) error) error) {
		go func() {
			var a answer
			a.err = do(ctx, k, 0, func(ctx context.Context) (err error) {
				a.value, err = call(ctx)
				return err
			})
			answers <- a
		}()
	}
	begin(b.Do)
	under, repeated := 1, false
	again := func() {
		if repeated = true; b.Again(k.Caller, k.Operation) {
			begin(b.do)
			under++
		}
	}
	hedge := time.NewTimer(b.hedgeAfter(k))
	defer hedge.Stop()
	for {
		select {
		case a := <-answers:
			under--
			if a.err != nil && !repeated && outcomeOf(ctx, a.err) == Bad && b.State(k) == Closed {
				again()
			}
			if a.err == nil || under == 0 {
				return a.value, a.err
			}
		case <-hedge.C:
			if !repeated {
				again()
			}
		case <-ctx.Done():
			var none T
			return none, throng.Errorf(throng.Unavailable, "wait for region %s: %w", k.Region, ctx.Err())
		}
	}
}
