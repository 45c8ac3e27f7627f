package agones

import (
	"encoding/json"
	"errors"
	"net/http"
	"strings"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/agones/kind"
)

// fate is what is known of an allocation that was asked for.
type fate uint8

const (
	fateUnknown   fate = iota // a server may have been allocated, or may yet be
	fateAllocated             // one was
	fateNone                  // none was: there is no Ready one
	fateRefused               // none was: it was not looked for, or the request is no good
)

// outcome is an answer to an allocation.
type outcome struct {
	fate fate
	name string // of the GameServer, when it was allocated
	err  error  // of all others
}

// readOrder reads the API server's answer to a GameServerAllocation.
// UnAllocated is HTTP 201 like Allocated; what went wrong inside of Agones is
// 500, and only the server's label tells whether it came to something.
func readOrder(code int, text []byte) outcome {
	if code/100 == 2 {
		var a kind.GameServerAllocation
		if err := json.Unmarshal(text, &a); err != nil {
			return outcome{err: throng.Errorf(throng.Unavailable, "read the allocation's answer: %w", err)}
		}
		switch a.Status.State {
		case kind.Allocated:
			return named(a.Status.GameServerName)
		case kind.UnAllocated:
			return outcome{fate: fateNone, err: throng.Errorf(throng.NoCapacity, "no game server is ready")}
		case kind.Contention:
			return outcome{err: throng.Errorf(throng.Unavailable, "others were faster each time: %s", a.Status.State)}
		}
		return outcome{err: throng.Errorf(throng.Unavailable, "the allocation's answer has state %q", clip(string(a.Status.State)))}
	}
	words := clip(strings.TrimSpace(string(text)))
	var s kind.Status
	if json.Unmarshal(text, &s) == nil && s.Kind == "Status" {
		words = clip(s.Message)
	}
	switch code {
	case http.StatusUnprocessableEntity, http.StatusBadRequest:
		return outcome{fate: fateRefused, err: throng.Errorf(throng.Internal, "the allocation is no good: %s", words)}
	case http.StatusUnauthorized, http.StatusForbidden:
		return outcome{fate: fateRefused, err: throng.Errorf(throng.Unavailable, "this account may not allocate: %s", words)}
	case http.StatusNotFound:
		return outcome{fate: fateRefused, err: throng.Errorf(throng.Unavailable, "the cluster knows no allocations, is Agones installed? %s", words)}
	case http.StatusTooManyRequests:
		return outcome{fate: fateRefused, err: throng.Errorf(throng.Unavailable, "the API server is too busy: %s", words)}
	case http.StatusServiceUnavailable:
		if strings.HasPrefix(words, "error trying to reach") && !strings.Contains(words, "dial tcp") {
			break // it was passed on, and the answer was lost
		}
		return outcome{fate: fateRefused, err: throng.Errorf(throng.Unavailable, "agones does not take allocations now: %s", words)}
	}
	return outcome{err: throng.Errorf(throng.Unavailable, "the allocation failed with %d: %s", code, words)}
}

const (
	codeExhausted = 8  // gRPC's ResourceExhausted
	codeInvalid   = 3  // InvalidArgument
	codeAway      = 14 // Unavailable
)

// readAllocator reads the allocator service's answer. It says by 429 that no
// server is ready, and passes a Status on as 500 with the Status' own code.
func readAllocator(code int, text []byte) outcome {
	if code == http.StatusOK {
		var a kind.AllocationResponse
		if err := json.Unmarshal(text, &a); err != nil {
			return outcome{err: throng.Errorf(throng.Unavailable, "read the allocator's answer: %w", err)}
		}
		return named(a.GameServerName)
	}
	var e kind.AllocatorError
	words := clip(strings.TrimSpace(string(text)))
	if json.Unmarshal(text, &e) == nil && e.Message != "" {
		words = clip(e.Message)
	}
	switch {
	case code == http.StatusTooManyRequests && e.Code == codeExhausted:
		return outcome{fate: fateNone, err: throng.Errorf(throng.NoCapacity, "no game server is ready")}
	case code == http.StatusTooManyRequests:
		return outcome{fate: fateRefused, err: throng.Errorf(throng.Unavailable, "the allocator is too busy: %s", words)}
	case e.Code == http.StatusUnprocessableEntity || code == http.StatusBadRequest || e.Code == codeInvalid:
		return outcome{fate: fateRefused, err: throng.Errorf(throng.Internal, "the allocation is no good: %s", words)}
	case code == http.StatusNotFound || code == http.StatusNotImplemented:
		return outcome{fate: fateRefused, err: throng.Errorf(throng.Unavailable, "this is no allocator: %d %s", code, words)}
	case code == http.StatusServiceUnavailable && e.Code != codeAway:
		return outcome{fate: fateRefused, err: throng.Errorf(throng.Unavailable, "the allocator takes nothing now: %s", words)}
	}
	return outcome{err: throng.Errorf(throng.Unavailable, "the allocator failed with %d: %s", code, words)}
}

func named(name string) outcome {
	if name == "" {
		return outcome{err: throng.Errorf(throng.Unavailable, "the answer names no game server")}
	}
	return outcome{fate: fateAllocated, name: name}
}

// lost is the outcome of a call without an answer.
func lost(err error) outcome {
	if _, never := errors.AsType[unsent](err); never {
		return outcome{fate: fateRefused, err: err}
	}
	return outcome{err: err}
}
