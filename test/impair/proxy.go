package impair

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

// Config is a Proxy's.
type Config struct {
	Server netip.AddrPort // where datagrams of clients go
	Up     Way            // to the server
	Down   Way            // to clients
	Seed   uint64
	Flows  int // clients at most; default 1,024
	Queue  int // datagrams on their way at most; default 16,384
}

// Counts says what a Proxy has done. Of datagrams: how many came in, were lost,
// held back, sent twice, and sent; Dropped are those for which there was no room, or
// while the network was cut.
type Counts struct{ In, Lost, Held, Twice, Sent, Dropped int }

// Proxy is the network before one server.
type Proxy struct {
	cfg    Config
	front  *net.UDPConn
	came   chan arrival
	orders chan func()
	cut    atomic.Bool
	over   chan struct{} // closed at Run's end

	// Owned by Run.
	flows   map[netip.AddrPort]*flow // by client
	road    road
	readers sync.WaitGroup

	mu     sync.Mutex
	counts Counts
}

// flow is one client's traffic.
type flow struct {
	client   netip.AddrPort
	back     *net.UDPConn // to the server
	up, down fate
}

// arrival is a datagram that came in.
type arrival struct {
	from netip.AddrPort // of clients
	flow *flow          // of the server, which answers at
	back *net.UDPConn
	data []byte
	at   time.Time
}

const (
	biggest = 64 << 10
	waiting = 1024 // arrivals that are not looked at yet
)

// New binds the address that clients send to. Run must be called to free it.
func New(cfg Config) (*Proxy, error) {
	if cfg.Flows == 0 {
		cfg.Flows = 1024
	}
	if cfg.Queue == 0 {
		cfg.Queue = 16 << 10
	}
	front, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		return nil, err
	}
	return &Proxy{
		cfg: cfg, front: front, came: make(chan arrival, waiting), orders: make(chan func()),
		over: make(chan struct{}), flows: map[netip.AddrPort]*flow{},
	}, nil
}

// Address is where clients send to.
func (p *Proxy) Address() netip.AddrPort {
	return netip.MustParseAddrPort(p.front.LocalAddr().String())
}

// Cut lets nothing in any more, until it is mended. What is on its way arrives.
func (p *Proxy) Cut(isCut bool) { p.cut.Store(isCut) }

// Counts says what was done up to now.
func (p *Proxy) Counts() Counts {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.counts
}

// Move lets all clients come out at other ports. What comes to the old ones is lost.
// It returns when that is done, or Run has ended.
func (p *Proxy) Move() error {
	done := make(chan error, 1)
	select {
	case p.orders <- func() { done <- p.move() }:
		return <-done
	case <-p.over:
		return net.ErrClosed
	}
}

// Run carries datagrams until ctx ends. It is called once.
func (p *Proxy) Run(ctx context.Context) error {
	defer p.readers.Wait()
	defer close(p.over)
	defer func() {
		_ = p.front.Close()
		for _, f := range p.flows {
			_ = f.back.Close()
		}
	}()
	p.readers.Go(p.readFront)
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case order := <-p.orders:
			order()
		case a := <-p.came:
			p.take(a)
		case <-timer.C:
		}
		p.deliver(time.Now())
		if at, ok := p.road.next(); ok {
			timer.Reset(time.Until(at))
		}
	}
}

func (p *Proxy) readFront() {
	for b := make([]byte, biggest); ; {
		n, from, err := p.front.ReadFromUDPAddrPort(b)
		switch {
		case errors.Is(err, net.ErrClosed):
			return
		case err == nil:
			p.hand(arrival{from: netip.AddrPortFrom(from.Addr().Unmap(), from.Port()), data: append([]byte(nil), b[:n]...)})
		}
	}
}

func (p *Proxy) readBack(f *flow, back *net.UDPConn) {
	for b := make([]byte, biggest); ; {
		n, err := back.Read(b)
		switch {
		case errors.Is(err, net.ErrClosed):
			return
		case err == nil:
			p.hand(arrival{flow: f, back: back, data: append([]byte(nil), b[:n]...)})
		}
	}
}

// hand gives an arrival to Run, if it keeps up.
func (p *Proxy) hand(a arrival) {
	a.at = time.Now()
	select {
	case p.came <- a:
	default:
		p.count(func(c *Counts) { c.In, c.Dropped = c.In+1, c.Dropped+1 })
	}
}

func (p *Proxy) count(f func(*Counts)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	f(&p.counts)
}

// take decides about an arrival.
func (p *Proxy) take(a arrival) {
	f, up := a.flow, a.flow == nil
	if up {
		f = p.flowOf(a.from)
	}
	if p.cut.Load() || f == nil || !up && a.back != f.back || len(p.road.parcels)+2 > p.cfg.Queue {
		p.count(func(c *Counts) { c.In, c.Dropped = c.In+1, c.Dropped+1 })
		return
	}
	rule := &f.down
	if up {
		rule = &f.up
	}
	v := rule.next(a.at)
	p.count(func(c *Counts) {
		c.In++
		c.Lost += one(v.lost)
		c.Held += one(v.held)
		c.Twice += one(v.twice)
	})
	if !v.lost {
		p.road.put(parcel{at: v.at, flow: f, up: up, data: a.data})
	}
	if v.twice {
		p.road.put(parcel{at: v.again, flow: f, up: up, data: a.data})
	}
}

// one is 1 for what holds.
func one[B ~bool](holds B) int {
	if holds {
		return 1
	}
	return 0
}

// flowOf is a client's flow, a new one for a new client; nil: there is no room.
func (p *Proxy) flowOf(client netip.AddrPort) *flow {
	if f := p.flows[client]; f != nil || len(p.flows) >= p.cfg.Flows {
		return f
	}
	n := uint64(len(p.flows))
	f := &flow{client: client, up: newFate(p.cfg.Up, p.cfg.Seed, 2*n), down: newFate(p.cfg.Down, p.cfg.Seed, 2*n+1)}
	if p.connect(f) != nil {
		return nil
	}
	p.flows[client] = f
	return f
}

// connect gives a flow a new port.
func (p *Proxy) connect(f *flow) error {
	back, err := net.DialUDP("udp4", nil, net.UDPAddrFromAddrPort(p.cfg.Server))
	if err != nil {
		return err
	}
	if f.back != nil {
		_ = f.back.Close()
	}
	f.back = back
	p.readers.Go(func() { p.readBack(f, back) })
	return nil
}

func (p *Proxy) move() error {
	for _, f := range p.flows {
		if err := p.connect(f); err != nil {
			return err
		}
	}
	return nil
}

// deliver sends what has arrived by now.
func (p *Proxy) deliver(now time.Time) {
	for {
		d, ok := p.road.take(now)
		if !ok {
			return
		}
		if d.up {
			_, _ = d.flow.back.Write(d.data) // what cannot be sent is lost
		} else {
			_, _ = p.front.WriteToUDPAddrPort(d.data, d.flow.client)
		}
		p.count(func(c *Counts) { c.Sent++ })
	}
}
