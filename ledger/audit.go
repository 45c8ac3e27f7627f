package ledger

import (
	"context"
	"fmt"
	"hash/maphash"
	"maps"
	"slices"
	"time"

	"github.com/throng-gg/throng"
)

const (
	maxProblems = 100 // named in a report; more are counted
	ownerTries  = 20  // to read an owner who is in no transfer meanwhile
)

// Report is what an audit found.
type Report = throng.AuditReport

// AuditConfig is what an audit needs.
type AuditConfig struct {
	Books Books
	Now   func() time.Time
	// Settled is how long a transfer takes at most from its stamp until it is
	// written: what is younger when the audit begins is not summed, unless the
	// books are still. Zero: all is summed, which is right only while nobody posts.
	Settled time.Duration
}

// Audit proves that the books are right, while transfers go on:
//
//   - an account's balances and items are what its entries sum to, and it has as
//     many entries as it counted;
//   - the lines of each transfer sum to zero, and are the entries of its accounts;
//   - so the balances of each item sum to zero over all accounts, and each unique
//     item has one owner.
//
// The first is shown for each owner at a moment of his own; the others for all
// transfers up to one moment. Memory grows with the unique items.
func Audit(ctx context.Context, cfg AuditConfig) (Report, error) {
	a := &audit{
		sums: map[sumKey]int64{}, owners: map[sumKey]AccountID{}, seed: maphash.MakeSeed(),
		report: Report{Problems: []string{}},
	}
	if !cfg.Books.Still() && cfg.Settled > 0 {
		a.report.Before = cfg.Now().Add(-cfg.Settled)
	}
	var owner *ownerBooks
	var unsettled []ownerKey
	over := func() {
		if owner == nil {
			return
		}
		if !cfg.Books.Still() && owner.fault() != "" {
			unsettled = append(unsettled, owner.key)
			return
		}
		a.take(owner)
	}
	err := cfg.Books.Walk(ctx, func(r Row) error {
		if key := (ownerKey{r.Game, r.Owner}); owner == nil || owner.key != key {
			over()
			owner = newOwnerBooks(key)
		}
		owner.see(r)
		return nil
	})
	if err != nil {
		return Report{}, fmt.Errorf("audit: %w", err)
	}
	over()
	for _, key := range unsettled {
		if err := a.again(ctx, cfg.Books, key); err != nil {
			return Report{}, fmt.Errorf("audit: %w", err)
		}
	}
	a.finish()
	return a.report, nil
}

type (
	ownerKey struct {
		game  throng.GameID
		owner AccountID
	}
	sumKey struct {
		game throng.GameID
		item throng.ItemID
	}
)

// audit sums over all owners.
type audit struct {
	report Report
	sums   map[sumKey]int64     // of entries; zeros are left out
	owners map[sumKey]AccountID // of unique items
	// Each record counts each of its accounts up, each entry its own down: zero
	// when they are the same.
	pairs uint64
	seed  maphash.Seed
}

// ownerBooks is what was seen of one owner.
type ownerBooks struct {
	key     ownerKey
	account Account
	entries []Entry
	uniques map[throng.ItemID]bool
	records []Record
}

func newOwnerBooks(key ownerKey) *ownerBooks {
	return &ownerBooks{key: key, uniques: map[throng.ItemID]bool{}}
}

func (o *ownerBooks) see(r Row) {
	switch {
	case r.Account != nil:
		o.account = *r.Account
	case r.Entry != nil:
		o.entries = append(o.entries, *r.Entry)
	case r.Record != nil:
		o.records = append(o.records, *r.Record)
	default:
		o.uniques[r.Unique] = true
	}
}

// fault says what is wrong with the account; empty: nothing.
func (o *ownerBooks) fault() string {
	sums := map[throng.ItemID]int64{}
	for _, e := range o.entries {
		for _, l := range e.Lines {
			sums[l.Item] += l.Change
		}
	}
	if o.account.Entries != uint64(len(o.entries)) {
		return fmt.Sprintf("counted %d transfers and has %d entries", o.account.Entries, len(o.entries))
	}
	uniques := 0
	for item, sum := range sums {
		switch {
		case !IsUnique(item) || o.key.owner.IsHouse():
			if o.account.Balances[item] != sum {
				return fmt.Sprintf("has %d %s, its entries sum to %d", o.account.Balances[item], item, sum)
			}
		case sum < 0 || sum > 1 || (sum == 1) != o.uniques[item]:
			return fmt.Sprintf("has %s: %t, its entries sum to %d", item, o.uniques[item], sum)
		default:
			uniques += int(sum)
		}
	}
	return o.rest(sums, uniques)
}

// rest looks for what no entry has, and at signs.
func (o *ownerBooks) rest(sums map[throng.ItemID]int64, uniques int) string {
	if uniques != len(o.uniques) || !o.key.owner.IsHouse() && o.account.Uniques != uniques {
		return fmt.Sprintf("has %d unique items and counted %d, its entries sum to %d", len(o.uniques), o.account.Uniques, uniques)
	}
	for item, count := range o.account.Balances {
		switch {
		case count != sums[item]:
			return fmt.Sprintf("has %d %s, its entries sum to %d", count, item, sums[item])
		case count < 0 && !o.key.owner.IsHouse():
			return fmt.Sprintf("has %d %s", count, item)
		}
	}
	return ""
}

// take adds one owner to the sums.
func (a *audit) take(o *ownerBooks) {
	a.report.Accounts++
	if fault := o.fault(); fault != "" {
		a.problem("%s/%s %s", o.key.game, o.key.owner, fault)
	}
	for item := range o.uniques {
		a.report.Items++
		key := sumKey{o.key.game, item}
		if other, twice := a.owners[key]; twice && a.report.Before.IsZero() {
			a.problem("%s/%s belongs to %s and to %s", o.key.game, item, other, o.key.owner)
		}
		a.owners[key] = o.key.owner
	}
	for _, e := range o.entries {
		if !a.summed(e.At) {
			continue
		}
		a.pairs -= a.hash(o.key.game, o.key.owner, e.Key, e.Lines)
		for _, l := range e.Lines {
			key := sumKey{o.key.game, l.Item}
			if a.sums[key] += l.Change; a.sums[key] == 0 {
				delete(a.sums, key)
			}
		}
	}
	for _, r := range o.records {
		a.takeRecord(o.key.game, r)
	}
}

func (a *audit) takeRecord(game throng.GameID, r Record) {
	a.report.Transfers++
	key := Key{r.Transfer.First.Player, r.Transfer.ID}
	sums := map[throng.ItemID]int64{}
	accounts := map[AccountID]bool{HouseOf(key): true, AccountID(r.Transfer.First.Player): true}
	if r.Transfer.Second.Player != "" {
		accounts[AccountID(r.Transfer.Second.Player)] = true
	}
	for _, l := range r.Lines {
		sums[l.Item] += l.Change
		if !accounts[l.Account] {
			a.problem("%s: transfer %s of %s moves %s, which is none of its accounts", game, key.ID, key.Player, l.Account)
		}
	}
	for item, sum := range sums {
		if sum != 0 {
			a.problem("%s: transfer %s of %s moves %d %s out of nothing", game, key.ID, key.Player, sum, item)
		}
	}
	if !a.summed(r.At) {
		return
	}
	for account := range accounts {
		if own := LinesOf(account, r.Lines); len(own) > 0 || !account.IsHouse() {
			a.pairs += a.hash(game, account, key, own)
		}
	}
}

func (a *audit) summed(at time.Time) bool {
	return a.report.Before.IsZero() || at.Before(a.report.Before)
}

// hash is a number of an account's part in a transfer.
func (a *audit) hash(game throng.GameID, account AccountID, k Key, lines []Line) uint64 {
	var h maphash.Hash
	h.SetSeed(a.seed)
	fmt.Fprintf(&h, "%s %s %s %s", game, account, k.Player, k.ID)
	for _, l := range lines {
		fmt.Fprintf(&h, " %s %d", l.Item, l.Change)
	}
	return h.Sum64()
}

func (a *audit) problem(format string, args ...any) {
	if len(a.report.Problems) < maxProblems {
		a.report.Problems = append(a.report.Problems, fmt.Sprintf(format, args...))
	}
}

// again reads an owner whose books did not fit, because he was in a transfer
// meanwhile or because they are wrong.
func (a *audit) again(ctx context.Context, books Books, key ownerKey) error {
	var before uint64
	for try := range ownerTries {
		o := newOwnerBooks(key)
		err := books.WalkOwner(ctx, key.game, key.owner, func(r Row) error {
			o.see(r)
			return nil
		})
		if err != nil {
			return err
		}
		// The same fault twice without a change between: it stays.
		if o.fault() == "" || try > 0 && o.account.Revision == before || try == ownerTries-1 {
			a.take(o)
			return nil
		}
		before = o.account.Revision
	}
	return nil
}

// finish sums up.
func (a *audit) finish() {
	for _, key := range slices.SortedFunc(maps.Keys(a.sums), func(x, y sumKey) int {
		return slices.Compare([]string{string(x.game), string(x.item)}, []string{string(y.game), string(y.item)})
	}) {
		sum := a.sums[key]
		if a.report.Sum += sum; sum < 0 {
			a.report.Sum -= 2 * sum
		}
		a.problem("%s: %s sums to %d", key.game, key.item, sum)
	}
	if a.pairs != 0 {
		a.problem("records and entries are not the same transfers")
	}
}
