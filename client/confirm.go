package client

import (
	"context"
	"runtime"
	"sync"

	"github.com/coder/websocket"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/api/gen"
)

const (
	confirmBatch = 32  // of one message
	confirmQueue = 256 // full: who asks waits
)

// confirms is the confirms of one control connection whose door takes them.
type confirms struct {
	slots chan struct{}       // as many as the door takes unanswered; full: who asks waits
	asks  chan gen.ConfirmAsk // read by run
	lost  chan struct{}       // closed when the connection is over

	mu      sync.Mutex
	next    uint64
	answers map[uint64]chan<- error // each with room for one
}

func newConfirms(most int) *confirms {
	return &confirms{
		slots:   make(chan struct{}, most),
		asks:    make(chan gen.ConfirmAsk, confirmQueue),
		lost:    make(chan struct{}),
		answers: map[uint64]chan<- error{},
	}
}

// run sends what is asked, as many at once as there are, until ctx ends.
func (c *confirms) run(ctx context.Context, conn *websocket.Conn) error {
	defer close(c.lost)
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case first := <-c.asks:
			runtime.Gosched() // those who are about to ask go along
			if err := write(ctx, conn, gen.ControlUp{Confirms: c.drain(first)}); err != nil {
				return err
			}
		}
	}
}

func (c *confirms) drain(first gen.ConfirmAsk) []gen.ConfirmAsk {
	all := []gen.ConfirmAsk{first}
	for len(all) < confirmBatch {
		select {
		case next := <-c.asks:
			all = append(all, next)
		default:
			return all
		}
	}
	return all
}

// ask asks and waits for the answer. Unavailable: the connection was lost or ctx
// ended, and the seat may be confirmed.
func (c *confirms) ask(ctx context.Context, s throng.SessionID, change throng.RosterChange) error {
	select {
	case c.slots <- struct{}{}:
	case <-c.lost:
		return errControlLost
	case <-ctx.Done():
		return throng.Errorf(throng.Unavailable, "confirm: %w", ctx.Err())
	}
	answer := make(chan error, 1)
	c.mu.Lock()
	c.next++
	id := c.next
	c.answers[id] = answer
	c.mu.Unlock()
	select {
	case c.asks <- gen.ConfirmAskOf(id, s, change):
	case <-c.lost:
		return errControlLost
	}
	select {
	case err := <-answer:
		return err
	case <-c.lost:
		return errControlLost
	case <-ctx.Done():
		// The answer, when it comes, frees the slot.
		return throng.Errorf(throng.Unavailable, "confirm: %w", ctx.Err())
	}
}

// answered passes answers on.
func (c *confirms) answered(said []gen.ConfirmAnswer) {
	for _, a := range said {
		c.mu.Lock()
		answer, ok := c.answers[a.ID]
		delete(c.answers, a.ID)
		c.mu.Unlock()
		if ok {
			<-c.slots
			answer <- a.Err()
		}
	}
}

var errControlLost = throng.Errorf(throng.Unavailable, "the control connection is lost")
