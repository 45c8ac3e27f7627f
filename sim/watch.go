package sim

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/memory"
	"github.com/throng-gg/throng/session"
	"github.com/throng-gg/throng/wire"
)

// Times within which things happen while nothing is broken.
const (
	fenceTime   = 7 * time.Second          // an older seat is gone: a heartbeat and a little more
	enterTime   = 4 * time.Second          // from connecting to a confirmed seat
	releaseTime = 6 * time.Second          // what lost a race is released
	crashTime   = 5 * time.Second          // a crashed server is known
	hangTime    = 18500 * time.Millisecond // a hung one is: a lease and a tick or two
	joinTime    = 9 * time.Second          // a join is answered
)

// watch looks at a world from outside, and says what must never be. Its rules:
//
//	capacity   a session serves more players than it has seats
//	twins      a session is served by two servers, or two go on with it
//	two-seats  an older seat is served long after a newer one was confirmed
//	evicted    somebody is served on the server that told him that he is evicted
//	stale      a server that was stopped serves before it was heard, and its session is over
//	returned   an epoch that left is served again
//	thrown-out a player with a confirmed seat lost it, and nothing excuses that
//	refused    a player with a good token is refused
//	answer     the same ticket got another answer
//	whole      a grant is not for the whole party
//	epochs     a player's epochs go back
//	release    what lost a race is still held
//	crash hang a dead server is not known in time
//	service    a join is not answered although nothing is broken
//	presence   where a player is, is not what the registry says
//	seats      a session's seats are not those that the registry counts
//	leak       a server is alive for nothing
//	broken     something else that cannot be
//
// All of it is guarded by the world's mutex.
//
// It knows what players were told and shown, and what the store did; it does not
// ask production parts what they believe, but for the last look.
type watch struct {
	w          *world
	violations []Violation

	epochs   map[throng.PlayerID]throng.Epoch // the highest that was claimed
	claims   map[claimed]throng.Epoch
	newest   map[throng.PlayerID]throng.Epoch // the highest that was settled or brought
	answers  map[throng.TicketKey]answered
	settles  map[settlement]int                            // losses before it was settled
	dead     map[throng.TicketKey]int                      // losses when it was refused for good
	given    map[throng.PlayerID]map[throng.TicketKey]bool // tickets that were given up
	evicted  map[seat]throng.Epoch                         // the highest that was told so
	leftFrom map[leftAt]bool
	pending  map[session.HoldRef]time.Time // to be released since
	parties  map[throng.SessionID][]party
	released map[session.HoldRef]bool
	expects  []expect
	seen     map[throng.SessionID]bool
	cutSince time.Time // when all servers were cut off for long; zero: never
}

type party struct {
	members []throng.Member
	at      time.Time
}

type claimed struct {
	player throng.PlayerID
	key    throng.TicketKey
}

type answered struct {
	grant  throng.Grant
	losses int // of the store, before it was settled
	at     time.Time
}

// settlement is one answer of a ticket.
type settlement struct {
	key   throng.TicketKey
	nonce [24]byte
}

type seat struct {
	server *server
	player throng.PlayerID
}

type leftAt struct {
	server *server
	player throng.PlayerID
	epoch  throng.Epoch
}

// expect is that a session is over by a time, if nothing else breaks.
type expect struct {
	rule    string
	session throng.SessionID
	by      time.Time
	begun   int
}

func newWatch(w *world) watch {
	return watch{
		w: w, epochs: map[throng.PlayerID]throng.Epoch{}, claims: map[claimed]throng.Epoch{},
		newest: map[throng.PlayerID]throng.Epoch{}, answers: map[throng.TicketKey]answered{}, settles: map[settlement]int{},
		dead:    map[throng.TicketKey]int{},
		given:   map[throng.PlayerID]map[throng.TicketKey]bool{},
		evicted: map[seat]throng.Epoch{}, leftFrom: map[leftAt]bool{}, pending: map[session.HoldRef]time.Time{}, released: map[session.HoldRef]bool{}, parties: map[throng.SessionID][]party{},
		seen: map[throng.SessionID]bool{},
	}
}

// broken notes a violation.
func (x *watch) broken(rule, format string, args ...any) {
	x.w.mu.Lock()
	defer x.w.mu.Unlock()
	x.note(rule, format, args...)
}

// note is broken for who has the lock.
func (x *watch) note(rule, format string, args ...any) {
	if x.w.over() || len(x.violations) > 20 {
		return
	}
	v := Violation{At: time.Since(x.w.began), Rule: rule, Text: fmt.Sprintf(format, args...)}
	x.violations = append(x.violations, v)
	x.w.trace.add(v.At, "VIOLATION", v.Rule, v.Text, nil)
}

// claimed sees an epoch that the store gave out.
func (x *watch) claimed(r session.ClaimRequest, res session.ClaimResult) {
	x.w.mu.Lock()
	defer x.w.mu.Unlock()
	key := claimed{r.Player, r.Ticket.Key}
	if x.claims[key] == res.Epoch {
		return
	}
	if highest := x.epochs[r.Player]; res.Epoch <= highest {
		x.note("epochs", "%s got epoch %d after %d", r.Player, res.Epoch, highest)
	}
	x.claims[key] = res.Epoch
	x.epochs[r.Player] = res.Epoch
}

// settled sees a ticket's answer in the store.
func (x *watch) settled(res session.SettleResult) {
	x.w.mu.Lock()
	defer x.w.mu.Unlock()
	x.seen[res.Grant.Session] = true
	of := settlement{res.Grant.Key, res.Grant.Nonce}
	if _, repeated := x.settles[of]; !repeated {
		x.settles[of] = x.w.losses
	}
	if len(res.Grant.Members) > 1 {
		x.parties[res.Grant.Session] = append(x.parties[res.Grant.Session], party{res.Grant.Members, time.Now()})
	}
	m := res.Grant.Members[0]
	x.newest[m.Player] = max(x.newest[m.Player], m.Epoch)
	for _, ref := range res.Release {
		if x.w.off(GuardFirst) {
			break
		}
		if (ref.Session != res.Grant.Session || ref.Key != res.Grant.Key) && !x.released[ref] {
			x.pending[ref] = time.Now()
			x.w.event("store", "says to release", string(ref.Session), string(ref.Key.Caller), string(ref.Key.Ticket))
		}
	}
}

func (x *watch) unheld(s throng.SessionID, k throng.TicketKey) {
	x.w.mu.Lock()
	defer x.w.mu.Unlock()
	x.released[session.HoldRef{Session: s, Key: k}] = true
	delete(x.pending, session.HoldRef{Session: s, Key: k})
	x.w.event("store", "releases", string(s), string(k.Caller), string(k.Ticket))
}

// answered sees what a player was told.
func (x *watch) answered(p *player, t throng.Ticket, a throng.Assignment, began time.Time) {
	x.w.event(string(p.id), "is sent", string(t.Key.Ticket), string(a.Grant.Session))
	x.w.mu.Lock()
	defer x.w.mu.Unlock()
	x.w.stats.Answers++
	x.seen[a.Grant.Session] = true
	if len(a.Grant.Members) != len(t.Party) {
		x.note("whole", "%s of %s: %d of a party of %d", t.Key.Ticket, p.id, len(a.Grant.Members), len(t.Party))
	}
	losses := x.settles[settlement{t.Key, a.Grant.Nonce}]
	before, known := x.answers[t.Key]
	same := before.grant.Session == a.Grant.Session && before.grant.Nonce == a.Grant.Nonce &&
		slices.Equal(before.grant.Members, a.Grant.Members)
	// After a loss there may be a new answer; what was lost never comes back.
	if known && !same && losses <= before.losses && time.Since(before.at) < throng.TicketTime {
		x.note("answer", "%s of %s: first %s, then %s", t.Key.Ticket, p.id, before.grant.Session, a.Grant.Session)
	}
	if !known || !same {
		x.answers[t.Key] = answered{a.Grant, losses, time.Now()}
	}
	for _, m := range a.Grant.Members {
		x.newest[m.Player] = max(x.newest[m.Player], m.Epoch)
	}
	if took := time.Since(began); took > joinTime && x.calmSince(began) {
		x.note("service", "%s of %s was answered after %s", t.Key.Ticket, p.id, took)
	}
}

// calmSince says that nothing was broken from recovery before a time on.
func (x *watch) calmSince(t time.Time) bool {
	return x.w.calmLocked(time.Since(t) + recovery)
}

// refused sees an error that a player got. True: he does not repeat the ticket.
func (x *watch) refused(p *player, t throng.Ticket, err error, began time.Time) bool {
	switch k := throng.KindOf(err); k {
	case throng.Unavailable, throng.Contention, throng.RateLimited, throng.Internal, throng.Exists:
		return false
	case throng.NoCapacity:
		if !strings.Contains(err.Error(), "use a new ticket") {
			return false
		}
		if strings.Contains(err.Error(), "never started") {
			// Its opener's answer was lost: nobody gave it to the fleet.
			x.w.mu.Lock()
			defer x.w.mu.Unlock()
			x.w.stats.Orphans++
			return true
		}
	case throng.Denied, throng.Conflict:
		return true // a newer ticket of his, or he gave this one up
	case throng.Full, throng.NotFound, throng.Invalid, throng.Unsupported:
		if t.Mode == throng.ModeSession {
			return true
		}
	}
	x.w.mu.Lock()
	defer x.w.mu.Unlock()
	x.w.stats.Refusals++
	_, before := x.answers[t.Key]
	losses, dead := x.dead[t.Key]
	if !before && x.calmSince(began) && (!dead || losses != x.w.losses) {
		x.note("service", "%s of %s was refused: %v", t.Key.Ticket, p.id, err)
	}
	x.dead[t.Key] = x.w.losses
	return true
}

// gaveUp sees a ticket that was never answered.
func (x *watch) gaveUp(p *player, t throng.Ticket, began time.Time) {
	x.w.event(string(p.id), "is not answered", string(t.Key.Ticket))
	x.w.mu.Lock()
	defer x.w.mu.Unlock()
	x.w.stats.Refusals++
	if x.calmSince(began) {
		x.note("service", "%s of %s was not answered in %s", t.Key.Ticket, p.id, time.Since(began))
	}
}

// left sees that a player gives a ticket up.
func (x *watch) left(p throng.PlayerID, k throng.TicketKey) {
	x.w.mu.Lock()
	defer x.w.mu.Unlock()
	if x.given[p] == nil {
		x.given[p] = map[throng.TicketKey]bool{}
	}
	x.given[p][k] = true
}

// goes sees that a player says goodbye.
func (x *watch) goes(c *conn) {
	x.w.mu.Lock()
	defer x.w.mu.Unlock()
	if !c.served.IsZero() {
		x.leftFrom[leftAt{c.server, c.player, c.epoch}] = true
	}
}

// gaveTicket says whether the seat's ticket was given up by the player or by
// its caller.
func (x *watch) gaveTicket(c *conn) bool {
	return x.given[c.player][c.key] || x.given[c.key.Caller][c.key]
}

// served sees that a player got a view of his session.
func (x *watch) served(c *conn) {
	x.w.mu.Lock()
	defer x.w.mu.Unlock()
	first := c.served.IsZero()
	c.last = time.Now()
	if first {
		c.served = c.last
		x.w.event(string(c.player), "plays on", c.server.node.name, epochText(c.epoch))
	}
	if e := x.evicted[seat{c.server, c.player}]; e >= c.epoch {
		x.note("evicted", "%s is served at epoch %d on %s", c.player, c.epoch, c.server.node.name)
	}
	if first && !c.back && x.leftFrom[leftAt{c.server, c.player, c.epoch}] {
		x.note("returned", "%s is served again at epoch %d on %s", c.player, c.epoch, c.server.node.name)
	}
	if !first {
		return
	}
	inside := map[throng.PlayerID]bool{}
	for _, o := range x.playing() {
		if o.session != c.session {
			continue
		}
		inside[o.player] = true
		if o.server != c.server && !o.server.node.dead() && time.Since(o.last) < 1500*time.Millisecond {
			x.note("twins", "%s is served by %s and %s", c.session, c.server.node.name, o.server.node.name)
		}
	}
	if len(inside) > x.w.plan.capacity {
		x.note("capacity", "%s serves %v", c.session, slices.Sorted(maps.Keys(inside)))
	}
}

// stale looks at a server that was stopped for so long that its players may be
// elsewhere, and that was not told yet.
func (x *watch) stale(c *conn) {
	if !c.server.unheard() {
		return
	}
	s, err := peek(x.w.store, func(ctx context.Context, m *memory.Store) (throng.Session, error) { return m.Session(ctx, c.session) })
	if err == nil && s.State == throng.SessionEnded {
		x.broken("stale", "%s serves %s, and %s is over", c.server.node.name, c.player, c.session)
	}
}

// playing is the connections over which somebody is served now.
func (x *watch) playing() []*conn {
	var all []*conn
	for _, id := range x.w.everyone {
		for _, c := range x.w.players[id].conns {
			if !c.over && !c.served.IsZero() && !c.server.node.dead() {
				all = append(all, c)
			}
		}
	}
	return all
}

// confirmed sees that the registry confirmed a seat.
func (x *watch) confirmed(s *server, ch throng.RosterChange) {
	x.w.mu.Lock()
	defer x.w.mu.Unlock()
	x.w.stats.Confirmed++
	for _, c := range x.w.players[ch.Player].conns {
		if c.server == s && c.epoch == ch.Epoch && c.confirmed.IsZero() {
			c.confirmed, c.losses = time.Now(), x.w.losses
		}
	}
	x.w.event(string(ch.Player), "is confirmed on", s.node.name, epochText(ch.Epoch))
}

// newer says whether a later join of the player is known than that of c.
func (x *watch) newer(c *conn) bool {
	if x.newest[c.player] > c.epoch || x.epochs[c.player] > c.epoch {
		return true
	}
	return slices.ContainsFunc(x.w.players[c.player].conns, func(o *conn) bool { return o.epoch > c.epoch })
}

// used says whether the token was brought to the server before.
func (x *watch) used(c *conn) bool {
	return slices.ContainsFunc(x.w.players[c.player].conns, func(o *conn) bool {
		return o != c && o.epoch == c.epoch && o.server == c.server && !o.asked.After(c.asked)
	})
}

// bye sees why a server ends a connection.
func (x *watch) bye(c *conn, b wire.Bye) {
	x.w.event(string(c.player), "is told "+b.Code.String(), c.server.node.name, b.Text)
	x.w.mu.Lock()
	defer x.w.mu.Unlock()
	c.bye, c.text = b.Code, b.Text
	had := !c.over && !c.served.IsZero() && !c.confirmed.IsZero()
	c.over = true
	switch b.Code {
	case wire.ByeEvicted:
		x.w.stats.Evicted++
		x.evicted[seat{c.server, c.player}] = max(x.evicted[seat{c.server, c.player}], c.epoch)
		if had && !x.newer(c) && !x.gaveTicket(c) {
			x.note("thrown-out", "%s was evicted from %s without a newer join: %s", c.player, c.server.node.name, b.Text)
		}
	case wire.ByeEnded:
		// Five heartbeats in a row may be lost, once in some thousand schedules.
		unlucky := x.w.plan.has(FaultLossy) && strings.HasPrefix(b.Text, "no heartbeat for")
		if had && !unlucky && !x.excused(c.server) {
			x.note("thrown-out", "%s lost session %s: %s", c.player, c.session, b.Text)
		}
	case wire.ByeDenied, wire.ByeFull, wire.ByeDraining, wire.ByeKicked, wire.ByeBehind:
		x.turnedAway(c, had, b)
	}
}

// turnedAway looks at a refusal at the door of a session.
func (x *watch) turnedAway(c *conn, had bool, b wire.Bye) {
	if x.newer(c) || x.gaveTicket(c) || x.leftFrom[leftAt{c.server, c.player, c.epoch}] || x.excused(c.server) {
		return
	}
	switch {
	case had:
		x.note("thrown-out", "%s was put out of %s: %s", c.player, c.server.node.name, b.Text)
	case x.released[session.HoldRef{Session: c.session, Key: c.key}]: // its caller went elsewhere, and so did the party's seats
	case b.Code == wire.ByeFull && (x.countedTwice(c) || x.unconfirmed(c.server)):
	case !c.back && x.calmSince(c.asked) && x.inTime(c) && !x.used(c):
		x.note("refused", "%s was refused on %s: %s", c.player, c.server.node.name, b.Text)
	}
}

// unconfirmed says whether somebody is let in on a server whose confirm is not
// answered yet: his token may be one whose seat was given back, and be refused.
func (x *watch) unconfirmed(s *server) bool {
	for _, id := range x.w.everyone {
		for _, o := range x.w.players[id].conns {
			if o.server == s && !o.over && !o.back && o.confirmed.IsZero() {
				return true
			}
		}
	}
	return false
}

// countedTwice says whether a seat may be kept on the server for a member of a
// party who has one there already. Tokens do not say who else is in a party, so
// the server cannot know, until he brings the party's token or it is dead.
func (x *watch) countedTwice(c *conn) bool {
	for _, p := range x.parties[c.session] {
		if time.Since(p.at) > throng.TokenTime+throng.HoldTime {
			continue
		}
		for _, m := range p.members {
			if slices.ContainsFunc(x.w.players[m.Player].conns, func(o *conn) bool { return o.server == c.server && o.epoch < m.Epoch }) {
				return true
			}
		}
	}
	return false
}

// inTime says whether a token was good for a while when it was brought.
func (x *watch) inTime(c *conn) bool {
	return c.asked.Add(x.w.store.skewNow()).Add(time.Second).Before(c.expires)
}

// excused says whether a server may lose its session.
func (x *watch) excused(s *server) bool { return s.excused() || !x.cutSince.IsZero() }

// closed sees that a server ended a connection, or is gone.
func (x *watch) closed(c *conn) {
	x.w.mu.Lock()
	defer x.w.mu.Unlock()
	had := !c.over && !c.served.IsZero() && !c.confirmed.IsZero()
	c.over = true
	if had && c.server.node.dead() && !x.excused(c.server) {
		x.note("thrown-out", "%s was on %s, which is gone", c.player, c.server.node.name)
	}
}

// cutOff sees that all servers are cut off. When that lasts, and there are fewer
// than three, they may be lost: one of few is one that died. If it lasts only
// because something else hinders some of them before or after, the others were
// heard, and it may be lost, too.
func (x *watch) cutOff(f fault) {
	silence := x.w.plan.silence(f)
	if silence < patience && !x.w.plan.has(FaultLossy) {
		return
	}
	x.w.mu.Lock()
	defer x.w.mu.Unlock()
	seated := map[*server]bool{} // servers that are bound for sure
	for _, c := range x.playing() {
		if !c.confirmed.IsZero() {
			seated[c.server] = true
		}
	}
	bound := len(seated)
	// What ends sessions, or makes the store know fewer, may leave fewer.
	for _, k := range []FaultKind{
		FaultEnd, FaultDrain, FaultCrash, FaultStop, FaultCutOne, FaultFlush, FaultRollback, FaultFailover,
	} {
		if x.w.plan.has(k) {
			bound = 0
		}
	}
	if bound < 3 || f.lasts < patience && silence >= patience {
		x.cutSince = time.Now()
	}
}

// expect notes that a server's session has to be over in time.
func (x *watch) expect(rule string, s *server, in time.Duration) {
	id := s.session()
	if id == "" {
		return
	}
	known, err := peek(x.w.store, func(ctx context.Context, m *memory.Store) (throng.Session, error) { return m.Session(ctx, id) })
	if err != nil || known.Server != s.id || known.State == throng.SessionEnded {
		return
	}
	x.w.mu.Lock()
	defer x.w.mu.Unlock()
	x.expects = append(x.expects, expect{rule, id, time.Now().Add(in), x.w.begun})
}

// run looks at what only time shows.
func (x *watch) run() {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-x.w.stop:
			return
		case <-tick.C:
		}
		x.lookAtDead()
		x.lookAtTwins()
		x.w.mu.Lock()
		x.lookAtSeats()
		x.lookAtEntries()
		x.lookAtReleases()
		x.w.mu.Unlock()
	}
}

func (x *watch) lookAtDead() {
	x.w.mu.Lock()
	var due []expect
	x.expects = slices.DeleteFunc(x.expects, func(e expect) bool {
		if x.w.begun != e.begun {
			return true // something else broke
		}
		if time.Now().Before(e.by) {
			return false
		}
		due = append(due, e)
		return true
	})
	x.w.mu.Unlock()
	for _, e := range due {
		known, err := peek(x.w.store, func(ctx context.Context, m *memory.Store) (throng.Session, error) { return m.Session(ctx, e.session) })
		if err == nil && known.State != throng.SessionEnded {
			x.broken(e.rule, "%s is still %s", e.session, known.State)
		}
	}
}

// lookAtTwins looks for servers that go on with a session that is another's.
func (x *watch) lookAtTwins() {
	var running []*server
	x.w.mu.Lock()
	if x.w.calmLocked(fenceTime + time.Second) {
		for _, s := range x.w.order {
			if !s.node.dead() && s.session() != "" {
				running = append(running, s)
			}
		}
	}
	x.w.mu.Unlock()
	for _, s := range running {
		known, err := peek(x.w.store, func(ctx context.Context, m *memory.Store) (throng.Session, error) { return m.Session(ctx, s.session()) })
		if err != nil || known.Server == "" || known.Server == s.id {
			s.twin = time.Time{}
			continue
		}
		if s.twin.IsZero() {
			s.twin = time.Now()
		}
		if time.Since(s.twin) > fenceTime {
			x.broken("twins", "%s goes on with %s, which is on %s", s.node.name, known.ID, known.Server)
			s.twin = time.Now().Add(time.Hour)
		}
	}
}

// lookAtSeats looks for players with two seats.
func (x *watch) lookAtSeats() {
	if !x.w.calmLocked(recovery + fenceTime) {
		return
	}
	for _, id := range x.w.everyone {
		newest := x.newestSeat(id)
		if newest == nil || time.Since(newest.confirmed) <= fenceTime {
			continue
		}
		for _, c := range x.w.players[id].conns {
			if c.over || c.epoch >= newest.epoch || time.Since(c.last) > 1500*time.Millisecond || c.server.node.dead() {
				continue
			}
			x.note("two-seats", "%s plays on %s, %s after a newer join was confirmed on %s", id, c.server.node.name,
				time.Since(newest.confirmed), newest.server.node.name)
			c.over = true // once is enough
		}
	}
}

// newestSeat is a player's that was confirmed last; nil: there is none. One that
// is over, and that the store has lost, fences nothing.
func (x *watch) newestSeat(id throng.PlayerID) *conn {
	var newest *conn
	for _, c := range x.w.players[id].conns {
		counts := !c.confirmed.IsZero() && (!c.over || c.losses == x.w.losses)
		if counts && (newest == nil || c.epoch > newest.epoch) {
			newest = c
		}
	}
	return newest
}

// lookAtEntries looks for players who wait in front of an open door.
func (x *watch) lookAtEntries() {
	for _, id := range x.w.everyone {
		for _, c := range x.w.players[id].conns {
			if c.over || !c.served.IsZero() || time.Since(c.asked) < enterTime || x.used(c) || !x.calmSince(c.asked) || c.server.node.dead() {
				continue
			}
			x.note("refused", "%s waits in front of %s", id, c.server.node.name)
			c.over = true
		}
	}
}

// lookAtReleases looks for holds that lost and are still there.
func (x *watch) lookAtReleases() {
	for ref, since := range x.pending {
		if x.w.calmLocked(time.Since(since)+storeCall) && time.Since(since) > releaseTime {
			x.note("release", "%s of %s still holds seats in %s", ref.Key.Ticket, ref.Key.Caller, ref.Session)
			delete(x.pending, ref)
		} else if time.Since(since) > time.Minute {
			delete(x.pending, ref)
		}
	}
}

// skewNow is how far the store's clock is off.
func (s *store) skewNow() time.Duration { return time.Duration(s.skew.Load()) }
