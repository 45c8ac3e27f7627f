package reliable_test

import (
	"bytes"
	"testing"

	"github.com/throng-gg/throng/wire/reliable"
)

func FuzzHeader(f *testing.F) {
	f.Add(reliable.Header{Sequence: 5, Ack: 3, Bits: 0xFFFFFFFF}.Append(nil))
	f.Add(reliable.Header{Sequence: 5, Ack: 999, Bits: 0xDEADBEEF}.Append(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		h, rest, err := reliable.ParseHeader(b)
		if err != nil {
			return
		}
		if got := h.Append(nil); !bytes.Equal(append(got, rest...), b) {
			t.Fatalf("%x was read as %+v, which is %x", b, h, got)
		}
	})
}

func FuzzFragment(f *testing.F) {
	f.Add(reliable.Fragment{Sequence: 9, Number: 1, Count: 256}.Append(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		fr, rest, err := reliable.ParseFragment(b)
		if err != nil {
			return
		}
		if got := fr.Append(nil); !bytes.Equal(append(got, rest...), b) {
			t.Fatalf("%x was read as %+v, which is %x", b, fr, got)
		}
	})
}

// checked is a sink that holds an endpoint to its promises.
type checked struct {
	t     *testing.T
	sent  int
	acked map[uint16]bool
	most  int
}

func (c *checked) Packet(_ reliable.Header, content []byte) bool {
	if len(content) < 1 || len(content) > c.most {
		c.t.Fatalf("a packet of %d bytes", len(content))
	}
	return content[0] != 0xEE
}

func (c *checked) Acked(sequence uint16) {
	if int(sequence) >= c.sent || c.acked[sequence] {
		c.t.Fatalf("packet %d of %d was acked, twice: %t", sequence, c.sent, c.acked[sequence])
	}
	c.acked[sequence] = true
}

// FuzzReceive gives an endpoint any datagrams: lengths in one byte, then bytes.
func FuzzReceive(f *testing.F) {
	packet := append(reliable.Header{Sequence: 1, Ack: 2, Bits: 7}.Append(nil), 1, 2, 3)
	f.Add(append([]byte{byte(len(packet))}, packet...))
	piece := reliable.Header{Sequence: 1, Ack: 2, Bits: 7}.Append(reliable.Fragment{Sequence: 1, Count: 2}.Append(nil))
	piece = append(piece, bytes.Repeat([]byte{9}, 100)...)
	last := append(reliable.Fragment{Sequence: 1, Number: 1, Count: 2}.Append(nil), 1)
	f.Add(append(append(append([]byte{byte(len(piece))}, piece...), byte(len(last))), last...))
	f.Fuzz(func(t *testing.T, b []byte) {
		cfg := config()
		cfg.Assemblies = 2
		e, err := reliable.New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		sink := &checked{t: t, acked: map[uint16]bool{}, most: cfg.MaxPacket}
		for len(b) > 0 {
			n := min(int(b[0]), len(b)-1)
			if _, err := e.Send([]byte{1}, func([]byte) {}); err != nil {
				t.Fatal(err)
			}
			sink.sent++
			_ = e.Receive(b[1:1+n], sink) // most of it is nonsense
			b = b[1+n:]
		}
	})
}
