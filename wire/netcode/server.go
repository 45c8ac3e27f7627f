package netcode

import (
	"crypto/cipher"
	"net/netip"
	"slices"
	"time"

	"golang.org/x/crypto/chacha20poly1305"

	"github.com/throng-gg/throng"
)

// ConnID names one connection of a Server. It is never zero and never used again.
type ConnID uint64

// Reason says why a connection ended.
type Reason uint8

// The reasons why a connection ended.
const (
	ReasonNone            Reason = iota // it has not
	ReasonDenied                        // every server that the token names is full
	ReasonRequestTimeout                // no server answered the request
	ReasonResponseTimeout               // a server challenged and then fell silent
	ReasonExpired                       // the token's time ran out before a server took it
	ReasonTimeout                       // the other side fell silent
	ReasonRemote                        // the other side ended it
	ReasonLocal                         // this side ended it
)

// String returns words for people.
func (r Reason) String() string {
	switch r {
	case ReasonNone:
		return "not ended"
	case ReasonDenied:
		return "denied: the server is full"
	case ReasonRequestTimeout:
		return "no answer to the request"
	case ReasonResponseTimeout:
		return "no answer to the response"
	case ReasonExpired:
		return "the token expired"
	case ReasonTimeout:
		return "timed out"
	case ReasonRemote:
		return "ended by the other side"
	case ReasonLocal:
		return "ended by this side"
	}
	return "unknown"
}

// Sink is what a Server acts through. It is called during Receive, Send, Tick
// and Disconnect, and must not call the Server. Every slice is the Server's
// again when the call returns.
type Sink interface {
	// Datagram is to be sent.
	Datagram(to netip.AddrPort, datagram []byte)
	// Connected tells of a new client, whose address is proven. False refuses
	// it without a word: it will ask again, for as long as its timeout.
	Connected(c ConnID, from netip.AddrPort, userData *[UserDataSize]byte) bool
	// Moved tells that a client has another address, which is proven.
	Moved(c ConnID, to netip.AddrPort)
	// Payload is one payload from a client; Connected was called before.
	Payload(c ConnID, payload []byte)
	// Disconnected is called once for every client that Connected accepted,
	// whatever ended it.
	Disconnected(c ConnID, reason Reason)
}

// ServerConfig is what a Server needs to know.
type ServerConfig struct {
	// Key opens the private part of tokens. Not zero.
	Key [KeySize]byte
	// Entropy seals challenges: fresh random bytes at every start. Not zero.
	Entropy [KeySize]byte
	// ProtocolID: zero means Throng's.
	ProtocolID uint64
	// Public are the addresses under which clients know this server; a token
	// must name one of them. None: any token sealed with Key is taken.
	Public []netip.AddrPort
	// Capacity is how many clients can be connected, 1 to MaxClients.
	Capacity int
}

// Server takes clients that bring a valid token. It is not safe for concurrent
// use: one goroutine at a time owns it, with all that its methods touch.
type Server struct {
	sink     Sink
	carrier  Carrier // the sink, if it is one
	private  cipher.AEAD
	secret   cipher.AEAD // of challenge tokens
	protocol uint64
	public   []netip.AddrPort
	codec    codec
	offset   time.Duration
	swept    time.Time

	clients []client // a slot each; a free one has ID zero
	byAddr  map[path]int
	byID    map[uint64]struct{} // client IDs from tokens
	opened  uint64              // connections so far

	pending    map[path]*pending // bounded by maxPending
	maxPending int
	history    history

	numbers    uint64 // of the next challenge or denied packet, from globalSequence
	challenges uint64 // of the next challenge token

	// Scratch, so that no packet allocates.
	out, body, plain []byte
	token            privateToken
}

// peer is an address whose token was valid.
type peer struct {
	addr       path
	clientID   uint64
	timeout    time.Duration // zero: never
	open, seal cipher.AEAD
}

// client is a connected peer.
type client struct {
	peer
	id             ConnID
	confirmed      bool // it has shown that it knows its slot
	number         uint64
	seen           replayWindow
	received, sent time.Time
}

// NewServer returns a Server without clients. Invalid: the config makes no sense.
func NewServer(c ServerConfig, sink Sink) (*Server, error) {
	if c.Capacity < 1 || c.Capacity > MaxClients {
		return nil, throng.AtField(throng.Invalid, "capacity", "is %d, 1 to %d are allowed", c.Capacity, MaxClients)
	}
	if c.Key == [KeySize]byte{} || c.Entropy == [KeySize]byte{} {
		return nil, throng.AtField(throng.Invalid, "key", "key and entropy must not be zero")
	}
	private, err := chacha20poly1305.NewX(c.Key[:])
	if err != nil {
		return nil, throng.Errorf(throng.Internal, "use token key: %w", err)
	}
	secret, err := chacha20poly1305.New(c.Entropy[:])
	if err != nil {
		return nil, throng.Errorf(throng.Internal, "use challenge key: %w", err)
	}
	protocol := c.ProtocolID
	if protocol == 0 {
		protocol = ProtocolID
	}
	public := slices.Clone(c.Public)
	for i := range public {
		public[i] = unmap(public[i])
	}
	carrier, _ := sink.(Carrier)
	return &Server{
		sink: sink, carrier: carrier, private: private, secret: secret, protocol: protocol, public: public, codec: makeCodec(protocol),
		clients: make([]client, c.Capacity), byAddr: make(map[path]int), byID: make(map[uint64]struct{}),
		pending: make(map[path]*pending), maxPending: max(64, 4*c.Capacity),
		history: makeHistory(max(1024, 16*c.Capacity)), numbers: globalSequence,
		out: make([]byte, 0, MaxDatagram), body: make([]byte, 0, numberedSize), plain: make([]byte, 0, privateSize),
		token: privateToken{servers: make([]netip.AddrPort, 0, MaxServers)},
	}, nil
}

// SetOffset says by how much the clock that tokens expire by is ahead of the
// now that the other methods are given. It moves no time-out.
func (s *Server) SetOffset(d time.Duration) { s.offset = d }

// Clients is the number of connected clients.
func (s *Server) Clients() int { return len(s.byID) }

// Receive takes one datagram, which is overwritten. It returns why the datagram
// was ignored, DropNone if it was not.
func (s *Server) Receive(now time.Time, from netip.AddrPort, datagram []byte) Drop {
	return s.receive(now, path{client: unmap(from)}, datagram)
}

func (s *Server) receive(now time.Time, addr path, datagram []byte) Drop {
	if len(datagram) > 0 && datagram[0] == byte(TypeRequest) {
		return s.request(now, addr, datagram)
	}
	h, ok := parseHeader(datagram)
	if !ok {
		return DropMalformed
	}
	if h.kind == TypeRebind && rebinds(s.protocol) {
		return s.rebind(now, addr, h, datagram)
	}
	if slot, ok := s.byAddr[addr]; ok {
		return s.fromClient(now, slot, h, datagram)
	}
	p := s.pending[addr]
	switch {
	case p == nil:
		return DropUnknown
	case h.kind != TypeResponse:
		return DropType
	}
	return s.response(now, p, h, datagram)
}

func (s *Server) fromClient(now time.Time, slot int, h header, datagram []byte) Drop {
	switch h.kind {
	case TypeKeepAlive, TypePayload, TypeDisconnect:
	case TypeResponse:
		return DropDuplicate // the keep-alive that answers it is on its way
	case TypeRequest, TypeDenied, TypeChallenge, TypeRebind, TypeProof:
		return DropType
	}
	c := &s.clients[slot]
	body, drop := s.codec.open(c.open, &c.seen, h, datagram)
	if drop != DropNone {
		return drop
	}
	if h.kind == TypeDisconnect {
		s.remove(slot, ReasonRemote)
		return DropNone
	}
	c.received, c.confirmed = now, true
	if h.kind == TypePayload {
		s.sink.Payload(c.id, body)
	}
	return DropNone
}

// Send sends one payload of 1 to MaxPayload bytes, once and unreliably. Unknown
// connections are no error. Invalid: the payload's size.
func (s *Server) Send(now time.Time, id ConnID, payload []byte) error {
	if len(payload) < 1 || len(payload) > MaxPayload {
		return throng.Errorf(throng.Invalid, "a payload has 1 to %d bytes, this one %d", MaxPayload, len(payload))
	}
	slot, ok := s.slotOf(id)
	if !ok {
		return nil
	}
	c := &s.clients[slot]
	if !c.confirmed {
		s.keepAlive(now, slot)
	}
	s.send(now, c, TypePayload, payload)
	return nil
}

// Disconnect ends a connection and tells the client. Unknown ones are no error.
func (s *Server) Disconnect(now time.Time, id ConnID) {
	if slot, ok := s.slotOf(id); ok {
		s.part(now, slot, ReasonLocal)
	}
}

// DisconnectAll ends every connection and tells the clients.
func (s *Server) DisconnectAll(now time.Time) {
	for slot := range s.clients {
		if s.clients[slot].id != 0 {
			s.part(now, slot, ReasonLocal)
		}
	}
}

// Tick ends what has been silent for too long and speaks to clients that have
// not heard anything for 100 ms. Call it 20 times a second.
func (s *Server) Tick(now time.Time) {
	for slot := range s.clients {
		c := &s.clients[slot]
		switch {
		case c.id == 0:
		case c.timeout > 0 && now.Sub(c.received) >= c.timeout:
			s.part(now, slot, ReasonTimeout)
		case now.Sub(c.sent) >= sendInterval:
			s.keepAlive(now, slot)
		}
	}
	if now.Sub(s.swept) < time.Second {
		return
	}
	s.swept = now
	s.history.sweep(s.unix(now))
	for addr, p := range s.pending {
		if now.Sub(p.since) >= p.patience() {
			delete(s.pending, addr)
		}
	}
}

// unix is the time by which tokens expire.
func (s *Server) unix(now time.Time) uint64 {
	return uint64(max(now.Add(s.offset).Unix(), 0))
}

// slotOf finds a connection: its slot is in the low bits of its ID.
func (s *Server) slotOf(id ConnID) (int, bool) {
	slot := int(id % MaxClients)
	return slot, id != 0 && slot < len(s.clients) && s.clients[slot].id == id
}

func (s *Server) keepAlive(now time.Time, slot int) {
	k := keepAlive{slot: uint32(slot), slots: uint32(len(s.clients))}
	s.body = k.append(s.body[:0])
	s.send(now, &s.clients[slot], TypeKeepAlive, s.body)
}

func (s *Server) send(now time.Time, c *client, kind Type, body []byte) {
	s.sendTo(now, c, c.addr, kind, body)
}

func (s *Server) sendTo(now time.Time, c *client, to path, kind Type, body []byte) {
	s.out = s.codec.seal(s.out[:0], c.seal, header{kind: kind, number: c.number}, body)
	c.number++
	c.sent = now
	s.datagram(to)
}

func (s *Server) part(now time.Time, slot int, why Reason) {
	for range farewells {
		s.send(now, &s.clients[slot], TypeDisconnect, nil)
	}
	s.remove(slot, why)
}

func (s *Server) remove(slot int, why Reason) {
	c := &s.clients[slot]
	if s.byAddr[c.addr] == slot {
		delete(s.byAddr, c.addr)
	}
	delete(s.byID, c.clientID)
	id := c.id
	*c = client{}
	s.sink.Disconnected(id, why)
}
