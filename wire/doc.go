// Package wire is what game servers and clients say to each other, inside the
// payloads of a transport, and what a join token carries.
//
// One message a file: welcome.go, snapshot.go, reconnect.go, handoff.go and bye.go
// go to the client (part.go cuts those that are long), input.go goes to the server; claims.go is the user data of a join
// token and keys.go derives the keys around it. schema.go says what fields there
// are, who sees them, and how numbers become integers. A snapshot's body is
// written by delta.go and read by apply.go: decisions of a range coder (coder.go)
// whose contexts are in model.go and whose tables, in tables.go, were counted
// over recorded motion. samples.go says by which earlier ticks an entity is told,
// predict.go what it is expected to be.
//
// It does no I/O and reads no clock. gameserver writes snapshots and reads
// inputs, client does the reverse; wire/netcode is the transport below.
//
// When a client's hash does not match (the client says mismatch): both sides
// hold the same integers, so look at delta.go against apply.go first, and at
// samples.go, which both use. testdata holds bytes that clients in other
// languages read too; when they change, so does Protocol.
package wire
