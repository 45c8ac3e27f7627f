package client

import (
	"time"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/wire"
)

// World is the session's world as one player sees it, decoded from what the
// server sends. It belongs to one goroutine, and to one connection: a new
// connection begins with a new World.
type World struct {
	parts    parts // of the welcome
	welcome  wire.Welcome
	welcomed bool

	decoder   *wire.Decoder            // nil before the welcome
	past      [wire.History]wire.View  // by tick modulo wire.History
	scratch   wire.View                // decoded into, then changed for one of past
	tick      throng.Tick              // of shown
	shown     *wire.View               // newest that was decoded; also after forget
	newest    throng.Tick              // of past; 0: none, the server is to send all
	waiting   [maxWaiting]incomplete   // snapshots that came in part
	pending   int                      // decoded since the last hash that matched
	moves     [wire.MaxMoves]wire.Move // by sequence modulo wire.MaxMoves
	made      uint32                   // sequence of the newest move
	applied   uint32                   // and of the newest that the server has applied
	reconnect wire.Reconnect           // newest; Number 0: none came
	handing   parts                    // of a handoff
	handoff   wire.Handoff             // newest
	handedSum uint32                   // its sum: it is repeated; 0: none came
	out       []byte                   // of Input, reused
}

// Update is what a payload changed.
type Update struct {
	Welcomed bool          // the welcome is complete: World.Welcome
	Tick     throng.Tick   // of a new snapshot that is complete; 0: none
	Verified int           // snapshots that count now, because the server's hash of this one matches
	Mismatch bool          // the server's hash does not match: the last snapshots do not count
	Round    time.Duration // round trip without the server's time, in whole ms, at least 1; 0: not measured
	Bye      wire.Bye      // Code is not 0: the server is about to disconnect
	// Reconnect says that a new token to come back with came: World.Reconnect.
	Reconnect bool
	// Handoff says that there is a seat in another session: World.Handoff.
	Handoff bool
}

// NewWorld returns a world that waits for the server's welcome.
func NewWorld() *World { return &World{} }

// Receive takes one payload. now is of the same clock as Input's. Messages that
// are not known, late or double are ignored. Unsupported: the server speaks
// another protocol. Invalid: the payload makes no sense; the world is as it was,
// or asks for all anew.
func (w *World) Receive(payload []byte, now time.Time) (Update, error) {
	switch wire.MessageOf(payload) {
	case wire.MessageWelcome:
		return w.receiveWelcome(payload)
	case wire.MessageSnapshot:
		return w.receiveSnapshot(payload, now)
	case wire.MessageBye:
		bye, err := wire.ParseBye(payload)
		return Update{Bye: bye}, err
	case wire.MessageReconnect:
		return w.receiveReconnect(payload)
	case wire.MessageHandoff:
		return w.receiveHandoff(payload)
	case wire.MessageNone, wire.MessageInput:
	}
	return Update{}, nil
}

// Welcome is what the server said first; false before it came.
func (w *World) Welcome() (wire.Welcome, bool) { return w.welcome, w.welcomed }

// Tick is the newest decoded snapshot's; 0 before the first.
func (w *World) Tick() throng.Tick { return w.tick }

// Input makes the next payload for the server, about one a tick: a move, those
// before it that the server may not have, and what was received. Directions
// are -1 to 1. The payload is good until the next Input.
func (w *World) Input(moveX, moveY float64, buttons uint32, now time.Time) []byte {
	w.made++
	w.moves[w.made%wire.MaxMoves] = wire.MakeMove(moveX, moveY, buttons)
	in := wire.Input{
		Sequence: w.made, Ack: w.newest, Welcomed: w.welcomed, Sent: clock(now),
		Count: uint8(max(1, min(w.made-w.applied, wire.MaxMoves))), Reconnect: w.reconnect.Number,
	}
	for i := range in.Count {
		in.Moves[i] = w.moves[(w.made-uint32(in.Count)+1+uint32(i))%wire.MaxMoves]
	}
	w.out = wire.AppendInput(w.out[:0], in)
	return w.out
}

// Applied is the sequence of the newest Input, from 1, that is in the world of
// Tick; what a client predicts goes on from there.
func (w *World) Applied() uint32 { return w.applied }

// Reconnect is the newest token to come back with, should the connection be
// lost; false: none came yet.
func (w *World) Reconnect() (wire.Reconnect, bool) { return w.reconnect, w.reconnect.Number != 0 }

func (w *World) receiveReconnect(payload []byte) (Update, error) {
	r, err := wire.ParseReconnect(payload)
	if err != nil || r == w.reconnect {
		return Update{}, err
	}
	w.reconnect = r
	return Update{Reconnect: true}, nil
}

// clock is a time in milliseconds, modulo 65,536.
func clock(now time.Time) uint16 { return uint16(now.UnixMilli()) }

// Handoff is the newest seat in another session; false: none came yet.
func (w *World) Handoff() (wire.Handoff, bool) { return w.handoff, w.handedSum != 0 }

// parts puts a message together that does not fit into one payload.
type parts struct {
	sum  uint32
	data [][]byte // nil: not here yet
	left int
}

// take keeps part number i of n, and returns all once they are here.
func (p *parts) take(i, n uint8, sum uint32, data []byte) [][]byte {
	if p.sum != sum || len(p.data) != int(n) {
		*p = parts{sum: sum, data: make([][]byte, n), left: int(n)}
	}
	if p.data[i] == nil {
		p.data[i] = append([]byte{}, data...)
		p.left--
	}
	if p.left > 0 {
		return nil
	}
	all := p.data
	*p = parts{}
	return all
}

func (w *World) receiveWelcome(payload []byte) (Update, error) {
	p, err := wire.ParseWelcomePart(payload)
	if err != nil || w.welcomed {
		return Update{}, err
	}
	data := w.parts.take(p.Part, p.Parts, p.Sum, p.Data)
	if data == nil {
		return Update{}, nil
	}
	welcome, err := wire.JoinWelcome(p.Sum, data)
	if err != nil {
		return Update{}, err
	}
	w.welcome, w.welcomed = welcome, true
	w.decoder = wire.NewDecoder(welcome.Schema)
	return Update{Welcomed: true}, nil
}

func (w *World) receiveHandoff(payload []byte) (Update, error) {
	p, err := wire.ParseHandoffPart(payload)
	if err != nil || p.Sum == w.handedSum {
		return Update{}, err
	}
	data := w.handing.take(p.Part, p.Parts, p.Sum, p.Data)
	if data == nil {
		return Update{}, nil
	}
	handoff, err := wire.JoinHandoff(p.Sum, data)
	if err != nil {
		return Update{}, err
	}
	w.handoff, w.handedSum = handoff, p.Sum
	return Update{Handoff: true}, nil
}
