// Package probe is the client's side of package beacon: it measures how far
// regions are.
//
// A probe is one datagram of 16 to 64 bytes and its answer is the same bytes, so
// that the answer is never larger and nobody gains by another's address:
//
//	offset  bytes
//	     0      8  "THRNGBCN"
//	     8      8  a nonce, which the client chooses and compares
//	    16   0-48  anything
//
// Over HTTP, GET /beacon is answered with 204 and no body. Where a beacon is says a
// URL (url.go): udp://host:port, or http(s)://host/beacon. Regions (regions.go)
// measures all of them at once.
//
// Neighbours: none. Package client and cmd/throng call it.
//
// When it misbehaves: a region without a latency has no beacon that answered in
// time; throng edge beacon --probe asks one and says why.
package probe
