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
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/net/ipv4"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/edge/gateway"
	"github.com/throng-gg/throng/wire/netcode"
)

// benchGatewayCmd measures a gateway of one worker, in a process of its own.
type benchGatewayCmd struct {
	Flows  int           `default:"100000" help:"Players who are connected; each has an IP of 127.0.0.0/8 of his own."`
	Forged int           `default:"1000000" help:"Forged first packets."`
	For    time.Duration `default:"2s" help:"How long each rate is measured."`
	Runs   int           `default:"3" help:"How often; the medians are told."`
}

// gatewayReport is what it prints.
type gatewayReport struct {
	Flows        int     `json:"flows"`
	FlowsMB      float64 `json:"flows_mb"`      // resident, more than without any
	ResidentMB   float64 `json:"resident_mb"`   // with all flows
	GatewayUS    float64 `json:"gateway_us"`    // CPU for each datagram that is passed
	RawUS        float64 `json:"raw_us"`        // of the same calls of the kernel without a look
	PerCore      float64 `json:"per_core"`      // datagrams a second
	RawPerCore   float64 `json:"raw_per_core"`  //
	OfRaw        float64 `json:"of_raw"`        // PerCore of RawPerCore, the median of the runs
	Forged       int     `json:"forged"`        // that were sent
	ForgedSeen   float64 `json:"forged_seen"`   // that the gateway judged so; the kernel had no room for the others
	ForgedPassed int64   `json:"forged_passed"` // that reached the server
	ForgedUS     float64 `json:"forged_us"`     // CPU for each
	ForgedFlows  float64 `json:"forged_flows"`  // that they made
	ForgedBytes  int64   `json:"forged_answer"` // bytes that came back for them
}

// Run measures and reports.
func (c *benchGatewayCmd) Run(e *env) error {
	if c.Flows < 1 || c.Flows > 1<<20 || c.Forged < 1 || c.Runs < 1 || c.For < 100*time.Millisecond {
		return throng.AtField(throng.Invalid, "--flows", "and --forged, --for, --runs must be more, and at most %d flows", 1<<20)
	}
	b := &gatewayBench{benchGatewayCmd: c, e: e}
	if err := b.open(); err != nil {
		return errors.Join(err, b.close())
	}
	err := b.measure()
	if err = errors.Join(err, b.close()); err != nil {
		return err
	}
	return writeJSON(e.out, b.report)
}

// gatewayBench is the players and the game server of a gateway.
type gatewayBench struct {
	*benchGatewayCmd
	e       *env
	report  gatewayReport
	dir     string
	server  *net.UDPConn
	players *net.UDPConn // which sends from any IP
	gateway *child
	metrics string // URL
	request []byte
	came    atomic.Int64 // datagrams at the server
	back    atomic.Int64 // bytes at the players
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

func (p *child) end() {
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
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
	if b.server, err = net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)}); err != nil {
		return err
	}
	if b.players, err = net.ListenUDP("udp4", nil); err != nil {
		return err
	}
	if err := errors.Join(b.server.SetReadBuffer(4<<20), b.players.SetWriteBuffer(4<<20)); err != nil {
		return err
	}
	free, err := (&net.ListenConfig{}).Listen(b.e.ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	b.metrics = "http://" + free.Addr().String()
	if err := free.Close(); err != nil {
		return err
	}
	most := fmt.Sprint(1 << 24)
	b.gateway, err = b.spawn("edge", "gateway", "--listen", "127.0.0.1:0", "--inner", "127.0.0.1", "--keys", keys, "--http", strings.TrimPrefix(b.metrics, "http://"), "--workers", "1",
		"--per-flow", most, "--per-token", most, "--per-source", most, "--drain", "0s")
	if err != nil {
		return err
	}
	at, err := netip.ParseAddrPort(b.server.LocalAddr().String())
	if err != nil {
		return err
	}
	route, err := netcode.MakeRoute(key, 1, at, key)
	if err != nil {
		return err
	}
	now := uint64(time.Now().Unix())
	token, err := netcode.MakeToken(netcode.TokenConfig{
		Key: key, Create: now, Expire: now + 3600, Servers: []netip.AddrPort{at}, Gateways: []netip.AddrPort{b.gateway.at}, Route: route, MarkKey: key,
	})
	if err != nil {
		return err
	}
	b.request = requestOf(token)
	go b.answer()
	go b.hear()
	return nil
}

func (b *gatewayBench) close() error {
	var all []error
	for _, c := range []*net.UDPConn{b.server, b.players} {
		if c != nil {
			all = append(all, c.Close())
		}
	}
	if b.gateway != nil {
		b.gateway.end()
	}
	return errors.Join(append(all, os.RemoveAll(b.dir))...)
}

// answer is the game server: it takes whoever asks, with his first keep-alive.
func (b *gatewayBench) answer() {
	keepAlive := append([]byte{1<<4 | byte(netcode.TypeKeepAlive), 0}, make([]byte, 8+16)...)
	for buffer := make([]byte, 2000); ; {
		n, from, err := b.server.ReadFromUDPAddrPort(buffer)
		if err != nil {
			return
		}
		b.came.Add(1)
		if n == netcode.CarriedSize+netcode.RequestSize {
			_, _ = b.server.WriteToUDPAddrPort(append(buffer[:netcode.CarriedSize], keepAlive...), from)
		}
	}
}

// hear counts what comes back to players.
func (b *gatewayBench) hear() {
	for buffer := make([]byte, 2000); ; {
		n, _, err := b.players.ReadFromUDPAddrPort(buffer)
		if err != nil {
			return
		}
		b.back.Add(int64(n))
	}
}

// volley is datagrams of many players, sent by one call.
type volley struct {
	out  *ipv4.PacketConn
	many []ipv4.Message
	next int
}

func (b *gatewayBench) volley(to netip.AddrPort, data []byte) *volley {
	v := &volley{out: ipv4.NewPacketConn(b.players), many: make([]ipv4.Message, 64)}
	for i := range v.many {
		v.many[i] = ipv4.Message{Buffers: [][]byte{data}, Addr: net.UDPAddrFromAddrPort(to)}
	}
	return v
}

// fire sends from the next players of so many.
func (v *volley) fire(players int) int {
	for i := range v.many {
		p := v.next % players
		v.next++
		from := ipv4.ControlMessage{Src: net.IPv4(127, byte(1+p>>16), byte(p>>8), byte(p))}
		v.many[i].OOB = from.Marshal()
	}
	n, _ := v.out.WriteBatch(v.many, 0)
	return n
}

func (b *gatewayBench) measure() error {
	empty := memoryMB(b.gateway.cmd.Process.Pid, "VmRSS:")
	if err := b.connect(); err != nil {
		return err
	}
	b.report.Flows = b.Flows
	b.report.ResidentMB = memoryMB(b.gateway.cmd.Process.Pid, "VmRSS:")
	b.report.FlowsMB = b.report.ResidentMB - empty
	at, err := netip.ParseAddrPort(b.server.LocalAddr().String())
	if err != nil {
		return err
	}
	raw, err := b.spawn("bench", "gateway-raw", at.String())
	if err != nil {
		return err
	}
	defer raw.end()
	payload := append([]byte{1<<4 | byte(netcode.TypePayload), 0}, make([]byte, 100+16)...)
	carried := append(make([]byte, netcode.CarriedSize), payload...)
	var ours, limits, shares []float64
	for range b.Runs {
		us, err := b.blast(b.gateway, payload)
		if err != nil {
			return err
		}
		limit, err := b.blast(raw, carried)
		if err != nil {
			return err
		}
		ours, limits, shares = append(ours, us), append(limits, limit), append(shares, limit/us)
	}
	r := &b.report
	r.GatewayUS, r.RawUS, r.OfRaw = middle(ours), middle(limits), middle(shares)
	r.PerCore, r.RawPerCore = 1e6/r.GatewayUS, 1e6/r.RawUS
	return b.forge()
}

// connect makes all flows.
func (b *gatewayBench) connect() error {
	v := b.volley(b.gateway.at, b.request)
	for rounds := 0; b.back.Load() < int64(b.Flows)*26; rounds++ {
		if rounds > 100*(b.Flows/64+1) || b.e.ctx.Err() != nil {
			return throng.Errorf(throng.Internal, "of %d players %d were answered", b.Flows, b.back.Load()/26)
		}
		before := b.back.Load()
		v.fire(b.Flows)
		for end := time.Now().Add(20 * time.Millisecond); b.back.Load() < before+64*26 && time.Now().Before(end); {
			<-time.After(100 * time.Microsecond)
		}
	}
	return nil
}

// blast sends as fast as it can, and returns the CPU that a process takes for each
// datagram that it passed on, in microseconds.
func (b *gatewayBench) blast(p *child, data []byte) (float64, error) {
	v := b.volley(p.at, data)
	send := func(d time.Duration) {
		for end := time.Now().Add(d); time.Now().Before(end) && b.e.ctx.Err() == nil; {
			v.fire(b.Flows)
		}
	}
	send(b.For / 4)
	passed := b.came.Load()
	before, err := p.cpu()
	if err != nil {
		return 0, err
	}
	send(b.For)
	after, err := p.cpu()
	if err != nil {
		return 0, err
	}
	if passed = b.came.Load() - passed; passed == 0 {
		return 0, throng.Errorf(throng.Internal, "nothing was passed on")
	}
	return float64((after - before).Nanoseconds()) / 1000 / float64(passed), nil
}

// count reads one number of the gateway's metrics.
func (b *gatewayBench) count(name string) (float64, error) {
	req, err := http.NewRequestWithContext(b.e.ctx, http.MethodGet, b.metrics+"/metrics", nil)
	if err != nil {
		return 0, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err
	}
	defer func() { _ = resp.Body.Close() }()
	for lines := bufio.NewScanner(resp.Body); lines.Scan(); {
		if value, ok := strings.CutPrefix(lines.Text(), name+" "); ok {
			return strconv.ParseFloat(value, 64)
		}
	}
	return 0, throng.Errorf(throng.NotFound, "the gateway does not tell %s", name)
}

// forge floods with first packets that are genuine in all but one byte.
func (b *gatewayBench) forge() error {
	forged := append([]byte(nil), b.request...)
	forged[500] ^= 1
	<-time.After(100 * time.Millisecond) // what is under way to players
	passed, back := b.came.Load(), b.back.Load()
	flows, err := b.count("throng_gateway_flows")
	if err != nil {
		return err
	}
	before, err := b.gateway.cpu()
	if err != nil {
		return err
	}
	v := b.volley(b.gateway.at, forged)
	for n := 0; n < b.Forged && b.e.ctx.Err() == nil; {
		n += max(v.fire(1<<20), 1)
	}
	after, err := b.gateway.cpu()
	if err != nil {
		return err
	}
	<-time.After(100 * time.Millisecond)
	r := &b.report
	r.Forged, r.ForgedPassed, r.ForgedBytes = b.Forged, b.came.Load()-passed, b.back.Load()-back
	if r.ForgedSeen, err = b.count(`throng_gateway_datagrams_total{from="client",verdict="forged"}`); err != nil {
		return err
	}
	r.ForgedUS = float64((after - before).Nanoseconds()) / 1000 / max(r.ForgedSeen, 1)
	left, err := b.count("throng_gateway_flows")
	r.ForgedFlows = max(left-flows, 0)
	return err
}

// requestOf is the first packet of a client with a token.
func requestOf(token []byte) []byte {
	const created, nonce = 13 + 8, 13 + 3*8 // a request has all of the token's head but the time it was made
	out := append([]byte{0}, token[:created]...)
	return append(out, token[created+8:nonce+netcode.NonceSize+1024]...)
}

// benchGatewayRawCmd is the limit's process.
type benchGatewayRawCmd struct {
	To string `arg:""`
}

// Run passes datagrams on until e.ctx ends.
func (c *benchGatewayRawCmd) Run(e *env) error {
	to, err := netip.ParseAddrPort(c.To)
	if err != nil {
		return err
	}
	return gateway.Raw(e.ctx, netip.MustParseAddrPort("127.0.0.1:0"), to, func(at netip.AddrPort) {
		fmt.Fprintf(e.out, "passes datagrams on at %s\n", at)
	})
}
