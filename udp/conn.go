package udp

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"sync"
	"time"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/wire/netcode"
)

// wakeInterval is how often a Conn that hears nothing looks at its time-outs
// and keeps its connection alive.
const wakeInterval = 100 * time.Millisecond

// Conn is a client's connection to a game server. It costs one socket, one
// goroutine (its Run) and about 10 KB, so a process can have thousands.
type Conn struct {
	socket  *net.UDPConn
	receive func([]byte)

	// Owned by whoever runs serve: Dial, then Run.
	buffer   []byte
	deadline time.Time
	failures int // reads in a row

	done chan struct{}

	mu      sync.Mutex // guards what follows
	client  *netcode.Client
	payload []byte // of the datagram at hand, in buffer
	err     error  // once done
	over    bool
	running bool
	silent  bool // nothing is sent any more
}

// connSink is what the Conn's client acts through, under its mutex.
type connSink struct{ *Conn }

// Datagram writes to the socket. What can't be sent counts as lost.
func (s connSink) Datagram(to netip.AddrPort, datagram []byte) {
	if s.silent {
		return
	}
	_, _ = s.socket.WriteToUDPAddrPort(datagram, to)
}

// Payload keeps the payload until the mutex is free.
func (s connSink) Payload(payload []byte) { s.payload = payload }

// Dial connects with a join token, of which it makes the only use, and returns
// when the server took it. Then Run must be called: it gives receive each
// payload, which is Run's again when receive returns. receive may Send and
// Close.
//
// Invalid: no token, or no receive. Denied: it expired, or may be used up, as a
// server answered first and then did not. Full: the server is full. Unavailable:
// no server answers. After the last two the token is as good as before. If ctx
// ends first its error is returned.
func Dial(ctx context.Context, token []byte, receive func(payload []byte)) (*Conn, error) {
	if receive == nil {
		return nil, throng.AtField(throng.Invalid, "receive", "is not set")
	}
	c := &Conn{receive: receive, buffer: make([]byte, readSize), done: make(chan struct{})}
	client, err := netcode.NewClient(token, time.Now(), connSink{c})
	if err != nil {
		return nil, err
	}
	c.client = client
	if c.socket, err = net.ListenUDP("udp", nil); err != nil {
		return nil, throng.Errorf(throng.Unavailable, "open socket: %w", err)
	}
	if err := c.serve(ctx, netcode.StateConnected); err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return c, nil
}

// Run serves the connection until it ends, and returns Err. When ctx ends it
// closes the connection and returns nil. Conflict: it was called before.
func (c *Conn) Run(ctx context.Context) error {
	c.mu.Lock()
	running := c.running
	c.running = true
	c.mu.Unlock()
	if running {
		return throng.Errorf(throng.Conflict, "the connection is run already")
	}
	return c.serve(ctx, netcode.StateEnded)
}

// serve ticks and reads until the client is in a state, or has ended, or ctx
// has, which closes it.
func (c *Conn) serve(ctx context.Context, until netcode.State) error {
	for {
		c.mu.Lock()
		c.client.Tick(time.Now())
		state, reason := c.client.State(), c.client.Reason()
		c.mu.Unlock()
		switch {
		case state == netcode.StateEnded:
			return c.finish(reason, nil)
		case ctx.Err() != nil:
			return c.Close()
		case state == until:
			return nil
		}
		if err := c.read(); err != nil {
			return c.finish(netcode.ReasonLocal, err)
		}
	}
}

// read takes datagrams until one changes the client's state or the deadline
// passes. Its error says that the socket broke, or was closed.
func (c *Conn) read() error {
	if now := time.Now(); !now.Before(c.deadline) {
		c.deadline = now.Add(wakeInterval)
		if err := c.socket.SetReadDeadline(c.deadline); err != nil {
			return err
		}
	}
	for {
		n, from, err := c.socket.ReadFromUDPAddrPort(c.buffer)
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
			c.deadline = time.Time{}
			return nil
		case err != nil:
			c.failures++
			if errors.Is(err, net.ErrClosed) || c.failures >= readFailures {
				return err
			}
			continue
		}
		c.failures = 0
		if c.take(from, c.buffer[:n]) {
			return nil
		}
	}
}

// take handles one datagram and says whether the client's state changed.
func (c *Conn) take(from netip.AddrPort, datagram []byte) bool {
	c.mu.Lock()
	before := c.client.State()
	c.client.Receive(time.Now(), from, datagram)
	changed := c.client.State() != before
	payload := c.payload
	c.payload = nil
	c.mu.Unlock()
	if payload != nil {
		c.receive(payload)
	}
	return changed
}

// Send sends one payload of 1 to netcode.MaxPayload bytes, once and unreliably.
// It may be called by anyone. Invalid: its size. Unavailable: not connected.
func (c *Conn) Send(payload []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.client.Send(time.Now(), payload)
}

// Close ends the connection and tells the server, which frees the player's seat.
// It may be called by anyone, more than once.
func (c *Conn) Close() error {
	c.mu.Lock()
	c.client.Close(time.Now())
	reason := c.client.Reason()
	c.mu.Unlock()
	return c.finish(reason, nil)
}

// Abandon ends the connection without a word to the server, for a client that
// has another one or comes back later. It may be called by anyone, more than
// once.
func (c *Conn) Abandon() error {
	c.mu.Lock()
	c.silent = true
	c.mu.Unlock()
	return c.Close()
}

// Heard is when the server was heard last.
func (c *Conn) Heard() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.client.Heard()
}

// Done is closed when the connection has ended.
func (c *Conn) Done() <-chan struct{} { return c.done }

// Err says why the connection ended: nil before Done and after Close.
// Unavailable: the server fell silent, or ended it; see Reason.
func (c *Conn) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

// Reason says why the connection ended.
func (c *Conn) Reason() netcode.Reason {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.client.Reason()
}

// Server is the address that the client is connected to.
func (c *Conn) Server() netip.AddrPort {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.client.Server()
}

// finish closes what is open, once, and returns Err. broken is what the socket
// said, if it was that.
func (c *Conn) finish(why netcode.Reason, broken error) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.over {
		return c.err
	}
	c.over = true
	c.client.Close(time.Now())
	c.err = endError(why, c.client)
	if broken != nil {
		c.err = throng.Errorf(throng.Internal, "read from %s: %w", c.client.Server(), broken)
	}
	if err := c.socket.Close(); err != nil && c.err == nil {
		c.err = throng.Errorf(throng.Internal, "close socket: %w", err)
	}
	close(c.done)
	return c.err
}

// endError is what an end means for a program.
func endError(why netcode.Reason, client *netcode.Client) error {
	server := client.Server()
	kind := throng.Unavailable
	switch why {
	case netcode.ReasonNone, netcode.ReasonLocal:
		return nil
	case netcode.ReasonDenied, netcode.ReasonExpired, netcode.ReasonRequestTimeout, netcode.ReasonResponseTimeout:
		switch {
		case why == netcode.ReasonExpired || client.Used():
			kind = throng.Denied
		case why == netcode.ReasonDenied:
			kind = throng.Full
		}
		return throng.Errorf(kind, "connect to %s: %s", server, why)
	case netcode.ReasonTimeout, netcode.ReasonRemote:
		return throng.Errorf(kind, "connection to %s: %s", server, why)
	}
	return throng.Errorf(throng.Internal, "connection to %s ended", server)
}
