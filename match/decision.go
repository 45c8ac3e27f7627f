package match

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strconv"

	"github.com/throng-gg/throng"
)

// maxReplayed is the most sessions that a Decision can be replayed with.
const maxReplayed = 1 << 20

// decision is what there is to say of the choice that Choose has just made. It
// is right until the pool is used again; p.recorded was set.
func (p *Pool) decision(w *Want, chosen throng.SessionID) throng.Decision {
	d := throng.Decision{
		Seats: w.Seats, Keep: w.Keep, Weights: w.Weights, Wishes: w.Wishes, Random: w.Random,
		Latencies: w.Latencies, Refused: slices.Clone(w.Refused), Chosen: chosen,
		Counts: throng.JoinTold{Sessions: len(p.entries), Full: len(p.entries) - p.candidates},
	}
	for _, g := range p.order {
		if g.free < w.Seats {
			d.Counts.Small += len(g.sessions)
		}
	}
	if p.drawsLots() {
		p.ties = append(p.ties, p.search.losers...)
	}
	best := math.Inf(-1)
	for i := range p.ties {
		best = max(best, p.ties[i].score)
	}
	won := p.entries[chosen]
	shown := p.shown(won)
	enough := floor(best)
	rank := p.tally(&d.Counts, enough, won)
	for _, s := range shown {
		d.Candidates = append(d.Candidates, p.candidate(w, s.entry, s.score, enough))
	}
	if d.Lots = p.drawsLots(); d.Lots {
		return d
	}
	d.Before, d.After = rank, d.Counts.Ties-rank-1
	for _, s := range shown {
		switch {
		case s.entry == won || s.score < enough:
		case p.ahead(s.entry, won):
			d.Before--
		default:
			d.After--
		}
	}
	return d
}

// drawsLots says that sessions were scored by themselves, see draw.
func (p *Pool) drawsLots() bool { return len(p.wanted) > 0 }

// tally counts what was scored and returns how many near-ties were before the
// chosen session.
func (p *Pool) tally(counts *throng.JoinTold, enough float64, won *entry) (rank int) {
	seen := false
	for i := range p.ties {
		t := &p.ties[i]
		counts.Scored += t.count
		if t.score < enough {
			continue
		}
		counts.Ties += t.count
		switch {
		case seen:
		case t.entry == won:
			seen = true
		case t.entry == nil && t.group == won.group && won.apart != p.round:
			rank += p.place(t.group, won)
			seen = true
		default:
			rank += t.count
		}
	}
	if p.drawsLots() {
		counts.Scored = max(counts.Scored, p.search.rows)
	}
	return rank
}

// place is nth's reverse.
func (p *Pool) place(g *group, e *entry) int {
	k := 0
	for _, other := range g.sessions {
		if other == e {
			break
		}
		if other.apart != p.round {
			k++
		}
	}
	return k
}

// ahead says whether a stands before b in p.ties.
func (p *Pool) ahead(a, b *entry) bool {
	x, y := p.tieOf(a), p.tieOf(b)
	if x == y { // of one group
		return a.session.ID < b.session.ID
	}
	return x < y
}

func (p *Pool) tieOf(e *entry) int {
	return slices.IndexFunc(p.ties, func(t tie) bool {
		return t.entry == e || t.entry == nil && t.group == e.group && e.apart != p.round
	})
}

// scored is a session with its score.
type scored struct {
	entry *entry
	score float64
}

// shown picks the best sessions that were scored, of those that are alike one,
// and the chosen one, best first.
func (p *Pool) shown(won *entry) []scored {
	list := make([]scored, 0, throng.MaxJoinCandidates+1)
	wonScore := 0.0
	for i := range p.ties {
		t := &p.ties[i]
		e := t.entry
		if e == nil {
			e = p.nth(t.group, 0)
			if t.group == won.group && won.apart != p.round {
				e = won
			}
		}
		if e == won {
			wonScore = t.score
			continue
		}
		if n := len(list); n == throng.MaxJoinCandidates-1 && t.score <= list[n-1].score {
			continue
		}
		at, _ := slices.BinarySearchFunc(list, t.score, func(s scored, score float64) int { return cmp.Compare(score, s.score) })
		list = slices.Insert(list, at, scored{e, t.score})
		list = list[:min(len(list), throng.MaxJoinCandidates-1)]
	}
	at, _ := slices.BinarySearchFunc(list, wonScore, func(s scored, score float64) int { return cmp.Compare(score, s.score) })
	return slices.Insert(list, at, scored{won, wonScore})
}

func (p *Pool) candidate(w *Want, e *entry, score, enough float64) throng.Candidate {
	c := throng.Candidate{
		Session: e.session.ID, Capacity: e.session.Capacity, Free: e.group.free, Attributes: e.session.Attributes,
		Score: score, Tie: score >= enough,
	}
	c.Signals.Fill = e.group.fill
	c.Signals.Latency = latencySignal(w.Latencies, e.group.at)
	for _, f := range w.Friends {
		if f.Session == e.session.ID && e.apart == p.round {
			c.Friends, c.Signals.Friends = f.Friends, friendSignal(f.Friends)
		}
	}
	c.Kept = c.Friends == 0 && c.Free-w.Seats < w.Keep
	for i := range p.wanted {
		like := unknown
		if q := &p.wanted[i]; q.slot < len(e.own) {
			like = q.like(&e.own[q.slot])
		}
		c.Signals.Own = append(c.Signals.Own, like)
	}
	return c
}

// Replay makes a recorded decision again from what was recorded, by Choose, and
// returns what it chooses. Invalid: the record makes no sense.
func Replay(d throng.Decision) (throng.SessionID, error) {
	if d.Before < 0 || d.After < 0 || d.Before+d.After > maxReplayed || len(d.Candidates) > maxReplayed {
		return "", throng.Errorf(throng.Invalid, "the decision has %d and %d other sessions", d.Before, d.After)
	}
	i := slices.IndexFunc(d.Candidates, func(c throng.Candidate) bool { return c.Session == d.Chosen })
	if i < 0 {
		return "", throng.Errorf(throng.Invalid, "the chosen session %s is not among the candidates", d.Chosen)
	}
	p := NewPool()
	w := &Want{
		Seats: d.Seats, Keep: d.Keep, Weights: d.Weights, Wishes: d.Wishes, Random: d.Random, Latencies: d.Latencies,
	}
	if d.Lots {
		for _, wish := range d.Wishes {
			p.slot(wish.Signal.Name)
		}
	}
	put := func(c throng.Candidate) {
		p.Put(throng.Session{
			ID: c.Session, State: throng.SessionOpen, Capacity: c.Capacity, Seated: c.Capacity - c.Free, Attributes: c.Attributes,
		})
		if c.Friends > 0 {
			w.Friends = append(w.Friends, throng.SessionFriends{Session: c.Session, Friends: c.Friends})
		}
	}
	for _, c := range d.Candidates {
		put(c)
	}
	// The others of the draw are not known one by one: they were as good as the
	// chosen one, so they are put beside it, with IDs before and after it.
	other := d.Candidates[i]
	prefix := "ses_" + string(other.Session.Region()) + "_"
	for n := range d.Before {
		other.Session = throng.SessionID(fmt.Sprintf("%s!%07d", prefix, n))
		put(other)
	}
	for n := range d.After {
		other.Session = throng.SessionID(fmt.Sprintf("%s~%07d", prefix, n))
		put(other)
	}
	slices.SortFunc(w.Friends, func(a, b throng.SessionFriends) int { return cmp.Compare(a.Session, b.Session) })
	got, ok := p.Choose(w)
	if !ok {
		return "", throng.Errorf(throng.Invalid, "none of %s candidates can be chosen", strconv.Itoa(len(d.Candidates)))
	}
	return got, nil
}
