package api

import (
	"context"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/edge/shed"
)

// pipes is a listener in memory.
type pipes struct {
	conns chan net.Conn
	over  chan struct{}
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.over:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error   { close(p.over); return nil }
func (p *pipes) Addr() net.Addr { return &net.UnixAddr{Name: "memory"} }

func (p *pipes) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	near, far := net.Pipe()
	select {
	case p.conns <- far:
		return near, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// slowStore does one thing at a time, those who came first first.
type slowStore chan struct{}

func (s slowStore) do() {
	s <- struct{}{}
	<-time.After(5 * time.Millisecond)
	<-s
}

// busyDirectory answers from a store.
type busyDirectory struct {
	Directory

	store slowStore
}

func (d *busyDirectory) Presence(ctx context.Context, p throng.PlayerID) (throng.Presence, error) {
	d.store.do()
	return d.Directory.Presence(ctx, p)
}

// busyDoor is a real door before a store that does 200 calls a second, and those who
// call it; all in a bubble, but for the making.
type busyDoor struct {
	*door

	directory *busyDirectory
	client    *http.Client
	calling   sync.WaitGroup

	mu       sync.Mutex
	statuses map[string]map[int]int // guarded by mu; by class
	leases   []time.Duration        // guarded by mu; how long they took
}

func newBusyDoor(t *testing.T) *busyDoor {
	t.Helper()
	b := &busyDoor{directory: &busyDirectory{}}
	b.door = openDoor(t, func(c *Config) {
		b.directory.Directory = c.Directory
		c.Directory = b.directory
		many := Rate{PerSecond: 1e6, Burst: 1e6}
		c.Limits = Limits{Joins: many, Calls: many, Machine: many}
	})
	return b
}

// open lets the door answer in the bubble.
func (b *busyDoor) open(t *testing.T) (end func()) {
	t.Helper()
	store := make(slowStore, 1)
	b.directory.store = store
	b.world.place = func(_ context.Context, tk throng.Ticket, _ time.Duration) (throng.Placement, error) {
		store.do()
		return seated(tk.Party...), nil
	}
	b.world.beat = func(h throng.Heartbeat) (throng.HeartbeatAnswer, error) {
		store.do()
		return throng.HeartbeatAnswer{Now: time.Now(), Next: throng.HeartbeatTime, Acked: h.Revision}, nil
	}
	b.world.confirm = func(context.Context) error { store.do(); return nil }
	listener := &pipes{conns: make(chan net.Conn), over: make(chan struct{})}
	transport := &http.Transport{DialContext: listener.dial, MaxIdleConnsPerHost: 1000}
	b.client = &http.Client{Transport: transport}
	server := b.Server()
	ctx, cancel := context.WithCancel(t.Context())
	var serving sync.WaitGroup
	serving.Go(func() { _ = server.Serve(listener) })
	serving.Go(func() { _ = b.Run(ctx) })
	return func() {
		b.calling.Wait()
		cancel()
		transport.CloseIdleConnections()
		_ = server.Close()
		serving.Wait()
	}
}

// ask makes a call of a class.
func (b *busyDoor) ask(class, method, path, token, body string) {
	begun := time.Now()
	req, err := http.NewRequestWithContext(context.WithoutCancel(b.t.Context()), method, "http://door"+path, strings.NewReader(body))
	if err != nil {
		b.t.Error(err)
		return
	}
	if req.Header.Set("Authorization", "Bearer "+token); body != "" {
		req.Header.Set("Content-Type", "application/json")
	} else {
		req.Body = http.NoBody
	}
	resp, err := b.client.Do(req)
	if err != nil {
		b.t.Errorf("%s: %v", class, err)
		return
	}
	_, _ = io.Copy(io.Discard, resp.Body)
	_ = resp.Body.Close()
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.statuses[class] == nil {
		b.statuses[class] = map[int]int{}
	}
	b.statuses[class][resp.StatusCode]++
	if class == "lease" {
		b.leases = append(b.leases, time.Since(begun))
	}
}

// run lets calls come for a while, 30 leases a second and, within the first quarter
// of the time, ever more of those that may be given up, until it is so many.
func (b *busyDoor) run(t *testing.T, d time.Duration, each int) {
	t.Helper()
	b.statuses, b.leases = map[string]map[int]int{}, nil
	player, server := b.token("ada", RolePlayer), b.serverToken(serverA, sessionA)
	beat := fmt.Sprintf(`{"server":%q,"incarnation":"i1","address":"192.0.2.1:7000","revision":3,"orders_done":2}`, serverA)
	confirm := fmt.Sprintf(`{"heartbeat":%s,"change":{"revision":4,"kind":"joined","player":"bo","epoch":5,"ticket":{"caller":"bo","ticket":"t"}}}`, beat)
	every := func(perSecond int, rise float64, do func(n int)) {
		b.calling.Go(func() {
			tick := time.NewTicker(time.Second / time.Duration(perSecond))
			defer tick.Stop()
			var under sync.WaitGroup
			all, share := int(d.Seconds())*perSecond, 0.0
			for n := range all {
				<-tick.C
				if share += min(1, float64(n)/float64(all)*rise); share < 1 {
					continue
				}
				share--
				under.Go(func() { do(n) })
			}
			under.Wait()
		})
	}
	path := "/v1/sessions/" + string(sessionA)
	every(15, math.Inf(1), func(int) { b.ask("lease", "PUT", path+"/heartbeat", server, beat) })
	every(15, math.Inf(1), func(int) { b.ask("lease", "POST", path+"/confirm", server, confirm) })
	every(each, 4, func(int) { b.ask("browse", "GET", "/v1/players/ada/presence", player, "") })
	every(each, 4, func(n int) {
		b.ask("join", "POST", "/v1/matchmake", player, fmt.Sprintf(`{"ticket":"t%d","place":"arena","party":["ada"]}`, n))
	})
	b.calling.Wait()
}

func p99(took []time.Duration) time.Duration {
	sorted := slices.Sorted(slices.Values(took))
	return sorted[int(math.Ceil(0.99*float64(len(sorted))))-1]
}

// Ten times as many calls of browsing and joins as what is behind the door can do: all
// heartbeats and confirms are answered, none later than a confirm may be, and soon
// nearly as quickly as on a quiet day; joins go on, and when it is over all are let in.
func TestOverloadShedsInOrder(t *testing.T) {
	b := newBusyDoor(t)
	synctest.Test(t, func(t *testing.T) {
		defer b.open(t)()
		b.run(t, 5*time.Second, 10)
		quiet := p99(b.leases)
		if len(b.statuses["browse"]) != 1 || len(b.statuses["join"]) != 1 || b.statuses["join"][200] < 40 {
			t.Errorf("not all calls of a quiet day were answered: %v", b.statuses)
		}

		b.run(t, 12*time.Second, 1000)
		t.Logf("overload: %v", b.statuses)
		if b.statuses["lease"][200] != 180 || b.statuses["lease"][204] != 180 {
			t.Errorf("not all of 360 heartbeats and confirms were answered: %v", b.statuses["lease"])
		}
		first, then := p99(b.leases), p99(b.leases[len(b.leases)/2:])
		t.Logf("leases took %s at p99, in the second half %s; on a quiet day %s", first, then, quiet)
		if most := quiet + 2*time.Second; first > most || then > quiet+time.Second {
			t.Errorf("leases took %s at p99, in the second half %s; want %s and %s at most", first, then, most, quiet+time.Second)
		}
		if in, browsing := b.statuses["join"][200], b.statuses["browse"][200]; in < 600 || browsing > in || b.statuses["browse"][503] < 9000 {
			t.Errorf("%d joins and %d of browsing were let in within 12 s, want at least 600 and far fewer", in, browsing)
		}

		<-time.After(time.Minute)
		b.run(t, 5*time.Second, 10)
		if len(b.statuses["browse"]) != 1 || len(b.statuses["join"]) != 1 || b.statuses["join"][200] < 40 {
			t.Errorf("after it was over not all calls were answered: %v", b.statuses)
		}
	})
}

// Who is refused is told so, and when to come back.
func TestOverloadAnswers(t *testing.T) {
	var late atomic.Uint64
	d := openDoor(t, func(c *Config) { c.Late = func() (uint64, uint64) { return late.Add(100), late.Load() } })
	over := make(chan struct{})
	ctx, cancel := context.WithCancel(t.Context())
	go func() { defer close(over); _ = d.Run(ctx) }()
	defer func() { cancel(); <-over }()
	for begun := time.Now(); !d.shed.Sheds(shed.Save); <-time.After(time.Millisecond) {
		if time.Since(begun) > time.Minute {
			t.Fatal("the door is never overloaded")
		}
		for range 100 {
			d.shed.Admit(shed.Lease)
		}
	}
	ada, op := d.token("ada", RolePlayer), d.token("op", RoleOperator)
	refused := func(r reply, class string) {
		t.Helper()
		p := r.problem(t)
		if r.status != 503 || p.Code != "unavailable" || !strings.Contains(p.Title, "more to do") || !strings.Contains(p.Detail, "class "+class) ||
			p.RetryAfter < 1 || p.RetryAfter > 3 || r.header.Get("Retry-After") == "" {
			t.Errorf("got %d %+v, want to be refused as %s and told to come back in 1 to 3 s", r.status, p, class)
		}
	}
	for range 1000 { // more than is saved up in the time that the test takes
		d.shed.Admit(shed.Lease)
	}
	refused(d.call("GET", "/v1/players/ada/presence", ada, ""), "browse")
	refused(d.call("GET", "/v1/audit", op, ""), "telemetry")
	refused(d.call("GET", "/v1/audit", "nobody", ""), "telemetry") // before anything is checked
	beat := fmt.Sprintf(`{"server":%q,"incarnation":"i1","address":"192.0.2.1:7000","revision":3,"orders_done":2}`, serverA)
	if r := d.call("PUT", "/v1/sessions/"+string(sessionA)+"/heartbeat", d.serverToken(serverA, sessionA), beat); r.status != 200 {
		t.Errorf("a heartbeat: got %d %s", r.status, r.body)
	}
	if text := d.call("GET", "/metrics", "", "").body; !strings.Contains(text, `throng_door_shed_total{class="telemetry"} 2`) || !strings.Contains(text, "throng_door_admit_rate 50") {
		t.Errorf("the metrics do not say it:\n%s", text)
	}
	if testutil.ToFloat64(d.metrics.refused.WithLabelValues("overload")) < 3 {
		t.Error("refused calls are not counted")
	}
}

func TestWorthOfTickets(t *testing.T) {
	for _, c := range []struct {
		t    throng.Ticket
		want shed.Class
	}{
		{throng.Ticket{Party: []throng.PlayerID{"ada"}}, shed.Join},
		{throng.Ticket{Party: []throng.PlayerID{"ada"}, Mode: throng.ModeSession}, shed.Join},
		{throng.Ticket{Party: []throng.PlayerID{"ada", "bo"}}, shed.Together},
		{throng.Ticket{PartyID: "pty_1"}, shed.Together},
		{throng.Ticket{Party: []throng.PlayerID{"ada"}, Mode: throng.ModeFriend}, shed.Together},
	} {
		if got := worthOf(c.t); got != c.want {
			t.Errorf("%+v is worth %s, want %s", c.t, got, c.want)
		}
	}
}

// BenchmarkGuard is what a call costs before its handler.
func BenchmarkGuard(b *testing.B) {
	s, err := shed.New(shed.Config{})
	if err != nil {
		b.Fatal(err)
	}
	b.Run("shed", func(b *testing.B) {
		for b.Loop() {
			if s.Would(shed.Browse) && s.Admit(shed.Browse) {
				s.Done(shed.Browse)
			}
		}
	})
	a := &API{shed: s, accounts: newGate(10), machines: newGate(10), buckets: newBuckets(10)}
	a.limits = Limits{Calls: Rate{1e12, 1e12}}.withDefaults()
	r, w := httptest.NewRequestWithContext(b.Context(), http.MethodGet, "/", http.NoBody), httptest.NewRecorder()
	b.Run("guard", func(b *testing.B) {
		serve := a.guard(route{class: classCall, worth: shed.Browse}, func(http.ResponseWriter, *http.Request) {})
		for b.Loop() {
			serve(w, r)
		}
	})
}
