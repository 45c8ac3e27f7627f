package main

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/net/ipv4"
	"golang.org/x/sys/unix"

	"github.com/throng-gg/throng/udp/batch"
	"github.com/throng-gg/throng/wire/netcode"
)

// gatewayTrip is how long datagrams are under way from a player's call of the kernel to
// the game server's socket; medians of the runs.
type gatewayTrip struct {
	P50US float64 `json:"p50_us"`
	P99US float64 `json:"p99_us"`
	Lost  float64 `json:"lost"` // of those that were sent
	PerS  float64 `json:"per_s"`
}

// gatewayHalf is what a gateway adds at half load, beside a process that passes on
// without a look and no process between.
type gatewayHalf struct {
	Gateway gatewayTrip `json:"gateway"`
	Raw     gatewayTrip `json:"raw"`
	Direct  gatewayTrip `json:"direct"`
	// The p99 of either less that of none in the same run; the goal is 0.2 ms.
	AddedMS    float64 `json:"added_p99_ms"`
	RawAddedMS float64 `json:"raw_added_p99_ms"`
}

// gatewayFlood is what a flood of garbage costs others.
type gatewayFlood struct {
	GarbagePerS float64     `json:"garbage_per_s"`
	Calm        gatewayTrip `json:"calm"` // without garbage
	Flooded     gatewayTrip `json:"flooded"`
	RawCalm     gatewayTrip `json:"raw_calm"`
	RawFlooded  gatewayTrip `json:"raw_flooded"` // where all garbage is passed on
	// What the garbage adds to the p99; the goal is 1 ms, and that less than 0.1 %
	// of what is valid is lost.
	AddedMS    float64 `json:"added_p99_ms"`
	RawAddedMS float64 `json:"raw_added_p99_ms"`
	// What became of all that came from clients under the floods.
	Verdicts map[string]float64 `json:"verdicts"`
	Flows    float64            `json:"flows"`  // that garbage made
	Answer   int64              `json:"answer"` // bytes that it was answered
	CPU      float64            `json:"cpu"`    // of the gateway, seconds a second
}

// volley is datagrams of many players, sent by one call.
type volley struct {
	from    *batch.Socket
	many    *batch.Messages
	sources [batch.Size][]byte // control data: from which IP each is sent
	first   [2]byte            // of their IPs
	next    int
}

// newVolley sends data, which may be changed between two calls of fire.
func newVolley(from *batch.Socket, first [2]byte, to netip.AddrPort, data []byte) *volley {
	v := &volley{from: from, many: batch.New(), first: first}
	for i := range v.sources {
		v.sources[i] = (&ipv4.ControlMessage{Src: net.IPv4(127, 0, 0, 1)}).Marshal()
		v.many.SetControl(i, v.sources[i])
		v.many.SetBuffer(i, data)
		v.many.SetTo(i, to.Addr().As16(), to.Port(), 0, from.Family())
	}
	return v
}

// sourceAt is where the IP to send from stands in a message's OOB: the kernel's
// struct cmsghdr, and in struct in_pktinfo behind the interface.
const sourceAt = unix.SizeofCmsghdr + 4

// fire sends up to n datagrams from the next players of so many.
func (v *volley) fire(players, n int) int {
	n = min(n, batch.Size)
	for i := range n {
		p := v.next % players
		v.next++
		copy(v.sources[i][sourceAt:], []byte{v.first[0], v.first[1] + byte(p>>16), byte(p >> 8), byte(p)})
	}
	sent, _ := v.many.Send(v.from.Descriptor(), 0, n)
	return sent
}

// hear counts the bytes that come to a socket, until it is shut. Nobody waits at it: who
// sends to it, and who takes what was sent from it, would pay for waking him.
func hear(at *batch.Socket, bytes *atomic.Int64) {
	in := batch.New()
	for i := range batch.Size {
		in.SetBuffer(i, make([]byte, 2000))
	}
	for !at.Over() {
		n, _ := in.Receive(at.Descriptor())
		for i := range n {
			bytes.Add(int64(in.Len(i)))
		}
		if n == 0 {
			<-time.After(hearNap)
		}
	}
}

// hearNap is between two looks at what came; the sockets have room for 20 ms.
const hearNap = time.Millisecond

// ears are the game server's socket, at which nobody waits either.
type ears struct {
	*batch.Socket
	answering atomic.Bool  // to first packets, with a first keep-alive
	came      atomic.Int64 // datagrams

	mu    sync.Mutex
	phase uint32 // whose stamped payloads count
	trips []time.Duration
}

const (
	stampAt   = 2  // in a payload: when it was sent, in Unix nanoseconds, and the phase
	stampSize = 12 //
)

// stamps lets the kernel note when datagrams come, so that what the reader is late does
// not count.
func stamps(_, _ string, c syscall.RawConn) error {
	var failed error
	err := c.Control(func(fd uintptr) {
		failed = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_TIMESTAMPNS_NEW, 1)
	})
	return errors.Join(err, failed)
}

// earsRoom is for what comes while the reader has no core, in bytes of the kernel's.
const earsRoom = 128 << 20

// settle waits until all that was stamped has been read, or nothing comes any more.
func (e *ears) settle(sent int) {
	const nap = time.Millisecond
	came := func() int {
		e.mu.Lock()
		defer e.mu.Unlock()
		return len(e.trips)
	}
	for was, quiet := 0, 0; was < sent && quiet < int(settleQuiet/nap); quiet++ {
		<-time.After(nap)
		if now := came(); now > was {
			was, quiet = now, 0
		}
	}
}

// settleQuiet is when what has not come is lost.
const settleQuiet = 500 * time.Millisecond

// begin counts for another phase.
func (e *ears) begin() (phase uint32) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.phase++
	e.trips = e.trips[:0]
	return e.phase
}

// end returns what came of a phase.
func (e *ears) end() []time.Duration {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Clone(e.trips)
}

// listen reads until the socket is shut.
func (e *ears) listen() {
	keepAlive := append([]byte{1<<4 | byte(netcode.TypeKeepAlive), 0}, make([]byte, 8+16)...)
	buffer, oob := make([]byte, 2000), make([]byte, 64)
	for !e.Over() {
		n, noted, _, from, err := unix.Recvmsg(e.Descriptor(), buffer, oob, unix.MSG_DONTWAIT)
		if err != nil {
			<-time.After(hearNap)
			continue
		}
		e.came.Add(1)
		if b := buffer[:n]; e.answering.Load() && n == netcode.CarriedSize+netcode.RequestSize {
			_ = unix.Sendto(e.Descriptor(), append(b[:netcode.CarriedSize:netcode.CarriedSize], keepAlive...), unix.MSG_DONTWAIT, from)
		}
		e.note(buffer[:n], oob[:noted])
	}
}

// note takes one datagram's time.
func (e *ears) note(b, oob []byte) {
	const at, size = netcode.CarriedSize + stampAt, unix.SizeofCmsghdr + 16 // a struct timespec
	if len(b) < at+stampSize || len(oob) < size {
		return
	}
	sent := int64(binary.NativeEndian.Uint64(b[at:]))
	e.mu.Lock()
	defer e.mu.Unlock()
	if sent == 0 || binary.NativeEndian.Uint32(b[at+8:]) != e.phase {
		return
	}
	s, ns := binary.NativeEndian.Uint64(oob[unix.SizeofCmsghdr:]), binary.NativeEndian.Uint64(oob[unix.SizeofCmsghdr+8:])
	e.trips = append(e.trips, time.Duration(int64(s)*1e9+int64(ns)-sent))
}

// paced calls send so many times a second until ctx ends. What it is late,
// because somebody else had the core, it catches up with at no more than twice the rate: players,
// who have computers of their own, are not all late at once.
func paced(ctx context.Context, perS float64, send func()) {
	defer sleepExactly()()
	sent, next := 0, time.Time{}
	for begun := time.Now(); ctx.Err() == nil; {
		now := time.Now()
		due := int(now.Sub(begun).Seconds()*perS) - sent
		if wait := next.Sub(now); due < 1 || wait > 0 {
			wait = max(wait, time.Duration(float64(sent+1)/perS*1e9)-now.Sub(begun))
			if wait > napTakes {
				nap()
			}
			continue
		}
		send()
		sent++
		next = now.Add(time.Duration(1 / perS / 2 * 1e9))
	}
}

// sleepExactly gives the caller a thread of its own until the returned function is
// called, whose sleep the kernel does not prolong.
func sleepExactly() (back func()) {
	runtime.LockOSThread()
	_ = unix.Prctl(unix.PR_SET_TIMERSLACK, 1, 0, 0, 0) // without it bursts are longer
	return runtime.UnlockOSThread
}

// nap sleeps as short as the kernel can, at most napTakes where cores are virtual.
func nap() {
	_ = unix.Nanosleep(&unix.Timespec{Nsec: int64(20 * time.Microsecond)}, nil) // until a signal is as good
}

const napTakes = 150 * time.Microsecond

// stamped sends payloads with their time at a rate, and says how long they were under way. It
// does so in slices, and leaves out those during which the host of a virtual machine took a core
// away, as far as enough others come: what is late in them is the host's.
// Each datagram is sent by around.
func (b *gatewayBench) stamped(to netip.AddrPort, data []byte, perS float64, around func(send func())) gatewayTrip {
	need := max(int(b.For/sliceFor), 1)
	var calm, disturbed []gatewaySlice
	for len(calm) < need && len(calm)+len(disturbed) < sliceTries*need && b.e.ctx.Err() == nil {
		if s := b.slice(to, data, perS, around); s.stolen > 0 {
			disturbed = append(disturbed, s)
		} else {
			calm = append(calm, s)
		}
	}
	b.report.Measured += len(calm) + len(disturbed)
	b.report.Stolen += len(disturbed)
	if lack := min(need-len(calm), len(disturbed)); lack > 0 {
		slices.SortFunc(disturbed, func(a, b gatewaySlice) int { return cmp.Compare(a.stolen, b.stolen) })
		b.report.StillStolen += lack
		calm = append(calm, disturbed[:lack]...)
	}
	return tripOf(calm)
}

// alone sends a datagram with nothing around it.
func alone(send func()) { send() }

const (
	sliceFor   = 100 * time.Millisecond
	sliceTries = 15
)

// gatewaySlice is what was sent for sliceFor.
type gatewaySlice struct {
	trips  []time.Duration // of what came
	sent   int
	took   time.Duration
	stolen time.Duration // by the host, of all cores
}

func (b *gatewayBench) slice(to netip.AddrPort, data []byte, perS float64, around func(send func())) gatewaySlice {
	at := stampAt
	if len(data) > len(gatewayPayload()) {
		at += netcode.CarriedSize
	}
	binary.NativeEndian.PutUint32(data[at+8:], b.ears.begin())
	v := newVolley(b.players, b.first, to, data)
	v.next = rand.IntN(b.Flows)
	ctx, stop := context.WithTimeout(b.e.ctx, min(sliceFor, b.For))
	defer stop()
	before, begun, sent := stolen(), time.Now(), 0
	send := func() {
		binary.NativeEndian.PutUint64(data[at:], uint64(time.Now().UnixNano()))
		sent += v.fire(b.Flows, 1)
	}
	paced(ctx, perS, func() { around(send) })
	took := time.Since(begun)
	b.ears.settle(sent)
	return gatewaySlice{trips: b.ears.end(), sent: sent, took: took, stolen: stolen() - before}
}

// tripOf sums slices up.
func tripOf(all []gatewaySlice) gatewayTrip {
	var trips []time.Duration
	sent, took := 0, time.Duration(0)
	for _, s := range all {
		trips, sent, took = append(trips, s.trips...), sent+s.sent, took+s.took
	}
	t := gatewayTrip{Lost: 1 - float64(len(trips))/float64(max(sent, 1)), PerS: float64(sent) / took.Seconds()}
	if n := len(trips); n > 0 {
		slices.Sort(trips)
		t.P50US, t.P99US = float64(trips[n/2])/1000, float64(trips[n*99/100])/1000
	}
	return t
}

// stolen is for how long the host has kept this machine's cores from it, to 10 ms: a real
// machine, and a kernel that does not say it, have none.
func stolen() time.Duration {
	text, _ := os.ReadFile("/proc/stat")
	line, _, _ := strings.Cut(string(text), "\n")
	fields := strings.Fields(line)
	if len(fields) < 9 {
		return 0
	}
	ticks, _ := strconv.ParseInt(fields[8], 10, 64)
	return time.Duration(ticks) * 10 * time.Millisecond
}

// half measures at a rate, half of that which passed or another.
func (b *gatewayBench) half(perS float64) error {
	var all [3][]gatewayTrip
	var added, rawAdded []float64
	for range b.Runs {
		direct := b.stamped(b.ears.Address(), carriedPayload(), perS, alone)
		raw := b.stamped(b.raw.at, gatewayPayload(), perS, alone)
		b.refresh()
		ours := b.stamped(b.gateway.at, gatewayPayload(), perS, alone)
		for i, t := range []gatewayTrip{ours, raw, direct} {
			all[i] = append(all[i], t)
		}
		added, rawAdded = append(added, (ours.P99US-direct.P99US)/1000), append(rawAdded, (raw.P99US-direct.P99US)/1000)
	}
	b.report.Half = gatewayHalf{
		Gateway: middleTrip(all[0]), Raw: middleTrip(all[1]), Direct: middleTrip(all[2]), AddedMS: middle(added), RawAddedMS: middle(rawAdded),
	}
	return b.e.ctx.Err()
}

// middleTrip is the median of each figure.
func middleTrip(all []gatewayTrip) gatewayTrip {
	of := func(f func(gatewayTrip) float64) float64 {
		values := make([]float64, len(all))
		for i, t := range all {
			values[i] = f(t)
		}
		return middle(values)
	}
	return gatewayTrip{
		P50US: of(func(t gatewayTrip) float64 { return t.P50US }), P99US: of(func(t gatewayTrip) float64 { return t.P99US }),
		Lost: of(func(t gatewayTrip) float64 { return t.Lost }), PerS: of(func(t gatewayTrip) float64 { return t.PerS }),
	}
}

// garbage is what is nobody's: a quarter each of random bytes, of first packets that are forged,
// of one that was seen and is sent again from elsewhere, and of payloads of nobody.
type garbage struct {
	kinds  []*volley
	noise  []byte
	random *rand.Rand
	each   int // for each valid datagram
	turn   int
	sent   int
	valid  int // that were sent among it
}

func (b *gatewayBench) garbage(to netip.AddrPort) (*garbage, error) {
	seen, err := b.request()
	if err != nil {
		return nil, err
	}
	g := &garbage{random: rand.New(rand.NewPCG(1, 2)), noise: make([]byte, 1+netcode.MaxDatagram), each: b.Garbage}
	for i := range g.noise {
		g.noise[i] = byte(g.random.Uint32())
	}
	forged := slices.Clone(seen)
	forged[500] ^= 1
	for _, data := range [][]byte{g.noise, forged, seen, gatewayPayload()} {
		g.kinds = append(g.kinds, newVolley(b.nobody, [2]byte{127, 128}, to, data))
	}
	return g, nil
}

// around sends a valid datagram at a random place among the garbage that is due with it.
func (g *garbage) around(valid func()) {
	before := g.random.IntN(g.each + 1)
	g.fire(before)
	valid()
	g.valid++
	g.fire(g.each - before)
}

func (g *garbage) fire(n int) {
	for n > 0 {
		v := g.kinds[g.turn%len(g.kinds)]
		if g.turn++; v == g.kinds[0] {
			for i := range min(n, batch.Size) {
				v.many.SetBuffer(i, g.noise[:1+g.random.IntN(len(g.noise))])
			}
			g.noise[0] = byte(g.random.Uint32())
		}
		sent := v.fire(1<<20, n)
		g.sent += sent
		n -= max(sent, 1)
	}
}

// flooded is stamped beside garbage.
func (b *gatewayBench) flooded(to netip.AddrPort) (t gatewayTrip, garbagePerS float64, err error) {
	g, err := b.garbage(to)
	if err != nil {
		return t, 0, err
	}
	t = b.stamped(to, gatewayPayload(), float64(b.Valid), g.around)
	return t, t.PerS * float64(g.sent) / float64(max(g.valid, 1)), nil
}

// refresh lets all flows be heard, so that none is forgotten as idle, and waits until they were.
func (b *gatewayBench) refresh() {
	v := newVolley(b.players, b.first, b.gateway.at, gatewayPayload())
	for n := 0; n < b.Flows && b.e.ctx.Err() == nil; {
		n += max(v.fire(b.Flows, batch.Size), 1)
		<-time.After(100 * time.Microsecond)
	}
	for came := int64(-1); came != b.ears.came.Load(); <-time.After(settleQuiet / 10) {
		came = b.ears.came.Load()
	}
}

// flood measures what is valid without and with garbage beside it.
func (b *gatewayBench) flood() error {
	f := &b.report.Flood
	f.Verdicts = map[string]float64{}
	var all [4][]gatewayTrip
	var added, rawAdded, rates, cpus []float64
	for range b.Runs {
		rawCalm := b.stamped(b.raw.at, gatewayPayload(), float64(b.Valid), alone)
		raw, _, err := b.flooded(b.raw.at)
		if err != nil {
			return err
		}
		b.refresh()
		calm := b.stamped(b.gateway.at, gatewayPayload(), float64(b.Valid), alone)
		b.refresh()
		was, err := b.counts()
		if err != nil {
			return err
		}
		before, failed := b.gateway.cpu()
		begun := time.Now()
		ours, rate, err := b.flooded(b.gateway.at)
		took := time.Since(begun)
		after, gone := b.gateway.cpu()
		is, unread := b.counts()
		if err := errors.Join(err, failed, gone, unread); err != nil {
			return err
		}
		f.add(was, is)
		for i, t := range []gatewayTrip{calm, ours, rawCalm, raw} {
			all[i] = append(all[i], t)
		}
		added, rawAdded = append(added, (ours.P99US-calm.P99US)/1000), append(rawAdded, (raw.P99US-rawCalm.P99US)/1000)
		rates, cpus = append(rates, rate), append(cpus, (after-before).Seconds()/took.Seconds())
	}
	f.Calm, f.Flooded, f.RawCalm, f.RawFlooded = middleTrip(all[0]), middleTrip(all[1]), middleTrip(all[2]), middleTrip(all[3])
	f.AddedMS, f.RawAddedMS, f.GarbagePerS, f.CPU, f.Answer = middle(added), middle(rawAdded), middle(rates), middle(cpus), b.gained.Load()
	return b.e.ctx.Err()
}

// add takes what the gateway counted in a flood.
func (f *gatewayFlood) add(was, is map[string]float64) {
	for name, n := range is {
		verdict, ok := strings.CutPrefix(name, `throng_gateway_datagrams_total{from="client",verdict="`)
		if n -= was[name]; ok && n > 0 {
			f.Verdicts[strings.TrimSuffix(verdict, `"}`)] += n
		}
	}
	f.Flows += max(is[flowsCount]-was[flowsCount], 0)
}

func (t gatewayTrip) String() string {
	return fmt.Sprintf("p50 %.0f us, p99 %.0f us, lost %.3f %% of %.0f/s", t.P50US, t.P99US, 100*t.Lost, t.PerS)
}

func (r *gatewayReport) text(w io.Writer) {
	fmt.Fprintf(w, "%d flows, %.1f MB (resident %.1f MB)\n", r.Flows, r.FlowsMB, r.ResidentMB)
	fmt.Fprintf(w, "passed on: %.2f us a datagram, %.0f/s of a core; without a look %.2f us, %.0f/s; %.0f %% of it (goal 75)\n",
		r.GatewayUS, r.PerCore, r.RawUS, r.RawPerCore, 100*r.OfRaw)
	if r.BesideUS > 0 {
		fmt.Fprintf(w, "the proxy beside it: %.2f us a datagram; the gateway passes %.2f times as many on with a core\n", r.BesideUS, r.OfBeside)
	}
	h, f := &r.Half, &r.Flood
	if r.Stolen > 0 {
		fmt.Fprintf(w, "the host took a core away during %d of %d slices of %s in which latency was measured; others stand for all but %d of those\n",
			r.Stolen, r.Measured, sliceFor, r.StillStolen)
	}
	fmt.Fprintf(w, "under load: gateway %s\n  without a look %s\n  nothing between %s\n  added to p99: %.3f ms (goal 0.2), without a look %.3f ms\n",
		h.Gateway, h.Raw, h.Direct, h.AddedMS, h.RawAddedMS)
	fmt.Fprintf(w, "flood of %.0f/s: gateway %s, before %s\n  without a look %s, before %s\n", f.GarbagePerS, f.Flooded, f.Calm, f.RawFlooded, f.RawCalm)
	fmt.Fprintf(w, "  added to p99: %.3f ms (goal 1), without a look %.3f ms; %.0f flows, %d bytes of answer, %.2f of a core\n ", f.AddedMS, f.RawAddedMS, f.Flows, f.Answer, f.CPU)
	for _, v := range slices.Sorted(maps.Keys(f.Verdicts)) {
		fmt.Fprintf(w, " %s %.0f", v, f.Verdicts[v])
	}
	fmt.Fprintf(w, "\n%d forged first packets: %.0f judged, %.2f us each; %d passed on, %.0f flows, %d bytes of answer\n",
		r.Forged, r.ForgedSeen, r.ForgedUS, r.ForgedPassed, r.ForgedFlows, r.ForgedBytes)
}
