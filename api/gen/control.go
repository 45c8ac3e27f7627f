package gen

import (
	"errors"
	"strings"
	"time"

	"github.com/throng-gg/throng"
)

// HelloOf turns a hello.
func HelloOf(h throng.Hello) Hello {
	out := Hello{
		Server: string(h.Server), Incarnation: string(h.Incarnation), Session: string(h.Session), Web: WebAddressOf(h.Web),
	}
	if h.Address.IsValid() {
		out.Address = h.Address.String()
	}
	return out
}

// Root returns the hello. A server that has a session must say its address.
func (h Hello) Root() (throng.Hello, error) {
	f := fields{prefix: "hello."}
	out := throng.Hello{
		Server:      f.server("server", h.Server),
		Incarnation: f.incarnation("incarnation", h.Incarnation),
		Web:         f.web("web", h.Web),
	}
	if h.Session != "" {
		out.Session = f.session(h.Session)
	}
	if h.Session != "" || h.Address != "" {
		out.Address = f.address("address", h.Address)
	}
	return out, f.err
}

// maxRoute bounds what a server puts into its tokens.
const maxRoute = 256

// HandoverOf turns a handover; the answer to it carries the same id.
func HandoverOf(id uint64, h throng.Handover) Handover {
	return Handover{
		ID:          id,
		Session:     string(h.Session),
		Place:       string(h.Place),
		Version:     int(h.Version),
		Package:     string(h.Package),
		Scripts:     string(h.Scripts),
		Capacity:    h.Capacity,
		Private:     h.Private,
		CodeHash:    codeHashOf(h.Code),
		Key:         h.Key[:],
		Token:       h.Token,
		Now:         h.Now,
		OpenedAt:    h.OpenedAt,
		Incarnation: string(h.Incarnation),
		Route:       []byte(h.Route),
	}
}

// Root returns the handover.
func (h Handover) Root() (throng.Handover, error) {
	f := fields{prefix: "handover."}
	out := throng.Handover{
		Session:     f.session(h.Session),
		Place:       f.place(h.Place),
		Version:     throng.Version(f.within("version", h.Version, 1<<31-1)),
		Package:     f.pack("package", h.Package),
		Scripts:     f.scripts(h.Scripts),
		Capacity:    f.within("capacity", h.Capacity, maxSeats),
		Private:     h.Private,
		Code:        f.codeHash("code_hash", h.CodeHash),
		Token:       h.Token,
		Now:         h.Now,
		OpenedAt:    h.OpenedAt,
		Incarnation: f.incarnation("incarnation", h.Incarnation),
		Route:       string(h.Route),
	}
	if len(h.Route) > maxRoute {
		f.fail(throng.AtField(throng.Invalid, "handover.route", "has %d bytes, at most %d are allowed", len(h.Route), maxRoute))
	}
	if h.Token == "" {
		f.fail(throng.AtField(throng.Invalid, "handover.token", "is empty"))
	}
	if copy(out.Key[:], h.Key) != len(out.Key) || len(h.Key) != len(out.Key) {
		f.fail(throng.AtField(throng.Invalid, "handover.key", "has %d bytes, a key has %d", len(h.Key), len(out.Key)))
	}
	if f.err != nil {
		return throng.Handover{}, f.err
	}
	return out, nil
}

// HandoverAnswerOf says whether the server took the session: err nil is yes.
func HandoverAnswerOf(id uint64, err error) HandoverAnswer {
	if err == nil {
		return HandoverAnswer{ID: id, Ok: true}
	}
	words := err.Error()
	words = strings.ToValidUTF8(words[:min(len(words), maxReason)], "")
	return HandoverAnswer{ID: id, Code: throng.KindOf(err).String(), Detail: words}
}

// Err is HandoverAnswerOf's reverse.
func (a HandoverAnswer) Err() error {
	if a.Ok {
		return nil
	}
	return throng.Errorf(throng.ParseKind(a.Code), "the server refused: %s", a.Detail)
}

// ConfirmAskOf asks for one player's confirm.
func ConfirmAskOf(id uint64, s throng.SessionID, c throng.RosterChange) ConfirmAsk {
	return ConfirmAsk{ID: id, Session: string(s), Change: RosterChangeOf(c)}
}

// Root returns the session and the player who joined it.
func (c ConfirmAsk) Root() (throng.SessionID, throng.RosterChange, error) {
	f := fields{prefix: "confirms."}
	id := f.session(c.Session)
	if f.err != nil {
		return "", throng.RosterChange{}, f.err
	}
	change, err := c.Change.Root("confirms.change.")
	if err == nil && change.Kind != throng.RosterJoined {
		err = throng.AtField(throng.Invalid, "confirms.change.kind", "only who joined is confirmed")
	}
	return id, change, err
}

// ConfirmAnswerOf says whether a seat is confirmed: err nil is yes.
func ConfirmAnswerOf(id uint64, err error) ConfirmAnswer {
	said := HandoverAnswerOf(id, err)
	return ConfirmAnswer{
		ID: id, Ok: said.Ok, Code: said.Code, Detail: said.Detail, RetryAfter: float32(throng.RetryAfterOf(err).Seconds()),
	}
}

// Err is ConfirmAnswerOf's reverse.
func (a ConfirmAnswer) Err() error {
	if a.Ok {
		return nil
	}
	return &throng.Error{
		Kind:       throng.ParseKind(a.Code),
		RetryAfter: time.Duration(float64(a.RetryAfter) * float64(time.Second)),
		Err:        errors.New(a.Detail),
	}
}
