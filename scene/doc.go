// Package scene shows a session's world as a player's screen should: the player's
// own entity at once, and everything else evenly, although snapshots come late,
// unevenly, and not at all.
//
// A Scene belongs to one goroutine, reads no clock and does no I/O. It is told of
// snapshots and of the inputs that were sent, and asked what to draw. Three parts
// make it: clock.go estimates the server's time from round trips, smooth.go shows
// entities between two samples, some ticks behind the newest, and predict.go applies
// the player's inputs to his own entity before the server has (walk.go is how).
// Times are of one clock of the caller's that never goes back.
//
// Its neighbours: wire, whose views it takes; script/physics, by which things run
// into each other as in the script; client.Session, which feeds one. sdk/ts has the
// same in TypeScript, and both are held to testdata/*.jsonl. When it misbehaves: what a
// correction was, and how far behind the world is shown, is in Stats; an entity
// that is corrected all the time moves otherwise than its kind's wire.Gait says.
package scene
