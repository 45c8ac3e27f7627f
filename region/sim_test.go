package region

import (
	"bufio"
	"cmp"
	"container/heap"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/throng-gg/throng"
)

// site is where players are, and how far the regions are from there.
type site struct {
	weight int
	rtt    map[throng.RegionID]float64
}

func readSites(t *testing.T) (sites []site, regions []throng.RegionID) {
	t.Helper()
	f, err := os.Open("testdata/rtt.csv")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		fields := strings.Split(lines.Text(), ",")
		switch {
		case strings.HasPrefix(lines.Text(), "#"):
		case regions == nil:
			for _, name := range fields[2:] {
				regions = append(regions, throng.RegionID(name))
			}
		default:
			s := site{rtt: map[throng.RegionID]float64{}}
			if s.weight, err = strconv.Atoi(fields[1]); err != nil {
				t.Fatal(err)
			}
			for i, text := range fields[2:] {
				if s.rtt[regions[i]], err = strconv.ParseFloat(text, 64); err != nil {
					t.Fatal(err)
				}
			}
			sites = append(sites, s)
		}
	}
	return sites, regions
}

// world is six regions with players who come and go. Within a region players are
// seated in the fullest session, as package match does without own signals.
type world struct {
	regions   []throng.RegionID
	sessions  map[throng.RegionID]map[throng.PlaceID][]*int // players in each
	summaries map[throng.RegionID]throng.RegionSummary
	sent      map[throng.RegionID]map[throng.PlaceID]int
	tickets   map[throng.RegionID]int
	down      map[throng.RegionID]bool
	leaving   leavings
}

type leaving struct {
	at      float64 // seconds
	session *int
}

type leavings []leaving

func (l *leavings) Len() int           { return len(*l) }
func (l *leavings) Less(i, j int) bool { return (*l)[i].at < (*l)[j].at }
func (l *leavings) Swap(i, j int)      { (*l)[i], (*l)[j] = (*l)[j], (*l)[i] }
func (l *leavings) Push(x any)         { *l = append(*l, x.(leaving)) } //nolint:forcetypeassert // ours
func (l *leavings) Pop() any {
	old := *l
	last := old[len(old)-1]
	*l = old[:len(old)-1]
	return last
}

const seats = 50

// publish makes the summaries, which are used for a second.
func (w *world) publish() {
	for _, r := range w.regions {
		s := throng.RegionSummary{Region: r, Warm: 20, Room: 10_000}
		for id, list := range w.sessions[r] {
			list = slices.DeleteFunc(list, func(n *int) bool { return *n == 0 })
			w.sessions[r][id] = list
			p := throng.PlaceSummary{Place: id}
			for _, n := range list {
				if *n < seats {
					p.Add(1, seats, seats-*n)
				}
			}
			if p.Sessions > 0 {
				s.Places = append(s.Places, p)
			}
		}
		slices.SortFunc(s.Places, func(a, b throng.PlaceSummary) int { return cmp.Compare(a.Place, b.Place) })
		w.summaries[r], w.sent[r], w.tickets[r] = s, map[throng.PlaceID]int{}, 0
	}
}

func (w *world) rank(want throng.RegionWish) []throng.RegionChoice {
	candidates := make([]Candidate, 0, len(w.regions))
	for _, r := range w.regions {
		candidates = append(candidates, Candidate{
			Region: r, Refused: w.down[r], Summary: w.summaries[r], SentSeats: w.sent[r][want.Place], SentTickets: w.tickets[r],
		})
	}
	return Rank(want, candidates)
}

// seat puts a player into the fullest session of the region with room, or a new one.
func (w *world) seat(r throng.RegionID, p throng.PlaceID) *int {
	w.sent[r][p]++
	w.tickets[r]++
	var best *int
	for _, n := range w.sessions[r][p] {
		if *n < seats && *n > 0 && (best == nil || *n > *best) {
			best = n
		}
	}
	if best == nil {
		best = new(int)
		w.sessions[r][p] = append(w.sessions[r][p], best)
	}
	*best++
	return best
}

// played is what a simulation comes to.
type played struct {
	under float64 // share of joins under 100 ms
	few   float64 // share of joins into a session with fewer than 5 others
	mean  float64 // ms
}

// play lets players come for half an hour: 5 a second, to one of 100 places by
// Zipf's law with exponent 1.1, for a Weibull time (shape 0.5, scale 20 min), from
// sites by their weights, with a last mile of 10 ms on average. How popular places
// are and the last mile are assumptions.
func play(t *testing.T, weights throng.Weights, down throng.RegionID) played {
	t.Helper()
	sites, regions := readSites(t)
	w := &world{
		regions: regions, sessions: map[throng.RegionID]map[throng.PlaceID][]*int{}, summaries: map[throng.RegionID]throng.RegionSummary{},
		sent: map[throng.RegionID]map[throng.PlaceID]int{}, tickets: map[throng.RegionID]int{}, down: map[throng.RegionID]bool{down: true},
	}
	for _, r := range regions {
		w.sessions[r] = map[throng.PlaceID][]*int{}
	}
	random := rand.New(rand.NewPCG(1, 2))
	zipf := rand.NewZipf(random, 1.1, 1, 99)
	var crowd []*site
	for i := range sites {
		for range sites[i].weight {
			crowd = append(crowd, &sites[i])
		}
	}
	const second, joins = 5, 5 * 1800
	total, under, few := 0.0, 0, 0
	for i := range joins {
		now := float64(i) / second
		for len(w.leaving) > 0 && w.leaving[0].at <= now {
			gone, _ := heap.Pop(&w.leaving).(leaving)
			*gone.session--
		}
		if i%second == 0 {
			w.publish()
		}
		from, mile := crowd[random.IntN(len(crowd))], random.ExpFloat64()*10
		ms := map[throng.RegionID]float64{}
		for r, rtt := range from.rtt {
			ms[r] = rtt + mile
		}
		place := throng.PlaceID("place-" + strconv.FormatUint(zipf.Uint64(), 10))
		first := w.rank(throng.RegionWish{Place: place, Seats: 1, Weights: weights, Farthest: throng.DefaultMaxLatency, Latencies: ms, Random: random.Uint64()})[0]
		if !first.Try {
			t.Fatalf("a player was sent nowhere: %+v", first)
		}
		stay := 20 * time.Minute.Seconds() * math.Pow(random.ExpFloat64(), 2)
		session := w.seat(first.Region, place)
		heap.Push(&w.leaving, leaving{now + stay, session})
		if *session <= 5 {
			few++
		}
		total += first.Latency
		if first.Latency < 100 {
			under++
		}
	}
	return played{under: float64(under) / joins, few: float64(few) / joins, mean: total / joins}
}

// Six regions: almost everybody is near, whatever a place's weights are, and who
// wants full sessions meets more others than if all went to their nearest region.
func TestSixRegions(t *testing.T) {
	show := func(name string, p played) played {
		t.Logf("%s: %.1f %% under 100 ms, %.0f ms on average, %.1f %% meet fewer than 5 others", name, 100*p.under, p.mean, 100*p.few)
		if p.under < 0.95 {
			t.Errorf("%s: %.1f %% of players are under 100 ms, want 95 %%", name, 100*p.under)
		}
		return p
	}
	nearest := show("nearest region", play(t, throng.Weights{Latency: 3}, ""))
	show("usual weights", play(t, throng.Weights{Fill: 2, Latency: 3}, ""))
	full := show("full sessions", play(t, throng.Weights{Fill: 30, Latency: 3}, ""))
	if full.few > 0.95*nearest.few {
		t.Errorf("%.1f %% of players meet fewer than 5 others, want a twentieth less than the %.1f %% in the nearest region", 100*full.few, 100*nearest.few)
	}
}

// The region that has the most players is away: they go to the others.
func TestFiveOfSixRegions(t *testing.T) {
	five := play(t, throng.Weights{Fill: 2, Latency: 3}, "eu-central-1")
	t.Logf("%.1f %% under 100 ms, %.0f ms on average, %.1f %% with few", 100*five.under, five.mean, 100*five.few)
	if five.under < 0.5 {
		t.Errorf("%.1f %% of players are under 100 ms, want half", 100*five.under)
	}
}
