package contract

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/throng-gg/throng"
)

// wish is a ticket with what became of it. The history's mutex guards it.
type wish struct {
	ticket  throng.Ticket
	tries   int
	grant   *throng.Grant
	arrived map[throng.PlayerID]bool
	// loose: its hold may have been released while the grant stands.
	loose bool
}

// open opens sessions in place of those that are over.
func (h *history) open() {
	live := 0
	for _, s := range h.hosts {
		if !s.isOver() {
			live++
		}
	}
	for ; live < h.c.Sessions; live++ {
		capacity := h.c.Capacity
		if capacity == 0 {
			capacity = 1 + h.random.IntN(3)
		}
		e := h.log.begin(event{kind: opened})
		s, err := h.procs[0].Open(h.ctx, release(capacity))
		e.session = s.ID
		h.log.end(e)
		if err != nil {
			return // rebuilding: later
		}
		h.log.capacities[s.ID] = s.Capacity
		h.mu.Lock()
		h.hosts = append(h.hosts, newHost(h, s))
		h.mu.Unlock()
	}
}

// play begins the round's actions of players and servers.
func (h *history) play() {
	h.mu.Lock()
	hosts, wishes := slices.Clone(h.hosts), slices.Clone(h.wishes)
	h.mu.Unlock()
	for _, w := range wishes {
		h.follow(w)
	}
	if !h.calm {
		if chance(h.random, 2) {
			h.wish(wishes)
		}
	}
	for _, s := range hosts {
		s.act()
	}
	for _, p := range h.players() {
		if chance(h.random, 6) {
			h.do("presences", func(r *rand.Rand) { h.presence(h.proc(r), p) })
		}
	}
}

func (h *history) players() []throng.PlayerID { return historyPlayers[:h.c.Players] }

// proc draws the process that a call goes to.
func (h *history) proc(r *rand.Rand) int { return r.IntN(len(h.procs)) }

// wish has somebody want to play, mostly one who is not on his way already.
func (h *history) wish(wishes []*wish) {
	all := h.players()
	party := []throng.PlayerID{all[h.random.IntN(len(all))]}
	onTheWay := slices.ContainsFunc(wishes, func(w *wish) bool { return w.ticket.Key.Caller == party[0] })
	if onTheWay && !chance(h.random, 3) {
		return
	}
	if p := all[h.random.IntN(len(all))]; p != party[0] && h.random.IntN(3) == 0 {
		party = append(party, p)
	}
	h.tickets++
	w := &wish{ticket: ticket(fmt.Sprintf("t%d", h.tickets), party...), arrived: map[throng.PlayerID]bool{}}
	h.mu.Lock()
	h.wishes = append(h.wishes, w)
	h.mu.Unlock()
}

// follow takes a wish further.
func (h *history) follow(w *wish) {
	h.mu.Lock()
	grant, arrived := w.grant, len(w.arrived)
	over := w.tries >= 5 && grant == nil || arrived == len(w.ticket.Party) ||
		grant != nil && h.rig.Now().Sub(grant.HeldAt) > time.Minute
	h.mu.Unlock()
	if over {
		h.mu.Lock()
		h.wishes = slices.DeleteFunc(h.wishes, func(o *wish) bool { return o == w })
		h.mu.Unlock()
		return
	}
	r := h.random
	if !h.calm && (grant == nil && chance(r, 2) || chance(r, 10)) {
		for range 1 + r.IntN(2) { // at once, or repeated
			if id, ok := h.target(); ok {
				h.mu.Lock()
				w.tries++
				h.mu.Unlock()
				h.do("joins", func(r *rand.Rand) { h.join(r, w, id) })
			}
		}
	}
	if grant == nil {
		if !h.calm && chance(r, 2*h.c.Leaves) {
			h.do("leaves", func(r *rand.Rand) { h.leave(r, w, w.ticket.Key.Caller) })
		}
		return
	}
	for _, m := range grant.Members {
		switch {
		case !h.calm && chance(r, h.c.Leaves):
			h.do("leaves", func(r *rand.Rand) { h.leave(r, w, m.Player) })
		case chance(r, 2):
			h.do("arrivals", func(*rand.Rand) { h.arrive(w, *grant, m) })
		}
	}
}

// target draws a session to join.
func (h *history) target() (throng.SessionID, bool) {
	var live []throng.SessionID
	for _, s := range h.hosts { // which only this goroutine changes
		if !s.isOver() || chance(h.random, 10) {
			live = append(live, s.id)
		}
	}
	if len(live) == 0 {
		return "", false
	}
	return live[h.random.IntN(len(live))], true
}

// join takes a ticket as far as its grant, step by step.
func (h *history) join(r *rand.Rand, w *wish, id throng.SessionID) {
	ctx, f := h.fate(r)
	proc := h.proc(r)
	reg := h.procs[proc]
	e := h.log.begin(event{kind: claimed, proc: proc, key: w.ticket.Key, party: w.ticket.Party})
	c, err := reg.Claim(ctx, w.ticket)
	e.members, e.grant, e.err = c.Members, c.Grant, err
	h.log.end(e)
	if err != nil {
		return
	}
	if c.Grant != nil {
		h.granted(w, *c.Grant)
		return
	}
	e = h.log.begin(event{kind: held, proc: proc, key: c.Key, session: id, members: c.Members})
	hold, view, err := reg.Hold(ctx, c, id)
	e.hold, e.view, e.err = hold, view, err
	h.log.end(e)
	if err != nil {
		return
	}
	h.log.also(e, event{kind: looked, proc: proc, session: id, view: view})
	if chance(r, 15) {
		e = h.log.begin(event{kind: unheld, proc: proc, key: c.Key, session: id})
		h.loosen(w)
		e.err = reg.Unhold(ctx, id, c.Key)
		e.sure = f.isSure()
		h.log.end(e)
		return
	}
	h.mu.Lock()
	for _, m := range c.Members {
		h.newest[m.Player] = max(h.newest[m.Player], m.Epoch)
	}
	h.mu.Unlock()
	e = h.log.begin(event{kind: settled, proc: proc, key: c.Key, session: id, members: hold.Members})
	g, err := reg.Settle(ctx, c, hold)
	e.err, e.sure = err, f.isSure()
	if err == nil {
		e.grant = &g
	}
	h.log.end(e)
	if err == nil {
		h.granted(w, g)
	}
}

func (h *history) loosen(w *wish) {
	h.mu.Lock()
	defer h.mu.Unlock()
	w.loose = true
}

// granted notes a ticket's answer; after a loss it may be another one.
func (h *history) granted(w *wish, g throng.Grant) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.counted["grants"]++
	for _, m := range g.Members {
		h.newest[m.Player] = max(h.newest[m.Player], m.Epoch)
	}
	if w.grant == nil || w.grant.HeldAt.Before(g.HeldAt) {
		w.grant, w.loose = &g, w.loose || w.grant != nil
	}
}

// leave gives a ticket up for a player.
func (h *history) leave(r *rand.Rand, w *wish, p throng.PlayerID) {
	ctx, f := h.fate(r)
	proc := h.proc(r)
	h.mu.Lock()
	w.loose = true
	h.newest[p]++ // whatever he has is on its way out
	if p == w.ticket.Key.Caller {
		for _, m := range w.ticket.Party {
			h.newest[m]++
		}
	}
	h.mu.Unlock()
	e := h.log.begin(event{kind: gaveUp, proc: proc, key: w.ticket.Key, player: p, party: w.ticket.Party})
	e.err = h.procs[proc].Leave(ctx, w.ticket.Key, p)
	e.sure = f.isSure()
	h.log.end(e)
}

func (h *history) presence(proc int, p throng.PlayerID) {
	e := h.log.begin(event{kind: present, proc: proc, player: p})
	e.presence, e.err = h.procs[proc].Presence(h.ctx, p)
	h.log.end(e)
}

// arrive has a player connect with his token.
func (h *history) arrive(w *wish, g throng.Grant, m throng.Member) {
	h.mu.Lock()
	hosts := slices.Clone(h.hosts)
	h.mu.Unlock()
	for _, s := range hosts {
		if s.id == g.Session && s.admit(w, g, m) {
			h.mu.Lock()
			w.arrived[m.Player] = true
			h.mu.Unlock()
		}
	}
}
