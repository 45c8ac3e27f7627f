package gameserver

import (
	"encoding/binary"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/wire"
	"github.com/throng-gg/throng/wire/reliable"
)

// numbered is a message with a number.
func numbered(n int) throng.Message {
	return throng.Message{Name: "say", Fields: []throng.MessageField{{Name: "n", Value: float64(n)}}}
}

func place(t *testing.T, m throng.Message) []byte {
	t.Helper()
	b, err := wire.AppendPlace(nil, m)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// told is what the place's script told a client.
func (s *stage) said(conn ConnID) (out []throng.Message) {
	s.t.Helper()
	s.net.mu.Lock()
	defer s.net.mu.Unlock()
	for _, b := range s.net.out[conn] {
		if wire.MessageOf(b) == wire.MessagePlace {
			m, err := wire.ParsePlace(b)
			if err != nil {
				s.t.Fatal(err)
			}
			out = append(out, m)
		}
	}
	return out
}

// heardOf is the numbers that a player said, as the script heard them.
func (r *recorder) heardOf(p throng.PlayerID) (out []int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, h := range r.heard {
		if h.player == p {
			n, _ := h.message.Get("n").(float64)
			out = append(out, int(n))
		}
	}
	return out
}

func numbersTo(n int) (out []int) {
	for i := range n {
		out = append(out, i)
	}
	return out
}

func TestMessagesGoBothWaysInOrder(t *testing.T) {
	play(t, func(s *stage) {
		conns, _ := s.enter("t", "ada", "bo")
		for i := range 5 {
			s.net.say(conns[0], nil, place(t, numbered(2*i)), place(t, numbered(2*i+1)))
		}
		s.wait(500 * time.Millisecond)
		if got := s.place.heardOf("ada"); !slices.Equal(got, numbersTo(10)) {
			t.Errorf("heard %v of ada, want 0 to 9", got)
		}
		s.inTick(func() {
			for i := range 3 {
				if !s.send("bo", numbered(i)) {
					t.Errorf("message %d to bo was not sent", i)
				}
			}
			if s.send("eve", numbered(1)) {
				t.Error("sent to somebody who is not in")
			}
		})
		s.wait(500 * time.Millisecond)
		if got := s.said(conns[1]); !reflect.DeepEqual(got, []throng.Message{numbered(0), numbered(1), numbered(2)}) || len(s.said(conns[0])) != 0 {
			t.Errorf("bo was told %+v, ada %d", got, len(s.said(conns[0])))
		}
	})
}

// What a script sends a player, and a client the script, has its bounds.
func TestTooManyMessagesAreNotHeard(t *testing.T) {
	play(t, func(s *stage) {
		conns, _ := s.enter("t", "ada", "bo")
		for i := range 100 {
			for j := range 10 {
				s.net.say(conns[0], nil, place(t, numbered(10*i+j)))
			}
			s.wait(100 * time.Millisecond)
		}
		got := len(s.place.heardOf("ada"))
		if most := mostTalk + 10*talkRate + 10; got > most || got < throng.MessageBurst+10*throng.MessageRate {
			t.Errorf("heard %d of 1,000 messages in 10 s, at most %d are allowed", got, most)
		}
		sent := 0
		s.inTick(func() {
			for s.send("bo", throng.Message{Name: "x", Fields: []throng.MessageField{{Name: "t", Value: string(make([]byte, 400))}}}) {
				sent++
			}
		})
		if sent < 30 || sent > mostRoom/400 {
			t.Errorf("sent %d messages of 400 bytes at once", sent)
		}
		s.wait(5 * time.Second)
		if n := len(s.said(conns[1])); n != sent {
			t.Errorf("%d of %d messages came", n, sent)
		}
		s.inside("after that", 2, "ada", "bo")
	})
}

// One who takes nothing of what he is sent is told so and put out, and his
// neighbour sees no difference.
func TestPlayerWhoAcknowledgesNothing(t *testing.T) {
	play(t, func(s *stage) {
		conns, _ := s.enter("t", "ada", "bo")
		s.net.mu.Lock()
		s.net.end(conns[0]).deaf = true
		s.net.mu.Unlock()
		s.inTick(func() { s.send("ada", numbered(1)) })
		for i := range 450 {
			for _, conn := range conns {
				s.net.say(conn, wire.AppendInput(nil, wire.Input{Sequence: uint32(i + 1), Count: 1}))
			}
			s.wait(time.Second / 30)
		}
		s.inside("after 15 s", 1, "bo")
		s.net.mu.Lock()
		ended := slices.Contains(s.net.ended, conns[0])
		s.net.mu.Unlock()
		if !ended {
			t.Error("ada is connected still")
		}
		if n := s.count(conns[1], wire.MessageSnapshot); n < 400 {
			t.Errorf("bo got %d snapshots in 15 s", n)
		}
	})
}

// A client that sends what none may is put out with a reason.
func TestPlayerWhoBreaksTheRules(t *testing.T) {
	play(t, func(s *stage) {
		conns, _ := s.enter("t", "ada", "bo")
		h := reliable.Header{Sequence: 200, Ack: 0xFFFF}.Append(nil)
		s.net.events <- Event{Kind: EventMessage, Conn: conns[0], At: time.Now(), Data: append(h, 1, 1, 0xFF, 0x7F, 2, 9)} // slice 32767
		s.wait(100 * time.Millisecond)
		if bye, ended := s.net.bye(conns[0]); !ended || bye.Code != wire.ByeDenied || bye.Text == "" {
			t.Errorf("got %+v, ended %v; want a reason", bye, ended)
		}
		s.wait(time.Second)
		s.inside("after that", 1, "bo")
	})
}

// 10,000 datagrams a second of one player: they are counted and dropped, what he
// wants now is heard, and the others' inputs are.
func TestFloodOfInputs(t *testing.T) {
	play(t, func(s *stage) {
		conns, _ := s.enter("t", "ada", "bo")
		for i := range 10 {
			for range 1000 {
				garbage := make([]byte, 30) // the receiver's
				binary.LittleEndian.PutUint16(garbage[1:], uint16(i))
				select {
				case s.net.events <- Event{Kind: EventMessage, Conn: conns[0], At: time.Now(), Data: garbage}:
				default:
				}
			}
			s.wait(time.Second / 30)
		}
		s.wait(time.Second)
		s.net.say(conns[0], wire.AppendInput(nil, wire.Input{Sequence: 9, Count: 1, Moves: [wire.MaxMoves]wire.Move{wire.MakeMove(1, 0, 0)}}))
		s.net.say(conns[1], wire.AppendInput(nil, wire.Input{Sequence: 1, Count: 1, Moves: [wire.MaxMoves]wire.Move{wire.MakeMove(0, 1, 0)}}))
		s.wait(100 * time.Millisecond)
		s.place.mu.Lock()
		inputs := slices.Clone(s.place.inputs)
		s.place.mu.Unlock()
		if !slices.Contains(inputs, Input{MoveX: 1}) || !slices.Contains(inputs, Input{MoveY: 1}) {
			t.Errorf("got %+v, want the inputs of both", inputs)
		}
		s.inside("after that", 2, "ada", "bo")
	})
}
