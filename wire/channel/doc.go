// Package channel is what a game server and a client say to each other over
// packets of wire/reliable, the same on every transport:
//
//	state   unreliable, the newest counts: snapshots one way, inputs the other
//	events  reliable: messages in order, each exactly once
//	last    the last word before the connection ends, unreliable
//
// State that does not come is not repeated: newer state says more, and who made
// it is told which came (Sink.Acked). An input is state that repeats the moves
// before it which have not been acked.
//
// For other languages: a packet's content is, numbers little-endian,
//
//	1       flags: bit 0 events, bit 1 state, bit 2 last word, bit 3 hold; others zero
//	1       of hold: milliseconds between the arrival of the packet that the header's
//	        ack names and the sending of this one
//	1, ...  of events: how many slices, from 1, then each: 2 its number; 1 or 2 its
//	        length, twice, plus one if the message goes on in the next slice: 7 bits
//	        first, with bit 7 set if more follow; its bytes
//	rest    of state, or of the last word, which exclude each other
//
// Slices are numbered from 0, modulo 65,536. At most Ahead of them are on their
// way: a receiver has the one that it waits for in less than that many. A slice is
// sent again, as it is, until a packet with it was acked. The receiver acks a
// packet once it has taken all of it, so acks need nothing of their own.
//
// It is pure: no I/O, no clock; `now` is passed in. Whatever the other side does,
// a Conn keeps no more than Config says. When it cannot go on, Err says why: the
// caller ends the connection with that as its reason, instead of waiting for ever.
//
// When it misbehaves: Stats says what was lost, repeated and refused, and how much
// the state's rate was lowered (pace.go says when it is).
package channel
