package match

import (
	"math"
	"slices"

	"github.com/throng-gg/throng"
)

// unknown is the signal of a session that says nothing of it: half as good as
// can be, as with latencies.
const unknown = 0.5

// wishesOf puts together what a party's members bring: the mean of their
// numbers, and the category that most of them are in, of equals the first by
// name.
func wishesOf(signals []throng.Signal, brought [][]throng.Attribute) []throng.Wish {
	if len(brought) == 0 {
		return nil
	}
	var list []throng.Wish
	for _, s := range signals[:min(len(signals), throng.MaxSignals)] {
		sum, known := 0.0, 0
		counts := map[string]int{}
		for _, member := range brought {
			for _, a := range member {
				if a.Name == s.Name && a.Kind() == s.Kind {
					sum += a.Number
					counts[a.Category]++
					known++
					break
				}
			}
		}
		if known == 0 || s.Weight <= 0 {
			continue
		}
		w := throng.Wish{Signal: s}
		if s.Kind == throng.SignalNumber {
			w.Number = sum / float64(known)
		} else {
			w.Category = mostOf(counts)
		}
		list = append(list, w)
	}
	return list
}

func mostOf(counts map[string]int) string {
	best, most := "", 0
	for category, n := range counts {
		if n > most || n == most && category < best {
			best, most = category, n
		}
	}
	return best
}

// cell is what a session says of one signal, ready to be compared.
type cell struct {
	kind   throng.SignalKind // zero: nothing
	number float64
	shares []part // of its players in a category; of one value as a whole: all
}

type part struct {
	category uint64 // hash
	of       float64
}

// wanted is a Wish, ready to be compared with the cells of one slot.
type wanted struct {
	slot     int
	kind     throng.SignalKind
	weight   float64
	number   float64
	span     float64
	category uint64 // hash
}

// learn takes in what a session says of the place's signals.
func (p *Pool) learn(e *entry, text throng.SessionAttributes) {
	e.own = nil
	for _, a := range text.List() {
		slot := p.slot(a.Name)
		if slot < 0 {
			continue
		}
		for len(e.own) <= slot {
			e.own = append(e.own, cell{})
		}
		e.own[slot] = cellOf(a)
	}
}

func cellOf(a throng.SessionAttribute) cell {
	switch {
	case a.Counts != nil:
		total := 0
		for _, n := range a.Counts {
			total += n
		}
		c := cell{kind: throng.SignalCategory}
		for category, n := range a.Counts {
			if category != "" && n > 0 {
				c.shares = append(c.shares, part{hash(category), float64(n) / float64(total)})
			}
		}
		if total == 0 {
			return cell{}
		}
		return c
	case a.Category != "":
		return cell{kind: throng.SignalCategory, shares: []part{{hash(a.Category), 1}}}
	}
	return cell{kind: throng.SignalNumber, number: a.Number}
}

// slot numbers a signal; negative: there are too many. A version's never change.
func (p *Pool) slot(name string) int {
	if i := slices.Index(p.slots, name); i >= 0 {
		return i
	}
	if len(p.slots) >= throng.MaxSignals {
		return -1
	}
	p.slots = append(p.slots, name)
	return len(p.slots) - 1
}

// wish makes the party's wishes ready. Where no session says anything there is
// nothing to wish for.
func (p *Pool) wish(list []throng.Wish) {
	p.wanted = p.wanted[:0]
	if len(p.slots) == 0 {
		return
	}
	for i := range list {
		w := &list[i]
		if w.Signal.Weight <= 0 || w.Signal.Range <= 0 && w.Signal.Kind == throng.SignalNumber {
			continue
		}
		slot := slices.Index(p.slots, w.Signal.Name)
		if slot < 0 {
			slot = math.MaxInt // no session says anything of it
		}
		p.wanted = append(p.wanted, wanted{
			slot: slot, kind: w.Signal.Kind, weight: w.Signal.Weight,
			number: w.Number, span: w.Signal.Range, category: hash(w.Category),
		})
	}
}

// own is what the place's own signals add to a session's score.
func (p *Pool) own(e *entry) float64 {
	sum := 0.0
	for i := range p.wanted {
		w := &p.wanted[i]
		if w.slot >= len(e.own) {
			sum += w.weight * unknown
			continue
		}
		sum += w.weight * w.like(&e.own[w.slot])
	}
	return sum
}

// like is the signal, 0 to 1.
func (w *wanted) like(c *cell) float64 {
	if c.kind != w.kind {
		return unknown
	}
	if w.kind == throng.SignalNumber {
		return 1 - min(math.Abs(c.number-w.number), w.span)/w.span
	}
	for i := range c.shares {
		if c.shares[i].category == w.category {
			return c.shares[i].of
		}
	}
	return 0
}

// hash is FNV-1a. Categories that fall together by chance count as the same.
func hash(s string) uint64 {
	h := uint64(14695981039346656037)
	for i := range len(s) {
		h = (h ^ uint64(s[i])) * 1099511628211
	}
	return h
}
