package sim

import (
	"context"
	"time"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/memory"
)

// last is the look at a world in which everything has had the time to become
// whole: what players have, what servers host and what the registry says must be
// the same.
func (x *watch) last() {
	x.lastSeats()
	x.lastSessions()
	x.lastServers()
}

// lastSeats compares where players play with their presence.
func (x *watch) lastSeats() {
	p := x.w.process(0)
	if p == nil {
		x.broken("presence", "there is no registry")
		return
	}
	for _, id := range x.w.everyone {
		x.w.mu.Lock()
		var here []*conn
		for _, c := range x.w.players[id].conns {
			if !c.over && time.Since(c.last) < 1500*time.Millisecond && !c.server.node.dead() {
				here = append(here, c)
			}
		}
		x.w.mu.Unlock()
		if len(here) > 1 {
			x.broken("two-seats", "%s plays on %s and %s", id, here[0].server.node.name, here[1].server.node.name)
			continue
		}
		at, err := p.registry.Presence(x.w.root, id) // as others are told: a record may be doubtful
		switch {
		case err != nil:
			x.broken("presence", "%s: %v", id, err)
		case len(here) == 0 && at.State == throng.PresencePlaying:
			x.broken("presence", "%s plays nowhere, but is said to be in %s at epoch %d", id, at.Session, at.Epoch)
		case len(here) == 1 && (at.State != throng.PresencePlaying || at.Session != here[0].session || at.Epoch != here[0].epoch):
			x.broken("presence", "%s plays in %s at epoch %d, but is said to be %s in %s at %d",
				id, here[0].session, here[0].epoch, at.State, at.Session, at.Epoch)
		}
	}
}

// lastSessions compares the registry's seats with the servers'.
func (x *watch) lastSessions() {
	all, err := peek(x.w.store, func(ctx context.Context, m *memory.Store) (throng.SessionChanges, error) { return m.Changes(ctx, 0) })
	if err != nil {
		x.broken("seats", "sessions cannot be listed: %v", err)
		return
	}
	x.w.mu.Lock()
	defer x.w.mu.Unlock()
	for _, s := range all.Sessions {
		if s.State == throng.SessionStarting {
			continue // an opening may be under way
		}
		host := x.w.servers[s.Server]
		if host == nil || host.node.dead() || host.session() != s.ID {
			x.note("seats", "%s is %s, but nobody hosts it", s.ID, s.State)
			continue
		}
		inside := map[throng.PlayerID]bool{}
		for _, c := range x.playing() {
			if c.server == host {
				inside[c.player] = true
			}
		}
		if len(inside) != s.Seated || s.Held != 0 {
			x.note("seats", "%s has %d seated and %d held, but serves %d", s.ID, s.Seated, s.Held, len(inside))
		}
	}
}

// lastServers looks for servers that nobody needs or knows.
func (x *watch) lastServers() {
	known := map[throng.ServerID]string{}
	connected := map[throng.ServerID]bool{}
	p := x.w.process(0)
	if p == nil {
		x.broken("leak", "there is no orchestrator")
		return
	}
	for _, i := range p.fleet.Servers() {
		known[i.ID] = i.Phase
		connected[i.ID] = i.Connected
	}
	type hosting struct {
		s  *server
		id throng.SessionID
	}
	var alive []hosting
	x.w.mu.Lock()
	for _, s := range x.w.order {
		if !s.node.dead() {
			alive = append(alive, hosting{s, s.session()})
		}
	}
	x.w.mu.Unlock()
	for _, h := range alive {
		if !connected[h.s.id] && time.Since(h.s.began) > 5*time.Second {
			x.broken("leak", "%s is alive and not connected (%s)", h.s.node.name, known[h.s.id])
			continue
		}
		if h.id == "" {
			continue
		}
		s, err := peek(x.w.store, func(ctx context.Context, m *memory.Store) (throng.Session, error) { return m.Session(ctx, h.id) })
		if err != nil || s.State == throng.SessionEnded || s.Server != h.s.id && s.State != throng.SessionStarting {
			x.broken("leak", "%s is alive for %s, which is %s on %s (%v)", h.s.node.name, h.id, s.State, s.Server, err)
		}
	}
}
