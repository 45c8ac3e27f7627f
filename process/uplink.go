package process

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/coder/websocket"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/fleet/endings"
)

// uplink is a node's connection to one replica of the control plane, made anew
// whenever it is lost.
type uplink struct {
	node *Node
	url  string
	addr string // as it was given

	mu    sync.Mutex
	link  *link         // guarded by mu; nil: not connected
	exits []pendingExit // guarded by mu; not told yet, oldest first. Full: the oldest is dropped; the control plane misses it in the next hello
	count uint64        // guarded by mu
	// news is closed, and made anew, when exits changed. Guarded by mu.
	news chan struct{}
}

type pendingExit struct {
	throng.ServerExit
	number uint64
}

// left is how many exits are not told yet, and whether anybody listens.
func (u *uplink) left() (exits int, connected bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	return len(u.exits), u.link != nil
}

// stayConnected dials for ever, with a growing pause.
func (u *uplink) stayConnected(ctx context.Context) {
	backoff, said := firstBackoff, ""
	log := u.node.cfg.Logger.With("node", u.node.cfg.ID, "addr", u.addr)
	for ctx.Err() == nil {
		begun := time.Now()
		err := u.connect(ctx)
		if ctx.Err() != nil {
			return
		}
		if time.Since(begun) > lastBackoff {
			backoff, said = firstBackoff, ""
		}
		if text := err.Error(); text != said { // one line a cause, not one a try
			log.WarnContext(ctx, "control plane is away, game servers go on", "err", err)
			said = text
		}
		select {
		case <-ctx.Done():
		case <-time.After(backoff/2 + rand.N(backoff)):
			backoff = min(2*backoff, lastBackoff)
		}
	}
}

// connect serves one connection until it is lost.
func (u *uplink) connect(ctx context.Context) error {
	token, err := u.node.cfg.Token()
	if err != nil {
		return fmt.Errorf("read the node's credential: %w", err)
	}
	dialing, cancel := context.WithTimeout(ctx, helloTime)
	defer cancel()
	conn, response, err := websocket.Dial(dialing, u.url, &websocket.DialOptions{ //nolint:bodyclose // Dial says that it need not be
		HTTPClient: u.node.cfg.Client,
		HTTPHeader: http.Header{"Authorization": {"Bearer " + token}},
	})
	if err != nil {
		if response != nil {
			return fmt.Errorf("the control plane answered %s", response.Status)
		}
		return fmt.Errorf("dial: %w", err)
	}
	defer func() { _ = conn.CloseNow() }() // may be closed already
	l := newLink(conn)
	// What begins from here on is told, what began before is in the hello.
	u.connected(l)
	defer u.connected(nil)
	hello, seen := u.hello(ctx)
	if err := l.put(ctx, hello); err != nil {
		return err
	}
	u.node.cfg.Logger.InfoContext(ctx, "connected to the control plane", "node", u.node.cfg.ID, "addr", u.addr)
	return u.serve(ctx, l, seen)
}

func (u *uplink) connected(l *link) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.link = l
}

// hello says what is alive and what ended; seen is the newest exit in it.
func (u *uplink) hello(ctx context.Context) (m message, seen uint64) {
	host := u.node.cfg.Host
	servers, _ := host.List(ctx) // never fails
	m = message{Kind: kindHello, Node: u.node.cfg.ID, Max: min(host.Max(), maxServers), Servers: servers}
	u.mu.Lock()
	defer u.mu.Unlock()
	for _, e := range u.exits {
		m.Exits = append(m.Exits, exitMessage{e.Server, e.Reason})
		seen = e.number
	}
	return m, seen
}

// serve does what it is told over one connection, and tells exits.
func (u *uplink) serve(ctx context.Context, l *link, seen uint64) error {
	ctx, cancel := context.WithCancel(ctx)
	var group sync.WaitGroup
	// What is being done ends before the next hello says what is alive.
	defer group.Wait()
	defer cancel()
	group.Go(func() { u.tell(ctx, l, seen) })
	work := make(chan struct{}, maxWork)
	return l.run(ctx, func(m message) error {
		switch m.Kind {
		case kindTold:
			u.told(m.Server)
		case kindAllocate, kindRelease:
			select {
			case work <- struct{}{}:
				group.Go(func() {
					defer func() { <-work }()
					u.answer(ctx, l, m)
				})
			default:
				return l.send(ctx, answerTo(m, throng.RetryLater(throng.Unavailable, time.Second, "the node is busy")))
			}
		}
		return nil
	})
}

func (u *uplink) answer(ctx context.Context, l *link, m message) {
	var err error
	if m.Kind == kindAllocate {
		if err = u.node.cfg.Host.Start(ctx, m.Server, m.Env); err == nil {
			u.node.began(m.Server, u)
		}
	} else {
		err = u.node.cfg.Host.Release(ctx, m.Server)
	}
	_ = l.send(ctx, answerTo(m, err)) // lost: the next hello says what is alive
}

// began tells that a server was started for another replica, if there is room:
// whoever misses it places servers a little worse.
func (u *uplink) began(id throng.ServerID) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.link == nil {
		return
	}
	select {
	case u.link.out <- message{Kind: kindBegan, Server: id}:
	default:
	}
}

// keep remembers an exit until it is told.
func (u *uplink) keep(e throng.ServerExit) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if len(u.exits) == endings.Most {
		u.exits = u.exits[1:]
	}
	u.count++
	u.exits = append(u.exits, pendingExit{e, u.count})
	u.changed()
}

func (u *uplink) told(id throng.ServerID) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if i := slices.IndexFunc(u.exits, func(e pendingExit) bool { return e.Server == id }); i >= 0 {
		u.exits = append(u.exits[:i:i], u.exits[i+1:]...)
	}
	u.changed()
}

// changed wakes whoever waits for news; mu is held.
func (u *uplink) changed() {
	close(u.news)
	u.news = make(chan struct{})
}

// tell sends each exit once over a connection, from those after seen on.
func (u *uplink) tell(ctx context.Context, l *link, seen uint64) {
	for {
		u.mu.Lock()
		news := u.news
		var fresh []pendingExit
		for _, e := range u.exits {
			if e.number > seen {
				fresh = append(fresh, e)
			}
		}
		u.mu.Unlock()
		for _, e := range fresh {
			err := l.send(ctx, message{Kind: kindExited, Server: e.Server, Reason: e.Reason})
			if errors.Is(err, errLost) || ctx.Err() != nil {
				return
			}
			seen = e.number
		}
		select {
		case <-news:
		case <-l.lost:
			return
		case <-ctx.Done():
			return
		}
	}
}
