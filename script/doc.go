// Package script runs a place's scripts: the Lua sandbox's API of places.
//
// A VM is one running place. It belongs to the goroutine of the game loop, does
// no I/O, reads no clock, and the same seed and calls give the same result.
// Scripts are untrusted: each event has a budget of steps (an instruction is
// one; builtins charge for their work), and what a script holds is counted. Who
// overruns is stopped for good, at once, and cannot catch it. A script error is
// logged with file, line and stack, and the session goes on.
//
// Neighbours: script/lua is the machine; gameserver's loop calls the VM and is
// its World; place calls Check when something is published. Where to look when
// it misbehaves: lua/doc.go for the language, vm.go for what an event does,
// entity.go for fields, handoff.go for players who move.
//
// # What places see
//
// The entry file runs once, from top to bottom, and registers what it wants to
// hear of. Lua is 5.1 with goto; lua/doc.go lists what is missing. Names:
//
//	place.on(event, fn)      calls fn at every event, after those registered before:
//	                           "start" fn()               once, after the entry file
//	                           "join"  fn(player, from)   a player came in; from is nil, or of one
//	                                                      who was handed off {session, place, data}
//	                           "leave" fn(player)         a player left; he is out of players.all()
//	                           "input" fn(player, input)  a player's newest input came in
//	                           "data"  fn(player)         his data was loaded, or could not be
//	                           "tick"  fn(dt)             a simulation step of dt seconds
//	                           "drain" fn(seconds)        the players are to move elsewhere; handoff.ready()
//	                                                      says when. seconds to the end, or nil
//	place.tick               number of the tick, from 1; 0 before
//	place.time               seconds that were simulated
//	place.capacity           seats of the session
//	place.set_attribute(name, value)
//	                         says what the session is by one of place.yaml's signals: a number or
//	                         a category; nil leaves it to the players in it again
//
//	world.kind(name, fields, rules)
//	                         defines a kind of entities, before the first join.
//	                         fields: {x = {type = "number", min = 0, max = 64, precision = 1/64},
//	                         score = {type = "integer", min = 0, max = 1000}, it = {type = "bool"},
//	                         name = {type = "string", max = 24}}. Up to 32 fields of
//	                         [a-z][a-z0-9_]*, sorted by name. owner = true: only the owner
//	                         sees it; within = 20: only who is that near. rules may be left
//	                         out: {seen = 30, weight = 2}, how far entities are seen, and how
//	                         much they matter when there is not room for all. And how they move:
//	                         {speed = 6, radius = 0.5, turns = true} and {solid = true}
//	world.spawn(kind, values, player)
//	                         makes an entity, with fields set from the table values, owned by
//	                         player; both may be left out
//	world.get(id)            the entity with an ID, or nil
//	world.count()            how many entities there are
//	world.rewind(player, fn) calls fn while numbers and bools of entities read as the player saw
//	                         them when he made his input; returns what fn does. A number: so
//	                         many ticks ago. At most 31 ticks
//
//	entity.x                 a field: what was last set, clamped to its range and cut to its
//	                         length, integers rounded; not rounded to the precision with which
//	                         players see it. Fields begin at their minimum, false or "".
//	entity.x = 3             sets it, and every player who is near sees it
//	entity.id                its number, never reused within 10 s
//	entity.kind              the name of its kind
//	entity.owner             the player it belongs to, or nil when he left
//	entity.removed           true once it is removed; fields can be read, not set
//	entity:remove()          removes it; once more is no error
//
//	players.all()            a list of the players who are in, first come first
//	players.get(id)          the player with an ID, or nil
//	players.count()          how many are in
//
//	player.id, player.name   strings
//	player.state             a table of the script's own, for as long as the player is in
//	player.input             his newest input
//	player.attributes        what he brought to place.yaml's signals, by name; read-only
//	player.data              a table that he finds again in his next session; nil while it is not there
//	player.data_state        "loading", "ready", "read_only" (a copy), "unavailable" or "lost" (a newer session has it)
//	player:save(fn)          saves it now; fn(ok, words, code) in a later step. It is saved when he leaves
//	player.left              true once he left
//
//	input.move_x, input.move_y  what he wants, each -1 to 1, at most 1 long together
//	input.pressed(button)       whether button 1 to 32 is down
//
//	handoff.send(players, {place=, session=, new=, private=, data=}, fn)
//	                         moves a player, or all of a list or none, to another session; fn(ok,
//	                         words, code) in a later step. All but players may be left out
//	handoff.ready()          the moment is good: see "drain"
//
//	ledger.reward(player, {id=, gives={gold = 50}}, fn)
//	ledger.purchase(player, {id=, offer=, count=}, fn)
//	ledger.trade(first, second, {id=, gives=, takes=}, fn)
//	ledger.balance(player, fn)
//	                         what players own for good; fn(true, receipt or items) or fn(false, words, code)
//	                         in a later step
//
//	timer.after(seconds, fn), timer.every(seconds, fn), timer.cancel(number)
//	                         call fn in a later step, once or again and again
//	events.on(name, fn), events.off(name, fn), events.emit(name, ...)
//	                         between parts of a script: emit calls all who listen, and returns how many
//	physics.space(cell)      circles and boxes: space:circle, :box, :grid, :overlap_circle,
//	                         :overlap_box, :raycast, :move, :count; see docs/places.md
//
//	require("scripts/other") runs another file of the package once; returns what it returned
//	print(...)               writes to the session's log: 200 lines a second, 1,000 bytes a line;
//	                         what is dropped is counted there
//
// An entity that a player owns stays when he leaves: remove it in "leave".
package script
