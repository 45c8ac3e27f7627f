package api

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/coder/websocket"
	"golang.org/x/sync/errgroup"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/api/gen"
)

const (
	controlSize  = 16 << 10 // bytes a message from below
	controlQueue = 256
	helloTime    = 10 * time.Second
	writeTime    = 5 * time.Second
	maxHandovers = 16 // unanswered on one connection
)

// errLost is what a control connection's users get when it is over.
var errLost = throng.Errorf(throng.Unavailable, "the control connection is lost")

// serverControl serves the control connection of one game server.
func (a *API) serverControl(w http.ResponseWriter, r *http.Request) {
	id, err := throng.ParseServerID("id", r.PathValue("id"))
	if err == nil {
		err = ownServer(callerOf(r.Context()), "id", id)
	}
	if err == nil {
		err = isWebSocket(r)
	}
	if err != nil {
		a.fail(w, r, err)
		return
	}
	conn, err := websocket.Accept(w, r, nil)
	if err != nil {
		return // it answered
	}
	conn.SetReadLimit(controlSize)
	ctx, left := a.open.enter(r.Context())
	defer left()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go a.trusted(ctx, cancel, bearer(r))
	l := newLink(conn, a.metrics)
	err = l.serve(ctx, callerOf(ctx), a)
	if websocket.CloseStatus(err) != websocket.StatusNormalClosure && ctx.Err() == nil {
		a.log.InfoContext(ctx, "control connection lost", "server", id, "err", err)
	}
}

// nodeControl serves the control connection of one node.
func (a *API) nodeControl(w http.ResponseWriter, r *http.Request) {
	id, err := throng.ParseNodeID("id", r.PathValue("id"))
	switch {
	case err != nil:
	case callerOf(r.Context()).Node != id:
		err = throng.AtField(throng.Denied, "id", "the token is not good for node %q", id)
	case a.cfg.Nodes == nil:
		err = throng.Errorf(throng.Unsupported, "this door takes no nodes")
	default:
		err = isWebSocket(r)
	}
	if err != nil {
		a.fail(w, r, err)
		return
	}
	ctx, left := a.open.enter(r.Context())
	defer left()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go a.trusted(ctx, cancel, bearer(r))
	a.cfg.Nodes.ServeNode(w, r.WithContext(ctx), id)
}

// trusted ends a connection whose credential is good no more: its key was taken
// out, or its time is over.
func (a *API) trusted(ctx context.Context, end func(), token string) {
	tick := time.NewTicker(a.pingEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if _, ok := a.cfg.Auth.Known(token); ok {
			continue
		}
		if _, err := a.cfg.Auth.Authenticate(ctx, token); throng.KindOf(err) == throng.Denied && err != nil {
			a.log.InfoContext(ctx, "control connection ended: its credential is good no more")
			end()
			return
		}
	}
}

func isWebSocket(r *http.Request) error {
	if strings.EqualFold(r.Header.Get("Upgrade"), "websocket") {
		return nil
	}
	return withStatus(http.StatusUpgradeRequired, throng.Errorf(throng.Invalid, "this is a WebSocket"))
}

// link is one game server's control connection.
type link struct {
	conn    *websocket.Conn
	metrics *metrics

	// Full: the connection is closed. The server comes back, and its orders are
	// in its heartbeat answers until it carried them out.
	down chan gen.ControlDown
	lost chan struct{} // closed when it is over
	lose func()

	mu      sync.Mutex
	next    uint64
	answers map[uint64]handing // handovers that are not answered
	// given is those that nobody waits for any more: the server may take one all
	// the same. At most maxHandovers, the latest.
	given map[uint64]throng.SessionID

	confirming confirming
}

// handing is a handover whose answer is awaited.
type handing struct {
	session throng.SessionID
	answer  chan<- error // with room for one
}

func newLink(conn *websocket.Conn, m *metrics) *link {
	lost := make(chan struct{})
	return &link{
		conn:       conn,
		metrics:    m,
		down:       make(chan gen.ControlDown, controlQueue),
		lost:       lost,
		lose:       sync.OnceFunc(func() { close(lost) }),
		answers:    make(map[uint64]handing),
		given:      make(map[uint64]throng.SessionID),
		confirming: newConfirming(),
	}
}

// serve blocks until the connection is over, and says why.
func (l *link) serve(ctx context.Context, caller Caller, a *API) error {
	defer l.conn.CloseNow() //nolint:errcheck // closed properly already, or past caring
	hello, err := l.hello(ctx, caller)
	if err != nil {
		l.refuse(err)
		return err
	}
	detach, err := a.cfg.Fleet.Attach(hello, l)
	if err != nil {
		l.refuse(err)
		return err
	}
	defer detach()
	defer l.lose()
	l.confirming.begin(a.cfg.Registry, hello)
	if err := l.send(gen.ControlDown{Welcome: &gen.Welcome{Confirms: maxConfirms}}); err != nil {
		return err
	}
	group, running := errgroup.WithContext(ctx)
	// Reading ends with the connection, which a context would cut off without
	// a word.
	group.Go(func() error {
		defer l.confirming.wait()
		return l.read(context.WithoutCancel(ctx), running)
	})
	group.Go(func() error { return l.write(running) })
	group.Go(func() error { return l.ping(running, a.pingEvery) })
	if a.cfg.Doors != nil {
		group.Go(func() error { return l.tellDoors(running, a.cfg.Doors) })
	}
	group.Go(func() error {
		select {
		case <-l.lost:
		case <-running.Done():
		}
		if ctx.Err() != nil {
			_ = l.conn.Close(websocket.StatusGoingAway, "the door closes")
		}
		_ = l.conn.CloseNow()
		return errLost
	})
	return group.Wait()
}

func (l *link) hello(ctx context.Context, caller Caller) (throng.Hello, error) {
	ctx, cancel := context.WithTimeout(ctx, helloTime)
	defer cancel()
	up, err := l.receive(ctx)
	if err != nil {
		return throng.Hello{}, err
	}
	if up.Hello == nil {
		return throng.Hello{}, throng.AtField(throng.Invalid, "hello", "is not the first message")
	}
	hello, err := up.Hello.Root()
	if err != nil {
		return throng.Hello{}, err
	}
	if err := ownServer(caller, "hello.server", hello.Server); err != nil {
		return throng.Hello{}, err
	}
	if hello.Session != caller.Session {
		return throng.Hello{}, throng.AtField(throng.Denied, "hello.session", "the token is of session %q", caller.Session)
	}
	return hello, nil
}

func (l *link) receive(ctx context.Context) (gen.ControlUp, error) {
	_, message, err := l.conn.Read(ctx)
	if err != nil {
		return gen.ControlUp{}, err
	}
	var up gen.ControlUp
	if err := json.Unmarshal(message, &up); err != nil {
		return gen.ControlUp{}, decodeError(err)
	}
	return up, nil
}

// refuse closes the connection in a way that the server can tell from a loss.
func (l *link) refuse(err error) {
	reason := throng.KindOf(err).String() + ": " + err.Error()
	// Protocol: a reason has up to 123 bytes.
	_ = l.conn.Close(websocket.StatusPolicyViolation, strings.ToValidUTF8(reason[:min(len(reason), 123)], ""))
}

// read takes what the server says until the connection ends; what it asks for is
// worked on until running does.
func (l *link) read(ctx, running context.Context) error {
	for {
		up, err := l.receive(ctx)
		if throng.KindOf(err) == throng.Invalid && err != nil {
			l.refuse(err)
		}
		if err != nil {
			return err
		}
		if len(up.Confirms) > 0 {
			l.confirm(running, up.Confirms)
		}
		if up.HandoverAnswer != nil {
			l.handed(*up.HandoverAnswer)
		}
	}
}

// handed passes a handover's answer on. The session that the server took is the
// one that it speaks for from now on.
func (l *link) handed(said gen.HandoverAnswer) {
	l.mu.Lock()
	h, ok := l.answers[said.ID]
	if !ok {
		h.session = l.given[said.ID]
	}
	delete(l.answers, said.ID)
	delete(l.given, said.ID)
	l.mu.Unlock()
	err := said.Err()
	if err == nil && h.session != "" {
		l.confirming.session = h.session
	}
	if ok {
		h.answer <- err
	}
}

// giveUp waits for a handover's answer no more. mu is held.
func (l *link) giveUp(id uint64) {
	h, ok := l.answers[id]
	if !ok {
		return
	}
	delete(l.answers, id)
	l.given[id] = h.session
	if len(l.given) > maxHandovers {
		delete(l.given, slices.Min(slices.Collect(maps.Keys(l.given))))
	}
}

func (l *link) write(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case down := <-l.down:
			if err := l.writeOne(ctx, down); err != nil {
				return err
			}
			if down.Doors != nil {
				l.metrics.doors.Inc()
			}
		case first := <-l.confirming.done:
			runtime.Gosched() // those that are about to be done go along
			if err := l.writeOne(ctx, gen.ControlDown{Confirmed: l.confirming.drain(first)}); err != nil {
				return err
			}
		}
	}
}

func (l *link) writeOne(ctx context.Context, down gen.ControlDown) error {
	message, err := json.Marshal(down)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, writeTime)
	defer cancel()
	return l.conn.Write(ctx, websocket.MessageText, message)
}

// ping finds out that the other side is gone within two intervals.
func (l *link) ping(ctx context.Context, every time.Duration) error {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
		pong, cancel := context.WithTimeout(ctx, every)
		err := l.conn.Ping(pong)
		cancel()
		if err != nil {
			return errors.Join(errLost, err)
		}
	}
}

// tellDoors tells the server where else the region is reached, at once and
// whenever it changes.
func (l *link) tellDoors(ctx context.Context, doors func() ([]string, <-chan struct{})) error {
	for {
		list, changed := doors()
		if err := l.send(gen.ControlDown{Doors: list}); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-changed:
		}
	}
}

func (l *link) send(down gen.ControlDown) error {
	select {
	case <-l.lost:
		return errLost
	default:
	}
	select {
	case l.down <- down:
		return nil
	default:
		l.metrics.overflows.Inc()
		l.lose()
		return throng.Errorf(throng.Unavailable, "the control connection is too slow, and closed")
	}
}

// Handover gives the server a session and waits for its answer. Unavailable:
// the connection was lost, or ctx ended, and the server may have taken it.
func (l *link) Handover(ctx context.Context, h throng.Handover) error {
	answer := make(chan error, 1)
	l.mu.Lock()
	if len(l.answers) >= maxHandovers {
		l.mu.Unlock()
		return throng.Errorf(throng.Unavailable, "%d handovers are not answered yet", maxHandovers)
	}
	l.next++
	id := l.next
	l.answers[id] = handing{h.Session, answer}
	l.mu.Unlock()
	defer func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.giveUp(id)
	}()
	handover := gen.HandoverOf(id, h)
	if err := l.send(gen.ControlDown{Handover: &handover}); err != nil {
		return err
	}
	select {
	case err := <-answer:
		return err
	case <-l.lost:
		return errLost
	case <-ctx.Done():
		return throng.Errorf(throng.Unavailable, "no answer to the handover: %w", ctx.Err())
	}
}

// Order sends an order. It does not wait.
func (l *link) Order(s throng.SessionID, o throng.Order) error {
	return l.send(gen.ControlDown{Order: &gen.SessionOrder{Session: string(s), Order: gen.OrderOf(o)}})
}

// Stop tells an idle server to end. It does not wait.
func (l *link) Stop(reason string) error {
	return l.send(gen.ControlDown{Stop: &gen.Stop{Reason: reason}})
}
