package session

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/throng-gg/throng"
)

// Confirm makes a held seat an occupied one and fences the player's older one;
// h says which server asks. Denied: a later epoch of the player is settled or
// confirmed, or known of another region, or this one has left, was evicted or given up, or its hold lapsed
// and there is no room, or the session is another incarnation's. The seat is
// free again then and the player has to leave. Any other error: ask again.
func (r *Registry) Confirm(ctx context.Context, h throng.Heartbeat, c throng.RosterChange) (err error) {
	defer r.metrics.done("confirm", &err)
	if err := r.checkServer(h); err != nil {
		return err
	}
	if _, err := throng.ParsePlayerID("player", string(c.Player)); err != nil {
		return err
	}
	if c.Kind != throng.RosterJoined || c.Epoch == 0 || c.Revision == 0 {
		return throng.AtField(throng.Invalid, "change", "must be a join with an epoch and a revision")
	}
	s, err := r.store.Seat(ctx, h, c)
	if err != nil {
		return fmt.Errorf("seat %s in %s: %w", c.Player, h.Session, err)
	}
	older, err := r.fence(ctx, FenceRequest{
		Player: c.Player, Epoch: c.Epoch, Session: s.ID, Place: s.Place, Key: c.Key, Revision: c.Revision,
	})
	if throng.KindOf(err) == throng.Denied {
		fx, undo := r.store.Unseat(ctx, s.ID, throng.Member{Player: c.Player, Epoch: c.Epoch})
		r.publish(ctx, fx)
		if undo != nil {
			// The server sends the player out, and his leave frees the seat.
			r.log.WarnContext(ctx, "seat was not undone", "session", s.ID, "player", c.Player, "err", undo)
		}
	}
	if err != nil {
		return fmt.Errorf("fence %s for %s: %w", c.Player, s.ID, err)
	}
	return r.evict(ctx, older, joinedElsewhere)
}

// fence makes the seat the player's only one, unless a later one is known elsewhere.
func (r *Registry) fence(ctx context.Context, f FenceRequest) ([]Eviction, error) {
	if abroad := r.abroad(f.Player); abroad > f.Epoch {
		return nil, throng.AtField(throng.Denied, "epoch", "epoch %d of %s is older than %d, of another region", f.Epoch, f.Player, abroad)
	}
	return r.store.Fence(ctx, f)
}

// EvictOlder puts a player out of the session where he plays if that is under an epoch
// lower than another region's, as a newer join in this one does, and says whether
// he had to go. Repeated: the same order.
func (r *Registry) EvictOlder(ctx context.Context, p throng.PlayerID, than throng.Epoch) (evicted bool, err error) {
	defer r.metrics.done("evict_older", &err)
	if _, err := throng.ParsePlayerID("player", string(p)); err != nil {
		return false, err
	}
	at, err := r.presence(ctx, p)
	if err != nil {
		return false, fmt.Errorf("look for %s: %w", p, err)
	}
	if at.State != throng.PresencePlaying || at.Epoch >= than {
		return false, nil
	}
	fx, err := r.store.Evict(ctx, at.Session, throng.Member{Player: p, Epoch: at.Epoch}, joinedElsewhere)
	if err != nil && throng.KindOf(err) != throng.NotFound {
		return false, fmt.Errorf("evict %s from %s: %w", p, at.Session, err)
	}
	r.deliver(fx)
	return len(fx.Orders) > 0, nil
}

// joinedElsewhere is why older seats are evicted.
const joinedElsewhere = "the player joined another session"

// evict queues the eviction of seats and says so in the players' records.
func (r *Registry) evict(ctx context.Context, seats []Eviction, reason string) error {
	for _, e := range seats {
		fx, err := r.store.Evict(ctx, e.Session, throng.Member{Player: e.Player, Epoch: e.Epoch}, reason)
		if err != nil {
			return fmt.Errorf("evict %s from %s: %w", e.Player, e.Session, err)
		}
		r.deliver(fx)
		if err := r.store.Evicted(ctx, e); err != nil {
			return fmt.Errorf("note the eviction of %s from %s: %w", e.Player, e.Session, err)
		}
	}
	return nil
}

// Leave gives the ticket up for a player of its party: his unconfirmed seat
// comes free at once, a confirmed one when its server sent him out. When the
// caller leaves, the unconfirmed seats of the others go too. A repeat of the
// ticket still returns its grant, which confirms nobody who left. NotFound: no
// such ticket, or the player is not in its party.
func (r *Registry) Leave(ctx context.Context, k throng.TicketKey, p throng.PlayerID) (err error) {
	defer r.metrics.done("leave", &err)
	if err := checkKey(k); err != nil {
		return err
	}
	t, err := r.store.Ticket(ctx, k)
	if err != nil {
		return err
	}
	if !slices.Contains(t.Ticket.Party, p) {
		return throng.AtField(throng.NotFound, "player", "%s is not in the ticket's party", p)
	}
	res, err := r.store.Leave(ctx, LeaveRequest{Key: k, Player: p, Epoch: epochOf(t.Grant, p)})
	if err != nil {
		return fmt.Errorf("leave ticket %s: %w", k.Ticket, err)
	}
	if t.Grant == nil {
		// It may have been settled meanwhile; from now on what is settled is
		// known to lack this player.
		if t, err = r.store.Ticket(ctx, k); err != nil {
			return err
		}
	}
	var failed []error
	if res.Seat != nil {
		failed = append(failed, r.evict(ctx, []Eviction{*res.Seat}, "the player left"))
	}
	if t.Grant != nil {
		failed = append(failed, r.unholdLeft(ctx, *t.Grant, p))
	}
	return errors.Join(failed...)
}

// Evict puts a player out of the session where he plays, under the epoch that he has
// there: he may join anew. Who does not play is none who has to go.
func (r *Registry) Evict(ctx context.Context, p throng.PlayerID, reason string) (err error) {
	defer r.metrics.done("evict", &err)
	if _, err := throng.ParsePlayerID("player", string(p)); err != nil {
		return err
	}
	at, err := r.presence(ctx, p)
	if err != nil {
		return fmt.Errorf("look for %s: %w", p, err)
	}
	if at.State != throng.PresencePlaying {
		return nil
	}
	fx, err := r.store.Evict(ctx, at.Session, throng.Member{Player: p, Epoch: at.Epoch}, reason)
	if err != nil && throng.KindOf(err) != throng.NotFound {
		return fmt.Errorf("evict %s from %s: %w", p, at.Session, err)
	}
	r.deliver(fx)
	return nil
}

// unholdLeft releases what player's leave gives up of the grant's hold.
func (r *Registry) unholdLeft(ctx context.Context, g throng.Grant, p throng.PlayerID) error {
	if p != g.Key.Caller {
		return r.store.Unhold(ctx, g.Session, g.Key, p)
	}
	for _, m := range g.Members[1:] {
		_, err := r.store.Leave(ctx, LeaveRequest{Key: g.Key, Player: m.Player, Epoch: m.Epoch, Cancel: true})
		if err != nil {
			return fmt.Errorf("give up the seat of %s: %w", m.Player, err)
		}
	}
	return r.store.Unhold(ctx, g.Session, g.Key, "")
}

func epochOf(g *throng.Grant, p throng.PlayerID) throng.Epoch {
	if g == nil {
		return 0
	}
	for _, m := range g.Members {
		if m.Player == p {
			return m.Epoch
		}
	}
	return 0
}

// deliver hands new orders to the courier.
func (r *Registry) deliver(fx Effects) {
	for _, o := range fx.Orders {
		if o.Kind == throng.OrderEvict {
			r.metrics.evictions.Inc()
		}
		if r.courier != nil && fx.Server != "" {
			r.courier.Deliver(fx.Session, fx.Server, o)
		}
	}
}

// presence is where a player is. What is doubtful is looked for in his session, and
// put right.
func (r *Registry) presence(ctx context.Context, p throng.PlayerID) (throng.Presence, error) {
	at, err := r.store.Presence(ctx, p)
	if err != nil || !at.Doubtful || at.State != throng.PresencePlaying {
		return at.Presence, err
	}
	// Who plays has a seat: it is taken before the record says so.
	epoch, err := r.store.Seated(ctx, at.Session, p)
	if throng.KindOf(err) == throng.Unavailable || err == nil && epoch >= at.Epoch {
		return at.Presence, nil
	}
	if err != nil {
		return throng.Presence{}, fmt.Errorf("look for %s in %s: %w", p, at.Session, err)
	}
	err = r.left(ctx, Departure{
		Player: p, Session: at.Session, Place: at.Place, Epoch: at.Epoch, Revision: at.Revision,
	})
	if err != nil {
		return throng.Presence{}, fmt.Errorf("note that %s left %s: %w", p, at.Session, err)
	}
	at, err = r.store.Presence(ctx, p)
	return at.Presence, err
}
