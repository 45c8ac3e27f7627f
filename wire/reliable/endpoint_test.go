package reliable_test

import (
	"bytes"
	"runtime"
	"testing"

	"github.com/throng-gg/throng/wire/reliable"
)

// quiet is a sink that takes all.
type quiet struct {
	packets, acks int
	last          []byte
}

func (q *quiet) Packet(_ reliable.Header, content []byte) bool {
	q.packets++
	q.last = append(q.last[:0], content...)
	return true
}

func (q *quiet) Acked(uint16) { q.acks++ }

func newEnd(t testing.TB, cfg reliable.Config) *reliable.Endpoint {
	t.Helper()
	e, err := reliable.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func TestHeadersAreShortWhenNothingIsLost(t *testing.T) {
	a, b := newEnd(t, reliable.Config{}), newEnd(t, reliable.Config{})
	var q quiet
	size := 0
	for range 100 {
		for _, way := range [][2]*reliable.Endpoint{{a, b}, {b, a}} {
			_, err := way[0].Send([]byte{1}, func(d []byte) {
				size = len(d)
				if err := way[1].Receive(d, &q); err != nil {
					t.Fatal(err)
				}
			})
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	if size != reliable.MinHeader+1 {
		t.Errorf("got datagrams of %d bytes, want %d", size, reliable.MinHeader+1)
	}
	if q.packets != 200 || q.acks < 198 {
		t.Errorf("got %d packets and %d acks", q.packets, q.acks)
	}
}

// Sequences wrap at 65,536, and acks with them.
func TestSequencesWrap(t *testing.T) {
	a, b := newEnd(t, reliable.Config{}), newEnd(t, reliable.Config{})
	var q quiet
	for i := range 70000 {
		for _, way := range [][2]*reliable.Endpoint{{a, b}, {b, a}} {
			if _, err := way[0].Send([]byte{1}, func(d []byte) {
				if err := way[1].Receive(d, &q); err != nil {
					t.Fatalf("packet %d: %v", i, err)
				}
			}); err != nil {
				t.Fatal(err)
			}
		}
	}
	if c := a.Counts(); q.packets != 140000 || q.acks < 139990 || c != (reliable.Counts{}) {
		t.Errorf("got %d packets, %d acks, %+v", q.packets, q.acks, c)
	}
}

func TestAcksOfTheFutureAreIgnored(t *testing.T) {
	e := newEnd(t, reliable.Config{})
	var q quiet
	if _, err := e.Send([]byte{1}, func([]byte) {}); err != nil {
		t.Fatal(err)
	}
	for i, ack := range []uint16{1, 2, 100, 30000} {
		h := reliable.Header{Sequence: uint16(i), Ack: ack, Bits: 1}
		if err := e.Receive(append(h.Append(nil), 1), &q); err != nil {
			t.Fatal(err)
		}
	}
	if c := e.Counts(); q.acks != 0 || c.Future != 4 {
		t.Errorf("got %d acks and %+v, want 4 of the future", q.acks, c)
	}
}

// Fragments that never finish take bounded memory and hold up nothing.
func TestFragmentsThatNeverFinish(t *testing.T) {
	cfg := reliable.Config{MaxPacket: 16 << 10, Assemblies: 4}
	e := newEnd(t, cfg)
	var q quiet
	data := bytes.Repeat([]byte{7}, 1024)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	const packets = 20000
	for i := range uint16(packets) {
		f := reliable.Fragment{Sequence: i, Number: 3, Count: 16}
		if err := e.Receive(append(f.Append(nil), data...), &q); err != nil {
			t.Fatal(err)
		}
	}
	runtime.ReadMemStats(&after)
	// What is allocated in all: four buffers, and this test's datagrams.
	if got := after.TotalAlloc - before.TotalAlloc; got > packets*2048+8*16<<10 {
		t.Errorf("allocated %d bytes for %d packets", got, packets)
	}
	if c := e.Counts(); c.Abandoned != packets-4 {
		t.Errorf("got %+v, want %d abandoned", c, packets-4)
	}
	h := reliable.Header{Sequence: packets}
	if err := e.Receive(append(h.Append(nil), 42), &q); err != nil || q.packets != 1 || q.last[0] != 42 {
		t.Errorf("got %v, %d packets", err, q.packets)
	}
}

func TestMoreFragmentsThanAPacketHas(t *testing.T) {
	e := newEnd(t, reliable.Config{MaxPacket: 3000})
	var q quiet
	data := bytes.Repeat([]byte{7}, 1024)
	for _, f := range []reliable.Fragment{
		{Sequence: 1, Number: 1, Count: 256}, // of 256 KiB
		{Sequence: 2, Number: 2, Count: 3},   // 3 KiB
	} {
		if err := e.Receive(append(f.Append(nil), data...), &q); err == nil {
			t.Errorf("%+v was taken", f)
		}
	}
	for _, f := range []reliable.Fragment{{Sequence: 3, Number: 1, Count: 3}, {Sequence: 3, Number: 1, Count: 2}} {
		err := e.Receive(append(f.Append(nil), data...), &q)
		if (err != nil) != (f.Count == 2) {
			t.Errorf("%+v: got %v", f, err)
		}
	}
}

func TestConfigMustMakeSense(t *testing.T) {
	for _, cfg := range []reliable.Config{
		{MaxPacket: 100}, {MaxPacket: 1 << 20}, {FragmentSize: -1}, {Assemblies: -1}, {FragmentSize: 10},
	} {
		if _, err := reliable.New(cfg); err == nil {
			t.Errorf("%+v was taken", cfg)
		}
	}
	e := newEnd(t, reliable.Config{})
	for _, n := range []int{0, 16<<10 + 1} {
		if _, err := e.Send(make([]byte, n), func([]byte) { t.Error("sent") }); err == nil {
			t.Errorf("a packet of %d bytes was sent", n)
		}
	}
}

func BenchmarkPacket(b *testing.B) {
	x, y := newEnd(b, reliable.Config{}), newEnd(b, reliable.Config{})
	var q quiet
	content := make([]byte, 200)
	b.ReportAllocs()
	for b.Loop() {
		_, _ = x.Send(content, func(d []byte) { _ = y.Receive(d, &q) })
		_, _ = y.Send(content, func(d []byte) { _ = x.Receive(d, &q) })
	}
	if q.acks < q.packets-2 {
		b.Fatalf("%d acks of %d packets", q.acks, q.packets)
	}
}
