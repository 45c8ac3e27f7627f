package sim

import (
	"sync"
	"time"
)

// dice is the randomness of one world. A roll follows from the seed, from what
// it is for, and from how often it was rolled for that: which goroutine comes
// first changes nothing for the others.
type dice struct {
	seed uint64

	mu     sync.Mutex
	rolled map[uint64]uint64
}

func newDice(seed uint64) *dice { return &dice{seed: mix(seed + 1), rolled: map[uint64]uint64{}} }

// roll is the next number for a purpose.
func (d *dice) roll(what ...string) uint64 {
	key := uint64(14695981039346656037)
	for _, s := range what {
		key = hash(key, s)
	}
	d.mu.Lock()
	n := d.rolled[key]
	d.rolled[key] = n + 1
	d.mu.Unlock()
	return mix(d.seed ^ mix(key+n*0x9e3779b97f4a7c15))
}

// below is a number from 0 to n-1.
func (d *dice) below(n int, what ...string) int { return int(d.roll(what...) % uint64(n)) }

// chance is true in so many of a thousand cases.
func (d *dice) chance(thousandths int, what ...string) bool {
	return thousandths > 0 && d.below(1000, what...) < thousandths
}

// between is a duration from a to below b, to the nanosecond: so two things
// hardly ever happen at the same moment.
func (d *dice) between(a, b time.Duration, what ...string) time.Duration {
	return a + time.Duration(d.roll(what...)%uint64(b-a))
}

// source is a purpose's numbers as production wants them.
func (d *dice) source(what ...string) func() uint64 {
	return func() uint64 { return d.roll(what...) }
}

// entropy is a purpose's numbers as an io.Reader.
type entropy struct {
	dice *dice
	what string
}

// Read fills b.
func (e entropy) Read(b []byte) (int, error) {
	for i := 0; i < len(b); i += 8 {
		n := e.dice.roll("entropy", e.what)
		for j := i; j < min(i+8, len(b)); j++ {
			b[j] = byte(n >> (8 * (j - i)))
		}
	}
	return len(b), nil
}

// hash is FNV-1a, with an end.
func hash(h uint64, s string) uint64 {
	for i := range len(s) {
		h = (h ^ uint64(s[i])) * 1099511628211
	}
	return (h ^ 0xff) * 1099511628211
}

// mix is the end of splitmix64.
func mix(x uint64) uint64 {
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
