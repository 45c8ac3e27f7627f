package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	_ "embed"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/gameserver"
	"github.com/throng-gg/throng/udp"
	"github.com/throng-gg/throng/webtransport"
	"github.com/throng-gg/throng/wire/netcode"
)

// benchWireSideCmd is the serving process of bench wire: it says where it
// listens, and for every line of its input what it has spent.
type benchWireSideCmd struct {
	Name    string `arg:""`
	Players int    `default:"100"`
	Rate    int    `default:"30"`
	Down    int    `default:"200"`
}

// wireHello is a serving process's first line.
type wireHello struct {
	Addr         netip.AddrPort `json:"addr"`
	Port         uint16         `json:"port"` // instead of Addr
	URL          string         `json:"url"`
	Certificates [][]byte       `json:"certificates"`
	Certificate  []byte         `json:"certificate"` // itself
}

// wireMark is what a serving process has spent so far.
type wireMark struct {
	CPU     float64 `json:"cpu_s"`
	In      int64   `json:"in"`
	Out     int64   `json:"out"`
	Mallocs int64   `json:"mallocs"`
	// Of the bare side that sends by ticks, since it began: how long a tick took, and
	// how late it began, at p99.
	TickP99MS float64 `json:"tick_p99_ms"`
	LateP99MS float64 `json:"late_p99_ms"`
}

// wireCounts is what a side counts.
type wireCounts struct {
	in, out atomic.Int64
	// forged is what came to a transport that lets nobody in; nil: there is none.
	forged prometheus.Gatherer

	mu         sync.Mutex // guards what follows
	took, late []float64  // of ticks, ms
}

func (n *wireCounts) tick(late, took time.Duration) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.late, n.took = append(n.late, late.Seconds()*1000), append(n.took, took.Seconds()*1000)
}

// wireKey seals the tokens of all sides.
var wireKey = [netcode.KeySize]byte{1, 2, 3} //nolint:gochecknoglobals // a constant

// Run serves until its input ends.
func (c *benchWireSideCmd) Run(e *env) error {
	ctx, stop := context.WithCancel(e.ctx)
	defer stop()
	counts := &wireCounts{}
	serve, err := c.open(e, counts)
	if err != nil {
		return err
	}
	done := make(chan error, 1)
	go func() { done <- serve(ctx) }()
	for s := bufio.NewScanner(e.in); s.Scan(); {
		if err := json.NewEncoder(e.out).Encode(counts.mark()); err != nil {
			return err
		}
	}
	stop()
	return <-done
}

func (n *wireCounts) mark() wireMark {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u) // fails for a bad pointer only
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	in := n.in.Load()
	if n.forged != nil {
		in = countForged(n.forged)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	return wireMark{
		TickP99MS: p99(n.took), LateP99MS: p99(n.late),
		CPU: time.Duration(u.Utime.Nano() + u.Stime.Nano()).Seconds(), In: in, Out: n.out.Load(),
		Mallocs: int64(m.Mallocs),
	}
}

// p99 is a quantile of figures; 0: there are none.
func p99(all []float64) float64 {
	if len(all) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(all))
	return sorted[len(sorted)*99/100]
}

// countForged is how many datagrams a transport dropped as forged.
func countForged(g prometheus.Gatherer) int64 {
	families, err := g.Gather()
	if err != nil {
		return 0
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if f.GetName() == "throng_udp_dropped_total" && m.GetLabel()[0].GetValue() == netcode.DropForged.String() {
				return int64(m.GetCounter().GetValue())
			}
		}
	}
	return 0
}

// open listens, says where, and returns what serves.
func (c *benchWireSideCmd) open(e *env, counts *wireCounts) (func(context.Context) error, error) {
	var hello wireHello
	var serve func(context.Context) error
	var err error
	loopback := netip.MustParseAddrPort("127.0.0.1:0")
	switch c.Name {
	case sideBareEcho, sideBareTick, sideForgedRead:
		hello.Addr, serve, err = c.bare(counts)
	case sideQUIC:
		hello, serve, err = c.quic(counts)
	case sideThrongEcho, sideThrongTick, sideForgedThrong:
		var t *udp.Transport
		registry := prometheus.NewRegistry()
		if c.Name == sideForgedThrong {
			counts.forged = registry
		}
		if t, err = udp.New(udp.Config{Listen: loopback, Metrics: registry}); err == nil {
			hello.Addr, serve = t.Address(), c.game(t, counts)
		}
	case sideWebTransport:
		var t *webtransport.Transport
		if t, err = webtransport.New(webtransport.Config{Listen: loopback}); err == nil {
			web := t.WebAddress()
			hello.URL, serve = web.URL, c.game(t, counts)
			for _, h := range web.Certificates {
				hello.Certificates = append(hello.Certificates, h[:])
			}
		}
	default:
		return nil, throng.AtField(throng.Invalid, "name", "%q is no side", c.Name)
	}
	if err != nil {
		return nil, err
	}
	return serve, json.NewEncoder(e.out).Encode(hello)
}

// runner is a transport that must be run.
type runner interface {
	gameserver.Transport
	Run(ctx context.Context) error
}

// game serves as a game server's loop does.
func (c *benchWireSideCmd) game(t runner, counts *wireCounts) func(context.Context) error {
	return func(ctx context.Context) error {
		if err := t.Listen(wireKey, c.Players, time.Now); err != nil {
			return err
		}
		var running sync.WaitGroup
		running.Go(func() { c.loop(ctx, t, counts) })
		defer running.Wait()
		return t.Run(ctx)
	}
}

func (c *benchWireSideCmd) loop(ctx context.Context, t gameserver.Transport, counts *wireCounts) {
	var players []gameserver.ConnID
	down := make([]byte, c.Down)
	ticker := time.NewTicker(time.Second / time.Duration(c.Rate))
	defer ticker.Stop()
	take := func(ev gameserver.Event) {
		switch ev.Kind {
		case gameserver.EventConnected:
			players = append(players, ev.Conn)
		case gameserver.EventMessage:
			counts.in.Add(1)
			ev.Done()
			if c.Name == sideThrongEcho {
				t.Send(ev.Conn, down)
				counts.out.Add(1)
			}
		case gameserver.EventDisconnected:
		}
	}
	for {
		select {
		case <-ctx.Done():
			return
		case ev := <-t.Events():
			take(ev)
		case <-ticker.C:
			if c.Name != sideThrongEcho {
				tickOnce(t, take, players, down)
				counts.out.Add(int64(len(players)))
			}
		}
	}
}

// tickOnce takes what came and sends to everybody.
func tickOnce(t gameserver.Transport, take func(gameserver.Event), players []gameserver.ConnID, down []byte) {
	if q, ok := t.(gameserver.Quiet); ok {
		q.Gather()
	}
	for more := true; more; {
		select {
		case ev := <-t.Events():
			take(ev)
		default:
			more = false
		}
	}
	if b, ok := t.(gameserver.Batch); ok {
		b.Hold()
		defer b.Release()
	}
	for _, p := range players {
		t.Send(p, down)
	}
}

// wireProcess is a serving process.
type wireProcess struct {
	hello wireHello
	cmd   *exec.Cmd
	in    io.WriteCloser
	out   *json.Decoder
}

// start starts a side's serving process.
func (b *wireBench) start(name string) (*wireProcess, error) {
	path, err := self()
	if err != nil {
		return nil, err
	}
	args := []string{
		"bench", "wire-side", name, "--players", strconv.Itoa(b.Players), "--rate", strconv.Itoa(b.Rate), "--down", strconv.Itoa(b.Down),
	}
	if name == sideENet {
		path, args = b.enet, []string{"server", strconv.Itoa(b.Players), strconv.Itoa(b.Rate), strconv.Itoa(b.Down)}
	}
	cmd := exec.CommandContext(b.env.ctx, path, args...)
	cmd.Stderr = b.env.err
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	p := &wireProcess{cmd: cmd, in: in, out: json.NewDecoder(out)}
	if err := p.out.Decode(&p.hello); err != nil {
		p.end()
		return nil, fmt.Errorf("the serving process did not say where it listens: %w", err)
	}
	if p.hello.Port != 0 {
		p.hello.Addr = netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), p.hello.Port)
	}
	return p, nil
}

func (p *wireProcess) mark() (m wireMark, err error) {
	if _, err = io.WriteString(p.in, "mark\n"); err == nil {
		err = p.out.Decode(&m)
	}
	return m, err
}

func (p *wireProcess) end() {
	_ = p.in.Close()
	kill := time.AfterFunc(5*time.Second, func() { _ = p.cmd.Process.Kill() })
	_ = p.cmd.Wait()
	kill.Stop()
}

//go:embed enet/enet.c
var enetSource []byte

// buildENet compiles the program that serves and plays over ENet. No program:
// why says what lacks.
func buildENet(ctx context.Context) (program string, clean func(), why string) {
	dir, err := os.MkdirTemp("", "throng-enet-")
	if err != nil {
		return "", func() {}, err.Error()
	}
	clean = func() { _ = os.RemoveAll(dir) }
	source, program := filepath.Join(dir, "enet.c"), filepath.Join(dir, "enet")
	if err := os.WriteFile(source, enetSource, 0o600); err != nil {
		return "", clean, err.Error()
	}
	out, err := exec.CommandContext(ctx, "cc", "-O2", "-o", program, source, "-lenet").CombinedOutput() //nolint:gosec // paths of ours
	if err != nil {
		return "", clean, fmt.Sprintf("it needs a C compiler and ENet (Debian: gcc libenet-dev): %v: %.200s", err, out)
	}
	return program, clean, ""
}
