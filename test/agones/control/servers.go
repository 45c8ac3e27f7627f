package control

import (
	"context"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/throng-gg/throng/test/agones/object"
)

const serverController = "gameserver-controller"

// server moves one GameServer a step on.
func (c *Controller) server(ctx context.Context, key string) error {
	gs, ok := get[*object.GameServer](c.servers, key)
	if !ok {
		c.cfg.Plays.forget(key)
		c.ports.release(key)
		return nil
	}
	if gs.DeletionTimestamp != nil {
		return c.finish(ctx, gs)
	}
	if gs.Status.State != object.PortAllocation {
		c.ports.adopt(gs)
	}
	if c.pods != nil {
		if done, err := c.podFate(ctx, gs); done || err != nil {
			return err
		}
	}
	if e := c.cfg.Plays.exit(key); e != nil && !ended(gs) {
		if err := c.exited(ctx, gs, e); err != nil || time.Since(e.at) >= c.cfg.ExitLag {
			return err
		}
	}
	switch gs.Status.State {
	case object.PortAllocation:
		return c.allocatePorts(ctx, gs)
	case object.Creating:
		return c.createPod(ctx, gs)
	case object.Starting:
		return c.schedule(ctx, gs)
	case object.Scheduled:
		return c.begin(ctx, gs)
	case object.RequestReady:
		return c.move(ctx, gs, object.Ready, "SDK.Ready() complete", nil)
	case object.Shutdown:
		if err := c.cfg.Clients.GameServers.Delete(ctx, gs); err != nil {
			return err
		}
		c.event(gs, corev1.EventTypeNormal, string(gs.Status.State), "Deletion started")
		return nil
	case object.Ready, object.Reserved, object.Allocated, object.Unhealthy, object.Error:
		c.resume(ctx, gs)
		return nil
	default:
		return fmt.Errorf("game server in unknown state %q", gs.Status.State)
	}
}

func (c *Controller) event(gs *object.GameServer, kind, reason, message string) {
	c.cfg.Events(serverController).Event(gs, kind, reason, message)
}

// move writes a new state, and what change changes besides.
func (c *Controller) move(ctx context.Context, gs *object.GameServer, to object.State, message string, change func(*object.GameServer)) error {
	next := gs.DeepCopy()
	was := gs.Status.State
	next.Status.State = to
	if change != nil {
		change(next)
	}
	out, err := c.cfg.Clients.GameServers.Update(ctx, next)
	if err != nil {
		return fmt.Errorf("move %s from %s to %s: %w", key(gs), was, to, err)
	}
	if message != "" {
		c.event(out, corev1.EventTypeNormal, eventReason(was, to), message)
	}
	return nil
}

// eventReason is the state that an event names: that of the step which is done.
func eventReason(was, to object.State) string {
	if was == object.PortAllocation && to == object.Creating || was == object.Creating {
		return string(was)
	}
	return string(to)
}

func (c *Controller) allocatePorts(ctx context.Context, gs *object.GameServer) error {
	dynamic := 0
	for _, p := range gs.Spec.Ports {
		if p.PortPolicy == "Dynamic" || p.PortPolicy == "Passthrough" {
			dynamic++
		}
	}
	l, err := c.ports.lease(key(gs), dynamic)
	if err != nil {
		return err
	}
	give := func(gs *object.GameServer) { gs.Spec.Ports = hostPorts(gs.Spec.Ports, l.ports) }
	if c.cfg.Straight && c.cfg.Pods == NoPods && c.cfg.Play == nil {
		return c.move(ctx, gs, object.Ready, "SDK.Ready() complete", func(gs *object.GameServer) {
			give(gs)
			reach(gs, l.node)
			gs.Status.Addresses = append(gs.Status.Addresses, podAddress(l.node))
		})
	}
	return c.move(ctx, gs, object.Creating, "Port allocated", give)
}

// hostPorts fills in those that were given. One of both protocols becomes two
// with the same number, NAME-tcp in its place and NAME-udp at the end.
func hostPorts(all []object.Port, given []int32) []object.Port {
	out, n := slices.Clone(all), 0
	for i := range all {
		p := &out[i]
		if p.PortPolicy != "Dynamic" && p.PortPolicy != "Passthrough" {
			continue
		}
		p.HostPort = given[n]
		if p.PortPolicy == "Passthrough" {
			p.ContainerPort = p.HostPort
		}
		n++
		if p.Protocol == "TCPUDP" {
			datagrams := *p
			datagrams.Name, datagrams.Protocol = p.Name+"-udp", corev1.ProtocolUDP
			p.Name, p.Protocol = p.Name+"-tcp", corev1.ProtocolTCP
			out = append(out, datagrams)
		}
	}
	return out
}

func (c *Controller) createPod(ctx context.Context, gs *object.GameServer) error {
	if c.cfg.Pods != NoPods {
		if err := c.makePod(ctx, gs); err != nil {
			return err
		}
	}
	return c.move(ctx, gs, object.Starting, "Pod "+gs.Name+" created", nil)
}

// schedule fills in where the server can be reached, once that is known.
func (c *Controller) schedule(ctx context.Context, gs *object.GameServer) error {
	if c.cfg.Pods == RealPods {
		return c.schedulePod(ctx, gs)
	}
	l, err := c.ports.lease(key(gs), len(gs.Spec.Ports))
	if err != nil {
		return err
	}
	return c.move(ctx, gs, object.Scheduled, "Address and port populated", func(gs *object.GameServer) { reach(gs, l.node) })
}

func reach(gs *object.GameServer, n Node) {
	gs.Status.NodeName = n.Name
	gs.Status.Address = n.Address
	gs.Status.Addresses = []corev1.NodeAddress{
		{Type: corev1.NodeInternalIP, Address: n.Address},
		{Type: corev1.NodeHostName, Address: n.Name},
	}
	gs.Status.Ports = statusPorts(gs)
}

func podAddress(n Node) corev1.NodeAddress {
	return corev1.NodeAddress{Type: "PodIP", Address: n.Address}
}

func statusPorts(gs *object.GameServer) []object.StatusPort {
	var out []object.StatusPort
	for _, p := range gs.Spec.Ports {
		if p.HostPort != 0 {
			out = append(out, object.StatusPort{Name: p.Name, Port: p.HostPort})
		}
	}
	return out
}

// begin starts what a scheduled server runs.
func (c *Controller) begin(ctx context.Context, gs *object.GameServer) error {
	switch {
	case c.cfg.Pods == RealPods:
		return c.podIP(ctx, gs)
	case len(gs.Status.Addresses) < 3: // so far only the node's: that of the Pod comes later
		next := gs.DeepCopy()
		next.Status.Addresses = append(next.Status.Addresses, podAddress(Node{gs.Status.NodeName, gs.Status.Address}))
		_, err := c.cfg.Clients.GameServers.Update(ctx, next)
		return err
	case c.cfg.Play != nil:
		c.play(ctx, gs)
		return nil
	case c.cfg.Ready < 0:
		return nil
	default:
		if rest := c.cfg.Ready - time.Since(c.cfg.Plays.since(key(gs))); rest > 0 {
			c.serverQ.AddAfter(key(gs), rest)
			return nil
		}
		return c.move(ctx, gs, object.RequestReady, "", nil)
	}
}

// resume starts again what a server ran before this controller did.
func (c *Controller) resume(ctx context.Context, gs *object.GameServer) {
	if c.cfg.Play != nil && !ended(gs) {
		c.play(ctx, gs)
	}
}

// finish lets a deleted server go once what it ran has ended.
func (c *Controller) finish(ctx context.Context, gs *object.GameServer) error {
	c.cfg.Plays.forget(key(gs))
	if c.cfg.Pods != NoPods {
		if gone, err := c.removePod(ctx, gs); !gone || err != nil {
			return err
		}
	}
	next := gs.DeepCopy()
	next.Finalizers = without(gs.Finalizers, object.Finalizer)
	_, err := c.cfg.Clients.GameServers.Update(ctx, next)
	return err
}

func without(list []string, s string) []string {
	var out []string
	for _, v := range list {
		if v != s {
			out = append(out, v)
		}
	}
	return out
}

// Exit ends the process of a pretended server, as kill does: what it is stays
// as it was for Config.ExitLag, in which it may still be allocated.
func (c *Controller) Exit(namespace, name string, code int) error {
	if _, ok := get[*object.GameServer](c.servers, namespace+"/"+name); !ok {
		return fmt.Errorf("no game server %s/%s", namespace, name)
	}
	c.cfg.Plays.kill(namespace+"/"+name, code)
	return nil
}

// exited writes what becomes of a server whose process ended, once that shows.
func (c *Controller) exited(ctx context.Context, gs *object.GameServer, e *exit) error {
	if rest := c.cfg.ExitLag - time.Since(e.at); rest > 0 {
		c.serverQ.AddAfter(key(gs), rest)
		return nil
	}
	if e.code == 0 {
		return c.succeeded(ctx, gs)
	}
	return c.unhealthy(ctx, gs)
}

func (c *Controller) succeeded(ctx context.Context, gs *object.GameServer) error {
	if ended(gs) {
		return nil
	}
	if err := c.move(ctx, gs, object.Shutdown, "", nil); err != nil {
		return err
	}
	c.cfg.Events("succeeded-controller").Event(gs, corev1.EventTypeNormal, string(object.Shutdown), "Pod is in Succeeded state")
	return nil
}

func (c *Controller) unhealthy(ctx context.Context, gs *object.GameServer) error {
	if ended(gs) {
		return nil
	}
	if err := c.move(ctx, gs, object.Unhealthy, "", nil); err != nil {
		return err
	}
	c.cfg.Events("health-controller").Event(gs, corev1.EventTypeWarning, string(object.Unhealthy), "Issue with Gameserver pod")
	return nil
}

func ended(gs *object.GameServer) bool {
	return gs.Status.State == object.Unhealthy || gs.Status.State == object.Shutdown || gs.Status.State == object.Error
}
