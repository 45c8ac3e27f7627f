package fleet

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/throng-gg/throng"
)

// manner is how a game server behaves.
type manner struct {
	connectIn time.Duration // after its allocation; negative: never
	answer    error         // to a handover; taken all the same
	hang      bool          // no answer to a handover
	bindIn    time.Duration // from the handover to its first heartbeat; negative: never
	diesOn    bool          // when it is handed a session
	diesIn    time.Duration // after it took one; 0: it does not
}

// good is the manner of one that works.
func good() manner { return manner{connectIn: time.Second, bindIn: 300 * time.Millisecond} }

// game is one game server.
type game struct {
	r        *region
	manner   manner
	hello    throng.Hello
	alive    bool
	unlisted bool
	handed   []throng.SessionID
	orders   []throng.Order
	stopped  string
	detach   func()
	leave    func()        // detach of one that closes its connection in order
	at       *Orchestrator // where it connects; nil: at the region's
}

// end is what the backend does to it.
func (g *game) end(reason string) {
	g.r.set(func() {
		if g.alive {
			g.alive = false
			g.r.released = append(g.r.released, g.hello.Server)
		}
	})
	g.r.machine.Over(g.hello.Server, reason)
}

// kill ends the process; the backend says so.
func (g *game) kill() {
	g.r.set(func() { g.alive = false })
	if g.detach != nil {
		g.detach()
	}
	g.r.machine.Over(g.hello.Server, "signal: killed")
}

func (g *game) connect() error {
	g.r.mu.Lock()
	o, hello, alive := cmp.Or(g.at, g.r.o), g.hello, g.alive
	g.r.mu.Unlock()
	if !alive {
		return nil
	}
	detach, err := o.Attach(hello, g)
	if err == nil {
		g.r.set(func() { g.detach = func() { detach(false) }; g.leave = func() { detach(true) } })
	}
	return err
}

func (g *game) Handover(ctx context.Context, h throng.Handover) error {
	g.r.mu.Lock()
	g.handed = append(g.handed, h.Session)
	g.hello.Session = h.Session
	hello, m := g.hello, g.manner
	g.r.mu.Unlock()
	if m.diesOn {
		g.kill()
		return throng.Errorf(throng.Unavailable, "connection lost")
	}
	if m.bindIn >= 0 {
		time.AfterFunc(m.bindIn, func() { g.beat(hello) })
	}
	if m.diesIn > 0 {
		time.AfterFunc(m.diesIn, g.kill)
	}
	if m.hang {
		<-ctx.Done()
		return throng.Errorf(throng.Unavailable, "no answer")
	}
	return m.answer
}

// beat is the first heartbeat; one that is told Ended ends.
func (g *game) beat(hello throng.Hello) {
	g.r.mu.Lock()
	alive := g.alive
	g.r.mu.Unlock()
	if alive && !g.r.heartbeat(hello.Session, hello) {
		g.kill()
	}
}

func (g *game) Order(_ throng.SessionID, o throng.Order) error {
	g.r.mu.Lock()
	defer g.r.mu.Unlock()
	g.orders = append(g.orders, o)
	return nil
}

func (g *game) Stop(reason string) error {
	g.r.mu.Lock()
	defer g.r.mu.Unlock()
	g.stopped = reason
	return nil
}

func (g *game) ordered() []throng.Order {
	g.r.mu.Lock()
	defer g.r.mu.Unlock()
	return slices.Clone(g.orders)
}
