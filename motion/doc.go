// Package motion runs worlds that move by a seed, and measures what it takes to
// show them to players: nothing is measured but bytes and staleness, so that the
// result is the same on every machine.
//
// A Scene moves a gameserver.World; Run shows it to players over a network that
// delays and loses, decodes everything as clients do, and compares with plainer
// ways to say the same. cubes.go is the scene of a pile of 901 cubes, fiedler.go
// the published bit-packing of it. cmd/throng runs the arena's own script as a
// scene, and makes wire's tables of what Run counts.
//
// When a figure looks wrong: a client that decoded something else than the world
// makes Run fail, so look at what the scene does first.
package motion
