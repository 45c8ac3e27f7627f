package consumer_test

import (
	"cmp"
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/disk"
	"github.com/throng-gg/throng/dynamo"
	"github.com/throng-gg/throng/dynamo/dynamotest"
	"github.com/throng-gg/throng/kafka"
	"github.com/throng-gg/throng/kafka/embedded"
	"github.com/throng-gg/throng/kafka/kafkatest"
)

const (
	killEvery      = 2 * time.Second
	killSilent     = 1500 * time.Millisecond // after which a member is given up
	killPartitions = 4
	killChunk      = 250 // events
	killReach      = 60  // see disorder
	// Events of the world's day are of any age, and brokers forget by that.
	killKeep = 100 * 365 * 24 * time.Hour
)

// soak is how many times as long the long form is; 0: it is not asked for.
func soak() int {
	times, _ := strconv.Atoi(os.Getenv("THRONG_SOAK")) //nolint:forbidigo // a test's own
	return times
}

// TestKilledConsumers: two processes consume in all groups while one after the other
// is killed every 2 s, or dies by itself in the middle of a commit, of a file or of
// parking; comes back under its name, under another one, or while the one before
// only hangs; and the broker restarts. What they made of 20,000 events, or 1,000,000
// with THRONG_SOAK, that come twice and in another order, is what a clean run makes of
// them.
func TestKilledConsumers(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	b, err := embedded.Open(embedded.Config{Dir: dir, Silent: killSilent})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	port, err := b.Port()
	if err != nil {
		t.Fatal(err)
	}
	r := killRun{address: b.Address(), events: 20_000, pace: 150 * time.Millisecond, seed: 1, restart: func() error {
		b.Close()
		again, err := embedded.Open(embedded.Config{Dir: dir, Port: port, Silent: killSilent})
		if err == nil {
			b = again
		}
		return err
	}}
	if soak() > 0 {
		r.events, r.pace = 1_000_000*soak(), 50*time.Millisecond
	}
	r.run(t)
}

// TestKilledConsumersOnKafka is the same on a real one, in the long form alone.
func TestKilledConsumersOnKafka(t *testing.T) {
	if soak() == 0 {
		t.Skip("NOT TESTED on a real Kafka: it takes minutes, THRONG_SOAK=1 has it")
	}
	s := kafkatest.Start(t)
	killRun{address: s.Address(), events: 100_000 * soak(), pace: 200 * time.Millisecond, seed: 2, restart: func() error {
		s.Kill()
		s.Again()
		return nil
	}}.run(t)
}

// TestKilledConsumersShareTables: three processes share partitions whose shards are in
// DynamoDB, as control planes do. One is killed while it works, and another one later,
// for which one more comes; with THRONG_SOAK they are killed and hang as above.
// What they made of the events is what a clean run makes of them.
func TestKilledConsumersShareTables(t *testing.T) {
	t.Parallel()
	url := dynamotest.Start(t) + "/killed"
	s, err := dynamo.New(t.Context(), dynamo.Config{URL: url})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Setup(t.Context(), dynamo.Capacity{}, dynamo.Capacity{}); err != nil {
		t.Fatal(err)
	}
	b, err := embedded.Open(embedded.Config{Dir: t.TempDir(), Silent: killSilent})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	r := killRun{address: b.Address(), tables: url, partitions: 2, events: 10_000, pace: 50 * time.Millisecond, seed: 3, restart: func() error { return nil }}
	if soak() > 0 {
		r.events, r.pace = 30_000*soak(), 200*time.Millisecond
	} else {
		r.how = killRun.share
	}
	r.run(t)
}

// share publishes the records under three processes, of which two are killed, until
// all are applied.
func (r killRun) share(t *testing.T, h *herd, log *kafka.Log, records []throng.Event) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	var all []*process
	come := func() {
		p, err := h.start("", 0)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
	for range 3 {
		come()
	}
	for _, p := range all {
		<-p.works
	}
	for i := range 3 {
		if err := r.publish(ctx, log, records[len(records)*i/3:len(records)*(i+1)/3]); err != nil {
			t.Fatal(err)
		}
		switch i {
		case 0:
			all[0].signal(syscall.SIGKILL)
		case 1:
			all[1].signal(syscall.SIGKILL)
			come()
		}
	}
	if err := until(ctx, "all events are applied", func() bool { return applied(ctx, log) }); err != nil {
		t.Error(err)
	}
	for _, p := range all {
		p.signal(syscall.SIGTERM)
		if err := p.gone(); err != nil {
			t.Error(err)
		}
	}
}

// killRun is one such run.
type killRun struct {
	how        func(r killRun, t *testing.T, h *herd, log *kafka.Log, records []throng.Event) // nil: play
	tables     string                                                                         // in DynamoDB; empty: shards are in files
	address    string
	restart    func() error // of the broker
	partitions int32        // of a stream; 0: killPartitions
	events     int
	pace       time.Duration // of publishing a chunk
	seed       uint64
}

// run plays it.
func (r killRun) run(t *testing.T) {
	t.Helper()
	r.partitions = cmp.Or(r.partitions, killPartitions)
	w := makeWorld(r.events, r.seed)
	want := w.clean(t)
	log, err := kafka.New(kafka.Config{URL: r.address, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(log.Close)
	if _, err := log.Setup(t.Context(), kafka.SetupConfig{Partitions: int(r.partitions), Keep: killKeep}); err != nil {
		t.Fatal(err)
	}
	h := &herd{member: member{URL: r.address, Dir: t.TempDir(), Tables: r.tables, Silent: killSilent}, seed: r.seed}
	records := append(w.disorder(killReach), w.last...)
	if r.how == nil {
		r.how = killRun.play
	}
	r.how(r, t, h, log, records)
	store, err := h.member.store(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	k := kept{store: store, parker: log, files: disk.Files{Dir: filepath.Join(h.member.Dir, filesFolder)}}
	got, err := k.finish(t.Context(), filepath.Join(h.member.Dir, filesFolder), r.partitions)
	if err != nil {
		t.Fatal(err)
	}
	if n, err := published(t.Context(), log); err != nil || n < int64(len(records)) {
		t.Fatalf("brokers have %d of %d records that they took (%v)", n, len(records), err)
	}
	list, err := log.Parked(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	parked := map[string]bool{}
	for _, p := range list {
		parked[p.Group+" "+string(p.ID)] = true
	}
	got.park(parked)
	for _, d := range got.differ(want) {
		t.Error(d)
	}
	t.Logf("%d events, %d records, %d sums; %v", len(w.events)+len(w.last), len(records), len(want), h.count)
}

// play publishes the records under the herd, until all are applied.
func (r killRun) play(t *testing.T, h *herd, log *kafka.Log, records []throng.Event) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute+2*r.pace*time.Duration(len(records)/killChunk))
	defer cancel()
	killing, stopKilling := context.WithCancel(ctx)
	defer stopKilling()
	ending, end := context.WithCancel(ctx)
	defer end()
	all, ctx := errgroup.WithContext(ctx)
	for slot := range uint64(2) {
		all.Go(func() error { return h.keep(killing, ending, slot) })
	}
	all.Go(func() error {
		defer end()
		if err := r.publish(ctx, log, records); err != nil {
			return err
		}
		if err := until(ctx, "each kind of end", func() bool { return h.lacks() == "" }); err != nil {
			return err
		}
		stopKilling()
		return until(ctx, "all events are applied", func() bool { return applied(ctx, log) })
	})
	if err := all.Wait(); err != nil {
		t.Fatal(err, h.count)
	}
}

// until waits for something.
func until(ctx context.Context, what string, is func() bool) error {
	for !is() {
		select {
		case <-ctx.Done():
			return throng.Errorf(throng.Internal, "never: %s", what)
		case <-time.After(200 * time.Millisecond):
		}
	}
	return nil
}

// publish publishes records in chunks; the broker restarts twice meanwhile.
func (r killRun) publish(ctx context.Context, log *kafka.Log, records []throng.Event) error {
	var restarts errgroup.Group
	chunks := (len(records) + killChunk - 1) / killChunk
	for i := range chunks {
		if i == chunks/3 || i == chunks*2/3 {
			restarts.Go(r.restart)
		}
		part := records[i*killChunk : min((i+1)*killChunk, len(records))]
		for {
			once, cancel := context.WithTimeout(ctx, 5*time.Second)
			err := log.Publish(once, part)
			cancel()
			if err == nil {
				break
			}
			if ctx.Err() != nil || throng.KindOf(err) != throng.Unavailable {
				return err
			}
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(r.pace):
		}
	}
	return restarts.Wait()
}

// published counts the records of all streams.
func published(ctx context.Context, log *kafka.Log) (n int64, err error) {
	list, err := log.Status(ctx)
	for _, s := range list {
		if s.Stream != throng.StreamParked {
			n += s.Events
		}
	}
	return n, err
}

// applied says whether all groups are at the end of all streams.
func applied(ctx context.Context, log *kafka.Log) bool {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	list, err := log.Status(ctx)
	if err != nil {
		return false
	}
	missing := 0
	for _, streams := range groups {
		missing += len(streams)
	}
	for _, s := range list {
		for _, g := range s.Groups {
			if g.Lag > 0 || g.Members == 0 {
				return false
			}
			missing--
		}
	}
	return missing == 0
}
