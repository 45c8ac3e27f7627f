package control

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"reflect"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/throng-gg/throng/test/agones/object"
)

const fleetController = "fleet-controller"

// fleet keeps one Fleet's sets at their sizes.
func (c *Controller) fleet(ctx context.Context, key string) error {
	fleet, ok := get[*object.Fleet](c.fleets, key)
	sets, err := owned[*object.GameServerSet](c.sets, key)
	if err != nil {
		return err
	}
	if !ok || fleet.DeletionTimestamp != nil {
		var errs []error
		for _, s := range sets {
			errs = append(errs, ignoreGone(c.cfg.Clients.Sets.Delete(ctx, s)))
		}
		return errors.Join(errs...)
	}
	if c.awaitsSet(key) {
		c.fleetQ.AddAfter(key, c.cfg.Lag)
		return nil
	}
	newest, old := split(fleet, sets)
	var oldNow []generation
	for _, s := range old {
		oldNow = append(oldNow, look(s))
	}
	size, sizes := roll(fleet.Spec.Replicas, fleet.Spec.Strategy, look(newest), oldNow)
	for i, s := range old { // old ones first, as recorded
		if sizes[i] == 0 && s.Spec.Replicas == 0 && s.Status != nil && s.Status.Replicas+s.Status.ShutdownReplicas == 0 {
			err = errors.Join(err, ignoreGone(c.cfg.Clients.Sets.Delete(ctx, s)))
			continue
		}
		err = errors.Join(err, c.resize(ctx, fleet, s, sizes[i]))
	}
	if newest == nil {
		err = errors.Join(err, c.makeSet(ctx, fleet, size))
	} else {
		err = errors.Join(err, c.resize(ctx, fleet, newest, size))
	}
	return errors.Join(err, c.fleetStatus(ctx, fleet, sets))
}

// newSet is a set that was made and the cache may not show yet.
type newSet struct {
	key string
	at  time.Time
}

func (c *Controller) awaitsSet(fleet string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	s, ok := c.newSets[fleet]
	if !ok {
		return false
	}
	if _, seen := get[*object.GameServerSet](c.sets, s.key); !seen && time.Since(s.at) < made {
		return true
	}
	delete(c.newSets, fleet)
	return false
}

// split finds the set of the Fleet's template, nil if there is none yet.
func split(fleet *object.Fleet, sets []*object.GameServerSet) (newest *object.GameServerSet, old []*object.GameServerSet) {
	for _, s := range sets {
		if newest == nil && same(s.Spec.Template, fleet.Spec.Template) {
			newest = s
			continue
		}
		old = append(old, s)
	}
	slices.SortFunc(old, func(a, b *object.GameServerSet) int {
		return a.CreationTimestamp.Compare(b.CreationTimestamp.Time)
	})
	return newest, old
}

func same(a, b object.Template) bool {
	x, errX := json.Marshal(a)
	y, errY := json.Marshal(b)
	return errX == nil && errY == nil && string(x) == string(y)
}

func look(s *object.GameServerSet) generation {
	if s == nil {
		return generation{}
	}
	g := generation{replicas: s.Spec.Replicas}
	if s.Status != nil {
		g.up, g.ready, g.allocated = s.Status.Replicas, s.Status.ReadyReplicas, s.Status.AllocatedReplicas
	}
	return g
}

func (c *Controller) makeSet(ctx context.Context, fleet *object.Fleet, size int32) error {
	s := &object.GameServerSet{}
	s.GenerateName = fleet.Name + "-"
	s.Namespace = fleet.Namespace
	s.Labels = map[string]string{}
	maps.Copy(s.Labels, fleet.Spec.Template.Labels)
	s.Labels[object.FleetLabel] = fleet.Name
	s.OwnerReferences = []metav1.OwnerReference{*metav1.NewControllerRef(fleet, version("Fleet"))}
	s.Spec = object.GameServerSetSpec{
		Replicas:           size,
		Scheduling:         fleet.Spec.Scheduling,
		AllocationOverflow: fleet.Spec.AllocationOverflow,
		Template:           fleet.Spec.Template,
	}
	out, err := c.cfg.Clients.Sets.Create(ctx, s)
	if err != nil {
		return err
	}
	c.mu.Lock()
	c.newSets[key(fleet)] = newSet{key: key(out), at: time.Now()}
	c.mu.Unlock()
	out.Status = &object.GameServerSetStatus{}
	if _, err := c.cfg.Clients.Sets.UpdateStatus(ctx, out); err != nil {
		return err
	}
	c.cfg.Events(fleetController).Event(fleet, corev1.EventTypeNormal, "CreatingGameServerSet", "Created GameServerSet "+out.Name)
	return nil
}

func (c *Controller) resize(ctx context.Context, fleet *object.Fleet, s *object.GameServerSet, size int32) error {
	if s.Spec.Replicas == size && s.Spec.Scheduling == fleet.Spec.Scheduling &&
		reflect.DeepEqual(s.Spec.AllocationOverflow, fleet.Spec.AllocationOverflow) {
		return nil
	}
	next := s.DeepCopy()
	next.Spec.Replicas = size
	next.Spec.Scheduling = fleet.Spec.Scheduling
	next.Spec.AllocationOverflow = fleet.Spec.AllocationOverflow
	_, err := c.cfg.Clients.Sets.Update(ctx, next)
	return err
}

// fleetStatus adds the sets up. It lags behind them, as they do behind the servers.
func (c *Controller) fleetStatus(ctx context.Context, fleet *object.Fleet, sets []*object.GameServerSet) error {
	st := total(sets)
	c.mu.Lock()
	n := c.allocations[key(fleet)]
	c.mu.Unlock()
	if fleet.Status != nil {
		st.Allocations = fleet.Status.Allocations + n
		if reflect.DeepEqual(*fleet.Status, st) {
			return nil
		}
	} else {
		st.Allocations = n
	}
	next := fleet.DeepCopy()
	next.Status = &st
	if _, err := c.cfg.Clients.Fleets.UpdateStatus(ctx, next); err != nil {
		return err
	}
	c.mu.Lock()
	c.allocations[key(fleet)] -= n
	c.mu.Unlock()
	return nil
}

func total(sets []*object.GameServerSet) object.FleetStatus {
	var st object.FleetStatus
	counters, lists := sums{}, sums{}
	for _, s := range sets {
		if s.Status == nil {
			continue
		}
		st.Replicas += s.Status.Replicas
		st.ReadyReplicas += s.Status.ReadyReplicas
		st.ReservedReplicas += s.Status.ReservedReplicas
		st.AllocatedReplicas += s.Status.AllocatedReplicas
		for name, a := range s.Status.Counters {
			counters.add(name, a)
		}
		for name, a := range s.Status.Lists {
			lists.add(name, a)
		}
	}
	st.Counters, st.Lists = counters.orNil(), lists.orNil()
	return st
}
