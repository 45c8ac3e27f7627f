// Package sim runs a whole region from one seed, in a testing/synctest bubble:
// the production registry, matchmaker, orchestrator and game server, with
// simulated machines, networks, players and a store that fails in every way that
// a store can. A schedule of a minute or two takes some milliseconds.
//
//	player ──▶ network ──▶ process: match + session + fleet ──▶ network ──▶ store
//	   └─────▶ transport ──▶ gameserver.Server ──▶ network ──▶ process
//
// world.go connects the parts and runs them; control.go, server.go, player.go
// and store.go are the actors, network.go is between them, fault.go breaks them.
// watch.go looks at what players experienced, and says what must never be;
// guard.go takes one guard of the design out, so that a test can show that the
// watch sees it.
//
// Everything random follows from the seed and from what it is for (dice.go), not
// from the order in which goroutines come. docs/simulation.md says how to run
// it, how to read a trace and how to add a fault.
package sim
