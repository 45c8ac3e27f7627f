package webtransport

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/quic-go/quic-go"
	"github.com/quic-go/webtransport-go"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/gameserver"
	"github.com/throng-gg/throng/wire/netcode"
)

// tickInterval is how often a Transport looks for what is over.
const tickInterval = 250 * time.Millisecond

// Config is what a Transport needs to know.
type Config struct {
	// Listen is the UDP address to bind for WebTransport. Port 0 takes a free one.
	Listen netip.AddrPort
	// ListenTCP is the TCP address to bind for WebSockets. Port 0 takes a free one.
	// Not valid: Listen's.
	ListenTCP netip.AddrPort
	// Public is where browsers reach Listen, when that is not what is bound. Port
	// 0 means the bound port. Needed when Listen is an unspecified address.
	Public netip.AddrPort
	// PublicTCP is where the door reaches ListenTCP, likewise. Not valid: as
	// bound, at Public's host when that is an unspecified address.
	PublicTCP netip.AddrPort
	// Returning says of a token's user data whether its bearer comes back into a
	// seat that he has. Then the token makes another connection each time that it
	// is shown, unless one that it made is in use; any other token does until one
	// is used. The game lets the newest have the seat. Nil: nobody comes back.
	Returning func(userData []byte) bool
	// Events is the queue to tell of what happens; nil: one of its own.
	Events *gameserver.Events
	// Logger: nil logs nothing.
	Logger *slog.Logger
	// Metrics: nil registers none.
	Metrics prometheus.Registerer
}

// Transport takes players from browsers. It implements gameserver.Transport and
// gameserver.Web.
type Transport struct {
	log          *slog.Logger
	udp          *net.UDPConn
	tcp          *net.TCPListener
	public       netip.AddrPort // of udp
	publicTCP    netip.AddrPort
	certificates *certificates
	metrics      *metrics
	gate         *gate
	returning    func(userData []byte) bool

	quic *quic.Transport
	web  *webtransport.Server
	http *http.Server

	sockets sync.Map // of *socket: what is to be cut at the end

	mu       sync.Mutex // guards what follows, and the source's order of events
	source   *gameserver.Source
	key      [32]byte
	registry func() time.Time // of Listen; nil before and after the end
	most     int              // clients at once
	peers    map[uint64]*peer
	useTime  time.Duration
	opened   uint64 // connections so far
	used     map[[16]byte]*use
	usedRoom int
	playing  sync.WaitGroup // clients; added to while registry is set
	handlers sync.WaitGroup // of WebSockets; added to until ended
	listener *quic.EarlyListener
	heard    bool // Listen was called
	ran      bool // Run was called
	ended    bool
	swept    time.Time
}

var (
	_ gameserver.Transport = (*Transport)(nil)
	_ gameserver.Web       = (*Transport)(nil)
)

// New binds both sockets. Run must be called to free them. Invalid: the
// addresses make no sense. Unavailable: one can't be bound.
func New(c Config) (*Transport, error) {
	if !c.Listen.IsValid() {
		return nil, throng.AtField(throng.Invalid, "listen", "is not set")
	}
	if !c.ListenTCP.IsValid() {
		c.ListenTCP = c.Listen
	}
	if !c.Public.IsValid() && c.Listen.Addr().IsUnspecified() {
		return nil, throng.AtField(throng.Invalid, "public", "must be set, since no browser can connect to %s", c.Listen)
	}
	udp, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(c.Listen))
	if err != nil {
		return nil, throng.Errorf(throng.Unavailable, "bind UDP %s: %w", c.Listen, err)
	}
	tcp, err := net.ListenTCP("tcp", net.TCPAddrFromAddrPort(c.ListenTCP))
	if err != nil {
		return nil, errors.Join(throng.Errorf(throng.Unavailable, "bind TCP %s: %w", c.ListenTCP, err), udp.Close())
	}
	t, err := newTransport(c, udp, tcp)
	if err != nil {
		return nil, errors.Join(err, udp.Close(), tcp.Close())
	}
	return t, nil
}

func newTransport(c Config, udp *net.UDPConn, tcp *net.TCPListener) (*Transport, error) {
	m, err := newMetrics(c.Metrics)
	if err != nil {
		return nil, throng.Errorf(throng.Internal, "register metrics: %w", err)
	}
	public, err := reached(udp.LocalAddr(), c.Public, c.Public.Addr())
	if err != nil {
		return nil, err
	}
	publicTCP, err := reached(tcp.Addr(), c.PublicTCP, public.Addr())
	if err != nil {
		return nil, err
	}
	certificates, err := newCertificates(public.Addr(), time.Now())
	if err != nil {
		return nil, err
	}
	log := c.Logger
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	returning := c.Returning
	if returning == nil {
		returning = func([]byte) bool { return false }
	}
	queue := c.Events
	if queue == nil {
		queue = gameserver.NewEvents()
	}
	t := &Transport{
		log: log, udp: udp, tcp: tcp, public: public, publicTCP: publicTCP,
		certificates: certificates, metrics: m, gate: &gate{}, returning: returning, source: queue.Source(),
		peers: make(map[uint64]*peer), useTime: useTime, used: make(map[[16]byte]*use),
	}
	t.buildQUIC()
	t.buildSocket()
	return t, nil
}

// reached is where a bound socket is reached: as said, else as bound, at host
// when that says nothing.
func reached(bound net.Addr, said netip.AddrPort, host netip.Addr) (netip.AddrPort, error) {
	at, err := netip.ParseAddrPort(bound.String())
	if err != nil {
		return netip.AddrPort{}, throng.Errorf(throng.Internal, "read bound address: %w", err)
	}
	switch {
	case said.IsValid() && said.Port() != 0:
		return said, nil
	case said.IsValid():
		return netip.AddrPortFrom(said.Addr(), at.Port()), nil
	case at.Addr().IsUnspecified():
		return netip.AddrPortFrom(host, at.Port()), nil
	}
	return netip.AddrPortFrom(at.Addr().Unmap(), at.Port()), nil
}

// Address is where browsers connect by QUIC.
func (t *Transport) Address() netip.AddrPort { return t.public }

// WebAddress is where browsers connect, with the certificates of today and
// tomorrow.
func (t *Transport) WebAddress() throng.WebAddress {
	return throng.WebAddress{
		URL:          "https://" + t.public.String() + playPath,
		Certificates: t.certificates.hashes(),
		WebSocket:    "ws://" + t.publicTCP.String() + playPath,
	}
}

// Events is never closed. Every Connected is followed by exactly one
// Disconnected, whoever ended the connection, Run's end included.
func (t *Transport) Events() <-chan gameserver.Event { return t.source.Events() }

// Gather makes events of the messages that came; see gameserver.Source.
func (t *Transport) Gather() { t.source.Gather() }

// Listen begins to take clients whose tokens are sealed with key. A quarter more
// than capacity may be connected, as over UDP. now is the clock that tokens
// expire by. Conflict: it was called before. Unavailable: Run has ended.
func (t *Transport) Listen(key [32]byte, capacity int, now func() time.Time) error {
	if capacity < 1 || capacity > netcode.MaxClients {
		return throng.AtField(throng.Invalid, "capacity", "is %d, 1 to %d are allowed", capacity, netcode.MaxClients)
	}
	if key == [32]byte{} {
		return throng.AtField(throng.Invalid, "key", "must not be zero")
	}
	if now == nil {
		return throng.AtField(throng.Invalid, "now", "is not set")
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.heard || t.ended {
		return throng.Errorf(throng.Conflict, "the transport listens already, or has ended")
	}
	t.heard = true
	t.key, t.registry = key, now
	t.most = capacity + capacity/4 + 1
	t.usedRoom = max(1024, 16*capacity)
	t.gate.open(t.most)
	t.log.Info("taking players from browsers", "address", t.public.String(), "capacity", capacity)
	return nil
}

// Send queues a copy of one payload; it never blocks. A client that reads less
// than it is sent loses the oldest. A payload of no byte or over MaxPayload is
// dropped and counted.
func (t *Transport) Send(c gameserver.ConnID, payload []byte) {
	n, own := t.source.Own(c)
	if !own {
		return
	}
	if len(payload) < 1 || len(payload) > MaxPayload {
		t.metrics.payloadSize.Inc()
		return
	}
	t.mu.Lock()
	p := t.peers[n]
	t.mu.Unlock()
	if p != nil && p.push(payload) {
		t.metrics.slow.Inc()
	}
}

// Disconnect ends a connection when what was sent is, within a second. Its
// Disconnected comes as an event at once. Unknown ones are no error.
func (t *Transport) Disconnect(c gameserver.ConnID) {
	n, own := t.source.Own(c)
	if !own {
		return
	}
	t.mu.Lock()
	p := t.peers[n]
	t.mu.Unlock()
	if p != nil && t.leave(p, t.source.Disconnected) {
		p.farewell()
	}
}

// Run serves until ctx ends, then disconnects every client, tells them and
// closes the sockets. Conflict: it was called before. Internal: a socket broke.
func (t *Transport) Run(ctx context.Context) error {
	t.mu.Lock()
	ran := t.ran
	t.ran = true
	t.mu.Unlock()
	if ran {
		return throng.Errorf(throng.Conflict, "the transport was run before")
	}
	serving := context.WithoutCancel(ctx)
	t.http.BaseContext = func(net.Listener) context.Context { return serving }
	broken := make(chan error, 2)
	go func() { broken <- t.serveQUIC(serving) }()
	go func() { broken <- t.serveSockets() }()
	ticker := time.NewTicker(tickInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return errors.Join(t.shut(serving), <-broken, <-broken)
		case err := <-broken:
			return errors.Join(err, t.shut(serving), <-broken)
		case now := <-ticker.C:
			t.tick(now)
		}
	}
}

// tick ends clients that fell silent, and turns the certificates.
func (t *Transport) tick(now time.Time) {
	turned, err := t.certificates.rotate(now)
	switch {
	case err != nil:
		t.log.Error("certificate not rotated", "err", err)
	case turned:
		t.metrics.rotations.Inc()
	}
	t.mu.Lock()
	var over []*peer
	for _, p := range t.peers {
		if p.stuck(now) {
			over = append(over, p)
		}
	}
	if t.registry != nil && now.Sub(t.swept) >= time.Second {
		t.swept = now
		t.sweep()
	}
	t.mu.Unlock()
	for _, p := range over {
		if t.leave(p, t.source.Lost) {
			t.metrics.timeouts.Inc()
			p.kill()
		}
	}
}

// shut ends every connection and frees the sockets.
func (t *Transport) shut(ctx context.Context) error {
	t.gate.shut()
	t.mu.Lock()
	t.ended, t.registry = true, nil
	listener := t.listener
	peers := make([]*peer, 0, len(t.peers))
	for _, p := range t.peers {
		peers = append(peers, p)
	}
	t.mu.Unlock()
	slices.SortFunc(peers, func(a, b *peer) int { return int(a.n) - int(b.n) })
	for _, p := range peers {
		if t.leave(p, t.source.Disconnected) {
			p.farewell()
		}
	}
	var err error
	if listener != nil {
		err = listener.Close()
	}
	closing, cancel := context.WithTimeout(ctx, farewellTime)
	defer cancel()
	err = errors.Join(err, closed(t.tcp.Close()))
	t.playing.Wait()
	t.sockets.Range(func(s, _ any) bool {
		if s, ok := s.(*socket); ok {
			s.cut()
		}
		return true
	})
	t.handlers.Wait()
	if t.http.Shutdown(closing) != nil {
		err = errors.Join(err, t.http.Close())
	}
	err = errors.Join(err, t.web.Close(), t.quic.Close(), closed(t.udp.Close()))
	if err != nil {
		return throng.Errorf(throng.Internal, "close: %w", err)
	}
	return nil
}

// closed is no error for what was closed already.
func closed(err error) error {
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}
