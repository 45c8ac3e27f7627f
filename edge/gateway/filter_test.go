package gateway

import (
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"net/netip"
	"runtime"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"github.com/throng-gg/throng/wire/netcode"
)

// loaded is a desk with a filter that no interface has, or skips the test.
func loaded(tb testing.TB, c Config, listen string) *worker {
	tb.Helper()
	w := desk(tb, c)
	at := *w.cfg
	at.Listen = netip.MustParseAddrPort(listen)
	f, err := newFilter(at, w.flows.most+len(w.half.lines))
	if errors.Is(err, unix.EPERM) || errors.Is(err, unix.ENOSYS) || errors.Is(err, ebpf.ErrNotSupported) {
		tb.Skipf("SKIPPED: the kernel takes no program of ours: %v", err)
	}
	if err != nil {
		tb.Fatalf("%+v", err)
	}
	tb.Cleanup(func() {
		if err := f.close(); err != nil {
			tb.Error(err)
		}
	})
	w.filter = f
	return w
}

// frame is a datagram on the wire.
func frame(from, to address, payload []byte) []byte {
	b := make([]byte, 12, 100+len(payload))
	size := uint16(8 + len(payload))
	if from.is4() {
		b = binary.BigEndian.AppendUint16(b, unix.ETH_P_IP)
		b = append(b, 0x45, 0)
		b = binary.BigEndian.AppendUint16(b, 20+size)
		b = append(b, 0, 0, 0x40, 0, 64, unix.IPPROTO_UDP, 0, 0)
		b = append(append(b, from.ip[12:]...), to.ip[12:]...)
	} else {
		b = binary.BigEndian.AppendUint16(b, unix.ETH_P_IPV6)
		b = append(b, 0x60, 0, 0, 0)
		b = binary.BigEndian.AppendUint16(b, size)
		b = append(b, unix.IPPROTO_UDP, 64)
		b = append(append(b, from.ip[:]...), to.ip[:]...)
	}
	b = binary.BigEndian.AppendUint16(b, from.port)
	b = binary.BigEndian.AppendUint16(b, to.port)
	b = binary.BigEndian.AppendUint16(b, size)
	return append(append(b, 0, 0), payload...)
}

// verdict is what the filter does with a frame: what it counts, or Forwarded, which is to
// let it pass.
func (f *filter) verdict(tb testing.TB, frame []byte) Verdict {
	tb.Helper()
	var was, is [verdicts]uint64
	f.count(&was)
	did, err := f.program.Run(&ebpf.RunOptions{Data: frame})
	if err != nil {
		tb.Fatal(err)
	}
	f.count(&is)
	got, counted := Forwarded, uint64(0)
	for v := range verdicts {
		if n := is[v] - was[v]; n > 0 {
			got, counted = v, counted+n
		}
	}
	if dropped := did == xdpDrop; dropped != (counted == 1) || counted > 1 || !dropped && did != xdpPass {
		tb.Fatalf("it did %d and counted %d", did, counted)
	}
	return got
}

func addressAt(s string) address { return addressOf(netip.MustParseAddrPort(s)) }

// anyDatagram is like a packet more often than not.
func anyDatagram(random *rand.Rand, request []byte) []byte {
	b := make([]byte, random.IntN(1300))
	for i := range b {
		b[i] = byte(random.Uint32())
	}
	switch random.IntN(4) {
	case 0: // noise
	case 1:
		b = append([]byte(nil), request...)
		if random.IntN(2) == 0 {
			b[random.IntN(40)] ^= byte(1 << random.IntN(8))
		}
		if random.IntN(8) == 0 {
			b = b[:len(b)-random.IntN(3)]
		}
	default:
		kind := netcode.Type(random.IntN(12))
		number := random.IntN(10)
		s := shapeOf(kind)
		body := max(s.least, min(s.most, random.IntN(1250))) + random.IntN(3) - 1
		b = make([]byte, max(1+number+body+tagSize, 1))
		b[0] = byte(number<<4) | byte(kind)
	}
	return b
}

// The filter drops what a worker drops by what it sees at first, counts it as that would,
// and lets pass all else.
func TestFilterAgrees(t *testing.T) {
	const listen = "203.0.113.1:7800"
	gate, gate6 := addressAt(listen), addressAt("[2001:db8::1]:7800")
	for _, bound := range []string{"0.0.0.0:7800", listen} {
		w := loaded(t, Config{PerSource: 1 << 20, PerToken: 1 << 20, PerFlow: 1 << 20}, bound)
		now := time.Now()
		ms := w.ms(now)
		request := requestOf(tokenFor(t, serverAt, serverAt))
		sources := make([]address, 0, 24)
		for i := range cap(sources) {
			from := clientAt(i)
			if i%3 == 0 && bound != listen {
				from = addressAt("[2001:db8:1::1]:4000")
				from.ip[7] = byte(i)
			}
			switch i % 4 { // the others have shown nothing
			case 0:
				w.client(now, ms, from, request)
			case 1:
				w.server(ms, server, w.down(server, from, packet(netcode.TypeKeepAlive, 8)))
			}
			sources = append(sources, from)
		}
		random := rand.New(rand.NewPCG(3, 4))
		seen := map[Verdict]int{}
		for i := range 4000 {
			n, b := random.IntN(len(sources)), anyDatagram(random, request)
			if kind, ok := kindOf(b); ok && kind == netcode.TypeRequest {
				n = n &^ 3 // or all had shown one soon
			}
			from := sources[n]
			to := gate
			if !from.is4() {
				to = gate6
			}
			got := w.filter.verdict(t, frame(from, to, b))
			known := w.flows.of(from) != nil || w.half.has(from)
			_, want := w.client(now, ms, from, b)
			if want != Malformed && want != Protocol && (want != Unknown || known) { // which is more than it knows
				want = Forwarded
			}
			if got != want {
				t.Fatalf("datagram %d, %x of %d bytes from %s: the filter says %s, a worker %s", i, b[:min(len(b), 30)], len(b), from.addrPort(), got, want)
			}
			seen[got]++
		}
		t.Logf("at %s: %v", bound, seen)
		for _, v := range []Verdict{Forwarded, Malformed, Protocol, Unknown} {
			if seen[v] < 50 {
				t.Errorf("at %s: only %d were %s", bound, seen[v], v)
			}
		}
	}
}

// What is not for the gateway passes, whatever it holds, and so does what the kernel
// has to put together.
func TestFilterLetsPass(t *testing.T) {
	w := loaded(t, Config{}, "203.0.113.1:7800")
	ada, gate := clientAt(1), addressAt("203.0.113.1:7800")
	garbage := frame(ada, gate, []byte("garbage"))
	if got := w.filter.verdict(t, garbage); got != Malformed {
		t.Fatalf("garbage: got %s, want malformed", got)
	}
	change := func(at int, to byte) []byte {
		b := append([]byte(nil), garbage...)
		b[at] = to
		return b
	}
	six := frame(addressAt("[2001:db8:1::1]:4000"), addressAt("[2001:db8::1]:7800"), []byte("garbage"))
	for title, b := range map[string][]byte{
		"another port": frame(ada, addressAt("203.0.113.1:53"), nil), "another address": frame(ada, addressAt("203.0.113.2:7800"), nil),
		"TCP": change(ethernet+9, unix.IPPROTO_TCP), "ARP": change(13, 6), "a tag of a VLAN": change(12, 0x81), "options": change(ethernet, 0x46),
		"a first fragment": change(ethernet+6, 0x20), "a later one": change(ethernet+7, 9), "more than IP carries": change(ethernet+ip4Size+5, 16),
		"no header": garbage[:ethernet+ip4Size+4], "less than a header": change(ethernet+ip4Size+5, 7), "IPv6 at an IPv4 address": six,
	} {
		if got := w.filter.verdict(t, b); got != Forwarded {
			t.Errorf("%s: got %s, want it to pass", title, got)
		}
	}
}

// A frame that says it is a first packet and is shorter costs its source nothing.
func TestFilterCutRequests(t *testing.T) {
	w := loaded(t, Config{PerSource: 1}, "203.0.113.1:7800")
	whole := frame(clientAt(1), addressAt("203.0.113.1:7800"), requestOf(tokenFor(t, serverAt, serverAt)))
	for range 10 {
		if got := w.filter.verdict(t, whole[:len(whole)-1]); got != Forwarded {
			t.Fatalf("all but a byte: got %s, want it to pass", got)
		}
	}
	if got := w.filter.verdict(t, whole); got != Forwarded {
		t.Errorf("all of it: got %s, want it to pass", got)
	}
}

// CAP_BPF and CAP_NET_ADMIN are enough for the kernel to take the program.
func TestFilterNeedsLittle(t *testing.T) {
	loaded(t, Config{}, "203.0.113.1:7800")
	failed := make(chan error)
	go func() {
		runtime.LockOSThread() // for ever: the thread ends with it
		head := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
		few := [2]unix.CapUserData{{Effective: 1 << unix.CAP_NET_ADMIN}, {Effective: 1 << (unix.CAP_BPF - 32)}}
		few[0].Permitted, few[1].Permitted = few[0].Effective, few[1].Effective
		if err := unix.Capset(&head, &few[0]); err != nil {
			failed <- err
			return
		}
		c := Config{Listen: netip.MustParseAddrPort("[::]:7800"), Keys: edgeKeys}
		err := c.fill()
		if err == nil {
			var f *filter
			if f, err = newFilter(c, 10); err == nil {
				err = f.close()
			}
		}
		failed <- err
	}()
	if err := <-failed; err != nil {
		t.Errorf("%+v", err)
	}
}

// First packets of a source are counted, genuine or not, IPv6 by its /64; others still come
// through.
func TestFilterLimitsSources(t *testing.T) {
	const perS = 5
	w := loaded(t, Config{PerSource: perS}, "0.0.0.0:7800")
	request := requestOf(tokenFor(t, serverAt, serverAt))
	for _, c := range []struct{ to, first, same, other string }{
		{"203.0.113.1:7800", "198.51.100.1:4000", "198.51.100.1:4001", "198.51.100.2:4000"},
		{"[2001:db8::1]:7800", "[2001:db8:1::1]:4000", "[2001:db8:1::2:0:0:1]:1", "[2001:db8:1:1::1]:4000"},
	} {
		to, passed := addressAt(c.to), 0
		begun := time.Now()
		for range 4 {
			for _, from := range []string{c.first, c.same} {
				if v := w.filter.verdict(t, frame(addressAt(from), to, request)); v == Forwarded {
					passed++
				} else if v != SourceLimit {
					t.Fatalf("got %s", v)
				}
			}
		}
		// A slow machine gave it time to fill again.
		if most := perS + int(time.Since(begun).Seconds()*perS) + 1; passed < perS || passed > most {
			t.Errorf("%s: %d passed, want %d to %d", c.first, passed, perS, most)
		}
		if v := w.filter.verdict(t, frame(addressAt(c.other), to, request)); v != Forwarded {
			t.Errorf("%s: got %s, want it to pass", c.other, v)
		}
	}
	await(t, "room in the bucket", func() bool {
		return w.filter.verdict(t, frame(addressAt("198.51.100.1:4000"), addressAt("203.0.113.1:7800"), request)) == Forwarded
	})
}

// Whatever comes and goes, the filter knows those who have a flow or a line.
func TestFilterInStep(t *testing.T) {
	w := loaded(t, Config{Flows: 20, HalfOpen: 16, PerSource: 1 << 20, PerToken: 1 << 20}, "0.0.0.0:7800")
	random := rand.New(rand.NewPCG(5, 6))
	now := time.Now()
	ms := w.ms(now)
	request := requestOf(tokenFor(t, serverAt, serverAt))
	for step := range 3000 {
		ada := clientAt(random.IntN(60))
		ms += uint32(random.IntN(300))
		switch random.IntN(6) {
		case 0, 1:
			w.client(now, ms, ada, request)
		case 2, 3:
			w.server(ms, server, w.down(server, ada, packet(netcode.TypeKeepAlive, 8)))
		case 4:
			w.flows.sweep(ms, 3, 1.0/8)
			w.half.sweep(ms, 1.0/8)
		case 5:
			w.flows.shed(random.IntN(2))
		}
		for i := range 60 {
			var one byte
			known := w.filter.known.Lookup(clientAt(i).append(nil), &one) == nil
			if want := w.flows.of(clientAt(i)) != nil || w.half.has(clientAt(i)); known != want {
				t.Fatalf("step %d, client %d: known %v, want %v", step, i, known, want)
			}
		}
	}
}

// A filter that has no room drops nobody as unknown.
func TestFilterFull(t *testing.T) {
	w := loaded(t, Config{}, "0.0.0.0:7800")
	gate, stranger := addressAt("203.0.113.1:7800"), frame(clientAt(1), addressAt("203.0.113.1:7800"), packet(netcode.TypePayload, 9))
	if v := w.filter.verdict(t, stranger); v != Unknown {
		t.Errorf("before: got %s, want unknown", v)
	}
	for i := 0; w.filter.add(address{port: uint16(i), ip: [16]byte{1, byte(i >> 16)}}); i++ {
		if i > 1<<22 {
			t.Fatal("it is never full")
		}
	}
	if v := w.filter.verdict(t, stranger); v != Forwarded {
		t.Errorf("full: got %s, want it to pass", v)
	}
	if v := w.filter.verdict(t, frame(clientAt(1), gate, nil)); v != Malformed {
		t.Errorf("full, nothing: got %s, want malformed", v)
	}
}

// BenchmarkFilter is what a drop costs: of the kernel's own clock for the program alone, and
// of a core where each is a live frame, as one that a network card brings.
func BenchmarkFilter(b *testing.B) {
	w := loaded(b, Config{}, "0.0.0.0:7800")
	request := requestOf(tokenFor(b, serverAt, serverAt))
	gate := addressAt("203.0.113.1:7800")
	for i := range 100_000 {
		w.filter.add(address{port: uint16(i), ip: [16]byte{1, byte(i >> 16)}})
	}
	for _, c := range []struct {
		name string
		b    []byte
	}{
		{"noise", []byte("garbage")}, {"unknown", packet(netcode.TypePayload, 100)}, {"protocol", append(make([]byte, 1), request[2:]...)}, {"limited", request},
	} {
		b.Run(c.name, func(b *testing.B) {
			data := frame(clientAt(1), gate, c.b)
			for range 1000 { // empties the bucket
				w.filter.verdict(b, data)
			}
			_, each, err := w.filter.program.Benchmark(data, max(b.N, 1000), nil)
			if err != nil {
				b.Fatal(err)
			}
			b.ReportMetric(float64(each.Nanoseconds()), "ns/drop")
			b.ReportMetric(w.filter.live(b, data, max(b.N, 1000)), "ns/live-drop")
		})
	}
}

// live lets so many frames come as from a network card, and returns the nanoseconds of a
// core that each took that was dropped.
func (f *filter) live(b *testing.B, frame []byte, n int) float64 {
	b.Helper()
	runtime.LockOSThread() // which brings the frames
	defer runtime.UnlockOSThread()
	before, begun := f.dropped(), spent(b)
	if _, err := f.program.Run(&ebpf.RunOptions{Data: frame, Repeat: uint32(n), Flags: unix.BPF_F_TEST_XDP_LIVE_FRAMES}); err != nil {
		b.Fatal(err)
	}
	took, dropped := spent(b)-begun, f.dropped()-before
	if dropped < uint64(n/2) {
		b.Fatalf("%d of %d were dropped", dropped, n)
	}
	return float64(took.Nanoseconds()) / float64(dropped)
}

func (f *filter) dropped() (sum uint64) {
	var all [verdicts]uint64
	f.count(&all)
	for _, n := range all {
		sum += n
	}
	return sum
}

// spent is the processor's time that this thread took.
func spent(tb testing.TB) time.Duration {
	tb.Helper()
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_THREAD, &u); err != nil {
		tb.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
