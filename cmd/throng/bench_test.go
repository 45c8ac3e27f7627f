package main

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/api"
	"github.com/throng-gg/throng/bot"
	"github.com/throng-gg/throng/client"
)

// BenchmarkJoinToFirstSnapshot measures what a player waits for, through the
// real door, a real game server process and real UDP: from sending the ticket to
// the first complete snapshot. "open" joins a session that runs; "warm" opens
// one on a warm server for every join (the place has one seat). Beside it stands
// what cannot be undercut in the same run: a call to the door that does nothing
// (door-ms), and half a tick, which an arrival waits on average (33 ms at 30 Hz).
func BenchmarkJoinToFirstSnapshot(b *testing.B) {
	r := startDevWith(b, throngBinary(b), "--warm", "4")
	r.publish("solo", "1", `print("alone")`)
	for _, c := range []struct {
		name  string
		place throng.PlaceID
	}{{"open", "starter"}, {"warm", "solo"}} {
		b.Run(c.name, func(b *testing.B) {
			scout := r.as("scout", api.RolePlayer)
			var join, place, door []float64
			for i := 0; b.Loop(); i++ {
				<-time.After(rand.N(40 * time.Millisecond)) // not in step with the ticks
				begun := time.Now()
				if _, err := scout.Places(b.Context(), client.Page{Limit: 1}); err != nil {
					b.Fatal(err)
				}
				door = append(door, time.Since(begun).Seconds()*1000)
				report, err := bot.Run(b.Context(), bot.Config{
					Door: botDoor{r.door}, Place: c.place, Capacity: 50, Players: 1, For: time.Millisecond,
					Name: fmt.Sprint(c.name, i),
				})
				if err != nil || report.Joined != 1 {
					b.Fatalf("join %d: %+v %v", i, report, err)
				}
				join, place = append(join, report.JoinMS.P50), append(place, report.PlaceMS.P50)
			}
			for name, values := range map[string][]float64{"join": join, "place": place, "door": door} {
				slices.Sort(values)
				b.ReportMetric(values[len(values)/2], name+"-p50-ms")
				b.ReportMetric(values[len(values)*99/100], name+"-p99-ms")
			}
			b.ReportMetric(0, "ns/op")
		})
	}
}
