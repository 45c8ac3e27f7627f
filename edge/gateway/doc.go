// Package gateway is the only address that players see: it passes their
// datagrams to the game servers, whose addresses stay hidden, and drops the rest.
//
// A client's first packet is a request with his token, 1,078 bytes, which tells
// gateways where its server is (wire/netcode/route.go). A gateway checks that the
// token was made in the region, before it remembers anything, and passes the
// request on. What it keeps until the client's address is proven is one line of
// a table of fixed size (halfOpen), so that the answer's answer finds its way.
// That the address is proven the server says: it sends payloads and keep-alives
// to nobody else. The first one makes the line a flow.
//
//	client                    gateway                        server
//	request ────────────▶ check the token, a line ─────────▶
//	        ◀────────────── smaller than the request ◀────── challenge
//	response ───────────▶ passed by the line ──────────────▶
//	        ◀──────────────────── a flow ◀────────────────── keep-alive
//	payloads ◀──────────▶ passed by the flow ◀─────────────▶ payloads
//
// Between gateway and server each datagram has a head (wire/netcode/carry.go): the
// client's address, which the server repeats, and a tag, by which the gateway knows
// what it may pass to whom without looking for it.
//
// A client whose gateway is gone, or who has another address, shows his token again,
// also one that expired, at any gateway, and asks the server to send that way
// (decision 25); nothing has to be told from one gateway to another.
//
// Who owns what: there is a worker a core. Each has a socket of its own for clients
// (SO_REUSEPORT: the kernel gives a client's datagrams to one worker always) and one
// for servers, which two goroutines read, each of which waits in the kernel (udp/batch), or
// with Realtime one that looks at both in turn (way.go); a mutex guards the worker's tables,
// for a batch of up to 64 datagrams at a time.
//
// Before them there can be a filter (filter.go): a program in the kernel that drops what comes
// in at a network interface and could only be dropped here. Workers tell it who has a
// flow or a line.
//
// Neighbours: udp/batch reads and writes; wire/netcode says what packets look like. cmd/throng gives the keys.
//
// When it misbehaves: throng_gateway_datagrams_total says by verdict what became of
// what came. Many "forged": the keys (--keys) are older than the region's newest secret, or
// another region's. "unknown": clients that show no token, of old versions or after a restart
// of this gateway. "unproven" and nothing forwarded from servers: servers do not reach
// the inner address, or are older than gateways. "untagged": somebody else sends to it.
package gateway
