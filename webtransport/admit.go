package webtransport

import (
	"net/http"
	"net/netip"
	"time"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/wire/netcode"
)

// refusal is why a client is not let in.
type refusal string

const (
	refusedNone        refusal = ""
	refusedUnlistening refusal = "unlistening" // no session yet, or no more
	refusedPending     refusal = "pending"     // too many handshakes under way
	refusedRate        refusal = "rate"        // too many begun
	refusedRequest     refusal = "request"     // not what is served here
	refusedToken       refusal = "token"       // no token
	refusedDenied      refusal = "denied"      // expired, or of another session
	refusedUsed        refusal = "used"        // a second time
	refusedTaken       refusal = "taken"       // while the connection that it made is in use
	refusedFull        refusal = "full"
	refusedBusy        refusal = "busy" // the game does not keep up
	refusedTime        refusal = "time" // no token in time
)

// refusals lists them all.
func refusals() []refusal {
	return []refusal{
		refusedUnlistening, refusedPending, refusedRate, refusedRequest, refusedToken,
		refusedDenied, refusedUsed, refusedTaken, refusedFull, refusedBusy, refusedTime,
	}
}

// kind is what a client's program makes of it.
func (r refusal) kind() throng.Kind {
	switch r {
	case refusedRequest, refusedToken:
		return throng.Invalid
	case refusedDenied, refusedUsed, refusedTime:
		return throng.Denied
	case refusedFull:
		return throng.Full
	case refusedRate:
		return throng.RateLimited
	case refusedUnlistening, refusedPending, refusedTaken, refusedBusy, refusedNone:
		return throng.Unavailable
	}
	return throng.Unavailable
}

// status is the same over HTTP.
func (r refusal) status() int {
	switch r.kind() {
	case throng.Invalid:
		return http.StatusBadRequest
	case throng.Denied:
		return http.StatusForbidden
	case throng.Full:
		return http.StatusConflict
	case throng.RateLimited:
		return http.StatusTooManyRequests
	case throng.Internal, throng.NotFound, throng.Exists, throng.Conflict, throng.NoCapacity,
		throng.Contention, throng.Unavailable, throng.Unsupported:
		return http.StatusServiceUnavailable
	}
	return http.StatusServiceUnavailable
}

// text says it to people.
func (r refusal) text() string {
	switch r {
	case refusedRequest:
		return "there is nothing here but the game"
	case refusedToken:
		return "this is no join token"
	case refusedDenied:
		return "the join token expired or is for another session"
	case refusedUsed:
		return "the join token was used before"
	case refusedTaken:
		return "the connection that this token made is in use"
	case refusedTime:
		return "no join token came in time"
	case refusedFull:
		return "the server is full"
	case refusedRate, refusedPending, refusedBusy:
		return "too many connect at once"
	case refusedUnlistening, refusedNone:
		return "the server takes no players now"
	}
	return "refused"
}

// historyGrace is how many seconds a use is remembered past its token's end, so
// that a clock that is put back does not bring the token to life again.
const historyGrace = 60

// useTime is how long after its last message a connection still counts as in use
// by a client that comes back; clients send every tick.
const useTime = time.Second

// tokenTries is how many connections a join token makes before one is used: as
// many as over UDP addresses may show it.
const tokenTries = 8

// use is what is known of a token that was shown. Guarded by the Transport's mu.
type use struct {
	expire uint64 // Unix seconds
	tries  int    // connections that it made
	spoke  bool   // a client sent a message over one of them: it knows that it is in
	peer   *peer  // the newest of them; nil: it is over
}

// taken says why a token that was shown before is not taken again. A client may
// never hear that it was let in, and tries again with the same token; the game
// lets the newest have the seat. Over TLS that is safe: nothing is sealed with
// the token's keys, which is why netcode takes each once. A try that the client
// gave up may also arrive late, after the one that it uses.
func (u *use) taken(returning bool, since time.Time) refusal {
	switch {
	case u == nil:
	case !returning && (u.spoke || u.tries >= tokenTries):
		return refusedUsed
	case returning && u.peer.inUse(since):
		return refusedTaken
	}
	return refusedNone
}

// admit checks a token and counts its use, which release takes back when the
// connection is not made after all.
func (t *Transport) admit(token []byte) (netcode.OpenedToken, refusal) {
	t.mu.Lock()
	key, registry := t.key, t.registry
	t.mu.Unlock()
	if registry == nil {
		return netcode.OpenedToken{}, refusedUnlistening
	}
	opened, err := netcode.OpenToken(token, key, 0, registry())
	if err != nil {
		if throng.KindOf(err) == throng.Denied {
			return netcode.OpenedToken{}, refusedDenied
		}
		return netcode.OpenedToken{}, refusedToken
	}
	returning := t.returning(opened.UserData[:])
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.registry == nil {
		return netcode.OpenedToken{}, refusedUnlistening
	}
	u := t.used[opened.MAC]
	why := u.taken(returning, time.Now().Add(-t.useTime))
	switch {
	case why != refusedNone:
		return netcode.OpenedToken{}, why
	case len(t.peers) >= t.most:
		return netcode.OpenedToken{}, refusedFull
	case u == nil && len(t.used) >= t.usedRoom: // forgetting one would let it be used twice
		return netcode.OpenedToken{}, refusedBusy
	case u == nil:
		u = &use{expire: opened.Expire}
		t.used[opened.MAC] = u
	}
	u.tries++
	return opened, refusedNone
}

// release takes a token's use back.
func (t *Transport) release(opened netcode.OpenedToken) {
	t.mu.Lock()
	defer t.mu.Unlock()
	u := t.used[opened.MAC]
	if u == nil {
		return // it is over
	}
	u.tries--
	if u.tries == 0 && !u.spoke {
		delete(t.used, opened.MAC)
	}
}

// sweep forgets tokens that are over. Called with the mutex held.
func (t *Transport) sweep() {
	unix := uint64(max(t.registry().Unix(), 0))
	for mac, u := range t.used {
		if u.expire < unix && unix-u.expire > historyGrace {
			delete(t.used, mac)
		}
	}
}

// enter makes a client of a peer and tells the game.
func (t *Transport) enter(p *peer, opened netcode.OpenedToken, from netip.AddrPort) refusal {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case t.registry == nil:
		return refusedUnlistening
	case len(t.peers) >= t.most:
		return refusedFull
	}
	p.n = t.opened + 1
	if !t.source.Connected(p.n, from, opened.UserData[:]) {
		return refusedBusy
	}
	t.opened++
	p.returning = t.returning(opened.UserData[:])
	if p.use = t.used[opened.MAC]; p.use != nil {
		p.use.peer = p
	}
	p.heard.Store(time.Now().UnixNano())
	t.playing.Add(1) // never while shut waits: registry was nil before
	t.peers[p.n] = p
	t.metrics.clients[p.way].Inc()
	return refusedNone
}

// leave ends a client's stay and tells the game by tell, once: the source's
// Disconnected, or Lost when the client may come back. False: it had ended.
func (t *Transport) leave(p *peer, tell func(n uint64)) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.peers[p.n] != p {
		return false
	}
	delete(t.peers, p.n)
	if p.use != nil && p.use.peer == p {
		p.use.peer = nil
	}
	t.metrics.clients[p.way].Dec()
	tell(p.n)
	return true
}
