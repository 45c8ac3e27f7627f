package match

import (
	"cmp"
	"slices"
	"sort"
)

// chunkMost is how many works a chunk of ranks has at most. With 200,000 works
// a rank costs the sum of some 800 lengths, under a microsecond.
const chunkMost = 512

// ranks is works in the order of their arrival, which says at any moment how
// many are before one of them. Its zero value is empty.
type ranks struct {
	chunks [][]*work // none is empty
	n      int
}

// byArrival orders by the time from which a place in line counts.
func byArrival(a, b *work) int {
	return cmp.Or(a.since.Compare(b.since), cmp.Compare(a.number, b.number))
}

// chunk is the index of the chunk in which a work is, or belongs.
func (r *ranks) chunk(w *work) int {
	i := sort.Search(len(r.chunks), func(i int) bool {
		c := r.chunks[i]
		return byArrival(c[len(c)-1], w) >= 0
	})
	return min(i, len(r.chunks)-1)
}

func (r *ranks) insert(w *work) {
	r.n++
	if len(r.chunks) == 0 {
		r.chunks = append(r.chunks, []*work{w})
		return
	}
	i := r.chunk(w)
	c := r.chunks[i]
	at, _ := slices.BinarySearchFunc(c, w, byArrival)
	if len(c) < chunkMost {
		r.chunks[i] = slices.Insert(c, at, w)
		return
	}
	if i == len(r.chunks)-1 && at == len(c) { // the last of all, as most are
		r.chunks = append(r.chunks, []*work{w})
		return
	}
	half := slices.Clone(c[len(c)/2:])
	clear(c[len(c)/2:])
	r.chunks[i] = c[:len(c)/2]
	r.chunks = slices.Insert(r.chunks, i+1, half)
	r.n--
	r.insert(w)
}

// remove takes a work out that is in.
func (r *ranks) remove(w *work) {
	if len(r.chunks) == 0 {
		return
	}
	i := r.chunk(w)
	at, ok := slices.BinarySearchFunc(r.chunks[i], w, byArrival)
	if !ok {
		return
	}
	r.n--
	r.chunks[i] = slices.Delete(r.chunks[i], at, at+1)
	if len(r.chunks[i]) == 0 {
		r.chunks = slices.Delete(r.chunks, i, i+1)
	}
}

// rank is how many are before a work that is in.
func (r *ranks) rank(w *work) int {
	if len(r.chunks) == 0 {
		return 0
	}
	i := r.chunk(w)
	before := 0
	for _, c := range r.chunks[:i] {
		before += len(c)
	}
	at, _ := slices.BinarySearchFunc(r.chunks[i], w, byArrival)
	return before + at
}

// first is the one that is before all others.
func (r *ranks) first() *work { return r.chunks[0][0] }

// all yields the works in order. They must not change meanwhile.
func (r *ranks) all(yield func(*work) bool) {
	for _, c := range r.chunks {
		for _, w := range c {
			if !yield(w) {
				return
			}
		}
	}
}
