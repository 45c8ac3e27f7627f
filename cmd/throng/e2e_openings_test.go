package main

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/api"
	"github.com/throng-gg/throng/client"
	"github.com/throng-gg/throng/load"
	"github.com/throng-gg/throng/process"
	"github.com/throng-gg/throng/redis/redistest"
	standin "github.com/throng-gg/throng/test/agones"
	faults "github.com/throng-gg/throng/test/agones/allocation"
	"github.com/throng-gg/throng/test/lab"
)

// plane is one control plane that can be killed and started again.
type plane struct {
	args []string
	url  string
	mu   sync.Mutex // held while it is started again
	prog *program
}

func (p *plane) start(t testing.TB) {
	t.Helper()
	p.prog = start(t, throngBinary(t), p.args...)
	p.prog.line("listens at", 60*time.Second)
}

// restart kills it and starts it again.
func (p *plane) restart(t testing.TB, away time.Duration) {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.prog.stop(syscall.SIGKILL)
	napE2E(t.Context(), away)
	p.start(t)
}

// startPlanes runs control planes on a Redis of their own.
func startPlanes(t *testing.T, n int, args ...string) (r *region, planes []*plane) {
	t.Helper()
	store := redistest.Start(t)
	data := filepath.Join(t.TempDir(), "data")
	var urls []string
	for range n {
		addr := freePort(t)
		p := &plane{url: "http://" + addr, args: append([]string{
			"serve", "control", "--dev", "--redis", store.URL(), "--addr", addr, "--data", data,
		}, args...)}
		p.start(t)
		planes, urls = append(planes, p), append(urls, p.url)
	}
	r = newRegion(t, planes[0].prog, strings.Join(urls, ","), data)
	return r, planes
}

func (p *plane) ready() bool {
	resp, err := http.Get(p.url + "/readyz") //nolint:noctx // bounded by its caller
	if err != nil {
		return false
	}
	_ = resp.Body.Close()
	return resp.StatusCode == http.StatusOK
}

// opened is what became of an opening.
type opened struct {
	session throng.SessionID
	err     error
	took    time.Duration
	heard   []string // the answers that were no session, and when they came
}

// openAll opens a session for each of so many players, some at a time, and ends
// each when it was open for a moment. done hears after each how many there are.
func (r *region) openAll(n, atOnce int, done func(int)) []opened {
	r.t.Helper()
	results := make([]opened, n)
	next := make(chan int)
	var mu sync.Mutex
	count := 0
	var group sync.WaitGroup
	operator := r.as("operator", api.RoleOperator)
	for range atOnce {
		group.Go(func() {
			for i := range next {
				results[i] = r.openOne(operator, i, func(client.Assignment) {})
				mu.Lock()
				count++
				done(count)
				mu.Unlock()
			}
		})
	}
	for i := range n {
		next <- i
	}
	close(next)
	group.Wait()
	return results
}

// openOne opens a session, shows it, and ends it.
func (r *region) openOne(operator *client.Door, i int, show func(client.Assignment)) (o opened) {
	ctx, cancel := context.WithTimeout(r.t.Context(), 2*time.Minute)
	defer cancel()
	begun := time.Now()
	p := throng.PlayerID(fmt.Sprintf("opener-%d", i))
	var door *client.Door
	// stubborn repeats what is to be had in a moment.
	stubborn := func(what string, call func() error) error {
		for {
			err := call()
			if err == nil || ctx.Err() != nil {
				return err
			}
			o.heard = append(o.heard, fmt.Sprintf("%s %s: %v", time.Now().Format("15:04:05.000"), what, err))
			wait := throng.RetryAfterOf(err)
			switch k := throng.KindOf(err); {
			case k == throng.Unavailable, k == throng.RateLimited, k == throng.NoCapacity && wait > 0:
				napE2E(ctx, max(200*time.Millisecond, wait))
			default:
				return err
			}
		}
	}
	if o.err = stubborn("token", func() error {
		token, err := r.door.DevToken(ctx, p, string(api.RolePlayer))
		if err == nil {
			door, err = r.door.As(token.AccessToken)
		}
		return err
	}); o.err != nil {
		return o
	}
	var a client.Assignment
	o.err = stubborn("matchmake", func() (err error) {
		a, err = door.MatchmakeOnce(ctx, throng.Ticket{
			Key: throng.TicketKey{Caller: p, Ticket: throng.TicketID("tkt-" + p)}, Place: "arena", Party: []throng.PlayerID{p}, Mode: throng.ModeNew,
		})
		return err
	})
	o.took = time.Since(begun)
	if o.err != nil {
		return o
	}
	o.session = a.Session
	show(a)
	napE2E(ctx, 200*time.Millisecond)
	o.err = stubborn("end", func() error {
		err := operator.End(ctx, a.Session, "enough")
		if throng.KindOf(err) == throng.NotFound {
			return nil
		}
		return err
	})
	return o
}

// openUnderKills opens sessions while control planes are killed at random, and
// fails if one is no session and no clear refusal, or two are the same session.
func (r *region) openUnderKills(openings int, planes []*plane) {
	r.t.Helper()
	rng := rand.New(rand.NewPCG(4, 7))
	var group sync.WaitGroup
	begun, every := time.Now(), min(openings/8, 40)
	kills, nextKill := 0, every
	results := r.openAll(openings, 16, func(done int) {
		if done != nextKill {
			return
		}
		kills++
		r.t.Logf("%s kill %d after %d openings and %v", time.Now().Format("15:04:05.000"), kills, done, time.Since(begun).Round(time.Second))
		nextKill += every + rng.IntN(every)
		victim, away := planes[rng.IntN(len(planes))], time.Duration(rng.IntN(2000))*time.Millisecond
		group.Go(func() { victim.restart(r.t, away) })
	})
	group.Wait()
	sessions, refused, slowest := map[throng.SessionID]bool{}, 0, time.Duration(0)
	for i, o := range results {
		slowest = max(slowest, o.took)
		switch {
		case o.err == nil && sessions[o.session]:
			r.t.Errorf("opening %d: session %s is of two openings", i, o.session)
		case o.err == nil:
			sessions[o.session] = true
		case throng.KindOf(o.err) == throng.NoCapacity:
			refused++
			r.t.Logf("opening %d was refused: %v", i, o.err)
		default:
			r.t.Errorf("opening %d: got %v after %v, want a session or no capacity; it heard\n%s",
				i, o.err, o.took.Round(time.Millisecond), strings.Join(o.heard, "\n"))
		}
	}
	r.t.Logf("%d openings, %d kills, %v: %d sessions, %d refused, the slowest answer after %v",
		openings, kills, time.Since(begun).Round(time.Second), len(sessions), refused, slowest.Round(time.Millisecond))
	if len(sessions) < openings*95/100 {
		r.t.Errorf("got %d sessions of %d openings", len(sessions), openings)
	}
}

// startHost runs simulated game servers on a node of the region, until the test
// ends.
func (r *region) startHost(planes []*plane) *load.Host {
	r.t.Helper()
	text, err := os.ReadFile(filepath.Join(r.data, "node.token"))
	if err != nil {
		r.t.Fatal(err)
	}
	token := strings.TrimSpace(string(text))
	id, err := nodeOf(token)
	if err != nil {
		r.t.Fatal(err)
	}
	quiet := slog.New(slog.DiscardHandler)
	host, err := load.NewHost(load.HostConfig{HTTP: client.NewHTTP(nil), Logger: quiet})
	if err != nil {
		r.t.Fatal(err)
	}
	node, err := process.NewNode(process.NodeConfig{
		Host: host, Addrs: strings.Split(r.url, ","), Token: func() (string, error) { return token, nil }, ID: id, Logger: quiet,
	})
	if err != nil {
		r.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(r.t.Context())
	var running sync.WaitGroup
	running.Go(func() { _ = host.Run(ctx) })
	running.Go(func() { _ = node.Run(ctx) })
	r.t.Cleanup(func() { cancel(); running.Wait() })
	for _, p := range planes {
		eventually(r.t, 60*time.Second, "a control plane is ready", p.ready)
	}
	return host
}

// TestOpeningsUnderKills opens many sessions on simulated game servers, while
// control planes are killed at random.
func TestOpeningsUnderKills(t *testing.T) {
	t.Parallel()
	openings := 48
	if n := soakTimes(t); n > 0 {
		openings = 1000
	}
	r, planes := startPlanes(t, 2, "--warm", "4", "--max", "50")
	r.startHost(planes)
	r.openUnderKills(openings, planes)
}

// TestIdleConnections measures what the control connections of idle servers cost
// a control plane, beyond what it needs without any. Part of the memory is garbage
// (slack): api's TestIdleControlConnections has a limit for what is held.
func TestIdleConnections(t *testing.T) {
	if soakTimes(t) == 0 {
		t.Skip("skips 2,000 idle servers for minutes: THRONG_SOAK is not set")
	}
	t.Parallel()
	const idle = 2000
	cost := func(servers int) (mib int, share float64) {
		most := strconv.Itoa(max(servers, 1))
		r, planes := startPlanes(t, 1, "--warm", strconv.Itoa(servers), "--warm-most", strconv.Itoa(servers), "--max", most)
		r.startHost(planes)
		eventually(t, 2*time.Minute, "all are connected", func() bool { return r.metric("throng_servers_connected") >= float64(servers) })
		napE2E(t.Context(), 150*time.Second) // Go collects every two minutes when nothing happens
		const span = 20 * time.Second
		pid := planes[0].prog.cmd.Process.Pid
		used, begun := processorTime(pid), time.Now()
		napE2E(t.Context(), span)
		share = (processorTime(pid) - used).Seconds() / time.Since(begun).Seconds()
		mib = residentMiB(t, planes[0])
		planes[0].prog.stop(syscall.SIGTERM)
		return mib, share
	}
	bareMiB, bareShare := cost(0)
	mib, share := cost(idle)
	t.Logf("%d idle servers connected: %d MiB and %.1f %% of a core; none: %d MiB and %.1f %%; %.0f KiB each",
		idle, mib, 100*share, bareMiB, 100*bareShare, float64(mib-bareMiB)*1024/idle)
	if mib > 256 || share > 0.5 {
		t.Errorf("%d MiB and %.0f %% of a core", mib, 100*share)
	}
}

// TestOpeningsOnCluster opens many sessions on a cluster that loses 30 % of the
// answers to allocations, while control planes are killed at random. Every
// opening is a session or a clear refusal, no server is left over after a lease,
// and no ID is two servers.
func TestOpeningsOnCluster(t *testing.T) {
	lab.Require(t)
	openings := 64
	if n := soakTimes(t); n > 0 {
		openings = 1000
	}
	var doors atomic.Pointer[string]
	c := startCloud(t, 60, standin.Options{BatchWait: 100 * time.Millisecond, Lag: 50 * time.Millisecond, ExitLag: 200 * time.Millisecond, Ports: [2]int32{7000, 9000}},
		laterAt(&doors))
	r, planes := startPlanes(t, 2, "--clusters", clustersFile(t, c), "--warm", "4", "--max", "50")
	doors.Store(&r.url)
	for _, p := range planes {
		eventually(t, 60*time.Second, "a control plane is ready", p.ready)
	}
	defer c.Inject(faults.Fault{LoseReply: true, Rate: 0.3})()
	r.openUnderKills(openings, planes)
	t.Logf("%d pods were told that they are nobody", c.denied.Load())
	c.noneLeft(r)
}
