// Package friend keeps players' lists of friends and who may see where they are.
//
// A friendship counts when it is mutual: each is in the other's list. Nobody is
// told that he is in somebody's list. A player who may not be seen looks like one
// who was never here.
//
// What is set in one region holds in all: it is told (told.go) with a stamp that is newer
// than what was known, and what others tell is applied if its stamp is newer.
//
// Neighbours: the door (package api) takes lists, settings and the claims of
// access tokens in, and asks who may see whom; matching asks where a party's
// friends play. Presence comes from the session registry. Package memory is a
// Store on one machine. Package presence hears what other regions tell.
//
// Where to look when it misbehaves. Friends are not put together: one of the
// lists lacks the other, the privacy setting, or more than 200 friends were seen
// later (around.go). A list cannot be set: the player's access tokens bring it
// (book.go).
package friend
