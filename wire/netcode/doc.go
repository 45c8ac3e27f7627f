// Package netcode speaks netcode 1.02, the published standard for secure
// client/server connections over UDP (mas-bandwidth/netcode, STANDARD.md),
// byte for byte. A join token is a netcode connect token.
//
// Everything here is pure: no sockets, no goroutines, no clock, no randomness.
// A Server or Client is given datagrams and the time, and answers through a
// sink. udp/ puts real sockets around it; wire/ defines what payloads mean and
// what a token's user data holds.
//
// How a connection is made, left what a client sends, right the answer:
//
//	request (1078 bytes, the token's sealed part) ──▶ challenge (333)
//	response (333)                                ──▶ keep-alive (27)
//	payload, keep-alive, disconnect              ◀──▶ the same
//
//	rebind, from another address (77)            ──▶ proof (68)
//	rebind, with the proof                       ──▶ keep-alive
//
// The last two are ours, under Throng's protocol ID only; see rebind.go.
//
// A datagram that is not valid gets no answer and leaves no trace. State for an
// address begins with a valid token, and is bounded by the number of tokens:
// one token opens one connection, from one of the first eight addresses that
// showed it.
//
// Laxer than the reference implementation, which takes a token from the first
// address only: who comes back because his network changed may change it again
// before he is connected. Stricter, within the standard: a token whose
// connection was made is spent and opens no second one, because packet numbers
// would begin again under the same keys; and a challenge must be answered by the
// client it was made for.
//
// When it misbehaves: Receive's Drop names why a datagram was ignored. A client
// that never gets an answer has a token of another key, protocol, address or
// an expired one; compare the server's Public and Offset.
package netcode
