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
	welcome  wire.Welcome
	welcomed bool

	decoder   *wire.Decoder            // nil before the welcome
	tick      throng.Tick              // of shown
	shown     wire.View                // newest that was decoded; also after a mismatch
	pending   int                      // decoded since the last hash that matched
	moves     [wire.MaxMoves]wire.Move // by sequence modulo wire.MaxMoves
	made      uint32                   // sequence of the newest move
	applied   uint32                   // and of the newest that the server has applied
	reconnect *wire.Reconnect          // newest; nil: none came
	handoff   *wire.Handoff            // newest; nil: none came
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
	// Message is what the place's script told the player; nil: nothing.
	Message *throng.Message
}

// NewWorld returns a world that waits for the server's welcome.
func NewWorld() *World { return &World{} }

// Receive takes one payload: a state or a message of wire/channel, or its last
// word. now is of the same clock as Input's. Messages that
// are not known, or late, are ignored. Unsupported: the server speaks
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
	case wire.MessagePlace:
		return w.receivePlace(payload)
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
		Sequence: w.made, Sent: clock(now),
		Count: uint8(max(1, min(w.made-w.applied, wire.MaxMoves))),
	}
	if w.decoder != nil {
		in.Ack, in.Came = w.decoder.Tick(), w.decoder.Came()
	}
	for i := range in.Count {
		in.Moves[i] = w.moves[(w.made-uint32(in.Count)+1+uint32(i))%wire.MaxMoves]
	}
	w.out = wire.AppendInput(w.out[:0], in)
	return w.out
}

// Newest is the last Input's sequence, 0 before the first, and its move as the server
// sees it.
func (w *World) Newest() (sequence uint32, m wire.Move) { return w.made, w.moves[w.made%wire.MaxMoves] }

// Applied is the sequence of the newest Input, from 1, that is in the world of
// Tick; what a client predicts goes on from there.
func (w *World) Applied() uint32 { return w.applied }

// Reconnect is the newest token to come back with, should the connection be
// lost; false: none came yet.
func (w *World) Reconnect() (wire.Reconnect, bool) { return value(w.reconnect) }

func (w *World) receiveReconnect(payload []byte) (Update, error) {
	r, err := wire.ParseReconnect(payload)
	if err != nil {
		return Update{}, err
	}
	w.reconnect = &r
	return Update{Reconnect: true}, nil
}

// clock is a time in milliseconds, modulo 65,536.
func clock(now time.Time) uint16 { return uint16(now.UnixMilli()) }

// Handoff is the newest seat in another session; false: none came yet.
func (w *World) Handoff() (wire.Handoff, bool) { return value(w.handoff) }

// value is what p points to; false: to nothing.
func value[T any](p *T) (v T, ok bool) {
	if p == nil {
		return v, false
	}
	return *p, true
}

func (w *World) receiveWelcome(payload []byte) (Update, error) {
	welcome, err := wire.ParseWelcome(payload)
	if err != nil || w.welcomed {
		return Update{}, err
	}
	w.welcome, w.welcomed = welcome, true
	w.decoder = wire.NewDecoder(welcome.Schema)
	return Update{Welcomed: true}, nil
}

func (w *World) receiveHandoff(payload []byte) (Update, error) {
	handoff, err := wire.ParseHandoff(payload)
	if err != nil {
		return Update{}, err
	}
	w.handoff = &handoff
	return Update{Handoff: true}, nil
}

func (w *World) receivePlace(payload []byte) (Update, error) {
	m, err := wire.ParsePlace(payload)
	if err != nil {
		return Update{}, err
	}
	return Update{Message: &m}, nil
}
