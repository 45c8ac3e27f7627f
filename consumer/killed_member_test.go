package consumer_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/signal"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/bolt"
	"github.com/throng-gg/throng/consumer"
	"github.com/throng-gg/throng/disk"
	"github.com/throng-gg/throng/dynamo"
	"github.com/throng-gg/throng/kafka"
)

// TestMain lets this binary be a process that consumes.
func TestMain(m *testing.M) {
	switch {
	case len(os.Args) == 3 && os.Args[1] == "consume":
		os.Exit(consume(os.Args[2]))
	case len(os.Args) == 3 && os.Args[1] == "rate":
		os.Exit(consumeRate(os.Args[2]))
	}
	os.Exit(m.Run())
}

// member is a process that consumes, in all groups.
type member struct {
	URL    string
	Dir    string
	Tables string // in DynamoDB, where shards are; empty: in Dir
	Name   string // in its groups, for good; with Tables it has none
	Silent time.Duration
	Seed   uint64 // of when it kills itself; 0: it does not
}

const (
	exitFenced = 3 // another process has its name
	exitFailed = 4
)

// consume is that process. It ends with SIGTERM.
func consume(text string) int {
	var m member
	err := json.Unmarshal([]byte(text), &m)
	if err == nil {
		ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM) //nolint:forbidigo // a process of its own
		defer stop()
		err = m.run(ctx)
	}
	switch {
	case err == nil:
		return 0
	case throng.KindOf(err) == throng.Conflict:
		return exitFenced
	}
	fmt.Fprintln(os.Stderr, err)
	return exitFailed
}

func (m member) run(ctx context.Context) error {
	log, err := kafka.New(kafka.Config{URL: m.URL, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return err
	}
	defer log.Close()
	f := newFate(m.Seed)
	store, err := m.store(ctx)
	if err != nil {
		return err
	}
	k := kept{store: fatedStore{store, f}, parker: fatedParker{log, f}, files: fatedFiles{disk.Files{Dir: filepath.Join(m.Dir, filesFolder)}, f}, now: time.Now}
	all, ctx := errgroup.WithContext(ctx)
	says := sync.OnceFunc(func() { fmt.Fprintln(os.Stdout, "it consumes") })
	for group, streams := range groups {
		sink, err := k.consumer(group)
		if err != nil {
			return err
		}
		cfg := kafka.GroupConfig{
			Group: group, Member: m.Name + "-" + group, Streams: streams, Handler: fatedSink{sink, f, says}, Batch: 100, Silent: m.Silent, Idle: 200 * time.Millisecond,
		}
		if m.Tables != "" { // as control planes have it
			cfg.Member, cfg.Batch = "", 1000
		}
		g, err := log.Group(cfg)
		if err != nil {
			return err
		}
		all.Go(func() error { return g.Run(ctx) })
	}
	return all.Wait()
}

// store is where its shards are.
func (m member) store(ctx context.Context) (consumer.Store, error) {
	if m.Tables == "" {
		return fileStore(m.Dir), nil
	}
	s, err := dynamo.New(ctx, dynamo.Config{URL: m.Tables, Budget: time.Minute, Try: 20 * time.Second})
	if err != nil {
		return nil, err
	}
	return s.Shards(), nil
}

const filesFolder = "files" // in a member's folder; beside it a file for each shard

// fileStore keeps each shard in a file of its own in a folder, which is open during a
// call, so that processes can have it in turns.
type fileStore string

func (d fileStore) with(s consumer.Shard, call func(consumer.Store) error) error {
	for until := time.Now().Add(5 * time.Second); ; {
		file, err := bolt.Open(bolt.Config{Path: filepath.Join(string(d), fmt.Sprintf("%s-%s-%d.db", s.Group, s.Stream, s.Partition))})
		switch {
		case err == nil:
			return errors.Join(call(file.Shards()), file.Close())
		case throng.KindOf(err) != throng.Unavailable || time.Now().After(until):
			return err
		}
	}
}

func (d fileStore) Load(ctx context.Context, s consumer.Shard, visit func(consumer.Row) error) (m consumer.Mark, pages []consumer.Page, err error) {
	err = d.with(s, func(in consumer.Store) (err error) {
		m, pages, err = in.Load(ctx, s, visit)
		return err
	})
	return m, pages, err
}

func (d fileStore) Commit(ctx context.Context, s consumer.Shard, c consumer.Commit) error {
	return d.with(s, func(in consumer.Store) error { return in.Commit(ctx, s, c) })
}

// fate is where a process kills itself.
type fate struct {
	at   string
	left atomic.Int64 // times that it gets past there
}

func newFate(seed uint64) *fate {
	f := &fate{}
	if seed == 0 {
		return f
	}
	rng := rand.New(rand.NewPCG(seed, 6)) //nolint:gosec // it is played again from its seed
	f.at = []string{"commit", "committed", "handled", "parked", "file", "filed", "nowhere"}[rng.IntN(7)]
	f.left.Store(1 + rng.Int64N(20))
	if f.at == "parked" {
		f.left.Store(1 + rng.Int64N(2))
	}
	return f
}

// pass is a place where it may end.
func (f *fate) pass(at string) {
	if f.at == at && f.left.Add(-1) == 0 {
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {}
	}
}

type fatedStore struct {
	consumer.Store
	fate *fate
}

func (s fatedStore) Commit(ctx context.Context, id consumer.Shard, c consumer.Commit) error {
	s.fate.pass("commit")
	err := s.Store.Commit(ctx, id, c)
	s.fate.pass("committed")
	return err
}

type fatedParker struct {
	consumer.Parker
	fate *fate
}

func (p fatedParker) Park(ctx context.Context, group string, e throng.EventRecord, reason string) error {
	err := p.Parker.Park(ctx, group, e, reason)
	p.fate.pass("parked")
	return err
}

type fatedFiles struct {
	files
	fate *fate
}

func (f fatedFiles) Put(ctx context.Context, name string, data []byte) error {
	f.fate.pass("file")
	err := f.files.Put(ctx, name, data)
	f.fate.pass("filed")
	return err
}

func (f fatedFiles) Update(ctx context.Context, name string, change func(old []byte) []byte) error {
	f.fate.pass("file")
	err := f.files.Update(ctx, name, change)
	f.fate.pass("filed")
	return err
}

// fatedSink says on the way out of the process when it has partitions.
type fatedSink struct {
	consumer.Sink
	fate *fate
	says func()
}

func (s fatedSink) Idle(ctx context.Context, stream throng.Stream, partition int32) error {
	s.says()
	return s.Sink.Idle(ctx, stream, partition)
}

func (s fatedSink) Handle(ctx context.Context, stream throng.Stream, partition int32, batch []throng.EventRecord) error {
	s.says()
	err := s.Sink.Handle(ctx, stream, partition, batch)
	s.fate.pass("handled")
	return err
}
