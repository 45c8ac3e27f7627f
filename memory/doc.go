// Package memory keeps a region's records in the memory of one process, for
// `throng dev`, tests and small installations. What it forgets when the process
// ends, game servers report again.
//
// Store is package session's Store: 256 shards, each with its mutex, its
// players' records and its sessions. Every operation locks one shard once, so
// that a store on scripts of one shard each can do the same.
//
// Parties and Friends are the stores of packages party and friend. Nobody reports
// what these forget: parties are made anew, and lists of friends set again, or
// brought by access tokens.
//
// Machine runs game servers as goroutines, and its Backends are how the fleet
// reaches them: simulated regions, load tests and tests have their servers there.
//
// Neighbours: package session composes its operations into joins; package
// contract holds the tests that it shares with other stores.
//
// Where to look when it misbehaves: a wrong count of seats, in pool.go; a
// player's epochs, tickets and presence, in player.go, ticket.go and
// presence.go; joins that are refused for seconds, in shard.go (stamps and
// generations).
package memory
