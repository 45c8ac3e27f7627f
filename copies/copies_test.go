package copies_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/bolt"
	"github.com/throng-gg/throng/consumer"
	"github.com/throng-gg/throng/copies"
	"github.com/throng-gg/throng/ledger"
	"github.com/throng-gg/throng/memory"
	"github.com/throng-gg/throng/profile"
)

const (
	game                     = throng.GameID("bazaar")
	holder  throng.SessionID = "ses_local_00aaaaaaaaaaaaaaaa"
	catalog                  = "currencies: {gold: {}}\nitems: {sword: {unique: true}}\noffers: {sword: {price: {gold: 10}, gives: {sword: 1}}}\n"
)

// lines is a region's log of which a test hands over what it likes.
type lines struct {
	handler chan copies.Handler
	heard   chan func(time.Time, int)
}

func newLines() *lines {
	return &lines{make(chan copies.Handler, 1), make(chan func(time.Time, int), 1)}
}

// Follow gives the handler to the test.
func (l *lines) Follow(ctx context.Context, _ string, _ throng.Stream, h copies.Handler) error {
	l.handler <- h
	<-ctx.Done()
	return nil
}

// Reached does so with heard.
func (l *lines) Reached(ctx context.Context, _ string, _ throng.Stream, heard func(time.Time, int)) error {
	l.heard <- heard
	<-ctx.Done()
	return nil
}

// judge knows the home.
type judge struct {
	mu   sync.Mutex
	home throng.Home
}

// Accept has the home's applied, what is of an older term is late.
func (j *judge) Accept(region throng.RegionID, term uint64) copies.Verdict {
	j.mu.Lock()
	defer j.mu.Unlock()
	switch {
	case term < j.home.Term:
		return copies.Late
	case region == j.home.Region:
		return copies.Apply
	}
	return copies.Ignore
}

func (j *judge) set(h throng.Home) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.home = h
}

// books is a region's stores.
type books struct {
	*ledger.Ledger
	file     *bolt.Store
	profiles bolt.Profiles
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func newBooks(t *testing.T) *books {
	t.Helper()
	file, err := bolt.Open(bolt.Config{Path: filepath.Join(t.TempDir(), "throng.db")})
	must(t, err)
	t.Cleanup(func() { _ = file.Close() })
	l, err := ledger.New(ledger.Config{Store: file.Ledger(), Catalogs: file.Ledger(), Now: time.Now, Logger: slog.New(slog.DiscardHandler)})
	must(t, err)
	_, err = l.SetCatalog(t.Context(), game, []byte(catalog))
	must(t, err)
	return &books{l, file, file.Profiles()}
}

// all are the rows of its ledger in words, but for fences and revisions.
func (b *books) all(t *testing.T) map[string]string {
	t.Helper()
	rows := map[string]string{}
	must(t, b.file.Ledger().Walk(t.Context(), func(row ledger.Row) error {
		switch {
		case row.Account != nil:
			a := *row.Account
			a.Fence, a.Revision, a.Balances = 0, 0, maps.Clone(a.Balances)
			maps.DeleteFunc(a.Balances, func(_ throng.ItemID, n int64) bool { return n == 0 })
			if a.Entries > 0 {
				rows[string(row.Owner)] = fmt.Sprintf("%+v", a)
			}
		case row.Record != nil:
			rows[fmt.Sprintf("%s record %s", row.Owner, row.Record.Transfer.ID)] = fmt.Sprintf("%+v", *row.Record)
		case row.Entry == nil:
			rows[fmt.Sprintf("%s item %s", row.Owner, row.Unique)] = ""
		}
		return nil
	}))
	return rows
}

func (b *books) audit(t *testing.T) {
	t.Helper()
	report, err := ledger.Audit(t.Context(), ledger.AuditConfig{Books: b.file.Ledger(), Now: time.Now})
	if err != nil || len(report.Problems) > 0 {
		t.Errorf("the auditor says %+v, %v", report, err)
	}
}

func member(p throng.PlayerID) throng.Member { return throng.Member{Player: p, Epoch: 512} }

// play has a few players trade swords, and returns what other regions are told: what
// profiles and transfers came to, in some order of the home.
func (b *books) play(t *testing.T, rng *rand.Rand, term uint64, n int) (events []throng.Event) {
	t.Helper()
	players := []throng.PlayerID{"ada", "bo", "cyd", "dee"}
	for _, p := range players {
		must(t, b.Fence(t.Context(), game, p, 512))
		k := profile.Key{Game: game, Player: p}
		h, err := b.profiles.Checkout(t.Context(), k, 512, holder)
		must(t, err)
		events = append(events, b.profile(t, term, k))
		s := profile.Save{Revision: h.Revision + 1, Fence: 512, Holder: holder, SavedAt: time.UnixMilli(1_750_000_000_000).UTC(), Size: 2, Data: []byte(p)}
		must(t, b.profiles.Save(t.Context(), k, s, false))
		events = append(events, b.profile(t, term, k))
	}
	for i := range n {
		at := rng.IntN(len(players))
		first, second := players[at], players[(at+1+rng.IntN(len(players)-1))%len(players)]
		tr := throng.Transfer{ID: throng.TransferID(fmt.Sprint("t", i)), Kind: throng.TransferReward, First: member(first), Gives: []throng.Amount{{Item: "gold", Count: 50}, {Item: "sword", Count: 1}}}
		if i >= len(players) {
			owner := first
			if rng.IntN(2) == 0 {
				owner = second
			}
			items, err := b.file.Ledger().Uniques(t.Context(), game, owner, "", 1)
			must(t, err)
			if len(items) == 0 {
				continue
			}
			tr.Kind, tr.First, tr.Second = throng.TransferTrade, member(first), member(second)
			tr.Gives, tr.Takes = []throng.Amount{{Item: items[0], Count: 1}}, nil
			if owner != first {
				tr.Gives, tr.Takes = nil, tr.Gives
			}
		}
		events = append(events, b.post(t, term, tr))
	}
	return events
}

func (b *books) profile(t *testing.T, term uint64, k profile.Key) throng.Event {
	t.Helper()
	h, err := b.profiles.Head(t.Context(), k)
	must(t, err)
	var save *profile.Save
	if h.Revision > 0 {
		s, err := b.profiles.Saved(t.Context(), k, 0)
		must(t, err)
		save = &s
	}
	e, err := profile.CopyOf("eu", term, k, h, save)
	must(t, err)
	return e
}

// post posts a transfer and says so.
func (b *books) post(t *testing.T, term uint64, tr throng.Transfer) throng.Event {
	t.Helper()
	_, err := b.Post(t.Context(), ledger.Order{Game: game, Session: holder, Transfer: tr})
	must(t, err)
	r, err := b.Record(t.Context(), game, ledger.Key{Player: tr.First.Player, ID: tr.ID})
	must(t, err)
	e, err := ledger.CopyOf("eu", term, ledger.Posting{Game: game, Record: r})
	must(t, err)
	return e
}

// rig is a region that follows "eu".
type rig struct {
	*copies.Copies
	handler copies.Handler
	heard   func(time.Time, int)
	judge   *judge
	store   *shards
	now     time.Time
}

// shards fail now and then, before or after.
type shards struct {
	*memory.Shards
	fail func() bool
}

var errLost = errors.New("the reply was lost")

// Commit may fail.
func (s *shards) Commit(ctx context.Context, id consumer.Shard, c consumer.Commit) error {
	if s.fail() {
		return errLost
	}
	if err := s.Shards.Commit(ctx, id, c); err != nil {
		return err
	}
	if s.fail() {
		return errLost
	}
	return nil
}

func newRig(t *testing.T, l copies.Ledger, p copies.Profiles) *rig {
	t.Helper()
	r := &rig{judge: &judge{home: throng.Home{Region: "eu", Term: 1}}, store: &shards{memory.NewShards(), func() bool { return false }}, now: time.Unix(1_750_000_000, 0)}
	r.start(t, l, p)
	return r
}

// start is a control plane that begins.
func (r *rig) start(t *testing.T, l copies.Ledger, p copies.Profiles) {
	t.Helper()
	log := newLines()
	var err error
	r.Copies, err = copies.New(copies.Config{
		Own: "us", Logs: map[throng.RegionID]copies.Log{"eu": log}, Judge: r.judge, Profiles: p, Ledger: l, Store: r.store,
		Now: func() time.Time { return r.now }, Logger: slog.New(slog.DiscardHandler),
	})
	must(t, err)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- r.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		must(t, <-ended)
	})
	r.handler, r.heard = <-log.handler, <-log.heard
}

// records are events as they stand in a log of so many partitions.
func records(events []throng.Event, partitions int) [][]throng.EventRecord {
	out := make([][]throng.EventRecord, partitions)
	for _, e := range events {
		sum := 0
		for _, c := range []byte(e.Player) {
			sum += int(c)
		}
		p := sum % partitions
		out[p] = append(out[p], throng.EventRecord{Event: e, Partition: int32(p), Offset: int64(len(out[p]))})
	}
	return out
}

// TestFollows: whatever comes first of partitions, whatever comes twice, and wherever
// the process stops, the copy is the same in the end.
func TestFollows(t *testing.T) {
	t.Parallel()
	for seed := range uint64(6) {
		rng := rand.New(rand.NewPCG(seed, 3)) //nolint:gosec // a seed
		home, here := newBooks(t), newBooks(t)
		logs := records(home.play(t, rng, 1, 60), 3)
		r := newRig(t, here.Ledger, here.profiles)
		r.store.fail = func() bool { return rng.IntN(12) == 0 }
		at := make([]int, len(logs))
		for left := true; left; {
			left = false
			for _, p := range rng.Perm(len(logs)) {
				from := max(at[p]-rng.IntN(3), 0) // some of it again
				to := min(from+rng.IntN(9), len(logs[p]))
				if to > from && r.handler.Handle(t.Context(), throng.StreamCopies, int32(p), logs[p][from:to]) == nil {
					at[p] = max(at[p], to)
				}
				left = left || at[p] < len(logs[p])
				if rng.IntN(4) == 0 {
					r.handler.Lost(throng.StreamCopies, int32(p))
				}
			}
			r.now = r.now.Add(20 * time.Millisecond)
			if rng.IntN(10) == 0 {
				r.start(t, here.Ledger, here.profiles)
			}
		}
		r.store.fail = func() bool { return false }
		for range 100 {
			r.now = r.now.Add(20 * time.Second)
			for p := range logs {
				must(t, r.handler.Idle(t.Context(), throng.StreamCopies, int32(p)))
			}
		}
		want, got := home.all(t), here.all(t)
		for _, name := range slices.Sorted(maps.Keys(want)) {
			if got[name] != want[name] {
				t.Errorf("seed %d: %s\n   is %s\n copy %s", seed, name, want[name], got[name])
			}
		}
		if len(got) != len(want) {
			t.Errorf("seed %d: there are %d rows, %d in the copy", seed, len(want), len(got))
		}
		here.audit(t)
		sameProfiles(t, home, here)
	}
}

func sameProfiles(t *testing.T, home, here *books) {
	t.Helper()
	for _, p := range []throng.PlayerID{"ada", "bo", "cyd", "dee"} {
		k := profile.Key{Game: game, Player: p}
		want, err := home.profiles.Head(t.Context(), k)
		must(t, err)
		if got, err := here.profiles.Head(t.Context(), k); err != nil || got != want {
			t.Errorf("%s: copied as %+v, %v, want %+v", p, got, err, want)
		}
		save, err := home.profiles.Saved(t.Context(), k, 0)
		must(t, err)
		if got, err := here.profiles.Saved(t.Context(), k, 0); err != nil || !reflect.DeepEqual(got, save) {
			t.Errorf("%s: saved as %+v, %v, want %+v", p, got, err, save)
		}
		if a, err := here.file.Ledger().Account(t.Context(), game, ledger.AccountID(p)); err != nil || a.Fence != want.Fence {
			t.Errorf("%s: the wallet is fenced at %d, %v, want %d", p, a.Fence, err, want.Fence)
		}
	}
}

// TestAnotherHome: what the old home wrote and the new one never got is lost, what it
// got is not, and is told for good.
func TestAnotherHome(t *testing.T) {
	t.Parallel()
	home, here := newBooks(t), newBooks(t)
	events := home.play(t, rand.New(rand.NewPCG(1, 1)), 1, 4) //nolint:gosec // a seed
	log := records(events, 1)[0]
	early, late := log[:len(log)-1], log[len(log)-1]
	r := newRig(t, here.Ledger, here.profiles)
	handle := func(batch ...throng.EventRecord) {
		t.Helper()
		must(t, r.handler.Handle(t.Context(), throng.StreamCopies, 0, batch))
	}
	handle(early...)
	// A sword that never came is traded: that waits when the home becomes another one.
	waiting := home.post(t, 1, throng.Transfer{ID: "gift", Kind: throng.TransferReward, First: member("ada"), Gives: []throng.Amount{{Item: "sword", Count: 1}}})
	items, err := home.file.Ledger().Uniques(t.Context(), game, "ada", "", 10)
	must(t, err)
	mine, err := here.file.Ledger().Uniques(t.Context(), game, "ada", "", 10)
	must(t, err)
	items = slices.DeleteFunc(items, func(i throng.ItemID) bool { return slices.Contains(mine, i) })
	trade := home.post(t, 1, throng.Transfer{ID: "swap", Kind: throng.TransferTrade, First: member("ada"), Second: member("bo"), Gives: []throng.Amount{{Item: items[0], Count: 1}}})
	handle(throng.EventRecord{Event: trade})
	r.heard(r.now, 1)
	if list, err := r.Waiting(t.Context(), "eu"); err != nil || len(list) != 1 || list[0].Record.Transfer.ID != "swap" {
		t.Errorf("waiting are %+v, %v, want the swap", list, err)
	}
	before := here.all(t)
	r.judge.set(throng.Home{Region: "us", Term: 2})
	handle(early...)
	handle(late, throng.EventRecord{Event: waiting})
	r.now = r.now.Add(time.Minute)
	must(t, r.handler.Idle(t.Context(), throng.StreamCopies, 0))
	handle(late)
	if got := here.all(t); !maps.Equal(got, before) {
		t.Errorf("what came late changed the books from\n%v to\n%v", before, got)
	}
	r.start(t, here.Ledger, here.profiles)
	list, err := r.Losses(t.Context())
	must(t, err)
	var names []string
	for _, p := range list {
		names = append(names, string(p.Record.Transfer.ID))
	}
	slices.Sort(names)
	if want := []string{"gift", "swap", "t3"}; !slices.Equal(names, want) {
		t.Errorf("lost are %v, want %v", names, want)
	}
	// Under a term that is not known here it is for another region to say.
	r.judge.set(throng.Home{Region: "jp", Term: 1})
	handle(late)
	if got := here.all(t); !maps.Equal(got, before) {
		t.Error("what is to be ignored was applied")
	}
	here.audit(t)
}

// TestStrange: what is no copy, or of another region, is passed over.
func TestStrange(t *testing.T) {
	t.Parallel()
	home, here := newBooks(t), newBooks(t)
	good := home.play(t, rand.New(rand.NewPCG(1, 1)), 1, 4) //nolint:gosec // a seed
	r := newRig(t, here.Ledger, here.profiles)
	var batch []throng.EventRecord
	for _, e := range good {
		for _, change := range []func(*throng.Event){
			func(e *throng.Event) { e.Region = "jp" },
			func(e *throng.Event) { e.Key = "bazaar/eve" },
			func(e *throng.Event) { e.Data = []byte(strings.Replace(string(e.Data), `"term":1`, `"term":0`, 1)) },
			func(e *throng.Event) { e.Data = e.Data[:len(e.Data)/2] },
			func(e *throng.Event) { e.Type = throng.EventLedgerPosted },
		} {
			bad := e
			change(&bad)
			batch = append(batch, throng.EventRecord{Event: bad})
		}
		batch = append(batch, throng.EventRecord{Event: e})
	}
	must(t, r.handler.Handle(t.Context(), throng.StreamCopies, 0, batch))
	if want, got := home.all(t), here.all(t); !maps.Equal(want, got) {
		t.Errorf("the copy is\n%v, want\n%v", got, want)
	}
}

// stuck is a ledger in which nothing ever comes.
type stuck struct{ copies.Ledger }

// Copy says that something is missing.
func (stuck) Copy(context.Context, ledger.Posting) error {
	return throng.Errorf(throng.Contention, "not yet")
}

// TestWaitingIsBounded: of too many that wait the oldest count as lost.
func TestWaitingIsBounded(t *testing.T) {
	t.Parallel()
	here := newBooks(t)
	r := newRig(t, stuck{here.Ledger}, here.profiles)
	const most, more = 10_000, 25
	var batch []throng.EventRecord
	for i := range most + more {
		id := throng.TransferID(fmt.Sprintf("t%06d", i))
		e, err := ledger.CopyOf("eu", 1, ledger.Posting{Game: game, Record: ledger.Record{
			Transfer: throng.Transfer{ID: id, Kind: throng.TransferReward, First: member("ada"), Gives: []throng.Amount{{Item: "gold", Count: 1}}},
			At:       time.UnixMilli(int64(1_750_000_000_000 + i)), Session: holder,
			Lines: []ledger.Line{{Account: ledger.HouseOf(ledger.Key{Player: "ada", ID: id}), Item: "gold", Change: -1}, {Account: "ada", Item: "gold", Change: 1}},
		}})
		must(t, err)
		batch = append(batch, throng.EventRecord{Event: e, Offset: int64(i)})
	}
	for part := range slices.Chunk(batch, 2000) {
		must(t, r.handler.Handle(t.Context(), throng.StreamCopies, 0, part))
	}
	list, err := r.Losses(t.Context())
	must(t, err)
	if len(list) != more || list[0].Record.Transfer.ID != "t000000" || list[more-1].Record.Transfer.ID != "t000024" {
		t.Errorf("%d are lost, want the %d oldest", len(list), more)
	}
}

// TestCaughtUp: it is known how old a copy is once it was whole.
func TestCaughtUp(t *testing.T) {
	t.Parallel()
	here := newBooks(t)
	r := newRig(t, here.Ledger, here.profiles)
	if _, known := r.CaughtUp("eu"); known {
		t.Error("it is known how old a copy is that was never whole")
	}
	r.heard(r.now.Add(-3*time.Second), 2)
	if behind, known := r.CaughtUp("eu"); !known || behind != 3*time.Second {
		t.Errorf("got %s, %t, want 3s", behind, known)
	}
	if _, known := r.CaughtUp("jp"); known {
		t.Error("a region that is not followed is known")
	}
}
