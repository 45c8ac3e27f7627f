// Package replica lets the control-plane processes of a region know each other.
// They share the registry and need each other for little: an order reaches a game
// server over whichever of them it is connected to, none releases a server that
// another one has, and each has all lines of places' logs.
//
// Replicas (replicas.go) announces this process in the registry's store every
// second, under a lease of five, and so learns who else lives. Each other one gets
// a peer (peer.go): bounded queues of news and a goroutine that sends them. Nothing
// depends on news; questions are answered or are an error.
//
// Neighbours: a store (memory, redis) keeps who lives, package client is how one
// replica speaks to another, package api takes what they say; fleet asks and
// relays.
//
// Where to look when it misbehaves: throng_replicas says how many live; it
// differs between replicas when their store or clocks do. throng_replica_news_total
// by result: "full" and "lost" show a peer that is slow or not reached at the URL
// that it announces (--public).
package replica
