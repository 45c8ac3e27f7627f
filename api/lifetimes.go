package api

import (
	"context"
	"sync"
)

// lifetimes ends what stays open for long, because an HTTP server's shutdown
// waits for handlers and forgets hijacked connections.
type lifetimes struct {
	mu     sync.Mutex
	closed bool
	next   uint64
	ends   map[uint64]context.CancelFunc
	open   sync.WaitGroup
}

func newLifetimes() *lifetimes {
	return &lifetimes{ends: make(map[uint64]context.CancelFunc)}
}

// enter returns a context that ends when the door does, and what to call after
// use. A closed door's context has ended already.
func (l *lifetimes) enter(parent context.Context) (context.Context, func()) {
	ctx, cancel := context.WithCancel(parent)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		cancel()
		return ctx, cancel
	}
	l.next++
	id := l.next
	l.ends[id] = cancel
	l.open.Add(1)
	return ctx, sync.OnceFunc(func() {
		cancel()
		l.mu.Lock()
		delete(l.ends, id)
		l.mu.Unlock()
		l.open.Done()
	})
}

// detach runs what outlives the call that began it, with a context that ends when
// the door does. left is called after it.
func (l *lifetimes) detach(parent context.Context, left func(), run func(context.Context)) {
	ctx, leave := l.enter(parent)
	go func() {
		defer left()
		defer leave()
		run(ctx)
	}()
}

// close ends all that is open and waits until it left.
func (l *lifetimes) close() {
	l.mu.Lock()
	l.closed = true
	for _, end := range l.ends {
		end()
	}
	l.mu.Unlock()
	l.open.Wait()
}
