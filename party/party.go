package party

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/throng-gg/throng"
)

const (
	tries      = 16        // at a record that others change at the same time
	touchEvery = time.Hour // how exactly it is known when a party was last asked for
)

// Config is what Parties needs.
type Config struct {
	Store  Store           // required
	Region throng.RegionID // required

	Now     func() time.Time      // nil: time.Now
	Entropy io.Reader             // makes IDs and invites; nil: crypto/rand
	Logger  *slog.Logger          // nil: says nothing
	Metrics prometheus.Registerer // nil: not registered
}

// Parties is one region's parties. Its methods may be called by any number of
// goroutines and processes on the same store, and repeated.
type Parties struct {
	store   Store
	region  throng.RegionID
	now     func() time.Time
	entropy io.Reader
	log     *slog.Logger
	metrics *metrics
}

// New makes Parties. It starts nothing; Run ends parties that nobody uses.
func New(c Config) (*Parties, error) {
	if c.Store == nil {
		return nil, throng.AtField(throng.Invalid, "Store", "is missing")
	}
	if _, err := throng.ParseRegionID("Region", string(c.Region)); err != nil {
		return nil, err
	}
	p := &Parties{store: c.Store, region: c.Region, now: c.Now, entropy: c.Entropy, log: c.Logger}
	if p.now == nil {
		p.now = time.Now
	}
	if p.entropy == nil {
		p.entropy = rand.Reader
	}
	if p.log == nil {
		p.log = slog.New(slog.DiscardHandler)
	}
	var err error
	p.metrics, err = newMetrics(c.Metrics)
	return p, err
}

// Make makes a party that the player leads; he leaves the one he is in. Who is
// alone in a party keeps it, so that a repeat makes no second one.
func (p *Parties) Make(ctx context.Context, leader throng.PlayerID) (throng.Party, error) {
	from, err := p.store.Of(ctx, leader)
	if err != nil {
		return throng.Party{}, err
	}
	if from != "" {
		s, err := p.read(ctx, from)
		if err == nil && slices.Equal(s.in, []throng.PlayerID{leader}) && p.now().Before(s.Expires) {
			return s.party(), nil
		}
		if err != nil && throng.KindOf(err) != throng.NotFound {
			return throng.Party{}, err
		}
	}
	e, err := p.random()
	if err != nil {
		return throng.Party{}, err
	}
	r := Record{Party: throng.Party{ID: throng.MakePartyID(p.region, e), Members: []throng.PlayerID{leader}}}
	if err := p.renew(&r); err != nil {
		return throng.Party{}, err
	}
	r.Touched = p.now()
	if r, err = p.store.Swap(ctx, r); err != nil {
		return throng.Party{}, fmt.Errorf("make a party: %w", err)
	}
	p.metrics.made.Inc()
	if err := p.enter(ctx, leader, r.ID); err != nil {
		return throng.Party{}, err
	}
	return r.Party, nil
}

// Watch returns a party once its revision is not the given one any more, at the
// latest when wait is over. NotFound: there is no such party, or the viewer is
// not in it.
func (p *Parties) Watch(
	ctx context.Context, id throng.PartyID, viewer throng.PlayerID, revision uint64, wait time.Duration,
) (throng.Party, error) {
	s, err := p.read(ctx, id)
	if err != nil {
		return throng.Party{}, err
	}
	if err := s.has(viewer); err != nil {
		return throng.Party{}, err
	}
	if s.Revision == revision && wait > 0 {
		waiting, cancel := context.WithTimeout(ctx, wait)
		defer cancel()
		if err := p.store.Await(waiting, id, revision); err != nil && waiting.Err() == nil {
			return throng.Party{}, err
		}
		if ctx.Err() != nil {
			return throng.Party{}, throng.Errorf(throng.Unavailable, "wait for party %s: %w", id, ctx.Err())
		}
		if s, err = p.read(ctx, id); err != nil {
			return throng.Party{}, err
		}
	}
	if p.now().Sub(s.Touched) > touchEvery {
		return p.touch(ctx, id, viewer)
	}
	return s.party(), s.has(viewer)
}

// Invite makes a new invite; the one before is void. Denied: the player does not
// lead. NotFound: he is not in it.
func (p *Parties) Invite(ctx context.Context, id throng.PartyID, leader throng.PlayerID) (throng.Party, error) {
	return p.change(ctx, id, func(s *state) error {
		if err := s.ledBy(leader); err != nil {
			return err
		}
		return p.renew(&s.Record)
	})
}

// renew gives the record a new invite.
func (p *Parties) renew(r *Record) error {
	e, err := p.random()
	if err != nil {
		return err
	}
	r.Invite, r.Expires = throng.MakeCode(e), p.now().Add(throng.InviteTime).Round(0)
	return nil
}

func (p *Parties) random() (throng.Entropy, error) {
	var e throng.Entropy
	if _, err := io.ReadFull(p.entropy, e[:]); err != nil {
		return e, fmt.Errorf("make a party's name or invite: %w", err)
	}
	return e, nil
}

// state is a party as it is kept, and who of those listed is really in it: the
// others are about to come, or have just left.
type state struct {
	Record
	in []throng.PlayerID
}

// party is what members see.
func (s *state) party() throng.Party {
	view := s.Party
	view.Members = s.in
	return view
}

// read returns a party. NotFound: there is none, or nobody asked for it for a
// day.
func (p *Parties) read(ctx context.Context, id throng.PartyID) (*state, error) {
	r, err := p.store.Get(ctx, id)
	if err != nil {
		return nil, err
	}
	if p.now().Sub(r.Touched) > throng.PartyIdle {
		return nil, unknown(id)
	}
	return p.state(ctx, r)
}

func (p *Parties) state(ctx context.Context, r Record) (*state, error) {
	s := &state{Record: r, in: make([]throng.PlayerID, 0, len(r.Members))}
	for _, m := range r.Members {
		of, err := p.store.Of(ctx, m)
		if err != nil {
			return nil, err
		}
		if of == r.ID {
			s.in = append(s.in, m)
		}
	}
	return s, nil
}

// errSame is an edit's word that there is nothing to change.
var errSame = errors.New("nothing changes")

// change edits a party on condition that nobody else did meanwhile; edit may be
// called again with what the other made of it.
func (p *Parties) change(ctx context.Context, id throng.PartyID, edit func(*state) error) (throng.Party, error) {
	for range tries {
		s, err := p.read(ctx, id)
		if err != nil {
			return throng.Party{}, err
		}
		err = edit(s)
		if errors.Is(err, errSame) {
			return s.party(), nil
		}
		if err != nil {
			return throng.Party{}, err
		}
		s.Touched = p.now()
		s.Record, err = p.store.Swap(ctx, s.Record)
		if err == nil {
			s, err = p.state(ctx, s.Record)
			if err != nil {
				return throng.Party{}, err
			}
			return s.party(), nil
		}
		if throng.KindOf(err) != throng.Conflict {
			return throng.Party{}, fmt.Errorf("change party %s: %w", id, err)
		}
	}
	return throng.Party{}, throng.RetryLater(throng.Contention, 200*time.Millisecond, "party %s is changed by others all the time", id)
}

// touch keeps a party alive and tells those who watch it to look again.
func (p *Parties) touch(ctx context.Context, id throng.PartyID, player throng.PlayerID) (throng.Party, error) {
	return p.change(ctx, id, func(s *state) error { return s.has(player) })
}

// unknown is also what those are told who are not in it.
func unknown(id throng.PartyID) error {
	return throng.AtField(throng.NotFound, "id", "there is no party %s with this player in it", id)
}

func (s *state) has(player throng.PlayerID) error {
	if !slices.Contains(s.in, player) {
		return unknown(s.ID)
	}
	return nil
}

func (s *state) ledBy(player throng.PlayerID) error {
	if err := s.has(player); err != nil {
		return err
	}
	if s.in[0] != player {
		return throng.Errorf(throng.Denied, "only the leader of a party may do this")
	}
	return nil
}

// opens says whether the invite lets somebody in now.
func (p *Parties) opens(r *state, invite string) bool {
	same := subtle.ConstantTimeCompare([]byte(r.Invite), []byte(throng.CleanCode(invite))) == 1
	return same && p.now().Before(r.Expires)
}
