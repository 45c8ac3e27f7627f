package party

import (
	"context"
	"slices"

	"github.com/throng-gg/throng"
)

// Start makes the ticket the party's newest and returns whom it seats: all who
// are in it now, the leader first. Repeated with the same ticket it returns the
// same players, whoever came or went meanwhile. Denied: the ticket's caller does
// not lead. NotFound: he is not in it.
func (p *Parties) Start(ctx context.Context, id throng.PartyID, key throng.TicketKey) ([]throng.PlayerID, error) {
	started, err := p.change(ctx, id, func(s *state) error {
		if s.Ticket != nil && s.Ticket.Key == key {
			return errSame
		}
		if err := s.ledBy(key.Caller); err != nil {
			return err
		}
		s.Ticket = &throng.PartyTicket{Key: key, Members: slices.Clone(s.in)}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return slices.Clone(started.Ticket.Members), nil
}

// Together says whether all these players are in one party with the caller, so
// that he may bring them along.
func (p *Parties) Together(ctx context.Context, caller throng.PlayerID, players []throng.PlayerID) (bool, error) {
	id, err := p.store.Of(ctx, caller)
	if err != nil || id == "" {
		return false, err
	}
	s, err := p.read(ctx, id)
	if throng.KindOf(err) == throng.NotFound && err != nil {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	for _, player := range append([]throng.PlayerID{caller}, players...) {
		if !slices.Contains(s.in, player) {
			return false, nil
		}
	}
	return true, nil
}
