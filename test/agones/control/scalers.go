package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/throng-gg/throng/test/agones/object"
)

const (
	scalerController = "fleetautoscaler-controller"
	fast             = 200 * time.Millisecond // between the first tries after an error
	fastTries        = 5
	slow             = 3 * time.Second // between the later ones
)

// scale keeps a goroutine for each FleetAutoscaler, until ctx ends.
func (c *Controller) scale(ctx context.Context) {
	changed := make(chan string, 1024)
	note := func(o metav1.Object) {
		select {
		case changed <- key(o):
		case <-ctx.Done():
		}
	}
	if _, err := c.scalers.AddEventHandler(handler(note)); err != nil {
		c.cfg.Log.ErrorContext(ctx, "watch autoscalers", "err", err)
		return
	}
	var wg sync.WaitGroup
	defer wg.Wait()
	running := map[string]scaler{}
	for {
		select {
		case <-ctx.Done():
			for _, r := range running {
				r.cancel()
			}
			return
		case k := <-changed:
			fas, ok := get[*object.FleetAutoscaler](c.scalers, k)
			r, runs := running[k]
			if ok && runs && r.of.UID == fas.UID && reflect.DeepEqual(r.of.Spec, fas.Spec) {
				continue
			}
			if runs {
				r.cancel()
				delete(running, k)
			}
			if ok && fas.DeletionTimestamp == nil {
				scaling, cancel := context.WithCancel(ctx)
				running[k] = scaler{fas, cancel}
				wg.Go(func() { c.runScaler(scaling, fas) })
			}
		}
	}
}

// scaler is a FleetAutoscaler that runs.
type scaler struct {
	of     *object.FleetAutoscaler
	cancel context.CancelFunc
}

// runScaler syncs at a fixed rate. After an error it tries again soon, and no
// tick counts until it has recovered; a tick that came during a call is made up
// for at once.
func (c *Controller) runScaler(ctx context.Context, fas *object.FleetAutoscaler) {
	interval := 30 * time.Second
	if fas.Spec.Sync != nil {
		interval = time.Duration(fas.Spec.Sync.FixedInterval.Seconds) * time.Second
	}
	begin := time.Now().Add(c.cfg.Lag)
	next, failures := begin, 0
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(time.Until(next)):
		}
		called := time.Now()
		err := c.sync(ctx, fas.Namespace, fas.Name)
		now := time.Now()
		// The last tick at or before a moment is this long after the first.
		tick := func(t time.Time) time.Duration { return t.Sub(begin).Truncate(interval) }
		missed := tick(now) > tick(called)
		switch {
		case missed:
			next = now
		case err != nil && failures+1 < fastTries:
			next = now.Add(fast)
		case err != nil:
			next = now.Add(slow)
		default:
			next = begin.Add(tick(now) + interval)
		}
		if err == nil {
			failures = 0
		} else {
			failures++
		}
	}
}

// sync does what one FleetAutoscaler asks for, once.
func (c *Controller) sync(ctx context.Context, namespace, name string) error {
	fas, err := c.cfg.Clients.Scalers.Get(ctx, namespace, name)
	if err != nil {
		return nil //nolint:nilerr // it is being deleted, or the next tick finds it
	}
	tell := func(kind, reason, format string, args ...any) {
		c.cfg.Events(scalerController).Eventf(fas, kind, reason, format, args...)
	}
	fleet, ok := get[*object.Fleet](c.fleets, namespace+"/"+fas.Spec.FleetName)
	if !ok {
		tell(corev1.EventTypeWarning, "FailedGetFleet", "could not fetch fleet: %s", fas.Spec.FleetName)
		return nil
	}
	status := object.FleetAutoscalerStatus{}
	if fas.Status != nil {
		status.LastScaleTime = fas.Status.LastScaleTime
	}
	d, err := c.decide(ctx, fas.Spec.Policy, fleet)
	if err != nil {
		tell(corev1.EventTypeWarning, "FleetAutoscaler",
			"Error calculating desired fleet size on FleetAutoscaler %s. Error: %v", fas.Name, err)
		return errors.Join(err, c.scalerStatus(ctx, fas, status))
	}
	if fas.Spec.Policy.Type == "Chain" && (fas.Status == nil || fas.Status.LastAppliedPolicy != d.policy) {
		tell(corev1.EventTypeNormal, "ChainPolicy",
			"FleetAutoscaler '%s' successfully applied ChainPolicy | ID: %s | Type: %s", fas.Name, d.id, d.kind)
	}
	if fleet.Spec.Replicas != d.replicas {
		if err := c.resizeFleet(ctx, fleet, d.replicas); err != nil {
			// So it was recorded: without the name, and to 0.
			tell(corev1.EventTypeWarning, "AutoScalingFleetError", "Error on scaling fleet  from %d to 0. Error: %v", fleet.Spec.Replicas, err)
			return err
		}
		tell(corev1.EventTypeNormal, "AutoScalingFleet", "Scaling fleet %s from %d to %d", fleet.Name, fleet.Spec.Replicas, d.replicas)
		now := metav1.Now()
		status.LastScaleTime = &now
	}
	if d.limited != "" && (fas.Status == nil || !fas.Status.ScalingLimited) {
		tell(corev1.EventTypeWarning, "ScalingLimited", "Scaling fleet %s was limited to %s", fleet.Name, d.limited)
	}
	if fleet.Status != nil {
		status.CurrentReplicas = fleet.Status.Replicas
	}
	status.DesiredReplicas = d.replicas
	status.AbleToScale, status.ScalingLimited, status.LastAppliedPolicy = true, d.limited != "", d.policy
	return c.scalerStatus(ctx, fas, status)
}

func (c *Controller) scalerStatus(ctx context.Context, fas *object.FleetAutoscaler, st object.FleetAutoscalerStatus) error {
	if fas.Status != nil && reflect.DeepEqual(*fas.Status, st) {
		return nil
	}
	next := fas.DeepCopy()
	next.Status = &st
	_, err := c.cfg.Clients.Scalers.UpdateStatus(ctx, next)
	return ignoreGone(err)
}

func (c *Controller) resizeFleet(ctx context.Context, fleet *object.Fleet, replicas int32) error {
	patch, err := json.Marshal(map[string]any{"spec": map[string]any{"replicas": replicas}})
	if err != nil {
		return err
	}
	_, err = c.cfg.Clients.Fleets.Patch(ctx, fleet.Namespace, fleet.Name, patch)
	return err
}

// decision is what a policy wants.
type decision struct {
	replicas int32
	limited  string // by what, empty if by nothing
	policy   string // as the status names it
	id, kind string // of the link of a chain
}

func (c *Controller) decide(ctx context.Context, p object.Policy, fleet *object.Fleet) (decision, error) {
	switch {
	case p.Type == "Buffer" && p.Buffer != nil:
		d, err := buffer(*p.Buffer, fleet)
		d.policy = p.Type
		return d, err
	case p.Type == "Webhook" && p.Webhook != nil:
		n, err := c.ask(ctx, *p.Webhook, fleet)
		return decision{replicas: n, policy: p.Type}, err
	case p.Type == "Chain":
		var errs []error
		for _, link := range p.Chain {
			d, err := c.decide(ctx, link.Policy, fleet)
			if err == nil {
				d.id, d.kind = link.ID, link.Type
				d.policy = fmt.Sprintf("Chain:%s:%s", link.ID, link.Type)
				return d, nil
			}
			errs = append(errs, err)
		}
		return decision{}, errors.Join(errs...)
	default:
		return decision{}, errors.New("wrong policy type, should be one of: Buffer, Webhook, Chain")
	}
}
