package main

import (
	"bufio"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/edge/gateway"
	"github.com/throng-gg/throng/udp/batch"
	"github.com/throng-gg/throng/wire/netcode"
)

// benchGatewayCmd measures a gateway of one worker, in a process of its own.
type benchGatewayCmd struct {
	Flows    int           `default:"100000" help:"Players who are connected; each has an IP of 127.0.0.0/8 of his own."`
	Forged   int           `default:"1000000" help:"Forged first packets."`
	Valid    int           `default:"7500" help:"Valid datagrams a second beside a flood."`
	Garbage  int           `default:"10" help:"How many times as many datagrams the flood has: random bytes, forged first packets, first packets sent again from elsewhere, payloads of nobody."`
	For      time.Duration `default:"2s" help:"How long each rate, and each latency, is measured."`
	Runs     int           `default:"3" help:"How often; the medians are told."`
	Rate     float64       `help:"At how many datagrams a second latency is measured; by default half of what passes when as much is sent as can be." placeholder:"N"`
	Beside   string        `help:"Another proxy to measure in the same runs: a command, in which PORT stands for the UDP port of 127.0.0.1 where it is to listen and SERVER for the address it passes on to." placeholder:"COMMAND"`
	Net      string        `default:"127.1.0.0" help:"Where players' IPs begin. Those of another net have to be this machine's own, as by ip route add local 44.0.0.0/8 dev lo: there are proxies that take none of 127.0.0.0/8." placeholder:"IP"`
	Realtime bool          `help:"Let the gateway, and the process without a look, run before all else (throng edge gateway --realtime)."`
	JSON     bool          `help:"Print the report as JSON."`

	first [2]byte // of Net
}

// gatewayReport is what it prints.
type gatewayReport struct {
	Flows        int     `json:"flows"`
	FlowsMB      float64 `json:"flows_mb"`            // resident, more than without any
	ResidentMB   float64 `json:"resident_mb"`         // with all flows
	GatewayUS    float64 `json:"gateway_us"`          // CPU for each datagram that is passed
	RawUS        float64 `json:"raw_us"`              // of the same calls of the kernel without a look
	PerCore      float64 `json:"per_core"`            // datagrams a second
	RawPerCore   float64 `json:"raw_per_core"`        //
	OfRaw        float64 `json:"of_raw"`              // PerCore of RawPerCore, the median of the runs
	BesideUS     float64 `json:"beside_us,omitempty"` // of the other proxy
	OfBeside     float64 `json:"of_beside,omitempty"` // PerCore beside the other proxy's, the median of the runs
	Measured     int     `json:"measured"`            // slices of 100 ms in which latency was measured
	Stolen       int     `json:"stolen"`              // of them those during which the host took a core away; another is measured for each, up to fifteen times as many as are needed
	StillStolen  int     `json:"still_stolen"`        // of them those that count none the less, the least disturbed, as there were not enough others
	Forged       int     `json:"forged"`              // that were sent
	ForgedSeen   float64 `json:"forged_seen"`         // that the gateway judged so; the kernel had no room for the others
	ForgedPassed int64   `json:"forged_passed"`       // that reached the server
	ForgedUS     float64 `json:"forged_us"`           // CPU for each
	ForgedFlows  float64 `json:"forged_flows"`        // that they made
	ForgedBytes  int64   `json:"forged_answer"`       // bytes that came back for them

	// Half is at half of what the gateway passed in a second when it was sent as
	// much as the machine can, or at the rate that was asked for.
	Half gatewayHalf `json:"half_load"`
	// Flood is valid datagrams beside garbage.
	Flood gatewayFlood `json:"flood"`
}

// Run measures and reports.
func (c *benchGatewayCmd) Run(e *env) error {
	if c.Flows < 1 || c.Flows > 1<<20 || c.Forged < 1 || c.Runs < 1 || c.For < 100*time.Millisecond {
		return throng.AtField(throng.Invalid, "--flows", "and --forged, --for, --runs must be more, and at most %d flows", 1<<20)
	}
	if c.Valid < 1 || c.Garbage < 1 || c.Valid > 1_000_000 || c.Garbage > 1000 {
		return throng.AtField(throng.Invalid, "--valid", "must be 1 to 1000000, and --garbage 1 to 1000")
	}
	from, err := netip.ParseAddr(c.Net)
	if err != nil || !from.Is4() {
		return throng.AtField(throng.Invalid, "--net", "%q is no IPv4 address", c.Net)
	}
	if c.Realtime {
		place, err := (&batch.Front{}).Enter()
		if err != nil {
			return throng.AtField(throng.Denied, "--realtime", "the kernel does not allow it: %w", err)
		}
		place.Leave()
	}
	c.first = [2]byte(from.AsSlice()[:2])
	b := &gatewayBench{benchGatewayCmd: c, e: e}
	if err := b.open(); err != nil {
		return errors.Join(err, b.close())
	}
	err = b.measure()
	if err = errors.Join(err, b.close()); err != nil {
		return err
	}
	if c.JSON {
		return writeJSON(e.out, b.report)
	}
	b.report.text(e.out)
	return nil
}

// gatewayBench is the players and the game server of a gateway.
type gatewayBench struct {
	*benchGatewayCmd
	e       *env
	report  gatewayReport
	dir     string
	players *batch.Socket // which sends from any IP
	nobody  *batch.Socket // likewise; the flood's
	gateway *child
	raw     *child
	beside  *child // nil: none
	metrics string // URL
	request func() ([]byte, error)
	ears    ears
	heard   sync.WaitGroup
	back    atomic.Int64 // bytes at the players
	gained  atomic.Int64 // bytes that the flood was answered
}

// child is a process that passes datagrams.
type child struct {
	cmd *exec.Cmd
	at  netip.AddrPort
}

// spawn starts this program and waits for the line that says where it listens.
func (b *gatewayBench) spawn(args ...string) (*child, error) {
	exe, err := self()
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(b.e.ctx, exe, args...)
	cmd.Env, cmd.Stderr = append(os.Environ(), "GOMAXPROCS=2"), b.e.err
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	p := &child{cmd: cmd}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err == nil {
		words := strings.Fields(line)
		p.at, err = netip.ParseAddrPort(words[len(words)-1])
	}
	if err != nil {
		p.end()
		return nil, fmt.Errorf("%s did not say where it listens: %w", args[0], err)
	}
	return p, nil
}

// spawnAll starts what is measured.
func (b *gatewayBench) spawnAll(keys string, server netip.AddrPort) error {
	free, err := (&net.ListenConfig{}).Listen(b.e.ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	b.metrics = "http://" + free.Addr().String()
	if err := free.Close(); err != nil {
		return err
	}
	realtime := fmt.Sprintf("--realtime=%t", b.Realtime)
	b.gateway, err = b.spawn("edge", "gateway", "--listen", "127.0.0.1:0", "--inner", "127.0.0.1", "--keys", keys, "--http", strings.TrimPrefix(b.metrics, "http://"), "--workers", "1",
		"--per-flow", fmt.Sprint(1<<24), "--drain", "0s", realtime)
	if err != nil {
		return err
	}
	if b.raw, err = b.spawn("bench", "gateway-raw", server.String(), realtime); err != nil || b.Beside == "" {
		return err
	}
	b.beside, err = b.spawnBeside(server)
	return err
}

func (p *child) end() {
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	late := time.AfterFunc(5*time.Second, func() { _ = p.cmd.Process.Kill() }) // another's may wait for its players
	defer late.Stop()
	_ = p.cmd.Wait() // its status says that it was ended
}

// cpu is what the process has used.
func (p *child) cpu() (time.Duration, error) {
	threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", p.cmd.Process.Pid))
	if err != nil || len(threads) == 0 {
		return 0, throng.Errorf(throng.Unavailable, "the kernel does not tell what process %d uses", p.cmd.Process.Pid)
	}
	sum := time.Duration(0)
	for _, name := range threads {
		text, err := os.ReadFile(name)
		if err != nil { // it ended
			continue
		}
		var ns int64
		if _, err := fmt.Sscan(string(text), &ns); err == nil {
			sum += time.Duration(ns)
		}
	}
	return sum, nil
}

func (b *gatewayBench) open() (err error) {
	if b.dir, err = os.MkdirTemp("", "throng-bench-gateway"); err != nil {
		return err
	}
	var key [netcode.KeySize]byte
	rand.Read(key[:])
	keys := filepath.Join(b.dir, "keys")
	if err := os.WriteFile(keys, []byte("1 "+hex.EncodeToString(key[:])+"\n"), 0o600); err != nil {
		return err
	}
	local, all := netip.MustParseAddrPort("127.0.0.1:0"), netip.MustParseAddrPort("0.0.0.0:0")
	if b.ears.Socket, err = batch.Bind(b.e.ctx, local, stamps); err != nil {
		return err
	}
	_ = unix.SetsockoptInt(b.ears.Descriptor(), unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, earsRoom) // who may not has less
	if b.players, err = batch.Bind(b.e.ctx, all, nil); err != nil {
		return err
	}
	if b.nobody, err = batch.Bind(b.e.ctx, all, nil); err != nil {
		return err
	}
	at := b.ears.Address()
	if err := b.spawnAll(keys, at); err != nil {
		return err
	}
	route, err := netcode.MakeRoute(key, 1, at, key)
	if err != nil {
		return err
	}
	b.request = func() ([]byte, error) { return b.requestBy(key, at, route) }
	b.heard.Go(b.ears.listen)
	b.heard.Go(func() { hear(b.players, &b.back) })
	b.heard.Go(func() { hear(b.nobody, &b.gained) })
	return nil
}

// requestBy is the first packet of a player, with a token of his own.
func (b *gatewayBench) requestBy(key [netcode.KeySize]byte, server netip.AddrPort, route []byte) ([]byte, error) {
	now := uint64(time.Now().Unix())
	c := netcode.TokenConfig{
		Key: key, Create: now, Expire: now + 3600, Servers: []netip.AddrPort{server}, Gateways: []netip.AddrPort{b.gateway.at}, Route: route, MarkKey: key,
	}
	rand.Read(c.Nonce[:])
	token, err := netcode.MakeToken(c)
	if err != nil {
		return nil, err
	}
	return requestOf(token), nil
}

func (b *gatewayBench) close() error {
	var all []error
	sockets := slices.DeleteFunc([]*batch.Socket{b.ears.Socket, b.players, b.nobody}, func(s *batch.Socket) bool { return s == nil })
	for _, s := range sockets {
		s.Shut()
	}
	b.heard.Wait()
	for _, s := range sockets {
		all = append(all, s.Close())
	}
	for _, p := range []*child{b.gateway, b.raw, b.beside} {
		if p != nil {
			p.end()
		}
	}
	return errors.Join(append(all, os.RemoveAll(b.dir))...)
}

func (b *gatewayBench) measure() error {
	empty := memoryMB(b.gateway.cmd.Process.Pid, "VmRSS:")
	if err := b.connect(); err != nil {
		return err
	}
	r := &b.report
	r.Flows = b.Flows
	r.ResidentMB = memoryMB(b.gateway.cmd.Process.Pid, "VmRSS:")
	r.FlowsMB = r.ResidentMB - empty
	var ours, limits, shares, rates, besides, times []float64
	if b.beside != nil {
		if err := b.awaitBeside(); err != nil {
			return err
		}
	}
	for range b.Runs {
		us, err := b.capacity(b.gateway, gatewayPayload())
		if err != nil {
			return err
		}
		limit, err := b.capacity(b.raw, gatewayPayload())
		if err != nil {
			return err
		}
		if b.beside != nil {
			other, err := b.capacity(b.beside, gatewayPayload())
			if err != nil {
				return err
			}
			besides, times = append(besides, other), append(times, other/us)
		}
		ours, limits, shares, rates = append(ours, us), append(limits, limit), append(shares, limit/us), append(rates, b.rate())
	}
	r.GatewayUS, r.RawUS, r.OfRaw = middle(ours), middle(limits), middle(shares)
	if b.beside != nil {
		r.BesideUS, r.OfBeside = middle(besides), middle(times)
	}
	r.PerCore, r.RawPerCore = 1e6/r.GatewayUS, 1e6/r.RawUS
	rate := middle(rates) / 2
	if b.Rate > 0 {
		rate = b.Rate
	}
	if err := b.half(rate); err != nil {
		return err
	}
	if err := b.flood(); err != nil {
		return err
	}
	return b.forge()
}

// gatewayPayload is one of a player, of which a gateway sees no more.
func gatewayPayload() []byte {
	return append([]byte{1<<4 | byte(netcode.TypePayload), 0}, make([]byte, 100+16)...)
}

// carriedPayload is it as servers get it from a gateway.
func carriedPayload() []byte { return append(make([]byte, netcode.CarriedSize), gatewayPayload()...) }

// connect makes all flows.
func (b *gatewayBench) connect() error {
	b.ears.answering.Store(true)
	defer b.ears.answering.Store(false)
	v := newVolley(b.players, b.first, b.gateway.at, nil)
	const rounds = 10 // what is lost comes again
	for range rounds {
		for n := 0; n < b.Flows && b.e.ctx.Err() == nil; n += batch.Size {
			for i := range batch.Size {
				request, err := b.request()
				if err != nil {
					return err
				}
				v.many.SetBuffer(i, request)
			}
			before := b.back.Load()
			v.fire(b.Flows, batch.Size)
			for end := time.Now().Add(20 * time.Millisecond); b.back.Load() < before+64*26 && time.Now().Before(end); {
				<-time.After(100 * time.Microsecond)
			}
		}
		if flows, err := b.count(flowsCount); err != nil || int(flows) == b.Flows {
			return err
		}
	}
	return throng.Errorf(throng.Internal, "not all of %d players were connected", b.Flows)
}

// counts reads the gateway's metrics.
func (b *gatewayBench) counts() (map[string]float64, error) {
	req, err := http.NewRequestWithContext(b.e.ctx, http.MethodGet, b.metrics+"/metrics", nil)
	if err != nil {
		return nil, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	all := map[string]float64{}
	lines := bufio.NewScanner(resp.Body)
	for lines.Scan() {
		name, text, _ := strings.Cut(lines.Text(), " ")
		if value, err := strconv.ParseFloat(text, 64); err == nil {
			all[name] = value
		}
	}
	return all, lines.Err()
}

// count reads one of them.
func (b *gatewayBench) count(name string) (float64, error) {
	all, err := b.counts()
	if err != nil {
		return 0, err
	}
	value, ok := all[name]
	if !ok {
		return 0, throng.Errorf(throng.NotFound, "the gateway does not tell %s", name)
	}
	return value, nil
}

const flowsCount, forgedCount = "throng_gateway_flows", `throng_gateway_datagrams_total{from="client",verdict="forged"}`

// forge floods with first packets that are genuine in all but one byte.
func (b *gatewayBench) forge() error {
	forged, err := b.request()
	if err != nil {
		return err
	}
	forged[500] ^= 1
	<-time.After(100 * time.Millisecond) // what is under way to players
	passed, back := b.ears.came.Load(), b.back.Load()
	was, err := b.counts()
	if err != nil {
		return err
	}
	before, err := b.gateway.cpu()
	if err != nil {
		return err
	}
	v := newVolley(b.players, b.first, b.gateway.at, forged)
	for n := 0; n < b.Forged && b.e.ctx.Err() == nil; {
		n += max(v.fire(1<<20, batch.Size), 1)
	}
	after, err := b.gateway.cpu()
	if err != nil {
		return err
	}
	<-time.After(100 * time.Millisecond)
	is, err := b.counts()
	if err != nil {
		return err
	}
	r := &b.report
	r.Forged, r.ForgedPassed, r.ForgedBytes = b.Forged, b.ears.came.Load()-passed, b.back.Load()-back
	r.ForgedSeen = is[forgedCount] - was[forgedCount]
	r.ForgedUS = float64((after - before).Nanoseconds()) / 1000 / max(r.ForgedSeen, 1)
	r.ForgedFlows = max(is[flowsCount]-was[flowsCount], 0)
	return nil
}

// requestOf is the first packet of a client with a token.
func requestOf(token []byte) []byte {
	const created, nonce = 13 + 8, 13 + 3*8 // a request has all of the token's head but the time it was made
	out := append([]byte{0}, token[:created]...)
	return append(out, token[created+8:nonce+netcode.NonceSize+1024]...)
}

// benchGatewayRawCmd is the limit's process.
type benchGatewayRawCmd struct {
	To       string `arg:""`
	Realtime bool
}

// Run passes datagrams on until e.ctx ends.
func (c *benchGatewayRawCmd) Run(e *env) error {
	to, err := netip.ParseAddrPort(c.To)
	if err != nil {
		return err
	}
	return gateway.Raw(e.ctx, netip.MustParseAddrPort("127.0.0.1:0"), to, c.Realtime, func(at netip.AddrPort) {
		fmt.Fprintf(e.out, "passes datagrams on at %s\n", at)
	})
}
