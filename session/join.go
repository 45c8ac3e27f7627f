package session

import (
	"context"
	"fmt"
	"io"
	"slices"

	"github.com/throng-gg/throng"
)

// Claim takes the next epoch in each member's record. It fences nothing. A
// ticket that was settled comes back with its Grant. Conflict: the ticket is
// known with other content (place, party, mode, session). Denied: it was given
// up. RateLimited: the caller has MaxTickets that are settled and remembered.
// An unsettled ticket is forgotten TicketTime after it was last claimed, or
// sooner, oldest first, when its caller has MaxTickets.
func (r *Registry) Claim(ctx context.Context, t throng.Ticket) (c throng.Claim, err error) {
	defer r.metrics.done("claim", &err)
	if err := checkTicket(t); err != nil {
		return throng.Claim{}, err
	}
	return r.claim(ctx, t)
}

func (r *Registry) claim(ctx context.Context, t throng.Ticket) (throng.Claim, error) {
	c := throng.Claim{Ticket: t, Members: make([]throng.Member, 0, len(t.Party))}
	for _, p := range t.Party {
		res, err := r.store.Claim(ctx, ClaimRequest{Player: p, Region: r.region.Number, Known: r.abroad(p), Ticket: t})
		if err != nil {
			return throng.Claim{}, fmt.Errorf("claim for %s: %w", p, err)
		}
		if res.Grant != nil {
			c.Grant, c.Members = res.Grant, slices.Clone(res.Grant.Members)
			return c, nil
		}
		c.Members = append(c.Members, throng.Member{Player: p, Epoch: res.Epoch})
	}
	return c, nil
}

// Hold keeps seats for all of the claim's members or for none, and returns the
// session as it is after that. A member who has a seat or another hold in the
// session already needs no second one. Full: not room for all, or the session
// takes no joins until it is heard again. NotFound: no such session, or it
// takes no players any more.
func (r *Registry) Hold(ctx context.Context, c throng.Claim, id throng.SessionID) (h throng.Hold, s throng.Session, err error) {
	defer r.metrics.done("hold", &err)
	if err := r.checkSession(id); err != nil {
		return throng.Hold{}, throng.Session{}, err
	}
	if err := checkMembers(c.Key, c.Members); err != nil {
		return throng.Hold{}, throng.Session{}, err
	}
	h, s, err = r.store.Hold(ctx, HoldRequest{Session: id, Key: c.Key, Members: c.Members})
	if err != nil {
		return throng.Hold{}, throng.Session{}, err
	}
	return h, s, nil
}

// Settle makes the hold the ticket's answer. The first answer wins: the grant
// returned may be of another session. The losing hold is released, and so are
// the caller's earlier ones that he did not confirm. Denied: a later ticket of
// the caller was settled, or he gave this one up; the hold is released then
// too. Contention: the claim was forgotten; claim again.
func (r *Registry) Settle(ctx context.Context, c throng.Claim, h throng.Hold) (g throng.Grant, err error) {
	defer r.metrics.done("settle", &err)
	if err := r.checkSession(h.Session); err != nil {
		return throng.Grant{}, err
	}
	if h.Key != c.Key {
		return throng.Grant{}, throng.AtField(throng.Invalid, "hold", "belongs to another ticket")
	}
	if err := checkMembers(h.Key, h.Members); err != nil {
		return throng.Grant{}, err
	}
	g = throng.Grant{Hold: h, Place: c.Place, Version: c.Version, Attributes: c.Attributes}
	if _, err := io.ReadFull(r.entropy, g.Nonce[:]); err != nil {
		return throng.Grant{}, fmt.Errorf("make a nonce: %w", err)
	}
	res, err := r.store.Settle(ctx, g)
	if throng.KindOf(err) == throng.Denied {
		res.Release = []HoldRef{{Session: h.Session, Key: h.Key}}
	}
	for _, ref := range res.Release {
		// A hold that stays lapses by itself.
		if err := r.store.Unhold(ctx, ref.Session, ref.Key, ""); err != nil {
			r.log.WarnContext(ctx, "hold was not released", "session", ref.Session, "ticket", ref.Key.Ticket, "err", err)
		}
	}
	if err != nil {
		return throng.Grant{}, err
	}
	return res.Grant, nil
}

// Unhold gives up a hold that was not settled: one that was is the ticket's
// answer, by whoever works on the ticket too. Unknown holds are no error.
func (r *Registry) Unhold(ctx context.Context, id throng.SessionID, k throng.TicketKey) (err error) {
	defer r.metrics.done("unhold", &err)
	if err := r.checkSession(id); err != nil {
		return err
	}
	if err := checkKey(k); err != nil {
		return err
	}
	t, err := r.store.Ticket(ctx, k)
	if err != nil && throng.KindOf(err) != throng.NotFound {
		return err // it lapses by itself
	}
	if err == nil && t.Grant != nil && t.Grant.Session == id {
		return nil
	}
	return r.store.Unhold(ctx, id, k, "")
}

// Lookup returns a ticket that was claimed before, without Latencies and
// Attributes; a claim
// that did not reach all members is finished. NotFound: never seen, given up
// before it was settled, or forgotten after throng.TicketTime.
func (r *Registry) Lookup(ctx context.Context, k throng.TicketKey) (c throng.Claim, err error) {
	defer r.metrics.done("lookup", &err)
	if err := checkKey(k); err != nil {
		return throng.Claim{}, err
	}
	t, err := r.store.Ticket(ctx, k)
	if err != nil {
		return throng.Claim{}, err
	}
	if t.Grant != nil {
		return throng.Claim{Ticket: t.Ticket, Members: slices.Clone(t.Grant.Members), Grant: t.Grant}, nil
	}
	if t.Left {
		return throng.Claim{}, throng.AtField(throng.NotFound, "ticket", "%s was given up", k.Ticket)
	}
	return r.claim(ctx, t.Ticket)
}
