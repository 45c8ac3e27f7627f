package sim

import (
	"flag"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

var (
	seeds = flag.Int("seeds", 0, "schedules that TestSchedules plays; 0: a few")
	from  = flag.Uint64("from", 1, "the first seed of TestSchedules")
	shape = flag.String("world", string(Small), "small, herd or region")
	only  = flag.String("fault", "", "the only kind of fault, see fault.go")
	off   = flag.String("off", "", "the guard to take out, see guard.go")
	lines = flag.Bool("events", false, "print what happened in schedules that fail")
	most  = flag.Int("most", 5, "stop after so many bad schedules")
	hunt  = flag.Int("hunt", 0, "seeds in which TestGuards searches instead of the recorded one")
)

// few is how many schedules TestSchedules plays if it is not told: with the race
// detector on, beside all other tests. `make sim` plays many.
const few = 200

// TestSchedules plays seeds from -from on, none of which may break a promise.
func TestSchedules(t *testing.T) {
	count := *seeds
	if count == 0 {
		count = few
	}
	began := time.Now()
	var all Stats
	bad := 0
	for n := range count {
		r := Run(t, Config{
			Seed: *from + uint64(n), Shape: Shape(*shape), Off: Guard(*off), Fault: FaultKind(*only), Trace: *lines,
		})
		all.add(r.Stats)
		if len(r.Violations) == 0 {
			continue
		}
		report(t, r)
		if bad++; bad >= *most {
			break
		}
	}
	t.Logf("%d schedules in %s: %s", count, time.Since(began).Round(time.Second), &all)
	if all.Served == 0 || all.Confirmed == 0 || all.Answers == 0 {
		t.Errorf("nothing happened: %s", &all)
	}
	if *only == "" && *off == "" && *shape == string(Small) && count >= few && (all.Faults == 0 || all.Evicted == 0) {
		t.Errorf("nothing was broken: %s", &all)
	}
}

func report(t *testing.T, r Result) {
	t.Helper()
	t.Errorf("seed %d: go test ./sim -run TestSchedules -seeds 1 -from %d -world %s -events", r.Seed, r.Seed, *shape)
	for _, v := range r.Violations {
		t.Error(v)
	}
	for _, l := range r.Trace {
		t.Log(l)
	}
}

// TestWorlds plays bigger worlds, few of them.
func TestWorlds(t *testing.T) {
	for _, shape := range []Shape{Herd, Region} {
		t.Run(string(shape), func(t *testing.T) {
			for seed := range uint64(2) {
				r := Run(t, Config{Seed: seed + 1, Shape: shape})
				for _, v := range r.Violations {
					t.Errorf("seed %d: %s", r.Seed, v)
				}
				t.Logf("seed %d: %s", r.Seed, &r.Stats)
			}
		})
	}
}

// TestKept plays the seeds that once broke a promise.
func TestKept(t *testing.T) {
	for _, k := range kept(t, "testdata/seeds.txt") {
		t.Run(k.name, func(t *testing.T) {
			r := Run(t, Config{Seed: k.seed, Shape: k.shape, Fault: k.fault})
			for _, v := range r.Violations {
				t.Error(v)
			}
		})
	}
}

// TestGuards takes each guard out: a seed is recorded that shows it. With -hunt
// they are searched anew, and printed as lines for testdata/guards.txt.
func TestGuards(t *testing.T) {
	recorded := kept(t, "testdata/guards.txt")
	for _, g := range Guards() {
		t.Run(string(g), func(t *testing.T) {
			if *hunt > 0 {
				seek(t, g)
				return
			}
			i := slices.IndexFunc(recorded, func(k keptSeed) bool { return k.name == string(g) })
			if i < 0 {
				t.Fatalf("no seed is recorded that shows what %s guards: go test ./sim -run TestGuards/%s -hunt 10000 -v", g, g)
			}
			k := recorded[i]
			if r := firstBad(t, Config{Seed: k.seed, Fault: k.fault, Off: g}, further); r != nil {
				t.Logf("seed %d: %s", r.Seed, r.Violations[0])
				return
			}
			t.Errorf("no seed of %d from %d on breaks anything without %s: is it void?", further, k.seed, g)
		})
	}
}

// further is how many seeds from the recorded one on are tried: a change of
// production code, or of what is rolled, makes other schedules of them.
const further = 2000

// firstBad plays seeds from c's on until one breaks something; nil: none does.
func firstBad(t *testing.T, c Config, count int) *Result {
	t.Helper()
	for range count {
		if r := Run(t, c); len(r.Violations) > 0 {
			return &r
		}
		c.Seed++
	}
	return nil
}

// seek finds the first seed that shows a guard.
func seek(t *testing.T, g Guard) {
	t.Helper()
	r := firstBad(t, Config{Seed: *from, Off: g, Fault: FaultKind(*only)}, *hunt)
	if r == nil {
		t.Errorf("no seed of %d shows what %s guards", *hunt, g)
		return
	}
	t.Logf("found: %s %d small %s # %s", g, r.Seed, *only, r.Violations[0])
}

// TestSameSeed: a seed's schedule is the same each time, but for what goroutines
// do at one and the same moment.
func TestSameSeed(t *testing.T) {
	const worlds = 40
	same := 0
	for seed := range uint64(worlds) {
		first, again := Run(t, Config{Seed: seed}), Run(t, Config{Seed: seed})
		if first.Hash == again.Hash {
			same++
		}
	}
	t.Logf("%d of %d schedules were the same to the last event", same, worlds)
	if same < worlds/2 {
		t.Errorf("%d of %d schedules were the same, want at least half", same, worlds)
	}
}

// keptSeed is a line of testdata: a name, a seed, a world, a kind of fault (or
// none), and why after a #.
type keptSeed struct {
	name  string
	seed  uint64
	shape Shape
	fault FaultKind
}

func kept(t *testing.T, file string) []keptSeed {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var all []keptSeed
	for whole := range strings.Lines(string(text)) {
		line, _, _ := strings.Cut(whole, "#")
		words := strings.Fields(line)
		if len(words) == 0 {
			continue
		}
		k := keptSeed{name: words[0], shape: Small}
		if len(words) > 1 {
			k.seed, err = strconv.ParseUint(words[1], 10, 64)
		}
		if err != nil || len(words) < 2 || len(words) > 4 {
			t.Fatalf("%s: %q is not a name, a seed, a world and a kind of fault", file, whole)
		}
		if len(words) > 2 {
			k.shape = Shape(words[2])
		}
		if len(words) > 3 {
			k.fault = FaultKind(words[3])
		}
		all = append(all, k)
	}
	return all
}
