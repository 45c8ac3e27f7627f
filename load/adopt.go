package load

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/client"
)

// Adopted is a session that runs although no registry opened it, as after the
// registry was lost: its server reports it.
type Adopted struct {
	Hand    throng.Handover // with its key and credential
	Server  throng.ServerID
	Players []throng.PlayerID // in it now
	Epoch   throng.Epoch      // theirs
	// Connect keeps a control connection, which confirms go over.
	Connect bool
	// Churn is the chance that a heartbeat tells of a player who left.
	Churn float64
}

// AdoptConfig says which sessions run, and where their servers call.
type AdoptConfig struct {
	Addr     string // URL of the door
	Sessions []Adopted
	AtOnce   int // first reports under way at once; 64
	// Progress is called each second while sessions are reported; nil: nobody looks.
	Progress func(done int)
}

// Adopt reports the sessions, and speaks for them until Run ends. It returns when
// the registry has all of them. Unavailable: Run does not run.
func (h *Host) Adopt(ctx context.Context, c AdoptConfig) error {
	h.mu.Lock()
	running := h.ctx
	h.mu.Unlock()
	if running == nil {
		return throng.Errorf(throng.Unavailable, "simulated servers do not run")
	}
	next := make(chan Adopted)
	var (
		done   atomic.Int64
		group  sync.WaitGroup
		mu     sync.Mutex
		failed error
	)
	fail := func(err error) {
		mu.Lock()
		defer mu.Unlock()
		if failed == nil {
			failed = err
		}
	}
	for range max(c.AtOnce, 1) {
		group.Go(func() {
			for a := range next {
				if err := h.adopt(running, ctx, c.Addr, a); err != nil {
					fail(err)
				}
				done.Add(1)
			}
		})
	}
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for _, a := range c.Sessions {
		select {
		case next <- a:
		case <-ctx.Done():
			fail(ctx.Err())
		}
		select {
		case <-tick.C:
			if c.Progress != nil {
				c.Progress(int(done.Load()))
			}
		default:
		}
	}
	close(next)
	group.Wait()
	return failed
}

// server makes the one of an adopted session, which has to report first.
func (a Adopted) server(addr string, c *http.Client) (*Server, error) {
	door, err := client.NewServer(client.ServerConfig{Addr: addr, Server: a.Server, Token: a.Hand.Token, HTTP: c})
	if err != nil {
		return nil, err
	}
	s := newServer(a.Server, door)
	s.hand, s.full, s.churn = a.Hand, true, a.Churn
	for _, p := range a.Players {
		s.seats[p] = throng.SeatReport{Player: p, Epoch: a.Epoch, Key: throng.TicketKey{Caller: p, Ticket: "t"}}
	}
	s.revision = 1
	return s, nil
}

// introduce sends the first report.
func (s *Server) introduce(ctx context.Context) error {
	for try := 0; ; try++ {
		answer, err := s.beat(ctx)
		if err == nil {
			s.heard(answer)
			return nil
		}
		if try == 10 || ctx.Err() != nil || throng.KindOf(err) != throng.Unavailable {
			return fmt.Errorf("report %s: %w", s.hand.Session, err)
		}
		pause(ctx, time.Second)
	}
}

// adopt makes one server and has it report, with ctx for the first report.
func (h *Host) adopt(running, ctx context.Context, addr string, a Adopted) error {
	s, err := a.server(addr, h.cfg.HTTP)
	if err != nil {
		return err
	}
	living, stop := context.WithCancelCause(running)
	s.stop, s.answered, s.missed = stop, &h.beats, &h.missed
	if err := s.introduce(ctx); err != nil {
		stop(err)
		return err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.ctx == nil {
		stop(errors.New("over"))
		return throng.Errorf(throng.Unavailable, "simulated servers do not run")
	}
	h.sessions[a.Hand.Session] = s
	h.adopted = append(h.adopted, s)
	h.working.Go(func() {
		defer stop(nil)
		var group sync.WaitGroup
		defer group.Wait()
		if a.Connect {
			group.Go(func() { s.connected(living) })
		}
		pause(living, rand.N(throng.HeartbeatTime)) // not all at once
		s.beats(living)
	})
	return nil
}

// Beats is how many heartbeats and reports of adopted sessions were answered, and
// how many failed.
func (h *Host) Beats() (answered, failed int64) {
	return h.beats.Load(), h.missed.Load()
}

// Ended is how many adopted sessions were told that they are over.
func (h *Host) Ended() int {
	h.mu.Lock()
	adopted := h.adopted
	h.mu.Unlock()
	n := 0
	for _, s := range adopted {
		if s.over.Load() {
			n++
		}
	}
	return n
}

// Connected waits until every adopted session that keeps a control connection
// sends its confirms over it.
func (h *Host) Connected(ctx context.Context, which map[throng.SessionID]bool) error {
	for {
		missing := 0
		h.mu.Lock()
		for id := range which {
			if s := h.sessions[id]; s != nil && !s.door.ConfirmsOverControl() {
				missing++
			}
		}
		h.mu.Unlock()
		if missing == 0 {
			return nil
		}
		pause(ctx, 100*time.Millisecond)
		if ctx.Err() != nil {
			return fmt.Errorf("%d control connections are missing: %w", missing, ctx.Err())
		}
	}
}
