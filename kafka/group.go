package kafka

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/throng-gg/throng"
)

const (
	handlePause = 50 * time.Millisecond // before a batch is handed over again, doubled up to
	handleMost  = 2 * time.Second
	handleTime  = 10 * time.Second // for which that is done before others may take over
	commitTime  = 10 * time.Second
	leaveTime   = 3 * time.Second // after which the others find out by Silent that it left
)

// GroupConfig is what a Group is made of.
type GroupConfig struct {
	Group string
	// Member names this process in the group for good, so that the others do not
	// take its partitions while it restarts; empty: it has no name.
	Member  string
	Streams []throng.Stream
	Handler Handler
	Batch   int           // most events of one turn; default 10,000
	Silent  time.Duration // after which others take its partitions; default 45 s
	Idle    time.Duration // between two calls of Handler.Idle; default 1 s
	// Gather is how long a turn waits for more, from its first event on, as long as it
	// has fewer than Batch; 0: not at all.
	Gather time.Duration
	// Strange is told how many records were no events; nil: they are parked, which needs
	// the right to write to the log.
	Strange func(s throng.Stream, partition int32, n int)
}

// Group is a member of a group of consumers.
type Group struct {
	log *Log
	cfg GroupConfig

	mu   sync.Mutex
	mine map[slot]*standing // guarded by mu; the partitions of this member
}

// slot is a partition of a stream.
type slot struct {
	stream    throng.Stream
	partition int32
}

// standing is how far a partition is.
type standing struct {
	lag    int64
	idleAt time.Time // when Idle was called last, or events were handled
	failed bool      // its last batch was not applied
}

// Group makes a member. It starts nothing.
func (l *Log) Group(cfg GroupConfig) (*Group, error) {
	if cfg.Group == "" || cfg.Handler == nil || len(cfg.Streams) == 0 {
		return nil, throng.Errorf(throng.Invalid, "kafka: a needed part of a group's configuration is missing")
	}
	if cfg.Batch <= 0 {
		cfg.Batch = 10_000
	}
	if cfg.Silent <= 0 {
		cfg.Silent = 45 * time.Second
	}
	if cfg.Idle <= 0 {
		cfg.Idle = time.Second
	}
	return &Group{log: l, cfg: cfg, mine: map[slot]*standing{}}, nil
}

// Run consumes until ctx ends. What was handed over is finished and committed
// first; the group is left, unless it waits for others just then. Conflict: another process has the member's name.
func (g *Group) Run(ctx context.Context) error {
	topics := make([]string, len(g.cfg.Streams))
	for i, s := range g.cfg.Streams {
		topics[i] = g.log.topic(s)
	}
	// A member that leaves while partitions are shared out anew waits for all others to
	// join, which may take a minute.
	living, die := context.WithCancel(context.WithoutCancel(ctx))
	defer die()
	options := append(slices.Clip(g.log.options), kgo.WithContext(living),
		kgo.ConsumerGroup(g.log.prefix+"."+g.cfg.Group), kgo.ConsumeTopics(topics...),
		kgo.DisableAutoCommit(), kgo.BlockRebalanceOnPoll(), kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.SessionTimeout(g.cfg.Silent), kgo.HeartbeatInterval(min(g.cfg.Silent/5, 3*time.Second)), kgo.RebalanceTimeout(max(g.cfg.Silent, time.Minute)),
		kgo.OnPartitionsAssigned(func(_ context.Context, _ *kgo.Client, parts map[string][]int32) { g.assigned(parts) }),
		kgo.OnPartitionsRevoked(func(_ context.Context, _ *kgo.Client, parts map[string][]int32) { g.lost(parts) }),
		kgo.OnPartitionsLost(func(_ context.Context, _ *kgo.Client, parts map[string][]int32) { g.lost(parts) }),
	)
	if g.cfg.Member != "" {
		options = append(options, kgo.InstanceID(g.cfg.Member))
	}
	client, err := kgo.NewClient(options...)
	if err != nil {
		return throng.Errorf(throng.Invalid, "kafka: group %s: %w", g.cfg.Group, err)
	}
	defer func() {
		defer time.AfterFunc(leaveTime, die).Stop()
		client.CloseAllowingRebalance()
	}()
	for ctx.Err() == nil {
		if err := g.turn(ctx, client); err != nil {
			return err
		}
	}
	return nil
}

// turn takes what there is, has it applied and commits it.
func (g *Group) turn(ctx context.Context, client *kgo.Client) error {
	fetches := g.poll(ctx, client)
	defer client.AllowRebalance()
	if fetches.IsClientClosed() || ctx.Err() != nil {
		return nil
	}
	for _, e := range fetches.Errors() {
		switch {
		case errors.Is(e.Err, kerr.FencedInstanceID):
			return throng.Errorf(throng.Conflict, "group %s: another process is its member %q", g.cfg.Group, g.cfg.Member)
		case !errors.Is(e.Err, context.DeadlineExceeded) && !errors.Is(e.Err, context.Canceled):
			g.log.logger.WarnContext(ctx, "events could not be read", "group", g.cfg.Group, "stream", string(g.log.stream(e.Topic)), "err", e.Err)
		}
	}
	var (
		group sync.WaitGroup
		mu    sync.Mutex
		done  []*kgo.Record // the last one of each partition
		back  = map[string]map[int32]kgo.EpochOffset{}
		count = map[throng.Stream]int{}
	)
	for _, p := range partitions(fetches) {
		s := g.log.stream(p.Topic)
		first, last := p.Records[0], p.Records[len(p.Records)-1]
		group.Go(func() {
			at := slot{s, p.Partition}
			ok := g.apply(ctx, s, p.Partition, p.Records)
			mu.Lock()
			defer mu.Unlock()
			if ok {
				g.stands(at, standing{lag: p.HighWatermark - last.Offset - 1})
				done = append(done, last)
				count[s] += len(p.Records)
				return
			}
			g.stands(at, standing{lag: p.HighWatermark - first.Offset, failed: true})
			if back[p.Topic] == nil {
				back[p.Topic] = map[int32]kgo.EpochOffset{}
			}
			back[p.Topic][p.Partition] = kgo.EpochOffset{Epoch: first.LeaderEpoch, Offset: first.Offset}
		})
	}
	group.Wait()
	if len(back) > 0 {
		client.SetOffsets(back)
	}
	g.commit(ctx, client, done, count)
	g.idle(ctx)
	return nil
}

// poll takes what there is, and what comes while it gathers.
func (g *Group) poll(ctx context.Context, client *kgo.Client) kgo.Fetches {
	wait, cancel := context.WithTimeout(ctx, g.cfg.Idle)
	fetches := client.PollRecords(wait, g.cfg.Batch)
	cancel()
	if g.cfg.Gather <= 0 || fetches.NumRecords() == 0 {
		return fetches
	}
	wait, cancel = context.WithTimeout(ctx, g.cfg.Gather)
	defer cancel()
	for n := fetches.NumRecords(); n < g.cfg.Batch && wait.Err() == nil && !fetches.IsClientClosed(); n = fetches.NumRecords() {
		fetches = append(fetches, client.PollRecords(wait, g.cfg.Batch-n)...)
	}
	return fetches
}

// partitions are those with events, each once, with all of its events in order.
func partitions(fetches kgo.Fetches) map[slotOf]kgo.FetchTopicPartition {
	out := map[slotOf]kgo.FetchTopicPartition{}
	fetches.EachPartition(func(p kgo.FetchTopicPartition) {
		if len(p.Records) == 0 {
			return
		}
		at := slotOf{p.Topic, p.Partition}
		if earlier, there := out[at]; there {
			p.Records = append(slices.Clip(earlier.Records), p.Records...)
		}
		out[at] = p
	})
	return out
}

// slotOf is a partition of a topic.
type slotOf struct {
	topic     string
	partition int32
}

// commit says that events are applied. When that fails they come again.
func (g *Group) commit(ctx context.Context, client *kgo.Client, done []*kgo.Record, count map[throng.Stream]int) {
	if len(done) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), commitTime)
	defer cancel()
	if err := client.CommitRecords(ctx, done...); err != nil {
		g.log.logger.InfoContext(ctx, "offsets were not committed, events may come again", "group", g.cfg.Group, "err", err)
		return
	}
	for s, n := range count {
		g.log.metrics.consumed.WithLabelValues(g.cfg.Group, string(s)).Add(float64(n))
	}
}

// apply hands a partition's events over until they are taken, for some time. What
// is no event is parked.
func (g *Group) apply(ctx context.Context, s throng.Stream, partition int32, records []*kgo.Record) bool {
	batch, strange := make([]throng.EventRecord, 0, len(records)), 0
	err := g.try(ctx, func() error {
		batch, strange = batch[:0], 0
		for _, r := range records {
			e, wrong := eventOf(s, r)
			if wrong == nil {
				batch = append(batch, e)
			} else if g.cfg.Strange != nil {
				strange++
			} else if err := g.log.park(ctx, g.cfg.Group, s, r, "it is no event: "+wrong.Error()); err != nil {
				return err
			}
		}
		return nil
	})
	if err == nil && len(batch) > 0 {
		err = g.try(ctx, func() error { return g.cfg.Handler.Handle(ctx, s, partition, batch) })
	}
	if err != nil && ctx.Err() == nil {
		g.log.logger.WarnContext(ctx, "events were not applied, they are tried again", "group", g.cfg.Group, "stream", string(s), "partition", int(partition), "err", err)
	}
	if err == nil && strange > 0 {
		g.cfg.Strange(s, partition, strange)
	}
	return err == nil
}

// try repeats until it works or it took too long.
func (g *Group) try(ctx context.Context, what func() error) error {
	begun, pause := time.Now(), handlePause
	for {
		err := what()
		if err == nil {
			return nil
		}
		g.log.metrics.again.WithLabelValues(g.cfg.Group).Inc()
		if time.Since(begun)+pause > handleTime {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(pause):
			pause = min(2*pause, handleMost)
		}
	}
}

// idle tells the handler of partitions that are quiet.
func (g *Group) idle(ctx context.Context) {
	now := time.Now()
	var quiet []slot
	g.mu.Lock()
	for at, s := range g.mine {
		if !s.failed && now.Sub(s.idleAt) >= g.cfg.Idle {
			s.idleAt = now
			quiet = append(quiet, at)
		}
	}
	g.mu.Unlock()
	for _, at := range quiet {
		if err := g.cfg.Handler.Idle(ctx, at.stream, at.partition); err != nil && ctx.Err() == nil {
			g.log.logger.WarnContext(ctx, "idle work failed, it is tried again", "group", g.cfg.Group, "stream", string(at.stream), "partition", int(at.partition), "err", err)
		}
	}
}

func (g *Group) assigned(parts map[string][]int32) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for topic, list := range parts {
		for _, p := range list {
			g.mine[slot{g.log.stream(topic), p}] = &standing{idleAt: time.Now()}
		}
	}
}

func (g *Group) lost(parts map[string][]int32) {
	for topic, list := range parts {
		for _, p := range list {
			at := slot{g.log.stream(topic), p}
			g.mu.Lock()
			delete(g.mine, at)
			g.mu.Unlock()
			g.cfg.Handler.Lost(at.stream, p)
		}
	}
	g.tellLag()
}

// stands notes how far a partition is now.
func (g *Group) stands(at slot, now standing) {
	g.mu.Lock()
	if s := g.mine[at]; s != nil {
		s.failed, s.lag, s.idleAt = now.failed, max(now.lag, 0), time.Now()
	}
	g.mu.Unlock()
	g.tellLag()
}

func (g *Group) tellLag() {
	g.mu.Lock()
	defer g.mu.Unlock()
	sums := map[throng.Stream]int64{}
	for _, s := range g.cfg.Streams {
		sums[s] = 0
	}
	for at, s := range g.mine {
		sums[at.stream] += s.lag
	}
	for s, n := range sums {
		g.log.metrics.lag.WithLabelValues(g.cfg.Group, string(s)).Set(float64(n))
	}
}

// String names the member.
func (g *Group) String() string { return fmt.Sprintf("%s/%s", g.cfg.Group, g.cfg.Member) }
