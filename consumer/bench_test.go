package consumer_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/consumer"
	"github.com/throng-gg/throng/kafka"
	"github.com/throng-gg/throng/kafka/embedded"
	"github.com/throng-gg/throng/kafka/kafkatest"
	"github.com/throng-gg/throng/memory"
)

// BenchmarkProcesses is samples a second that anti-cheat consumers of one core each
// take from two partitions: one process has both of them, or two have one each.
func BenchmarkProcesses(b *testing.B) {
	for broker, start := range map[string]func(b *testing.B) string{
		"embedded": func(b *testing.B) string {
			b.Helper()
			own, err := embedded.Open(embedded.Config{})
			if err != nil {
				b.Fatal(err)
			}
			b.Cleanup(func() { own.Close() })
			return own.Address()
		},
		"kafka": func(b *testing.B) string {
			b.Helper()
			return kafkatest.Start(b).Address()
		},
	} {
		for processes := range 2 {
			b.Run(fmt.Sprintf("%s/processes=%d", broker, processes+1), func(b *testing.B) {
				url, took, count := start(b), time.Duration(0), 0
				for b.Loop() {
					once, n := rate(b, url, processes+1)
					took, count = took+once, count+n
				}
				b.ReportMetric(float64(count)/took.Seconds(), "events/s")
			})
		}
	}
}

// rate lets processes consume what is published while they wait, and says how long
// they took for it.
func rate(b *testing.B, url string, processes int) (took time.Duration, events int) {
	b.Helper()
	log, err := kafka.New(kafka.Config{URL: url, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		b.Fatal(err)
	}
	defer log.Close()
	if _, err := log.Setup(b.Context(), kafka.SetupConfig{Partitions: 2, Keep: killKeep}); err != nil {
		b.Fatal(err)
	}
	var gates []io.Closer
	for range processes {
		cmd := exec.CommandContext(b.Context(), os.Args[0], "rate", url)
		cmd.Stderr = os.Stderr
		gate, err := cmd.StdinPipe()
		if err != nil {
			b.Fatal(err)
		}
		says, err := cmd.StdoutPipe()
		if err != nil {
			b.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			b.Fatal(err)
		}
		defer func() {
			_ = cmd.Process.Signal(syscall.SIGTERM)
			_ = cmd.Wait()
		}()
		gates = append(gates, gate)
		if _, err := says.Read(make([]byte, 1)); err != nil { // it has a partition, and keeps it
			b.Fatal(err)
		}
	}
	w := makeWorld(500_000, 1)
	var list []throng.Event
	for _, e := range w.events {
		if e.Stream == throng.StreamMotion {
			list = append(list, e)
		}
	}
	for from := 0; from < len(list); from += 5000 {
		if err := log.Publish(b.Context(), list[from:min(from+5000, len(list))]); err != nil {
			b.Fatal(err)
		}
	}
	begun := time.Now()
	for _, g := range gates {
		_ = g.Close()
	}
	for {
		status, err := log.Status(b.Context())
		if err != nil {
			b.Fatal(err)
		}
		for _, s := range status {
			for _, g := range s.Groups {
				if s.Stream == throng.StreamMotion && g.Lag == 0 {
					return time.Since(begun), len(list)
				}
			}
		}
		<-time.After(20 * time.Millisecond)
	}
}

// gated hands nothing over until its input ends.
type gated struct {
	consumer.Sink
	open func()
	says func()
}

// Idle says that it has a partition.
func (g gated) Idle(ctx context.Context, s throng.Stream, partition int32) error {
	g.says()
	return g.Sink.Idle(ctx, s, partition)
}

// Handle waits first.
func (g gated) Handle(ctx context.Context, s throng.Stream, partition int32, batch []throng.EventRecord) error {
	g.open()
	return g.Sink.Handle(ctx, s, partition, batch)
}

// consumeRate is such a process: of one core, with its shards in memory.
func consumeRate(url string) int {
	runtime.GOMAXPROCS(1)
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM) //nolint:forbidigo // a process of its own
	defer stop()
	log, err := kafka.New(kafka.Config{URL: url, Logger: slog.New(slog.DiscardHandler)})
	if err == nil {
		defer log.Close()
		err = consumeGated(ctx, log)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return exitFailed
	}
	return 0
}

func consumeGated(ctx context.Context, log *kafka.Log) error {
	sink, err := kept{store: memory.NewShards(), parker: log, files: nowhere{}, now: time.Now}.consumer("anticheat")
	if err != nil {
		return err
	}
	g, err := log.Group(kafka.GroupConfig{
		Group: "rate", Streams: []throng.Stream{throng.StreamMotion}, Idle: 100 * time.Millisecond,
		Handler: gated{
			sink,
			sync.OnceFunc(func() { _, _ = io.Copy(io.Discard, os.Stdin) }),
			sync.OnceFunc(func() { fmt.Fprintln(os.Stdout, "it has a partition") }),
		},
	})
	if err != nil {
		return err
	}
	return g.Run(ctx)
}

// nowhere keeps no files.
type nowhere struct{}

// Put keeps nothing.
func (nowhere) Put(context.Context, string, []byte) error { return nil }

// Update keeps nothing.
func (nowhere) Update(context.Context, string, func([]byte) []byte) error { return nil }
