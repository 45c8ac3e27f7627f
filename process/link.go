package process

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/coder/websocket"
	"golang.org/x/sync/errgroup"

	"github.com/throng-gg/throng"
)

// Times of a connection.
const (
	pingTime  = 5 * time.Second  // between pings, which both sides send
	pongTime  = 10 * time.Second // until an answer to one: then the connection is lost
	writeTime = 5 * time.Second  // for one message
	helloTime = 10 * time.Second // until the other side must have said hello
	callTime  = 10 * time.Second // for a call, when its caller has more patience
)

var errLost = errors.New("the connection is lost")

// link is one connection between a node and the control plane.
type link struct {
	conn *websocket.Conn

	// out goes to the writer. Full: who sends waits.
	out chan message
	// lost is closed when run returns.
	lost chan struct{}

	mu    sync.Mutex
	calls map[uint64]*call // guarded by mu; waiting for their answers
	count uint64           // guarded by mu
}

// call is one that was made on a link.
type call struct {
	message
	answer chan error // holds one
}

func newLink(conn *websocket.Conn) *link {
	conn.SetReadLimit(maxMessage)
	return &link{
		conn: conn, out: make(chan message, 64), lost: make(chan struct{}), calls: make(map[uint64]*call),
	}
}

// run passes messages on until the connection is lost or ctx ends. It returns
// why, never nil. handle is called by one goroutine.
func (l *link) run(ctx context.Context, handle func(message) error) error {
	defer close(l.lost)
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return l.write(ctx) })
	group.Go(func() error { return l.ping(ctx) })
	group.Go(func() error {
		for {
			m, err := l.read(ctx)
			if err != nil {
				return err
			}
			if err := handle(m); err != nil {
				return err
			}
		}
	})
	err := group.Wait()
	return errors.Join(err, l.conn.CloseNow())
}

func (l *link) read(ctx context.Context) (message, error) {
	_, data, err := l.conn.Read(ctx)
	if err != nil {
		return message{}, fmt.Errorf("read: %w", err)
	}
	return parseMessage(data)
}

func (l *link) write(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case m := <-l.out:
			if err := l.put(ctx, m); err != nil {
				return err
			}
		}
	}
}

// put writes one message. Its context must not be a caller's: when it ends in
// the middle, so does the connection.
func (l *link) put(ctx context.Context, m message) error {
	data, err := m.encode()
	if err != nil {
		return fmt.Errorf("encode: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, writeTime)
	defer cancel()
	if err := l.conn.Write(ctx, websocket.MessageText, data); err != nil {
		return fmt.Errorf("write: %w", err)
	}
	return nil
}

// ping finds out that the other side is gone when its host does not say so.
func (l *link) ping(ctx context.Context) error {
	tick := time.NewTicker(pingTime)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
		waiting, cancel := context.WithTimeout(ctx, pongTime)
		err := l.conn.Ping(waiting)
		cancel()
		if err != nil {
			return fmt.Errorf("no sign of life: %w", err)
		}
	}
}

// send queues a message.
func (l *link) send(ctx context.Context, m message) error {
	select {
	case l.out <- m:
		return nil
	case <-l.lost:
		return errLost
	case <-ctx.Done():
		return ctx.Err()
	}
}

// ask makes a call and returns its answer. An error that is errLost or of a
// context says nothing of what the other side does.
func (l *link) ask(ctx context.Context, m message) error {
	c := l.register(m)
	ctx, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	if err := l.send(ctx, c.message); err != nil {
		l.take(c.Call)
		return err
	}
	select {
	case err := <-c.answer:
		return err
	case <-l.lost:
		return errLost
	case <-ctx.Done():
		return ctx.Err()
	}
}

// register numbers a call. It is known until it is answered, however late.
func (l *link) register(m message) *call {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.count++
	m.Call = l.count
	c := &call{message: m, answer: make(chan error, 1)}
	l.calls[m.Call] = c
	return c
}

// take returns the call that a number belongs to, once.
func (l *link) take(number uint64) (*call, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	c, ok := l.calls[number]
	delete(l.calls, number)
	return c, ok
}

// unanswered says that the other side may or may not have done what was asked.
func unanswered(err error) bool {
	return errors.Is(err, errLost) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}

// away is what a caller is told of a node that did not answer.
func away(node throng.NodeID, err error) error {
	return throng.RetryLater(throng.Unavailable, time.Second, "node %s did not answer: %w", node, err)
}
