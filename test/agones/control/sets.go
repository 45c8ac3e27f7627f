package control

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"reflect"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/throng-gg/throng/test/agones/object"
)

const (
	setController = "gameserverset-controller"
	step          = 64               // servers that a set makes or ends at once
	parallel      = 8                // of them in flight
	made          = 30 * time.Second // until a server that never showed is forgotten
)

// set keeps one GameServerSet at its size.
func (c *Controller) set(ctx context.Context, key string) error {
	set, ok := get[*object.GameServerSet](c.sets, key)
	servers, err := owned[*object.GameServer](c.servers, key)
	if err != nil {
		return err
	}
	if !ok || set.DeletionTimestamp != nil {
		return c.orphans(ctx, key, servers)
	}
	t := count(servers)
	missing := int(set.Spec.Replicas) - len(t.up) - c.unseen(key, servers)
	switch {
	case missing > 0:
		err = c.make(ctx, set, min(missing, step))
		if missing > step {
			c.setQ.AddAfter(key, c.cfg.Lag)
		}
	case missing < 0:
		err = c.end(ctx, set, surplus(t.up, min(-missing, step), set.Spec.Scheduling))
		if -missing > step {
			c.setQ.AddAfter(key, c.cfg.Lag)
		}
	}
	err = errors.Join(err, c.end(ctx, set, t.unwell), c.overflow(ctx, set, t.up))
	return errors.Join(err, c.setStatus(ctx, set, t.status))
}

// orphans ends the servers of a set that is gone. Kubernetes does that too,
// where its garbage collector runs.
func (c *Controller) orphans(ctx context.Context, set string, servers []*object.GameServer) error {
	c.mu.Lock()
	delete(c.made, set)
	c.mu.Unlock()
	var errs []error
	for _, gs := range servers {
		if gs.DeletionTimestamp == nil {
			errs = append(errs, ignoreGone(c.cfg.Clients.GameServers.Delete(ctx, gs)))
		}
	}
	return errors.Join(errs...)
}

func ignoreGone(err error) error {
	if apierrors.IsNotFound(err) || apierrors.IsConflict(err) {
		return nil
	}
	return err
}

// unseen counts servers that were made and are not in the cache yet.
func (c *Controller) unseen(set string, servers []*object.GameServer) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	pending := c.made[set]
	for _, gs := range servers {
		delete(pending, gs.Name)
	}
	for name, at := range pending {
		if time.Since(at) > made {
			delete(pending, name)
		}
	}
	return len(pending)
}

func (c *Controller) make(ctx context.Context, set *object.GameServerSet, n int) error {
	return each(n, func(int) error {
		gs := &object.GameServer{Spec: set.Spec.Template.Spec}
		gs.GenerateName = set.Name + "-"
		gs.Namespace = set.Namespace
		gs.Labels = map[string]string{}
		maps.Copy(gs.Labels, set.Spec.Template.Labels)
		gs.Labels[object.FleetLabel] = set.Labels[object.FleetLabel]
		gs.Labels[object.SetLabel] = set.Name
		gs.Annotations = maps.Clone(set.Spec.Template.Annotations)
		gs.Spec.Scheduling = set.Spec.Scheduling
		gs.OwnerReferences = []metav1.OwnerReference{*metav1.NewControllerRef(set, version("GameServerSet"))}
		out, err := c.cfg.Clients.GameServers.Create(ctx, gs)
		if err != nil {
			return err
		}
		c.mu.Lock()
		if c.made[key(set)] == nil {
			c.made[key(set)] = map[string]time.Time{}
		}
		if _, seen := get[*object.GameServer](c.servers, key(out)); !seen {
			c.made[key(set)][out.Name] = time.Now()
		}
		c.mu.Unlock()
		c.cfg.Events(setController).Event(set, corev1.EventTypeNormal, "SuccessfulCreate", "Created gameserver: "+out.Name)
		return nil
	})
}

// end shuts servers down; those that changed meanwhile stay.
func (c *Controller) end(ctx context.Context, set *object.GameServerSet, servers []*object.GameServer) error {
	return each(len(servers), func(i int) error {
		gs := servers[i].DeepCopy()
		gs.Status.State = object.Shutdown
		if _, err := c.cfg.Clients.GameServers.Update(ctx, gs); err != nil {
			return ignoreGone(err)
		}
		c.cfg.Events(setController).Event(set, corev1.EventTypeNormal, "SuccessfulDelete", "Deleted gameserver in state "+
			string(servers[i].Status.State)+": "+gs.Name)
		return nil
	})
}

// overflow marks Allocated servers beyond the replicas.
func (c *Controller) overflow(ctx context.Context, set *object.GameServerSet, up []*object.GameServer) error {
	o := set.Spec.AllocationOverflow
	if o == nil {
		return nil
	}
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"labels": o.Labels, "annotations": o.Annotations}})
	if err != nil {
		return err
	}
	marked := over(up, set.Spec.Replicas, o)
	return each(len(marked), func(i int) error {
		_, err := c.cfg.Clients.GameServers.Patch(ctx, set.Namespace, marked[i].Name, patch)
		return ignoreGone(err)
	})
}

func (c *Controller) setStatus(ctx context.Context, set *object.GameServerSet, st object.GameServerSetStatus) error {
	if set.Status != nil && reflect.DeepEqual(*set.Status, st) {
		return nil
	}
	next := set.DeepCopy()
	next.Status = &st
	_, err := c.cfg.Clients.Sets.UpdateStatus(ctx, next)
	return err
}

// each calls do for 0..n-1, some at the same time.
func each(n int, do func(int) error) error {
	var wg sync.WaitGroup
	errs := make([]error, n)
	slots := make(chan struct{}, parallel)
	for i := range n {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			errs[i] = do(i)
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

func version(kind string) schema.GroupVersionKind {
	return schema.GroupVersionKind{Group: object.Group, Version: "v1", Kind: kind}
}
