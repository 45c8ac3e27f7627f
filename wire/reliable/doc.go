// Package reliable speaks the wire format of mas-bandwidth/reliable 1.0
// (STANDARD.md), byte for byte: every packet has a number and says which of the
// other side's came, and one that is too large for a datagram travels in
// fragments. It repeats nothing and keeps no order; wire/channel does.
//
// A datagram is a packet, or one fragment of one (numbers little-endian):
//
//	packet    prefix 1 | sequence 2 | ack 1 or 2 | ack bits 0 to 4 | content
//	fragment  1        | sequence 2 | number 1 | count-1 1 | data
//
// The data of fragment 0 begins with the packet's header. A healthy connection
// pays 4 bytes a packet, because bytes of the ack bits that are all ones are
// left out.
//
// Where the standard and the reference differ, the reference counts, as the
// standard says: bit n of the ack bits is the packet ack-n, so bit 0 is ack
// itself, and a fragmented packet's fragments are of the size agreed on but for
// the last.
//
// Stricter than the reference: a header that is not the shortest is refused
// everywhere, not in fragments only, and so are the two bits of the prefix that
// mean nothing.
//
// An Endpoint is pure: no I/O, no clock. Everything that a peer can make it keep
// is bounded by Config.
//
// When it misbehaves: Counts says what was ignored and why. Packets that arrive
// and are never acked were refused by the Sink.
package reliable
