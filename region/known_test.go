package region

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/throng-gg/throng"
)

// What a region told stays known while it is away; of another its name is.
func TestKnown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := &others{away: map[throng.RegionID]bool{"us": true}, slow: map[throng.RegionID]time.Duration{}, asked: map[throng.RegionID]int{}}
		p, err := New(Config{Regions: []throng.RegionID{"us", "eu"}, Doors: o})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		over := make(chan error, 1)
		go func() { over <- p.Run(ctx) }()
		wait(t, time.Second)
		o.set(func() { o.away["eu"] = true })
		wait(t, time.Minute)
		got := p.Known()
		if want := at("eu", 25).Summary.Room; len(got) != 2 || got[0].Region != "eu" || got[0].Room != want || got[1].Region != "us" || got[1].Room != 0 {
			t.Errorf("got %+v, want eu with room for %d and us with nothing", got, want)
		}
		cancel()
		if err := <-over; err != nil {
			t.Error(err)
		}
	})
}
