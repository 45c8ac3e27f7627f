package gen

import (
	"net/netip"

	"github.com/throng-gg/throng"
)

// fields checks one field after the other and keeps the first fault.
type fields struct {
	prefix string
	err    error
}

func (f *fields) fail(err error) {
	if f.err == nil {
		f.err = err
	}
}

func check[T any](f *fields, name, s string, parse func(field, s string) (T, error)) T {
	v, err := parse(f.prefix+name, s)
	if err != nil {
		f.fail(err)
	}
	return v
}

func (f *fields) server(name, s string) throng.ServerID {
	return check(f, name, s, throng.ParseServerID)
}

func (f *fields) player(name, s string) throng.PlayerID {
	return check(f, name, s, throng.ParsePlayerID)
}

func (f *fields) place(s string) throng.PlaceID {
	return check(f, "place", s, throng.ParsePlaceID)
}

func (f *fields) pack(name, s string) throng.PackageHash {
	return check(f, name, s, ParsePackageHash)
}

// scripts may be missing.
func (f *fields) scripts(s string) throng.PackageHash {
	if s == "" {
		return ""
	}
	return f.pack("scripts", s)
}

func (f *fields) session(s string) throng.SessionID {
	return check(f, "session", s, throng.ParseSessionID)
}

func (f *fields) address(name, s string) netip.AddrPort {
	return check(f, name, s, ParseAddress)
}

func (f *fields) incarnation(name, s string) throng.Incarnation {
	return throng.Incarnation(check(f, name, s, throng.ParseTicketID))
}

func (f *fields) key(name string, k TicketKey) throng.TicketKey {
	return throng.TicketKey{
		Caller: f.player(name+".caller", k.Caller),
		Ticket: check(f, name+".ticket", k.Ticket, throng.ParseTicketID),
	}
}

func (f *fields) state(name, s string) throng.SessionState {
	state, err := throng.ParseSessionState(s)
	if err != nil || state != throng.SessionOpen && state != throng.SessionDraining {
		f.fail(throng.AtField(throng.Invalid, f.prefix+name, "is not open or draining"))
	}
	return state
}

func (f *fields) number(name string, n uint64) uint64 {
	if n > maxNumber {
		f.fail(throng.AtField(throng.Invalid, f.prefix+name, "%d is over 2^53", n))
	}
	return n
}

func (f *fields) within(name string, n, most int) int {
	if n < 1 || n > most {
		f.fail(throng.AtField(throng.Invalid, f.prefix+name, "%d is not within 1 and %d", n, most))
	}
	return n
}

// codeHash is missing, or has the length of one.
func (f *fields) codeHash(name string, b []byte) throng.CodeHash {
	var h throng.CodeHash
	if len(b) != 0 && len(b) != len(h) {
		f.fail(throng.AtField(throng.Invalid, f.prefix+name, "has %d bytes, a hash has %d", len(b), len(h)))
		return h
	}
	copy(h[:], b)
	return h
}

func codeHashOf(h throng.CodeHash) []byte {
	if h == (throng.CodeHash{}) {
		return nil
	}
	return h[:]
}

func (f *fields) atMost(name string, n, most int) {
	if n > most {
		f.fail(throng.AtField(throng.Invalid, f.prefix+name, "has %d entries, at most %d are allowed", n, most))
	}
}

func attributesOf(a throng.SessionAttributes) SessionAttributes {
	if a == "" {
		return nil
	}
	return SessionAttributes(a)
}

func parseAttributes(field, s string) (throng.SessionAttributes, error) {
	return throng.ParseSessionAttributes(field, []byte(s))
}
