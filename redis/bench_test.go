package redis_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/redis"
	"github.com/throng-gg/throng/redis/redistest"
	"github.com/throng-gg/throng/session"
)

// A region at its peak has 30,000 sessions of 50 players: 117 sessions and 5,860
// players a shard. The benchmarks are of fewer shards, as full as those.
// THRONG_BENCH_SHARDS=256 is the whole region.
const (
	shardSessions = 117
	roster        = 50
	shardTickets  = 2930 // settled within 5 minutes, at 2,500 joins/s
)

// crowd is a store with sessions that are full but for 10 seats.
type crowd struct {
	server *redistest.Server
	store  *redis.Store
	shards int
	hosts  []*host
	next   atomic.Int64
	spent  time.Duration // by the server, on the step that is measured
}

// host is one session and its server.
type host struct {
	mu     sync.Mutex
	beat   throng.Heartbeat
	place  throng.PlaceID
	seated []throng.Member
	full   throng.Report // of when it was full

	published uint64
}

func newCrowd(b *testing.B) *crowd {
	b.Helper()
	c := &crowd{server: redistest.Start(b), shards: 8}
	if s := os.Getenv("THRONG_BENCH_SHARDS"); s != "" { //nolint:forbidigo // a benchmark's own
		n, err := strconv.Atoi(s)
		if err != nil || n < 1 || n > throng.Shards {
			b.Fatalf("THRONG_BENCH_SHARDS: %q is not 1 to %d", s, throng.Shards)
		}
		c.shards = n
	}
	st, err := redis.New(redis.Config{URL: c.server.URL(), Region: "local", Quarantine: time.Millisecond, Timeout: time.Minute})
	if err != nil {
		b.Fatal(err)
	}
	c.store = st
	ctx, stop := context.WithCancel(context.WithoutCancel(b.Context()))
	done := make(chan struct{})
	go func() {
		defer close(done)
		for ctx.Err() == nil {
			c.stampAll(b) //nolint:contextcheck // it goes on until the benchmark is over
			select {
			case <-ctx.Done():
			case <-time.After(session.TickTime):
			}
		}
	}()
	b.Cleanup(func() {
		stop()
		<-done
		st.Close()
	})
	c.stampAll(b)
	err = redistest.Await(time.Minute, func() error { // the quarantine is over
		_, err := st.Now(b.Context())
		return err
	}, nil)
	if err != nil {
		b.Fatal(err)
	}
	c.fill(b)
	return c
}

func (c *crowd) stampAll(b *testing.B) {
	b.Helper()
	c.each(b, throng.Shards, func(ctx context.Context, i int) error {
		_, err := c.store.Stamp(ctx, uint8(i), 0)
		return err
	})
}

// each runs n calls, 128 at once.
func (c *crowd) each(b *testing.B, n int, run func(ctx context.Context, i int) error) {
	b.Helper()
	var (
		wg   sync.WaitGroup
		next atomic.Int64
	)
	for range 128 {
		wg.Go(func() {
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				if err := run(context.WithoutCancel(b.Context()), i); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
}

// player returns a new player of the shards that are filled.
func (c *crowd) player() throng.PlayerID {
	for {
		p := throng.PlayerID(fmt.Sprintf("plr_%08d", c.next.Add(1)))
		if int(throng.PlayerShard(p)) < c.shards {
			return p
		}
	}
}

// fill opens the sessions, binds and seats them full.
func (c *crowd) fill(b *testing.B) {
	b.Helper()
	places := map[uint8]throng.PlaceID{}
	for i := 0; len(places) < c.shards; i++ {
		p := throng.PlaceID(fmt.Sprintf("arena-%d", i))
		if s := throng.PoolShard(p, 1); int(s) < c.shards && places[s] == "" {
			places[s] = p
		}
	}
	c.hosts = make([]*host, c.shards*shardSessions)
	c.each(b, len(c.hosts), func(ctx context.Context, i int) error {
		place := places[uint8(i%c.shards)]
		e := throng.Entropy{byte(i%255 + 1), byte(i/255%255 + 1), byte(i/65025 + 1), 7, 7, 7, 7, 7, 7, 7}
		h := &host{place: place, beat: throng.Heartbeat{
			Session: throng.MakeSessionID("local", uint8(i%c.shards), e),
			Server:  throng.MakeServerID("local", e), Incarnation: throng.MakeIncarnation(e),
			Address:  netip.MustParseAddrPort("192.0.2.7:41234"),
			Revision: 1,
			Web: throng.WebAddress{
				URL: "https://192.0.2.7:41235/play", Certificates: [][32]byte{{1, 2}, {3, 4}}, WebSocket: "ws://192.0.2.7:41236/play",
			},
		}}
		c.hosts[i] = h
		rep := throng.Report{Heartbeat: h.beat, Place: place, Version: 1, Capacity: roster + 10, State: throng.SessionOpen, OpenedAt: time.Now()}
		for range roster {
			m := throng.Member{Player: c.player(), Epoch: throng.NextEpoch(time.Now(), 0, 1)}
			h.seated = append(h.seated, m)
			rep.Seats = append(rep.Seats, throng.SeatReport{Player: m.Player, Epoch: m.Epoch, Key: throng.TicketKey{Caller: m.Player, Ticket: "t"}})
		}
		h.full = rep
		return c.report(ctx, h)
	})
}

// report sends the host's first report again.
func (c *crowd) report(ctx context.Context, h *host) error {
	_, fx, err := c.store.Report(ctx, h.full)
	if err != nil {
		return err
	}
	list, err := c.store.Restore(ctx, fx.Seats)
	for _, r := range list {
		err = errors.Join(err, r.Err)
	}
	return err
}

// BenchmarkReport is the reports of full sessions after Redis was emptied; no more
// of them than there are sessions tell anything new (-benchtime 900x).
func BenchmarkReport(b *testing.B) {
	c := newCrowd(b)
	c.server.Must(b, "FLUSHALL")
	err := redistest.Await(time.Minute, func() error {
		_, err := c.store.Now(b.Context())
		return err
	}, nil)
	if err != nil {
		b.Fatal(err)
	}
	c.measure(b, c.report)
	b.ReportMetric(float64(b.N)*roster/b.Elapsed().Seconds(), "seats/s")
}

// join takes a new player from claim to confirm.
func (c *crowd) join(ctx context.Context, h *host) (throng.Member, error) {
	p := c.player()
	k := throng.TicketKey{Caller: p, Ticket: throng.TicketID("tkt_" + string(p) + "_01")}
	t := throng.Ticket{Key: k, Place: h.place, Version: 1, Party: []throng.PlayerID{p}, Mode: throng.ModeDropIn}
	m := throng.Member{Player: p}
	claim, err := c.store.Claim(ctx, session.ClaimRequest{Player: p, Region: 1, Ticket: t})
	if err != nil {
		return m, err
	}
	m.Epoch = claim.Epoch
	hold, _, err := c.store.Hold(ctx, session.HoldRequest{Session: h.beat.Session, Key: k, Members: []throng.Member{m}})
	if err != nil {
		return m, err
	}
	if _, err := c.store.Settle(ctx, throng.Grant{Hold: hold, Place: h.place, Version: 1, Nonce: [24]byte{1, 2, 3}}); err != nil {
		return m, err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	change := throng.RosterChange{Revision: h.beat.Revision + 1, Kind: throng.RosterJoined, Player: p, Epoch: m.Epoch, Key: k}
	if _, err := c.store.Seat(ctx, h.beat, change); err != nil {
		return m, err
	}
	_, err = c.store.Fence(ctx, session.FenceRequest{
		Player: p, Epoch: m.Epoch, Session: h.beat.Session, Place: h.place, Key: k, Revision: change.Revision,
	})
	return m, err
}

// tell sends the host's heartbeat with a join and leaves that it has.
func (c *crowd) tell(ctx context.Context, h *host, joined throng.Member, leaves int) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	beat := h.beat
	if joined.Player != "" {
		h.seated = append(h.seated, joined)
		beat.Changes = append(beat.Changes, throng.RosterChange{
			Revision: beat.Revision + 1, Kind: throng.RosterJoined, Player: joined.Player, Epoch: joined.Epoch,
			Key: throng.TicketKey{Caller: joined.Player, Ticket: throng.TicketID("tkt_" + string(joined.Player) + "_01")},
		})
		beat.Revision++
	}
	for range leaves {
		m := h.seated[0]
		h.seated = h.seated[1:]
		beat.Changes = append(beat.Changes, throng.RosterChange{Revision: beat.Revision + 1, Kind: throng.RosterLeft, Player: m.Player, Epoch: m.Epoch})
		beat.Revision++
	}
	h.beat.Revision = beat.Revision
	_, fx, err := c.store.Heartbeat(ctx, beat, h.published)
	if err != nil || len(fx.Left) == 0 {
		return err
	}
	for _, d := range fx.Left {
		if _, err := c.store.Left(ctx, d); err != nil {
			return err
		}
	}
	h.published = fx.Left[len(fx.Left)-1].Number
	return nil
}

// measure runs n calls and reports the server's time for each script that ran.
func (c *crowd) measure(b *testing.B, run func(ctx context.Context, h *host) error) {
	b.Helper()
	c.server.Must(b, "CONFIG", "RESETSTAT")
	before := c.server.CPU(b)
	b.ResetTimer()
	c.each(b, b.N, func(ctx context.Context, i int) error { return run(ctx, c.hosts[i%len(c.hosts)]) })
	b.StopTimer()
	used := c.server.CPU(b) - before
	calls := 0
	for line := range strings.Lines(c.server.Must(b, "INFO", "commandstats")) {
		if m := regexp.MustCompile(`cmdstat_evalsha:calls=(\d+),usec=(\d+)`).FindStringSubmatch(line); m != nil {
			n, err := strconv.Atoi(m[1])
			if err != nil {
				b.Fatal(err)
			}
			usec, err := strconv.Atoi(m[2])
			if err != nil {
				b.Fatal(err)
			}
			calls = n
			b.ReportMetric(float64(usec)/float64(b.N), "script-us/op")
		}
	}
	b.ReportMetric(float64(used.Microseconds())/float64(b.N), "server-us/op")
	b.ReportMetric(float64(calls)/float64(b.N), "scripts/op")
}

func BenchmarkRegion(b *testing.B) {
	c := newCrowd(b)
	b.Run("heartbeat", func(b *testing.B) {
		c.measure(b, func(ctx context.Context, h *host) error { return c.tell(ctx, h, throng.Member{}, 0) })
	})
	b.Run("join-and-leave", func(b *testing.B) {
		c.measure(b, func(ctx context.Context, h *host) error {
			m, err := c.join(ctx, h)
			if err != nil {
				return err
			}
			return c.tell(ctx, h, m, 1)
		})
	})
	for _, step := range []string{"claim", "hold", "settle", "seat", "fence"} {
		b.Run(step, func(b *testing.B) { c.step(b, step) })
	}
	b.Run("tick-of-a-shard", func(b *testing.B) {
		// One of the shards that are full: a region's tick is 256 of these.
		var next atomic.Int64
		c.measure(b, func(ctx context.Context, _ *host) error {
			shard := uint8(next.Add(1) % int64(c.shards))
			if _, err := c.store.Stamp(ctx, shard, 0); err != nil {
				return err
			}
			_, err := c.store.Sweep(ctx, shard)
			return err
		})
	})
}

// step measures one step of joins whose other steps are done before and after.
func (c *crowd) step(b *testing.B, name string) {
	b.Helper()
	type joining struct {
		h *host
		m throng.Member
		t throng.Ticket
		g throng.Grant
		r throng.Revision
	}
	all := make([]joining, b.N)
	steps := map[string]func(ctx context.Context, j *joining) error{
		"claim": func(ctx context.Context, j *joining) error {
			res, err := c.store.Claim(ctx, session.ClaimRequest{Player: j.m.Player, Region: 1, Ticket: j.t})
			j.m.Epoch = res.Epoch
			return err
		},
		"hold": func(ctx context.Context, j *joining) (err error) {
			j.g.Hold, _, err = c.store.Hold(ctx, session.HoldRequest{Session: j.h.beat.Session, Key: j.t.Key, Members: []throng.Member{j.m}})
			return err
		},
		"settle": func(ctx context.Context, j *joining) error {
			_, err := c.store.Settle(ctx, j.g)
			return err
		},
		"seat": func(ctx context.Context, j *joining) error {
			_, err := c.store.Seat(ctx, j.h.beat, throng.RosterChange{
				Revision: j.r, Kind: throng.RosterJoined, Player: j.m.Player, Epoch: j.m.Epoch, Key: j.t.Key,
			})
			return err
		},
		"fence": func(ctx context.Context, j *joining) error {
			_, err := c.store.Fence(ctx, session.FenceRequest{
				Player: j.m.Player, Epoch: j.m.Epoch, Session: j.h.beat.Session, Place: j.h.place, Key: j.t.Key, Revision: j.r,
			})
			return err
		},
	}
	i := 0
	for i < len(all) { // a piece at a time, so that sessions do not fill up
		piece := all[i:min(i+len(c.hosts)*5, len(all))]
		for n := range piece {
			h := c.hosts[n%len(c.hosts)]
			p := c.player()
			k := throng.TicketKey{Caller: p, Ticket: throng.TicketID("tkt_" + string(p) + "_01")}
			piece[n] = joining{
				h: h, m: throng.Member{Player: p}, r: h.beat.Revision + 1,
				t: throng.Ticket{Key: k, Place: h.place, Version: 1, Party: []throng.PlayerID{p}, Mode: throng.ModeDropIn},
				g: throng.Grant{Place: h.place, Version: 1, Nonce: [24]byte{1}},
			}
		}
		for _, s := range []string{"claim", "hold", "settle", "seat", "fence"} {
			run := func() {
				c.each(b, len(piece), func(ctx context.Context, n int) error { return steps[s](ctx, &piece[n]) })
			}
			if s != name {
				b.StopTimer()
				run()
				continue
			}
			before := c.server.CPU(b)
			b.StartTimer()
			run()
			b.StopTimer()
			c.spent += c.server.CPU(b) - before
		}
		for n := range piece {
			j := &piece[n]
			if err := c.tell(b.Context(), j.h, j.m, 1); err != nil {
				b.Fatal(err)
			}
		}
		i += len(piece)
	}
	b.ReportMetric(float64(c.spent.Microseconds())/float64(b.N), "server-us/op")
	c.spent = 0
}

func BenchmarkMemory(b *testing.B) {
	c := newCrowd(b)
	empty := redistest.Start(b).Memory(b)
	seated := c.server.Memory(b)
	c.each(b, c.shards*shardTickets, func(ctx context.Context, i int) error {
		h := c.hosts[i%len(c.hosts)]
		h.mu.Lock()
		p := h.seated[i/len(c.hosts)%len(h.seated)].Player
		h.mu.Unlock()
		k := throng.TicketKey{Caller: p, Ticket: throng.TicketID(fmt.Sprintf("tkt_%012d", i))}
		t := throng.Ticket{Key: k, Place: h.place, Version: 1, Party: []throng.PlayerID{p}, Mode: throng.ModeDropIn}
		claim, err := c.store.Claim(ctx, session.ClaimRequest{Player: p, Region: 1, Ticket: t})
		if err != nil {
			return err
		}
		now := time.Now()
		g := throng.Grant{Place: h.place, Version: 1, Nonce: [24]byte{1, 2, 3}, Hold: throng.Hold{
			Key: k, Session: h.beat.Session, Members: []throng.Member{{Player: p, Epoch: claim.Epoch}}, HeldAt: now, Until: now.Add(throng.HoldTime),
		}}
		if _, err := c.store.Settle(ctx, g); err != nil {
			return err
		}
		_, err = c.store.Fence(ctx, session.FenceRequest{Player: p, Epoch: claim.Epoch, Session: h.beat.Session, Place: h.place, Key: k, Revision: 2})
		return err
	})
	all := c.server.Memory(b)
	for b.Loop() {
	}
	part := float64(c.shards) / throng.Shards
	b.ReportMetric(float64(seated-empty)/float64(len(c.hosts)*roster), "B/player")
	b.ReportMetric(float64(all-seated)/float64(c.shards*shardTickets), "B/ticket")
	b.ReportMetric(float64(all-empty)/part/1e6, "MB/region")
	b.ReportMetric(0, "ns/op")
}

// BenchmarkHoldRate compares holds through the store with redis-benchmark, which
// runs the same script on the same session and pipelines as much.
func BenchmarkHoldRate(b *testing.B) {
	tool, err := exec.LookPath("redis-benchmark")
	if err != nil {
		b.Skip("NOT TESTED: there is no redis-benchmark")
	}
	c := newCrowd(b)
	p := c.player()
	r := session.HoldRequest{
		Session: c.hosts[1].beat.Session, Key: throng.TicketKey{Caller: p},
		Members: []throng.Member{{Player: p, Epoch: 0x01010101010101}},
	}
	// No word of a command line can have a zero byte.
	var args []string
	for n := 0; len(args) == 0 || strings.Contains(strings.Join(args, ""), "\x00"); n++ {
		r.Key.Ticket = throng.TicketID(fmt.Sprint("t", n))
		if args, err = c.store.HoldCommand(b.Context(), r); err != nil {
			b.Fatal(err)
		}
	}
	var limit float64
	b.ResetTimer()
	for b.Loop() {
	}
	const n = 200_000
	begun := time.Now()
	c.each(b, n, func(ctx context.Context, i int) error {
		mine := r
		mine.Session = c.hosts[i%len(c.hosts)].beat.Session
		_, _, err := c.store.Hold(ctx, mine)
		return err
	})
	rate := n / time.Since(begun).Seconds()
	_, port, _ := strings.Cut(c.server.Addr, ":")
	cmd := exec.CommandContext(b.Context(), tool, append([]string{"-p", port, "-c", "8", "-P", "16", "-n", strconv.Itoa(n), "-q", "--csv"}, args...)...) //nolint:gosec // a benchmark's own arguments
	out, err := cmd.Output()
	if err != nil {
		b.Fatal(err)
	}
	if m := regexp.MustCompile(`,"([0-9.]+)"`).FindSubmatch(bytes.TrimSpace(out)); m != nil {
		if limit, err = strconv.ParseFloat(string(m[1]), 64); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(rate, "holds/s")
	b.ReportMetric(limit, "limit/s")
	b.ReportMetric(rate/limit, "of-limit")
}
