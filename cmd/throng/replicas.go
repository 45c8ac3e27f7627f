package main

import (
	"context"
	"crypto/rand"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/client"
	"github.com/throng-gg/throng/fleet"
	"github.com/throng-gg/throng/placelog"
	"github.com/throng-gg/throng/replica"
)

// buildReplicas makes what knows of the region's other control planes, if there
// can be any.
func (c *control) buildReplicas() (err error) {
	if c.cfg.stores.replicas == nil {
		return nil
	}
	var entropy throng.Entropy
	rand.Read(entropy[:])
	self := throng.Replica{ID: throng.MakeReplicaID(c.cfg.region.ID, entropy), URL: c.cfg.public}
	c.replicas, err = replica.New(replica.Config{
		Self:  self,
		Store: c.cfg.stores.replicas,
		Dial: func(other throng.Replica) (replica.Peer, error) {
			token := &replicaToken{self: self.ID, keys: c.cfg.secrets}
			return client.NewReplica(client.Config{Addr: other.URL, HTTP: c.cfg.http}, token.get)
		},
		Logger:  c.cfg.logger.With("part", "replica", "self", self.ID),
		Metrics: c.cfg.metrics,
	})
	return err
}

// joinFolder is where this process writes its records of joins; replicas share
// the data folder, and each writes its own.
func (c *control) joinFolder() string {
	folder := filepath.Join(c.cfg.flags.Data, "joins")
	if c.replicas == nil {
		return folder
	}
	_, door, _ := strings.Cut(c.cfg.public, "://")
	return filepath.Join(folder, strings.Map(func(r rune) rune {
		if r == '/' || r == '\\' || r == ':' {
			return '-'
		}
		return r
	}, door))
}

// replicaToken is a replica's credential, made anew when the secret that signs is
// another, or half of its time is over.
type replicaToken struct {
	self throng.ReplicaID
	keys *secrets

	mu    sync.Mutex
	token string // guarded by mu
}

// get returns one that is good; empty: none can be made.
func (r *replicaToken) get() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.token == "" || !r.keys.Fresh(r.token) {
		r.token, _ = r.keys.ReplicaToken(r.self) // the door says that it is missing
	}
	return r.token
}

// peers is the replicas as the fleet knows them.
func (c *control) peers() fleet.Peers {
	if c.replicas == nil {
		return nil
	}
	return c.replicas
}

// doors are where game servers reach the region: this replica first, which they
// are started by. changed is closed when there are others.
func (c *control) doors() (doors []string, changed <-chan struct{}) {
	if c.replicas == nil {
		return []string{c.cfg.public}, nil
	}
	return c.replicas.Doors()
}

const heardTime = 3 * time.Second

// heard returns which game servers give signs of life, here or at another
// replica. When one of those does not answer, all of them may.
func (c *control) heard(ids []throng.ServerID) []throng.ServerID {
	connected := map[throng.ServerID]bool{}
	for _, s := range c.fleet.Servers() {
		connected[s.ID] = s.Connected
	}
	var heard []throng.ServerID
	for _, id := range ids {
		if connected[id] {
			heard = append(heard, id)
		}
	}
	if c.replicas == nil {
		return heard
	}
	ctx, cancel := context.WithTimeout(context.Background(), heardTime)
	defer cancel()
	elsewhere, err := c.replicas.Held(ctx, ids)
	if err != nil {
		return ids
	}
	return append(heard, elsewhere...)
}

// neighbor is this replica as the others know it.
type neighbor struct{ *control }

// Hear takes what another replica tells.
func (n neighbor) Hear(_ context.Context, news throng.ReplicaNews) error {
	for _, o := range news.Orders {
		n.fleet.Relayed(o.Session, o.Server, o.Order)
	}
	for _, l := range news.Logs {
		n.logs.Receive(l.Place, l.Version, l.LogBatch)
	}
	for _, l := range news.Lines {
		n.logs.Add(l.Place, l.LogLine)
	}
	if len(news.Took) == 0 {
		return nil
	}
	return n.fleet.TookElsewhere(news.Took)
}

// Answer answers another replica.
func (n neighbor) Answer(ctx context.Context, q throng.ReplicaQuestion) (a throng.ReplicaAnswer, err error) {
	if len(q.Servers) > 0 {
		if a.Held, err = n.fleet.Holds(q.Servers); err != nil {
			return throng.ReplicaAnswer{}, err
		}
	}
	if q.Session != "" {
		if a.Opening, err = n.fleet.Opens(q.Session); err != nil {
			return throng.ReplicaAnswer{}, err
		}
	}
	if q.Fleet {
		if a.Fleet, _, err = n.fleet.Fleet(true); err != nil {
			return throng.ReplicaAnswer{}, err
		}
	}
	if q.Ticket != "" && n.joins != nil {
		a.Joins, err = n.joins.Joins(ctx, q.Ticket, q.Caller)
	}
	return a, err
}

// commonLog is the places' logs, of which every replica gets all lines.
type commonLog struct {
	*placelog.Log
	replicas *replica.Replicas // nil: there are none
}

// Receive writes what a game server sent, each line once.
func (l commonLog) Receive(place throng.PlaceID, v throng.Version, b throng.LogBatch) {
	l.Log.Receive(place, v, b)
	if l.replicas != nil {
		l.replicas.Logs(throng.PlaceLogs{Place: place, Version: v, LogBatch: b})
	}
}

// Add writes lines of the control plane's own.
func (l commonLog) Add(place throng.PlaceID, lines ...throng.LogLine) {
	l.Log.Add(place, lines...)
	if l.replicas != nil {
		l.replicas.Lines(place, lines...)
	}
}
