package sim

import (
	"bytes"
	"net/netip"
	"sync"
	"time"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/gameserver"
	"github.com/throng-gg/throng/wire"
	"github.com/throng-gg/throng/wire/channel"
)

// transport is how players reach a game server. It stands for netcode and its
// network: tokens that are sealed for another session do not come in.
type transport struct {
	s      *server
	at     netip.AddrPort
	events chan gameserver.Event

	mu        sync.Mutex
	listening bool
	next      gameserver.ConnID
	conns     map[gameserver.ConnID]*conn
}

// conn is one connection of a player, as the player sees it.
type conn struct {
	w       *world
	player  throng.PlayerID
	epoch   throng.Epoch
	key     throng.TicketKey
	session throng.SessionID
	server  *server
	asked   time.Time // when the player connected
	expires time.Time // of the token, by the store's clock
	back    bool      // brought a reconnect token

	// Guarded by the transport's mutex.
	channel *channel.Conn // the player's end

	// Guarded by the world's mutex.
	id        gameserver.ConnID
	served    time.Time // when the first view came; zero: never
	last      time.Time // when the newest came
	confirmed time.Time // when the registry confirmed the seat
	losses    int       // of the store, before that
	bye       wire.ByeCode
	text      string // of the bye
	over      bool   // ended by either
	own       bool   // the player ended it
}

func newTransport(s *server, n int) *transport {
	return &transport{s: s, at: address(n), events: make(chan gameserver.Event, 256), conns: map[gameserver.ConnID]*conn{}}
}

// Address is gameserver.Transport's.
func (t *transport) Address() netip.AddrPort { return t.at }

// Listen is gameserver.Transport's.
func (t *transport) Listen([32]byte, int, func() time.Time) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.listening = true
	return nil
}

// Events is gameserver.Transport's.
func (t *transport) Events() <-chan gameserver.Event { return t.events }

// tell puts an event into the queue.
func (t *transport) tell(e gameserver.Event) {
	e.At = time.Now()
	select {
	case t.events <- e:
	default:
		panic("sim: a game server's event queue is full")
	}
}

// connect brings a player's token. False: nobody answers.
func (t *transport) connect(c *conn, claims wire.Claims) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.listening || t.s.node.dead() || t.s.session() != c.session {
		return false
	}
	data, err := wire.AppendClaims(nil, claims)
	must(err)
	t.next++
	t.s.w.mu.Lock()
	c.id = t.next
	t.s.w.mu.Unlock()
	c.channel = channel.New(channel.Config{})
	t.conns[t.next] = c
	t.tell(gameserver.Event{Kind: gameserver.EventConnected, Conn: t.next, From: t.at, Data: data})
	return true
}

// leave ends a connection from the player's side.
func (t *transport) leave(c *conn, how gameserver.Event) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.conns[c.id] == nil {
		return
	}
	delete(t.conns, c.id)
	how.Kind, how.Conn = gameserver.EventDisconnected, c.id
	t.tell(how)
}

// Send is gameserver.Transport's: what the player gets.
func (t *transport) Send(id gameserver.ConnID, payload []byte) {
	t.s.gate()
	t.mu.Lock()
	c := t.conns[id]
	if c == nil || t.s.node.dead() {
		t.mu.Unlock()
		return
	}
	var got heard
	must(c.channel.Receive(time.Now(), payload, &got))
	c.channel.Flush(time.Now(), nil, 0, func(datagram []byte) { // what came, if it has to be said
		t.tell(gameserver.Event{Kind: gameserver.EventMessage, Conn: id, Data: bytes.Clone(datagram)})
	})
	t.mu.Unlock()
	if got.bye.Code != 0 {
		t.s.w.watch.bye(c, got.bye)
		return
	}
	t.s.w.watch.stale(c)
	t.s.w.watch.served(c)
}

// heard is what a player makes of a datagram: only the last word matters here.
type heard struct{ bye wire.Bye }

func (*heard) State([]byte, bool) bool { return true }
func (*heard) Message([]byte)          {}
func (*heard) Acked(uint64)            {}

func (h *heard) Last(word []byte) {
	bye, err := wire.ParseBye(word)
	must(err)
	h.bye = bye
}

// Disconnect is gameserver.Transport's.
func (t *transport) Disconnect(id gameserver.ConnID) {
	t.s.gate()
	t.mu.Lock()
	defer t.mu.Unlock()
	c := t.conns[id]
	if c == nil {
		return
	}
	delete(t.conns, id)
	t.tell(gameserver.Event{Kind: gameserver.EventDisconnected, Conn: id})
	t.s.w.watch.closed(c)
}

// broken ends all connections with the process.
func (t *transport) broken() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for id, c := range t.conns {
		delete(t.conns, id)
		t.s.w.watch.closed(c)
	}
}
