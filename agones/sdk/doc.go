// Package sdk speaks to the sidecar that Agones puts beside every game server:
// the SDK's REST API on the loopback interface.
//
// Client (client.go) makes single calls, values.go those for counters and lists.
// Watch (watch.go) follows the server's own GameServer over reconnects, Keep
// (health.go) sends the signs of life without which Agones gives a server up.
// Board (board.go) keeps labels, annotations and the list or counter of players
// as they should be, by rare writes; what fails is written again.
//
// The sidecar can die and come back within a second while the game goes on. So
// every call has a time limit and a bound on its answer, errors of a sidecar that
// is away are Unavailable, and nothing here ends a session because of one.
//
// What the sidecar answers to a call is not done yet: it writes to Kubernetes up
// to half a second later. testdata/README.md says where the recordings come from
// that the tests hold this package to.
//
// When it misbehaves: the log says "sidecar is away" with the cause; a GameServer
// that becomes Unhealthy while its game runs lost its signs of life.
package sdk
