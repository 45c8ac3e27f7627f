package presence

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/throng-gg/throng"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// sessionOf is the nth session of a region.
func sessionOf(r throng.RegionID, n int) throng.SessionID {
	return throng.MakeSessionID(r, uint8(n), throng.Entropy{byte(n >> 8), byte(n)})
}

// epochOf is one that a region made that long after noon.
func epochOf(after time.Duration, region uint8) throng.Epoch {
	return throng.NextEpoch(noon.Add(after), 0, region)
}

// drawn is what may be said of a few players within an hour before noon: most stays
// come and go, some change places.
func drawn(t *rapid.T) []Change {
	return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) Change {
		n := rapid.IntRange(0, 3).Draw(t, "session")
		return Change{
			Player:  throng.PlayerID(rapid.SampledFrom([]string{"ada", "bo"}).Draw(t, "player")),
			Session: sessionOf(rapid.SampledFrom([]throng.RegionID{"eu", "us"}).Draw(t, "region"), n),
			Place:   throng.PlaceID(fmt.Sprint("place", n)),
			Epoch:   epochOf(-time.Duration(rapid.IntRange(0, 3).Draw(t, "epoch"))*time.Minute, uint8(rapid.IntRange(1, 2).Draw(t, "number"))),
			In:      rapid.Bool().Draw(t, "in"),
			Said:    noon.Add(-time.Duration(rapid.IntRange(0, 60).Draw(t, "said")) * time.Minute),
		}
	}), 1, 20).Draw(t, "changes")
}

func tableOf(list []Change) *Table {
	table := NewTable([]throng.RegionID{"us", "eu"}, 0)
	for _, c := range list {
		table.Apply(c, noon)
	}
	return table
}

func presenceOf(t *Table) (all [2]throng.Presence) {
	return [2]throng.Presence{t.At("ada", noon), t.At("bo", noon)}
}

// TestAnyOrder: what is known follows from what was said, in any order and however
// often.
func TestAnyOrder(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		list := drawn(t)
		sorted := slices.Clone(list)
		slices.SortStableFunc(sorted, func(a, b Change) int {
			if a.Epoch != b.Epoch {
				return int(int64(a.Epoch) - int64(b.Epoch))
			}
			return map[bool]int{true: -1}[a.In] - map[bool]int{true: -1}[b.In]
		})
		want := presenceOf(tableOf(sorted))
		mixed := rapid.Permutation(append(slices.Clone(list), list[:rapid.IntRange(0, len(list)).Draw(t, "twice")]...)).Draw(t, "order")
		if got := presenceOf(tableOf(mixed)); got != want {
			t.Fatalf("got %+v, want %+v", got, want)
		}
	})
}

// TestHighestCounts: nobody is where a lower epoch says, or in a session that said of
// the highest that he left.
func TestHighestCounts(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		list := drawn(t)
		table := tableOf(list)
		for _, p := range []throng.PlayerID{"ada", "bo"} {
			at := table.At(p, noon)
			for _, c := range list {
				switch {
				case c.Player != p:
				case c.Epoch > at.Epoch || table.Epoch(p, noon) != at.Epoch:
					t.Fatalf("%s is at %+v after %+v", p, at, c)
				case c.Epoch == at.Epoch && c.Session == at.Session && !c.In && at.State != throng.PresenceLeft:
					t.Fatalf("%s plays in %+v, which he left", p, at)
				}
			}
		}
	})
}

// TestLateCopies: that a player is in, said again at any time after he left, does not
// bring him back; not after it is forgotten that he left either.
func TestLateCopies(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		table := NewTable([]throng.RegionID{"eu"}, 0)
		skew := func(name string) time.Duration {
			return time.Duration(rapid.IntRange(-48*60, 48*60).Draw(t, name)) * time.Minute // of the servers' clocks
		}
		now := noon
		in := Change{Player: "ada", Session: sessionOf("eu", 1), Place: "arena", Epoch: epochOf(0, 1), In: true, Said: now.Add(skew("in"))}
		table.Apply(in, now)
		if at := table.At("ada", now); at.State != throng.PresencePlaying || at.Session != in.Session || at.Place != "arena" || at.Epoch != in.Epoch {
			t.Fatalf("got %+v, want in", at)
		}
		now = now.Add(time.Duration(rapid.IntRange(0, 40*60).Draw(t, "stays")) * time.Minute)
		out := in
		out.In, out.Said = false, now.Add(skew("out"))
		table.Apply(out, now)
		for range 10 {
			now = now.Add(time.Duration(rapid.IntRange(0, 6*60).Draw(t, "later")) * time.Minute)
			if rapid.Bool().Draw(t, "sweeps") {
				for shard := range 256 {
					table.Sweep(uint8(shard), now)
				}
			}
			table.Apply(in, now)
			if at := table.At("ada", now); at.State == throng.PresencePlaying {
				t.Fatalf("%s after he left he is back", now.Sub(noon))
			}
		}
	})
}

func TestForgets(t *testing.T) {
	t.Parallel()
	table := NewTable([]throng.RegionID{"eu"}, 0)
	c := Change{Player: "ada", Session: sessionOf("eu", 1), Place: "arena", Epoch: epochOf(0, 1), Said: noon}
	table.Apply(c, noon)
	sweep := func(now time.Time) {
		for shard := range 256 {
			table.Sweep(uint8(shard), now)
		}
	}
	sweep(noon.Add(KeepTime))
	if at := table.At("ada", noon.Add(KeepTime)); at.State != throng.PresenceLeft || table.Players() != 1 {
		t.Errorf("after %s: got %s of %d players, want left", KeepTime, at.State, table.Players())
	}
	sweep(noon.Add(KeepTime + time.Minute))
	if at := table.At("ada", noon); at.State != throng.PresenceNone || table.Players() != 0 || table.Epoch("ada", noon) != 0 {
		t.Errorf("later: got %s of %d players, want none", at.State, table.Players())
	}
}

func TestStrangeAndFull(t *testing.T) {
	t.Parallel()
	table := NewTable([]throng.RegionID{"eu"}, 1)
	good := Change{Player: "ada", Session: sessionOf("eu", 1), Place: "arena", Epoch: epochOf(0, 1), In: true, Said: noon}
	for want, change := range map[Verdict]func(*Change){
		Applied: func(*Change) {}, Known: func(c *Change) { c.Epoch-- }, Full: func(c *Change) { c.Player = "bo" },
		Late: func(c *Change) { c.Player, c.Epoch = "cy", epochOf(-KeepTime, 1) },
	} {
		table.Apply(good, noon)
		c := good
		change(&c)
		if want == Applied {
			c.Epoch += 256
		}
		if got := table.Apply(c, noon); got != want {
			t.Errorf("%+v: got %s, want %s", c, got, want)
		}
	}
	for name, change := range map[string]func(*Change){
		"no epoch":           func(c *Change) { c.Epoch = 0 },
		"a broken clock":     func(c *Change) { c.Epoch = epochOf(KeepTime+time.Second, 1) },
		"another region":     func(c *Change) { c.Session = sessionOf("us", 1) },
		"a name of no one's": func(c *Change) { c.Session = "ses_eu_1" },
	} {
		c := good
		change(&c)
		if got := table.Apply(c, noon); got != Strange {
			t.Errorf("%s: got %s, want strange", name, got)
		}
	}
}

// TestBytesOfPlayers: what players take, about as little room as maps have at any number of
// them.
func TestBytesOfPlayers(t *testing.T) {
	if each := bytesEach(100_000); each > 120 {
		t.Errorf("%.0f bytes a player, at most 120 are planned for", each)
	}
}

func BenchmarkBytes(b *testing.B) {
	for b.Loop() {
		b.ReportMetric(bytesEach(1_000_000), "bytes/player")
	}
}

func bytesEach(players int) float64 {
	heap := func() int64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	before := heap()
	table := crowdedTable(players)
	bytes := heap() - before
	return float64(bytes) / float64(table.Players())
}

func crowdedTable(players int) *Table {
	table := NewTable([]throng.RegionID{"eu", "us"}, 0)
	for i := range players {
		c := nthChange(i)
		table.Apply(c, noon)
	}
	return table
}

func nthChange(i int) Change {
	return Change{
		Player: throng.PlayerID(fmt.Sprintf("u-%020x", i)), Session: sessionOf([]throng.RegionID{"eu", "us"}[i%2], i/50), Place: throng.PlaceID(fmt.Sprint("place", i%1000)),
		Epoch: epochOf(time.Duration(i)*time.Microsecond, 1), In: i%4 != 0, Said: noon,
	}
}

func BenchmarkApply(b *testing.B) {
	table, r := crowdedTable(1_000_000), rand.New(rand.NewPCG(1, 2))
	changes := make([]Change, 1<<14)
	for i := range changes {
		changes[i] = nthChange(r.IntN(1_000_000))
		changes[i].Epoch += 1 << 20
	}
	for i := 0; b.Loop(); i++ {
		table.Apply(changes[i%len(changes)], noon.Add(time.Hour))
	}
}

func BenchmarkEpoch(b *testing.B) {
	table := crowdedTable(1_000_000)
	for b.Loop() {
		table.Epoch("u-0000000000000000beef", noon)
	}
}
