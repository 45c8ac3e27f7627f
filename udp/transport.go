package udp

import (
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/gameserver"
	"github.com/throng-gg/throng/wire/netcode"
)

const (
	// tickInterval is half of the silence that clients may notice.
	tickInterval = 50 * time.Millisecond
	// socketBuffer rides out 30 ms of a full gigabit; the kernel may give less.
	socketBuffer = 4 << 20
	// readSize is more than any netcode datagram, so that longer ones show.
	readSize = netcode.CarriedSize + netcode.MaxDatagram + 1
	// readFailures in a row mean that the socket is beyond hope.
	readFailures = 1000
	// readPause is between two looks at a busy socket whose players are simulated by
	// steps: each wake of a thread costs more than a datagram, and takes the processor
	// from a step. What came meanwhile is read when the step begins.
	readPause = 5 * time.Millisecond
	// gatherMost batches are read at a step's beginning: more wait for the reader.
	gatherMost = 8
)

// Config is what a Transport needs to know.
type Config struct {
	// Listen is the address to bind. Port 0 takes a free one.
	Listen netip.AddrPort
	// Public is where clients connect, when that is not what is bound. Port 0
	// means the bound port. Needed when Listen is an unspecified address.
	Public netip.AddrPort
	// Events is the queue to tell of what happens; nil: one of its own.
	Events *gameserver.Events
	// Logger: nil logs nothing.
	Logger *slog.Logger
	// Metrics: nil registers none.
	Metrics prometheus.Registerer
}

// Transport is a game server's UDP socket. It implements gameserver.Transport.
type Transport struct {
	log     *slog.Logger
	socket  *socket
	public  netip.AddrPort
	metrics *metrics

	mu       sync.Mutex // guards what follows
	events   *events
	server   *netcode.Server  // nil before Listen and after Run
	registry func() time.Time // of Listen
	ran      bool             // Run was called
	quiet    bool             // Gather was called
	took     time.Time        // when datagrams were read last
}

var (
	_ gameserver.Transport = (*Transport)(nil)
	_ gameserver.Batch     = (*Transport)(nil)
	_ gameserver.Quiet     = (*Transport)(nil)
)

// New binds the socket. Run must be called to free it. Invalid: the addresses
// make no sense. Unavailable: the address can't be bound.
func New(c Config) (*Transport, error) {
	if !c.Listen.IsValid() {
		return nil, throng.AtField(throng.Invalid, "listen", "is not set")
	}
	if !c.Public.IsValid() && c.Listen.Addr().IsUnspecified() {
		return nil, throng.AtField(throng.Invalid, "public", "must be set, since no client can connect to %s", c.Listen)
	}
	socket, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(c.Listen))
	if err != nil {
		return nil, throng.Errorf(throng.Unavailable, "bind %s: %w", c.Listen, err)
	}
	t, err := newTransport(c, socket)
	if err != nil {
		return nil, errors.Join(err, socket.Close())
	}
	return t, nil
}

func newTransport(c Config, socket *net.UDPConn) (*Transport, error) {
	if err := errors.Join(socket.SetReadBuffer(socketBuffer), socket.SetWriteBuffer(socketBuffer)); err != nil {
		return nil, throng.Errorf(throng.Internal, "size socket buffers: %w", err)
	}
	m, err := newMetrics(c.Metrics)
	if err != nil {
		return nil, throng.Errorf(throng.Internal, "register metrics: %w", err)
	}
	bound, err := netip.ParseAddrPort(socket.LocalAddr().String())
	if err != nil {
		return nil, throng.Errorf(throng.Internal, "read bound address: %w", err)
	}
	public := c.Public
	switch {
	case !public.IsValid():
		public = netip.AddrPortFrom(bound.Addr().Unmap(), bound.Port())
	case public.Port() == 0:
		public = netip.AddrPortFrom(public.Addr(), bound.Port())
	}
	log := c.Logger
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	queue := c.Events
	if queue == nil {
		queue = gameserver.NewEvents()
	}
	own, err := newSocket(socket)
	if err != nil {
		return nil, throng.Errorf(throng.Internal, "take over the socket: %w", err)
	}
	return &Transport{
		log: log, socket: own, public: public, metrics: m,
		events: &events{Source: queue.Source(), out: newOutbox(own, m), metrics: m},
	}, nil
}

// Address is where clients connect.
func (t *Transport) Address() netip.AddrPort { return t.public }

// Events is never closed. Every Connected is followed by exactly one
// Disconnected, whoever ended the connection, Run's end included.
func (t *Transport) Events() <-chan gameserver.Event { return t.events.Events() }

// Gather makes events of the messages that came; see gameserver.Source. From the
// first call on datagrams are looked for every readPause, and here.
func (t *Transport) Gather() {
	t.mu.Lock()
	t.quiet = true
	t.mu.Unlock()
	for range gatherMost {
		if n, _, _ := t.take(); n < batchSize { // Run hears of errors
			break
		}
	}
	t.events.Gather()
}

// Listen begins to take clients whose tokens are sealed with key and name
// Address. Twice the capacity and one may be connected, so that all players can
// come back at once while their lost connections are still held for alive, and
// who finds the session full can be told so by the game. now is the clock that tokens expire by; it is
// asked under a lock, 20 times a second. Conflict: it was called before.
// Unavailable: Run has ended.
func (t *Transport) Listen(key [32]byte, capacity int, now func() time.Time) error {
	if capacity < 1 || capacity > netcode.MaxClients {
		return throng.AtField(throng.Invalid, "capacity", "is %d, 1 to %d are allowed", capacity, netcode.MaxClients)
	}
	if now == nil {
		return throng.AtField(throng.Invalid, "now", "is not set")
	}
	config := netcode.ServerConfig{
		Key: key, Public: []netip.AddrPort{t.public}, Capacity: min(2*capacity+1, netcode.MaxClients),
	}
	if _, err := rand.Read(config.Entropy[:]); err != nil {
		return throng.Errorf(throng.Internal, "make challenge key: %w", err)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.registry != nil {
		return throng.Errorf(throng.Conflict, "the transport listens already, or has ended")
	}
	server, err := netcode.NewServer(config, t.events)
	if err != nil {
		return err
	}
	t.server, t.registry = server, now
	t.setOffset(time.Now())
	t.log.Info("taking players", "address", t.public.String(), "capacity", capacity)
	return nil
}

// setOffset compares wall clocks: tokens expire by the registry's.
func (t *Transport) setOffset(now time.Time) {
	t.server.SetOffset(t.registry().Round(0).Sub(now.Round(0)))
}

// Send seals and writes one payload at once. It may be called by anyone. A
// payload of no byte or over netcode.MaxPayload is dropped and counted.
func (t *Transport) Send(c gameserver.ConnID, payload []byte) {
	id, own := t.events.Own(c)
	if !own {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.server == nil {
		return
	}
	if t.server.Send(time.Now(), netcode.ConnID(id), payload) != nil {
		t.metrics.payloadSize.Inc()
	}
}

// Hold lets datagrams wait until Release, or until many do: one call of the
// kernel for 64 of them takes a quarter less time than one for each.
func (t *Transport) Hold() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.events.out.hold()
}

// Release sends what waits.
func (t *Transport) Release() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.events.out.release()
}

// Disconnect ends a connection and tells the client. It may be called by
// anyone; its Disconnected comes as an event. Unknown ones are no error.
func (t *Transport) Disconnect(c gameserver.ConnID) {
	id, own := t.events.Own(c)
	if !own {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.server != nil {
		t.server.Disconnect(time.Now(), netcode.ConnID(id))
	}
}

// Run reads and keeps time until ctx ends, then disconnects every client, tells
// them and closes the socket. Conflict: it was called before. Internal: the
// socket broke.
func (t *Transport) Run(ctx context.Context) error {
	t.mu.Lock()
	ran := t.ran
	t.ran = true
	t.mu.Unlock()
	if ran {
		return throng.Errorf(throng.Conflict, "the transport was run before")
	}
	broken := make(chan error, 1)
	go func() { broken <- t.read() }()
	ticker := time.NewTicker(tickInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return errors.Join(t.shut(), <-broken)
		case err := <-broken:
			return errors.Join(err, t.shut())
		case <-ticker.C:
			t.tick()
		}
	}
}

func (t *Transport) tick() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.server != nil {
		now := time.Now()
		t.setOffset(now)
		t.server.Tick(now)
	}
}

// shut ends every connection and the reader.
func (t *Transport) shut() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.server != nil {
		t.server.DisconnectAll(time.Now())
	}
	t.server, t.registry = nil, time.Now // Listen is refused from now on
	if err := t.socket.close(); err != nil && !errors.Is(err, net.ErrClosed) {
		return throng.Errorf(throng.Internal, "close socket: %w", err)
	}
	return nil
}

// read takes datagrams until the socket is closed.
func (t *Transport) read() error {
	failures, timer := 0, time.NewTimer(readPause)
	defer timer.Stop()
	for failures < readFailures {
		n, pause, err := t.take()
		switch {
		case errors.Is(err, net.ErrClosed):
			return nil
		case err != nil:
			failures++
			continue
		}
		failures = 0
		switch {
		case n == 0:
			_ = t.socket.wait() // take says what is wrong
		case pause:
			timer.Reset(readPause)
			<-timer.C
		}
	}
	return throng.Errorf(throng.Internal, "%d reads from %s failed in a row", readFailures, t.public)
}

// take handles the datagrams that are there, up to batchSize, and says whether the
// next ones can wait.
func (t *Transport) take() (n int, pause bool, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	n, err = t.socket.read()
	if n == 0 || err != nil {
		return 0, false, err
	}
	now, size, answered := time.Now(), 0, t.events.out.count
	for i := range n {
		datagram, from := t.socket.at(i)
		size += len(datagram)
		t.receive(now, from, datagram)
	}
	t.metrics.datagramsIn.Add(float64(n))
	t.metrics.bytesIn.Add(float64(size))
	// Who was answered is coming in, and has more to say.
	busy := now.Sub(t.took) < 2*readPause && n < batchSize && answered == t.events.out.count
	t.took = now
	return n, t.quiet && busy, nil
}

// receive handles one datagram; called under mu.
func (t *Transport) receive(now time.Time, from netip.AddrPort, datagram []byte) {
	if t.server == nil {
		t.metrics.unlistening.Inc()
		return
	}
	receive := t.server.Receive
	if netcode.IsCarried(datagram) {
		receive = t.server.ReceiveCarried
	}
	if drop := receive(now, from, datagram); drop != netcode.DropNone {
		t.metrics.ignored[drop].Inc()
	}
}
