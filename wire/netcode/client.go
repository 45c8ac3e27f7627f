package netcode

import (
	"crypto/cipher"
	"net/netip"
	"slices"
	"time"

	"golang.org/x/crypto/chacha20poly1305"

	"github.com/throng-gg/throng"
)

// State is where a Client stands. Any failure before Connected goes to the next
// server that the token names, if there is one, else to Ended.
//
//	Requesting ──▶ Responding ──▶ Connected ──▶ Ended
//	  ▲  ├───────────────┤ next server            ▲
//	  └──┘               └────────────────────────┘
type State uint8

// The states of a client.
const (
	StateRequesting State = iota // asks for a challenge
	StateResponding              // brings it back
	StateConnected
	StateEnded // Reason says why
)

// String returns the word that people see.
func (s State) String() string {
	switch s {
	case StateRequesting:
		return "requesting"
	case StateResponding:
		return "responding"
	case StateConnected:
		return "connected"
	case StateEnded:
		return "ended"
	}
	return "unknown"
}

// CanBecome says whether a client may go from s to next.
func (s State) CanBecome(next State) bool {
	switch s {
	case StateRequesting:
		return next == StateRequesting || next == StateResponding || next == StateEnded
	case StateResponding:
		return next == StateRequesting || next == StateConnected || next == StateEnded
	case StateConnected:
		return next == StateEnded
	case StateEnded:
		return false
	}
	return false
}

// ClientSink is what a Client acts through. It is called during the Client's
// methods and must not call them. Every slice is the Client's again when the
// call returns.
type ClientSink interface {
	// Datagram is to be sent.
	Datagram(to netip.AddrPort, datagram []byte)
	// Payload is one payload from the server.
	Payload(payload []byte)
}

// Client makes and keeps one connection. A token is for one Client only,
// once it is Used: a second one would number its packets again under the same
// keys. It is not safe for concurrent use.
type Client struct {
	sink       ClientSink
	token      *Token
	codec      codec
	open, seal cipher.AEAD
	timeout    time.Duration // zero: never
	life       time.Duration // of the token

	state     State
	reason    Reason
	server    int // index into token.Servers
	ask       int // the same, where it is asked next whether the address changed
	challenge numbered
	slot      keepAlive
	number    uint64 // of the next packet; goes on from server to server
	seen      replayWindow

	started, heard time.Time
	asked          time.Time // last, whether the address changed
	sent           time.Time // zero: at the next Tick

	// Scratch, so that no packet allocates.
	out, body []byte
}

// NewClient returns a Client that begins to connect at its first Tick. Invalid:
// the token is none.
func NewClient(token []byte, now time.Time, sink ClientSink) (*Client, error) {
	t, err := ParseToken(token)
	if err != nil {
		return nil, err
	}
	open, err := chacha20poly1305.New(t.serverToClient[:])
	if err != nil {
		return nil, throng.Errorf(throng.Internal, "use server key: %w", err)
	}
	seal, err := chacha20poly1305.New(t.clientToServer[:])
	if err != nil {
		return nil, throng.Errorf(throng.Internal, "use client key: %w", err)
	}
	for i := range t.Servers {
		t.Servers[i] = unmap(t.Servers[i])
	}
	const longest = 1 << 31 // s, so that it fits a Duration
	return &Client{
		sink: sink, token: t, codec: makeCodec(t.ProtocolID), open: open, seal: seal,
		timeout: max(time.Duration(t.TimeoutSeconds)*time.Second, 0),
		life:    time.Duration(min(t.Expire-t.Create, longest)) * time.Second,
		started: now, heard: now,
		out: make([]byte, 0, MaxDatagram), body: make([]byte, 0, numberedSize),
	}, nil
}

// State says how far the client is.
func (c *Client) State() State { return c.state }

// Reason says why the client Ended.
func (c *Client) Reason() Reason { return c.reason }

// Heard is when the server was heard last; before Connected, when the client
// began to ask.
func (c *Client) Heard() time.Time { return c.heard }

// Used says whether the token may be used up: something was sealed with its
// keys. Until then another Client may be made of it.
func (c *Client) Used() bool { return c.number > 0 }

// Server is the address that the client talks to.
func (c *Client) Server() netip.AddrPort { return c.token.Servers[c.server] }

// Slot is the client's place in the server, from 0, and how many there are;
// zeros before Connected.
func (c *Client) Slot() (slot, slots int) { return int(c.slot.slot), int(c.slot.slots) }

// Receive takes one datagram, which is overwritten. It returns why the datagram
// was ignored, DropNone if it was not.
func (c *Client) Receive(now time.Time, from netip.AddrPort, datagram []byte) Drop {
	if c.state == StateEnded {
		return DropType
	}
	server, ok := c.serverAt(unmap(from))
	if !ok {
		return DropUnknown
	}
	h, ok := parseHeader(datagram)
	if !ok {
		return DropMalformed
	}
	if !c.expects(h.kind) {
		return DropType
	}
	newest := c.seen.newest
	body, drop := c.codec.open(c.open, &c.seen, h, datagram)
	if drop != DropNone {
		return drop
	}
	if h.kind == TypeProof { // the server hears this client and does not send to it yet
		c.sendRebind(now, c.token.Servers[server], body)
		return DropNone
	}
	if h.number >= newest {
		c.server = server
	}
	return c.take(now, h.kind, body)
}

// serverAt finds who sent a datagram: the server that the client talks to, or, once
// connected, any other address that the token names, through which the server
// is reached as well.
func (c *Client) serverAt(from netip.AddrPort) (int, bool) {
	if from == c.Server() {
		return c.server, true
	}
	if c.state != StateConnected || !c.moves() {
		return 0, false
	}
	i := slices.Index(c.token.Servers, from)
	return i, i >= 0
}

// expects says whether a type makes sense in this state. Payloads that overtake
// the first keep-alive are lost: nobody may answer them yet.
func (c *Client) expects(kind Type) bool {
	switch kind {
	case TypeDenied:
		return c.state == StateRequesting || c.state == StateResponding
	case TypeChallenge:
		return c.state == StateRequesting
	case TypeKeepAlive:
		return c.state == StateResponding || c.state == StateConnected
	case TypePayload, TypeDisconnect:
		return c.state == StateConnected
	case TypeProof:
		return c.state == StateConnected && c.moves()
	case TypeRequest, TypeResponse, TypeRebind:
		return false
	}
	return false
}

// take acts on a genuine packet that the state expects.
func (c *Client) take(now time.Time, kind Type, body []byte) Drop {
	var err error
	switch kind {
	case TypeDenied:
		c.fail(now, ReasonDenied)
		return DropNone
	case TypeChallenge:
		if c.challenge, err = parseNumbered(body); err != nil {
			return DropMalformed
		}
		c.become(StateResponding)
	case TypeKeepAlive:
		slot, err := parseKeepAlive(body)
		if err != nil {
			return DropMalformed
		}
		if c.state == StateResponding {
			c.slot = slot
			c.become(StateConnected)
		}
	case TypePayload:
		c.sink.Payload(body)
	case TypeDisconnect:
		c.end(ReasonRemote)
		return DropNone
	case TypeRequest, TypeResponse, TypeRebind, TypeProof:
		return DropType
	}
	c.heard = now
	return DropNone
}

// Tick speaks to the server when nothing was sent for 100 ms, asks it where it
// sends to when nothing was heard for 250 ms (see rebind.go), and gives up on
// silence. Call it 20 times a second until Ended.
func (c *Client) Tick(now time.Time) {
	switch {
	case c.state == StateEnded:
		return
	case c.state != StateConnected && now.Sub(c.started) >= c.life:
		c.end(ReasonExpired)
		return
	case c.timeout > 0 && now.Sub(c.heard) >= c.timeout:
		c.fail(now, c.silence())
	}
	c.askToRebind(now)
	if c.sent.IsZero() || now.Sub(c.sent) >= sendInterval {
		c.speak(now)
	}
}

// speak sends what the state asks for.
func (c *Client) speak(now time.Time) {
	switch c.state {
	case StateRequesting:
		c.sent = now
		c.out = appendRequest(c.out[:0], c.token)
		c.sink.Datagram(c.Server(), c.out)
	case StateResponding:
		c.body = c.challenge.append(c.body[:0])
		c.send(now, TypeResponse, c.body)
	case StateConnected:
		c.body = c.slot.append(c.body[:0])
		c.send(now, TypeKeepAlive, c.body)
	case StateEnded:
	}
}

// Send sends one payload of 1 to MaxPayload bytes, once and unreliably.
// Invalid: its size. Unavailable: not connected.
func (c *Client) Send(now time.Time, payload []byte) error {
	if len(payload) < 1 || len(payload) > MaxPayload {
		return throng.Errorf(throng.Invalid, "a payload has 1 to %d bytes, this one %d", MaxPayload, len(payload))
	}
	if c.state != StateConnected {
		return throng.Errorf(throng.Unavailable, "the client is %s, not connected", c.state)
	}
	c.send(now, TypePayload, payload)
	return nil
}

// Close ends the connection and tells the server. Closing twice is no error.
func (c *Client) Close(now time.Time) {
	if c.state == StateResponding || c.state == StateConnected {
		for range farewells {
			c.send(now, TypeDisconnect, nil)
		}
	}
	c.end(ReasonLocal)
}

func (c *Client) send(now time.Time, kind Type, body []byte) {
	c.sendTo(now, c.Server(), kind, body)
}

func (c *Client) sendTo(now time.Time, to netip.AddrPort, kind Type, body []byte) {
	h := header{kind: kind, number: c.number, slot: uint8(c.slot.slot)}
	c.out = c.codec.seal(c.out[:0], c.seal, h, body)
	c.number++
	c.sent = now
	c.sink.Datagram(to, c.out)
}

// silence is what it means, in this state, that the server says nothing.
func (c *Client) silence() Reason {
	switch c.state {
	case StateRequesting:
		return ReasonRequestTimeout
	case StateResponding:
		return ReasonResponseTimeout
	case StateConnected, StateEnded:
	}
	return ReasonTimeout
}

// fail goes to the next server, or ends for the reason.
func (c *Client) fail(now time.Time, why Reason) {
	if c.state == StateConnected || c.server+1 >= len(c.token.Servers) {
		c.end(why)
		return
	}
	c.server++
	c.heard = now
	c.become(StateRequesting)
}

func (c *Client) end(why Reason) {
	if c.state != StateEnded {
		c.become(StateEnded)
		c.reason = why
	}
}

// become changes the state; what the new one says is said at the next Tick.
func (c *Client) become(next State) {
	if c.state.CanBecome(next) {
		c.state = next
		c.sent = time.Time{}
	}
}
