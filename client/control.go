package client

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/coder/websocket"
	"golang.org/x/sync/errgroup"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/api/gen"
)

const (
	controlSize = 64 << 10 // bytes a message
	dialTime    = 5 * time.Second
	writeTime   = 5 * time.Second
	pingEvery   = 5 * time.Second
)

// Directives is what the control plane can tell a server. None of them blocks.
type Directives interface {
	// Connected tells that the control plane took the connection.
	Connected()
	// Handover gives the server its session. Its error goes back to the
	// orchestrator.
	Handover(h throng.Handover) error
	// Order is one order for the server's session.
	Order(s throng.SessionID, o throng.Order)
	// Stop ends an idle server.
	Stop(reason string)
}

// Control is Serve with the Directives of another package, whose interface may
// ask for its own type: Control[gameserver.Directives]{Server: s}.
type Control[D Directives] struct{ *Server }

// Serve is Server.Serve.
func (c Control[D]) Serve(ctx context.Context, hello throng.Hello, d D) error {
	return c.Server.Serve(ctx, hello, d)
}

// Serve connects, says hello and passes directives on, one at a time, until ctx
// ends or the connection is lost. It never returns nil: Unavailable is a loss
// (call again: another door is tried, if there is one), another kind is a door
// that will not have this server. The token of an accepted handover is used from
// then on, by all calls.
func (s *Server) Serve(ctx context.Context, hello throng.Hello, d Directives) error {
	conn, door, err := s.dial(ctx)
	if err != nil {
		return err
	}
	defer s.control.leave(door)
	defer conn.CloseNow() //nolint:errcheck // closed properly already, or past caring
	conn.SetReadLimit(controlSize)
	said := gen.HelloOf(hello)
	if err := write(ctx, conn, gen.ControlUp{Hello: &said}); err != nil {
		return lost(err)
	}
	d.Connected()
	group, running := errgroup.WithContext(ctx)
	// Reading ends with the connection, which a context would cut off without
	// a word.
	group.Go(func() error {
		welcome := func(w gen.Welcome) {
			if w.Confirms > 0 && s.confirms.Load() == nil {
				c := newConfirms(min(w.Confirms, confirmQueue))
				s.confirms.Store(c)
				group.Go(func() error { return c.run(running, conn) })
			}
		}
		return s.listen(context.WithoutCancel(ctx), conn, d, welcome)
	})
	group.Go(func() error { return ping(running, conn) })
	group.Go(func() error {
		<-running.Done()
		if ctx.Err() != nil {
			_ = conn.Close(websocket.StatusNormalClosure, "")
		}
		_ = conn.CloseNow()
		return running.Err()
	})
	err = group.Wait()
	s.confirms.Store(nil)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return lost(err)
}

// dial connects to the first door that takes it, beginning with the one of the
// connection before.
func (s *Server) dial(ctx context.Context) (conn *websocket.Conn, door string, err error) {
	for range s.control.count() {
		door = s.control.now()
		if conn, err = s.dialOne(ctx, door); err == nil || ctx.Err() != nil {
			break
		}
		s.control.leave(door)
	}
	return conn, door, err
}

func (s *Server) dialOne(ctx context.Context, door string) (*websocket.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTime)
	defer cancel()
	url := door + "v1/servers/" + string(s.cfg.Server) + "/control"
	conn, resp, err := websocket.Dial(ctx, url, &websocket.DialOptions{ //nolint:bodyclose // it is in memory or hijacked
		HTTPClient: s.cfg.HTTP,
		HTTPHeader: http.Header{"Authorization": {"Bearer " + s.credential()}},
	})
	if err != nil && resp != nil && resp.Body != nil {
		return nil, problem(resp)
	}
	if err != nil {
		return nil, throng.Errorf(throng.Unavailable, "call the door: %w", err)
	}
	return conn, nil
}

func (s *Server) listen(ctx context.Context, conn *websocket.Conn, d Directives, welcome func(gen.Welcome)) error {
	for {
		_, message, err := conn.Read(ctx)
		if err != nil {
			return err
		}
		var down gen.ControlDown
		if err := json.Unmarshal(message, &down); err != nil {
			return err
		}
		switch {
		case down.Handover != nil:
			err = s.handover(ctx, conn, d, *down.Handover)
		case down.Order != nil:
			passOrder(d, *down.Order)
		case down.Stop != nil:
			d.Stop(down.Stop.Reason)
		case down.Welcome != nil:
			welcome(*down.Welcome)
		case len(down.Confirmed) > 0:
			if c := s.confirms.Load(); c != nil {
				c.answered(down.Confirmed)
			}
		case len(down.Doors) > 0:
			s.line.doors.learn(down.Doors)
			s.control.learn(down.Doors)
		}
		if err != nil {
			return err
		}
	}
}

// handover uses the new token before it says yes, so that a call that follows
// on the answer brings it. A server without a session makes no calls that the
// new token is not good for, so there it is used even before the server hears of
// its session, which it begins to speak for at once.
func (s *Server) handover(ctx context.Context, conn *websocket.Conn, d Directives, said gen.Handover) error {
	h, err := said.Root()
	if err == nil && s.hosts.Load() {
		if err = d.Handover(h); err == nil {
			s.token.Store(&h.Token)
		}
	} else if err == nil {
		old := s.token.Swap(&h.Token)
		if err = d.Handover(h); err == nil {
			s.hosts.Store(true)
		} else {
			s.token.Store(old)
		}
	}
	answer := gen.HandoverAnswerOf(said.ID, err)
	return write(ctx, conn, gen.ControlUp{HandoverAnswer: &answer})
}

// passOrder drops what it does not understand: a newer registry's, which sends
// it again in heartbeat answers and sees that it is not done.
func passOrder(d Directives, said gen.SessionOrder) {
	session, err := throng.ParseSessionID("order.session", said.Session)
	if err != nil {
		return
	}
	order, err := said.Order.Root()
	if err != nil {
		return
	}
	d.Order(session, order)
}

func write(ctx context.Context, conn *websocket.Conn, up gen.ControlUp) error {
	message, err := json.Marshal(up)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, writeTime)
	defer cancel()
	return conn.Write(ctx, websocket.MessageText, message)
}

func ping(ctx context.Context, conn *websocket.Conn) error {
	tick := time.NewTicker(pingEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
		pong, cancel := context.WithTimeout(ctx, pingEvery)
		err := conn.Ping(pong)
		cancel()
		if err != nil {
			return err
		}
	}
}

// lost makes the door's refusal again ("conflict: words", status 1008), or
// Unavailable.
func lost(err error) error {
	closed, ok := errors.AsType[websocket.CloseError](err)
	if !ok || closed.Code != websocket.StatusPolicyViolation {
		return throng.Errorf(throng.Unavailable, "the control connection is lost: %w", err)
	}
	code, words, _ := strings.Cut(closed.Reason, ": ")
	return throng.Errorf(throng.ParseKind(code), "the door refused: %s", words)
}
