package replica

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/throng-gg/throng"
)

const (
	announceEvery = time.Second
	announceTime  = 900 * time.Millisecond // for the store to answer
	farewellTime  = time.Second            // for taking ourselves out, and for the last news
)

// Lease is how long a replica is believed alive after it was last heard of by
// the store.
const Lease = 5 * time.Second

// Config is what Replicas needs.
type Config struct {
	Self  throng.Replica // required
	Store Store          // required
	// Dial makes the way to another replica; it connects when it is used.
	// Required.
	Dial func(throng.Replica) (Peer, error)

	Logger  *slog.Logger          // nil: says nothing
	Metrics prometheus.Registerer // nil: not registered
}

// Replicas knows the other control-plane processes of the region. It is
// fleet.Peers and joinlog.Peers.
type Replicas struct {
	cfg     Config
	metrics *metrics

	mu    sync.Mutex
	peers map[throng.ReplicaID]*peer // guarded by mu
	known bool                       // guarded by mu; the store answered once
	// changed is closed, and made anew, when peers changed. Guarded by mu.
	changed chan struct{}
}

// New makes Replicas that knows nobody until Run. Invalid: something that is
// required is missing.
func New(c Config) (*Replicas, error) {
	if c.Self.ID == "" || c.Self.URL == "" || c.Store == nil || c.Dial == nil {
		return nil, throng.Errorf(throng.Invalid, "replicas need a name and a URL, a store and a way to dial")
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	m, err := newMetrics(c.Metrics)
	if err != nil {
		return nil, err
	}
	return &Replicas{cfg: c, metrics: m, peers: map[throng.ReplicaID]*peer{}, changed: make(chan struct{})}, nil
}

// Run announces this replica and sends news to the others until ctx ends; then
// it takes itself out. While the store is away, those live who did before.
func (r *Replicas) Run(ctx context.Context) error {
	// Peers outlive ctx for as long as the last news take.
	sending, cancel := context.WithCancel(context.WithoutCancel(ctx))
	var all sync.WaitGroup
	defer all.Wait()
	defer cancel()
	tick := time.NewTicker(announceEvery)
	defer tick.Stop()
	said := ""
	for {
		if err := r.announce(ctx, func(p *peer) { all.Go(func() { p.run(sending) }) }); err != nil && ctx.Err() == nil {
			if text := err.Error(); text != said { // one line a cause
				r.cfg.Logger.WarnContext(ctx, "replicas not known anew", "err", err)
				said = text
			}
		} else {
			said = ""
		}
		select {
		case <-ctx.Done():
			return r.farewell(sending)
		case <-tick.C:
		}
	}
}

func (r *Replicas) farewell(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, farewellTime)
	defer cancel()
	if _, err := r.cfg.Store.Announce(ctx, r.cfg.Self, 0); err != nil {
		r.cfg.Logger.WarnContext(ctx, "replica not taken out, its lease does it", "err", err)
	}
	for _, p := range r.living() {
		p.flush(ctx)
	}
	return nil
}

// announce says that we live, and takes in who else does.
func (r *Replicas) announce(ctx context.Context, begin func(*peer)) error {
	calling, cancel := context.WithTimeout(ctx, announceTime)
	defer cancel()
	list, err := r.cfg.Store.Announce(calling, r.cfg.Self, Lease)
	if err != nil {
		return fmt.Errorf("announce %s: %w", r.cfg.Self.ID, err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.known = true
	living := map[throng.ReplicaID]bool{}
	before := len(r.peers)
	var failed []error
	for _, other := range list {
		if other.ID == r.cfg.Self.ID {
			continue
		}
		if living[other.ID] = true; r.peers[other.ID] != nil {
			continue
		}
		way, err := r.cfg.Dial(other)
		if err != nil {
			failed = append(failed, fmt.Errorf("dial %s: %w", other.ID, err))
			continue
		}
		r.cfg.Logger.InfoContext(ctx, "replica lives", "replica", other.ID, "url", other.URL)
		p := newPeer(other, way, r.metrics)
		r.peers[other.ID] = p
		begin(p)
	}
	for id, p := range r.peers {
		if !living[id] {
			r.cfg.Logger.WarnContext(ctx, "replica is gone", "replica", id, "url", p.URL)
			p.end()
			delete(r.peers, id)
			before = -1
		}
	}
	if len(r.peers) != before {
		close(r.changed)
		r.changed = make(chan struct{})
	}
	r.metrics.living.Set(float64(len(r.peers) + 1))
	return errors.Join(failed...)
}

// living is the other replicas, by ID.
func (r *Replicas) living() []*peer {
	r.mu.Lock()
	defer r.mu.Unlock()
	list := make([]*peer, 0, len(r.peers))
	for _, p := range r.peers {
		list = append(list, p)
	}
	slices.SortFunc(list, func(a, b *peer) int { return strings.Compare(string(a.ID), string(b.ID)) })
	return list
}

// Doors are the URLs of all that live: this one's first, then the others', by
// ID. changed is closed when they are others.
func (r *Replicas) Doors() (doors []string, changed <-chan struct{}) {
	r.mu.Lock()
	changed = r.changed
	r.mu.Unlock()
	doors = []string{r.cfg.Self.URL}
	for _, p := range r.living() {
		if !slices.Contains(doors, p.URL) {
			doors = append(doors, p.URL)
		}
	}
	return doors, changed
}

// Held returns which of the servers another replica has. Unavailable: one did
// not answer, or it is not known yet who lives.
func (r *Replicas) Held(ctx context.Context, ids []throng.ServerID) ([]throng.ServerID, error) {
	r.mu.Lock()
	known := r.known
	r.mu.Unlock()
	if !known {
		return nil, throng.Errorf(throng.Unavailable, "it is not known yet who lives")
	}
	var held []throng.ServerID
	for part := range slices.Chunk(ids, throng.MaxReplicaServers) {
		answers, err := r.ask(ctx, throng.ReplicaQuestion{Servers: part})
		if err != nil {
			return nil, err
		}
		for _, a := range answers {
			held = append(held, a.Held...)
		}
	}
	return held, nil
}

// Opening says whether another replica is finding a server for the session.
func (r *Replicas) Opening(ctx context.Context, s throng.SessionID) bool {
	answers, _ := r.ask(ctx, throng.ReplicaQuestion{Session: s}) // who does not answer is not
	return slices.ContainsFunc(answers, func(a throng.ReplicaAnswer) bool { return a.Opening })
}

// Fleet returns which game servers the others have, of each a list. What some
// answered is returned beside the error of the others.
func (r *Replicas) Fleet(ctx context.Context) ([][]throng.ServerInfo, error) {
	answers, err := r.ask(ctx, throng.ReplicaQuestion{Fleet: true})
	var lists [][]throng.ServerInfo
	for _, a := range answers {
		lists = append(lists, a.Fleet)
	}
	return lists, err
}

// Joins returns what the others remember of a ticket, of each the oldest first;
// caller empty: of any caller. What some answered is returned beside the error of
// the others.
func (r *Replicas) Joins(ctx context.Context, ticket throng.TicketID, caller throng.PlayerID) ([]throng.JoinRecord, error) {
	answers, err := r.ask(ctx, throng.ReplicaQuestion{Ticket: ticket, Caller: caller})
	var list []throng.JoinRecord
	for _, a := range answers {
		list = append(list, a.Joins...)
	}
	return list, err
}

// ask asks all at once. The answers that came are returned beside the error.
func (r *Replicas) ask(ctx context.Context, q throng.ReplicaQuestion) ([]throng.ReplicaAnswer, error) {
	peers := r.living()
	answers := make([]throng.ReplicaAnswer, len(peers))
	failed := make([]error, len(peers))
	var all sync.WaitGroup
	for i, p := range peers {
		all.Go(func() {
			if answers[i], failed[i] = p.way.Ask(ctx, q); failed[i] != nil {
				failed[i] = throng.Errorf(throng.Unavailable, "ask %s at %s: %w", p.ID, p.URL, failed[i])
			}
		})
	}
	all.Wait()
	return answers, errors.Join(failed...)
}

// Took tells the others that the server is connected here. It does not wait.
func (r *Replicas) Took(id throng.ServerID) {
	r.tell(func(p *peer) *lane { return p.urgent }, throng.ReplicaNews{Took: []throng.ServerID{id}})
}

// Relay sends an order to whoever has the server. It does not wait.
func (r *Replicas) Relay(s throng.SessionID, id throng.ServerID, o throng.Order) {
	r.tell(func(p *peer) *lane { return p.urgent }, throng.ReplicaNews{Orders: []throng.ServerOrder{{Server: id, Session: s, Order: o}}})
}

// Logs gives the others what a game server sent. It does not wait.
func (r *Replicas) Logs(l throng.PlaceLogs) {
	r.tell(func(p *peer) *lane { return p.slow }, throng.ReplicaNews{Logs: []throng.PlaceLogs{l}})
}

// Lines gives the others lines of a place's log. It does not wait.
func (r *Replicas) Lines(place throng.PlaceID, lines ...throng.LogLine) {
	n := throng.ReplicaNews{}
	for _, line := range lines {
		n.Lines = append(n.Lines, throng.PlaceLine{Place: place, LogLine: line})
	}
	r.tell(func(p *peer) *lane { return p.slow }, n)
}

func (r *Replicas) tell(by func(*peer) *lane, n throng.ReplicaNews) {
	for _, p := range r.living() {
		by(p).put(n)
	}
}
