package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"maps"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/api"
	"github.com/throng-gg/throng/api/gen"
	"github.com/throng-gg/throng/bot"
	"github.com/throng-gg/throng/client"
	"github.com/throng-gg/throng/test/impair"
	"github.com/throng-gg/throng/udp"
)

// cable is what lies between players and game servers: it can be as bad as wanted,
// it can be cut, and it can come out at another port. Each server has an end of its
// own at the players' side.
type cable struct {
	t        *testing.T
	up, down impair.Way
	ctx      context.Context //nolint:containedctx // the cable's life, for ends that are made later
	group    sync.WaitGroup

	mu   sync.Mutex
	ends map[netip.AddrPort]*impair.Proxy // by server
}

func newCable(t *testing.T, ways ...impair.Way) *cable {
	t.Helper()
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	c := &cable{t: t, ctx: ctx, ends: map[netip.AddrPort]*impair.Proxy{}}
	if len(ways) == 1 {
		c.up, c.down = ways[0], ways[0]
	}
	t.Cleanup(func() {
		stop()
		c.group.Wait()
	})
	return c
}

// through is a join token whose bearer goes through the cable.
func (c *cable) through(token []byte) []byte {
	const addresses = 13 + 3*8 + 24 + 1024 + 4 // a count of 4 bytes, a type of 1, 4 and 2 bytes of the first one
	out := bytes.Clone(token)
	ip, port := out[addresses+5:addresses+9], out[addresses+9:]
	server := netip.AddrPortFrom(netip.AddrFrom4([4]byte(ip)), binary.LittleEndian.Uint16(port))
	c.mu.Lock()
	defer c.mu.Unlock()
	e := c.ends[server]
	if e == nil {
		var err error
		if e, err = impair.New(impair.Config{Server: server, Up: c.up, Down: c.down, Seed: 1}); err != nil {
			c.t.Error(err)
			return token
		}
		c.ends[server] = e
		c.group.Go(func() { _ = e.Run(c.ctx) })
	}
	near := e.Address()
	copy(ip, near.Addr().AsSlice())
	binary.LittleEndian.PutUint16(port, near.Port())
	return out
}

// cut lets nothing through for a while.
func (c *cable) cut(d time.Duration) {
	c.set(true)
	<-time.After(d)
	c.set(false)
}

func (c *cable) set(isCut bool) {
	for _, e := range c.all() {
		e.Cut(isCut)
	}
}

// move lets everybody come out at another port.
func (c *cable) move() {
	for _, e := range c.all() {
		if err := e.Move(); err != nil {
			c.t.Error(err)
		}
	}
}

func (c *cable) all() []*impair.Proxy {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Collect(maps.Values(c.ends))
}

// cabledDoor sends bots through a cable.
type cabledDoor struct {
	bot.Door
	cable *cable
}

func (d cabledDoor) Place(ctx context.Context, p throng.PlayerID, t throng.Ticket) (bot.Seat, error) {
	seat, err := d.Door.Place(ctx, p, t)
	if err == nil {
		seat.Token = d.cable.through(seat.Token)
	}
	return seat, err
}

// guest is one player, by hand.
type guest struct {
	game  *client.Session
	done  <-chan error
	leave func()
}

func (r *region) visit(c *cable, name throng.PlayerID, ticket throng.TicketID) *guest {
	r.t.Helper()
	a, err := r.as(name, api.RolePlayer).Matchmake(r.t.Context(), throng.Ticket{
		Key: throng.TicketKey{Caller: name, Ticket: ticket}, Place: "arena", Party: []throng.PlayerID{name}, Mode: throng.ModeDropIn,
	})
	if err != nil {
		r.t.Fatal(err)
	}
	return r.guest(client.SessionConfig{
		Token: c.through(a.JoinToken),
		Dial: func(ctx context.Context, token []byte, receive func([]byte)) (client.Conn, error) {
			return udp.Dial(ctx, token, receive)
		},
	})
}

// guest lets somebody play who has a token, until he leaves or the test ends.
func (r *region) guest(cfg client.SessionConfig) *guest {
	r.t.Helper()
	game, err := client.Join(r.t.Context(), cfg)
	if err != nil {
		r.t.Fatal(err)
	}
	ctx, leave := context.WithCancel(context.WithoutCancel(r.t.Context()))
	done := make(chan error, 1)
	var group sync.WaitGroup
	group.Go(func() { done <- game.Run(ctx) })
	group.Go(func() {
		ticker := time.NewTicker(time.Second / 30)
		defer ticker.Stop()
		for ctx.Err() == nil {
			<-ticker.C
			_ = game.Input(0, 0, 0)
		}
	})
	r.t.Cleanup(func() {
		leave()
		group.Wait()
	})
	return &guest{game: game, done: done, leave: leave}
}

// sees is the newest tick and the guest's own entity; zeros before there is one.
func (v *guest) sees() (tick throng.Tick, own uint32) {
	v.game.World(func(w *client.World) {
		tick = w.Tick()
		if e, ok := w.Own(); ok {
			own = e.ID()
		}
	})
	return tick, own
}

// awaitWorld waits until the guest sees himself in the world of a connection,
// counted from 0.
func (r *region) awaitWorld(v *guest, connection int, within time.Duration) (tick throng.Tick, own uint32) {
	r.t.Helper()
	eventually(r.t, within, "the guest sees the world", func() bool {
		tick, own = v.sees()
		return v.game.Reconnects() >= connection && own != 0
	})
	return tick, own
}

// inLong says whether tests take their full length.
func inLong() bool {
	_, long := os.LookupEnv("THRONG_SOAK")
	return long
}

func TestLostConnectionKeepsItsSeat(t *testing.T) {
	t.Parallel()
	keep, short, long := 10*time.Second, 7*time.Second, 20*time.Second
	if inLong() {
		keep, short, long = 30*time.Second, 10*time.Second, 40*time.Second
	}
	r := startDev(t, "--keep-seat", keep.String())
	c := newCable(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	crowd := &logBuffer{}
	report := r.crowd(ctx, bot.Config{
		Door: cabledDoor{botDoor{r.door}, c}, Place: "arena", Players: 6, For: 5 * time.Minute, Every: 50 * time.Millisecond, Progress: crowd,
	})
	eventually(t, 30*time.Second, "all play", func() bool { return strings.Contains(crowd.String(), "joined 6 of 6,") })
	ada := r.visit(c, "ada", "one")
	_, own := r.awaitWorld(ada, 0, 30*time.Second)
	before := r.settled(7)
	tick, _ := ada.sees()

	begun := time.Now()
	c.cut(short)
	after, same := r.awaitWorld(ada, 1, 30*time.Second)
	t.Logf("back %s after the cut of %s", (time.Since(begun) - short).Round(10*time.Millisecond), short)
	if same != own || after-tick < throng.Tick(short.Seconds()*30*0.8) {
		t.Errorf("ada is entity %d at tick %d, was %d at %d: want the same one, and the world to have gone on", same, after, own, tick)
	}
	eventually(t, 30*time.Second, "the crowd is back", func() bool { return returned(crowd) >= 6 })
	r.unchanged("after the cut", before)

	r.moveAll(c, ada, own)
	<-time.After(6 * time.Second) // for whom the server does not hear it would be over now
	r.unchanged("after the move", before)
	cancel()
	if got := <-report; !got.OK() || got.Rejoined != 0 || got.Reconnected < 6 {
		t.Errorf("the crowd: failed %d mismatched %d rejoined %d reconnected %d, want 0, 0, 0, at least 6", got.Failed, got.Mismatched, got.Rejoined, got.Reconnected)
	}

	c.cut(long)
	r.awaitSeated("arena", 0, 20*time.Second)
	select {
	case err := <-ada.done:
		t.Logf("ada's session: %v", err)
	case <-time.After(40 * time.Second):
		t.Fatal("ada's session goes on without a seat")
	}
	again := r.visit(c, "ada", "two")
	r.awaitWorld(again, 0, 30*time.Second)
	r.awaitSeated("arena", 1, 30*time.Second)
}

// moveAll lets all come out at other ports, a few times: the connections go on,
// within a second.
func (r *region) moveAll(c *cable, v *guest, own uint32) {
	r.t.Helper()
	back := v.game.Reconnects()
	var gaps []time.Duration
	for range 5 {
		c.move()
		begun := time.Now()
		tick, _ := v.sees()
		eventually(r.t, 30*time.Second, "the world goes on from another port", func() bool {
			now, _ := v.sees()
			return now > tick+1 // one may have been on its way
		})
		gaps = append(gaps, time.Since(begun).Round(time.Millisecond))
		var same uint32
		eventually(r.t, 10*time.Second, "the guest sees his entity again", func() bool {
			_, same = v.sees()
			return same != 0 // after a second unheard he is told all anew
		})
		if same != own {
			r.t.Errorf("from another port the guest is entity %d, was %d", same, own)
		}
	}
	slices.Sort(gaps)
	r.t.Logf("carried on after %v from another port, %d connections were made for it", gaps, v.game.Reconnects()-back)
	if gaps[len(gaps)/2] > time.Second {
		r.t.Errorf("from another port it went on after %s in the middle, want 1 s at most", gaps[len(gaps)/2])
	}
}

// returned is how often a crowd came back, by its last line of progress. A player
// of a slow machine may do it more often than his network was cut.
func returned(crowd *logBuffer) int { return counted(crowd, "reconnected") }

// counted is what a crowd's last line of progress says of something.
func counted(crowd *logBuffer, what string) (n int) {
	lines := crowd.String()
	last := lines[max(0, strings.LastIndex(lines, what+" ")):]
	_, _ = fmt.Sscanf(last, what+" %d", &n) // none yet: 0
	return n
}

// settled waits until the registry knows of all seats in one session, and of
// all that led to them.
func (r *region) settled(players int) gen.SessionRecord {
	r.t.Helper()
	r.awaitSeated("arena", players, 30*time.Second)
	var s gen.SessionRecord
	eventually(r.t, 15*time.Second, "the registry has heard of the roster", func() bool {
		list := r.sessions("arena")
		if len(list) != 1 {
			return false
		}
		s = list[0]
		return s.Seated == players && s.Revision >= uint64(players)
	})
	return s
}

// unchanged says that nobody took or gave up a seat: a change would have taken a
// revision, which a heartbeat tells.
func (r *region) unchanged(when string, before gen.SessionRecord) {
	r.t.Helper()
	heard := func() gen.SessionRecord {
		for _, s := range r.sessions("arena") {
			if s.ID == before.ID {
				return s
			}
		}
		return gen.SessionRecord{}
	}
	lease := heard().LeaseUntil
	var now gen.SessionRecord
	eventually(r.t, 2*throng.HeartbeatTime, "a heartbeat "+when, func() bool {
		now = heard()
		return now.LeaseUntil.After(lease)
	})
	if now.Seated != before.Seated || now.Revision != before.Revision || now.Incarnation != before.Incarnation {
		r.t.Errorf("%s: got %+v, want the same seats as in %+v", when, now, before)
	}
}

// TestReconnectWithoutAControlPlane: game servers give and take reconnect tokens
// alone.
func TestReconnectWithoutAControlPlane(t *testing.T) {
	t.Parallel()
	r, _, control := startSplit(t)
	c := newCable(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	crowd := &logBuffer{}
	report := r.crowd(ctx, bot.Config{
		Door: cabledDoor{botDoor{r.door}, c}, Place: "arena", Players: 10, For: 5 * time.Minute, Every: 50 * time.Millisecond,
		Progress: crowd, Capacity: 50,
	})
	r.awaitSeated("arena", 10, 60*time.Second)
	before := r.settled(10)
	r.prog.stop(syscall.SIGKILL)
	c.move()
	c.cut(7 * time.Second)
	eventually(t, 30*time.Second, "the crowd is back while the control plane is away", func() bool { return returned(crowd) >= 10 })
	r.prog = control()
	r.awaitSeated("arena", 10, 30*time.Second)
	after := r.settled(10)
	if after.ID != before.ID || after.Incarnation != before.Incarnation || after.Revision != before.Revision {
		t.Errorf("after the restart: got %+v, want what was before: %+v", after, before)
	}
	cancel()
	if got := <-report; !got.OK() || got.Rejoined != 0 || got.Reconnected < 10 {
		t.Errorf("the crowd: failed %d mismatched %d rejoined %d reconnected %d, want 0, 0, 0, at least 10", got.Failed, got.Mismatched, got.Rejoined, got.Reconnected)
	}
}
