// Package beacon lets clients measure how far a region is: it says back what they
// send, over UDP, and over HTTP where UDP is blocked. Package probe is the client's
// side, and says what a probe is.
//
// Neighbours: probe. cmd/throng runs it (throng edge beacon, throng dev).
//
// When it misbehaves: throng_beacon_probes_total says by verdict what came. Many
// "limited": one network asks too much, or many sit behind one address.
package beacon
