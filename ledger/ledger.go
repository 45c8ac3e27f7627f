package ledger

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/throng-gg/throng"
)

// Bounds of a ledger.
const (
	maxList     = 1000             // items or entries in one answer
	catalogTime = time.Second      // how old a catalog may be that is sold from
	maxCached   = 10_000           // catalogs in memory; full: all are forgotten
	clockRound  = time.Millisecond // of the times of transfers
)

// Config is what a Ledger is made of.
type Config struct {
	Store    Store
	Catalogs Catalogs
	Now      func() time.Time // stamps transfers; they are ordered by nothing else but this
	Logger   *slog.Logger
	Metrics  prometheus.Registerer // nil: not registered
}

// Ledger posts transfers and says who owns what.
type Ledger struct {
	cfg     Config
	metrics *metrics

	mu       sync.Mutex
	catalogs map[throng.GameID]cached // guarded by mu
}

// cached is a catalog and when it was read.
type cached struct {
	catalog Catalog
	at      time.Time
}

// New makes a ledger. It starts nothing.
func New(cfg Config) (*Ledger, error) {
	if cfg.Store == nil || cfg.Catalogs == nil || cfg.Now == nil || cfg.Logger == nil {
		return nil, throng.Errorf(throng.Invalid, "ledger: a needed part of its configuration is missing")
	}
	m, err := newMetrics(cfg.Metrics)
	if err != nil {
		return nil, err
	}
	return &Ledger{cfg: cfg, metrics: m, catalogs: map[throng.GameID]cached{}}, nil
}

// Order is a transfer with who posts it.
type Order = throng.TransferOrder

// Post posts a transfer: when it returned a receipt, it is durable. The same ID
// again gives the same receipt and moves nothing. Invalid, NotFound: it can never
// be. Conflict: its ID was used for something else, or what it gives back is gone.
// Full: a player has not enough, or would have too much. Denied: a player's fence is not its epoch.
// Unavailable: it is not known; the same call will tell.
func (l *Ledger) Post(ctx context.Context, o Order) (r throng.Receipt, err error) {
	begun := time.Now()
	defer func() {
		l.metrics.posted(o.Transfer.Kind, err)
		l.metrics.seconds.Observe(time.Since(begun).Seconds())
	}()
	if err := check(o); err != nil {
		return throng.Receipt{}, err
	}
	p := &posting{game: o.Game, transfer: o.Transfer, session: o.Session, now: l.cfg.Now().Truncate(clockRound).UTC()}
	if p.catalog, err = l.Catalog(ctx, o.Game); err != nil {
		return throng.Receipt{}, err
	}
	var refunded *Record
	if o.Transfer.Kind == throng.TransferRefund {
		record, err := l.cfg.Store.Record(ctx, o.Game, Key{o.Transfer.First.Player, o.Transfer.Refunds})
		switch {
		case err == nil:
			refunded = &record
		case throng.KindOf(err) != throng.NotFound:
			return throng.Receipt{}, err
		}
	}
	p.newTouch(refunded)
	err = l.cfg.Store.Change(ctx, p.touch, func(s State) (*Outcome, error) {
		out, err := p.decide(s)
		switch {
		case err != nil:
			return nil, err
		case out == nil: // it is there already
			r = s.Record.Receipt
			return nil, nil //nolint:nilnil // nothing is to be written
		}
		r = out.Record.Receipt
		return out, nil
	})
	if err != nil {
		return throng.Receipt{}, fmt.Errorf("transfer %s: %w", o.Transfer.ID, err)
	}
	return r, nil
}

// check says what can never be posted.
func check(o Order) error {
	if _, err := throng.ParseGameID("game", string(o.Game)); err != nil {
		return err
	}
	t := o.Transfer
	if o.Session == "" { // epochs do not count
		if t.Kind != throng.TransferReward && t.Kind != throng.TransferRefund {
			return throng.AtField(throng.Denied, "kind", "a %.20s comes from a session of the game", t.Kind)
		}
		t.First.Epoch = 1
	}
	for field, m := range map[string]throng.Member{"first": t.First, "second": t.Second} {
		if m.Player == "" {
			continue // Check says whether it is needed
		}
		if _, err := throng.ParsePlayerID(field, string(m.Player)); err != nil {
			return err
		}
	}
	if err := t.Check(); err != nil {
		return err
	}
	for _, a := range t.Gives {
		if slices.ContainsFunc(t.Takes, func(b throng.Amount) bool { return b.Item == a.Item }) {
			return throng.AtField(throng.Invalid, "takes", "%s goes both ways", a.Item)
		}
	}
	return nil
}

// Catalog returns a game's catalog, which may be a second old. One without any is
// empty.
func (l *Ledger) Catalog(ctx context.Context, g throng.GameID) (Catalog, error) {
	now := time.Now()
	l.mu.Lock()
	known, ok := l.catalogs[g]
	l.mu.Unlock()
	if ok && now.Sub(known.at) < catalogTime {
		return known.catalog, nil
	}
	c, err := l.cfg.Catalogs.Catalog(ctx, g)
	if err != nil && throng.KindOf(err) != throng.NotFound {
		return Catalog{}, fmt.Errorf("catalog of %s: %w", g, err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.catalogs) >= maxCached {
		clear(l.catalogs)
	}
	l.catalogs[g] = cached{c, now}
	return c, nil
}

// SetCatalog replaces a game's catalog by what a file says; ledgers elsewhere know
// it within a second. The same again changes nothing. Invalid: the file's error,
// or what players may own would be gone.
func (l *Ledger) SetCatalog(ctx context.Context, g throng.GameID, file []byte) (Catalog, error) {
	if _, err := throng.ParseGameID("game", string(g)); err != nil {
		return Catalog{}, err
	}
	next, err := ParseCatalog(file)
	if err != nil {
		return Catalog{}, err
	}
	for range 16 {
		old, err := l.cfg.Catalogs.Catalog(ctx, g)
		if err != nil && throng.KindOf(err) != throng.NotFound {
			return Catalog{}, fmt.Errorf("catalog of %s: %w", g, err)
		}
		next.Revision = old.Revision
		if old.Revision > 0 && next.equal(old) {
			return old, nil
		}
		if err := next.over(old); err != nil {
			return Catalog{}, err
		}
		err = l.cfg.Catalogs.SetCatalog(ctx, g, next)
		if err == nil {
			next.Revision++
			l.mu.Lock()
			delete(l.catalogs, g)
			l.mu.Unlock()
			return next, nil
		}
		if throng.KindOf(err) != throng.Conflict {
			return Catalog{}, fmt.Errorf("catalog of %s: %w", g, err)
		}
	}
	return Catalog{}, throng.RetryLater(throng.Contention, time.Second, "others changed the catalog of %s meanwhile", g)
}

// Fence sets a player's fence in his wallet, if it is lower. Denied: it is higher.
func (l *Ledger) Fence(ctx context.Context, g throng.GameID, p throng.PlayerID, e throng.Epoch) error {
	return l.cfg.Store.Fence(ctx, g, p, e)
}

// Inventory is what a player owns: balances by item, then his unique items. It
// is consistent with every transfer that was answered before the call.
func (l *Ledger) Inventory(ctx context.Context, g throng.GameID, p throng.PlayerID) (throng.Holding, error) {
	if err := checkOwner(g, p); err != nil {
		return throng.Holding{}, err
	}
	a, err := l.cfg.Store.Account(ctx, g, AccountID(p))
	if err != nil {
		return throng.Holding{}, fmt.Errorf("account of %s: %w", p, err)
	}
	h := throng.Holding{Player: p}
	for item, count := range a.Balances {
		if count != 0 {
			h.Amounts = append(h.Amounts, throng.Amount{Item: item, Count: count})
		}
	}
	h.Amounts = sorted(h.Amounts)
	if a.Uniques == 0 {
		return h, nil
	}
	items, err := l.cfg.Store.Uniques(ctx, g, p, "", maxList)
	if err != nil {
		return throng.Holding{}, fmt.Errorf("items of %s: %w", p, err)
	}
	for _, item := range items {
		h.Amounts = append(h.Amounts, throng.Amount{Item: item, Count: 1})
	}
	return h, nil
}

// Entries lists the newest transfers of a player, the newest first, at or before
// a moment; zero: now.
func (l *Ledger) Entries(ctx context.Context, g throng.GameID, p throng.PlayerID, before time.Time, limit int) ([]throng.LedgerEntry, error) {
	if err := checkOwner(g, p); err != nil {
		return nil, err
	}
	list, err := l.cfg.Store.Entries(ctx, g, AccountID(p), before, min(max(limit, 1), maxList))
	out := make([]throng.LedgerEntry, len(list))
	for i, e := range list {
		out[i] = throng.LedgerEntry{At: e.At, First: e.Key.Player, ID: e.Key.ID, Kind: e.Kind}
		for _, line := range e.Lines {
			out[i].Changes = append(out[i].Changes, throng.Amount{Item: line.Item, Count: line.Change})
		}
	}
	return out, err
}

// Record returns a transfer. NotFound: it was not posted.
func (l *Ledger) Record(ctx context.Context, g throng.GameID, k Key) (Record, error) {
	if err := checkOwner(g, k.Player); err != nil {
		return Record{}, err
	}
	if _, err := throng.ParseTransferID("id", string(k.ID)); err != nil {
		return Record{}, err
	}
	return l.cfg.Store.Record(ctx, g, k)
}

func checkOwner(g throng.GameID, p throng.PlayerID) error {
	if _, err := throng.ParseGameID("game", string(g)); err != nil {
		return err
	}
	_, err := throng.ParsePlayerID("player", string(p))
	return err
}

// equal says whether two catalogs say the same.
func (c Catalog) equal(o Catalog) bool {
	if len(c.Goods) != len(o.Goods) || len(c.Offers) != len(o.Offers) {
		return false
	}
	for id, g := range c.Goods {
		if o.Goods[id] != g {
			return false
		}
	}
	for id, offer := range c.Offers {
		other, ok := o.Offers[id]
		if !ok || !sameAmounts(offer.Price, other.Price) || !sameAmounts(offer.Gives, other.Gives) {
			return false
		}
	}
	return true
}
