package fleet

import (
	"math"
	"slices"
	"time"
)

// Forecast says how many openings are to be expected. It is used by one
// goroutine at a time.
type Forecast interface {
	// Opened takes in that n sessions were opened at a time. Times may come out
	// of order, by a little.
	Opened(at time.Time, n int)
	// Expect says what to be ready for in a span that may begin at any moment
	// from now on.
	Expect(now time.Time, span time.Duration) Outlook
}

// Outlook is what a Forecast says of a span of time.
type Outlook struct {
	Openings int  // to be ready for: more come rarely
	Fell     bool // far fewer come than before, and nobody foresaw it
}

const (
	slotTime    = time.Second
	slots       = 900 // of slotTime: 15 min are remembered
	minutes     = 60  // for the usual rate
	waitsOneIn  = 100 // openings that may find nothing ready: one in so many
	fallShare   = 0.7 // of the usual rate: less is a fall
	fallSigmas  = 2   // beyond the noise of small numbers
	leastUsual  = 5   // openings a minute: fewer say nothing
	leastMemory = 10  // minutes with openings, before there is a usual rate
)

// Recent expects what there was in the last 15 minutes: so many openings that of
// those only one in a hundred would have met more of them within the span before
// it. Bursts so weigh as much as the openings in them. It foresees nothing, so
// every fall is one that nobody foresaw.
type Recent struct {
	ring   [slots]int   // openings by second
	newest int64        // second of the newest slot; zero: nothing was heard
	minute [minutes]int // openings by minute
	latest int64        // minute of the newest one
}

// Opened is of Forecast.
func (r *Recent) Opened(at time.Time, n int) {
	r.advance(at)
	if age := r.newest - at.Unix(); age < slots {
		r.ring[index(at.Unix(), slots)] += n
	}
	if age := r.latest - at.Unix()/60; age < minutes {
		r.minute[index(at.Unix()/60, minutes)] += n
	}
}

// Expect is of Forecast.
func (r *Recent) Expect(now time.Time, span time.Duration) Outlook {
	r.advance(now)
	width := min(max(int((span+slotTime-1)/slotTime), 1), slots)
	sums, total, highest := r.sums(width)
	late := func(stock int) int { // openings that met more than so many
		n := 0
		for i, sum := range sums {
			n += max(min(r.at(i), sum-stock), 0)
		}
		return n
	}
	low, high := 0, highest
	for low < high {
		if middle := (low + high) / 2; late(middle) <= total/waitsOneIn {
			high = middle
		} else {
			low = middle + 1
		}
	}
	return Outlook{Openings: max(low, sums[slots-1]), Fell: r.fell()}
}

// sums returns the openings in the spans of so many slots that end with each
// slot, the oldest first, all openings, and the highest sum.
func (r *Recent) sums(width int) (sums [slots]int, total, highest int) {
	sum := 0
	for i := range slots {
		sum += r.at(i)
		if i >= width {
			sum -= r.at(i - width)
		}
		sums[i] = sum
		total += r.at(i)
		highest = max(highest, sum)
	}
	return sums, total, highest
}

// at is the i-th slot, the oldest first.
func (r *Recent) at(i int) int { return r.ring[index(r.newest+1+int64(i), slots)] }

// fell compares the last whole minute with the middle one of the last hour.
func (r *Recent) fell() bool {
	known := make([]int, 0, minutes)
	for i := range int64(minutes - 1) {
		known = append(known, r.minute[index(r.latest-1-i, minutes)])
	}
	last := known[0]
	for len(known) > 0 && known[len(known)-1] == 0 { // not heard yet
		known = known[:len(known)-1]
	}
	if len(known) < leastMemory {
		return false
	}
	slices.Sort(known)
	usual := float64(known[len(known)/2])
	return usual >= leastUsual && float64(last) < fallShare*usual-fallSigmas*math.Sqrt(usual)
}

// advance makes room for the time.
func (r *Recent) advance(now time.Time) {
	second := now.Unix()
	if r.newest == 0 {
		r.newest, r.latest = second, second/60
	}
	for range min(max(second-r.newest, 0), slots) {
		r.newest++
		r.ring[index(r.newest, slots)] = 0
	}
	r.newest = max(r.newest, second)
	for range min(max(second/60-r.latest, 0), minutes) {
		r.latest++
		r.minute[index(r.latest, minutes)] = 0
	}
	r.latest = max(r.latest, second/60)
}

// index is where something of that number is in a ring.
func index(number, size int64) int { return int((number%size + size) % size) }
