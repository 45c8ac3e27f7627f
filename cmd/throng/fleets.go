package main

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/fleet"
)

const (
	drainsEvery = time.Second      // between looks at what is drained
	drainsKeep  = 10 * time.Minute // that a server's drain stays after it is gone
	oldKeep     = time.Minute      // that a drain of old servers stays, for the cluster to say which they are
	// versionsKeep is how long a version's drain stays: nobody opens sessions of it.
	versionsKeep = 24 * time.Hour
	fleetTime    = 3 * time.Second // for other replicas to say what they have
)

// operators is the fleet as operators see it, at whichever replica they ask.
type operators struct{ *control }

// census is what the replicas that answered know of the fleet.
type census struct {
	servers  []throng.ServerInfo
	clusters []throng.Cluster
	partial  bool // a replica did not answer
}

// Servers lists the region's game servers, those that are just gone included.
func (o operators) Servers(ctx context.Context) ([]throng.ServerInfo, bool, error) {
	c, err := o.count(ctx)
	return c.servers, c.partial, err
}

// Fleets lists the region's clusters.
func (o operators) Fleets(ctx context.Context) ([]throng.FleetInfo, bool, error) {
	c, err := o.count(ctx)
	if err != nil {
		return nil, false, err
	}
	return fleet.Tally(c.clusters, c.servers, o.listDrains(ctx)), c.partial, nil
}

// count asks all replicas.
func (o operators) count(ctx context.Context) (c census, err error) {
	mine, clusters, err := o.fleet.Fleet(false)
	if err != nil {
		return census{}, err
	}
	lists := [][]throng.ServerInfo{mine}
	if o.replicas != nil {
		ctx, cancel := context.WithTimeout(ctx, fleetTime)
		defer cancel()
		others, err := o.replicas.Fleet(ctx)
		c.partial = err != nil
		lists = append(lists, others...)
	}
	c.servers, c.clusters = fleet.Merge(lists...), clusters
	return c, nil
}

// listDrains reads what is drained, as far as it can be read.
func (c *control) listDrains(ctx context.Context) []throng.FleetDrain {
	all, err := c.drains.List(ctx)
	if err != nil {
		c.cfg.logger.WarnContext(ctx, "drains not read", "err", err)
	}
	return all
}

// Drain takes a part of the fleet out of use; other replicas see it within a
// second.
func (o operators) Drain(ctx context.Context, d throng.FleetDrain, within time.Duration) (throng.DrainSum, error) {
	c, err := o.count(ctx)
	if err != nil {
		return throng.DrainSum{}, err
	}
	if err := c.knows(d); err != nil {
		return throng.DrainSum{}, err
	}
	d.Since = time.Now().UTC().Truncate(time.Millisecond)
	if within > 0 {
		d.Until = d.Since.Add(within)
	}
	for _, old := range o.listDrains(ctx) {
		if old.Kind == d.Kind && old.Name == d.Name && old.Old == d.Old {
			d.Since = old.Since
		}
	}
	if err := o.drains.Put(ctx, d); err != nil {
		return throng.DrainSum{}, err
	}
	return sumOf(d, c.servers), o.fleet.SetDrains(o.listDrains(ctx))
}

// knows says whether there is what is to be drained.
func (c census) knows(d throng.FleetDrain) error {
	switch d.Kind {
	case throng.DrainRegion, throng.DrainVersion:
		return nil
	case throng.DrainServer:
		lives := func(s throng.ServerInfo) bool { return string(s.ID) == d.Name && s.Status != throng.StatusGone }
		switch {
		case slices.ContainsFunc(c.servers, lives):
			return nil
		case c.partial:
			return throng.Errorf(throng.Unavailable, "a control plane that may know the server does not answer")
		}
		return throng.AtField(throng.NotFound, "id", "there is no server %s", d.Name)
	case throng.DrainCluster:
		names := make([]string, 0, len(c.clusters))
		for _, one := range c.clusters {
			names = append(names, one.Name)
		}
		if slices.Contains(names, d.Name) {
			return nil
		}
		return throng.AtField(throng.NotFound, "cluster", "there is no cluster %s, there are: %s", d.Name, strings.Join(names, ", "))
	}
	return throng.AtField(throng.Invalid, "kind", "%q cannot be drained", d.Kind)
}

// sumOf counts what there is to drain.
func sumOf(d throng.FleetDrain, servers []throng.ServerInfo) (sum throng.DrainSum) {
	for _, s := range servers {
		site := s.Site
		site.Server = s.ID
		if s.Status == throng.StatusGone || !fleet.Leaves(d, site) {
			continue
		}
		sum.Servers++
		switch s.Status {
		case throng.StatusHanded, throng.StatusBound, throng.StatusDraining:
			sum.Sessions++
			sum.Players += s.Players
		case throng.StatusStarting, throng.StatusWarm, throng.StatusLeaving, throng.StatusFound, throng.StatusLeaked, throng.StatusGone:
		}
	}
	return sum
}

// Undrain takes a part of the fleet into use again.
func (o operators) Undrain(ctx context.Context, kind throng.DrainKind, name string) error {
	if err := o.drains.Drop(ctx, kind, name); err != nil {
		return err
	}
	return o.fleet.SetDrains(o.listDrains(ctx))
}

// watchDrains keeps the orchestrator knowing what is drained, also by other
// replicas, and forgets the drains of servers that are gone, until ctx ends.
func (c *control) watchDrains(ctx context.Context) error {
	var told []throng.FleetDrain
	said := ""
	tick := time.NewTicker(drainsEvery)
	defer tick.Stop()
	for {
		all, err := c.drains.List(ctx)
		if err != nil && err.Error() != said {
			said = err.Error() // one line a cause
			c.cfg.logger.WarnContext(ctx, "drains not read", "err", err)
		}
		if !slices.Equal(all, told) && (err == nil || len(all) > 0) {
			if err := c.fleet.SetDrains(all); err == nil {
				told = all
			}
		}
		c.dropGone(ctx, all)
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// dropGone forgets the drains of servers that are not there any more, of old ones
// once none is left, and those of versions after a while.
func (c *control) dropGone(ctx context.Context, all []throng.FleetDrain) {
	var live map[throng.ServerID]bool
	var failed []error
	for _, d := range all {
		if d.Kind == throng.DrainVersion && time.Since(d.Since) > versionsKeep || c.oldOver(d) {
			failed = append(failed, c.drains.Drop(ctx, d.Kind, d.Name))
		}
		if d.Kind != throng.DrainServer || time.Since(d.Since) < drainsKeep {
			continue
		}
		if live == nil {
			live = map[throng.ServerID]bool{}
			for _, s := range c.fleet.Servers() {
				live[s.ID] = true
			}
		}
		if !live[throng.ServerID(d.Name)] {
			failed = append(failed, c.drains.Drop(ctx, d.Kind, d.Name))
		}
	}
	if err := errors.Join(failed...); err != nil {
		c.cfg.logger.WarnContext(ctx, "drains of servers that are gone stay", "err", err)
	}
}

// oldOver says whether a drain of a cluster's old servers is done.
func (c *control) oldOver(d throng.FleetDrain) bool {
	if !d.Old || time.Since(d.Since) < oldKeep {
		return false
	}
	servers, clusters, err := c.fleet.Fleet(false)
	if err != nil || !fleet.Over(d, clusters, servers) {
		return false
	}
	c.cfg.logger.Info("the cluster's old servers are gone: their drain is over", "cluster", d.Name)
	return true
}
