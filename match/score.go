package match

import (
	"math"
	"math/bits"

	"github.com/throng-gg/throng"
)

// near is how close to the best score is as good as the best: within 1 %.
const near = 0.99

// farthest is the latency in milliseconds from which on all are alike.
const farthest = 250

// keepFor is how many of a session's last seats strangers take only when they
// would need a new session otherwise, so that friends of those inside can come.
const keepFor = 2

// Want is what a ticket asks of a session.
type Want struct {
	Seats     int
	Weights   throng.Weights
	Latencies map[throng.RegionID]float64 // ms; a region that is missing counts as half as good as can be
	Friends   []throng.SessionFriends     // where friends of the party play, each session once, by ID
	Wishes    []throng.Wish               // what the party brings to the place's own signals
	Keep      int                         // last seats of a session that count less for who has no friend inside
	Refused   []throng.SessionID          // that already refused this ticket
	Random    uint64                      // picks among the near-ties
}

// tie is a group that may hold the best, and how many of it can be chosen; or
// one session that is scored by itself.
type tie struct {
	group *group
	entry *entry // instead of a group
	score float64
	count int
}

// Choose returns the session with the best score among those with room for all
// of the party; false when there is none. The score is the sum of each weight
// times its signal: how full the session is, how near, how many friends of the
// party play there, and how alike it is by the place's own signals. Where no
// friends are and fewer than Keep seats would be left, it is less by the weight
// of a full session, so such a session is chosen when no other is about as good,
// and always before none.
//
// Among sessions within 1 % of the best, Random decides, the same one for the
// same sessions and the same Random in whatever order they came.
//
// It allocates nothing once its scratch has grown.
func (p *Pool) Choose(w *Want) (throng.SessionID, bool) {
	nearest := p.rate(w)
	p.wish(w.Wishes)
	p.round++
	p.ties = p.ties[:0]
	for _, id := range w.Refused {
		p.setApart(p.entries[id])
	}
	best := math.Inf(-1)
	for _, f := range w.Friends {
		if score, ok := p.friendly(w, f); ok {
			best = max(best, score)
		}
	}
	if p.drawsLots() {
		best = p.seek(w, nearest, best)
		return p.draw(w.Random, floor(best))
	}
	for _, g := range p.order {
		// No group from here on is fuller than g.
		if w.Weights.Fill*g.fill+nearest < floor(best) {
			break
		}
		count := len(g.sessions) - g.apartIn(p.round)
		if g.free < w.Seats || count == 0 {
			continue
		}
		score := p.alike(w, g.free, g.fill, g.region)
		best = max(best, score)
		p.ties = append(p.ties, tie{group: g, score: score, count: count})
	}
	return p.pick(w.Random, floor(best))
}

// friendly scores a session in which friends play, apart from its group. False:
// it can't be chosen.
func (p *Pool) friendly(w *Want, f throng.SessionFriends) (float64, bool) {
	e := p.entries[f.Session]
	if f.Friends <= 0 || !p.setApart(e) || e.group.free < w.Seats {
		return 0, false
	}
	score := w.Weights.Fill*e.group.fill + p.signals[e.group.region] + w.Weights.Friends*friendSignal(f.Friends) + p.own(e)
	p.ties = append(p.ties, tie{entry: e, score: score, count: 1})
	return score, true
}

// friendSignal is n/(n+1) for n friends inside.
func friendSignal(n int) float64 { return float64(n) / float64(n+1) }

// setApart says that a session is not to be chosen with its group. False: it
// was already, or has no room.
func (p *Pool) setApart(e *entry) bool {
	if e == nil || e.group == nil || e.apart == p.round {
		return false
	}
	e.apart = p.round
	if e.group.apartAt != p.round {
		e.group.apartAt, e.group.apart = p.round, 0
	}
	e.group.apart++
	return true
}

func (g *group) apartIn(round uint64) int {
	if g.apartAt != round {
		return 0
	}
	return g.apart
}

// floor is the least score that is as good as the best. Scores can be under 0.
func floor(best float64) float64 {
	if best < 0 {
		return best * (2 - near)
	}
	return best * near
}

// pick draws one of the sessions in p.ties whose score is at least enough.
func (p *Pool) pick(random uint64, enough float64) (throng.SessionID, bool) {
	total := 0
	for _, t := range p.ties {
		if t.score >= enough {
			total += t.count
		}
	}
	if total == 0 {
		return "", false
	}
	hi, _ := bits.Mul64(random, uint64(total))
	k := int(hi)
	for _, t := range p.ties {
		switch {
		case t.score < enough:
		case k >= t.count:
			k -= t.count
		case t.entry != nil:
			return t.entry.session.ID, true
		default:
			return p.nth(t.group, k).session.ID, true
		}
	}
	return "", false
}

// draw is pick where every session was scored by itself: of the sessions in
// p.ties whose score is at least enough, the one whose ticket in a lottery of
// its ID and random is the highest. So nothing depends on their order, and
// without some of the others the same one wins.
func (p *Pool) draw(random uint64, enough float64) (throng.SessionID, bool) {
	var winner *entry
	highest := uint64(0)
	for i := range p.ties {
		t := &p.ties[i]
		if t.score < enough {
			continue
		}
		lot := mix(random ^ t.entry.lot)
		if winner == nil || lot > highest || lot == highest && t.entry.session.ID < winner.session.ID {
			winner, highest = t.entry, lot
		}
	}
	if winner == nil {
		return "", false
	}
	return winner.session.ID, true
}

// mix is the finalizer of splitmix64 (Steele, Lea, Flood 2014).
func mix(x uint64) uint64 {
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// nth is the k-th session of a group that is not set apart.
func (p *Pool) nth(g *group, k int) *entry {
	if g.apartIn(p.round) == 0 {
		return g.sessions[k]
	}
	for _, e := range g.sessions {
		if e.apart == p.round {
			continue
		}
		if k == 0 {
			return e
		}
		k--
	}
	return nil
}

// rate computes the weighted latency signal of every region once, and returns
// the largest.
func (p *Pool) rate(w *Want) float64 {
	largest := 0.0
	for i, r := range p.regions {
		p.signals[i] = w.Weights.Latency * latencySignal(w.Latencies, r)
		largest = max(largest, p.signals[i])
	}
	return largest
}

// latencySignal is 1 for a region next door and 0 from 250 ms on.
func latencySignal(latencies map[throng.RegionID]float64, r throng.RegionID) float64 {
	ms, known := latencies[r]
	if !known || !(ms >= 0) {
		return 0.5
	}
	return 1 - min(ms, farthest)/farthest
}
