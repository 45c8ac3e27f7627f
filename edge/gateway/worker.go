package gateway

import (
	"encoding/binary"
	"sync"
	"time"

	"github.com/dchest/siphash"

	"github.com/throng-gg/throng/udp/batch"
	"github.com/throng-gg/throng/wire/netcode"
)

// worker serves a share of the clients.
type worker struct {
	cfg          *Config
	begun        time.Time
	outer, inner *batch.Socket // to clients, to servers
	secret       [2]uint64     // of tags and hashes

	mu       sync.Mutex // guards what follows, for a batch at a time
	routes   *netcode.Routes
	flows    table
	half     halfOpen
	tokens   limiter
	sources  limiter
	draining bool
	tended   time.Time
	filter   *filter // knows who has a flow or a line; nil: there is none

	fromClients, fromServers [verdicts]uint64
}

// makeTables makes room for flows and for lines of halfOpen.
func (w *worker) makeTables(flows, half int) {
	w.flows, w.half = makeTable(flows, w.hashAddress), makeHalfOpen(half, w.hashAddress)
	w.flows.gone, w.half.gone = w.forget, w.forget
}

// know tells the filter of a client who has a flow or a line from now on.
func (w *worker) know(client address) {
	if !w.filter.add(client) && !w.filter.full.Swap(true) {
		w.cfg.Logger.Warn("the kernel has no room for another client, its filter drops nothing as unknown any more")
	}
}

// forget tells it of one who had.
func (w *worker) forget(client address) {
	if w.filter != nil && w.flows.of(client) == nil && !w.half.has(client) {
		w.filter.remove(client)
	}
}

func (w *worker) ms(now time.Time) uint32 { return uint32(now.Sub(w.begun) / time.Millisecond) }

func (w *worker) hash(b []byte) uint64 { return siphash.Hash(w.secret[0], w.secret[1], b) }

func (w *worker) hashAddress(a address) uint64 {
	var b [addressSize]byte
	return w.hash(a.append(b[:0]))
}

// tag is what a server repeats for a client. Nobody else can make it.
func (w *worker) tag(client, server address) uint64 {
	var b [2 * addressSize]byte
	return w.hash(server.append(client.append(b[:0])))
}

// client judges a datagram of a client, and says to which server it goes.
func (w *worker) client(now time.Time, ms uint32, from address, b []byte) (to address, v Verdict) {
	kind, v := fromClient(b, w.cfg.ProtocolID)
	if v != Forwarded {
		return to, v
	}
	if kind == netcode.TypeRequest {
		return w.request(now, ms, from, b)
	}
	if f := w.flows.of(from); f != nil {
		if !f.take(ms, w.cfg.PerFlow, w.cfg.PerFlow) {
			return to, FlowLimit
		}
		f.seen = ms / 1000
		// A client that goes over to another session shows its token from the
		// same address, and answers that server's challenge.
		if kind != netcode.TypeResponse {
			return f.server, Forwarded
		}
	}
	l := w.half.of(from, ms)
	switch {
	case l == nil:
		return to, Unknown
	case kind != netcode.TypeResponse && kind != netcode.TypeRebind, l.sent >= linePassed:
		return to, Unproven
	}
	l.sent++
	return l.server, Forwarded
}

// request judges who shows a token.
func (w *worker) request(now time.Time, ms uint32, from address, b []byte) (to address, v Verdict) {
	r, drop := w.routes.Read(b)
	switch drop {
	case netcode.DropNone:
	case netcode.DropProtocol:
		return to, Protocol
	case netcode.DropMalformed, netcode.DropExpired, netcode.DropForged, netcode.DropAddress, netcode.DropUsed, netcode.DropDuplicate,
		netcode.DropFull, netcode.DropBusy, netcode.DropUnknown, netcode.DropReplayed, netcode.DropType:
		return to, Forged
	}
	unix := uint64(max(now.Unix(), 0))
	life := uint64(w.cfg.RouteLife / time.Second)
	source := from.source()
	switch {
	case unix >= r.Expire && unix-r.Expire >= life:
		return to, Expired
	case w.draining:
		return to, Draining
	case !w.tokens.take(w.hash(r.Mark[:]), ms):
		return to, TokenLimit
	case !w.sources.take(w.hash(source[:]), ms):
		return to, SourceLimit
	}
	to = addressOf(r.Server)
	if !w.half.show(from, to, ms) {
		return to, Busy
	}
	w.know(from)
	if unix >= r.Expire { // no server would take it; it only says where to
		return to, Shown
	}
	return to, Forwarded
}

// server judges a datagram of a server, and says to which client it goes. b has
// the head.
func (w *worker) server(ms uint32, from address, b []byte) (to address, v Verdict) {
	if !netcode.IsCarried(b) {
		return to, Malformed
	}
	copy(to.ip[:], b[1:])
	to.port = binary.BigEndian.Uint16(b[17:])
	if binary.BigEndian.Uint64(b[19:]) != w.tag(to, from) {
		return to, Untagged
	}
	kind, ok := kindOf(b[netcode.CarriedSize:])
	if !ok {
		return to, Malformed
	}
	switch kind {
	case netcode.TypeDenied, netcode.TypeChallenge, netcode.TypeProof, netcode.TypeDisconnect:
		return to, Forwarded // smaller than what they answer, or the end
	case netcode.TypeKeepAlive, netcode.TypePayload:
		return to, w.proven(ms, to, from)
	case netcode.TypeRequest, netcode.TypeResponse, netcode.TypeRebind:
	}
	return to, Malformed
}

// proven keeps the flow of a client to whom a server speaks.
func (w *worker) proven(ms uint32, client, server address) Verdict {
	f := w.flows.of(client)
	if f != nil && f.server == server {
		f.seen = ms / 1000
		return Forwarded
	}
	l := w.half.of(client, ms)
	shown := l != nil && l.server == server
	switch {
	case w.draining:
		return Draining
	case f != nil && !shown: // the session that he left
		return Forwarded
	case !w.flows.put(client, server, ms, w.cfg.PerFlow):
		return Full
	}
	w.know(client)
	if shown {
		*l = line{}
	}
	return Forwarded
}

// ways are both directions.
func (w *worker) ways() []way {
	return []way{w.fromOutside(), w.fromInside()}
}

const (
	stepEvery  = 2 * time.Millisecond // so that a step looks at few flows of many
	sweepTakes = 8 * time.Second      // of all flows
)

// tend forgets who is silent, of so many flows as are due.
func (w *worker) tend(now time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	since := now.Sub(w.tended)
	if since < stepEvery {
		return
	}
	w.tended = now
	share := min(since.Seconds()/sweepTakes.Seconds(), 1)
	w.flows.sweep(w.ms(now), uint32(w.cfg.Idle/time.Second), share)
	w.half.sweep(w.ms(now), share)
}

// fromOutside passes on what clients send.
func (w *worker) fromOutside() way {
	in, out := newReader(w.outer), newWriter(w.inner)
	return way{in: in, pass: func(n int, now time.Time) {
		w.mu.Lock()
		ms := w.ms(now)
		for i := range n {
			b, from := in.at(i)
			to, v := w.client(now, ms, from, b[netcode.CarriedSize:])
			w.fromClients[v]++
			if v != Forwarded {
				continue
			}
			putHead(b, from, w.tag(from, to))
			out.put(to, b)
		}
		w.mu.Unlock()
		w.count(out.flush(), &w.fromClients)
	}}
}

// fromInside passes on what servers send.
func (w *worker) fromInside() way {
	in, out := newReader(w.inner), newWriter(w.outer)
	return way{in: in, pass: func(n int, now time.Time) {
		w.mu.Lock()
		ms := w.ms(now)
		for i := range n {
			b, from := in.at(i)
			b = b[netcode.CarriedSize:] // it brings a head of its own
			to, v := w.server(ms, from, b)
			w.fromServers[v]++
			if v == Forwarded {
				out.put(to, b[netcode.CarriedSize:])
			}
		}
		w.mu.Unlock()
		w.count(out.flush(), &w.fromServers)
	}}
}

// count counts what the kernel refused after it was judged.
func (w *worker) count(unsent int, in *[verdicts]uint64) {
	if unsent == 0 {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	in[Unsent] += uint64(unsent)
	in[Forwarded] -= uint64(unsent)
}

// putHead writes the head in the room before a datagram.
func putHead(b []byte, client address, tag uint64) {
	b[0] = 15
	copy(b[1:], client.ip[:])
	binary.BigEndian.PutUint16(b[17:], client.port)
	binary.BigEndian.PutUint64(b[19:], tag)
}
