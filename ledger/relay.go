package ledger

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/throng-gg/throng"
)

const (
	relayBatch = 500 // transfers of one step
	relayPause = 100 * time.Millisecond
	relayMost  = 5 * time.Second // between two tries while something is away
	relayTime  = 10 * time.Second
)

// RelayConfig is what a Relay is made of.
type RelayConfig struct {
	Outbox Outbox
	Log    Log
	Region throng.RegionID
	// Term is that under which this region is the home, or was last: what other regions
	// copy is published with it. Nil or 0: they copy nothing.
	Term    func() uint64
	Logger  *slog.Logger
	Metrics prometheus.Registerer // nil: not registered
}

// Relay announces what the ledger committed: all of it, and nothing else. What was
// announced when it stopped may be announced again.
type Relay struct {
	cfg       RelayConfig
	announced prometheus.Counter
	failures  prometheus.Counter
}

// NewRelay makes one. It starts nothing.
func NewRelay(cfg RelayConfig) (*Relay, error) {
	if cfg.Outbox == nil || cfg.Log == nil || cfg.Logger == nil {
		return nil, throng.Errorf(throng.Invalid, "ledger: a needed part of its relay's configuration is missing")
	}
	r := &Relay{
		cfg:       cfg,
		announced: prometheus.NewCounter(prometheus.CounterOpts{Name: "throng_ledger_announced_total", Help: "Transfers that were published as events."}),
		failures:  prometheus.NewCounter(prometheus.CounterOpts{Name: "throng_ledger_announce_failures_total", Help: "Times that transfers could not be published, and will be later."}),
	}
	if cfg.Metrics != nil {
		for _, c := range []prometheus.Collector{r.announced, r.failures} {
			if err := cfg.Metrics.Register(c); err != nil {
				return nil, fmt.Errorf("register metrics: %w", err)
			}
		}
	}
	return r, nil
}

// Run announces until ctx ends. What is away is waited for.
func (r *Relay) Run(ctx context.Context) error {
	pause := relayPause
	for {
		n, err := r.Step(ctx)
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			if pause == relayPause {
				r.cfg.Logger.WarnContext(ctx, "transfers are not announced, they wait", "err", err)
			}
			r.failures.Inc()
			pause = min(2*pause, relayMost)
		case n > 0:
			pause = relayPause
			continue
		default:
			pause = relayPause
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(pause):
		}
	}
}

// Step announces what is to be announced next, and says how many transfers.
func (r *Relay) Step(ctx context.Context) (n int, err error) {
	ctx, cancel := context.WithTimeout(ctx, relayTime)
	defer cancel()
	err = r.cfg.Outbox.Drain(ctx, relayBatch, func(list []Posting) error {
		events, err := r.events(list)
		if err != nil {
			return err
		}
		if err := r.cfg.Log.Publish(ctx, events); err != nil {
			return err
		}
		n += len(list)
		r.announced.Add(float64(len(list)))
		return nil
	})
	if err != nil {
		return n, fmt.Errorf("announce transfers: %w", err)
	}
	return n, nil
}

// events are what transfers are announced by.
func (r *Relay) events(list []Posting) ([]throng.Event, error) {
	var out []throng.Event
	term := uint64(0)
	if r.cfg.Term != nil {
		term = r.cfg.Term()
	}
	for _, p := range list {
		e, err := EventOf(r.cfg.Region, p)
		if err != nil {
			return nil, err
		}
		if out = append(out, e); term == 0 {
			continue
		}
		if e, err = CopyOf(r.cfg.Region, term, p); err != nil {
			return nil, err
		}
		out = append(out, e)
	}
	return out, nil
}

// EventOf is a transfer as it is announced.
func EventOf(region throng.RegionID, p Posting) (throng.Event, error) {
	t := p.Record.Transfer
	data := throng.LedgerPosted{
		Game: p.Game, ID: t.ID, Kind: t.Kind, First: t.First.Player, Second: t.Second.Player, Offer: t.Offer, Count: t.Count, Refunds: t.Refunds,
		Lines: []throng.EventLine{},
	}
	for _, l := range p.Record.Lines {
		data.Lines = append(data.Lines, throng.EventLine{Account: string(l.Account), Item: l.Item, Change: l.Change})
	}
	return throng.MakeEvent(throng.Event{
		ID: eventID("led_", p), Type: throng.EventLedgerPosted, Stream: throng.StreamEconomy, Key: string(t.First.Player),
		Region: region, Place: throng.PlaceID(p.Game), Session: p.Record.Session, Player: t.First.Player, Time: p.Record.At,
	}, data)
}

// eventID is made of game, player and transfer.
func eventID(prefix string, p Posting) throng.EventID {
	t := p.Record.Transfer
	name := sha256.Sum256([]byte(string(p.Game) + "\x00" + string(t.First.Player) + "\x00" + string(t.ID)))
	return throng.EventID(prefix + hex.EncodeToString(name[:16]))
}
