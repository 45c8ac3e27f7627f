package channel_test

import (
	"bytes"
	"encoding/binary"
	"testing"
	"time"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/wire/channel"
)

// numbered is message number i, of a length that depends on it.
func numbered(i, size int) []byte {
	m := make([]byte, 4+size)
	binary.LittleEndian.PutUint32(m, uint32(i))
	for j := 4; j < len(m); j++ {
		m[j] = byte(i + j)
	}
	return m
}

func TestEventsComeInOrderOnce(t *testing.T) {
	for _, w := range []weather{{}, rough(), {delay: 200 * time.Millisecond, jitter: 100 * time.Millisecond, loss: 0.3, double: 0.1, reorder: 0.2}} {
		n := newNet(t, 1, w)
		sizes := []int{0, 3, 20, 200, 1020, 1021, 2500, 9000}
		queued := 0
		n.run(3000, func(tick int) {
			if tick%10 == 0 && tick < 2500 {
				m := numbered(queued, sizes[queued%len(sizes)])
				for _, s := range n.ends {
					if err := s.conn.Queue(m); err != nil {
						t.Fatal(err)
					}
				}
				queued++
			}
			n.play(150, uint64(tick+1))
		})
		for who, s := range n.ends {
			if len(s.messages) != queued {
				t.Fatalf("%+v: end %d has %d messages of %d, %+v", w, who, len(s.messages), queued, s.conn.Stats())
			}
			for i, m := range s.messages {
				if want := numbered(i, sizes[i%len(sizes)]); !bytes.Equal(m, want) {
					t.Fatalf("%+v: message %d is not what was sent", w, i)
				}
			}
			if err := s.conn.Err(); err != nil {
				t.Error(err)
			}
		}
		t.Logf("%+v: %d messages each way; %+v", w, queued, n.ends[0].conn.Stats())
	}
}

// States are told by tag once, only if they came, and all that came but the last.
func TestAcksSayWhichStatesCame(t *testing.T) {
	n := newNet(t, 2, rough())
	const ticks = 3000
	n.run(ticks, func(tick int) { n.play(100, uint64(tick+1)) })
	server, client := n.ends[0], n.ends[1]
	came := len(client.states) + client.late
	seen := map[uint64]bool{}
	for _, tag := range server.acked {
		if seen[tag] || tag > ticks {
			t.Fatalf("state %d was acked twice, or never sent", tag)
		}
		seen[tag] = true
	}
	if missing := came - len(server.acked); missing < 0 || missing > 10 {
		t.Errorf("%d states came, %d were acked", came, len(server.acked))
	}
	if got := float64(came) / ticks; got < 0.93 || got > 0.97 {
		t.Errorf("%.3f of the states came, at a loss of 0.05", got)
	}
	if trip := server.conn.Stats().Trip; trip < 85*time.Millisecond || trip > 135*time.Millisecond {
		t.Errorf("the round trip is %s, the network's 100 ms", trip)
	}
}

// A state that was of no use is not acked.
func TestRefusedStatesAreNotAcked(t *testing.T) {
	n := newNet(t, 3, weather{})
	n.run(30, func(tick int) {
		state := []byte{1}
		if tick%3 == 0 {
			state[0] = 0xEE
		}
		n.ends[0].conn.Flush(n.now, state, uint64(tick+1), n.ends[0].transmit)
		n.ends[1].conn.Flush(n.now, []byte{1}, 0, n.ends[1].transmit)
	})
	for _, tag := range n.ends[0].acked {
		if (tag-1)%3 == 0 {
			t.Errorf("state %d was acked", tag)
		}
	}
	if len(n.ends[0].acked) < 18 {
		t.Errorf("got %d acks", len(n.ends[0].acked))
	}
}

func TestLongStatesTravelInFragments(t *testing.T) {
	n := newNet(t, 4, rough())
	n.run(300, func(tick int) { n.play(channel.MaxState, uint64(tick+1)) })
	if got := len(n.ends[1].states); got < 30 { // 0.95^16 = 0.44, which slows the pace down
		t.Errorf("%d of 300 states of 16 fragments came", got)
	}
	before := n.ends[0].bytes
	n.ends[0].conn.Flush(n.now, make([]byte, channel.MaxState+1), 1, n.ends[0].transmit)
	if n.ends[0].bytes != before {
		t.Error("a state that is too long was sent")
	}
}

func TestTheLastWord(t *testing.T) {
	n := newNet(t, 5, weather{})
	n.ends[0].conn.Last(n.now, []byte("ended"), n.ends[0].transmit)
	n.run(2, nil)
	if n.ends[1].last != "ended" {
		t.Errorf("got %q", n.ends[1].last)
	}
}

// Whoever is not heard of is not waited for.
func TestAPeerThatAcksNothing(t *testing.T) {
	n := newNet(t, 6, weather{delay: 20 * time.Millisecond})
	n.ends[1].deaf = true // it sends all the same
	server := n.ends[0].conn
	if err := server.Queue(numbered(1, 9000)); err != nil {
		t.Fatal(err)
	}
	over := 0
	n.run(600, func(tick int) {
		n.play(200, uint64(tick+1))
		if server.Err() != nil && over == 0 {
			over = tick
		}
	})
	if throng.KindOf(server.Err()) != throng.Unavailable || over < 250 || over > 330 {
		t.Errorf("after %d ticks: %v", over, server.Err())
	}
	if got := float64(n.ends[0].bytes*8) / (float64(over) / 30) / 1000; got > 75 {
		t.Errorf("sent it %.0f kbit/s", got)
	}
	if err := server.Queue([]byte{1}); throng.KindOf(err) != throng.Unavailable {
		t.Errorf("took a message all the same: %v", err)
	}
}

// Time in which this side did nothing does not count.
func TestSleepIsNoSilence(t *testing.T) {
	n := newNet(t, 7, weather{delay: 20 * time.Millisecond})
	if err := n.ends[0].conn.Queue([]byte{1}); err != nil {
		t.Fatal(err)
	}
	n.play(10, 0)
	n.now = n.now.Add(time.Minute)
	n.run(30, func(int) { n.play(10, 0) })
	if err := n.ends[0].conn.Err(); err != nil || len(n.ends[1].messages) != 1 {
		t.Errorf("%d messages, %v", len(n.ends[1].messages), err)
	}
}

func TestMessagesThatNobodyTakes(t *testing.T) {
	n := newNet(t, 8, weather{}, channel.Config{Queue: 5000})
	n.ends[1].deaf = true
	var err error
	queued := 0
	for ; err == nil; queued++ {
		err = n.ends[0].conn.Queue(make([]byte, 96))
	}
	if throng.KindOf(err) != throng.Full || queued != 51 || n.ends[0].conn.Err() == nil {
		t.Errorf("after %d messages: %v", queued, err)
	}
	c := channel.New(channel.Config{})
	for _, size := range []int{0, 16<<10 + 1} {
		if err := c.Queue(make([]byte, size)); throng.KindOf(err) != throng.Invalid || c.Err() != nil {
			t.Errorf("a message of %d bytes: %v", size, err)
		}
	}
}

// Slices that a receiver has no room for are not acked, and come again.
func TestMoreThanThereIsRoomFor(t *testing.T) {
	n := newNet(t, 9, weather{delay: 30 * time.Millisecond, loss: 0.4}, channel.Config{}, channel.Config{Early: 1100})
	for i := range 40 {
		if err := n.ends[0].conn.Queue(numbered(i, 1000)); err != nil {
			t.Fatal(err)
		}
	}
	n.run(1500, func(int) { n.play(10, 0) })
	if got, s := len(n.ends[1].messages), n.ends[1].conn.Stats(); got != 40 || s.Untaken == 0 {
		t.Errorf("got %d messages, %+v", got, s)
	}
}

// attack sends what no Conn does.
func attack(t *testing.T, c *channel.Conn, f channel.Frame, sequence uint16) error {
	t.Helper()
	h := []byte{1<<1 | 1<<2 | 1<<3 | 1<<4, byte(sequence), byte(sequence >> 8), 0xFF, 0xFF, 0, 0, 0, 0}
	if sequence-0xFFFF <= 0xFF {
		h = []byte{1<<1 | 1<<2 | 1<<3 | 1<<4 | 1<<5, byte(sequence), byte(sequence >> 8), byte(sequence - 0xFFFF), 0, 0, 0, 0}
	}
	return c.Receive(time.Unix(1e9, 0), f.Append(h), &side{})
}

func TestWhatAPeerMayNotSend(t *testing.T) {
	tests := map[string]channel.Frame{
		"a slice far ahead":  {Slices: []channel.Slice{{Number: channel.Ahead, Data: []byte{1}}}},
		"a message too long": {Slices: []channel.Slice{{More: true, Data: make([]byte, 900)}, {Number: 1, Data: make([]byte, 900)}}},
	}
	for name, f := range tests {
		c := channel.New(channel.Config{Longest: 1000})
		if err := attack(t, c, f, 0); throng.KindOf(err) != throng.Invalid || c.Err() == nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// One that never sends the slice that is waited for makes a Conn keep no more
// than it may.
func TestSlicesThatNeverFinish(t *testing.T) {
	c := channel.New(channel.Config{Early: 8 << 10})
	for i := range uint16(1000) {
		f := channel.Frame{Slices: []channel.Slice{{Number: 1 + i%(channel.Ahead-1), Data: make([]byte, channel.MaxSlice)}}}
		if err := attack(t, c, f, i); err != nil {
			t.Fatal(err)
		}
	}
	if s := c.Stats(); s.Untaken < 800 || c.Err() != nil {
		t.Errorf("got %+v, %v", s, c.Err())
	}
}

func BenchmarkTick(b *testing.B) {
	n := newNet(b, 1, weather{})
	state, input := make([]byte, 120), make([]byte, 10)
	quiet := &silent{}
	b.ReportAllocs()
	for b.Loop() {
		n.now = n.now.Add(time.Second / 30)
		n.ends[0].conn.Flush(n.now, state, 1, func(d []byte) { _ = n.ends[1].conn.Receive(n.now, d, quiet) })
		n.ends[1].conn.Flush(n.now, input, 1, func(d []byte) { _ = n.ends[0].conn.Receive(n.now, d, quiet) })
	}
}

type silent struct{}

func (*silent) State([]byte, bool) bool { return true }
func (*silent) Message([]byte)          {}
func (*silent) Last([]byte)             {}
func (*silent) Acked(uint64)            {}
