package contract

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/session"
)

// RegistryRig is a store under test with hands on its clock and its faults.
type RegistryRig struct {
	// Store is empty, and its quarantine is throng.TokenTime.
	Store session.Store
	// Advance lets time pass on the store's clock.
	Advance func(d time.Duration)
	// Slow says that Advance takes as long as it says: long cases are left out.
	Slow bool
	// Parallel is session.Config's.
	Parallel int
	// Lose empties the store, as a crash does, and keeps its clock.
	Lose func()
	// Rewind remembers a shard; what it returns puts that one back without its stamp,
	// as a failover does that lost writes. Nil: the store is lost whole or not at all.
	Rewind func(shard uint8) (back func())
	// Break makes operations fail; nil heals.
	Break func(session.Fault)
}

// Registry tests a session.Store through the session.Registry on it. open makes
// a new rig for each case.
func Registry(t *testing.T, open func(t *testing.T) RegistryRig) {
	for _, group := range [][]registryCase{
		registryJoins(), registrySeats(), registryConfirms(), registryServers(), registryLives(),
		registryLosses(), registryOpenings(), registryCrashes(), registryRaces(), registryModels(),
		registryHandoffs(), registryPeers(), registryAbroad(),
	} {
		for _, c := range group {
			t.Run(c.name, func(t *testing.T) {
				t.Parallel()
				defer Limit(t, 4*time.Minute)()
				rig := open(t)
				if c.long && rig.Slow {
					t.Skip("takes minutes on a real clock")
				}
				b := newBench(t, rig)
				b.again = func() *bench { return newBench(t, open(t)) }
				c.run(t, b)
			})
		}
	}
}

type registryCase struct {
	name string
	run  func(t *testing.T, b *bench)
	long bool
}

// tester is what checks need of a *testing.T or a *rapid.T.
type tester interface {
	Helper()
	Context() context.Context
	Errorf(format string, args ...any)
	Fatalf(format string, args ...any)
}

// bench is a registry on a rig, live and out of quarantine.
type bench struct {
	rig    RegistryRig
	reg    *session.Registry
	orders *orders
	again  func() *bench // another one, empty
}

var benchRegion = throng.Region{ID: "local", Number: 7} //nolint:gochecknoglobals // a constant that Go can't write as one

// benchCodes is a region's way to make codes.
type benchCodes struct{}

func (benchCodes) CodeHash(s throng.SessionID) throng.CodeHash {
	return throng.HashCode("code of " + string(s))
}

func newBench(t tester, rig RegistryRig) *bench {
	t.Helper()
	b := &bench{rig: rig, orders: &orders{}}
	reg, err := session.New(session.Config{Store: rig.Store, Region: benchRegion, Courier: b.orders, Codes: benchCodes{}, Parallel: rig.Parallel})
	check(t, err)
	b.reg = reg
	check(t, reg.Tick(t.Context()))
	b.pass(t, throng.TokenTime)
	return b
}

// pass lets time pass, with a tick each second.
func (b *bench) pass(t tester, d time.Duration) {
	t.Helper()
	for d > 0 {
		step := min(d, time.Second)
		b.rig.Advance(step)
		check(t, b.reg.Tick(t.Context()))
		d -= step
	}
}

// orders is a courier that keeps what it is given.
type orders struct {
	mu    sync.Mutex
	given map[throng.SessionID][]throng.Order
}

// Deliver keeps an order.
func (o *orders) Deliver(s throng.SessionID, _ throng.ServerID, order throng.Order) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.given == nil {
		o.given = map[throng.SessionID][]throng.Order{}
	}
	o.given[s] = append(o.given[s], order)
}

// of returns the orders of a kind that a session was given.
func (o *orders) of(s throng.SessionID, k throng.OrderKind) []throng.Order {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(o.given[s]), func(o throng.Order) bool { return o.Kind != k })
}

func release(capacity int) throng.Release {
	return throng.Release{Place: "arena", Version: 3, Capacity: capacity}
}

// starting opens a session.
func (b *bench) starting(t tester, capacity int) throng.Session {
	t.Helper()
	return must(b.reg.Open(t.Context(), release(capacity)))(t)
}

// open opens a session and binds a server to it.
func (b *bench) open(t tester, capacity int) *server {
	t.Helper()
	srv := newServer(b, b.starting(t, capacity))
	srv.beat(t)
	return srv
}

func ticket(id string, party ...throng.PlayerID) throng.Ticket {
	return throng.Ticket{
		Key:   throng.TicketKey{Caller: party[0], Ticket: throng.TicketID(id)},
		Place: "arena", Version: 3, Party: party, Mode: throng.ModeDropIn,
	}
}

// join takes a ticket as far as its grant in a session.
func (b *bench) join(t tester, s throng.SessionID, id string, party ...throng.PlayerID) throng.Grant {
	t.Helper()
	g, err := b.tryJoin(t, s, ticket(id, party...))
	check(t, err)
	return g
}

func (b *bench) tryJoin(t tester, s throng.SessionID, tk throng.Ticket) (throng.Grant, error) {
	t.Helper()
	c, err := b.reg.Claim(t.Context(), tk)
	if err != nil {
		return throng.Grant{}, fmt.Errorf("claim: %w", err)
	}
	if c.Grant != nil {
		return *c.Grant, nil
	}
	h, _, err := b.reg.Hold(t.Context(), c, s)
	if err != nil {
		return throng.Grant{}, fmt.Errorf("hold: %w", err)
	}
	return b.reg.Settle(t.Context(), c, h)
}

// session returns a session as it is.
func (b *bench) session(t tester, s throng.SessionID) throng.Session {
	t.Helper()
	return must(b.reg.Session(t.Context(), s))(t)
}

// seats checks how many seats of a session are taken and held.
func (b *bench) seats(t tester, s throng.SessionID, seated, held int) {
	t.Helper()
	got := b.session(t, s)
	if got.Seated != seated || got.Held != held {
		t.Errorf("seats of %s: got %d seated and %d held, want %d and %d", s, got.Seated, got.Held, seated, held)
	}
}

// at checks where a player is; an empty session means that he left, or never was.
func (b *bench) at(t tester, p throng.PlayerID, s throng.SessionID) {
	t.Helper()
	got := must(b.reg.Presence(t.Context(), p))(t)
	playing := throng.SessionID("")
	if got.State == throng.PresencePlaying {
		playing = got.Session
	}
	if playing != s {
		t.Errorf("presence of %s: got %+v, want him playing in %q", p, got, s)
	}
}

// evicted checks whose eviction a session was ordered, in order.
func (b *bench) evicted(t tester, s throng.SessionID, want ...throng.Member) {
	t.Helper()
	var got []throng.Member
	for _, o := range b.orders.of(s, throng.OrderEvict) {
		got = append(got, throng.Member{Player: o.Player, Epoch: o.Epoch})
	}
	if !slices.Equal(got, want) {
		t.Errorf("evictions from %s: got %v, want %v", s, got, want)
	}
}

func must[T any](v T, err error) func(t tester) T {
	return func(t tester) T {
		t.Helper()
		check(t, err)
		return v
	}
}

func check(t tester, err error) {
	t.Helper()
	if err != nil {
		t.Fatalf("got error %v (%s), want none", err, throng.KindOf(err))
	}
}

// refused checks the kind of a refusal.
func refused(t tester, err error, want throng.Kind) {
	t.Helper()
	switch {
	case err == nil:
		t.Fatalf("got no error, want %s", want)
	case throng.KindOf(err) != want:
		t.Fatalf("got error %v (%s), want %s", err, throng.KindOf(err), want)
	}
}

func address(port uint16) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), port)
}
