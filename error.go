package throng

import (
	"errors"
	"fmt"
	"time"
)

// Kind says what a program can do about an error. The set is closed.
type Kind uint8

const (
	// Internal is ours: a bug or a broken disk. The caller may repeat.
	Internal Kind = iota
	// Invalid is a request that can never succeed as it is.
	Invalid
	// Denied is a caller who may not do this, or a claim that a newer one fences.
	Denied
	// NotFound is a thing that is not there, or not for this caller.
	NotFound
	// Exists is a thing that is there already.
	Exists
	// Conflict is the same ID with other content, or a revision that moved on.
	Conflict
	// Full is a session without room for the whole party.
	Full
	// NoCapacity is a region that could not start a game server.
	NoCapacity
	// Contention is a join that lost every race it ran; repeat it.
	Contention
	// RateLimited is a caller over its limit; see RetryAfter.
	RateLimited
	// Unavailable is a part that is away or rebuilding; see RetryAfter.
	Unavailable
	// Unsupported is a request for what this version cannot do yet.
	Unsupported
)

// kindNames is indexed by Kind.
var kindNames = [...]string{ //nolint:gochecknoglobals // a constant table
	"internal", "invalid", "denied", "not_found", "exists", "conflict", "full",
	"no_capacity", "contention", "rate_limited", "unavailable", "unsupported",
}

// String returns the stable code that callers of the API see.
func (k Kind) String() string {
	if int(k) < len(kindNames) {
		return kindNames[k]
	}
	return "internal"
}

// ParseKind is String's reverse; unknown codes are Internal.
func ParseKind(code string) Kind {
	for k, name := range kindNames {
		if name == code {
			return Kind(k)
		}
	}
	return Internal
}

// Error is a failure with its kind. Words are for people, Kind for programs.
type Error struct {
	Kind       Kind
	Field      string        // where the fault is: "party[2]", "place.yaml:7"; empty when nowhere
	RetryAfter time.Duration // zero: not said
	Err        error         // never nil
}

func (e *Error) Error() string {
	if e.Field != "" {
		return e.Field + ": " + e.Err.Error()
	}
	return e.Err.Error()
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Errorf makes an error of a kind; %w wraps.
func Errorf(k Kind, format string, args ...any) error {
	return &Error{Kind: k, Err: fmt.Errorf(format, args...)}
}

// AtField makes an error that names the place of the fault.
func AtField(k Kind, field, format string, args ...any) error {
	return &Error{Kind: k, Field: field, Err: fmt.Errorf(format, args...)}
}

// RetryLater makes an error that says when to come back.
func RetryLater(k Kind, after time.Duration, format string, args ...any) error {
	return &Error{Kind: k, RetryAfter: after, Err: fmt.Errorf(format, args...)}
}

// KindOf returns the kind of the first Error in err's chain, else Internal.
func KindOf(err error) Kind {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Kind
	}
	return Internal
}

// RetryAfterOf returns how long the error asks to wait, zero when it does not.
func RetryAfterOf(err error) time.Duration {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.RetryAfter
	}
	return 0
}
