package api

import (
	"context"
	"sync"
	"time"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/api/gen"
)

const (
	maxConfirms = 64 // unanswered on one connection; more are told to come again
	confirmTime = 5 * time.Second
)

// confirming is the confirms of one control connection. A herd that arrives at a
// session makes one message of many, which costs the door a fraction of a call
// for each.
type confirming struct {
	registry Registry
	hello    throng.Hello
	// Owned by the connection's reader: the session that the server took.
	session throng.SessionID

	slots chan struct{} // maxConfirms; full: refused
	// Has room for all answers that can be on their way.
	done    chan gen.ConfirmAnswer
	working sync.WaitGroup
}

func newConfirming() confirming {
	return confirming{
		slots: make(chan struct{}, maxConfirms),
		done:  make(chan gen.ConfirmAnswer, maxConfirms),
	}
}

func (c *confirming) begin(r Registry, hello throng.Hello) {
	c.registry, c.hello, c.session = r, hello, hello.Session
}

// wait returns when nothing is worked on any more.
func (c *confirming) wait() { c.working.Wait() }

// confirm works on what a server asks for beside reading on. Too many unanswered
// ones close the connection: the server was told how many there may be.
func (l *link) confirm(ctx context.Context, asks []gen.ConfirmAsk) {
	c := &l.confirming
	for _, ask := range asks {
		select {
		case c.slots <- struct{}{}:
		default:
			l.metrics.overflows.Inc()
			l.lose()
			return
		}
		session := c.session
		c.working.Go(func() {
			err := c.ask(ctx, session, ask)
			l.metrics.confirms.WithLabelValues(codeOf(err)).Inc()
			// The answer's place in done comes free with the slot.
			c.done <- gen.ConfirmAnswerOf(ask.ID, err)
		})
	}
}

func (c *confirming) ask(ctx context.Context, own throng.SessionID, ask gen.ConfirmAsk) error {
	id, change, err := ask.Root()
	switch {
	case err != nil:
		return err
	case id != own:
		return throng.AtField(throng.Denied, "confirms.session", "this connection is of session %q", own)
	}
	ctx, cancel := context.WithTimeout(ctx, confirmTime)
	defer cancel()
	return c.registry.Confirm(ctx, throng.Heartbeat{
		Session: id, Server: c.hello.Server, Incarnation: c.hello.Incarnation, Address: c.hello.Address, Web: c.hello.Web,
	}, change)
}

// drain returns an answer and those that wait behind it.
func (c *confirming) drain(first gen.ConfirmAnswer) []gen.ConfirmAnswer {
	all := []gen.ConfirmAnswer{first}
	<-c.slots
	for {
		select {
		case next := <-c.done:
			all = append(all, next)
			<-c.slots
		default:
			return all
		}
	}
}

func codeOf(err error) string {
	if err == nil {
		return "ok"
	}
	return throng.KindOf(err).String()
}
