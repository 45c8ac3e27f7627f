package gameserver

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/client"
	"github.com/throng-gg/throng/wire"
)

// 50 players in a world of 50 avatars that walk, turn and stop, over a network with 1 % loss
// and about 100 ms round trip.
func BenchmarkReplicas(b *testing.B) {
	for _, loss := range []float64{0, 0.01} {
		b.Run(fmt.Sprintf("loss=%v", loss), func(b *testing.B) { benchReplicas(b, loss) })
	}
}

func benchReplicas(b *testing.B, loss float64) {
	b.Helper()
	const players, entities, delay = 50, 50, 3
	c := newCrowd(b, 1)
	for i := range entities {
		c.spawn(0, throng.PlayerID(fmt.Sprintf("plr_%d", i)))
	}
	r := rand.New(rand.NewPCG(1, 1))
	replicas := make([]*Replica, players)
	for i := range replicas {
		replicas[i] = NewReplica(c.world, wire.Welcome{TickRate: 30, Capacity: players, Player: "ada", Session: "ses_local_x", Place: "arena", Version: 1})
	}
	now := time.UnixMilli(1e12)
	var spent time.Duration
	var sent, snapshots int
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		b.StopTimer()
		n++
		now = now.Add(time.Second / 30)
		for _, replica := range replicas {
			if c.tick > delay && r.Float64() >= loss && r.Float64() >= loss {
				replica.Receive(wire.Input{Sequence: uint32(n), Ack: c.tick - delay, Came: 1<<31 - 1}, now)
			}
		}
		c.step()
		b.StartTimer()
		begun := time.Now()
		for _, replica := range replicas {
			for _, p := range replica.Payloads(c.tick, now) {
				sent += len(p)
			}
			snapshots++
		}
		spent += time.Since(begun)
	}
	b.ReportMetric(float64(spent.Nanoseconds())/float64(snapshots), "ns/player-tick")
	b.ReportMetric(float64(sent)/float64(snapshots), "bytes/snapshot")
	b.ReportMetric(float64(sent)/float64(snapshots)*30*8/1000, "kbit/s")
}

// What 1,000 players in a process cost is mostly this.
func BenchmarkClient(b *testing.B) {
	c := newCrowd(b, 1)
	for range 60 {
		c.spawn(0, "bo")
	}
	replica := NewReplica(c.world, welcomeTo(c))
	player := client.NewWorld()
	if _, err := player.Receive(wire.AppendWelcome(nil, welcomeTo(c)), time.Time{}); err != nil {
		b.Fatal(err)
	}
	now := time.UnixMilli(1e12)
	b.ReportAllocs()
	for b.Loop() {
		b.StopTimer()
		now = now.Add(time.Second / 30)
		c.step()
		payloads := replica.Payloads(c.tick, now)
		b.StartTimer()
		for _, p := range payloads {
			if u, err := player.Receive(p, now); err != nil || u.Mismatch {
				b.Fatal(u, err)
			}
		}
		out := player.Input(1, 0, 0, now)
		b.StopTimer()
		in, err := wire.ParseInput(out)
		if err != nil {
			b.Fatal(err)
		}
		replica.Receive(in, now)
		b.StartTimer()
	}
}
