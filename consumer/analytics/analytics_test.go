package analytics_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/parquet-go/parquet-go"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/consumer"
	"github.com/throng-gg/throng/consumer/analytics"
	"github.com/throng-gg/throng/contract"
	"github.com/throng-gg/throng/memory"
)

var begun = time.Date(2026, 3, 1, 23, 0, 0, 0, time.UTC)

// world is what happened, and what of it is to be counted.
type world struct {
	events                                []throng.Event
	joins, leaves, opened, ended, created int64
	players                               map[string]int64
	paid                                  int64
}

func (w *world) say(e throng.Event, format string, args ...any) {
	e.ID = throng.EventID(fmt.Sprint("e", len(w.events)))
	e.Data = json.RawMessage(fmt.Sprintf(format, args...))
	w.events = append(w.events, e)
}

// makeWorld plays sessions of a few places for some hours.
func makeWorld(n int, seed uint64) *world {
	rng := rand.New(rand.NewPCG(seed, 3))
	w := &world{players: map[string]int64{}}
	type stay struct {
		player string
		epoch  int
	}
	type life struct {
		id, place string
		stays     []stay
	}
	var lives []*life
	now, epoch := begun, 0
	for len(w.events) < n {
		now = now.Add(time.Duration(rng.IntN(int(20 * time.Minute * 50 / time.Duration(n+1)))))
		if len(lives) < 5 || rng.IntN(100) == 0 && len(lives) < 200 {
			l := &life{id: fmt.Sprint("ses_", len(w.events)), place: fmt.Sprint("place-", rng.IntN(4))}
			lives = append(lives, l)
			w.opened++
			w.say(throng.Event{Type: "session.opened.v1", Stream: throng.StreamPlay, Place: throng.PlaceID(l.place), Session: throng.SessionID(l.id), Time: now}, "{}")
			continue
		}
		i := rng.IntN(len(lives))
		l := lives[i]
		of := func(t throng.EventType, s throng.Stream, player string) throng.Event {
			return throng.Event{Type: t, Stream: s, Place: throng.PlaceID(l.place), Session: throng.SessionID(l.id), Player: throng.PlayerID(player), Time: now}
		}
		switch d := rng.IntN(100); {
		case d < 40:
			epoch++
			st := stay{fmt.Sprint("p", rng.IntN(1000)), epoch}
			l.stays = append(l.stays, st)
			w.joins++
			w.players[l.place]++
			w.say(of("player.joined.v1", throng.StreamPlay, st.player), `{"epoch":%d}`, st.epoch)
			w.say(of(throng.EventMatchPlaced, throng.StreamPlay, st.player), `{"wait_ms":%d}`, rng.IntN(3000))
		case d < 70 && len(l.stays) > 0:
			st := l.stays[0]
			l.stays = l.stays[1:]
			w.leaves++
			w.players[l.place]--
			w.say(of("player.left.v1", throng.StreamPlay, st.player), `{"epoch":%d,"round_trip_ms":%d.5}`, st.epoch, rng.IntN(100))
		case d < 90:
			w.created++
			w.say(of("place.kill", throng.StreamPlace, ""), `{"weapon":"bow"}`)
		case d < 95:
			w.paid += 7
			w.say(of("ledger.posted.v1", throng.StreamEconomy, "p1"), `{"kind":"purchase","lines":[{"account":"p1","item":"gold","change":-7},{"account":"@01","item":"gold","change":7}]}`)
		case d < 96: // its server is gone: nobody says that the players left
			w.leaves += int64(len(l.stays))
			w.players[l.place] -= int64(len(l.stays))
			w.ended++
			w.say(of("session.ended.v1", throng.StreamPlay, ""), "{}")
			lives = append(lives[:i], lives[i+1:]...)
		}
	}
	return w
}

// folder keeps files in memory.
type folder map[string][]byte

func (f folder) Put(_ context.Context, name string, data []byte) error {
	if old, ok := f[name]; ok && !bytes.Equal(old, data) {
		return fmt.Errorf("%s was written with other content", name)
	}
	f[name] = bytes.Clone(data)
	return nil
}

type minuteLine struct {
	Place  string `parquet:"place"`
	Joins  int64  `parquet:"joins"`
	Leaves int64  `parquet:"leaves"`
	Opened int64  `parquet:"sessions_opened"`
	Ended  int64  `parquet:"sessions_ended"`
	StayMS int64  `parquet:"stay_ms"`
	Trips  int64  `parquet:"round_trips"`
	Wait   int64  `parquet:"wait_ms"`
}

type countLine struct {
	Kind  string `parquet:"kind"`
	Name  string `parquet:"name"`
	Count int64  `parquet:"count"`
}

// sums adds up all that files say.
func (f folder) sums(t *testing.T) map[string]int64 {
	t.Helper()
	out := map[string]int64{}
	for name, data := range f {
		if strings.HasPrefix(name, "minutes/") {
			for _, l := range read[minuteLine](t, data) {
				if !strings.Contains(name, "/place="+l.Place+"/") {
					t.Errorf("%s has a line of %s", name, l.Place)
				}
				out["joins"] += l.Joins
				out["leaves"] += l.Leaves
				out["opened"] += l.Opened
				out["ended"] += l.Ended
				out["stay"] += l.StayMS
				out["trips"] += l.Trips
				out["wait"] += l.Wait
			}
			continue
		}
		for _, l := range read[countLine](t, data) {
			out[l.Kind+" "+l.Name] += l.Count
		}
	}
	return out
}

func read[T any](t *testing.T, data []byte) []T {
	t.Helper()
	lines, err := parquet.Read[T](bytes.NewReader(data), int64(len(data)))
	if err != nil {
		t.Fatal(err)
	}
	return lines
}

// totals are the rows that say what was counted since the beginning.
func totals(rows map[string][]byte) map[string]string {
	out := map[string]string{}
	for k, v := range rows {
		if strings.HasPrefix(k, "t/") {
			out[k] = string(v)
		}
	}
	return out
}

func soak(short, long int) int {
	if times, _ := strconv.Atoi(os.Getenv("THRONG_SOAK")); times > 0 { //nolint:forbidigo // a test's own
		return long * times
	}
	return short
}

// TestCrashEverywhere: totals, and the sums of the files, are those of a clean run,
// and those of what happened.
func TestCrashEverywhere(t *testing.T) {
	t.Parallel()
	w := makeWorld(soak(8000, 200_000), 1)
	clean, crashed := folder{}, folder{}
	for seed := range uint64(2) {
		clear(crashed)
		clear(clean)
		board := memory.NewBoard()
		into := func(files folder) func(consumer.Shard) consumer.Keeper {
			return func(s consumer.Shard) consumer.Keeper {
				return analytics.New(analytics.Config{Shard: s, Files: files, Board: board, FileEvery: 5 * time.Minute, Now: farAhead})
			}
		}
		err := contract.ConsumerCrash(t, contract.ConsumerPlay{
			Events: w.events, Clean: memory.NewShards(), Store: memory.NewShards(), Seed: seed, New: into(crashed), NewClean: into(clean),
			Same: func(want, got map[string][]byte) error {
				if a, b := totals(want), totals(got); !reflect.DeepEqual(a, b) {
					return fmt.Errorf("totals are %v, %v in a clean run", b, a)
				}
				return nil
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		want := clean.sums(t)
		if got := crashed.sums(t); !reflect.DeepEqual(got, want) {
			t.Errorf("seed %d: files say %v, %v in a clean run", seed, got, want)
		}
		for name, n := range map[string]int64{
			"joins": w.joins, "leaves": w.leaves, "opened": w.opened, "ended": w.ended, "event place.kill": w.created, "revenue gold": w.paid,
		} {
			if want[name] != n {
				t.Errorf("%s: files say %d, it happened %d times", name, want[name], n)
			}
		}
	}
}

// farAhead is a clock past all events.
func farAhead() time.Time { return begun.AddDate(1, 0, 0) }

// play hands events to a consumer with analytics and returns it and its board.
func play(t *testing.T, files analytics.Files, events ...throng.Event) (*consumer.Consumer, analytics.Numbers) {
	t.Helper()
	board, now := memory.NewBoard(), farAhead()
	clock := func() time.Time {
		now = now.Add(time.Second)
		return now
	}
	c, err := consumer.New(consumer.Config{
		Group: "analytics", Store: memory.NewShards(), Parker: noParking{t}, Now: clock, Logger: slog.New(slog.DiscardHandler),
		New: func(s consumer.Shard) consumer.Keeper {
			return analytics.New(analytics.Config{Shard: s, Files: files, Board: board, FileEvery: time.Nanosecond, Now: clock})
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	records := make([]throng.EventRecord, len(events))
	for i, e := range events {
		e.ID = throng.EventID(fmt.Sprint(i))
		records[i] = throng.EventRecord{Event: e, Offset: int64(i)}
	}
	if err := c.Handle(t.Context(), throng.StreamPlay, 0, records); err != nil {
		t.Fatal(err)
	}
	return c, analytics.Numbers{Board: board}
}

type noParking struct{ t *testing.T }

func (p noParking) Park(_ context.Context, _ string, e throng.EventRecord, reason string) error {
	p.t.Errorf("%s was parked: %s", e.Type, reason)
	return nil
}

func presence(player string, day int) throng.Event {
	return throng.Event{
		Type: "presence.changed.v1", Stream: throng.StreamPresence, Place: "arena", Player: throng.PlayerID(player),
		Time: begun.AddDate(0, 0, day), Data: json.RawMessage(`{"in":true}`),
	}
}

// TestRetention counts who comes back after a day and a week, in whatever order it
// is heard.
func TestRetention(t *testing.T) {
	events := []throng.Event{
		presence("ada", 7), presence("ada", 0), presence("ada", 1), presence("ada", 8), presence("bo", 0), presence("bo", 2),
		presence("cy", 1), presence("cy", 2), presence("cy", 2), presence("dee", 0), presence("dee", 7),
	}
	_, numbers := play(t, folder{}, events...)
	n, err := numbers.Numbers(t.Context(), "arena")
	if err != nil {
		t.Fatal(err)
	}
	want := []throng.Cohort{{Day: "2026-03-01", New: 3, NextDay: 1, Week: 2}, {Day: "2026-03-02", New: 1, NextDay: 1, Week: 0}}
	if !reflect.DeepEqual(n.Cohorts, want) {
		t.Errorf("got %+v, want %+v", n.Cohorts, want)
	}
}

// TestLateEventsCountWhenTheyHappened: an event of hours ago counts in its minute.
func TestLateEventsCountWhenTheyHappened(t *testing.T) {
	stay := func(kind, player string, at time.Duration) throng.Event {
		return throng.Event{
			Type: throng.EventType("player." + kind + ".v1"), Stream: throng.StreamPlay, Place: "arena", Session: "ses_1", Player: throng.PlayerID(player),
			Time: begun.Add(at), Data: json.RawMessage(`{"epoch":5,"round_trip_ms":40}`),
		}
	}
	files := folder{}
	c, numbers := play(t, files, stay("left", "ada", 20*time.Minute), stay("joined", "bo", 30*time.Minute), stay("joined", "ada", 10*time.Minute))
	n, err := numbers.Numbers(t.Context(), "arena")
	if err != nil {
		t.Fatal(err)
	}
	if n.Players != 1 || n.Total.Joins != 2 || n.Total.Leaves != 1 || n.Total.StaySeconds != 600 || n.Total.RoundTripMS != 40 {
		t.Errorf("got %+v", n)
	}
	var minutes []string
	for _, m := range n.Minutes {
		minutes = append(minutes, fmt.Sprintf("%s %d+%d-%d", m.Minute.Format("15:04"), m.Players, m.Counts.Joins, m.Counts.Leaves))
	}
	if want := []string{"23:10 1+1-0", "23:20 0+0-1", "23:30 1+1-0"}; !reflect.DeepEqual(minutes, want) {
		t.Errorf("minutes: got %v, want %v", minutes, want)
	}
	for range 3 {
		if err := c.Idle(t.Context(), throng.StreamPlay, 0); err != nil {
			t.Fatal(err)
		}
	}
	if got := files.sums(t)["joins"]; got != 2 {
		t.Errorf("files have %d joins, want 2", got)
	}
}

// TestAnotherReader lets a reader that is not ours open the files, where there is
// one: DuckDB or Arrow for Python.
func TestAnotherReader(t *testing.T) {
	w := makeWorld(2000, 4)
	dir := t.TempDir()
	c, _ := play(t, onDisk(dir), w.events...)
	for range 3 {
		if err := c.Idle(t.Context(), throng.StreamPlay, 0); err != nil {
			t.Fatal(err)
		}
	}
	python := os.Getenv("THRONG_PYTHON") //nolint:forbidigo // a test's own
	if python == "" {
		python = "python3"
	}
	scripts := map[string]string{
		"duckdb": `import duckdb,sys
print(*duckdb.sql("select cast(sum(joins) as bigint), cast(sum(leaves) as bigint) from read_parquet('%s/minutes/**/*.parquet', hive_partitioning=true)").fetchall()[0])`,
		"pyarrow": `import pyarrow.dataset as d,pyarrow.compute as c
t=d.dataset('%s/minutes',format='parquet',partitioning='hive').to_table()
print(c.sum(t['joins']),c.sum(t['leaves']))`,
	}
	tried := 0
	for name, script := range scripts {
		if exec.CommandContext(t.Context(), python, "-c", "import "+name).Run() != nil {
			continue
		}
		tried++
		out, err := exec.CommandContext(t.Context(), python, "-c", fmt.Sprintf(script, dir)).CombinedOutput()
		if got, want := strings.TrimSpace(string(out)), fmt.Sprint(w.joins, w.leaves); err != nil || got != want {
			t.Errorf("%s: got %s (%v), want %s", name, got, err, want)
		}
	}
	if tried == 0 {
		t.Skipf("%s has neither duckdb nor pyarrow: only our own reader opened the files (pip install duckdb, or THRONG_PYTHON=PROGRAM)", python)
	}
}

// onDisk keeps files in a folder.
type onDisk string

func (d onDisk) Put(_ context.Context, name string, data []byte) error {
	name = filepath.Join(string(d), name)
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		return err
	}
	return os.WriteFile(name, data, 0o600)
}

// BenchmarkAnalytics is events a second of one partition, store included.
func BenchmarkAnalytics(b *testing.B) {
	board := memory.NewBoard()
	contract.ConsumerRate(b, contract.ConsumerLoad{
		Store: memory.NewShards(), Stream: throng.StreamPlay, Now: farAhead, Events: makeWorld(200_000, 1).events,
		New: func(s consumer.Shard) consumer.Keeper {
			return analytics.New(analytics.Config{Shard: s, Files: folder{}, Board: board, Now: farAhead})
		},
		Each: func(e *throng.Event, round int) { e.Session += throng.SessionID(fmt.Sprint("_", round)) },
	})
}
