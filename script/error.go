package script

import (
	"errors"
	"fmt"

	"github.com/throng-gg/throng/script/lua"
)

// Kind says what stopped a script.
type Kind uint8

const (
	// KindScript is an error of the script in one event; the session goes on.
	KindScript Kind = iota + 1
	// KindStart is an entry file that did not run to its end.
	KindStart
	// KindSteps is an event that used more than its steps.
	KindSteps
	// KindMemory is a script that holds more memory than it may.
	KindMemory
	// KindInternal is a bug of the machine.
	KindInternal
)

// String returns the word for logs.
func (k Kind) String() string {
	switch k {
	case KindScript:
		return "script"
	case KindStart:
		return "start"
	case KindSteps:
		return "steps"
	case KindMemory:
		return "memory"
	case KindInternal:
		return "internal"
	}
	return "unknown"
}

// Error is a script that failed.
type Error struct {
	Kind    Kind
	Event   string // "tick"
	File    string // where it failed: "scripts/main.lua"; empty when nowhere
	Line    int
	Message string   // without the place
	Stack   []string // "scripts/main.lua:12 in step", innermost first
}

// Error returns "scripts/main.lua:3: tick used more than 500000 steps".
func (e *Error) Error() string {
	if e.File == "" {
		return e.Message
	}
	return fmt.Sprintf("%s:%d: %s", e.File, e.Line, e.Message)
}

// Fatal says whether err ends the session: it is an Error of any kind but
// KindScript. The VM returns it again from every later call.
func Fatal(err error) bool {
	var e *Error
	return errors.As(err, &e) && e.Kind != KindScript
}

// failure is what the machine says, as ours.
func failure(event string, err error) *Error {
	var e *lua.Error
	if !errors.As(err, &e) {
		return &Error{Kind: KindInternal, Event: event, Message: err.Error()}
	}
	out := &Error{Event: event, File: e.File, Line: e.Line, Message: e.Message, Stack: e.Stack}
	switch e.Kind {
	case lua.KindScript:
		out.Kind = KindScript
	case lua.KindSteps:
		out.Kind = KindSteps
	case lua.KindMemory:
		out.Kind = KindMemory
	case lua.KindInternal:
		out.Kind = KindInternal
	}
	return out
}
