// Package udp carries netcode over real UDP sockets: Transport is a game
// server's side (gameserver.Transport), Conn a client's.
//
// Neighbours: wire/netcode decides everything (who may connect, what is sealed,
// when silence is too long); gameserver reads events and sends snapshots. This
// package only moves bytes and keeps time.
//
// Who owns what: a Transport's netcode server is guarded by one mutex, which
// the reader, the ticker and the game loop's Send take for one datagram each.
// A Send costs its caller about 9 µs, nearly all of them the kernel's, and half
// as much again under a flood of forged requests: half a millisecond a tick for
// 50 players. Handing it to another goroutine would cost a copy and a wake-up.
//
// When it misbehaves: throng_udp_dropped_total says by reason what was ignored.
// Many "forged" or "expired": tokens of another session, or clocks that differ.
// "events_full": the game loop does not keep up. "unlistening": players came
// before the server had its session. Nothing received at all: the address that
// clients are told is not the one that reaches the socket.
package udp
