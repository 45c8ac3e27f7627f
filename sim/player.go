package sim

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/gameserver"
	"github.com/throng-gg/throng/wire"
)

// player is somebody who plays: he joins, alone or with others, repeats
// tickets, loses his network, comes back, leaves and joins elsewhere.
type player struct {
	w       *world
	id      throng.PlayerID
	node    *node
	friends []*player // who goes with him

	// Guarded by the world's mutex.
	tickets int
	last    *throng.Ticket
	conns   []*conn
}

// run lives until the end of the action.
func (p *player) run(ctx context.Context) {
	w := p.w
	roll := func(what string) int { return w.dice.below(100, "player", string(p.id), what) }
	for first := true; ; first = false {
		wait := w.dice.between(300*time.Millisecond, 6*time.Second, "player", string(p.id), "wait")
		if first {
			wait = w.dice.between(0, w.plan.arrive, "player", string(p.id), "arrive")
		}
		if !w.pause(ctx, wait) {
			return
		}
		switch n := roll("deed"); {
		case first || n < 40 || n < 70 && !p.plays():
			p.join(ctx, w.party(p))
		case n < 50:
			p.repeat(ctx)
		case n < 60:
			p.leave(ctx)
		case n < 75:
			p.lose(ctx)
		case n < 82:
			p.again()
		}
	}
}

// party is who comes with a player.
func (w *world) party(p *player) []throng.PlayerID {
	party := []throng.PlayerID{p.id}
	if len(p.friends) == 0 || !w.dice.chance(w.plan.parties, "party", string(p.id)) {
		return party
	}
	for _, f := range p.friends {
		if len(party) < w.plan.capacity && w.dice.chance(600, "party of", string(p.id)) {
			party = append(party, f.id)
		}
	}
	return party
}

// plays says whether he has a connection.
func (p *player) plays() bool {
	p.w.mu.Lock()
	defer p.w.mu.Unlock()
	for _, c := range p.conns {
		if !c.over {
			return true
		}
	}
	return false
}

// ticket makes his next one.
func (p *player) ticket(party []throng.PlayerID) throng.Ticket {
	w := p.w
	t := throng.Ticket{Place: "arena", Version: 1, Party: party, Mode: throng.ModeDropIn}
	switch n := w.dice.below(100, "mode", string(p.id)); {
	case n < 6:
		t.Mode = throng.ModeNew
	case n < 20:
		if s := w.anySession(string(p.id)); s != "" {
			t.Mode, t.Session = throng.ModeSession, s
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	p.tickets++
	t.Key = throng.TicketKey{Caller: p.id, Ticket: throng.TicketID("t" + strconv.Itoa(p.tickets))}
	p.last = &t
	w.stats.Joins++
	return t
}

// join places a new ticket, and takes all of the party there.
func (p *player) join(ctx context.Context, party []throng.PlayerID) {
	t := p.ticket(party)
	p.w.event(string(p.id), "joins", string(t.Key.Ticket), partyText(party))
	p.place(ctx, t)
}

// repeat sends the newest ticket again, as a client does that lost the answer.
func (p *player) repeat(ctx context.Context) {
	p.w.mu.Lock()
	t := p.last
	p.w.mu.Unlock()
	if t == nil {
		return
	}
	p.w.event(string(p.id), "repeats", string(t.Key.Ticket))
	p.place(ctx, *t)
}

// place sends a ticket until it is answered.
func (p *player) place(ctx context.Context, t throng.Ticket) {
	w := p.w
	began := time.Now()
	for range 12 {
		once, cancel := context.WithTimeout(ctx, 12*time.Second)
		placed, err := ring(once, w, caller{p.node, "place"}, 10*time.Second, func(ctx context.Context, proc *process) (throng.Placement, error) {
			return proc.match.Place(ctx, t, 8*time.Second)
		})
		cancel()
		switch {
		case ctx.Err() != nil:
			return
		case err == nil && placed.Assignment != nil:
			w.watch.answered(p, t, *placed.Assignment, began)
			p.go_(ctx, *placed.Assignment)
			return
		case err == nil:
			w.event(string(p.id), "waits", string(t.Key.Ticket))
		default:
			w.event(string(p.id), "is told", string(t.Key.Ticket), err.Error())
			if w.watch.refused(p, t, err, began) {
				return
			}
		}
		wait := max(placed.RetryAfter, throng.RetryAfterOf(err), 100*time.Millisecond)
		if !w.pause(ctx, min(wait, 2*time.Second)+w.dice.between(0, 100*time.Millisecond, "retry", string(p.id))) {
			return
		}
	}
	w.watch.gaveUp(p, t, began)
}

// go_ takes all members of a grant to their session.
func (p *player) go_(ctx context.Context, a throng.Assignment) { //nolint:revive // go is taken
	w := p.w
	for _, m := range a.Grant.Members {
		who := w.players[m.Player]
		delay := w.dice.between(5*time.Millisecond, 400*time.Millisecond, "go", string(m.Player))
		switch n := w.dice.below(100, "go how", string(m.Player)); {
		case n < 4:
			continue // he closed his client
		case n < 12:
			delay += w.dice.between(time.Second, 12*time.Second, "go late", string(m.Player))
		}
		w.later(delay, func() {
			if ctx.Err() == nil {
				who.connect(a, m)
			}
		})
	}
}

// connect uses a join token.
func (p *player) connect(a throng.Assignment, m throng.Member) {
	w := p.w
	g := a.Grant
	w.mu.Lock()
	s := w.servers[a.Session.Server]
	w.mu.Unlock()
	if s == nil {
		w.watch.broken("address", "%s was sent to server %s, which never was", p.id, a.Session.Server)
		return
	}
	expires := g.TokenExpiry(a.Session.BoundAt)
	if w.dice.chance(500, "polite", string(p.id)) {
		p.goodbye()
	}
	p.enter(&conn{
		w: w, player: p.id, epoch: m.Epoch, key: g.Key, session: g.Session, server: s, asked: time.Now(), expires: expires,
	}, len(g.Members))
}

// enter connects.
func (p *player) enter(c *conn, party int) {
	w := p.w
	shown := c.server.alias
	if c.back {
		shown = c.server.known
	}
	claims := wire.Claims{
		Session: c.session, Player: c.player, Epoch: shown(c.player, c.epoch), Expires: c.expires.UnixMilli(), Version: 1,
		Key: c.key, PartySize: uint8(party), Reconnect: c.back,
	}
	w.event(string(p.id), "connects", c.server.node.name, epochText(c.epoch))
	if !c.server.transport.connect(c, claims) {
		return
	}
	w.mu.Lock()
	p.conns = append(p.conns, c)
	w.stats.Served++
	w.mu.Unlock()
}

// goodbye ends all his connections: the servers are told.
func (p *player) goodbye() {
	for _, c := range p.hangUp() {
		p.w.watch.goes(c)
		p.w.event(string(p.id), "leaves", c.server.node.name)
		c.server.transport.leave(c, gameserver.Event{})
	}
}

// hangUp ends all his connections on his side.
func (p *player) hangUp() []*conn {
	w := p.w
	w.mu.Lock()
	var mine []*conn
	for _, c := range p.conns {
		if !c.over {
			c.over, c.own = true, true
			mine = append(mine, c)
		}
	}
	w.mu.Unlock()
	return mine
}

// leave gives his ticket up and goes.
func (p *player) leave(ctx context.Context) {
	w := p.w
	w.mu.Lock()
	t := p.last
	w.mu.Unlock()
	p.goodbye()
	if t == nil || !w.dice.chance(500, "leave", string(p.id)) {
		return
	}
	w.watch.left(p.id, t.Key)
	w.event(string(p.id), "gives up", string(t.Key.Ticket))
	_, _ = ring(ctx, w, caller{p.node, "leave ticket"}, 5*time.Second, func(ctx context.Context, proc *process) (none, error) {
		return none{}, proc.registry.Leave(ctx, t.Key, p.id)
	})
}

// again brings a join token a second time, as a copy of the client would.
func (p *player) again() {
	w := p.w
	w.mu.Lock()
	var old *conn
	for _, c := range p.conns {
		if !c.back && c.over {
			old = c
		}
	}
	w.mu.Unlock()
	if old == nil {
		return
	}
	w.event(string(p.id), "tries again", old.server.node.name)
	p.enter(&conn{
		w: w, player: p.id, epoch: old.epoch, key: old.key, session: old.session, server: old.server, asked: time.Now(), expires: old.expires,
	}, 1)
}

// lose is the end of his network, after which he may come back.
func (p *player) lose(ctx context.Context) {
	w := p.w
	mine := p.hangUp()
	for _, c := range mine {
		w.event(string(p.id), "loses", c.server.node.name)
		c.server.transport.leave(c, gameserver.Event{Lost: true})
	}
	if len(mine) == 0 || w.dice.chance(400, "back", string(p.id)) {
		return
	}
	if !w.pause(ctx, w.dice.between(500*time.Millisecond, keepSeat+2*time.Second, "away", string(p.id))) {
		return
	}
	old := mine[len(mine)-1]
	w.mu.Lock()
	played := !old.served.IsZero()
	w.mu.Unlock()
	if !played {
		return // he was given no reconnect token
	}
	p.enter(&conn{
		w: w, player: p.id, epoch: old.epoch, key: old.key, session: old.session, server: old.server, asked: time.Now(), back: true,
		expires: w.store.now().Add(time.Minute),
	}, 1)
}

func partyText(party []throng.PlayerID) string {
	if len(party) < 2 {
		return ""
	}
	return fmt.Sprint(party)
}

func epochText(e throng.Epoch) string { return strconv.FormatUint(uint64(e>>8)%1_000_000, 10) }
