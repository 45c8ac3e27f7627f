package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/api"
	"github.com/throng-gg/throng/place"
)

// BenchmarkSessionStart is how long it takes from a ticket to the answer that its
// session runs, for ten at once that each open a session of a place that is in the
// machine's cache, on warm game servers: the hand-over, the package's check, its
// scripts and the first heartbeat are in it, and the ticket's own way. The same
// without the ticket's way, from the opening on, is told apart ("up"). Real
// processes; b.N is rounds of ten.
func BenchmarkSessionStart(b *testing.B) {
	for _, mib := range []int{0, 4, 30} {
		b.Run(fmt.Sprintf("%dMiB", mib), func(b *testing.B) {
			const atOnce = 10
			r := startDevWith(b, throngBinary(b), "--warm", "12", "--max", "64")
			files := map[string][]byte{
				"place.yaml": []byte("id: heavy\nname: Heavy\ncapacity: 10\nentry: main.lua\n"), "main.lua": []byte("-- nothing\n"),
			}
			for n, left := 0, mib<<20; left > 0; n++ {
				part := make([]byte, min(left, place.MaxFile))
				rand.Read(part)
				files[fmt.Sprintf("asset-%d.bin", n)] = part
				left -= len(part)
			}
			var upload bytes.Buffer
			if err := place.WriteUpload(&upload, files); err != nil {
				b.Fatal(err)
			}
			if _, err := r.as("creator", api.RoleCreator).Publish(b.Context(), "heavy", &upload, throng.Publication{}); err != nil {
				b.Fatal(err)
			}
			operator := r.as("operator", api.RoleOperator)
			var mu sync.Mutex
			var took, up []time.Duration
			open := func(round, i int, count bool) {
				name := throng.PlayerID(fmt.Sprintf("p-%d-%d", round, i))
				player := r.as(name, api.RolePlayer)
				began := time.Now()
				a, err := player.Matchmake(b.Context(), throng.Ticket{
					Key: throng.TicketKey{Caller: name, Ticket: throng.TicketID(name)}, Place: "heavy", Party: []throng.PlayerID{name}, Mode: throng.ModeNew,
				})
				if err != nil {
					b.Errorf("%s: %v", name, err)
					return
				}
				if ended := time.Since(began); count {
					mu.Lock()
					took = append(took, ended)
					mu.Unlock()
				}
				if err := operator.End(context.WithoutCancel(b.Context()), a.Session, "measured"); err != nil {
					b.Errorf("end: %v", err)
				}
			}
			r.warm(12)
			open(-1, 0, false) // the package comes into the cache
			for round := 0; b.Loop(); round++ {
				b.StopTimer()
				r.warm(12)
				b.StartTimer()
				var all sync.WaitGroup
				for i := range atOnce {
					all.Go(func() { open(round, i, true) })
				}
				all.Wait()
				b.StopTimer()
				for i := range atOnce {
					up = append(up, r.cameUp(throng.PlayerID(fmt.Sprintf("p-%d-%d", round, i))))
				}
				b.StartTimer()
			}
			for name, all := range map[string][]time.Duration{"": took, "up-": up} {
				slices.Sort(all)
				if len(all) > 0 {
					b.ReportMetric(float64(all[len(all)/2].Milliseconds()), name+"p50-ms")
					b.ReportMetric(float64(all[min(len(all)*99/100, len(all)-1)].Milliseconds()), name+"p99-ms")
				}
			}
			b.ReportMetric(0, "ns/op")
		})
	}
}

// cameUp is how long a player's session took from its opening until its server said
// that it runs.
func (r *region) cameUp(p throng.PlayerID) time.Duration {
	r.t.Helper()
	list, err := r.as("operator", api.RoleOperator).Joins(r.t.Context(), throng.TicketID(p), p)
	if err != nil || len(list.Joins) != 1 {
		r.t.Fatalf("joins of %s: got %+v, %v, want one", p, list, err)
	}
	at := map[string]float64{}
	for _, s := range list.Joins[0].Steps {
		at[s.Step] = s.AfterMs
	}
	if at[throng.StepBound] <= at[throng.StepOpened] {
		r.t.Fatalf("%s: got steps %+v, want opened, then bound", p, list.Joins[0].Steps)
	}
	return time.Duration((at[throng.StepBound] - at[throng.StepOpened]) * float64(time.Millisecond))
}

// warm waits until so many game servers are warm.
func (r *region) warm(n int) {
	r.t.Helper()
	eventually(r.t, time.Minute, "servers are warm", func() bool { return r.count()["warm"] >= n })
}
