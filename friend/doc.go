// Package friend keeps players' lists of friends and who may see where they are.
//
// A friendship counts when it is mutual: each is in the other's list. Nobody is
// told that he is in somebody's list. A player who may not be seen looks like one
// who was never here.
//
// Neighbours: the door (package api) takes lists, settings and the claims of
// access tokens in, and asks who may see whom; matching asks where a party's
// friends play. Presence comes from the session registry. Package memory is a
// Store on one machine.
//
// Where to look when it misbehaves. Friends are not put together: one of the
// lists lacks the other, the privacy setting, or more than 200 friends were seen
// later (around.go). A list cannot be set: the player's access tokens bring it
// (book.go).
package friend
