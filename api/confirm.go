package api

import (
	"context"
	"runtime"
	"sync"
	"time"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/api/gen"
	"github.com/throng-gg/throng/edge/shed"
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
	shed     *shed.Shedder
	hello    throng.Hello
	// Owned by the connection's reader: the session that the server took.
	session throng.SessionID

	working sync.WaitGroup

	mu         sync.Mutex
	unanswered int                 // guarded by mu; up to maxConfirms
	done       []gen.ConfirmAnswer // guarded by mu; to be written
}

func (c *confirming) begin(a *API, hello throng.Hello) {
	c.registry, c.shed, c.hello, c.session = a.cfg.Registry, a.shed, hello, hello.Session
}

// wait returns when nothing is worked on any more.
func (c *confirming) wait() { c.working.Wait() }

// confirm works on what a server asks for beside reading on. Too many unanswered
// ones close the connection: the server was told how many there may be.
func (l *link) confirm(ctx context.Context, asks []gen.ConfirmAsk) {
	c := &l.confirming
	for _, ask := range asks {
		if !c.enter() {
			l.metrics.overflows.Inc()
			l.lose()
			return
		}
		session := c.session
		c.working.Go(func() {
			end := c.shed.Lease()
			err := c.ask(ctx, session, ask)
			end(throng.KindOf(err) != throng.Unavailable || err == nil)
			l.metrics.confirms.WithLabelValues(codeOf(err)).Inc()
			c.answer(gen.ConfirmAnswerOf(ask.ID, err))
			l.awake()
		})
	}
}

// enter says whether there is room for one more.
func (c *confirming) enter() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.unanswered >= maxConfirms {
		return false
	}
	c.unanswered++
	return true
}

func (c *confirming) answer(a gen.ConfirmAnswer) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.done = append(c.done, a)
}

// take takes the answers that are to be written. None keep no memory.
func (c *confirming) take() []gen.ConfirmAnswer {
	c.mu.Lock()
	defer c.mu.Unlock()
	all := c.done
	c.done = nil
	c.unanswered -= len(all)
	return all
}

func (c *confirming) waiting() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.done) > 0
}

// writeConfirmed sends the answers that there are.
func (l *link) writeConfirmed(ctx context.Context) error {
	if !l.confirming.waiting() {
		return nil
	}
	runtime.Gosched() // those that are about to be done go along
	return l.writeOne(ctx, gen.ControlDown{Confirmed: l.confirming.take()})
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

func codeOf(err error) string {
	if err == nil {
		return "ok"
	}
	return throng.KindOf(err).String()
}
