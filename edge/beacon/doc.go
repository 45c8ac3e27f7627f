// Package beacon lets clients measure how far a region is: it says back what they
// send, over UDP, and over HTTP where UDP is blocked. Probe is the client's side.
//
// A probe is one datagram of 16 to 64 bytes and its answer is the same bytes, so
// that the answer is never larger and nobody gains by another's address:
//
//	offset  bytes
//	     0      8  "THRNGBCN"
//	     8      8  a nonce, which the client chooses and compares
//	    16   0-48  anything
//
// Over HTTP, GET /beacon is answered with 204 and no body.
//
// Neighbours: none. cmd/throng runs it (throng edge beacon).
//
// When it misbehaves: throng_beacon_probes_total says by verdict what came. Many
// "limited": one network asks too much, or many sit behind one address.
package beacon
