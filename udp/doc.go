// Package udp carries netcode over real UDP sockets: Transport is a game
// server's side (gameserver.Transport), Conn a client's.
//
// Neighbours: wire/netcode decides everything (who may connect, what is sealed,
// when silence is too long); gameserver reads events and sends snapshots. This
// package only moves bytes and keeps time.
//
// Who owns what: a Transport's netcode server is guarded by one mutex, which
// the reader, the ticker and the game loop's Send take for one datagram each.
// A Send costs its caller 6 to 9 µs, nearly all of them the kernel's: half a
// millisecond a tick for 50 players. Handing it to an owning goroutine would
// cost a copy and a wake-up. A tick's payloads are held and written by few calls,
// which takes a quarter off (BenchmarkSendTick: 6.6 and 4.9 µs a datagram).
//
// Measured, and not done: recvmmsg (1.38 against 1.44 µs of CPU a datagram when
// 400,000 a second come, and nothing at a game's rate, where each finds the
// reader asleep and is a batch of its own; x/net allocates two objects for each,
// besides); SO_REUSEPORT (one session is one socket, which one goroutine serves
// with a tenth of a core); GSO, which joins datagrams to one address only, of which
// a tick has one or two.
//
// When it misbehaves: throng_udp_dropped_total says by reason what was ignored.
// Many "forged" or "expired": tokens of another session, or clocks that differ.
// "events_full": the game loop does not keep up. "unlistening": players came
// before the server had its session. Nothing received at all: the address that
// clients are told is not the one that reaches the socket.
package udp
