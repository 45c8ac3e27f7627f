package bot

import (
	"context"
	"sync"

	"github.com/throng-gg/throng"
)

// party is players who come in together, by tickets of the first of them: when
// one comes to nothing, all wait for the next. Who was in once and lost his
// session comes back by himself.
type party struct {
	members []throng.PlayerID

	mu     sync.Mutex
	ticket throng.Ticket // guarded by mu; the newest
	news   chan struct{} // guarded by mu; closed when there is a newer one
}

func newParty(members []throng.PlayerID) *party {
	return &party{members: members, news: make(chan struct{})}
}

// bring makes the leader's ticket the party's.
func (g *party) bring(t throng.Ticket) throng.Ticket {
	t.Party = g.members
	g.mu.Lock()
	defer g.mu.Unlock()
	g.ticket = t
	close(g.news)
	g.news = make(chan struct{})
	return t
}

// follow waits for a ticket of the leader's that is not the one that came to
// nothing.
func (g *party) follow(ctx context.Context, failed throng.TicketID) (throng.Ticket, error) {
	for {
		g.mu.Lock()
		t, news := g.ticket, g.news
		g.mu.Unlock()
		if t.Key.Ticket != failed {
			return t, nil
		}
		select {
		case <-news:
		case <-ctx.Done():
			return throng.Ticket{}, ctx.Err()
		}
	}
}

// leads says whether the party, or the player alone, comes in by his ticket.
func (p *player) leads() bool { return p.wasIn || p.party.members[0] == p.id }

// bring makes a ticket with which the player comes in: with the party, at first.
func (p *player) bring(id throng.TicketID) throng.Ticket {
	t := throng.Ticket{
		Key: throng.TicketKey{Caller: p.id, Ticket: id}, Place: p.crowd.cfg.Place,
		Party: []throng.PlayerID{p.id}, Mode: throng.ModeDropIn,
	}
	if p.wasIn || len(p.party.members) == 1 {
		return t
	}
	return p.party.bring(t)
}
