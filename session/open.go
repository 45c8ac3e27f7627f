package session

import (
	"context"
	"fmt"
	"io"

	"github.com/throng-gg/throng"
)

// Draft names a new session of the release; nothing is kept until it is opened.
func (r *Registry) Draft(rel throng.Release) (throng.Session, error) {
	if err := checkRelease(rel); err != nil {
		return throng.Session{}, err
	}
	var e throng.Entropy
	if _, err := io.ReadFull(r.entropy, e[:]); err != nil {
		return throng.Session{}, fmt.Errorf("name a session: %w", err)
	}
	if r.key != nil {
		e = throng.SessionKeyOf(r.key(), e)
	}
	return throng.Session{
		ID:       throng.MakeSessionID(r.region.ID, throng.PoolShard(rel.Place, rel.Version), e),
		Place:    rel.Place,
		Version:  rel.Version,
		Capacity: rel.Capacity,
	}, nil
}

// DraftPrivate is Draft for a session that only those join who know its code.
// Unsupported: nobody makes codes here.
func (r *Registry) DraftPrivate(rel throng.Release) (throng.Session, error) {
	if r.codes == nil {
		return throng.Session{}, throng.Errorf(throng.Unsupported, "private sessions cannot be opened here")
	}
	s, err := r.Draft(rel)
	if err != nil {
		return throng.Session{}, err
	}
	s.Private, s.Code = true, r.codes.CodeHash(s.ID)
	return s, nil
}

// Open makes a new Starting session of the release that nobody has a seat in.
func (r *Registry) Open(ctx context.Context, rel throng.Release) (throng.Session, error) {
	draft, err := r.Draft(rel)
	if err != nil {
		return throng.Session{}, err
	}
	o, err := r.OpenFor(ctx, throng.Opening{Session: draft})
	return o.Session, err
}

// OpenFor opens a drafted session with seats for all its parties, or returns
// those that others opened meanwhile and that have room. The session ends by
// itself when no server binds it within StartTime. Repeated with the same draft
// it returns the session that was opened.
func (r *Registry) OpenFor(ctx context.Context, o throng.Opening) (out throng.Opened, err error) {
	defer r.metrics.done("open", &err)
	req, err := r.openRequest(o)
	if err != nil {
		return throng.Opened{}, err
	}
	res, err := r.store.Open(ctx, req)
	if err != nil {
		return throng.Opened{}, fmt.Errorf("open a session of %s: %w", o.Session.Place, err)
	}
	return throng.Opened{Session: res.Session, Holds: res.Holds, Others: res.Others}, nil
}

func (r *Registry) openRequest(o throng.Opening) (OpenRequest, error) {
	if err := r.checkSession(o.Session.ID); err != nil {
		return OpenRequest{}, err
	}
	s := o.Session
	if s.Place == "" || s.Version < 1 || s.ID.Shard() != throng.PoolShard(s.Place, s.Version) {
		return OpenRequest{}, throng.AtField(throng.Invalid, "session", "%s is not a draft of %s version %d", s.ID, s.Place, s.Version)
	}
	if err := checkCapacity(s.Capacity); err != nil {
		return OpenRequest{}, err
	}
	req := OpenRequest{Session: s, Room: o.Room, Seen: o.Seen, Holds: make([]HoldRequest, len(o.Parties))}
	players := 0
	seen := make(map[throng.TicketKey]bool, len(o.Parties))
	for i, c := range o.Parties {
		if err := checkMembers(c.Key, c.Members); err != nil {
			return OpenRequest{}, err
		}
		if seen[c.Key] {
			return OpenRequest{}, throng.AtField(throng.Invalid, "parties", "have ticket %s twice", c.Key.Ticket)
		}
		seen[c.Key] = true
		players += len(c.Members)
		req.Holds[i] = HoldRequest{Session: s.ID, Key: c.Key, Members: c.Members}
	}
	if players > s.Capacity {
		return OpenRequest{}, throng.AtField(throng.Invalid, "parties", "are %d players for %d seats", players, s.Capacity)
	}
	return req, nil
}
