package channel_test

import (
	"bytes"
	"testing"
	"time"

	"github.com/throng-gg/throng/wire/channel"
)

func seeds(add func(b []byte)) {
	add(channel.Frame{State: []byte{1, 2}}.Append(nil))
	add(channel.Frame{HasHold: true, Hold: 9, Last: []byte{1}}.Append(nil))
	add(channel.Frame{State: []byte{}, Slices: []channel.Slice{{Number: 7, Data: make([]byte, 100), More: true}, {Number: 8}}}.Append(nil))
}

func FuzzFrame(f *testing.F) {
	seeds(func(b []byte) { f.Add(b) })
	f.Fuzz(func(t *testing.T, b []byte) {
		frame, err := channel.ParseFrame(b, nil)
		if err != nil {
			return
		}
		if got := frame.Append(nil); !bytes.Equal(got, b) {
			t.Fatalf("%x was read as %+v, which is %x", b, frame, got)
		}
	})
}

// FuzzReceive gives a Conn packets of any content, each led by its length.
func FuzzReceive(f *testing.F) {
	seeds(func(b []byte) { f.Add(append([]byte{byte(len(b))}, b...)) })
	f.Fuzz(func(t *testing.T, b []byte) {
		c := channel.New(channel.Config{Longest: 500, Early: 1000, Assemblies: 1})
		to := &side{}
		now := time.Unix(1e9, 0)
		for i := uint16(0); len(b) > 0 && i < 200; i++ {
			n := min(int(b[0]), len(b)-1)
			h := []byte{1<<1 | 1<<2 | 1<<3 | 1<<4 | 1<<5, byte(i), 0, 1, 3, 0, 0, 0}
			_ = c.Receive(now, append(h, b[1:1+n]...), to)
			b = b[1+n:]
			c.Flush(now, []byte{1}, uint64(i)+1, func(d []byte) {
				if len(d) > channel.MaxDatagram {
					t.Fatalf("a datagram of %d bytes", len(d))
				}
			})
			now = now.Add(30 * time.Millisecond)
		}
		for _, m := range to.messages {
			if len(m) > 500 {
				t.Fatalf("a message of %d bytes", len(m))
			}
		}
	})
}
