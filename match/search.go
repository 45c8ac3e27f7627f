package match

import (
	"math"

	"github.com/throng-gg/throng"
)

// search is one choice by the place's own signals. It is scratch of Choose.
type search struct {
	w       *Want
	nearest float64 // the most that latency adds
	best    float64
	rows    int // scored
	probes  []probe
	stack   []branch

	// losers is the best that were not good enough, in no order, for the record.
	losers []tie
	least  float64 // score of the worst of them, once there are enough
}

// probe is a wanted signal with its column in the tree.
type probe struct {
	wanted
	column int // -1: none
	said   int // a column that tells whether the session says anything; -1: none does
}

// branch is a node that may be looked into, and the most that a session in it
// can have.
type branch struct {
	node int32
	most float64
}

// seek finds the best sessions by way of the tree, above best, and adds them to
// p.ties. It returns the new best.
func (p *Pool) seek(w *Want, nearest, best float64) float64 {
	if p.tree.rescale(p.wanted) || p.tree.wide(len(p.entries)) {
		p.grow()
	}
	t, s := &p.tree, &p.search

	s.w, s.nearest, s.best, s.rows = w, nearest, best, 0
	s.losers, s.least = s.losers[:0], math.Inf(-1)
	s.aim(t, p.wanted)
	for _, e := range t.extra {
		if e.group != nil && e.group.free >= w.Seats && e.apart != p.round {
			p.found(e, p.alike(w, e.group.free, e.group.fill, e.group.region)+p.own(e))
		}
	}
	s.rows += len(t.extra)
	s.stack = append(s.stack[:0], branch{0, s.most(t, 0)})
	for len(s.stack) > 0 && s.rows < treeRows {
		b := s.stack[len(s.stack)-1]
		s.stack = s.stack[:len(s.stack)-1]
		if b.most < floor(s.best) || math.IsInf(b.most, -1) {
			continue
		}
		n := &t.nodes[b.node]
		if n.leaf >= 0 {
			p.scan(&t.leaves[n.leaf])
			continue
		}
		left, right := branch{n.left, s.most(t, n.left)}, branch{n.right, s.most(t, n.right)}
		if left.most > right.most {
			left, right = right, left
		}
		s.stack = append(s.stack, left, right) // the better one is looked into first
	}
	return s.best
}

// rescale remembers how much a step in each signal counts, by which the tree is
// split. True: one was not known.
func (t *tree) rescale(list []wanted) bool {
	changed := false
	for i := range list {
		w := &list[i]
		scale := w.weight
		if w.kind == throng.SignalNumber {
			scale /= w.span
		}
		if w.slot < len(t.scales) && t.scales[w.slot] != scale {
			t.scales[w.slot] = scale
			changed = true
		}
	}
	return changed
}

// aim finds the wanted signals' columns.
func (s *search) aim(t *tree, list []wanted) {
	s.probes = s.probes[:0]
	for _, w := range list {
		p := probe{wanted: w, column: -1, said: -1}
		for c := range t.columns {
			col := &t.columns[c]
			if col.slot != w.slot || col.kind != w.kind {
				continue
			}
			p.said = c
			if w.kind == throng.SignalNumber || col.category == w.category {
				p.column = c
				break
			}
		}
		s.probes = append(s.probes, p)
	}
}

// most is the most that a session of a node can have.
func (s *search) most(t *tree, n int32) float64 {
	if math.IsInf(t.nodes[n].fill, -1) {
		return math.Inf(-1)
	}
	sum := s.w.Weights.Fill*t.nodes[n].fill + s.nearest
	if s.w.Keep < keepFor {
		sum += s.w.Weights.Fill
	}
	bounds := t.bounds[int(n)*len(t.columns):][:len(t.columns)]
	for i := range s.probes {
		p := &s.probes[i]
		if p.column < 0 {
			sum += p.weight * p.mostWithout(t)
			continue
		}
		b := &bounds[p.column]
		like := 0.0
		switch {
		case p.kind == throng.SignalCategory:
			like = max(float64(b.hi), 0)
		case b.lo <= b.hi:
			off := max(float64(b.lo)-p.number, p.number-float64(b.hi), 0)
			like = 1 - min(off, p.span)/p.span
		}
		if b.vague {
			like = max(like, unknown)
		}
		sum += p.weight * like
	}
	return sum
}

// mostWithout is the most that the signal can be when what is wanted has no
// column in the tree.
func (q *probe) mostWithout(t *tree) float64 {
	if t.odd && q.kind == throng.SignalCategory {
		return 1
	}
	return unknown
}

// alike is the part of a session's score that is not of the place's own signals.
func (p *Pool) alike(w *Want, free int, fill float64, region int) float64 {
	score := w.Weights.Fill*fill + p.signals[region]
	if free-w.Seats < w.Keep {
		score -= max(w.Weights.Fill, 1)
	}
	return score
}

// scan scores a leaf's sessions.
func (p *Pool) scan(l *leaf) {
	s := &p.search
	s.rows += l.count
	var scores [leafRows]float64
	for row := range l.count {
		if l.free[row] == 0 || int(l.free[row]) < s.w.Seats {
			scores[row] = math.Inf(-1)
			continue
		}
		scores[row] = p.alike(s.w, int(l.free[row]), l.fill[row], int(l.region[row]))
	}
	for i := range s.probes {
		q := &s.probes[i]
		switch {
		case q.column < 0:
			for row := range l.count {
				scores[row] += q.weight * q.without(l, row)
			}
		case q.kind == throng.SignalNumber:
			q.addNumbers(&scores, l.values[q.column*leafRows:][:l.count])
		default:
			q.addShares(&scores, l.values[q.column*leafRows:][:l.count])
		}
	}
	p.sift(l, &scores)
}

// sift takes note of the sessions of a leaf that may be the best.
func (p *Pool) sift(l *leaf, scores *[leafRows]float64) {
	enough := floor(p.search.best)
	for row := range l.count {
		e := l.entries[row]
		switch score := scores[row]; {
		case score < enough && !p.recorded || math.IsInf(score, -1) || e == nil || e.apart == p.round:
		default:
			p.found(e, score)
			enough = floor(p.search.best)
		}
	}
}

func (q *probe) addNumbers(scores *[leafRows]float64, values []float32) {
	for row, v := range values {
		like := unknown
		if v == v { //nolint:gocritic // not NaN
			like = 1 - min(math.Abs(float64(v)-q.number), q.span)/q.span
		}
		scores[row] += q.weight * like
	}
}

func (q *probe) addShares(scores *[leafRows]float64, values []float32) {
	for row, v := range values {
		like := unknown
		if v == v { //nolint:gocritic // not NaN
			like = float64(v)
		}
		scores[row] += q.weight * like
	}
}

// without is the signal of a session when what is wanted has no column.
func (q *probe) without(l *leaf, row int) float64 {
	switch {
	case q.said < 0 && !l.odd[row]:
		return unknown
	case l.odd[row] && l.entries[row] != nil && q.slot < len(l.entries[row].own):
		return q.like(&l.entries[row].own[q.slot])
	case q.said >= 0:
		if v := l.values[q.said*leafRows+row]; v == v { //nolint:gocritic // not NaN
			return 0
		}
	}
	return unknown
}

// found takes note of a session that may be the best.
func (p *Pool) found(e *entry, score float64) {
	s := &p.search
	if score < floor(s.best) {
		if p.recorded && score > s.least {
			p.lost(e, score)
		}
		return
	}
	s.best = max(s.best, score)
	p.ties = append(p.ties, tie{entry: e, score: score, count: 1})
}

// lost takes note of a session for the record, in the place of the worst one.
func (p *Pool) lost(e *entry, score float64) {
	s := &p.search
	if len(s.losers) < throng.MaxJoinCandidates {
		s.losers = append(s.losers, tie{entry: e, score: score, count: 1})
	} else {
		s.losers[s.worst()] = tie{entry: e, score: score, count: 1}
	}
	if len(s.losers) == throng.MaxJoinCandidates {
		s.least = s.losers[s.worst()].score
	}
}

func (s *search) worst() int {
	at := 0
	for i := range s.losers {
		if s.losers[i].score < s.losers[at].score {
			at = i
		}
	}
	return at
}
