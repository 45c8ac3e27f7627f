package sim

import (
	"context"
	"slices"
	"time"

	"github.com/throng-gg/throng"
)

// backend is the machines that run game servers, as a control-plane process
// reaches them.
type backend struct {
	w    *world
	from *node
}

// Allocate starts a server, which takes a while to boot.
func (b backend) Allocate(ctx context.Context, id throng.ServerID) error {
	w := b.w
	if !w.net.wait(ctx, b.from, w.dice.between(5*time.Millisecond, 500*time.Millisecond, "allocate")) {
		return errAway("allocate")
	}
	w.mu.Lock()
	known := w.servers[id] != nil
	w.mu.Unlock()
	if !known {
		w.startServer(id) //nolint:contextcheck // it outlives its allocation
	}
	if w.dice.chance(20, "allocate lost") {
		return errAway("allocate") // it runs all the same
	}
	return nil
}

// Release ends a server's process.
func (b backend) Release(ctx context.Context, id throng.ServerID) error {
	if !b.w.net.wait(ctx, b.from, b.w.dice.between(5*time.Millisecond, 200*time.Millisecond, "release")) {
		return errAway("release")
	}
	b.w.mu.Lock()
	s := b.w.servers[id]
	b.w.mu.Unlock()
	if s != nil && !s.node.dead() {
		s.exit("released")
	}
	return nil
}

// List returns the servers that run.
func (b backend) List(ctx context.Context) ([]throng.ServerID, error) {
	if !b.w.net.wait(ctx, b.from, b.w.dice.between(5*time.Millisecond, 100*time.Millisecond, "list")) {
		return nil, errAway("list")
	}
	b.w.mu.Lock()
	defer b.w.mu.Unlock()
	var all []throng.ServerID
	for id, s := range b.w.servers {
		if !s.node.dead() {
			all = append(all, id)
		}
	}
	slices.Sort(all)
	return all, nil
}

// Watch tells of processes that are over.
func (b backend) Watch(ctx context.Context, gone func(throng.ServerExit)) error {
	exits := make(chan throng.ServerExit, 1024)
	b.w.mu.Lock()
	b.w.watchers[exits] = true
	b.w.mu.Unlock()
	defer func() {
		b.w.mu.Lock()
		delete(b.w.watchers, exits)
		b.w.mu.Unlock()
	}()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case x := <-exits:
			if !b.w.net.wait(ctx, b.from, b.w.dice.between(time.Millisecond, 100*time.Millisecond, "exit")) {
				return ctx.Err()
			}
			gone(x)
		}
	}
}

// exited tells all watchers.
func (w *world) exited(x throng.ServerExit) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for c := range w.watchers {
		select {
		case c <- x:
		default:
		}
	}
}
