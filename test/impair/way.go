package impair

import (
	"container/heap"
	"math/rand/v2"
	"time"
)

// Way is what happens to datagrams in one direction. The zero value lets all pass
// at once.
type Way struct {
	// Delay is how long a datagram takes, Jitter by how much more or less. Jitter
	// alone lets none overtake another.
	Delay, Jitter time.Duration
	// The shares of datagrams that are lost, that are held back by Hold while later
	// ones pass, and that come a second time within Hold.
	Loss, Reorder, Duplicate float64
	Hold                     time.Duration // default 50 ms
}

// fate decides about the datagrams of one flow in one direction.
type fate struct {
	way  Way
	dice *rand.Rand
	last time.Time // when the newest in order arrives
}

func newFate(w Way, seed, stream uint64) fate {
	if w.Hold == 0 {
		w.Hold = 50 * time.Millisecond
	}
	return fate{way: w, dice: rand.New(rand.NewPCG(seed, stream))}
}

// what became of a datagram.
type verdict struct {
	lost, held, twice bool
	at, again         time.Time // of twice
}

// next decides about the datagram that comes now. It throws the same dice for each,
// whatever becomes of it.
func (f *fate) next(now time.Time) verdict {
	w := f.way
	lost, held, twice := f.dice.Float64() < w.Loss, f.dice.Float64() < w.Reorder, f.dice.Float64() < w.Duplicate
	jitter := time.Duration((2*f.dice.Float64() - 1) * float64(w.Jitter))
	again := time.Duration(f.dice.Float64() * float64(w.Hold))
	if lost {
		return verdict{lost: true}
	}
	v := verdict{held: held, twice: twice, at: now.Add(max(0, w.Delay+jitter))}
	if v.at.Before(f.last) {
		v.at = f.last
	}
	if held {
		v.at = v.at.Add(w.Hold)
	} else {
		f.last = v.at
	}
	v.again = v.at.Add(again)
	return v
}

// parcel is a datagram on its way.
type parcel struct {
	at    time.Time
	order uint64 // of those at the same time
	flow  *flow
	up    bool
	data  []byte
}

// road is what is on its way, the next to arrive first.
type road struct {
	parcels []parcel
	count   uint64
}

// put lets a parcel go.
func (r *road) put(p parcel) {
	r.count++
	p.order = r.count
	heap.Push(r, p)
}

// take returns the next parcel that has arrived by now; false: none has.
func (r *road) take(now time.Time) (parcel, bool) {
	if len(r.parcels) == 0 || r.parcels[0].at.After(now) {
		return parcel{}, false
	}
	return heap.Pop(r).(parcel), true //nolint:forcetypeassert // it holds nothing else
}

// next is when the next one arrives; false: nothing is on its way.
func (r *road) next() (time.Time, bool) {
	if len(r.parcels) == 0 {
		return time.Time{}, false
	}
	return r.parcels[0].at, true
}

// Len, Less, Swap, Push and Pop are heap.Interface's.
func (r *road) Len() int { return len(r.parcels) }

// Less says which arrives first.
func (r *road) Less(i, j int) bool {
	a, b := &r.parcels[i], &r.parcels[j]
	if a.at.Equal(b.at) {
		return a.order < b.order
	}
	return a.at.Before(b.at)
}

// Swap exchanges two.
func (r *road) Swap(i, j int) { r.parcels[i], r.parcels[j] = r.parcels[j], r.parcels[i] }

// Push adds the last.
func (r *road) Push(p any) { r.parcels = append(r.parcels, p.(parcel)) } //nolint:forcetypeassert // put's

// Pop removes it.
func (r *road) Pop() any {
	last := len(r.parcels) - 1
	p := r.parcels[last]
	r.parcels[last] = parcel{}
	r.parcels = r.parcels[:last]
	return p
}
