package client

import (
	"context"
	"math/rand/v2"
	"net/netip"
	"strings"
	"time"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/api/gen"
)

const (
	joinTime = 2 * time.Minute  // for a ticket, beyond the wait that the door states
	mostTime = 30 * time.Minute // for a ticket, all in all
	pollTime = 20 * time.Second
	// firstWait is how long a ticket waits at first where there are several doors.
	firstWait = 2 * time.Second
	firstTry  = 100 * time.Millisecond
	// notYetTime is how long a ticket may be unknown that a party shows.
	notYetTime = 3 * time.Second
	lastTry    = 2 * time.Second
	mostPause  = 10 * time.Second
)

// Assignment is a party's seats, with the token of the player who asked.
type Assignment struct {
	Ticket  throng.TicketID
	Session throng.SessionID
	Place   throng.PlaceID
	Version throng.Version
	Region  throng.RegionID
	Address netip.AddrPort // where to connect, by UDP
	// Web is where browsers connect; its WebSocket is the door's.
	Web       throng.WebAddress
	JoinToken []byte    // 2048 bytes
	ExpiresAt time.Time // until when it can be used
	Party     []throng.PlayerID
	Code      string // of a private session: lets others in, see JoinPrivate
}

// Matchmake takes a ticket to its assignment. It repeats the call when a reply
// is lost and when the door asks to come again (Unavailable, Contention,
// NoCapacity, RateLimited), until ctx ends, at most two minutes and as long as
// the door says that it will take; then it returns the last of these errors.
// NoCapacity without a time to come again is final: the ticket's session never
// started, and it takes a new ticket.
// Repeating is safe: the ticket's name (t.Key.Ticket) makes it one join, and it
// keeps its place in line. The token says who is calling; t.Key.Caller, t.Version and
// t.Code are not sent. A ticket has players in t.Party, or t.PartyID.
// Where t.Latencies is nil and the region may choose the session, they are measured
// first (Latencies), which takes 1.5 s at most; a map without entries sends none.
func (d *Door) Matchmake(ctx context.Context, t throng.Ticket) (Assignment, error) {
	p := pursuit{ticket: t.Key.Ticket}
	wish := d.brings(ctx, t)
	return d.pursue(ctx, &p, func(ctx context.Context) (step, error) { return d.placeBy(ctx, wish, "", p.line) })
}

// MatchmakeOnce is Matchmake that returns every error at once, for those who
// want to know it rather than get a seat. It waits in line as Matchmake does.
func (d *Door) MatchmakeOnce(ctx context.Context, t throng.Ticket) (Assignment, error) {
	return d.once(ctx, d.brings(ctx, t), "")
}

// Await waits for somebody else's ticket whose party the player is in, and
// repeats as Matchmake does. A party shows its leader's ticket a moment before
// it can be looked up, so NotFound, there is no such ticket, is the answer only
// after three seconds.
func (d *Door) Await(ctx context.Context, key throng.TicketKey) (Assignment, error) {
	begun := time.Now()
	p := pursuit{ticket: key.Ticket, caller: key.Caller}
	return d.pursue(ctx, &p, func(ctx context.Context) (step, error) {
		s, err := d.ask(ctx, &p)
		if throng.KindOf(err) == throng.NotFound && time.Since(begun) < notYetTime {
			return s, throng.RetryLater(throng.Unavailable, firstTry, "the ticket is not known yet: %w", err)
		}
		return s, err
	})
}

// Leave gives back the player's seat, held or occupied. An empty key.Caller is
// the player's own ticket.
func (d *Door) Leave(ctx context.Context, key throng.TicketKey) error {
	req := of(gen.NewLeaveTicketRequest(d.line.addr, string(key.Ticket), &gen.LeaveTicketParams{Caller: given(string(key.Caller))}))
	_, err := send[nothing](ctx, d.line, callTime, req)
	return err
}

// step is one answer on the way: an assignment, or to wait.
type step struct {
	assignment *Assignment
	again      time.Duration // when to ask again, if there is no assignment
	wait       time.Duration // how long it will take then; 0: not known
	line       string        // what keeps the place in line
}

// pursuit is a ticket on its way.
type pursuit struct {
	ticket throng.TicketID
	caller throng.PlayerID // empty: who asks
	line   string          // of the newest answer
	time   *time.Timer     // ends it
	ends   time.Time
}

// begin gives the pursuit its time.
func (p *pursuit) begin(ctx context.Context) (context.Context, context.CancelFunc) {
	whole, cancelWhole := context.WithTimeout(ctx, mostTime)
	ctx, cancel := context.WithCancelCause(whole)
	p.ends = time.Now().Add(joinTime)
	p.time = time.AfterFunc(joinTime, func() { cancel(context.DeadlineExceeded) })
	return ctx, func() {
		p.time.Stop()
		cancel(context.Canceled)
		cancelWhole()
	}
}

// told takes in what the door says to one who waits.
func (p *pursuit) told(s step) {
	if s.line != "" {
		p.line = s.line
	}
	if ends := time.Now().Add(s.wait + joinTime); s.wait > 0 && ends.After(p.ends) && p.time.Stop() {
		p.ends = ends
		p.time.Reset(s.wait + joinTime)
	}
}

// pursue begins with ask, polls while it is told to wait, and begins again
// after errors that pass.
func (d *Door) pursue(ctx context.Context, p *pursuit, ask func(context.Context) (step, error)) (Assignment, error) {
	ctx, cancel := p.begin(ctx)
	defer cancel()
	pause := firstTry
	for {
		a, err := d.wait(ctx, p, ask)
		if err == nil {
			return a, nil
		}
		if !passes(err) || !sleep(ctx, max(pause, min(throng.RetryAfterOf(err), mostPause)), 2) {
			return Assignment{}, err
		}
		pause = min(2*pause, lastTry)
	}
}

// once places a ticket without repeating after errors.
func (d *Door) once(ctx context.Context, t throng.Ticket, code string) (Assignment, error) {
	p := pursuit{ticket: t.Key.Ticket}
	ctx, cancel := p.begin(ctx)
	defer cancel()
	return d.wait(ctx, &p, func(ctx context.Context) (step, error) { return d.placeBy(ctx, t, code, p.line) })
}

// wait begins with ask and polls while it is told to wait.
func (d *Door) wait(ctx context.Context, p *pursuit, ask func(context.Context) (step, error)) (Assignment, error) {
	asked := time.Now()
	s, err := ask(ctx)
	for err == nil && s.assignment == nil {
		p.told(s)
		// A door with room for those who wait answers late; another says when. In
		// line they come one after the other anyway, and a late one loses his seat.
		if time.Since(asked) < time.Second && !sleep(ctx, min(s.again, mostPause), 10) {
			return Assignment{}, throng.Errorf(throng.Unavailable, "ticket %s still waits: %w", p.ticket, context.Cause(ctx))
		}
		asked = time.Now()
		s, err = d.ask(ctx, p)
		if throng.KindOf(err) == throng.NotFound && err != nil {
			err = throng.Errorf(throng.Unavailable, "the region forgot the ticket: %w", err)
		}
	}
	if err != nil {
		return Assignment{}, err
	}
	return *s.assignment, nil
}

// passes says whether to repeat.
func passes(err error) bool {
	switch throng.KindOf(err) {
	case throng.Unavailable, throng.Contention, throng.RateLimited:
		return true
	case throng.NoCapacity: // without a time it is the ticket's last word
		return throng.RetryAfterOf(err) > 0
	case throng.Internal, throng.Invalid, throng.Denied, throng.NotFound, throng.Exists,
		throng.Conflict, throng.Full, throng.Unsupported:
		return false
	}
	return false
}

// sleep waits for up to a part longer than it is told (2: half as long again), so
// that callers who were refused together do not come back together. It says
// false when ctx ends.
func sleep(ctx context.Context, pause, part time.Duration) bool {
	pause = max(pause, firstTry)
	timer := time.NewTimer(pause + rand.N(pause/part)) //nolint:gosec // no secret
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

// answer is an Assignment or a Waiting: a session tells which.
type answer struct {
	gen.Assignment
	RetryAfter float64 `json:"retry_after"`
	Wait       float64 `json:"wait"`
	Line       string  `json:"line"`
}

func (d *Door) placeBy(ctx context.Context, t throng.Ticket, code, line string) (step, error) {
	body := bodyOf(t)
	body.Code, body.Line = code, line
	// A door that is lost is to be noticed soon where there is another.
	params, most := &gen.MatchmakeParams{}, pollTime+callTime
	if d.line.doors.count() > 1 {
		wait := int(firstWait / time.Second)
		params.Wait, most = &wait, firstWait+callTime
	}
	a, err := send[answer](ctx, d.line, most, of(gen.NewMatchmakeRequest(d.line.addr, params, body)))
	return d.step(a, err)
}

// bodyOf is what a door is told of a ticket.
func bodyOf(t throng.Ticket) gen.MatchmakeRequest {
	body := gen.MatchmakeRequest{
		Ticket:  string(t.Key.Ticket),
		Place:   string(t.Place),
		PartyID: string(t.PartyID),
		Mode:    string(t.Mode),
		Session: string(t.Session),
		Friend:  string(t.Friend),
	}
	for _, p := range t.Party {
		body.Party = append(body.Party, string(p))
	}
	if len(t.Latencies) > 0 {
		body.Latencies = make(map[string]float64, len(t.Latencies))
		for region, ms := range t.Latencies {
			body.Latencies[string(region)] = ms
		}
	}
	bring(&body, t)
	return body
}

// bring adds what the ticket's players bring to the place's signals. The first
// one is the caller.
func bring(body *gen.MatchmakeRequest, t throng.Ticket) {
	for i, list := range t.Attributes {
		values := make(map[string]any, len(list))
		for _, a := range list {
			if a.Kind() == throng.SignalNumber {
				values[a.Name] = a.Number
			} else {
				values[a.Name] = a.Category
			}
		}
		switch {
		case len(values) == 0:
		case i == 0:
			body.Attributes = values
		case i < len(t.Party):
			if body.PartyAttributes == nil {
				body.PartyAttributes = map[string]map[string]any{}
			}
			body.PartyAttributes[string(t.Party[i])] = values
		}
	}
}

// ask asks for a ticket that was placed before.
func (d *Door) ask(ctx context.Context, p *pursuit) (step, error) {
	wait := int(pollTime / time.Second)
	req := of(gen.NewGetTicketRequest(d.line.addr, string(p.ticket), &gen.GetTicketParams{
		Wait: &wait, Caller: given(string(p.caller)), Line: given(p.line),
	}))
	a, err := send[answer](ctx, d.line, pollTime+callTime, req)
	return d.step(a, err)
}

func (d *Door) step(a answer, err error) (step, error) {
	if err != nil {
		return step{}, err
	}
	if a.Session == "" {
		return step{again: seconds(a.RetryAfter), wait: seconds(a.Wait), line: a.Line}, nil
	}
	ip, err := netip.ParseAddr(a.Server.IP)
	if err != nil || a.Server.Port < 1 || a.Server.Port > 65535 {
		return step{}, throng.Errorf(throng.Internal, "the door's answer has no address: %q, port %d", a.Server.IP, a.Server.Port)
	}
	web, err := a.Server.Root("ws" + strings.TrimSuffix(strings.TrimPrefix(d.line.doors.now(), "http"), "/"))
	if err != nil {
		return step{}, throng.Errorf(throng.Internal, "read the door's answer: %w", err)
	}
	out := &Assignment{
		Ticket:    throng.TicketID(a.Ticket),
		Session:   throng.SessionID(a.Session),
		Place:     throng.PlaceID(a.Place),
		Version:   throng.Version(a.Version),
		Region:    throng.RegionID(a.Region),
		Address:   netip.AddrPortFrom(ip, uint16(a.Server.Port)),
		Web:       web,
		JoinToken: a.JoinToken,
		ExpiresAt: a.ExpiresAt,
		Code:      a.Code,
	}
	for _, p := range a.Party {
		out.Party = append(out.Party, throng.PlayerID(p))
	}
	return step{assignment: out}, nil
}

// seconds is a duration that a door says; nonsense is none.
func seconds(s float64) time.Duration {
	if !(s > 0) {
		return 0
	}
	return time.Duration(min(s, mostTime.Seconds()) * float64(time.Second))
}
