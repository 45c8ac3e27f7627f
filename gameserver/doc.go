// Package gameserver hosts one session of a place: it admits players who bring
// a join token, runs the place's script at a fixed tick, sends each player his
// view of the world and takes his inputs, and keeps the registry informed.
//
//	control plane ──handover, orders──▶ Server ──▶ session loop ◀──events── Transport
//	registry ◀──heartbeat, confirm──── reporter ◀──┘   │  └──▶ Script, World
//	                                                   └──▶ Replicas ──snapshots──▶
//
// Server is the process's life: idle, bound to one session, gone. The loop's
// goroutine owns the world, the script, the seats and the roster; the reporter's
// goroutines own the calls to the registry; they speak over bounded channels.
// logbook.go brings what the session writes to its place's log to the control
// plane, as long as there is room for what waits.
// Deciders without I/O: admission.go (who may enter), roster.go (what the
// registry does not know yet), pulse.go (whether this process was stopped).
// reconnect.go keeps the seats of players whose connection was lost, and gives
// out the tokens that they come back with. handoff.go asks for seats in other
// sessions and tells players of them, drain.go does so for all of them when the
// session is to be emptied. keeper.go brings what players own to the profiles and
// the ledger, and tells the script what became of it.
//
// Nobody joins: look at throng_gameserver_refusals_total by reason. Players are
// thrown out: throng_gameserver_players_away, _reconnects_total and
// _seats_lapsed_total say how many are lost, come back or do not. Players are not
// handed off: the log says why ("players not handed off"), or that they "stayed",
// which is a client that cannot reach the other session or is too old. The session
// ends at once: its log says why, with file and line where a script did it.
package gameserver
