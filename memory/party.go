package memory

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"time"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/party"
)

// DefaultParties is how many parties a Parties keeps if it is not told.
const DefaultParties = 1 << 20

// Parties is a party.Store in memory. It is safe for concurrent use.
type Parties struct {
	most int

	mu      sync.Mutex
	parties map[throng.PartyID]*kept
	of      map[throng.PlayerID]throng.PartyID
}

// kept is one party and those who wait for it to change.
type kept struct {
	party.Record
	changed chan struct{} // closed at the next change; nil: nobody waits
}

var _ party.Store = (*Parties)(nil)

// NewParties makes an empty store of up to most parties; 0: DefaultParties.
func NewParties(most int) *Parties {
	return &Parties{
		most:    cmp.Or(most, DefaultParties),
		parties: map[throng.PartyID]*kept{},
		of:      map[throng.PlayerID]throng.PartyID{},
	}
}

// Get returns a party.
func (p *Parties) Get(_ context.Context, id throng.PartyID) (party.Record, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	k := p.parties[id]
	if k == nil {
		return party.Record{}, throng.AtField(throng.NotFound, "id", "there is no party %s", id)
	}
	return cloneParty(k.Record), nil
}

// Swap keeps the record if the kept one has its revision.
func (p *Parties) Swap(_ context.Context, r party.Record) (party.Record, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	k := p.parties[r.ID]
	switch {
	case k == nil && r.Revision != 0 || k != nil && k.Revision != r.Revision:
		return party.Record{}, throng.AtField(throng.Conflict, "revision", "party %s is not at revision %d", r.ID, r.Revision)
	case k == nil && len(p.parties) >= p.most:
		return party.Record{}, throng.RetryLater(throng.Unavailable, time.Minute, "there are %d parties, which is the most", p.most)
	case k == nil:
		k = &kept{}
	}
	next := cloneParty(r)
	next.Revision++
	k.Record = next
	if len(next.Members) == 0 {
		delete(p.parties, r.ID)
	} else {
		p.parties[r.ID] = k
	}
	if k.changed != nil {
		close(k.changed)
		k.changed = nil
	}
	return cloneParty(next), nil
}

// Await blocks until the party has another revision than this one.
func (p *Parties) Await(ctx context.Context, id throng.PartyID, revision uint64) error {
	changed := p.watch(id, revision)
	if changed == nil {
		return nil
	}
	select {
	case <-changed:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// watch returns what is closed at the next change; nil: it changed already.
func (p *Parties) watch(id throng.PartyID, revision uint64) chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	k := p.parties[id]
	if k == nil || k.Revision != revision {
		return nil
	}
	if k.changed == nil {
		k.changed = make(chan struct{})
	}
	return k.changed
}

// Idle returns parties that were last touched before the time.
func (p *Parties) Idle(_ context.Context, before time.Time, limit int) ([]throng.PartyID, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	var list []throng.PartyID
	for id, k := range p.parties {
		if len(list) < limit && k.Touched.Before(before) {
			list = append(list, id)
		}
	}
	slices.Sort(list)
	return list, nil
}

// Of returns the player's party.
func (p *Parties) Of(_ context.Context, player throng.PlayerID) (throng.PartyID, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.of[player], nil
}

// Move makes to the player's party if from is.
func (p *Parties) Move(_ context.Context, player throng.PlayerID, from, to throng.PartyID) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch p.of[player] {
	case to:
	case from:
		p.of[player] = to
	default:
		return throng.AtField(throng.Conflict, "player", "%s is in another party", player)
	}
	if to == "" {
		delete(p.of, player)
	}
	return nil
}

func cloneParty(r party.Record) party.Record {
	r.Members = slices.Clone(r.Members)
	if r.Ticket != nil {
		t := *r.Ticket
		t.Members = slices.Clone(t.Members)
		r.Ticket = &t
	}
	return r
}
