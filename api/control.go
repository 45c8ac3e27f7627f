package api

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/coder/websocket"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/api/gen"
)

const (
	controlSize  = 16 << 10 // bytes a message from below
	controlQueue = 256
	// controlBuffer is what an idle connection keeps, each way; a larger message
	// is read and written past it.
	controlBuffer = 512
	helloTime     = 10 * time.Second
	writeTime     = 5 * time.Second
	maxHandovers  = 16 // unanswered on one connection
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
	l := newLink(a.metrics)
	l.conn, err = websocket.Accept(lean{w}, r, &websocket.AcceptOptions{OnPingReceived: l.pinged})
	if err != nil {
		return // it answered
	}
	l.conn.SetReadLimit(controlSize)
	// The connection outlives the call, whose goroutine is deep in net/http and
	// holds the request and its buffers.
	caller, token := callerOf(r.Context()), bearer(r)
	a.open.detach(context.WithoutCancel(r.Context()), keepPlace(r.Context()), func(ctx context.Context) {
		err := l.serve(ctx, a, caller, token)
		if websocket.CloseStatus(err) != websocket.StatusNormalClosure && ctx.Err() == nil {
			a.log.InfoContext(ctx, "control connection lost", "server", id, "err", err)
		}
	})
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
		if a.distrusts(ctx, token) {
			end()
			return
		}
	}
}

// distrusts says that a connection's credential is good no more.
func (a *API) distrusts(ctx context.Context, token string) bool {
	if _, ok := a.cfg.Auth.Known(token); ok {
		return false
	}
	_, err := a.cfg.Auth.Authenticate(ctx, token)
	if err == nil || throng.KindOf(err) != throng.Denied {
		return false
	}
	a.log.InfoContext(ctx, "control connection ended: its credential is good no more")
	return true
}

func isWebSocket(r *http.Request) error {
	if strings.EqualFold(r.Header.Get("Upgrade"), "websocket") {
		return nil
	}
	return withStatus(http.StatusUpgradeRequired, throng.Errorf(throng.Invalid, "this is a WebSocket"))
}

// link is one game server's control connection. Thousands of them are idle, so
// each has two goroutines, one of which reads, and room that grows when it is
// needed.
type link struct {
	conn    *websocket.Conn
	metrics *metrics
	heard   atomic.Int64 // when the server gave its last sign of life; Unix nanoseconds

	wake chan struct{} // holds one: down has something, or confirming has
	lost chan struct{} // closed when it is over
	lose func()

	mu sync.Mutex
	// controlQueue of them: the connection is closed. The server comes back, and
	// its orders are in its heartbeat answers until it carried them out.
	down    []gen.ControlDown  // guarded by mu
	next    uint64             // guarded by mu
	answers map[uint64]handing // guarded by mu; handovers that are not answered
	// given is those that nobody waits for any more: the server may take one all
	// the same. At most maxHandovers, the latest. Guarded by mu.
	given map[uint64]throng.SessionID

	confirming confirming
}

// handing is a handover whose answer is awaited.
type handing struct {
	session throng.SessionID
	answer  chan<- error // with room for one
}

func newLink(m *metrics) *link {
	l := &link{
		metrics: m,
		wake:    make(chan struct{}, 1),
		lost:    make(chan struct{}),
		answers: make(map[uint64]handing),
		given:   make(map[uint64]throng.SessionID),
	}
	l.lose = sync.OnceFunc(func() {
		close(l.lost)
		go l.conn.CloseNow() //nolint:errcheck // whoever writes is let go
	})
	return l
}

// serve blocks until the connection is over, and says why.
func (l *link) serve(ctx context.Context, a *API, caller Caller, token string) error {
	defer l.conn.CloseNow() //nolint:errcheck // closed properly already, or past caring
	hello, err := l.hello(ctx, caller)
	if err != nil {
		l.refuse(err)
		return err
	}
	l.sign()
	detach, err := a.cfg.Fleet.Attach(hello, l)
	if err != nil {
		l.refuse(err)
		return err
	}
	left := false
	defer func() { detach(left) }()
	defer l.lose()
	l.confirming.begin(a, hello)
	if err := l.send(gen.ControlDown{Welcome: &gen.Welcome{Confirms: maxConfirms}}); err != nil {
		return err
	}
	running, cancel := context.WithCancel(ctx)
	read := make(chan error, 1)
	var group sync.WaitGroup
	// Reading ends with the connection, which a context would cut off without
	// a word.
	group.Go(func() {
		defer l.confirming.wait()
		read <- l.read(context.WithoutCancel(ctx), running)
	})
	err = l.tend(running, a, token, read)
	left = websocket.CloseStatus(err) == websocket.StatusNormalClosure
	cancel()
	if ctx.Err() != nil || errors.Is(err, errDistrusted) {
		_ = l.conn.Close(websocket.StatusGoingAway, "the door closes")
	}
	_ = l.conn.CloseNow()
	group.Wait()
	return err
}

// errDistrusted ends a connection whose credential is good no more.
var errDistrusted = throng.Errorf(throng.Unavailable, "the credential is good no more")

// tend writes, tells of doors and looks whether the server is there, until the
// connection is over.
func (l *link) tend(ctx context.Context, a *API, token string, read <-chan error) error {
	var group sync.WaitGroup
	defer group.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	tick := time.NewTicker(a.pingEvery)
	defer tick.Stop()
	looked := make(chan error, 1)
	looking := false
	changed, err := l.tellDoors(a)
	for err == nil {
		select {
		case <-ctx.Done():
			err = ctx.Err()
		case <-l.lost:
			err = errLost
		case err = <-read:
		case <-l.wake:
			err = l.write(ctx)
		case <-changed:
			changed, err = l.tellDoors(a)
		case <-tick.C:
			if _, known := a.cfg.Auth.Known(token); !looking && (!known || l.silent() >= a.pingEvery) {
				looking = true
				group.Go(func() { looked <- l.look(ctx, a, token) })
			}
		case err = <-looked:
			looking = false
		}
	}
	return err
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
		l.sign()
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

// write sends what is queued.
func (l *link) write(ctx context.Context) error {
	if err := l.writeConfirmed(ctx); err != nil {
		return err
	}
	for {
		down, ok := l.take()
		if !ok {
			return nil
		}
		if err := l.writeOne(ctx, down); err != nil {
			return err
		}
		if down.Doors != nil {
			l.metrics.doors.Inc()
		}
	}
}

// take takes what is to be written next. An empty queue keeps no memory.
func (l *link) take() (down gen.ControlDown, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.down) == 0 {
		return down, false
	}
	down, l.down[0] = l.down[0], down
	if l.down = l.down[1:]; len(l.down) == 0 {
		l.down = nil
	}
	return down, true
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

// sign notes that the server is there.
func (l *link) sign() { l.heard.Store(time.Now().UnixNano()) }

// silent is for how long it gave no sign.
func (l *link) silent() time.Duration { return time.Since(time.Unix(0, l.heard.Load())) }

func (l *link) pinged(context.Context, []byte) bool {
	l.sign()
	return true
}

// look finds out that the other side is gone within two intervals, or is to be
// trusted no more. One that asks whether we are there needs not be asked.
func (l *link) look(ctx context.Context, a *API, token string) error {
	if a.distrusts(ctx, token) {
		return errDistrusted
	}
	silent := l.silent()
	if silent < a.pingEvery {
		return nil
	}
	pong, cancel := context.WithTimeout(ctx, max(2*a.pingEvery-silent, a.pingEvery/2))
	defer cancel()
	if err := l.conn.Ping(pong); err != nil {
		return errors.Join(errLost, err)
	}
	l.sign()
	return nil
}

// tellDoors tells the server where else the region is reached; changed is closed
// when it is to be told again.
func (l *link) tellDoors(a *API) (changed <-chan struct{}, err error) {
	if a.cfg.Doors == nil {
		return nil, nil //nolint:nilnil // a channel that is never closed
	}
	list, changed := a.cfg.Doors()
	return changed, l.send(gen.ControlDown{Doors: list})
}

func (l *link) send(down gen.ControlDown) error {
	select {
	case <-l.lost:
		return errLost
	default:
	}
	l.mu.Lock()
	full := len(l.down) >= controlQueue
	if !full {
		l.down = append(l.down, down)
	}
	l.mu.Unlock()
	if full {
		l.metrics.overflows.Inc()
		l.lose()
		return throng.Errorf(throng.Unavailable, "the control connection is too slow, and closed")
	}
	l.awake()
	return nil
}

// awake lets what is queued be written.
func (l *link) awake() {
	select {
	case l.wake <- struct{}{}:
	default:
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
