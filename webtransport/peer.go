package webtransport

import (
	"context"
	"errors"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/coder/websocket"
	"github.com/quic-go/webtransport-go"

	"github.com/throng-gg/throng/wire/netcode"
)

// MaxPayload is how many bytes a payload has at most, either way: browsers'
// datagrams carry no more everywhere.
const MaxPayload = 1150

const (
	// sendRoom is how many payloads wait for a slow client: half a second at 30
	// Hz. Full: the oldest is dropped, because newer state says more.
	sendRoom = 16
	// silence ends a connection, and so does a write that takes as long.
	silence = 5 * time.Second
	// farewellTime is for what is queued to be sent, and the end.
	farewellTime = time.Second
	// messagesPerSecond of one client are taken; it sends 30 to 60. The rest is
	// dropped.
	messagesPerSecond = 200
)

// way is how a client came.
type way uint8

const (
	wayDatagrams way = iota
	waySocket
	ways
)

func (w way) String() string { return [ways]string{"webtransport", "websocket"}[w] }

// link is a client's connection, whichever it is.
type link interface {
	// read blocks for one payload, which is the link's again at the next read.
	// One over MaxPayload is returned, or ends the link. Its error says how the
	// other side ended the link, if it did.
	read(ctx context.Context) ([]byte, error)
	// write sends one payload. It may block while the network does.
	write(ctx context.Context, payload []byte) error
	// end tells the client that the server has ended the connection; what was
	// written before arrives before, if it arrives.
	end()
	// part waits a moment after an end, of either side, for the other to know.
	part()
	// cut ends it at once. It may be called by anyone, more than once.
	cut()
}

// goodbye says whether an end of a link is one that the other side wanted, and
// not just a network or a page that is gone.
func goodbye(err error) bool {
	if end, ok := errors.AsType[*webtransport.SessionError](err); ok {
		return end.Remote && end.ErrorCode == closeEnded
	}
	return websocket.CloseStatus(err) == websocket.StatusNormalClosure
}

// peer is a connected client.
type peer struct {
	link link
	way  way
	n    uint64 // of its connection; set when it enters, as the next two
	use  *use   // of its token; nil: that is over
	// returning: it came back into a seat.
	returning bool
	spoke     atomic.Bool  // it sent a message, so that it knows of the connection
	heard     atomic.Int64 // Unix nanoseconds of the last message
	// writing is when the write under way began, Unix nanoseconds; zero: none is.
	writing atomic.Int64

	// Owned by the reader: messages within the second that began at since.
	since time.Time
	taken int

	mu     sync.Mutex // guards what follows
	queue  [sendRoom][]byte
	head   int // the oldest
	count  int
	ending bool          // no more is queued; the writer ends the link after the rest
	late   *time.Timer   // kills a peer whose farewell takes too long
	wake   chan struct{} // room for one: something changed

	over chan struct{} // closed: the writer stops at once
	stop func()
}

func newPeer(l link, w way) *peer {
	over := make(chan struct{})
	return &peer{
		link: l, way: w, wake: make(chan struct{}, 1),
		over: over, stop: sync.OnceFunc(func() { close(over) }),
	}
}

// push queues a copy of the payload and says whether one was dropped for it.
func (p *peer) push(payload []byte) (dropped bool) {
	p.mu.Lock()
	if p.ending {
		p.mu.Unlock()
		return false
	}
	if p.count == sendRoom {
		p.head, p.count, dropped = (p.head+1)%sendRoom, p.count-1, true
	}
	slot := &p.queue[(p.head+p.count)%sendRoom]
	*slot = append((*slot)[:0], payload...)
	p.count++
	p.mu.Unlock()
	p.nudge()
	return dropped
}

func (p *peer) nudge() {
	select {
	case p.wake <- struct{}{}:
	default: // it is to look anyway
	}
}

// pop takes the oldest payload in exchange for a buffer. done: the queue is
// empty for good.
func (p *peer) pop(buffer []byte) (payload []byte, done bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.count == 0 {
		return nil, p.ending
	}
	payload = p.queue[p.head]
	p.queue[p.head] = buffer
	p.head, p.count = (p.head+1)%sendRoom, p.count-1
	return payload, false
}

// write sends what is queued until the peer is over, or the link breaks, which
// its reader finds out too.
func (p *peer) write(ctx context.Context, m *metrics) {
	var buffer []byte
	for {
		payload, done := p.pop(buffer)
		switch {
		case payload != nil:
			p.writing.Store(time.Now().UnixNano())
			err := p.link.write(ctx, payload)
			p.writing.Store(0)
			buffer = payload
			if err != nil {
				m.unsent.Inc()
				continue
			}
			m.sent(p.way, len(payload))
			continue
		case done:
			p.link.end()
			return
		}
		select {
		case <-p.wake:
		case <-p.over:
			return
		}
	}
}

// farewell lets the writer send the rest and end the link, in a second at most.
func (p *peer) farewell() {
	p.mu.Lock()
	p.ending = true
	p.late = time.AfterFunc(farewellTime, p.kill)
	p.mu.Unlock()
	p.nudge()
}

// kill ends writer and link at once. It may be called more than once.
func (p *peer) kill() {
	p.stop()
	p.link.cut()
}

// done waits for the writer when the reader has ended: one that is under way
// gets a moment, because it may be telling the client.
func (p *peer) done(writer *sync.WaitGroup) {
	p.stop()
	cut := time.AfterFunc(partTime, p.link.cut)
	writer.Wait()
	cut.Stop()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ending = true
	if p.late != nil {
		p.late.Stop()
	}
}

// stuck says why a peer is to be killed, if it is.
func (p *peer) stuck(now time.Time) bool {
	limit := now.Add(-silence).UnixNano()
	writing := p.writing.Load()
	return p.heard.Load() < limit || writing != 0 && writing < limit
}

// inUse says whether the client knows of the connection and has spoken over it
// since. Nil is in nobody's use.
func (p *peer) inUse(since time.Time) bool {
	return p != nil && p.spoke.Load() && p.heard.Load() > since.UnixNano()
}

// left says whether an end of the link gives the seat up. Who came back and gave
// up before the answer reached him tries again, whatever his program's end says.
func (p *peer) left(end error) bool { return goodbye(end) && (p.spoke.Load() || !p.returning) }

// flooding says whether a message is one too many.
func (p *peer) flooding(now time.Time) bool {
	if now.Sub(p.since) >= time.Second {
		p.since, p.taken = now, 0
	}
	p.taken++
	return p.taken > messagesPerSecond
}

// play serves a peer whose token was admitted until it ends. The refusal says
// why it was not let in; the link is the caller's to end then.
func (t *Transport) play(ctx context.Context, p *peer, opened netcode.OpenedToken, from netip.AddrPort) refusal {
	if why := t.enter(p, opened, from); why != refusedNone {
		return why
	}
	defer t.playing.Done()
	var writer sync.WaitGroup
	writer.Go(func() { p.write(ctx, t.metrics) })
	tell := t.source.Lost
	for {
		payload, err := p.link.read(ctx)
		if err != nil {
			if p.left(err) {
				tell = t.source.Disconnected
			}
			break
		}
		t.message(p, payload)
	}
	t.leave(p, tell)
	p.done(&writer)
	p.link.part()
	return refusedNone
}

// message passes one payload on.
func (t *Transport) message(p *peer, payload []byte) {
	now := time.Now()
	t.metrics.received(p.way, len(payload))
	if p.flooding(now) {
		t.metrics.flood.Inc()
		return
	}
	if len(payload) < 1 || len(payload) > MaxPayload {
		t.metrics.payloadSize.Inc()
		return
	}
	p.heard.Store(now.UnixNano())
	p.spoke.Store(true)
	t.mu.Lock()
	defer t.mu.Unlock()
	if p.use != nil {
		p.use.spoke = true
	}
	if t.peers[p.n] == p && !t.source.Message(p.n, payload) {
		t.metrics.eventsFull.Inc()
	}
}
