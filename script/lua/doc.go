// Package lua runs untrusted Lua 5.1 (with goto) inside hard limits.
//
// The parser is gopher-lua's; compiler, machine and libraries are ours, because
// a sandbox has to count what a script costs and a general-purpose VM does not:
// every instruction is a step, every builtin charges steps for its work, every
// allocation is counted, and what overruns is stopped by a panic that no pcall,
// coroutine, metamethod or handler of the script can see. There is no file,
// network, clock, loader, debug library or address; iteration order and
// math.random are the same in every run.
//
// A Machine belongs to one goroutine. Values of one Machine mean nothing in
// another. Errors travel by panic inside this package (thrown), and never cross
// its border: Machine.Call returns them.
//
// What differs from Lua 5.1: strings have at most MaxString bytes; __gc and
// __mode do nothing; setfenv, getfenv, load, dofile, module, collectgarbage,
// newproxy, string.dump, io, os, debug and package do not exist; the tables of
// the libraries are read-only; pairs visits 1..n first and then keys in the
// order of their insertion; "local f = function" sees f inside itself.
//
// Neighbours: script builds the API of places on it. Where to look when it
// misbehaves: exec.go for what an instruction does, call.go for calls and
// caught errors, memory.go for what is counted as memory.
package lua
