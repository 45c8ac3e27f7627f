// Package bot plays: real clients that ask the door for a seat, connect over
// real UDP, decode the world and move about as people do, and count what they
// saw. It is how a running platform is tried out (throng bots) and how the
// end-to-end tests look at it.
//
// Run drives a crowd. player.go is one bot's life: place, connect, play, come
// back into the seat when the connection is lost, and come again with another
// ticket when the session is. walk.go is how it moves. tally.go is what
// the crowd counts, and its report.
//
// A bot fails: its error is in Report.Errors by code. A world is wrong: the
// server's hash of the bot's view differs from the bot's own, which is a bug of
// wire or of gameserver's replicas.
package bot
