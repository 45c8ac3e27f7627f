package channel

import (
	"time"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/wire/reliable"
)

const (
	// MaxDatagram is what a transport has to carry; browsers' datagrams carry no
	// more everywhere.
	MaxDatagram = 1150
	// MaxState is the length of a state at most. One that is longer than
	// WholeState travels in fragments, all of which have to arrive.
	MaxState = maxPacket - frameHead
	// MaxMessage is the length of a message at most.
	MaxMessage = 16 << 10
	// WholeState is the length of the longest state that is one datagram for
	// certain.
	WholeState = maxWhole - frameHead

	frameHead    = 2 // flags and hold
	maxWhole     = MaxDatagram - reliable.MaxHeader
	fragmentSize = MaxDatagram - reliable.MaxHeader - reliable.FragmentHeader
	maxPacket    = 16 * fragmentSize

	// reordered is how many later packets must have been acked before one that was
	// not is lost.
	reordered = 3
	// burst is how many packets of events alone one Flush sends.
	burst = 3
	// mostHold is the longest hold that is told.
	mostHold = 255 * time.Millisecond
	// holdEvery is between two that are told: they are a byte each.
	holdEvery = 100 * time.Millisecond
)

// Config bounds what a Conn keeps for the other side. The zero value is for a
// client, which trusts its server.
type Config struct {
	// Longest is the length of a message that may come; default MaxMessage.
	Longest int
	// Early is how many bytes of messages are kept that came before their turn;
	// default 64 KiB. More are not taken: they are sent again.
	Early int
	// Queue is how many bytes of own messages, and 4 more for each slice, wait to
	// be acked; default 64 KiB. When one more comes, the connection is over: Err.
	Queue int
	// Patience is how long a message may remain without an ack; default 10 s. Then
	// the connection is over: Err.
	Patience time.Duration
	// Assemblies is how many fragmented states may be incomplete at once; default
	// 4. Each takes up to 18 KB.
	Assemblies int
}

func (c Config) fill() Config {
	for _, d := range []struct {
		field *int
		value int
	}{{&c.Longest, MaxMessage}, {&c.Early, 64 << 10}, {&c.Queue, 64 << 10}, {&c.Assemblies, 4}} {
		if *d.field == 0 {
			*d.field = d.value
		}
	}
	if c.Patience == 0 {
		c.Patience = 10 * time.Second
	}
	return c
}

// Sink is told of what came. Bytes are good until the method returns.
type Sink interface {
	// State takes a state. late: a newer one came before. False: it was of no use,
	// and is not acked.
	State(state []byte, late bool) bool
	// Message takes the next message.
	Message(message []byte)
	// Last takes the other side's last word.
	Last(word []byte)
	// Acked tells that the state that was sent with a tag was taken. Tags of other
	// than 0 are told, each once at most.
	Acked(tag uint64)
}

// Stats is what a Conn has seen.
type Stats struct {
	Sent, Acked, Lost uint64 // packets
	Repeated          uint64 // slices
	Untaken           uint64 // packets that came for which there was no room
	Reliable          reliable.Counts
	Trip              time.Duration // smoothed, without the other side's time; 0: not measured
	Pace              int           // state goes out every so many times
	Waiting           int           // bytes of messages that are not acked
}

// flight is a packet that was sent.
type flight struct {
	used, acked, lost bool
	sequence          uint16
	at                time.Time
	tag               uint64
	slices            []uint16
}

// Conn is one end of a connection. It belongs to one goroutine.
type Conn struct {
	end  *reliable.Endpoint
	cfg  Config
	out  outbox
	in   inbox
	trip trip
	pace pace
	last uint64 // calls of Due, modulo the pace

	flights [reliable.Window]flight // by sequence modulo reliable.Window
	oldest  uint16                  // sequence before which all is decided
	newest  uint16                  // newest that was acked
	heard   bool                    // one was

	// What came.
	come   bool
	came   uint16    // newest sequence
	cameAt time.Time // and when
	state  uint16    // newest sequence with state
	stated bool
	untold bool      // no packet has said so yet
	toldAt time.Time // when a hold was told last
	owed   bool      // slices came since a packet was sent

	flushed time.Time     // last
	stalled time.Duration // time of Flush since the first message that waits is the first
	front   uint16        // its slice

	err     error
	stats   Stats
	slices  []Slice // reused, as the next
	content []byte
	sink    sinkOf
}

// New returns an end of a connection over which nothing went yet.
func New(cfg Config) *Conn {
	cfg = cfg.fill()
	end, err := reliable.New(reliable.Config{
		MaxPacket: maxPacket, FragmentAbove: maxWhole, FragmentSize: fragmentSize, Assemblies: cfg.Assemblies,
	})
	if err != nil {
		panic(err) // the constants above do not fit together, or Assemblies is negative
	}
	return &Conn{
		end: end, cfg: cfg,
		out:  outbox{most: cfg.Queue},
		in:   inbox{most: cfg.Early, longest: cfg.Longest},
		pace: newPace(),
	}
}

// Err says why the connection cannot go on; nil: it can. Full: the other side does
// not take its messages, and too many wait. Unavailable: it has acked none for
// Config.Patience. Invalid: it sends what it may not.
func (c *Conn) Err() error { return c.err }

// Stats is what the connection has seen.
func (c *Conn) Stats() Stats {
	s := c.stats
	s.Reliable, s.Trip, s.Pace, s.Waiting = c.end.Counts(), c.trip.smooth, c.pace.every, c.out.bytes
	return s
}

// Queue takes a message for the other side, which is copied; Flush sends it. Its
// error is Err's, or Invalid: it is empty or longer than MaxMessage.
func (c *Conn) Queue(message []byte) error {
	if c.err != nil {
		return c.err
	}
	if len(message) < 1 || len(message) > MaxMessage {
		return throng.Errorf(throng.Invalid, "a message has 1 to %d bytes, this one %d", MaxMessage, len(message))
	}
	c.err = c.out.push(message)
	return c.err
}

// Due says whether state is to be sent this time. It is asked once each time that
// there is some, usually each tick; while the way is full it says so less often.
func (c *Conn) Due() bool {
	c.last++
	return c.last%uint64(c.pace.every) == 0
}

// Flush gives transmit the datagrams to send: state, if it is not nil, and
// messages that are new or lost. tag is what Sink.Acked will be told; 0: nothing.
// A datagram is good until transmit returns. It is called each tick, with nothing
// to say too: then it sends what is owed. A state of more than MaxState bytes is
// not sent.
func (c *Conn) Flush(now time.Time, state []byte, tag uint64, transmit func(datagram []byte)) {
	c.expire(now)
	c.pace.judge(now)
	c.stall(now)
	if c.err != nil {
		return
	}
	room := WholeState - 1
	if state != nil {
		room = max(0, room-len(state)) // events are never the reason for a second fragment
	}
	// What does not fit beside the state goes before it: a state may need it.
	for range burst {
		if !c.out.waits(room) {
			break
		}
		c.send(now, Frame{Slices: c.out.due(c.slices[:0], WholeState-1, c.end.Next())}, 0, transmit)
	}
	if state != nil && len(state) <= MaxState {
		c.send(now, Frame{Slices: c.out.due(c.slices[:0], room, c.end.Next()), State: state}, tag, transmit)
	}
	if c.owed || state == nil && c.out.waits(0) {
		c.send(now, Frame{Slices: c.out.due(c.slices[:0], WholeState-1, c.end.Next())}, 0, transmit)
	}
}

// stall ends a connection whose other side takes no messages. Only time counts
// in which this side was awake.
func (c *Conn) stall(now time.Time) {
	slept := now.Sub(c.flushed)
	c.flushed = now
	if len(c.out.pieces) == 0 || !c.out.pieces[0].sent || c.out.first != c.front {
		c.front, c.stalled = c.out.first, 0
		return
	}
	c.stalled += max(0, min(slept, mostHold))
	if c.err == nil && c.stalled > c.cfg.Patience {
		c.err = throng.Errorf(throng.Unavailable, "the other side has acknowledged no message for %s", c.cfg.Patience)
	}
}

// Refusal is the datagram that tells a client over whose connection nothing went
// yet a last word, of at most WholeState bytes.
func Refusal(word []byte) []byte {
	none := reliable.Header{Ack: 0xFFFF}
	return Frame{Last: word[:min(len(word), WholeState)]}.Append(none.Append(nil))
}

// Last sends a last word, of at most WholeState bytes. It is not repeated.
func (c *Conn) Last(now time.Time, word []byte, transmit func(datagram []byte)) {
	c.send(now, Frame{Last: word[:min(len(word), WholeState)]}, 0, transmit)
}

func (c *Conn) send(now time.Time, f Frame, tag uint64, transmit func([]byte)) {
	if ack, _ := c.end.Acks(); c.untold && now.Sub(c.toldAt) >= holdEvery && ack == c.came {
		if hold := now.Sub(c.cameAt); hold >= 0 && hold <= mostHold {
			f.HasHold, f.Hold = true, uint8(hold.Milliseconds())
			c.toldAt = now
		}
		c.untold = false
	}
	c.slices = f.Slices[:0]
	c.content = f.Append(c.content[:0])
	fl := &c.flights[c.end.Next()%reliable.Window]
	if fl.used && !fl.acked && !fl.lost {
		c.lose(fl)
	}
	*fl = flight{used: true, sequence: c.end.Next(), at: now, tag: tag, slices: fl.slices[:0]}
	for _, s := range f.Slices {
		fl.slices = append(fl.slices, s.Number)
	}
	c.owed = false
	c.stats.Sent++
	if _, err := c.end.Send(c.content, transmit); err != nil {
		c.err = err // content fits: MaxState says so
	}
	if c.end.Next()-c.oldest > reliable.Window {
		c.oldest = c.end.Next() - reliable.Window
	}
}

// Receive takes a datagram. Invalid: it makes no sense, which is counted and
// changes nothing; or see Err.
func (c *Conn) Receive(now time.Time, datagram []byte, sink Sink) error {
	if c.err != nil {
		return c.err
	}
	c.sink = sinkOf{c: c, now: now, to: sink}
	err := c.end.Receive(datagram, &c.sink)
	c.sink.to = nil
	if c.err != nil {
		return c.err
	}
	if err == nil {
		err = c.sink.err
	}
	c.sink.err = nil
	return err
}
