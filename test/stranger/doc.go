// Package stranger is what tests need of examples/engine-ts, a game server that
// is not Go: how it is built, and a player of it, who is no client of ours.
package stranger
