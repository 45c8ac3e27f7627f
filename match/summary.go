package match

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/throng-gg/throng"
)

const (
	// summaryAge is how long a summary is given to others who ask, so that they
	// cost the desk ten looks at its lines a second at most.
	summaryAge = 100 * time.Millisecond
	// summaryPlaces is how many places are looked up for one: more than are told,
	// because some have seats only in versions that are not live.
	summaryPlaces = 2 * throng.MaxPlaceSummaries
)

// summary is the last one that was made.
type summary struct {
	turn chan struct{} // taken by who uses what follows

	made time.Time
	last throng.RegionSummary
}

// Summary is what this matchmaker knows of the region, for other regions; it is up
// to 100 ms old. Its places are not to be changed. Unavailable: the region cannot
// be told of now, because its registry, its places or its fleet are not heard.
func (m *Matchmaker) Summary(ctx context.Context) (throng.RegionSummary, error) {
	select {
	case m.summary.turn <- struct{}{}:
		defer func() { <-m.summary.turn }()
	case <-ctx.Done():
		return throng.RegionSummary{}, fault(ctx, ctx.Err(), "wait for the region's summary")
	}
	begun := time.Now()
	if begun.Sub(m.summary.made) < summaryAge {
		return m.summary.last, nil
	}
	s, err := m.summarize(ctx)
	if err != nil {
		return throng.RegionSummary{}, err
	}
	m.summary.made, m.summary.last = begun, s
	return s, nil
}

func (m *Matchmaker) summarize(ctx context.Context) (throng.RegionSummary, error) {
	s := throng.RegionSummary{Region: m.region.ID, Number: m.region.Number, Room: m.room()}
	if m.servers != nil {
		room, err := m.servers.Room()
		if err != nil {
			return s, fault(ctx, err, "count game servers")
		}
		s.Draining, s.Warm, s.Spare = room.Draining, room.Warm, room.Spare
	}
	pools, err := m.seats(ctx)
	if err != nil {
		return s, err
	}
	for i, p := range pools {
		if i == summaryPlaces || len(s.Places) == throng.MaxPlaceSummaries {
			break
		}
		l, err := m.places.Lanes(ctx, p.key.place)
		switch {
		case err != nil && throng.KindOf(err) != throng.NotFound:
			return s, fault(ctx, err, "find place "+string(p.key.place))
		case err == nil && l.Live.Version == p.key.version:
			s.Places = append(s.Places, p.summary)
		}
	}
	slices.SortFunc(s.Places, func(a, b throng.PlaceSummary) int { return cmp.Compare(a.Place, b.Place) })
	return s, nil
}

// room is how many tickets would be worked on at once.
func (m *Matchmaker) room() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return 0
	}
	return m.queue.free()
}

// poolSeats is what a pool has.
type poolSeats struct {
	key     poolKey
	summary throng.PlaceSummary
}

// seats returns the pools with a session that has a free seat, those with the most
// players first.
func (m *Matchmaker) seats(ctx context.Context) ([]poolSeats, error) {
	type answer struct {
		pools []poolSeats
		err   error
	}
	told := make(chan answer, 1)
	m.tell(ctx, func(d *desk) {
		pools, err := d.seats()
		told <- answer{pools, err}
	})
	select {
	case a := <-told:
		slices.SortFunc(a.pools, func(a, b poolSeats) int {
			return cmp.Or(cmp.Compare(b.summary.Players, a.summary.Players), cmp.Compare(a.key.place, b.key.place), cmp.Compare(b.key.version, a.key.version))
		})
		return a.pools, a.err
	case <-m.stopped:
		return nil, throng.RetryLater(throng.Unavailable, askAgain, "matching is stopping")
	case <-ctx.Done():
		return nil, fault(ctx, ctx.Err(), "count free seats")
	}
}

func (d *desk) seats() (pools []poolSeats, err error) {
	switch {
	case d.broken != nil:
		return nil, d.broken
	case !d.ready:
		return nil, throng.RetryLater(throng.Unavailable, askAgain, "the registry has not told yet what there is")
	}
	for key, l := range d.lines {
		if s := l.pool.summary(key.place); s.Sessions > 0 {
			pools = append(pools, poolSeats{key, s})
		}
	}
	return pools, nil
}

// summary counts the sessions that have a free seat.
func (p *Pool) summary(place throng.PlaceID) throng.PlaceSummary {
	s := throng.PlaceSummary{Place: place}
	for _, g := range p.order {
		s.Add(len(g.sessions), g.capacity, g.free)
	}
	return s
}
