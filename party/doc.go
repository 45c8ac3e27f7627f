// Package party keeps players who move together: who is in, who leads, the code
// that lets others in, and the newest ticket of the leader.
//
// A party is one record, changed on condition of its revision (Store.Swap). Who
// is in which party is told by the player's own entry (Store.Move), so that a
// player is in one party at a time whatever crashes between two steps: a record
// that lists somebody whose entry points elsewhere is read without him.
//
// Neighbours: the door (package api) calls it; package memory is a Store on one
// machine. Matching knows nothing of it: it gets the members as a list.
//
// Where to look when it misbehaves. A member is not in the party any more: he
// made or joined another (join.go). "not_found" for everything: the caller is no
// member, or nobody asked for the party for a day (idle.go). A leader's ticket
// seats others than those whom he sees: it keeps the members of the moment in
// which it was first sent (start.go).
package party
