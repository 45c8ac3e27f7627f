package channel

import (
	"time"

	"github.com/throng-gg/throng/wire/reliable"
)

// sinkOf is what a Conn's endpoint tells of a datagram.
type sinkOf struct {
	c    *Conn
	now  time.Time
	to   Sink
	held bool // the packet at hand has a hold,
	hold time.Duration
	ack  uint16 // which is of this one
	err  error
}

// Packet takes the content of a packet: all of it, or it is not acked.
func (s *sinkOf) Packet(h reliable.Header, content []byte) bool {
	c, sequence := s.c, h.Sequence
	f, err := ParseFrame(content, c.slices[:0])
	if f.Slices != nil {
		c.slices = f.Slices[:0]
	}
	if err != nil {
		s.err = err
		return false
	}
	for _, slice := range f.Slices {
		taken, err := c.in.take(slice, s.to.Message)
		if err != nil {
			c.err = err
			return false
		}
		if !taken {
			c.stats.Untaken++
			return false
		}
	}
	if f.State != nil {
		late := c.stated && int16(sequence-c.state) < 0
		if !s.to.State(f.State, late) {
			return false
		}
		if !late {
			c.state, c.stated = sequence, true
		}
	}
	if f.Last != nil {
		s.to.Last(f.Last)
	}
	if !c.come || int16(sequence-c.came) > 0 {
		c.come, c.untold, c.came, c.cameAt = true, true, sequence, s.now
	}
	c.owed = c.owed || len(f.Slices) > 0
	s.held, s.hold, s.ack = f.HasHold, time.Duration(f.Hold)*time.Millisecond, h.Ack
	return true
}

// Acked takes that a packet has arrived.
func (s *sinkOf) Acked(sequence uint16) {
	c := s.c
	fl := &c.flights[sequence%reliable.Window]
	if !fl.used || fl.acked || fl.sequence != sequence {
		return
	}
	fl.acked = true
	c.stats.Acked++
	c.trip.heard()
	if fl.lost {
		c.stats.Lost--
		c.pace.loss.found()
	} else {
		c.pace.loss.came()
	}
	if s.held && sequence == s.ack {
		sample := max(0, s.now.Sub(fl.at)-s.hold)
		c.trip.add(sample)
		c.pace.queue.add(sample, s.now)
	}
	for _, n := range fl.slices {
		c.out.ack(n)
	}
	if !c.heard || int16(sequence-c.newest) > 0 {
		c.heard, c.newest = true, sequence
	}
	if fl.tag != 0 {
		s.to.Acked(fl.tag)
	}
}

// expire decides what happened to packets that were not acked.
func (c *Conn) expire(now time.Time) {
	timeout := c.trip.timeout()
	late := false
	for n := c.oldest; n != c.end.Next(); n++ {
		fl := &c.flights[n%reliable.Window]
		if !fl.used || fl.acked || fl.lost {
			if n == c.oldest {
				c.oldest++
			}
			continue
		}
		overtaken := c.heard && int16(c.newest-n) >= reordered
		if !overtaken && now.Sub(fl.at) < timeout {
			continue // younger ones may be overtaken, not late
		}
		late = late || !overtaken
		c.lose(fl)
	}
	if late {
		c.trip.late()
	}
}

// lose decides that a packet is lost; it may yet be found.
func (c *Conn) lose(fl *flight) {
	fl.lost = true
	c.stats.Lost++
	c.pace.loss.gone()
	for _, n := range fl.slices {
		if c.out.lose(n, fl.sequence) {
			c.stats.Repeated++
		}
	}
}
