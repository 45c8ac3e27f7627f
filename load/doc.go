// Package load puts a region under load as crowds of players and game servers
// would: real calls to the real door, real control connections, real tokens; only
// the worlds are missing.
//
// Host (host.go) is a node's: the game servers that it starts are goroutines
// (server.go) which bind sessions, heartbeat, let players in by their join
// tokens, confirm them over their control connections and carry out orders.
// Crowd (crowd.go) sends tickets, a fixed number at a time or at a fixed rate,
// and takes each player as far as the confirm. Sessions can be reported, not
// opened, so that a region of any size is there in seconds: Host speaks for
// those that it adopts (adopt.go), Beats (beats.go) sends the heartbeats of
// others as fast as they are answered.
//
// `throng bench` is built of it.
package load
