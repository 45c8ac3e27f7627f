// Package throng is the dictionary of Throng: one word for one thing, used in
// code, API, documentation and console alike.
//
// It holds identifiers, states, records and error kinds. It does no I/O, reads
// no clock and imports the standard library only. Everything may import it.
//
// Where to go from here: cmd/throng/dev.go wires the whole platform on one
// machine; docs/architecture.md walks one join through the code; each part's
// doc.go says what it is and its needs.go what it calls.
package throng
