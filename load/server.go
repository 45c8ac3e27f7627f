package load

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	mathrand "math/rand/v2"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/client"
	"github.com/throng-gg/throng/wire"
	"github.com/throng-gg/throng/wire/netcode"
)

const (
	confirmTries = 20
	confirmPause = 100 * time.Millisecond
	beatRetry    = time.Second
	redialPause  = 100 * time.Millisecond
)

// Server is one simulated game server: all that a real one says to the control
// plane, without a world.
type Server struct {
	id    throng.ServerID
	door  *client.Server
	hello throng.Hello
	stop  context.CancelCauseFunc
	took  func(throng.SessionID) // a session was handed over
	// Each holds one: a session was handed over; a heartbeat is wanted soon.
	handed chan struct{}
	kick   chan struct{}
	churn  float64 // chance that a heartbeat tells of a player who left
	back   bool    // or of one who came back, in turn
	over   atomic.Bool

	answered, missed *atomic.Int64 // beats of all servers

	mu       sync.Mutex // guards what follows
	hand     throng.Handover
	clock    time.Duration
	revision throng.Revision
	changes  []throng.RosterChange // not acknowledged
	done     uint64                // orders
	full     bool                  // the next heartbeat is a report
	seats    map[throng.PlayerID]throng.SeatReport
	highest  map[throng.PlayerID]throng.Epoch
	away     *throng.SeatReport // who left and comes back; nil: nobody
	hosted   Hosted
}

// Hosted is what a session, or many, saw.
type Hosted struct {
	Sessions     int
	Players      int // in now
	OverCapacity int // players that were let in by a token although no seat was free
	Twice        int // seats that two tokens of one epoch claimed
}

func (h *Hosted) add(o Hosted) {
	h.Sessions += o.Sessions
	h.Players += o.Players
	h.OverCapacity += o.OverCapacity
	h.Twice += o.Twice
}

// newServer makes one that nobody stops or counts.
func newServer(id throng.ServerID, door *client.Server) *Server {
	var e throng.Entropy
	rand.Read(e[:])
	return &Server{
		id: id, door: door, stop: func(error) {}, answered: new(atomic.Int64), missed: new(atomic.Int64), took: func(throng.SessionID) {},
		hello: throng.Hello{
			Server: id, Incarnation: throng.MakeIncarnation(e),
			Address: netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, e[0], e[1], max(e[2], 1)}), 7777),
		},
		handed: make(chan struct{}, 1), kick: make(chan struct{}, 1),
		seats: map[throng.PlayerID]throng.SeatReport{}, highest: map[throng.PlayerID]throng.Epoch{},
	}
}

// run lives until ctx ends.
func (s *Server) run(ctx context.Context) {
	var group sync.WaitGroup
	defer group.Wait()
	group.Go(func() { s.connected(ctx) })
	select {
	case <-ctx.Done():
	case <-s.handed:
		s.beats(ctx)
	}
}

// connected keeps the control connection.
func (s *Server) connected(ctx context.Context) {
	for ctx.Err() == nil {
		s.mu.Lock()
		hello := s.hello
		hello.Session = s.hand.Session
		s.mu.Unlock()
		err := s.door.Serve(ctx, hello, directives{s})
		if err != nil && ctx.Err() == nil && throng.KindOf(err) != throng.Unavailable {
			s.stop(err)
			return
		}
		pause(ctx, redialPause/2+mathrand.N(redialPause))
	}
}

// beats reports until ctx ends.
func (s *Server) beats(ctx context.Context) {
	for ctx.Err() == nil {
		a, err := s.beat(ctx)
		wait := beatRetry
		if err == nil {
			wait = s.heard(a)
			s.answered.Add(1)
		} else if ctx.Err() == nil {
			s.missed.Add(1)
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
		case <-timer.C:
		case <-s.kick:
			pause(ctx, 50*time.Millisecond) // for company
		}
		timer.Stop()
	}
}

func (s *Server) beat(ctx context.Context) (throng.HeartbeatAnswer, error) {
	s.mu.Lock()
	if s.churn > 0 && !s.full && mathrand.Float64() < s.churn { //nolint:gosec // no secret
		s.turn()
	}
	h := throng.Heartbeat{
		Session: s.hand.Session, Server: s.id, Incarnation: s.hello.Incarnation, Address: s.hello.Address,
		Revision: s.revision, Changes: append([]throng.RosterChange(nil), s.changes...), OrdersDone: s.done,
	}
	report := throng.Report{
		Heartbeat: h, Place: s.hand.Place, Version: s.hand.Version, Capacity: s.hand.Capacity, State: throng.SessionOpen,
		OpenedAt: s.hand.OpenedAt, Private: s.hand.Private, Code: s.hand.Code,
	}
	full := s.full
	if full {
		for _, seat := range s.seats {
			report.Seats = append(report.Seats, seat)
		}
	}
	s.mu.Unlock()
	if full {
		return s.door.Report(ctx, report)
	}
	return s.door.Heartbeat(ctx, h)
}

// turn lets a player leave, or the one who left come back. mu is held.
func (s *Server) turn() {
	if s.away == nil {
		for _, seat := range s.seats {
			s.leave(seat)
			if s.back {
				s.away = &seat
			}
			return
		}
		return
	}
	seat := *s.away
	s.away = nil
	seat.Epoch = throng.NextEpoch(time.Now().Add(s.clock), seat.Epoch, uint8(seat.Epoch))
	s.join(seat)
}

// join seats a player. mu is held.
func (s *Server) join(seat throng.SeatReport) throng.RosterChange {
	s.highest[seat.Player] = seat.Epoch
	s.seats[seat.Player] = seat
	s.revision++
	change := throng.RosterChange{
		Revision: s.revision, Kind: throng.RosterJoined, Player: seat.Player, Epoch: seat.Epoch, Key: seat.Key,
	}
	s.changes = append(s.changes, change)
	return change
}

// pending is how many changes the registry has not acknowledged.
func (s *Server) pending() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.changes)
}

// end ends the session.
func (s *Server) end(ctx context.Context, reason string) error {
	s.mu.Lock()
	h := throng.Heartbeat{
		Session: s.hand.Session, Server: s.id, Incarnation: s.hello.Incarnation, Address: s.hello.Address, Revision: s.revision,
	}
	s.mu.Unlock()
	return s.door.End(ctx, h, throng.Ending{Reason: reason})
}

// heard takes an answer and returns when to speak next.
func (s *Server) heard(a throng.HeartbeatAnswer) time.Duration {
	if a.Ended {
		s.over.Store(true)
		s.stop(errors.New("ended: " + a.Reason))
		return time.Hour
	}
	s.mu.Lock()
	s.clock = time.Until(a.Now)
	s.full = a.WantReport
	for len(s.changes) > 0 && s.changes[0].Revision <= a.Acked {
		s.changes = s.changes[1:]
	}
	s.mu.Unlock()
	for _, o := range a.Orders {
		s.order(o)
	}
	if a.WantReport {
		return 0
	}
	next := a.Next
	if next <= 0 {
		next = throng.HeartbeatTime
	}
	return next - next/10 + mathrand.N(next/5+1)
}

func (s *Server) order(o throng.Order) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.done = max(s.done, o.ID)
	switch o.Kind {
	case throng.OrderEvict:
		if seat, ok := s.seats[o.Player]; ok && seat.Epoch <= o.Epoch {
			s.leave(seat)
		}
		s.highest[o.Player] = max(s.highest[o.Player], o.Epoch+1)
	case throng.OrderEnd:
		s.stop(errors.New("ended: " + o.Reason))
	case throng.OrderReport:
		s.full = true
	case throng.OrderDrain, throng.OrderFlush:
	}
	s.soon()
}

func (s *Server) soon() {
	select {
	case s.kick <- struct{}{}:
	default:
	}
}

// leave frees a seat. mu is held.
func (s *Server) leave(seat throng.SeatReport) {
	delete(s.seats, seat.Player)
	s.revision++
	s.changes = append(s.changes, throng.RosterChange{
		Revision: s.revision, Kind: throng.RosterLeft, Player: seat.Player, Epoch: seat.Epoch, Key: seat.Key,
	})
}

// Leave lets a player go. False: he is not in.
func (s *Server) Leave(p throng.PlayerID) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	seat, ok := s.seats[p]
	if ok {
		s.leave(seat)
	}
	return ok
}

// Session is the one that it hosts; empty: none.
func (s *Server) Session() throng.SessionID {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.hand.Session
}

// Hosted is what it saw.
func (s *Server) Hosted() Hosted {
	s.mu.Lock()
	defer s.mu.Unlock()
	h := s.hosted
	h.Sessions, h.Players = 1, len(s.seats)
	return h
}

// Arrive lets a player in by his join token and returns when his seat is
// confirmed. Denied: the token is not good, or the registry says no.
func (s *Server) Arrive(ctx context.Context, token []byte) error {
	s.mu.Lock()
	key, clock := s.hand.Key, s.clock
	s.mu.Unlock()
	opened, err := netcode.OpenToken(token, key, 0, time.Now().Add(clock))
	if err != nil {
		return err
	}
	c, err := wire.ParseClaims(opened.UserData[:])
	if err != nil {
		return err
	}
	change, beat, err := s.admit(c)
	if err != nil {
		return err
	}
	for try := 0; ; try++ {
		err = s.door.Confirm(ctx, beat, change)
		k := throng.KindOf(err)
		if err == nil || k == throng.Denied || k == throng.Invalid || try == confirmTries || ctx.Err() != nil {
			break
		}
		pause(ctx, confirmPause)
	}
	if err != nil {
		s.Leave(c.Player)
		s.soon()
		return fmt.Errorf("confirm %s: %w", c.Player, err)
	}
	return nil
}

// admit gives a player a seat of the server's own.
func (s *Server) admit(c wire.Claims) (throng.RosterChange, throng.Heartbeat, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	old, in := s.seats[c.Player]
	switch {
	case c.Session != s.hand.Session:
		return throng.RosterChange{}, throng.Heartbeat{}, throng.Errorf(throng.Denied, "the token is of %s", c.Session)
	case c.Epoch < s.highest[c.Player]:
		return throng.RosterChange{}, throng.Heartbeat{}, throng.Errorf(throng.Denied, "epoch %d is over", c.Epoch)
	case in && old.Epoch == c.Epoch:
		s.hosted.Twice++
	case !in && len(s.seats) >= s.hand.Capacity:
		s.hosted.OverCapacity++
		return throng.RosterChange{}, throng.Heartbeat{}, throng.Errorf(throng.Full, "no seat is free")
	}
	change := s.join(throng.SeatReport{Player: c.Player, Epoch: c.Epoch, Key: c.Key})
	return change, throng.Heartbeat{
		Session: c.Session, Server: s.id, Incarnation: s.hello.Incarnation, Address: s.hello.Address, Revision: s.revision,
	}, nil
}

// directives is what the control plane tells a Server.
type directives struct{ s *Server }

// Connected is no news.
func (d directives) Connected() {}

// Handover takes the one session of this server's life.
func (d directives) Handover(h throng.Handover) error {
	s := d.s
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case h.Incarnation != s.hello.Incarnation:
		return throng.Errorf(throng.Conflict, "the handover is meant for another incarnation")
	case s.hand.Session == h.Session:
		return nil
	case s.hand.Session != "":
		return throng.Errorf(throng.Conflict, "the server has %s", s.hand.Session)
	}
	s.hand = h
	s.took(h.Session) // before a heartbeat can bring players
	s.handed <- struct{}{}
	return nil
}

// Order carries an order out.
func (d directives) Order(_ throng.SessionID, o throng.Order) { d.s.order(o) }

// Stop ends an idle server.
func (d directives) Stop(reason string) { d.s.stop(errors.New("stopped: " + reason)) }

// pause waits, or until ctx ends.
func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}
