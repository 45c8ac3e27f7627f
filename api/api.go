package api

import (
	"context"
	"log/slog"
	"net/http"
	"net/netip"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/api/gen"
	"github.com/throng-gg/throng/edge/shed"
)

// Region is what players are told of a region.
type Region struct {
	ID      throng.RegionID
	Name    string   // for people
	URL     string   // of its door as players reach it; empty: it is not said
	Beacons []string // URLs, to measure the latency to; see package probe
	State   string   // "open" when empty, or "draining"
}

// NodeHandler takes the control connections of machines that run game servers.
type NodeHandler interface {
	// ServeNode serves one WebSocket handshake of a node whose token was
	// checked, until the connection ends; it ends it when the request's context
	// does.
	ServeNode(w http.ResponseWriter, r *http.Request, node throng.NodeID)
}

// Config is what a door needs.
type Config struct {
	Region  throng.RegionID
	Regions func() []Region // all of the deployment; nil: Region alone

	Auth Authenticator
	// MachineCertificates asks callers that are no accounts for a client
	// certificate, which the HTTP server has verified.
	MachineCertificates bool
	Claims              Claims    // nil: Unsupported
	DevTokens           DevTokens // serves POST /v1/dev/token; nil: NotFound
	// DevTokenTime is how long dev tokens are good; 24 hours.
	DevTokenTime time.Duration

	Matchmaker Matchmaker
	Tickets    Tickets
	Registry   Registry
	Handoffs   Handoffs // nil: Unsupported
	Origins    Origins  // nil: Unsupported
	Directory  Directory
	Places     Places
	Releases   Releases
	Owners     Owners
	// Unowned lets creators take places that nobody owns.
	Unowned bool
	APIKeys KeyBook // nil: Unsupported
	Fleet   Fleet
	// Fleets is what operators see of game servers; nil: nothing.
	Fleets     Fleets
	JoinTokens JoinTokens
	// Gateways are what players connect to in place of game servers, whose own
	// addresses, and WebTransport, they are not told; none: to these.
	Gateways   []netip.AddrPort
	Codes      Codes
	Parties    Parties
	Companions Companions
	Friends    Friends
	Privacy    Privacy
	// AllowRawParties lets a caller bring along anybody whom he names, as bots do.
	AllowRawParties bool
	Nodes           NodeHandler // nil: Unsupported
	Logs            Logs        // nil: Unsupported
	Joins           Joins       // nil: joins are not recorded
	Replicas        Replicas    // nil: Unsupported
	Summaries       Summaries   // nil: Unsupported
	// Whereabouts is where players are, in all regions. Nil: what Directory says.
	Whereabouts Whereabouts
	// Elsewhere is the other regions, to which tickets are sent; it goes with
	// Summaries. Nil: there are none.
	Elsewhere Elsewhere
	// URL of this door as players of other regions reach it, who are told of no
	// WebSockets here else.
	URL string
	// Profiles, with Saves and Seats, and Ledger keep what players own; nil:
	// Unsupported.
	Profiles Profiles
	Saves    Saves
	Seats    Seats
	Ledger   Ledger
	Home     Home    // where that is written; nil: here, and nowhere else
	Auditor  Auditor // nil: Unsupported
	Numbers  Numbers // nil: Unsupported
	Bans     Bans    // nil: nobody is banned
	// Doors are the URLs of all doors of the region, which game servers are told
	// on their control connections; changed is closed when they are others, nil:
	// never. Nil: they are not told.
	Doors func() (doors []string, changed <-chan struct{})

	Page     http.Handler        // the players' page, served at / and /assets/; nil: NotFound
	Gatherer prometheus.Gatherer // of GET /metrics; nil: NotFound
	Ready    func() error        // of GET /readyz, quick; nil: always ready

	// Late counts how often goroutines waited to run, and how often too long, which
	// is overload; nil: that is not looked at. See shed.Goroutines.
	Late func() (waits, late uint64)

	Limits  Limits
	Logger  *slog.Logger
	Metrics prometheus.Registerer // nil: not registered
}

func (c Config) check() error {
	missing := func(field string) error { return throng.AtField(throng.Invalid, field, "is missing") }
	switch {
	case c.Region == "":
		return missing("Region")
	case c.Auth == nil:
		return missing("Auth")
	case c.Matchmaker == nil:
		return missing("Matchmaker")
	case c.Tickets == nil:
		return missing("Tickets")
	case c.Registry == nil:
		return missing("Registry")
	case c.Directory == nil:
		return missing("Directory")
	case c.Places == nil:
		return missing("Places")
	case c.Releases == nil:
		return missing("Releases")
	case c.Owners == nil:
		return missing("Owners")
	case c.Fleet == nil:
		return missing("Fleet")
	case c.JoinTokens == nil:
		return missing("JoinTokens")
	case c.Codes == nil:
		return missing("Codes")
	case c.Parties == nil:
		return missing("Parties")
	case c.Companions == nil:
		return missing("Companions")
	case c.Friends == nil:
		return missing("Friends")
	case c.Privacy == nil:
		return missing("Privacy")
	case c.Logger == nil:
		return missing("Logger")
	case c.Elsewhere != nil && c.Summaries == nil:
		return missing("Summaries")
	}
	return nil
}

// API is a region's door.
type API struct {
	cfg     Config
	log     *slog.Logger
	limits  Limits
	metrics *metrics
	mux     *http.ServeMux
	census  *census
	homes   *homes
	sent    *sent

	buckets  *buckets
	shed     *shed.Shedder
	accounts *gate
	machines *gate
	polls    *gate
	controls *gate
	replicas *gate
	sockets  *sockets
	open     *lifetimes    // long polls and control connections
	auditing chan struct{} // one; full: refused

	pingEvery time.Duration // on control connections
	bodyTime  time.Duration // for a body to arrive, uploads aside
}

// New makes a door; it answers at once, see Handler. Invalid: something that
// it needs is missing.
func New(cfg Config) (*API, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	if cfg.Regions == nil {
		cfg.Regions = func() []Region { return []Region{{ID: cfg.Region, Name: string(cfg.Region)}} }
	}
	if cfg.DevTokenTime <= 0 {
		cfg.DevTokenTime = 24 * time.Hour
	}
	limits := cfg.Limits.withDefaults()
	a := &API{
		cfg:       cfg,
		log:       cfg.Logger.With("part", "api"),
		limits:    limits,
		mux:       http.NewServeMux(),
		census:    &census{directory: cfg.Directory},
		homes:     newHomes(cfg.Directory),
		sent:      newSent(),
		buckets:   newBuckets(limits.Callers),
		accounts:  newGate(limits.Accounts),
		machines:  newGate(limits.Machines),
		polls:     newGate(limits.LongPolls),
		controls:  newGate(limits.Controls),
		replicas:  newGate(maxReplicaCalls),
		sockets:   newSockets(limits.Sockets),
		open:      newLifetimes(),
		auditing:  make(chan struct{}, 1),
		pingEvery: 5 * time.Second,
		bodyTime:  10 * time.Second,
	}
	var err error
	if a.metrics, err = newMetrics(cfg.Metrics, a.controls, a.sockets.gate); err != nil {
		return nil, err
	}
	if a.shed, err = shed.New(shed.Config{Late: cfg.Late, Metrics: cfg.Metrics}); err != nil {
		return nil, err
	}
	return a, a.mount()
}

// mount connects every route of the document with its handler.
func (a *API) mount() error {
	r := &router{api: a, routes: routes(), worths: worths()}
	strict := gen.NewStrictHandlerWithOptions(calls{a}, nil, gen.StrictHTTPServerOptions{
		RequestErrorHandlerFunc: func(w http.ResponseWriter, r *http.Request, err error) {
			a.fail(w, r, decodeError(err))
		},
		ResponseErrorHandlerFunc: a.fail,
	})
	gen.HandlerWithOptions(strict, gen.StdHTTPServerOptions{
		BaseRouter:       r,
		ErrorHandlerFunc: a.failParameter,
	})
	r.HandleFunc("GET /v1/servers/{id}/control", a.serverControl)
	r.HandleFunc("GET /v1/nodes/{id}/control", a.nodeControl)
	r.HandleFunc("GET /v1/sessions/{id}/socket", a.sessionSocket)
	a.mountService(r)
	if a.cfg.Page != nil {
		a.mux.Handle("GET /{$}", a.cfg.Page)
		a.mux.Handle("GET /assets/", a.cfg.Page)
	}
	a.mux.HandleFunc("/", a.noRoute)
	return r.err
}

// Handler serves the door. It works without Run, but only Run ends what is
// open.
func (a *API) Handler() http.Handler { return http.HandlerFunc(a.serve) }

// Server returns an HTTP server for the door, bounded where the handler can't
// be: headers of up to 16 KiB within 5 s, idle connections for 2 min.
func (a *API) Server() *http.Server {
	return &http.Server{
		Handler:           a.Handler(),
		ReadHeaderTimeout: 5 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    16 << 10,
		ErrorLog:          slog.NewLogLogger(a.log.Handler(), slog.LevelDebug),
	}
}

// Run blocks until ctx ends, then ends long polls (Unavailable, to be repeated)
// and control connections (1001), waits for them and returns nil. Shut the HTTP
// server down after that. Without Run nothing is overload.
func (a *API) Run(ctx context.Context) error {
	a.shed.Run(ctx)
	a.open.close()
	return nil
}
