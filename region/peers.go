package region

import (
	"cmp"
	"context"
	"log/slog"
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/throng-gg/throng"
)

const (
	askEvery = time.Second            // a quarter more or less, so that regions do not ask in step
	askTime  = 900 * time.Millisecond // for an answer, or the next one would be late

	// returnTime is for how long a region that was lost gets only a part of what it
	// has room for, which grows from nothing to all.
	returnTime = 10 * time.Second

	never = time.Duration(1<<63 - 1) // the age of what was not heard
)

// Config is what Peers need.
type Config struct {
	Own throng.Region // whose number no other may have; 0: numbers are not looked at
	// Regions are the others of the deployment; at most MaxRegions less one.
	Regions []throng.RegionID
	Doors   Doors                 // required
	Logger  *slog.Logger          // nil: says nothing
	Metrics prometheus.Registerer // nil: not registered
}

// Peers knows what other regions have.
type Peers struct {
	own     throng.Region
	doors   Doors
	logger  *slog.Logger
	metrics *metrics

	mu    sync.Mutex
	peers []*peer // by ID; their fields are guarded by mu
}

// peer is what is known of a region.
type peer struct {
	id      throng.RegionID
	asked   time.Time // when the summary was asked for, so it is as old as that; zero: there is none
	summary throng.RegionSummary
	tickets int                    // sent there since
	seats   map[throng.PlaceID]int // of those, by place; at most as many as tickets
	heard   bool                   // as the log has it
	lost    bool                   // nobody is sent there
	back    time.Time              // when it was lost no more; zero: it never was
	number  uint8                  // that it said last; 0: it was never heard
	alike   bool                   // another has that number, as the log has it
}

// New makes Peers that know nothing until Run. Invalid: something makes no sense.
func New(c Config) (*Peers, error) {
	if c.Doors == nil || len(c.Regions) >= throng.MaxRegions {
		return nil, throng.Errorf(throng.Invalid, "regions need a way to each other and are at most %d", throng.MaxRegions)
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	m, err := newMetrics(c.Metrics)
	if err != nil {
		return nil, err
	}
	p := &Peers{own: c.Own, doors: c.Doors, logger: c.Logger, metrics: m}
	for _, id := range slices.Sorted(slices.Values(c.Regions)) {
		if n := len(p.peers); n > 0 && p.peers[n-1].id == id {
			return nil, throng.Errorf(throng.Invalid, "region %s is there twice", id)
		}
		p.peers = append(p.peers, &peer{id: id, heard: true})
	}
	return p, nil
}

// Run asks every region for its summary about once a second, each apart from the
// others, until ctx ends.
func (p *Peers) Run(ctx context.Context) error {
	var all sync.WaitGroup
	for _, r := range p.peers {
		all.Go(func() { p.follow(ctx, r) })
	}
	all.Wait()
	return nil
}

func (p *Peers) follow(ctx context.Context, r *peer) {
	for ctx.Err() == nil {
		begun := time.Now()
		asking, cancel := context.WithTimeout(ctx, askTime)
		s, err := p.doors.Summary(asking, r.id)
		cancel()
		if ctx.Err() != nil {
			return
		}
		p.take(ctx, r, s, begun, err)
		next := time.NewTimer(askEvery*3/4 + rand.N(askEvery/2) - min(time.Since(begun), askEvery/2))
		select {
		case <-next.C:
		case <-ctx.Done():
			next.Stop()
		}
	}
}

// take takes a summary in, or that there is none.
func (p *Peers) take(ctx context.Context, r *peer, s throng.RegionSummary, asked time.Time, err error) {
	refused := p.doors.Refused(r.id)
	p.mu.Lock()
	defer p.mu.Unlock()
	if err == nil {
		err = p.number(ctx, r, s.Number)
	}
	if err == nil {
		r.asked, r.summary, r.tickets, r.seats = asked, s, 0, map[throng.PlaceID]int{}
	}
	now := time.Now()
	r.look(now, refused)
	fresh := r.age(now) <= FreshFor
	p.metrics.asked(r.id, err)
	p.metrics.fresh.WithLabelValues(string(r.id)).Set(map[bool]float64{true: 1}[fresh])
	if fresh == r.heard {
		return
	}
	if r.heard = fresh; fresh {
		p.logger.InfoContext(ctx, "region is heard", "region", r.id)
	} else {
		p.logger.WarnContext(ctx, "region is not heard, nobody is sent there", "region", r.id, "err", err)
	}
}

// number takes in what number a region says that it has. Conflict: another has it,
// too, so that of two joins nobody could say which is newer; both get nobody.
func (p *Peers) number(ctx context.Context, r *peer, number uint8) error {
	r.number = number
	with := throng.RegionID("")
	if number == p.own.Number {
		with = p.own.ID
	}
	for _, other := range p.peers {
		if other != r && other.number == number {
			with = other.id
		}
	}
	if p.own.Number == 0 || with == "" {
		r.alike = false
		return nil
	}
	if r.asked = (time.Time{}); !r.alike {
		r.alike = true
		p.logger.ErrorContext(ctx, "region has the number of another, nobody is sent there: give it one of its own", "region", r.id, "number", number, "other", with)
	}
	return throng.Errorf(throng.Conflict, "regions %s and %s both have the number %d", r.id, with, number)
}

// age is how old the summary is; without one it is older than any.
func (r *peer) age(now time.Time) time.Duration {
	if r.asked.IsZero() {
		return never
	}
	return now.Sub(r.asked)
}

// Candidates returns what is known of all other regions, by ID, for Rank.
func (p *Peers) Candidates(place throng.PlaceID) []Candidate {
	now := time.Now()
	list := make([]Candidate, 0, len(p.peers)+1) // with the own one
	for _, r := range p.peers {
		list = append(list, Candidate{Region: r.id, Refused: p.doors.Refused(r.id)})
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for i, r := range p.peers {
		c := &list[i]
		c.Age, c.Summary, c.SentSeats, c.SentTickets = r.age(now), r.summary, r.seats[place], r.tickets
		r.look(now, c.Refused)
		c.Summary.Room = p.share(r, c.Summary.Room, now)
	}
	return list
}

// look notes when a region is lost, and when it is back.
func (r *peer) look(now time.Time, refused bool) {
	lost := refused || r.age(now) > FreshFor
	if r.lost && !lost {
		r.back = now
	}
	r.lost = lost && !r.asked.IsZero()
}

// share is how many of the tickets that a region takes up at once this one may send it
// on one summary: not what the others may. While it is coming back they are fewer, and
// spread over the time until the next summary, so that not all who live there are there in one
// moment; one always may go.
func (p *Peers) share(r *peer, room int, now time.Time) int {
	if room <= 0 {
		return room
	}
	part := float64(room) / float64(len(p.peers)+1)
	if since := now.Sub(r.back); !r.back.IsZero() && since < returnTime {
		part *= since.Seconds() / returnTime.Seconds() * min(r.age(now).Seconds()/askEvery.Seconds(), 1)
	}
	return int(math.Ceil(max(part, 1)))
}

// Rank puts all regions in the order in which they are tried for a ticket, the own
// one among them, whose summary is just made; nil: nothing good is known of it.
func (p *Peers) Rank(w throng.RegionWish, own *throng.RegionSummary) []throng.RegionChoice {
	self := Candidate{Region: p.own.ID, Own: true, Age: never}
	if own != nil {
		self.Summary, self.Age = *own, 0
	}
	return Rank(w, append(p.Candidates(w.Place), self))
}

// Sent says that a ticket went to a region, which has less room until its next
// summary. Unknown regions are no error.
func (p *Peers) Sent(id throng.RegionID, place throng.PlaceID, seats int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	i, found := slices.BinarySearchFunc(p.peers, id, func(r *peer, id throng.RegionID) int { return cmp.Compare(r.id, id) })
	if !found || p.peers[i].seats == nil {
		return
	}
	p.peers[i].tickets++
	p.peers[i].seats[place] += seats
}
