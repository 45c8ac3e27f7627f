package main

import (
	"context"
	"fmt"
	"log/slog"
	"reflect"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/cmd/command"
	"github.com/throng-gg/throng/home"
	"github.com/throng-gg/throng/kafka"
	"github.com/throng-gg/throng/kafka/embedded"
	"github.com/throng-gg/throng/ledger"
)

const (
	copyGame                     = throng.GameID("bazaar")
	copySession throng.SessionID = "ses_eu_00aaaaaaaaaaaaaaaa"
	copyCatalog                  = "currencies: {gold: {}}\nitems: {sword: {unique: true}}\noffers: {sword: {price: {gold: 10}, gives: {sword: 1}}}\n"
)

// copyRegion is the parts of a region that keep what players own, and copy it.
type copyRegion struct {
	*control
	others []*copyRegion
	away   atomic.Bool // the others do not hear it
}

// Known is what the other regions say; see home.Regions.
func (r *copyRegion) Known() (list []throng.RegionSummary) {
	for _, o := range r.others {
		s := throng.RegionSummary{Region: o.cfg.region.ID}
		if !o.away.Load() {
			s.Home = o.homes.Now()
		}
		list = append(list, s)
	}
	return list
}

// Heard says whether one is heard.
func (r *copyRegion) Heard(id throng.RegionID) bool { return !r.of(id).away.Load() }

// Owned is another region's.
func (r *copyRegion) Owned(id throng.RegionID) home.Owned { return r.of(id).homes.Homes.Here() }

// Yield tells another region.
func (r *copyRegion) Yield(ctx context.Context, id throng.RegionID, h throng.Home) error {
	return r.of(id).homes.Yield(ctx, h)
}

func (r *copyRegion) of(id throng.RegionID) *copyRegion {
	return r.others[slices.IndexFunc(r.others, func(o *copyRegion) bool { return o.cfg.region.ID == id })]
}

// copyRegions makes regions whose home is the first, each with a broker of its own.
func copyRegions(t *testing.T, names ...throng.RegionID) []*copyRegion {
	t.Helper()
	logger := slog.New(slog.DiscardHandler)
	urls := map[throng.RegionID]string{}
	for _, id := range names {
		broker, err := embedded.Open(embedded.Config{})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(broker.Close)
		log, err := kafka.New(kafka.Config{URL: broker.Address(), Logger: logger})
		if err == nil {
			_, err = log.Setup(t.Context(), kafka.SetupConfig{Partitions: 3})
			log.Close()
		}
		if err != nil {
			t.Fatal(err)
		}
		urls[id] = broker.Address()
	}
	var all []*copyRegion
	for i, id := range names {
		g := &ground{flags: groundFlags{Data: t.TempDir(), Home: string(names[0])}, region: throng.Region{ID: id, Number: uint8(i + 1)}, metrics: newMetrics(), logger: logger}
		g.flags.Kafka = urls[id]
		store, err := g.openOwn(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		r := &copyRegion{control: &control{cfg: controlConfig{ground: g, stores: stores{own: store}, kafkas: map[throng.RegionID]string{}}}}
		for other, url := range urls {
			if other != id {
				r.cfg.kafkas[other] = url
			}
		}
		r.events, err = newEvents(command.EventsConfig{URL: urls[id], Spool: t.TempDir(), Region: id, Logger: logger})
		if err != nil {
			t.Fatal(err)
		}
		if err := r.buildOwn(); err != nil {
			t.Fatal(err)
		}
		h, err := home.New(home.Config{
			Own: g.region, First: names[0], Store: store.home, Regions: r, Copies: r.copied, Local: ownHere{r.own.profiles, ledgerHere{r.own.ledger}}, Logger: logger,
		})
		if err != nil {
			t.Fatal(err)
		}
		r.homes, r.copied.homes = &homes{h}, h
		if _, err := r.own.ledger.SetCatalog(t.Context(), copyGame, []byte(copyCatalog)); err != nil {
			t.Fatal(err)
		}
		all = append(all, r)
	}
	for _, r := range all {
		for _, o := range all {
			if o != r {
				r.others = append(r.others, o)
			}
		}
	}
	for _, r := range all {
		r.start(t)
	}
	return all
}

// start runs the parts until the test ends.
func (r *copyRegion) start(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 4)
	for _, run := range []func(context.Context) error{r.homes.run, r.copied.run, r.relay(), r.events.run} {
		go func() { ended <- run(ctx) }()
	}
	t.Cleanup(func() {
		cancel()
		for range 4 {
			if err := <-ended; err != nil {
				t.Error(err)
			}
		}
		if err := r.own.store.close(); err != nil {
			t.Error(err)
		}
	})
}

// relay announces as a control plane does, as long as the region is not away.
func (r *copyRegion) relay() func(context.Context) error {
	return func(ctx context.Context) error {
		r.copied.known(ctx)
		for ctx.Err() == nil {
			if !r.away.Load() {
				_, _ = r.own.relay.Step(ctx) // it is tried again
			}
			select {
			case <-ctx.Done():
			case <-time.After(20 * time.Millisecond):
			}
		}
		return nil
	}
}

// play has two players earn, buy and trade at the region's door, from transfer n on.
func (r *copyRegion) play(t *testing.T, epoch throng.Epoch, n int) {
	t.Helper()
	door := r.homes.Anywhere()
	for _, p := range []throng.PlayerID{"ada", "bo"} {
		claim := throng.ProfileClaim{Key: throng.ProfileKey{Game: copyGame, Player: p}, Fence: epoch, Session: copySession}
		var got throng.Profile
		awaitCopy(t, "a checkout at the home", func() (err error) {
			got, err = door.Checkout(t.Context(), claim)
			return err
		})
		if err := door.Save(t.Context(), claim, got.Revision+1, fmt.Appendf(nil, `{"n":%d}`, n)); err != nil {
			t.Fatal(err)
		}
	}
	post := func(tr throng.Transfer) {
		t.Helper()
		n++
		tr.ID = throng.TransferID(fmt.Sprint("t", n))
		if _, err := door.Post(t.Context(), throng.TransferOrder{Game: copyGame, Session: copySession, Transfer: tr}); err != nil {
			t.Fatal(err)
		}
	}
	ada, bo := throng.Member{Player: "ada", Epoch: epoch}, throng.Member{Player: "bo", Epoch: epoch}
	post(throng.Transfer{Kind: throng.TransferReward, First: ada, Gives: []throng.Amount{{Item: "gold", Count: 25}}})
	post(throng.Transfer{Kind: throng.TransferPurchase, First: ada, Offer: "sword", Count: 1})
	held, err := door.Inventory(t.Context(), copyGame, "ada")
	if err != nil {
		t.Fatal(err)
	}
	sword := held.Amounts[len(held.Amounts)-1]
	post(throng.Transfer{Kind: throng.TransferTrade, First: ada, Second: bo, Gives: []throng.Amount{sword}})
	post(throng.Transfer{Kind: throng.TransferTrade, First: bo, Second: ada, Gives: []throng.Amount{sword}})
	post(throng.Transfer{Kind: throng.TransferTrade, First: ada, Second: bo, Gives: []throng.Amount{sword}})
}

// awaitCopy tries until it works.
func awaitCopy(t *testing.T, what string, try func() error) {
	t.Helper()
	for until := time.Now().Add(2 * time.Minute); ; {
		err := try()
		if err == nil {
			return
		}
		if time.Now().After(until) {
			t.Fatalf("%s: %v", what, err)
		}
		select {
		case <-t.Context().Done():
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// same says what of a region's stores is not as in another's.
func (r *copyRegion) same(ctx context.Context, o *copyRegion) error {
	for _, p := range []throng.PlayerID{"ada", "bo"} {
		k := throng.ProfileKey{Game: copyGame, Player: p}
		var heads, saves, has [2]any
		for i, one := range []*copyRegion{r, o} {
			h, err := one.own.store.profiles.Head(ctx, k)
			if err != nil {
				return err
			}
			s, err := one.own.store.profiles.Saved(ctx, k, 0)
			if err != nil {
				return err
			}
			a, err := one.own.store.ledger.Account(ctx, copyGame, ledger.AccountID(p))
			if err != nil {
				return err
			}
			a.Revision = 0
			items, err := one.own.store.ledger.Uniques(ctx, copyGame, p, "", 100)
			if err != nil {
				return err
			}
			heads[i], saves[i], has[i] = h, s, fmt.Sprintf("%+v %v", a, items)
		}
		if heads[0] != heads[1] || !reflect.DeepEqual(saves[0], saves[1]) || has[0] != has[1] {
			return fmt.Errorf("%s differs: %+v, %+v, %s", p, heads, saves, has)
		}
	}
	return nil
}

func (r *copyRegion) audit(t *testing.T) {
	t.Helper()
	report, err := r.own.Audit(t.Context())
	if err != nil || report.Sum != 0 || len(report.Problems) > 0 {
		t.Errorf("%s: the auditor says %+v, %v", r.cfg.region.ID, report, err)
	}
}

// TestRegionsCopy: what is written at the home is in the stores of the others, also
// after another one was made the home; what one that was lost had not passed on is
// told once it is back.
func TestRegionsCopy(t *testing.T) {
	t.Parallel()
	all := copyRegions(t, "eu", "us", "jp")
	eu, us, jp := all[0], all[1], all[2]
	us.play(t, 512, 0) // whatever door is asked
	for _, r := range []*copyRegion{us, jp} {
		awaitCopy(t, "a copy of eu", func() error { return r.same(t.Context(), eu) })
		r.audit(t)
		awaitCopy(t, "how old it is", func() error {
			if behind, known := r.copied.Behind("eu"); !known || behind > time.Minute {
				return fmt.Errorf("%s, %t", behind, known)
			}
			return nil
		})
	}
	if err := us.homes.Promote(t.Context(), false); err != nil {
		t.Fatal(err)
	}
	if err := us.same(t.Context(), eu); err != nil {
		t.Errorf("it was made the home before it had all: %v", err)
	}
	jp.play(t, 1024, 100)
	for _, r := range []*copyRegion{eu, jp} {
		awaitCopy(t, "a copy of us", func() error { return r.same(t.Context(), us) })
		r.audit(t)
	}
	// Now us is lost before it passed a transfer on.
	us.away.Store(true)
	lost := throng.Transfer{ID: "lost", Kind: throng.TransferReward, First: throng.Member{Player: "ada", Epoch: 1024}, Gives: []throng.Amount{{Item: "gold", Count: 7}}}
	if _, err := us.own.ledger.Post(t.Context(), throng.TransferOrder{Game: copyGame, Session: copySession, Transfer: lost}); err != nil {
		t.Fatal(err)
	}
	if err := eu.homes.Promote(t.Context(), true); err != nil {
		t.Fatal(err)
	}
	eu.play(t, 2048, 200)
	awaitCopy(t, "a copy of eu again", func() error { return jp.same(t.Context(), eu) })
	us.away.Store(false)
	awaitCopy(t, "what is lost", func() error {
		list, err := eu.copied.Losses(t.Context())
		if err == nil && (len(list) != 1 || list[0].Entry.ID != "lost" || list[0].Entry.First != "ada" || list[0].Entry.Changes[0].Count != 7) {
			err = fmt.Errorf("got %+v", list)
		}
		return err
	})
	eu.audit(t)
	us.audit(t)
}
