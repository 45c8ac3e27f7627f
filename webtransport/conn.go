package webtransport

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/coder/websocket"
	"github.com/quic-go/webtransport-go"

	"github.com/throng-gg/throng"
)

// Conn is a client's connection to a game server, over either way.
type Conn struct {
	link    link
	receive func([]byte)
	heard   atomic.Int64 // Unix nanoseconds of the last payload
	done    chan struct{}
	over    func()
	end     func() // tells the server goodbye, in a second at most; whoever calls waits for it

	mu     sync.Mutex // guards what follows
	ran    bool
	closed bool  // by Close
	err    error // once done
}

func newConn(l link, receive func([]byte)) *Conn {
	done := make(chan struct{})
	c := &Conn{
		link: l, receive: receive, done: done, over: sync.OnceFunc(func() { close(done) }),
		end: sync.OnceFunc(func() {
			late := time.AfterFunc(farewellTime, l.cut)
			defer late.Stop()
			l.end()
			l.part()
			l.cut()
		}),
	}
	c.heard.Store(time.Now().UnixNano())
	return c
}

// Run serves the connection until it ends, and returns Err. It gives the
// receiver each payload, which is Run's again when that returns. When ctx ends it
// closes the connection and returns nil. Conflict: it was called before.
func (c *Conn) Run(ctx context.Context) error {
	c.mu.Lock()
	ran := c.ran
	c.ran = true
	c.mu.Unlock()
	if ran {
		return throng.Errorf(throng.Conflict, "the connection is run already")
	}
	var watch sync.WaitGroup
	watch.Go(func() { c.watch(ctx) })
	err := c.read(context.WithoutCancel(ctx))
	if c.settle(ctx, err) {
		c.end()
	}
	c.link.cut()
	err = c.Err()
	c.over()
	watch.Wait()
	return err
}

// settle keeps why the connection ended, and says whether this side wanted it.
func (c *Conn) settle(ctx context.Context, why error) (wanted bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed || ctx.Err() != nil {
		return true
	}
	c.err = endError(why)
	return false
}

func (c *Conn) read(ctx context.Context) error {
	for {
		payload, err := c.link.read(ctx)
		if err != nil {
			return err
		}
		if len(payload) > MaxPayload {
			continue
		}
		c.heard.Store(time.Now().UnixNano())
		c.receive(payload)
	}
}

// watch closes a connection whose ctx ended and cuts one whose server is silent.
func (c *Conn) watch(ctx context.Context) {
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	for {
		select {
		case <-c.done:
			return
		case <-ctx.Done():
			c.end()
			return
		case now := <-ticker.C:
			if c.heard.Load() < now.Add(-silence).UnixNano() {
				c.link.cut()
			}
		}
	}
}

// Send sends one payload of 1 to MaxPayload bytes, once; over WebTransport it may
// be lost. It blocks while the network takes nothing. Invalid: its size.
// Unavailable: not connected.
func (c *Conn) Send(payload []byte) error {
	if len(payload) < 1 || len(payload) > MaxPayload {
		return throng.Errorf(throng.Invalid, "a payload has 1 to %d bytes, this one %d", MaxPayload, len(payload))
	}
	if err := c.link.write(unending(), payload); err != nil {
		return throng.Errorf(throng.Unavailable, "send: %w", err)
	}
	return nil
}

// unending is for writes, which end with their connection.
func unending() context.Context {
	return context.Background() //nolint:forbidigo // the connection's own end counts, whoever calls
}

// Close ends the connection and tells the server, which frees the player's seat.
// It may be called by anyone, more than once.
func (c *Conn) Close() error {
	c.mu.Lock()
	closed, ran := c.closed, c.ran
	c.closed = true
	c.mu.Unlock()
	if closed {
		return nil
	}
	c.end()
	if !ran {
		c.over()
	}
	return nil
}

// Abandon ends the connection without a goodbye, for a client that has another
// one or comes back later. It may be called by anyone, more than once.
func (c *Conn) Abandon() error {
	c.mu.Lock()
	closed, ran := c.closed, c.ran
	c.closed = true
	c.mu.Unlock()
	if closed {
		return nil
	}
	c.link.cut()
	if !ran {
		c.over()
	}
	return nil
}

// Heard is when the server was heard last.
func (c *Conn) Heard() time.Time { return time.Unix(0, c.heard.Load()) }

// Done is closed when the connection has ended.
func (c *Conn) Done() <-chan struct{} { return c.done }

// Err says why the connection ended: nil before Done and after Close.
// Unavailable: the server fell silent, or ended it. Denied, Full: it did not take
// the token.
func (c *Conn) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

// endError is what an end means for a program.
func endError(err error) error {
	if end, ok := errors.AsType[*webtransport.SessionError](err); ok {
		if end.ErrorCode == closeRefused {
			return refusedError(end.Message)
		}
		return throng.Errorf(throng.Unavailable, "the server ended the connection: %w", err)
	}
	if end, ok := errors.AsType[websocket.CloseError](err); ok {
		if end.Code == websocket.StatusPolicyViolation || end.Code == websocket.StatusTryAgainLater {
			return refusedError(end.Reason)
		}
		return throng.Errorf(throng.Unavailable, "the server ended the connection: %w", err)
	}
	return throng.Errorf(throng.Unavailable, "the connection is lost: %w", err)
}
