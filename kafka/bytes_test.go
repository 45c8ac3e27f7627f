package kafka_test

import (
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/kafka"
	"github.com/throng-gg/throng/kafka/embedded"
)

// typical makes the n-th event of a kind as game servers and control planes do.
type typical struct {
	name   string
	stream throng.Stream
	most   int // bytes of each, sent 50 at once
	make   func(n int, e throng.Event) (throng.Event, any)
}

func typicals() []typical {
	player := func(n int) throng.PlayerID {
		return throng.PlayerID(fmt.Sprintf("u-%020x", uint64(n)*0x9e3779b97f4a7c15))
	}
	return []typical{
		{"motion.sampled.v1", throng.StreamMotion, 220, func(n int, e throng.Event) (throng.Event, any) {
			e.Player = player(n)
			e.ID, e.Key = throng.EventID(fmt.Sprintf("%s/motion/%s/%d/%d", e.Session, e.Player, 1_764_000_000_000+n*7919, 30*n)), string(e.Player)
			x := float64(n*7919%100_000) / 100
			return e, throng.MotionSampled{
				Epoch: throng.Epoch(1_764_000_000_000 + n*7919), SpanMS: 1000 + int64(n%33), X: x, Y: x * 0.731, Distance: 3 + x/317, StepMost: 0.3 + x/9001,
				TickMS: 1000.0 / 30, Inputs: 30 - n%3, Presses: n % 5, PressLeast: int64(100 + n%97), Source: fmt.Sprintf("%016x", uint64(n)*0xbf58476d1ce4e5b9),
			}
		}},
		{"player.joined.v1", throng.StreamPlay, 160, func(n int, e throng.Event) (throng.Event, any) {
			e.Player = player(n)
			e.ID, e.Key = throng.EventID(fmt.Sprintf("%s/joined/%s/%d", e.Session, e.Player, 1_764_000_000_000+n*7919)), string(e.Session)
			return e, throng.PlayerJoined{Epoch: throng.Epoch(1_764_000_000_000 + n*7919), Version: 12, ArrivalMS: int64(20 + n%50)}
		}},
		{"ledger.posted.v1", throng.StreamEconomy, 260, func(n int, e throng.Event) (throng.Event, any) {
			e.Player = player(n)
			id := fmt.Sprintf("t-%016x", uint64(n)*0x94d049bb133111eb)
			e.ID, e.Key = throng.EventID(fmt.Sprintf("bazaar/%s/%s", e.Player, id)), string(e.Player)
			line := func(account string, item throng.ItemID, change int64) throng.EventLine {
				return throng.EventLine{Account: account, Item: item, Change: change}
			}
			return e, throng.LedgerPosted{
				Game: "bazaar", ID: throng.TransferID(id), Kind: throng.TransferPurchase, First: e.Player, Offer: "potion", Count: 3,
				Lines: []throng.EventLine{line(string(e.Player), "gold", -15), line("@1f", "gold", 15), line(string(e.Player), "potion", 3), line("@1f", "potion", -3)},
			}
		}},
	}
}

// TestBytesOfEvents measures what events are on their way to brokers, one at a time
// and many at once: docs/capacity.md.
func TestBytesOfEvents(t *testing.T) {
	t.Parallel()
	b, err := embedded.Open(embedded.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	for _, kind := range typicals() {
		for _, at := range []int{1, 5, 50, 500} {
			bytes := kind.bytes(t, fmt.Sprintf("%s/%s-%d", b.Address(), kind.stream, at), at)
			t.Logf("%-18s %3d at once: %4.0f bytes each", kind.name, at, bytes)
			if at == 50 && bytes > float64(kind.most) {
				t.Errorf("%s: %.0f bytes each, %d are planned for", kind.name, bytes, kind.most)
			}
		}
	}
}

// bytes of each of 1000 events.
func (k typical) bytes(t *testing.T, url string, at int) float64 {
	t.Helper()
	metrics := prometheus.NewRegistry()
	l, err := kafka.New(kafka.Config{URL: url, Logger: slog.New(slog.DiscardHandler), Metrics: metrics})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if _, err := l.Setup(t.Context(), kafka.SetupConfig{Partitions: 1}); err != nil {
		t.Fatal(err)
	}
	const all = 1000
	for n := 0; n < all; n += at {
		var list []throng.Event
		for i := range at {
			e, data := k.make(n+i, throng.Event{
				Type: throng.EventType(k.name), Stream: k.stream, Region: "eu-west", Place: "arena", Session: "ses_eu-west_3f7k2m9p4q8r1s5t6v",
				Time: time.UnixMilli(1_764_000_000_000 + int64(n+i)*20),
			})
			e, err := throng.MakeEvent(e, data)
			if err != nil {
				t.Fatal(err)
			}
			list = append(list, e)
		}
		if err := l.Publish(t.Context(), list); err != nil {
			t.Fatal(err)
		}
	}
	families, err := metrics.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == "throng_kafka_published_bytes_total" {
			return f.GetMetric()[0].GetCounter().GetValue() / all
		}
	}
	t.Fatal("bytes are not counted")
	return 0
}
