package gameserver

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/memory"
	"github.com/throng-gg/throng/session"
	"github.com/throng-gg/throng/wire"
	"github.com/throng-gg/throng/wire/channel"
)

// stage is a game server in a synctest bubble, with a registry in memory behind
// it and a network that is a channel.
type stage struct {
	t        *testing.T
	registry *session.Registry
	door     *doorway
	net      *chanTransport
	place    *recorder
	all      throng.PackageHash // of the place that is handed over
	scripts  throng.PackageHash
	session  throng.Session
	result   chan error
	nextConn ConnID
	jump     atomic.Int64     // ns, by which the boot clock is ahead
	claims   chan wire.Claims // of reconnect tokens, as they are made
	moves    *removal         // where players are handed off to
	ask      func(call uint64, ask HandoffAsk)
	ready    func()
	send     func(p throng.PlayerID, m throng.Message) bool
	server   *Server
	screen   *screen
	profiles Profiles // nil: not connected
	ledger   Ledger   // nil: not connected
	store    Store
	publish  func(m throng.Message) bool
	events   Publisher // nil: not connected
}

var (
	testRelease = throng.Release{Place: "arena", Name: "Arena", Version: 1, Package: "00", Capacity: 3, TickRate: 30}
	testAddress = netip.MustParseAddrPort("127.0.0.1:7777")
	testServer  = throng.MakeServerID("test", throng.Entropy{1})
)

// play runs f inside a bubble with a server that has been handed a session.
func play(t *testing.T, f func(s *stage)) {
	t.Helper()
	playWith(t, func(*stage) {}, f)
}

// playWith is play with a stage that is changed before the server starts.
func playWith(t *testing.T, prepare, f func(s *stage)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		defer synctest.Wait()
		defer cancel()
		store, err := memory.New(memory.Config{})
		if err != nil {
			t.Fatal(err)
		}
		registry, err := session.New(session.Config{Store: store, Region: throng.Region{ID: "test", Number: 1}})
		if err != nil {
			t.Fatal(err)
		}
		go func() { _ = registry.Run(ctx) }()
		synctest.Wait()
		s := &stage{
			t: t, registry: registry, door: &doorway{Registry: registry}, place: &recorder{},
			net: &chanTransport{events: make(chan Event, 64), out: map[ConnID][][]byte{}}, result: make(chan error, 1),
			claims: make(chan wire.Claims, 64), moves: &removal{t: t}, screen: &screen{},
		}
		s.moves.door = s.door
		prepare(s)
		defer s.wait(2 * settleTime) // what is under way ends in fake time, too
		defer cancel()
		s.start(ctx)
		f(s)
	})
}

//nolint:contextcheck // record looks at the registry for the test, whatever ends the server
func (s *stage) start(ctx context.Context) {
	s.t.Helper()
	opened, err := s.registry.Open(ctx, testRelease)
	if err != nil {
		s.t.Fatal(err)
	}
	begun := time.Now()
	server, err := New(Config{
		ID: testServer, Incarnation: "inc", Registry: s.door, Packages: s.place, Transport: s.net,
		Control: handing{throng.Handover{
			Session: opened.ID, Place: "arena", Version: 1, Package: s.all, Scripts: s.scripts, Capacity: 3, Incarnation: "inc", Now: time.Now(), OpenedAt: opened.OpenedAt,
		}},
		Load: func(c LoadConfig) (Place, error) {
			s.ask, s.ready, s.store, s.send, s.publish = c.Handoff, c.Ready, c.Store, c.Send, c.Publish
			return Place{Script: s.place, TickRate: 30}, nil
		},
		Handoffs:  s.moves,
		Profiles:  s.profiles,
		Ledger:    s.ledger,
		Drains:    s.door,
		Display:   s.screen,
		Events:    s.events,
		BootClock: func() time.Duration { return time.Since(begun) + time.Hour + time.Duration(s.jump.Load()) },
		Token:     s.token,
		Logger:    slog.New(slog.DiscardHandler),
	})
	if err != nil {
		s.t.Fatal(err)
	}
	s.server = server
	go func() { s.result <- server.Run(ctx) }()
	time.Sleep(time.Second) //nolint:forbidigo // fake time: the session is bound by now
	s.session = s.record(opened.ID)
	if s.session.State != throng.SessionOpen {
		s.t.Fatalf("session is %s a second after the handover, want open", s.session.State)
	}
}

func (s *stage) record(id throng.SessionID) throng.Session {
	s.t.Helper()
	r, err := s.registry.Session(s.t.Context(), id)
	if err != nil {
		s.t.Fatal(err)
	}
	return r
}

// grant takes seats for a party.
func (s *stage) grant(ticket throng.TicketID, party ...throng.PlayerID) throng.Grant {
	s.t.Helper()
	ctx := s.t.Context()
	c, err := s.registry.Claim(ctx, throng.Ticket{
		Key: throng.TicketKey{Caller: party[0], Ticket: ticket}, Place: "arena", Version: 1, Party: party, Mode: throng.ModeDropIn,
	})
	if err != nil {
		s.t.Fatal(err)
	}
	h, _, err := s.registry.Hold(ctx, c, s.session.ID)
	if err != nil {
		s.t.Fatal(err)
	}
	g, err := s.registry.Settle(ctx, c, h)
	if err != nil {
		s.t.Fatal(err)
	}
	return g
}

// connect brings a member's token and returns his connection.
func (s *stage) connect(g throng.Grant, m throng.Member) ConnID {
	s.t.Helper()
	data, err := wire.AppendClaims(nil, wire.Claims{
		Session: g.Session, Player: m.Player, Epoch: m.Epoch, Expires: g.TokenExpiry(s.session.BoundAt).UnixMilli(),
		Version: 1, Key: g.Key, PartySize: uint8(len(g.Members)),
	})
	if err != nil {
		s.t.Fatal(err)
	}
	s.nextConn++
	s.net.events <- Event{Kind: EventConnected, Conn: s.nextConn, Data: data}
	return s.nextConn
}

// wait lets fake time pass.
func (s *stage) wait(d time.Duration) {
	time.Sleep(d) //nolint:forbidigo // fake time
	synctest.Wait()
}

// doorway is the registry as the server reaches it, which can be closed.
type doorway struct {
	*session.Registry
	mu   sync.Mutex
	shut bool
	// confirms counts the calls.
	confirms int
	// rate is what heartbeats are told of events; 0: nothing.
	rate float64
}

func (d *doorway) set(shut bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.shut = shut
}

func (d *doorway) share(rate float64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.rate = rate
}

func (d *doorway) check() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.shut {
		return throng.Errorf(throng.Unavailable, "cut off")
	}
	return nil
}

func (d *doorway) Heartbeat(ctx context.Context, h throng.Heartbeat) (throng.HeartbeatAnswer, error) {
	if err := d.check(); err != nil {
		return throng.HeartbeatAnswer{}, err
	}
	a, err := d.Registry.Heartbeat(ctx, h)
	d.mu.Lock()
	defer d.mu.Unlock()
	a.EventRate = d.rate
	return a, err
}

func (d *doorway) Confirm(ctx context.Context, h throng.Heartbeat, c throng.RosterChange) error {
	d.mu.Lock()
	d.confirms++
	d.mu.Unlock()
	if err := d.check(); err != nil {
		return err
	}
	return d.Registry.Confirm(ctx, h, c)
}

func (d *doorway) Retire(ctx context.Context, h throng.Heartbeat, reason string) error {
	if err := d.check(); err != nil {
		return err
	}
	return d.Registry.Retire(ctx, h, reason)
}

func (d *doorway) End(ctx context.Context, h throng.Heartbeat, e throng.Ending) error {
	if err := d.check(); err != nil {
		return err
	}
	return d.EndBy(ctx, h, e)
}

// handing hands one session over and stays connected.
type handing struct{ h throng.Handover }

func (h handing) Serve(ctx context.Context, _ throng.Hello, d Directives) error {
	d.Connected()
	if err := d.Handover(h.h); err != nil {
		return err
	}
	<-ctx.Done()
	return ctx.Err()
}

// chanTransport is a network without wires, and the clients' ends of what goes over
// it. Safe for concurrent use.
type chanTransport struct {
	events chan Event
	mu     sync.Mutex
	ends   map[ConnID]*clientEnd
	out    map[ConnID][][]byte // states, messages and last words
	ended  []ConnID
}

// clientEnd is the client's end of a connection. Its methods are called under the
// transport's mutex.
type clientEnd struct {
	net     *chanTransport
	conn    ConnID
	channel *channel.Conn
	deaf    bool // it takes nothing
}

func (c *clientEnd) State(b []byte, _ bool) bool { return c.keep(b) }
func (c *clientEnd) Message(b []byte)            { c.keep(b) }
func (c *clientEnd) Last(b []byte)               { c.keep(b) }
func (c *clientEnd) Acked(uint64)                {}

func (c *clientEnd) keep(b []byte) bool {
	c.net.out[c.conn] = append(c.net.out[c.conn], slices.Clone(b))
	return true
}

// end is a connection's, under the mutex.
func (c *chanTransport) end(conn ConnID) *clientEnd {
	if c.ends[conn] == nil {
		if c.ends == nil {
			c.ends = map[ConnID]*clientEnd{}
		}
		c.ends[conn] = &clientEnd{net: c, conn: conn, channel: channel.New(channel.Config{})}
	}
	return c.ends[conn]
}

// say sends a state, and messages, from a client.
func (c *chanTransport) say(conn ConnID, state []byte, messages ...[]byte) {
	c.mu.Lock()
	e := c.end(conn)
	var out [][]byte
	for _, m := range messages {
		if err := e.channel.Queue(m); err != nil {
			panic(err)
		}
	}
	e.channel.Flush(time.Now(), state, 0, func(d []byte) { out = append(out, slices.Clone(d)) })
	c.mu.Unlock()
	for _, d := range out {
		c.events <- Event{Kind: EventMessage, Conn: conn, At: time.Now(), Data: d}
	}
}

func (c *chanTransport) Address() netip.AddrPort                      { return testAddress }
func (c *chanTransport) Listen([32]byte, int, func() time.Time) error { return nil }
func (c *chanTransport) Events() <-chan Event                         { return c.events }

func (c *chanTransport) Send(conn ConnID, payload []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e := c.end(conn)
	if e.deaf {
		return
	}
	if err := e.channel.Receive(time.Now(), payload, e); err != nil {
		panic(err)
	}
	e.channel.Flush(time.Now(), nil, 0, func(d []byte) {
		select {
		case c.events <- Event{Kind: EventMessage, Conn: conn, At: time.Now(), Data: slices.Clone(d)}:
		default: // lost
		}
	})
}

func (c *chanTransport) Disconnect(conn ConnID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ended = append(c.ended, conn)
}

// bye is what a client was told before its connection was ended.
func (c *chanTransport) bye(conn ConnID) (wire.Bye, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !slices.Contains(c.ended, conn) {
		return wire.Bye{}, false
	}
	for _, p := range c.out[conn] {
		if wire.MessageOf(p) == wire.MessageBye {
			bye, err := wire.ParseBye(p)
			return bye, err == nil
		}
	}
	return wire.Bye{}, true
}

// recorder is a place that writes down what it is told.
type recorder struct {
	mu     sync.Mutex
	joined []throng.PlayerID
	inputs []Input
	ticks  int
	fail   error // of the next tick

	from     []throng.Origin       // of those who were handed off to here
	handed   map[uint64]error      // answers to handoffs
	drained  []time.Duration       // what was left at each drain
	waits    bool                  // the place says itself when it can be drained
	do       func()                // in the next tick
	onLoaded func(throng.PlayerID) // nil: nothing

	fetched []throng.PackageHash

	told map[string]error // of what players own, by what it is about
	docs map[throng.PlayerID]string

	heard []heard
}

func (r *recorder) Fetch(_ context.Context, hash throng.PackageHash) (map[string][]byte, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.fetched = append(r.fetched, hash)
	return map[string][]byte{}, nil
}
func (r *recorder) Start() error { return nil }

func (r *recorder) Join(p throng.PlayerID, from throng.Origin, _ ...throng.Attribute) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.joined = append(r.joined, p)
	if from != (throng.Origin{}) {
		r.from = append(r.from, from)
	}
	return nil
}

func (r *recorder) Handed(call uint64, err error) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.handed == nil {
		r.handed = map[uint64]error{}
	}
	r.handed[call] = err
	return nil
}

// tell notes what the place was told.
func (r *recorder) tell(what string, err error) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.told == nil {
		r.told = map[string]error{}
	}
	r.told[what] = err
	return nil
}

func (r *recorder) Loaded(p throng.PlayerID, profile throng.Profile, err error) error {
	if r.onLoaded != nil {
		r.onLoaded(p)
	}
	return r.tell("loaded "+string(p)+" "+string(profile.Document), err)
}

func (r *recorder) Document(p throng.PlayerID) ([]byte, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.docs[p] == "" {
		return nil, nil
	}
	return []byte(r.docs[p]), nil
}

func (r *recorder) Saved(call uint64, err error) error {
	return r.tell(fmt.Sprintf("saved %d", call), err)
}

func (r *recorder) Posted(call uint64, receipt throng.Receipt, err error) error {
	return r.tell(fmt.Sprintf("posted %d %s", call, receipt.ID), err)
}

func (r *recorder) Held(call uint64, h throng.Holding, err error) error {
	return r.tell(fmt.Sprintf("held %d %v", call, h.Amounts), err)
}

func (r *recorder) Drain(left time.Duration) (waits bool, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.drained = append(r.drained, left)
	return r.waits, nil
}

func (r *recorder) Message(p throng.PlayerID, m throng.Message) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.heard = append(r.heard, heard{p, m})
	return nil
}

// heard is a message of a player.
type heard struct {
	player  throng.PlayerID
	message throng.Message
}

func (r *recorder) Leave(p throng.PlayerID) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.joined = slices.DeleteFunc(r.joined, func(o throng.PlayerID) bool { return o == p })
	return nil
}

func (r *recorder) Input(_ throng.PlayerID, in Input) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.inputs = append(r.inputs, in)
	return nil
}

func (r *recorder) Tick(float64) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ticks++
	if r.do != nil {
		r.do()
		r.do = nil
	}
	return r.fail
}

func (r *recorder) in() []throng.PlayerID {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.joined)
}

func TestPlayerJoinsPlaysAndLeaves(t *testing.T) {
	play(t, func(s *stage) {
		g := s.grant("t", "ada")
		conn := s.connect(g, g.Members[0])
		s.wait(100 * time.Millisecond)
		if got := s.place.in(); len(got) != 1 {
			t.Fatalf("players in the place: got %v, want ada", got)
		}
		s.net.say(conn, wire.AppendInput(nil, wire.Input{
			Sequence: 1, Count: 1, Moves: [wire.MaxMoves]wire.Move{wire.MakeMove(1, -1, 3)},
		}))
		s.wait(100 * time.Millisecond)
		if in := s.place.inputs; len(in) != 1 || in[0] != (Input{MoveX: 1, MoveY: -1, Buttons: 3}) {
			t.Errorf("inputs: got %+v, want one of 1, -1, 3", in)
		}
		if r := s.record(s.session.ID); r.Seated != 1 || r.Held != 0 {
			t.Errorf("registry: seated %d held %d, want 1 and 0", r.Seated, r.Held)
		}
		s.net.events <- Event{Kind: EventDisconnected, Conn: conn}
		s.wait(time.Second)
		if r := s.record(s.session.ID); r.Seated != 0 || len(s.place.in()) != 0 {
			t.Errorf("after leaving: seated %d, in the place %v; want none", r.Seated, s.place.in())
		}
	})
}

// A server fetches what it runs, and the whole of a place that has nothing apart.
func TestFetchesScripts(t *testing.T) {
	for _, c := range []struct{ all, scripts, want throng.PackageHash }{{"all", "scripts", "scripts"}, {"all", "", "all"}} {
		playWith(t, func(s *stage) { s.all, s.scripts = c.all, c.scripts }, func(s *stage) {
			s.place.mu.Lock()
			defer s.place.mu.Unlock()
			if !slices.Equal(s.place.fetched, []throng.PackageHash{c.want}) {
				t.Errorf("%+v: got %q", c, s.place.fetched)
			}
		})
	}
}

func TestGarbageIsDropped(t *testing.T) {
	play(t, func(s *stage) {
		g := s.grant("t", "ada")
		conn := s.connect(g, g.Members[0])
		s.wait(100 * time.Millisecond)
		for _, data := range [][]byte{nil, {0}, {255, 1, 2}, {byte(wire.MessageInput)}, make([]byte, 1200)} {
			s.net.events <- Event{Kind: EventMessage, Conn: conn, Data: data}
		}
		s.net.events <- Event{Kind: EventConnected, Conn: 99, Data: []byte("no claims")}
		s.net.events <- Event{Kind: EventMessage, Conn: 1234, Data: []byte{1}}
		s.wait(time.Second)
		if bye, ended := s.net.bye(99); !ended || bye.Code != wire.ByeDenied {
			t.Errorf("unreadable claims: got %v %v, want a denial", bye, ended)
		}
		if len(s.place.inputs) != 0 || len(s.place.in()) != 1 {
			t.Errorf("inputs %v, players %v; want none and ada", s.place.inputs, s.place.in())
		}
	})
}

// TestNewerJoinElsewhereEvicts: confirming in another session takes the player
// out of this one, and his old token does not bring him back.
func TestNewerJoinElsewhereEvicts(t *testing.T) {
	play(t, func(s *stage) {
		old := s.grant("one", "ada")
		conn := s.connect(old, old.Members[0])
		s.wait(100 * time.Millisecond)
		first := s.session
		other, err := s.registry.Open(t.Context(), testRelease)
		if err != nil {
			t.Fatal(err)
		}
		beat := throng.Heartbeat{Session: other.ID, Server: throng.MakeServerID("test", throng.Entropy{2}), Incarnation: "two", Address: testAddress}
		if _, err := s.registry.Heartbeat(t.Context(), beat); err != nil {
			t.Fatal(err)
		}
		s.session = s.record(other.ID)
		g := s.grant("two", "ada")
		err = s.registry.Confirm(t.Context(), beat, throng.RosterChange{
			Revision: 1, Kind: throng.RosterJoined, Player: "ada", Epoch: g.Members[0].Epoch, Key: g.Key,
		})
		if err != nil {
			t.Fatal(err)
		}
		s.session = first
		s.wait(2 * throng.HeartbeatTime)
		if bye, ended := s.net.bye(conn); !ended || bye.Code != wire.ByeEvicted {
			t.Errorf("the older seat: got %v ended %v, want evicted", bye, ended)
		}
		again := s.connect(old, old.Members[0])
		s.wait(time.Second)
		if bye, ended := s.net.bye(again); !ended || bye.Code != wire.ByeDenied {
			t.Errorf("the old token again: got %v ended %v, want denied", bye, ended)
		}
	})
}

func TestRegistryAwayKeepsNobodyOut(t *testing.T) {
	play(t, func(s *stage) {
		g := s.grant("t", "ada")
		s.door.set(true)
		s.connect(g, g.Members[0])
		s.wait(500 * time.Millisecond)
		if got := s.place.in(); len(got) != 0 {
			t.Errorf("half a second unconfirmed: got %v in the place, want nobody", got)
		}
		s.wait(time.Second)
		if got := s.place.in(); len(got) != 1 {
			t.Errorf("unconfirmed for 1.5 s: got %v in the place, want ada", got)
		}
		s.wait(5 * time.Second)
		if s.door.confirms < 3 {
			t.Errorf("%d confirms in 6.5 s, want them repeated", s.door.confirms)
		}
		s.door.set(false)
		s.wait(3 * time.Second)
		if r := s.record(s.session.ID); r.Seated != 1 {
			t.Errorf("after the registry is back: %d seated, want 1", r.Seated)
		}
	})
}

func TestDrainTakesNobodyAndEndsWhenEmpty(t *testing.T) {
	play(t, func(s *stage) {
		g := s.grant("t", "ada", "bo")
		conn := s.connect(g, g.Members[0])
		s.wait(100 * time.Millisecond)
		if err := s.registry.Drain(t.Context(), s.session.ID, "update", 0); err != nil {
			t.Fatal(err)
		}
		s.wait(throng.HeartbeatTime + time.Second)
		late := s.connect(g, g.Members[1])
		s.wait(time.Second)
		if bye, ended := s.net.bye(late); !ended || bye.Code != wire.ByeDraining {
			t.Errorf("arrival while draining: got %v ended %v, want draining", bye, ended)
		}
		s.net.events <- Event{Kind: EventDisconnected, Conn: conn}
		s.wait(time.Second)
		s.over(nil)
	})
}

// over says that the server has ended and the registry knows.
func (s *stage) over(want error) {
	s.t.Helper()
	select {
	case err := <-s.result:
		if (err == nil) != (want == nil) {
			s.t.Errorf("Run: got %v, want %v", err, want)
		}
	default:
		s.t.Error("the server is still running")
	}
	if r := s.record(s.session.ID); r.State != throng.SessionEnded {
		s.t.Errorf("registry: session is %s, want ended", r.State)
	}
}

func TestEmptySessionEnds(t *testing.T) {
	play(t, func(s *stage) {
		s.wait(62 * time.Second)
		s.over(nil)
	})
}

// TestEmptySessionWaitsForWhoIsOnTheWay: the end of an empty session and a grant
// in it cannot cross.
func TestEmptySessionWaitsForWhoIsOnTheWay(t *testing.T) {
	play(t, func(s *stage) {
		s.wait(58 * time.Second)
		g := s.grant("t", "ada")
		s.wait(5 * time.Second)
		s.connect(g, g.Members[0])
		s.wait(time.Second)
		if got := s.place.in(); len(got) != 1 {
			t.Errorf("ada came a minute after the last player, under a grant: %v in the place, want her", got)
		}
	})
}

func TestFatalScriptEndsTheSessionWithItsReason(t *testing.T) {
	play(t, func(s *stage) {
		g := s.grant("t", "ada")
		conn := s.connect(g, g.Members[0])
		s.wait(100 * time.Millisecond)
		s.place.mu.Lock()
		s.place.fail = throng.Errorf(throng.Invalid, "scripts/main.lua:3: too many steps")
		s.place.mu.Unlock()
		s.wait(time.Second)
		s.over(nil)
		if r := s.record(s.session.ID); r.Reason != "scripts/main.lua:3: too many steps" || !r.Failed {
			t.Errorf("reason: got %q, failed %v, want the script's line", r.Reason, r.Failed)
		}
		if bye, ended := s.net.bye(conn); !ended || bye.Code != wire.ByeEnded {
			t.Errorf("players were told %v (ended %v), want ended", bye, ended)
		}
	})
}

func TestEndedByTheRegistryEndsTheServer(t *testing.T) {
	play(t, func(s *stage) {
		if err := s.registry.End(t.Context(), s.session.ID, "an operator"); err != nil {
			t.Fatal(err)
		}
		s.wait(throng.HeartbeatTime + time.Second)
		s.over(nil)
	})
}
