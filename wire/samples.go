package wire

import "math/bits"

// Samples says in which of the last History ticks an entity was told: bit i is
// the tick that is i before the snapshot's. Both sides keep it, the server what
// it sent and the client what came, and derive the same from those that the
// server knows to have come, which each snapshot names.
type Samples struct {
	Told  uint32 // its values, or that it is gone
	Gone  uint32 // those of Told that say that it is gone
	Fresh uint32 // those of Told that need no earlier one
	// Settled says that the newest one before all of these came, and told values.
	Settled bool
}

// Advance goes on by so many ticks. came is which of the ticks came, for the
// last time that this is asked of those that History leaves behind.
func (s *Samples) Advance(by uint32, came uint32) {
	var left uint32 // bits that are left behind
	if by < History {
		left = s.Told & came &^ (1<<(History-by) - 1)
	} else {
		left = s.Told & came
	}
	if left != 0 {
		s.Settled = s.Gone&(left&-left) == 0
	}
	s.Told, s.Gone, s.Fresh = s.Told<<by, s.Gone<<by, s.Fresh<<by
}

// Leaving is the age, before it, of the newest sample that Advance leaves
// behind; false: it leaves none behind.
func (s *Samples) Leaving(by uint32, came uint32) (age int, ok bool) {
	left := s.Told & came
	if by < History {
		left &^= 1<<(History-by) - 1
	}
	return bits.TrailingZeros32(left), left != 0
}

// Seen says whether a client that has the ticks of acks, and what settled, sees the entity.
func (s *Samples) Seen(acks uint32) bool {
	if came := s.Told & acks; came != 0 {
		return s.Gone&(came&-came) == 0
	}
	return s.Settled
}

// since is which of the ticks of acks told the entity, from the newest on that told
// it anew: of those before a server may have forgotten all.
func (s *Samples) since(acks uint32) uint32 {
	came := s.Told & acks
	if fresh := s.Fresh & came; fresh != 0 {
		came &= fresh&-fresh | (fresh&-fresh - 1)
	}
	return came
}

// Bases is what the newest values of an entity are told by: the ages of the
// samples that it is expected from, the newest first. 0: there is none, or for
// Base: it is the settled one.
type Bases struct{ Base, Older, Oldest uint8 }

// Bases chooses among the ticks of acks: the newest, and two more that are about
// as far apart as it is away from now: closer ones tell less well where things
// go, and others tell of turns later.
func (s *Samples) Bases(acks uint32) Bases {
	came := s.since(acks) &^ s.Gone
	if came == 0 {
		return Bases{}
	}
	b := Bases{Base: uint8(bits.TrailingZeros32(came))}
	step := min(max(b.Base, leastStep), mostStep)
	b.Older = before(came, b.Base, step)
	if b.Older != 0 {
		b.Oldest = before(came, b.Older, step)
	}
	return b
}

const (
	leastStep = 2
	mostStep  = 8
)

// before is the sample that is at least step before one, else the one furthest
// before it, else 0.
func before(came uint32, at, step uint8) uint8 {
	if far := came >> (at + step); at+step < History && far != 0 {
		return at + step + uint8(bits.TrailingZeros32(far))
	}
	if last := uint8(bits.Len32(came)) - 1; last > at {
		return last
	}
	return 0
}

// mention says how likely the entity is to be told again: by whether it was in
// the newest two snapshots that came.
func (s *Samples) mention(acks uint32) int {
	newest := acks & -acks
	second := acks &^ newest
	second &= -second
	switch t := s.since(acks); {
	case t&newest != 0 && t&second != 0:
		return 0
	case t&newest != 0:
		return 1
	case t&second != 0:
		return 2
	case t != 0:
		return 3
	}
	return 4
}
