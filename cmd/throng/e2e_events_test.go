package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/bolt"
	"github.com/throng-gg/throng/bot"
	"github.com/throng-gg/throng/event/eventtest"
	"github.com/throng-gg/throng/kafka"
	"github.com/throng-gg/throng/kafka/embedded"
	"github.com/throng-gg/throng/ledger"
)

// eventCollector is a handler that keeps every event once, and what is wrong with it.
type eventCollector struct {
	mu     sync.Mutex
	events map[throng.EventID]throng.EventRecord
	wrong  []error
	poison throng.EventID // cannot be applied
	park   func(e throng.EventRecord) error
}

// Handle keeps a batch.
func (c *eventCollector) Handle(_ context.Context, _ throng.Stream, _ int32, batch []throng.EventRecord) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, e := range batch {
		if e.ID == c.poison {
			if err := c.park(e); err != nil {
				return err
			}
			continue
		}
		if err := eventtest.Check(e.Event); err != nil {
			c.wrong = append(c.wrong, err)
		}
		c.events[e.ID] = e
	}
	return nil
}

// Idle does nothing.
func (c *eventCollector) Idle(context.Context, throng.Stream, int32) error { return nil }

// Lost does nothing.
func (c *eventCollector) Lost(throng.Stream, int32) {}

// of are the events of a type, by time.
func (c *eventCollector) of(kind throng.EventType) []throng.EventRecord {
	c.mu.Lock()
	defer c.mu.Unlock()
	list := slices.DeleteFunc(slices.Collect(maps.Values(c.events)), func(e throng.EventRecord) bool { return e.Type != kind })
	slices.SortFunc(list, func(a, b throng.EventRecord) int { return a.Time.Compare(b.Time) })
	return list
}

// collectEvents runs a group of all streams until the test ends.
func collectEvents(t *testing.T, url string) (*eventCollector, *kafka.Log) {
	t.Helper()
	log, err := kafka.New(kafka.Config{URL: url, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	c := &eventCollector{events: map[throng.EventID]throng.EventRecord{}}
	c.park = func(e throng.EventRecord) error {
		return log.Park(context.Background(), "collector", e, "it is poisoned")
	}
	g, err := log.Group(kafka.GroupConfig{Group: "collector", Streams: throng.Streams(), Handler: c, Idle: 100 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- g.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		log.Close()
	})
	return c, log
}

// TestKafkaStopsUnderBots: Kafka is away while bots play, for 3 s, or for 60 s under
// 100 bots with THRONG_SOAK. Everything that they did is in the log afterwards: joins
// and leaves, every sample of each without a gap, and every transfer that the ledger
// has. In the long form the same crowd plays first while Kafka is there, and no more
// steps may be late without it.
func TestKafkaStopsUnderBots(t *testing.T) {
	t.Parallel()
	if os.Getenv("THRONG_SOAK") == "" { //nolint:forbidigo // a test's own
		playWithoutKafka(t, kafkaCrowd{players: 10, before: time.Second, away: 3 * time.Second})
		return
	}
	crowd := kafkaCrowd{players: 100, before: 70 * time.Second}
	there := playWithoutKafka(t, crowd)
	crowd.before, crowd.away = 10*time.Second, time.Minute
	away := playWithoutKafka(t, crowd)
	if most := 2*there.skipped + there.ticks/1000; away.skipped*there.ticks > most*away.ticks {
		t.Errorf("%d of %d steps were skipped without Kafka, %d of %d with it", away.skipped, away.ticks, there.skipped, there.ticks)
	}
	if most := 2*there.p99 + 2; away.p99 > most {
		t.Errorf("a step in a hundred took %.1f ms and more without Kafka, %.1f ms with it", away.p99, there.p99)
	}
	t.Logf("steps without Kafka to steps with it: p99 %.2f times as long", away.p99/there.p99)
}

// TestSessionsShareTheirPlacesEvents: what scripts of a place publish is bounded for all
// its sessions together: one alone may have all of it, two have half of it each.
func TestSessionsShareTheirPlacesEvents(t *testing.T) {
	t.Parallel()
	r := startDev(t, "--place-events", "4")
	r.publish("busy", "1", `
local told = 0
place.on("tick", function()
  while events.publish("tick", {at = place.tick}) do told = told + 1 end
  if place.tick % 150 == 0 then -- 5 s
    print("told " .. told .. ".")
    told = 0
  end
end)`)
	says := func(s throng.SessionID, what string) {
		t.Helper()
		out := ""
		eventually(t, time.Minute, string(s)+" publishes as much as it may", func() bool {
			_, out = throngCommand(t, "logs", "busy", "--session", string(s), "--addr", r.url)
			return strings.Contains(out, what)
		})
		if !strings.Contains(out, what) {
			t.Errorf("%s: want %q in\n%s", s, what, out)
		}
	}
	ada := r.enter("busy", nil, throng.ModeDropIn, "ada")[0]
	says(ada.where, "told 20.")
	bo := r.enter("busy", nil, throng.ModeDropIn, "bo")[0]
	if ada.where == bo.where {
		t.Fatalf("both are in %s, which has one seat", ada.where)
	}
	says(ada.where, "told 10.")
	says(bo.where, "told 10.")
}

// kafkaCrowd is players, and how long Kafka is there before it is away. away 0: it
// is there always.
type kafkaCrowd struct {
	players      int
	before, away time.Duration
}

// playWithoutKafka lets a crowd play in a region of its own, and returns how late its
// game servers were.
func playWithoutKafka(t *testing.T, c kafkaCrowd) lateness {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "kafka")
	broker, err := embedded.Open(embedded.Config{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { broker.Close() })
	port, err := broker.Port()
	if err != nil {
		t.Fatal(err)
	}
	if status, out := throngCommand(t, "setup", "kafka", broker.Address(), "--partitions", "3"); status != 0 || strings.Count(out, "made ") != len(throng.Streams())+1 {
		t.Fatalf("setup: %d %s", status, out)
	}
	r := startDev(t, "--kafka", broker.Address())
	got, _ := collectEvents(t, broker.Address())
	stopped := make(chan error, 1)
	go func() {
		napE2E(t.Context(), c.before)
		if c.away == 0 {
			stopped <- nil
			return
		}
		broker.Close()
		napE2E(t.Context(), c.away)
		again, err := embedded.Open(embedded.Config{Dir: dir, Port: port})
		if err == nil {
			broker = again
		}
		stopped <- err
	}()
	report := r.bots(t.Context(), bot.Config{Place: "bazaar", Players: c.players, For: c.before + c.away + time.Second})
	if err := <-stopped; err != nil {
		t.Fatal(err)
	}
	if report.Failed != 0 || report.Mismatched != 0 {
		t.Errorf("failed %d, mismatched %d", report.Failed, report.Mismatched)
	}
	got.checkStays(t, report, c.players)
	checkSamples(t, got.of(throng.EventMotionSampled), c.players)
	r.prog.stop(syscall.SIGINT) // everything posted is in the file
	posted := checkPosted(t, r.data, got)
	late := lateSteps(t, r.data)
	t.Logf("%d bots, Kafka away %s: %d samples, %d transfers, %+v", c.players, c.away, len(got.of(throng.EventMotionSampled)), posted, late)
	if late.dropped != 0 {
		t.Errorf("%d events were dropped, of fewer than there is room for", late.dropped)
	}
	got.mu.Lock()
	defer got.mu.Unlock()
	for _, err := range got.wrong {
		t.Error(err)
	}
	return late
}

// checkStays waits until the log has everybody's stay, as the bots tell it.
func (c *eventCollector) checkStays(t *testing.T, report bot.Report, players int) {
	t.Helper()
	eventually(t, 2*time.Minute, "everybody who joined has left in the log", func() bool {
		return len(c.of(throng.EventPlayerLeft)) >= players && len(c.of(throng.EventPresenceChanged)) >= 2*players
	})
	if joined, placed := len(c.of(throng.EventPlayerJoined)), len(c.of(throng.EventMatchPlaced)); joined != report.Joined || placed < report.Joined {
		t.Errorf("%d joins and %d placed in the log, %d joined", joined, placed, report.Joined)
	}
}

// checkSamples says where samples of a player are missing: each begins where the one
// before ended.
func checkSamples(t *testing.T, list []throng.EventRecord, players int) {
	t.Helper()
	ends := map[throng.PlayerID]time.Time{}
	for _, e := range list {
		var m throng.MotionSampled
		if err := json.Unmarshal(e.Data, &m); err != nil {
			t.Fatal(err)
		}
		begun := e.Time.Add(-time.Duration(m.SpanMS) * time.Millisecond)
		if end, known := ends[e.Player]; known && begun.Sub(end).Abs() > 700*time.Millisecond {
			t.Errorf("%s: a sample of %s begins %s after the one before ended", e.Player, begun.Format(time.StampMilli), begun.Sub(end))
		}
		ends[e.Player] = e.Time
	}
	if len(ends) != players {
		t.Errorf("samples of %d players, want %d", len(ends), players)
	}
}

// checkPosted compares the log with the ledger's file: what was committed there, and
// nothing else, was announced by somebody, or stands in the outbox still.
func checkPosted(t *testing.T, data string, got *eventCollector) int {
	t.Helper()
	file, err := bolt.Open(bolt.Config{Path: filepath.Join(data, ownFile), ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := file.Close(); err != nil {
			t.Error(err)
		}
	}()
	waiting := map[throng.EventID]bool{}
	stop := fmt.Errorf("only looked at")
	if err := file.Ledger().Drain(t.Context(), 1_000_000, func(list []ledger.Posting) error {
		for _, p := range list {
			e, err := ledger.EventOf("local", p)
			if err != nil {
				return err
			}
			waiting[e.ID] = true
		}
		return stop
	}); err != nil && !strings.Contains(err.Error(), stop.Error()) {
		t.Fatal(err)
	}
	books := map[throng.EventID]bool{}
	if err := file.Ledger().Walk(t.Context(), func(row ledger.Row) error {
		if row.Record == nil {
			return nil
		}
		e, err := ledger.EventOf("local", ledger.Posting{Game: row.Game, Record: *row.Record})
		books[e.ID] = true
		return err
	}); err != nil {
		t.Fatal(err)
	}
	var announced []throng.EventRecord
	eventually(t, time.Minute, "what was committed is read, or waits", func() bool {
		known := maps.Clone(waiting)
		announced = got.of(throng.EventLedgerPosted)
		for _, e := range announced {
			known[e.ID] = true
		}
		for id := range books {
			if !known[id] {
				return false
			}
		}
		return true
	})
	for _, e := range announced {
		if !books[e.ID] {
			t.Errorf("%s was announced and not committed", e.Data)
		}
	}
	if len(announced) == 0 {
		t.Error("no transfer was announced")
	}
	return len(announced)
}

// lateness is what game servers say of their steps, and of what they published.
type lateness struct {
	ticks, skipped int64
	p99            float64 // ms, of the slowest session
	dropped        int64
}

// lateSteps reads the logs of game servers.
func lateSteps(t *testing.T, data string) (l lateness) {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(data, "logs", "*.log"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(text)) {
			switch {
			case strings.Contains(line, "session ended"):
				l.ticks += int64(attribute(line, "ticks="))
				l.skipped += int64(attribute(line, "skipped="))
			case strings.Contains(line, "steps_p99_ms="):
				l.p99 = max(l.p99, attribute(line, "steps_p99_ms="))
			case strings.Contains(line, "events are published again"):
				l.dropped += int64(attribute(line, "dropped="))
			}
		}
	}
	return l
}

// TestEventsCommand: what cannot be applied is parked, listed, and replayed once it
// can.
func TestEventsCommand(t *testing.T) {
	t.Parallel()
	broker, err := embedded.Open(embedded.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(broker.Close)
	if status, out := throngCommand(t, "events", "--kafka", broker.Address()); status != 1 || !strings.Contains(out, "throng setup kafka") {
		t.Errorf("events without topics: %d %s", status, out)
	}
	if status, out := throngCommand(t, "setup", "kafka", broker.Address()); status != 0 {
		t.Fatalf("setup: %d %s", status, out)
	}
	if status, out := throngCommand(t, "setup", "kafka", broker.Address()); status != 0 || !strings.Contains(out, "all topics are there") {
		t.Errorf("setup again: %d %s", status, out)
	}
	c, log := collectEvents(t, broker.Address())
	c.poison = "e3"
	var list []throng.Event
	for i := range 10 {
		e, err := throng.MakeEvent(throng.Event{
			ID: throng.EventID("e" + strconv.Itoa(i)), Type: throng.EventSessionEnded, Stream: throng.StreamPlay, Key: "ses_1", Time: time.Now(),
		}, throng.SessionOver{Reason: "late"})
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, e)
	}
	if err := log.Publish(t.Context(), list); err != nil {
		t.Fatal(err)
	}
	eventually(t, time.Minute, "the rest flows", func() bool { return len(c.of(throng.EventSessionEnded)) == 9 })
	var out string
	eventually(t, time.Minute, "it is parked", func() bool {
		_, out = throngCommand(t, "events", "parked", "--kafka", broker.Address())
		return strings.Contains(out, "it is poisoned")
	})
	if !strings.Contains(out, "session.ended.v1") || !strings.Contains(out, "collector") {
		t.Errorf("parked:\n%s", out)
	}
	if status, out := throngCommand(t, "events", "replay", "nothing", "--kafka", broker.Address()); status != 1 || !strings.Contains(out, "nothing is parked as nothing") {
		t.Errorf("replay of what is not there: %d %s", status, out)
	}
	c.mu.Lock()
	c.poison = ""
	c.mu.Unlock()
	if status, out := throngCommand(t, "events", "replay", "e3", "--kafka", broker.Address()); status != 0 || !strings.Contains(out, "replayed 1 events") {
		t.Errorf("replay: %d %s", status, out)
	}
	eventually(t, time.Minute, "it is applied", func() bool { return len(c.of(throng.EventSessionEnded)) == 10 })
	if status, out := throngCommand(t, "events", "parked", "--kafka", broker.Address()); status != 0 || !strings.Contains(out, "nothing is parked") {
		t.Errorf("afterwards: %d %s", status, out)
	}
	if status, out := throngCommand(t, "events", "streams", "--kafka", broker.Address()); status != 0 || !strings.Contains(out, "collector") {
		t.Errorf("streams: %d %s", status, out)
	}
}
