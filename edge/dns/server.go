package dns

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/miekg/dns"
	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"github.com/throng-gg/throng"
)

// Config is what a Server needs to know.
type Config struct {
	// Listen is the address to bind, by UDP and TCP. Port 0 takes a free one.
	Listen netip.AddrPort
	// Name is what is answered for, like play.example.com.
	Name string
	// NS are the names of the servers that answer for it, the first one for SOA; one
	// at least, and none of them is Name or below it.
	NS []string
	// Mailbox is SOA's, as a name; hostmaster.<Name>.
	Mailbox string
	// Table is the first; SetTable changes it.
	Table *Table
	// PerNetwork is how many queries a second are answered to a /24 of IPv4 or a /56 of
	// IPv6 whose senders have not proven where they are, and at once; 200. Networks are
	// counted in 16,384 lines, which some share.
	PerNetwork int
	// PerProven is the same of those who have; 5,000.
	PerProven int
	// Connections is how many there are by TCP at most, and an eighth of them from one
	// network; 1,024. What comes on top is closed at once.
	Connections int
	// Poll is how often regions are asked whether they are ready; 5 s. PollWait is how
	// long an answer may take; 2 s.
	Poll, PollWait time.Duration
	// DownAfter bad answers in a row a region is down, UpAfter good ones it is up; 3, 2.
	DownAfter, UpAfter int
	// HTTP is how regions are asked; nil: a client that follows no redirects.
	HTTP *http.Client
	// Logger: nil is silent.
	Logger *slog.Logger
	// Metrics: nil registers none.
	Metrics prometheus.Registerer
}

// withDefaults fills in what is zero.
func (c Config) withDefaults() Config {
	set := func(at *int, value int) {
		if *at == 0 {
			*at = value
		}
	}
	set(&c.PerNetwork, 200)
	set(&c.PerProven, 5000)
	set(&c.Connections, 1024)
	set(&c.DownAfter, 3)
	set(&c.UpAfter, 2)
	if c.Poll == 0 {
		c.Poll = 5 * time.Second
	}
	if c.PollWait == 0 {
		c.PollWait = 2 * time.Second
	}
	if c.Mailbox == "" {
		c.Mailbox = "hostmaster." + c.Name
	}
	if c.HTTP == nil {
		c.HTTP = &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c
}

// validate checks a config with its defaults.
func (c Config) validate() error {
	for _, p := range []struct {
		field string
		value int
	}{
		{"per_network", c.PerNetwork},
		{"per_proven", c.PerProven},
		{"connections", c.Connections},
		{"down_after", c.DownAfter},
		{"up_after", c.UpAfter},
		{"poll", int(c.Poll)},
		{"poll_wait", int(c.PollWait)},
	} {
		if p.value < 1 {
			return throng.AtField(throng.Invalid, p.field, "must be more than 0")
		}
	}
	switch {
	case !c.Listen.IsValid():
		return throng.AtField(throng.Invalid, "listen", "is not set")
	case c.Table == nil:
		return throng.AtField(throng.Invalid, "table", "is not set")
	case len(c.NS) == 0 || len(c.NS) > 13:
		return throng.AtField(throng.Invalid, "ns", "has %d names, 1 to 13 are allowed", len(c.NS))
	}
	return nil
}

// zone makes the zone of a config.
func (c Config) zone(now time.Time) (zone, error) {
	z := zone{serial: uint32(now.Unix())} //nolint:gosec // serial arithmetic, as the standard wants
	var err error
	if z.name, err = nameOf("name", c.Name); err != nil {
		return z, err
	}
	if z.mailbox, err = nameOf("mailbox", c.Mailbox); err != nil {
		return z, err
	}
	for _, s := range c.NS {
		ns, err := nameOf("ns", s)
		if err != nil {
			return z, err
		}
		if dns.IsSubDomain(z.name, ns) {
			return z, throng.AtField(throng.Invalid, "ns", "%q is below the name that it answers for; take one of another zone, which has its address", s)
		}
		z.ns = append(z.ns, ns)
	}
	return z, nil
}

func nameOf(field, s string) (string, error) {
	name := strings.ToLower(dns.Fqdn(s))
	if labels, ok := dns.IsDomainName(name); !ok || labels == 0 || strings.ContainsAny(name, "\\ \t\n\"") {
		return "", throng.AtField(throng.Invalid, field, "%q is no name like play.example.com", s)
	}
	return name, nil
}

// Server answers queries.
type Server struct {
	config  Config
	zone    zone
	cookies cookies
	udp     *net.UDPConn
	tcp     *net.TCPListener
	metrics *metrics

	unproven, proven *limits

	mu     sync.Mutex // guards what is below, and view's being replaced
	health map[place]health
	open   map[netip.Prefix]int // connections by network
	conns  int                  // all of them

	view atomic.Pointer[view]
}

// New binds the sockets. Run must be called to free them. Invalid: the config
// makes no sense. Unavailable: the address can't be bound.
func New(ctx context.Context, c Config) (*Server, error) {
	c = c.withDefaults()
	if err := c.validate(); err != nil {
		return nil, err
	}
	z, err := c.zone(time.Now())
	if err != nil {
		return nil, err
	}
	s := &Server{
		config: c, zone: z, cookies: newCookies(),
		unproven: newLimits(c.PerNetwork), proven: newLimits(c.PerProven),
		health: map[place]health{}, open: map[netip.Prefix]int{},
	}
	if s.metrics, err = newMetrics(c.Metrics); err != nil {
		return nil, err
	}
	if s.udp, s.tcp, err = bind(ctx, c.Listen); err != nil {
		return nil, throng.Errorf(throng.Unavailable, "bind %s: %w", c.Listen, err)
	}
	s.SetTable(c.Table)
	return s, nil
}

// bind takes the same port for both. A free one of UDP may be taken of TCP, so
// several are tried.
func bind(ctx context.Context, at netip.AddrPort) (*net.UDPConn, *net.TCPListener, error) {
	var failed error
	for range 10 {
		udp, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(at))
		if err != nil {
			return nil, nil, err
		}
		same := netip.AddrPortFrom(at.Addr(), udp.LocalAddr().(*net.UDPAddr).AddrPort().Port()) //nolint:forcetypeassert // it is one
		tcp, err := (&net.ListenConfig{}).Listen(ctx, "tcp", same.String())
		if err == nil {
			return udp, tcp.(*net.TCPListener), nil //nolint:forcetypeassert // it is one
		}
		failed = errors.Join(err, udp.Close())
		if at.Port() != 0 {
			break
		}
	}
	return nil, nil, failed
}

// Address is where it listens.
func (s *Server) Address() netip.AddrPort {
	a, _ := netip.ParseAddrPort(s.tcp.Addr().String())
	return netip.AddrPortFrom(plain(a.Addr()), a.Port())
}

// readers is how many goroutines answer by UDP.
const readers = 4

// Run answers until ctx ends. Internal: a socket broke.
func (s *Server) Run(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	defer context.AfterFunc(ctx, func() { _, _ = s.udp.Close(), s.tcp.Close() })()
	for range readers {
		group.Go(s.datagrams)
	}
	group.Go(func() error { return s.accept(ctx) })
	group.Go(func() error { return s.poll(ctx) })
	return group.Wait()
}

// failures in a row mean that a socket is beyond hope.
const failures = 1000

func (s *Server) datagrams() error {
	in, out := make([]byte, maxQuery+1), make([]byte, maxAnswer)
	for failed := 0; failed < failures; {
		n, from, err := s.udp.ReadFromUDPAddrPort(in)
		switch {
		case errors.Is(err, net.ErrClosed):
			return nil
		case err != nil:
			failed++
			continue
		}
		failed = 0
		if reply := s.answer(in[:n], plain(from.Addr()), byUDP, time.Now(), out); reply != nil {
			_, _ = s.udp.WriteToUDPAddrPort(reply, from) // what is lost is asked again
		}
	}
	return throng.Errorf(throng.Internal, "%d reads from %s failed in a row", failures, s.Address())
}

// answer returns the answer to a message, which may be in buffer; nil: none.
func (s *Server) answer(b []byte, from netip.Addr, by transport, now time.Time, buffer []byte) []byte {
	reply, verdict := s.judge(b, from, by, now, buffer)
	s.metrics.queries[by][verdict].Inc()
	return reply
}

func (s *Server) judge(b []byte, from netip.Addr, by transport, now time.Time, buffer []byte) ([]byte, Verdict) {
	q, verdict := parse(b, from, by, s.cookies, now)
	if verdict == Ignored {
		return nil, verdict
	}
	limits := s.unproven
	if q.proven {
		limits = s.proven
	}
	if ok, slips := limits.take(from, now); !ok {
		if slips && verdict == Answered && by == byUDP {
			return q.truncation(buffer), Limited
		}
		return nil, Limited
	}
	if verdict != Answered {
		if reply := q.pack(q.refuse(verdict), buffer); reply != nil {
			return reply, verdict
		}
		return nil, Ignored
	}
	v := s.view.Load()
	m, verdict, region := s.zone.decide(q, v)
	reply, verdict := q.fit(m, verdict, s.cookies, now, buffer)
	if verdict == Answered && region >= 0 {
		s.metrics.answers.WithLabelValues(v.table.regions[region].ID).Inc()
	}
	return reply, verdict
}
