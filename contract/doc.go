// Package contract holds the tests that every implementation of an interface
// has to pass: one function an interface, called from the implementation's own
// tests with a way to make one.
//
// A fault that is found in one implementation becomes a case here, for all.
//
// Where to look when a case fails: its name says what is promised and, as
// "attack N", which interleaving of docs/attacks.md it plays through.
package contract
