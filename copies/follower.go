package copies

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/ledger"
	"github.com/throng-gg/throng/profile"
)

// atOnce is how many players' events of a partition are applied at the same time.
const atOnce = 16

// follower applies what one region wrote.
type follower struct {
	copies *Copies
	region throng.RegionID

	mu    sync.Mutex
	parts map[int32]*part // guarded by mu; each is used by one caller at a time
}

var _ Handler = (*follower)(nil)

// kinds and outcomes, as metrics have them.
const (
	kindProfile = "profile"
	kindPosting = "posting"
	kindOther   = "other"

	applied  = "applied"
	waits    = "waiting"
	ignored  = "ignored"
	late     = "late"
	lost     = "lost"
	conflict = "conflict"
	strange  = "strange"
)

// result is what became of one event.
type result struct {
	kind, outcome string
	copied        *copied // a posting
	why           error   // of conflict, strange and lost ones
}

// copied is a posting as it came.
type copied struct {
	key     string
	data    []byte
	term    uint64
	posting ledger.Posting
}

// Handle applies a batch; see Handler.
func (f *follower) Handle(ctx context.Context, _ throng.Stream, partition int32, batch []throng.EventRecord) error {
	p, err := f.part(ctx, partition)
	if err != nil {
		return err
	}
	results, err := f.applyAll(ctx, batch)
	if err == nil {
		err = p.settle(ctx, results)
	}
	if err != nil {
		f.forget(partition, p)
		return fmt.Errorf("copies of region %s, partition %d: %w", f.region, partition, err)
	}
	return f.retry(ctx, partition, p)
}

// Idle tries what waits; see Handler.
func (f *follower) Idle(ctx context.Context, _ throng.Stream, partition int32) error {
	p, err := f.part(ctx, partition)
	if err != nil {
		return err
	}
	return f.retry(ctx, partition, p)
}

func (f *follower) retry(ctx context.Context, partition int32, p *part) error {
	if err := p.retry(ctx); err != nil {
		f.forget(partition, p)
		return fmt.Errorf("copies of region %s, partition %d: %w", f.region, partition, err)
	}
	return nil
}

// Lost forgets a partition; see Handler.
func (f *follower) Lost(_ throng.Stream, partition int32) { f.forget(partition, nil) }

// Strange counts what is no event; see Handler.
func (f *follower) Strange(_ throng.Stream, _ int32, n int) {
	f.copies.metrics.applied.WithLabelValues(kindOther, strange).Add(float64(n))
}

// part is a partition as it is stored.
func (f *follower) part(ctx context.Context, partition int32) (*part, error) {
	f.mu.Lock()
	p := f.parts[partition]
	f.mu.Unlock()
	if p != nil {
		return p, nil
	}
	p = newPart(f, partition)
	if err := p.load(ctx); err != nil {
		return nil, fmt.Errorf("copies of region %s, partition %d: %w", f.region, partition, err)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.parts[partition] = p
	return p, nil
}

// forget has a partition loaded anew, if it is p; nil: in any case.
func (f *follower) forget(partition int32, p *part) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if p == nil || f.parts[partition] == p {
		delete(f.parts, partition)
	}
}

// waiting counts the postings that wait.
func (f *follower) waiting() (n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, p := range f.parts {
		n += int(p.count.Load())
	}
	return n
}

// applyAll applies a batch, the events of a player of a game in their order. After an
// error some are applied, which does no harm when they come again.
func (f *follower) applyAll(ctx context.Context, batch []throng.EventRecord) ([]result, error) {
	var order []string
	players := map[string][]int{}
	for i, e := range batch {
		key := e.Key
		if parts := strings.SplitN(key, "/", 3); len(parts) == 3 {
			key = parts[0] + "/" + parts[1]
		}
		if players[key] == nil {
			order = append(order, key)
		}
		players[key] = append(players[key], i)
	}
	results, errs := make([]result, len(batch)), make([]error, len(order))
	var group sync.WaitGroup
	room := make(chan struct{}, atOnce)
	for n, key := range order {
		room <- struct{}{}
		group.Go(func() {
			defer func() { <-room }()
			for _, i := range players[key] {
				if results[i], errs[n] = f.apply(ctx, batch[i].Event); errs[n] != nil {
					return
				}
			}
		})
	}
	group.Wait()
	return results, errors.Join(errs...)
}

// apply applies one event, whatever it is. An error: it is to come again.
func (f *follower) apply(ctx context.Context, e throng.Event) (result, error) {
	bad := func(kind string, err error) (result, error) {
		return result{kind: kind, outcome: strange, why: err}, nil
	}
	if e.Region != f.region {
		return bad(kindOther, throng.AtField(throng.Invalid, "region", "%.40q speaks in the log of %s", e.Region, f.region))
	}
	if e.Type == throng.EventLedgerCopied {
		term, p, err := ledger.ParseCopy(e)
		if err != nil {
			return bad(kindPosting, err)
		}
		return f.applyPosting(ctx, &copied{e.Key, e.Data, term, p})
	}
	c, err := profile.ParseCopy(e)
	if err != nil {
		return bad(kindProfile, err)
	}
	return f.applyProfile(ctx, c)
}

// applyProfile copies a profile, and fences the wallet as its checkout did: its session
// goes on trading if this region becomes the home.
func (f *follower) applyProfile(ctx context.Context, c profile.Copy) (result, error) {
	r := result{kind: kindProfile, outcome: applied}
	switch f.copies.cfg.Judge.Accept(f.region, c.Term) {
	case Ignore:
		r.outcome = ignored
		return r, nil
	case Late:
		r.outcome = late
		return r, nil
	case Apply:
	}
	if c.Head.Holder != "" { // else it was restored, which fences the profile only
		if err := f.copies.cfg.Ledger.Fence(ctx, c.Key.Game, c.Key.Player, c.Head.Fence); err != nil && throng.KindOf(err) != throng.Denied {
			return r, err
		}
	}
	err := f.copies.cfg.Profiles.Copy(ctx, c.Key, c.Head, c.Save)
	if err != nil && throng.KindOf(err) == throng.Invalid {
		r.outcome, r.why = strange, err
		return r, nil
	}
	return r, err
}

// applyPosting copies a transfer.
func (f *follower) applyPosting(ctx context.Context, c *copied) (result, error) {
	r := result{kind: kindPosting, outcome: applied, copied: c}
	switch f.copies.cfg.Judge.Accept(f.region, c.term) {
	case Ignore:
		r.outcome = ignored
		return r, nil
	case Late:
		return f.late(ctx, r)
	case Apply:
	}
	err := f.copies.cfg.Ledger.Copy(ctx, c.posting)
	if err == nil {
		return r, nil
	}
	switch throng.KindOf(err) { //nolint:exhaustive // all others are tried again
	case throng.Contention:
		r.outcome = waits
	case throng.Conflict:
		r.outcome, r.why = conflict, err
	case throng.Invalid:
		r.outcome, r.why = strange, err
	default:
		return r, err
	}
	return r, nil
}

// late looks whether a transfer of a region that is the home no more has come in time.
func (f *follower) late(ctx context.Context, r result) (result, error) {
	t := r.copied.posting.Record.Transfer
	here, err := f.copies.cfg.Ledger.Record(ctx, r.copied.posting.Game, ledger.Key{Player: t.First.Player, ID: t.ID})
	r.outcome = late
	switch {
	case err == nil:
		if r.why = ledger.Same(here, r.copied.posting.Record); r.why != nil {
			r.outcome = lost
		}
	case throng.KindOf(err) == throng.NotFound:
		r.outcome, r.why = lost, err
	default:
		return r, err
	}
	return r, nil
}
