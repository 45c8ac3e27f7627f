package script

import (
	"errors"
	"maps"
	"slices"
	"strings"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/script/lua"
)

// Config is what a VM needs. Zero numbers mean the defaults.
type Config struct {
	Files    map[string][]byte // the package's files by path; .lua ones are compiled
	Entry    string            // path of the file that runs first
	World    World             // where entities live
	Seed     uint64            // of math.random
	Capacity int               // seats, as place.capacity says

	// Signals is the place's own. SetAttribute takes what the script says of its
	// session, checked against them; nil: nothing any more. Nil: nowhere.
	Signals      []throng.Signal
	SetAttribute func(name string, a *throng.Attribute)

	StepsPerTick  int   // of all tick handlers together; default 500,000
	StepsPerEvent int   // of one join, leave or input; default 50,000
	StepsAtStart  int   // of the entry file, and of the start handlers; default 5,000,000
	MemoryBytes   int64 // that the script may hold; default 64 MiB

	// Handoff begins to move players elsewhere; VM.Handed is told what came of it,
	// with the same call, after this has returned. Nil: scripts cannot.
	Handoff func(call uint64, h Handoff)
	// Store keeps what players own; nil: nobody does, and players' data is
	// unavailable.
	Store Store
	// Send tells a player's client something, in order, once. False: he cannot be
	// told now, or was told too much. Nil: nobody can.
	Send func(p throng.PlayerID, m throng.Message) bool
	// Publish tells those outside of the session that something happened, named
	// throng.EventPlace and the message's name. False: nobody listens, or it is too
	// much. Nil: nobody does.
	Publish func(m throng.Message) bool
	// Ready hears that the moment is good to move the players of a draining
	// session; nil: nobody does.
	Ready func()

	// Log takes what the script prints (LogPrint), its errors with their stack
	// (LogError) and what was dropped (LogInfo); nil: nowhere.
	Log func(level throng.LogLevel, line string)
}

func (c Config) withDefaults() Config {
	out := c
	if out.StepsPerTick <= 0 {
		out.StepsPerTick = 500_000
	}
	if out.StepsPerEvent <= 0 {
		out.StepsPerEvent = 50_000
	}
	if out.StepsAtStart <= 0 {
		out.StepsAtStart = 5_000_000
	}
	if out.MemoryBytes <= 0 {
		out.MemoryBytes = 64 << 20
	}
	if out.Send == nil {
		out.Send = func(throng.PlayerID, throng.Message) bool { return false }
	}
	if out.Publish == nil {
		out.Publish = func(throng.Message) bool { return false }
	}
	if out.SetAttribute == nil {
		out.SetAttribute = func(string, *throng.Attribute) {}
	}
	if out.Log == nil {
		out.Log = func(throng.LogLevel, string) {}
	}
	return out
}

// Check compiles every script of a package. It returns Invalid with the first
// fault's place as Field, like "scripts/main.lua:12".
func Check(files map[string][]byte, entry string) error {
	_, err := compile(files, entry)
	return err
}

// compile compiles a package's scripts, in the order of their paths.
func compile(files map[string][]byte, entry string) (map[string]*lua.Proto, error) {
	protos := make(map[string]*lua.Proto)
	for _, path := range slices.Sorted(maps.Keys(files)) {
		if !strings.HasSuffix(path, ".lua") {
			continue
		}
		p, err := lua.Compile(path, files[path])
		if at, ok := errors.AsType[*lua.SyntaxError](err); ok {
			field := strings.TrimSuffix(at.Error(), ": "+at.Message)
			return nil, throng.AtField(throng.Invalid, field, "%s", at.Message)
		}
		if err != nil {
			return nil, throng.AtField(throng.Invalid, path, "%w", err)
		}
		protos[path] = p
	}
	if protos[entry] == nil {
		return nil, throng.AtField(throng.Invalid, "entry", "the package has no script %q", entry)
	}
	return protos, nil
}
