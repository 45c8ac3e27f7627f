// Package client is Throng's Go client.
//
// Door speaks to a region's door as a player, a creator or an operator: it
// takes a ticket all the way to an assignment, whatever replies are lost, with how
// far the regions are, which it measures (latency.go).
// Server speaks to it as a game server does, Region as another region does. What a player's client does with
// an assignment is World's, what the server sends, and Session's: it keeps a
// connection, comes back over another when it is lost, and goes along when the
// server hands the player off to another session (session_move.go); its Show is the
// world as a screen should show it, which package scene makes.
//
// Its neighbours: api/gen, from which the calls are made, wire/ and edge/beacon/probe. When it
// misbehaves: every error carries the kind that the door answered, see
// throng.KindOf; Unavailable is also a door that could not be reached. A Session
// that ends with "no way back" had no reconnect token that was good, or its
// server is gone; one that ends with a ByeError was told why.
package client
