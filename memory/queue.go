package memory

import (
	"container/heap"
	"time"
)

// queue is first in, first out.
type queue[T any] struct {
	items []T
	head  int
}

func (q *queue[T]) len() int { return len(q.items) - q.head }

func (q *queue[T]) push(v T) {
	if q.head > 64 && q.head > len(q.items)/2 {
		n := copy(q.items, q.items[q.head:])
		clear(q.items[n:])
		q.items, q.head = q.items[:n], 0
	}
	q.items = append(q.items, v)
}

// front returns the oldest item and whether there is one.
func (q *queue[T]) front() (T, bool) {
	if q.len() == 0 {
		var none T
		return none, false
	}
	return q.items[q.head], true
}

func (q *queue[T]) pop() {
	var none T
	q.items[q.head] = none
	q.head++
	if q.head == len(q.items) {
		q.items, q.head = q.items[:0], 0
	}
}

// leases is a heap of sessions by the end of their lease, soonest first.
type leases []*pooled

// Len, Less, Swap, Push and Pop are heap's.
func (l *leases) Len() int           { return len(*l) }
func (l *leases) Less(i, j int) bool { return (*l)[i].LeaseUntil.Before((*l)[j].LeaseUntil) }

func (l *leases) Swap(i, j int) {
	(*l)[i], (*l)[j] = (*l)[j], (*l)[i]
	(*l)[i].lease, (*l)[j].lease = i, j
}

func (l *leases) Push(x any) {
	s, ok := x.(*pooled)
	if ok {
		s.lease = len(*l)
		*l = append(*l, s)
	}
}

func (l *leases) Pop() any {
	last := len(*l) - 1
	s := (*l)[last]
	(*l)[last] = nil
	*l = (*l)[:last]
	s.lease = -1
	return s
}

// set gives the session a lease, or moves its end.
func (l *leases) set(s *pooled, until time.Time) {
	s.LeaseUntil = until
	if s.lease < 0 {
		heap.Push(l, s)
		return
	}
	heap.Fix(l, s.lease)
}

func (l *leases) drop(s *pooled) {
	if s.lease >= 0 {
		heap.Remove(l, s.lease)
	}
}

// before visits all from i on whose lease ends by t, and looks at few others.
func (l *leases) before(i int, t time.Time, visit func(*pooled)) {
	if i >= len(*l) || (*l)[i].LeaseUntil.After(t) {
		return
	}
	visit((*l)[i])
	l.before(2*i+1, t, visit)
	l.before(2*i+2, t, visit)
}
