package party

import (
	"context"
	"slices"

	"github.com/throng-gg/throng"
)

// Join lets a player in who has the invite; he leaves the party he is in. Who is
// in already stays, whatever the invite. NotFound: there is no such party, or
// the invite is wrong or over; nobody can tell which. Full: it has PartyMost
// members.
func (p *Parties) Join(
	ctx context.Context, id throng.PartyID, player throng.PlayerID, invite string,
) (throng.Party, error) {
	wrong := throng.AtField(throng.NotFound, "invite", "there is no party with this ID and this invite")
	_, err := p.change(ctx, id, func(s *state) error {
		switch {
		case slices.Contains(s.in, player):
			return errSame
		case !p.opens(s, invite):
			return wrong
		case slices.Contains(s.Members, player):
			return errSame // a call before this one got that far
		case len(s.Members) >= throng.PartyMost:
			return throng.AtField(throng.Full, "id", "the party has %d members already", throng.PartyMost)
		}
		s.Members = append(slices.Clone(s.Members), player)
		return nil
	})
	if throng.KindOf(err) == throng.NotFound && err != nil {
		return throng.Party{}, wrong
	}
	if err != nil {
		return throng.Party{}, err
	}
	if err := p.enter(ctx, player, id); err != nil {
		return throng.Party{}, err
	}
	return p.touch(ctx, id, player) // those who watch it see him from now on
}

// enter makes the party that lists a player already his, and takes him out of
// the one before.
func (p *Parties) enter(ctx context.Context, player throng.PlayerID, id throng.PartyID) error {
	for range tries {
		from, err := p.store.Of(ctx, player)
		if err != nil {
			return err
		}
		if from == id {
			return nil
		}
		err = p.store.Move(ctx, player, from, id)
		if throng.KindOf(err) == throng.Conflict && err != nil {
			continue
		}
		if err != nil || from == "" {
			return err
		}
		return p.drop(ctx, from, player)
	}
	return throng.Errorf(throng.Contention, "%s joins several parties at once", player)
}

// Remove takes a player out of a party: himself, or another one if by leads. The
// oldest of the others leads when the leader leaves; the last one ends it. Who
// is taken out by somebody else can't use the invite that he knows. Who is not
// in it is no error. Denied: by does not lead. NotFound: by is not in it.
func (p *Parties) Remove(ctx context.Context, id throng.PartyID, by, player throng.PlayerID) error {
	if by == player {
		return p.leave(ctx, id, player)
	}
	_, err := p.change(ctx, id, func(s *state) error {
		if err := s.ledBy(by); err != nil {
			return err
		}
		if !slices.Contains(s.Members, player) {
			return errSame
		}
		s.Members = without(s.Members, player)
		return p.renew(&s.Record)
	})
	if err != nil {
		return err
	}
	return p.forget(ctx, player, id)
}

func (p *Parties) leave(ctx context.Context, id throng.PartyID, player throng.PlayerID) error {
	if err := p.forget(ctx, player, id); err != nil {
		return err
	}
	return p.drop(ctx, id, player)
}

// forget makes a player one without a party if this one is his.
func (p *Parties) forget(ctx context.Context, player throng.PlayerID, id throng.PartyID) error {
	of, err := p.store.Of(ctx, player)
	if err != nil || of != id {
		return err
	}
	err = p.store.Move(ctx, player, id, "")
	if throng.KindOf(err) == throng.Conflict {
		return nil // he is in another one by now
	}
	return err
}

// drop takes a player whose entry does not point here out of the record.
func (p *Parties) drop(ctx context.Context, id throng.PartyID, player throng.PlayerID) error {
	for range tries {
		r, err := p.store.Get(ctx, id)
		if throng.KindOf(err) == throng.NotFound && err != nil {
			return nil
		}
		if err != nil {
			return err
		}
		if !slices.Contains(r.Members, player) {
			return nil
		}
		r.Members = without(r.Members, player)
		if _, err = p.store.Swap(ctx, r); err == nil {
			return nil
		}
		if throng.KindOf(err) != throng.Conflict {
			return err
		}
	}
	// He is out all the same: his entry says so.
	return nil
}

func without(members []throng.PlayerID, player throng.PlayerID) []throng.PlayerID {
	return slices.DeleteFunc(slices.Clone(members), func(m throng.PlayerID) bool { return m == player })
}
