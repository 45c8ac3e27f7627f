// Package impair is a network for tests that is as bad as wanted: a Proxy stands
// before a UDP server, and what goes through it is late, lost, overtaken or comes
// twice, each way by rules of its own. What happens to a flow's n-th datagram
// follows from the seed, so runs with the same traffic meet the same network.
//
// A client's flow comes out at a port of its own, as behind a router; Move lets all
// come out at others, Cut lets nothing through.
//
// One goroutine decides about and sends everything; the readers of the sockets only
// hand on. Flows and datagrams on their way are bounded: more are dropped, which
// Counts says.
//
// When it misbehaves: Counts says what was done to how many. Sent is all that came
// in and was neither lost nor dropped, and the doubles.
package impair
