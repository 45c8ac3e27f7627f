package region

import (
	"context"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/throng-gg/throng"
)

// cold is a region that was lost and is back without anything: it takes up few tickets
// at once, and more with each second. The other regions have room for all.
type cold struct {
	mu      sync.Mutex
	away    bool      // guarded by mu
	refused bool      // guarded by mu; its breaker is open
	back    time.Time // guarded by mu; zero: it was not lost yet
	joins   []time.Time
}

const (
	coldFirst, coldMore = 200, 300 // tickets at once, and how many more each second
	coldID              = throng.RegionID("eu")
)

// room is what it says that it takes up at a moment.
func (c *cold) room(at time.Time) int {
	if c.back.IsZero() {
		return 10_000
	}
	return coldFirst + int(max(coldMore*at.Sub(c.back).Seconds(), 0))
}

func (c *cold) Summary(_ context.Context, r throng.RegionID) (throng.RegionSummary, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := throng.RegionSummary{Region: r, Warm: 1000, Room: 10_000}
	if r != coldID {
		return s, nil
	}
	if c.away {
		return s, throng.Errorf(throng.Unavailable, "no route to host")
	}
	s.Room = c.room(time.Now())
	return s, nil
}

func (c *cold) Refused(r throng.RegionID) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return r == coldID && c.refused
}

func (c *cold) set(change func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	change()
}

// A region is back after a loss, or the breaker closes again that kept it away, and at
// each of five doors 200 players a second live there: in no second does it get more of
// them than it says that it takes up, nobody is sent nowhere, it is used within 3 s,
// and soon by all.
func TestNoStampedeWhenARegionReturns(t *testing.T) {
	for name, lose := range map[string]func(c *cold, lost bool){
		"not heard": func(c *cold, lost bool) { c.away = lost },
		"refused":   func(c *cold, lost bool) { c.refused = lost },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { testReturn(t, lose) })
		})
	}
}

func testReturn(t *testing.T, lose func(c *cold, lost bool)) {
	c := &cold{}
	ids := []throng.RegionID{"ap", coldID, "sa", "us", "za", "au"}
	const perSecond, quiet, lost, after = 200, 5, 10, 20
	var doors []*Peers
	for i, own := range ids {
		if own == coldID {
			continue
		}
		others := append(append([]throng.RegionID{}, ids[:i]...), ids[i+1:]...)
		p, err := New(Config{Own: throng.Region{ID: own}, Regions: others, Doors: c})
		if err != nil {
			t.Fatal(err)
		}
		run(t, p)
		doors = append(doors, p)
	}
	wait(t, 2*time.Second)
	others := map[int]int{} // joins that the other regions got, by second
	begun := time.Now()
	second := func(at time.Time) int { return int(at.Sub(begun) / time.Second) }
	tick := time.NewTicker(time.Second / perSecond)
	defer tick.Stop()
	for n := range perSecond * (quiet + lost + after) {
		<-tick.C
		switch n {
		case perSecond * quiet:
			c.set(func() { lose(c, true); c.back = time.Now().Add(lost * time.Second) })
		case perSecond * (quiet + lost):
			c.set(func() { lose(c, false) })
		}
		for i, p := range doors {
			w := want(usual, map[throng.RegionID]float64{coldID: 10, "us": 60, "ap": 70})
			w.Random = uint64(n*len(doors) + i)
			first := p.Rank(w, &throng.RegionSummary{Warm: 1000, Room: 10_000})[0]
			if !first.Try {
				t.Fatalf("a player was sent nowhere: %+v", first)
			}
			if first.Region != p.own.ID {
				p.Sent(first.Region, w.Place, 1)
			}
			if first.Region == coldID {
				c.joins = append(c.joins, time.Now())
			} else {
				others[second(time.Now())]++
			}
		}
	}
	// Any second that begins with a join, not only those of the clock.
	used, worst := time.Duration(-1), 0.0
	for i, end := 0, 0; i < len(c.joins); i++ {
		if at := c.joins[i]; !at.After(c.back) {
			continue
		} else if used < 0 {
			used = at.Sub(c.back)
		}
		for end < len(c.joins) && c.joins[end].Before(c.joins[i].Add(time.Second)) {
			end++
		}
		worst = max(worst, float64(end-i)/float64(c.room(c.joins[i])))
	}
	all := second(c.back)
	got := func(s int) int { return perSecond*len(doors) - others[s] }
	for all++; got(all) < perSecond*len(doors)*95/100 && all < quiet+lost+after-1; all++ {
	}
	t.Logf("it is used after %s, by 19 of 20 after %d s; in its fullest second it got %s of what it said", used.Round(time.Millisecond), all-second(c.back), strconv.FormatFloat(worst, 'f', 2, 64))
	if worst > 1 {
		t.Errorf("in a second it got %.2f times as many joins as it says that it takes up", worst)
	}
	if used < 0 || used > 3*time.Second || all-second(c.back) > 12 {
		t.Errorf("it is used after %s, and by 19 of 20 after %d s; want 3 s and 12 s at most", used, all-second(c.back))
	}
}
