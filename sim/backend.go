package sim

import (
	"context"
	"time"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/memory"
)

// backend is the machine that runs game servers, as a control-plane process
// reaches it.
type backend struct {
	w    *world
	from *node
	way  *memory.Backend
}

// Allocate starts a server, which takes a while to boot.
func (b backend) Allocate(ctx context.Context, id throng.ServerID) error {
	w := b.w
	if !w.net.wait(ctx, b.from, w.dice.between(5*time.Millisecond, 500*time.Millisecond, "allocate")) {
		return errAway("allocate")
	}
	if err := b.way.Allocate(ctx, id); err != nil {
		return err
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
	return b.way.Release(ctx, id)
}

// List returns the servers that run.
func (b backend) List(ctx context.Context) ([]throng.ServerID, error) {
	if !b.w.net.wait(ctx, b.from, b.w.dice.between(5*time.Millisecond, 100*time.Millisecond, "list")) {
		return nil, errAway("list")
	}
	return b.way.List(ctx)
}

// Watch tells of processes that are over.
func (b backend) Watch(ctx context.Context, gone func(throng.ServerExit)) error {
	return b.way.Watch(ctx, func(x throng.ServerExit) {
		if b.w.net.wait(ctx, b.from, b.w.dice.between(time.Millisecond, 100*time.Millisecond, "exit")) {
			gone(x)
		}
	})
}
