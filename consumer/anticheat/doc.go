// Package anticheat finds players who do what the rules say nobody can.
//
//	motion.sampled, ledger.posted, input.pattern ─▶ windows of a player or device ─▶ score ≥ 1: flag
//	                                                                                   │ after the commit
//	                                                                     Bans.Put ◀────┴────▶ Orders.Evict
//
// Rules are data (rules.yaml, or a file of the operator's): what is measured, over
// which window, how much is too much, how long the ban is, or that it is only
// reported. A score is what was measured over what is allowed; its evidence is said
// in words with the numbers. judge.go decides, and does nothing else.
//
// A flag's name follows from player, rule and hour, so a crash, a replay or an event
// that comes twice flags nobody twice, and a ban that was lifted stays lifted.
//
// An honest player was banned: throng bans why PLAYER shows what was measured. A place
// that moves players by itself, over and over and far, has no max_speed in its
// manifest, or its players look like cheats.
package anticheat
