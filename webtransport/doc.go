// Package webtransport carries players' payloads to and from browsers:
// Transport is a game server's side (gameserver.Transport), Dial and DialSocket
// a client's. Each payload is a WebTransport datagram, or a binary message of a
// WebSocket where UDP is blocked. The credential is the same join token as on
// UDP, checked by wire/netcode; what payloads mean is wire's.
//
// How a connection is made:
//
//	WebTransport  CONNECT https://host:port/play?token=<base64url>   200, or a status that says why not
//	WebSocket     GET ws://host:port/play, first message: the token  or closed with 1008 "code: words"
//
// gate.go bounds handshakes before anything is known of a client, admit.go
// checks tokens and knows which are used, peer.go is a connected client with its
// bounded send queue, quic.go and socket.go are the two ways in, certificate.go
// makes the certificates that browsers compare by hash.
//
// Who owns what: the list of clients is guarded by the Transport's mutex, under
// which events are told. Each client has two goroutines of ours: one reads, one
// writes, because a datagram or a message can wait for a slow network and the
// game loop must not.
//
// What it costs: 50 clients at 30 Hz, both sides and the kernel, take 4 % of a
// core over UDP, 6 % over WebSockets and 16 to 20 % over WebTransport (AMD EPYC,
// bench_test.go); a QUIC handshake 0.8 ms.
//
// When it misbehaves: throng_web_refused_total says by reason who was not let
// in, throng_web_dropped_total what was lost: "slow" is a client that reads less
// than it is sent, and gets the newest. A browser that cannot connect at all:
// its hash is not among WebAddress().Certificates (older than a day?), UDP is
// blocked, or the page's Content-Security-Policy lacks the URL.
package webtransport
