package economy_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/bolt"
	"github.com/throng-gg/throng/consumer"
	"github.com/throng-gg/throng/consumer/economy"
	"github.com/throng-gg/throng/contract"
	"github.com/throng-gg/throng/ledger"
	"github.com/throng-gg/throng/memory"
)

var begun = time.Date(2026, 3, 1, 22, 0, 0, 0, time.UTC)

const catalogText = `
currencies: {gold: {most: 1000}}
items: {potion: {most: 99}, sword: {unique: true}}
offers: {potion: {price: {gold: 5}, gives: {potion: 1}}, sword: {price: {gold: 100}, gives: {sword: 1}}}
`

type catalogs struct{ only ledger.Catalog }

func (c catalogs) Catalog(g throng.GameID) (ledger.Catalog, bool) { return c.only, g == "bazaar" }

func catalog(t testing.TB) catalogs {
	t.Helper()
	c, err := ledger.ParseCatalog([]byte(catalogText))
	if err != nil {
		t.Fatal(err)
	}
	return catalogs{c}
}

// folder keeps files.
type folder map[string][]byte

func (f folder) Update(_ context.Context, name string, change func(old []byte) []byte) error {
	if data := change(f[name]); data != nil {
		f[name] = slices.Clone(data)
	}
	return nil
}

type book struct{ events []throng.Event }

func (b *book) say(id string, t throng.EventType, player string, at time.Duration, data any) {
	e := throng.Event{
		ID: throng.EventID(id), Type: t, Stream: throng.StreamEconomy, Key: player, Player: throng.PlayerID(player), Session: "ses_1", Time: begun.Add(at),
	}
	e, err := throng.MakeEvent(e, data)
	if err != nil {
		panic(err)
	}
	b.events = append(b.events, e)
}

func line(account, item string, change int64) throng.EventLine {
	return throng.EventLine{Account: account, Item: throng.ItemID(item), Change: change}
}

// reward tells a reward by both sides; the server says what it is told to.
func (b *book) reward(id, player string, at time.Duration, posted, reported int64) {
	if posted != 0 {
		b.say(id+"/posted", throng.EventLedgerPosted, player, at, throng.LedgerPosted{
			Game: "bazaar", ID: throng.TransferID(id), Kind: throng.TransferReward, First: throng.PlayerID(player),
			Lines: []throng.EventLine{line(player, "gold", posted), line("@01", "gold", -posted)},
		})
	}
	if reported != 0 {
		b.say(id+"/reported", throng.EventLedgerReported, player, at+time.Second, throng.LedgerReported{
			Game: "bazaar", ID: throng.TransferID(id), Kind: throng.TransferReward, First: throng.PlayerID(player),
			Gives: []throng.EventAmount{{Item: "gold", Count: reported}},
		})
	}
}

// buy tells of a purchase of potions that cost what they cost.
func (b *book) buy(id, player string, at time.Duration, count, paid int64) {
	b.say(id+"/posted", throng.EventLedgerPosted, player, at, throng.LedgerPosted{
		Game: "bazaar", ID: throng.TransferID(id), Kind: throng.TransferPurchase, First: throng.PlayerID(player), Offer: "potion", Count: count,
		Lines: []throng.EventLine{line(player, "gold", -paid), line("@01", "gold", paid), line(player, "potion", count), line("@01", "potion", -count)},
	})
	b.say(id+"/reported", throng.EventLedgerReported, player, at, throng.LedgerReported{
		Game: "bazaar", ID: throng.TransferID(id), Kind: throng.TransferPurchase, First: throng.PlayerID(player), Offer: "potion", Count: count,
	})
}

// play hands events to a Keeper and returns the flags that stand in its files.
func play(t *testing.T, events []throng.Event) (flags []string, files folder) {
	t.Helper()
	files = folder{}
	k := economy.New(economy.Config{Catalogs: catalog(t), Files: files, Now: time.Now})
	for _, e := range events {
		if err := k.Apply(&throng.EventRecord{Event: e}); err != nil {
			t.Fatal(err)
		}
	}
	k.Changes(begun)
	if err := k.Act(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	for _, name := range slices.Sorted(keys(files)) {
		var day struct{ Flags []economy.Flag }
		if err := json.Unmarshal(files[name], &day); err != nil {
			t.Fatal(err)
		}
		for _, f := range day.Flags {
			flags = append(flags, f.Kind+" "+string(f.Transfer))
			t.Log(f.Kind, f.Transfer, f.Evidence)
		}
	}
	slices.Sort(flags)
	return flags, files
}

func keys(f folder) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		for name := range f {
			if !yield(name) {
				return
			}
		}
	}
}

// TestWhatDoesNotFitIsFlagged: differences, one side alone, and gains that no catalog
// allows, each with evidence.
func TestWhatDoesNotFitIsFlagged(t *testing.T) {
	b := &book{}
	b.reward("fine", "ada", 0, 10, 10)
	b.reward("differs", "ada", time.Minute, 10, 1000)
	b.reward("unposted", "ada", time.Minute, 0, 10)
	b.reward("unreported", "ada", time.Minute, 10, 0)
	b.reward("toomuch", "ada", time.Minute, 1001, 1001)
	b.buy("bought", "ada", time.Minute, 3, 15)
	b.buy("cheap", "ada", time.Minute, 3, 1)
	b.say("thin air", throng.EventLedgerPosted, "ada", time.Minute, throng.LedgerPosted{
		Game: "bazaar", ID: "thinair", Kind: throng.TransferReward, First: "ada", Lines: []throng.EventLine{line("ada", "gold", 5)},
	})
	b.say("thin air too", throng.EventLedgerReported, "ada", time.Minute, throng.LedgerReported{
		Game: "bazaar", ID: "thinair", Kind: throng.TransferReward, First: "ada", Gives: []throng.EventAmount{{Item: "gold", Count: 5}},
	})
	b.reward("later", "bo", 20*time.Minute, 1, 1)
	got, files := play(t, b.events)
	want := []string{"differs differs", "impossible cheap", "impossible thinair", "impossible toomuch", "not posted unposted", "not reported unreported"}
	if !slices.Equal(got, want) {
		t.Errorf("flags: got %q, want %q", got, want)
	}
	text := ""
	for _, data := range files {
		text += string(data)
	}
	if !strings.Contains(text, `"item":"potion","sources":{"purchase":6},"net":6`) || !strings.Contains(text, `"sinks":{"purchase":16}`) {
		t.Errorf("the day's flows are not in the file: %s", text)
	}
}

// TestOrderDoesNotMatter: the server's word may come first, and late.
func TestOrderDoesNotMatter(t *testing.T) {
	b := &book{}
	b.reward("early", "ada", 0, 0, 10)
	b.reward("other", "bo", 20*time.Minute, 1, 1)
	b.reward("early", "ada", 21*time.Minute, 10, 0)
	b.say("trade", throng.EventLedgerPosted, "ada", 0, throng.LedgerPosted{
		Game: "bazaar", ID: "trade", Kind: throng.TransferTrade, First: "ada", Second: "bo",
		Lines: []throng.EventLine{line("ada", "sword#7", -1), line("bo", "sword#7", 1), line("ada", "gold", 9), line("bo", "gold", -9)},
	})
	b.say("trade/r", throng.EventLedgerReported, "ada", 0, throng.LedgerReported{
		Game: "bazaar", ID: "trade", Kind: throng.TransferTrade, First: "ada", Second: "bo",
		Gives: []throng.EventAmount{{Item: "sword#7", Count: 1}}, Takes: []throng.EventAmount{{Item: "gold", Count: 9}},
	})
	if got, _ := play(t, b.events); len(got) != 0 {
		t.Errorf("flags: got %q, want none", got)
	}
}

// TestWhoLostItsShardWritesNothingOld: a process that still believes to have a shard
// leaves a day's file as another one wrote it since, until it is as far itself.
func TestWhoLostItsShardWritesNothingOld(t *testing.T) {
	t.Parallel()
	b := &book{}
	for i := range 4 {
		b.reward(fmt.Sprint("t", i), "ada", time.Duration(i)*time.Second, 10, 10)
	}
	store, files, now, refused := memory.NewShards(), folder{}, time.Now(), 0
	process := func() *consumer.Consumer {
		c, err := consumer.New(consumer.Config{
			Group: "economy", Store: store, Parker: parker{}, Now: time.Now, Logger: slog.New(slog.DiscardHandler),
			New: func(s consumer.Shard) consumer.Keeper {
				return economy.New(economy.Config{
					Shard: s, Catalogs: catalog(t), Files: files, FileEvery: time.Minute, Now: func() time.Time { return now },
					Newer: func(string) { refused++ },
				})
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	handle := func(c *consumer.Consumer, from, to int) {
		t.Helper()
		var batch []throng.EventRecord
		for i := from; i < to; i++ {
			batch = append(batch, throng.EventRecord{Event: b.events[i], Offset: int64(i)})
		}
		if err := c.Handle(t.Context(), throng.StreamEconomy, 0, batch); err != nil {
			t.Fatal(err)
		}
	}
	idle := func(c *consumer.Consumer) {
		t.Helper()
		now = now.Add(time.Hour)
		if err := c.Idle(t.Context(), throng.StreamEconomy, 0); err != nil {
			t.Fatal(err)
		}
	}
	want := func(when string, net int64) {
		t.Helper()
		var day struct{ Flows []struct{ Net int64 } }
		if len(files) != 1 {
			t.Fatalf("%s: %d files, want one", when, len(files))
		}
		for _, data := range files {
			if err := json.Unmarshal(data, &day); err != nil || len(day.Flows) != 1 || day.Flows[0].Net != net {
				t.Errorf("%s: got %s, %v, want a net of %d", when, data, err, net)
			}
		}
	}
	loser, winner := process(), process()
	handle(loser, 0, 2) // writes the file, and
	now = now.Add(time.Second)
	handle(loser, 2, 4) // has more to write, but not yet
	want("at first", 10)
	handle(winner, 4, 8)
	want("with all of it", 40)
	idle(loser)
	want("after the one that lost the shard had time", 40)
	if refused != 1 {
		t.Errorf("it heard %d times that there is a newer file, want once", refused)
	}
	loser.Lost(throng.StreamEconomy, 0) // and gets it again
	idle(loser)
	want("after it loaded the shard", 40)
	if refused != 1 {
		t.Error("it is as far now, and did not write its file")
	}
}

type parker struct{}

func (parker) Park(context.Context, string, throng.EventRecord, string) error { return nil }

// ledgerDays is transfers of some players; one in 50 is told wrongly.
func ledgerDays(n int) []throng.Event {
	rng := rand.New(rand.NewPCG(1, 4)) //nolint:gosec // it is played again from its seed
	b := &book{}
	for i := range n {
		at, player, id := time.Duration(i)*time.Second, fmt.Sprint("p", rng.IntN(40)), fmt.Sprint("t", i)
		switch {
		case i%50 == 7:
			b.reward(id, player, at, 10, 11)
		case i%50 == 9:
			b.reward(id, player, at, 0, 11)
		case i%3 == 0:
			b.buy(id, player, at, 2, 10)
		default:
			b.reward(id, player, at, 10, 10)
		}
	}
	return b.events
}

// TestCrashEverywhere: days and flags are those of a clean run.
func TestCrashEverywhere(t *testing.T) {
	t.Parallel()
	n := 6000
	if times, _ := strconv.Atoi(os.Getenv("THRONG_SOAK")); times > 0 { //nolint:forbidigo // a test's own
		n = 50_000 * times
	}
	events := ledgerDays(n)
	for seed := range uint64(2) {
		if err := contract.ConsumerCrash(t, contract.ConsumerPlay{
			Events: events, Clean: memory.NewShards(), Store: memory.NewShards(), Seed: seed, Window: 1000,
			New: func(s consumer.Shard) consumer.Keeper {
				return economy.New(economy.Config{Shard: s, Catalogs: catalog(t), Files: folder{}, Now: time.Now})
			},
			Same: func(want, got map[string][]byte) error {
				for _, rows := range []map[string][]byte{want, got} {
					for k := range rows {
						if strings.HasPrefix(k, "p/") { // those are forgotten at some moment
							delete(rows, k)
						}
					}
				}
				for k, v := range want {
					if string(got[k]) != string(v) {
						return fmt.Errorf("row %q is %s, %s in a clean run", k, got[k], v)
					}
				}
				if len(got) != len(want) {
					return fmt.Errorf("%d rows, %d in a clean run", len(got), len(want))
				}
				return nil
			},
		}); err != nil {
			t.Error(err)
		}
	}
}

// BenchmarkEconomy is events a second of one partition, with its store in memory, and
// in a file beside the file alone.
func BenchmarkEconomy(b *testing.B) {
	load := contract.ConsumerLoad{
		Stream: throng.StreamEconomy, Now: time.Now, Events: ledgerDays(20_000),
		New: func(s consumer.Shard) consumer.Keeper {
			return economy.New(economy.Config{Shard: s, Catalogs: catalog(b), Files: folder{}, Now: time.Now})
		},
		Each: func(e *throng.Event, round int) {
			e.Time = e.Time.Add(time.Duration(round) * 20_000 * time.Second)
			e.Data = bytes.Replace(e.Data, []byte(`"id":"t`), fmt.Appendf(nil, `"id":"r%d-t`, round), 1)
		},
	}
	b.Run("memory", func(b *testing.B) {
		load.Store = memory.NewShards()
		contract.ConsumerRate(b, load)
	})
	b.Run("bolt", func(b *testing.B) {
		open := func() consumer.Store {
			file, err := bolt.Open(bolt.Config{Path: filepath.Join(b.TempDir(), "consumers.db")})
			if err != nil {
				b.Fatal(err)
			}
			b.Cleanup(func() { _ = file.Close() })
			return file.Shards()
		}
		load.Store, load.Bare = open(), open()
		contract.ConsumerRate(b, load)
	})
}
