package gen

import (
	"cmp"
	"fmt"
	"maps"
	"net/netip"
	"slices"

	"github.com/throng-gg/throng"
)

// HandoffRequestOf turns a handoff that a session's server asks for.
func HandoffRequestOf(h throng.Heartbeat, ask throng.Handoff) HandoffRequest {
	out := HandoffRequest{
		Heartbeat: HeartbeatOf(h),
		ID:        string(ask.ID),
		Members:   make([]HandoffMember, len(ask.Members)),
		Place:     string(ask.Place),
		Mode:      string(ask.Mode),
		Session:   string(ask.Session),
		Data:      []byte(ask.Data),
	}
	for i, m := range ask.Members {
		out.Members[i] = HandoffMember{Player: string(m.Player), Epoch: uint64(m.Epoch)}
		if i < len(ask.Attributes) && len(ask.Attributes[i]) > 0 {
			out.Members[i].Attributes = broughtOf(ask.Attributes[i])
		}
	}
	return out
}

// broughtOf turns a player's attributes.
func broughtOf(list []throng.Attribute) map[string]any {
	out := make(map[string]any, len(list))
	for _, a := range list {
		if a.Kind() == throng.SignalCategory {
			out[a.Name] = a.Category
		} else {
			out[a.Name] = a.Number
		}
	}
	return out
}

// brought returns them, by name.
func (f *fields) brought(given map[string]any) []throng.Attribute {
	f.atMost("attributes", len(given), throng.MaxSignals)
	if f.err != nil {
		return nil
	}
	var out []throng.Attribute
	for _, name := range slices.Sorted(maps.Keys(given)) {
		a, ok := throng.MakeAttribute(name, given[name])
		if !ok {
			f.fail(throng.AtField(throng.Invalid, f.prefix+"attributes", "one is not a number or a category"))
			return nil
		}
		out = append(out, a)
	}
	return out
}

// Root returns the handoff, without the heartbeat.
func (r HandoffRequest) Root() (throng.Handoff, error) {
	f := fields{}
	f.atMost("members", len(r.Members), throng.HandoffMost)
	if f.err != nil {
		return throng.Handoff{}, f.err
	}
	out := throng.Handoff{
		ID:   check(&f, "id", r.ID, throng.ParseTicketID),
		Mode: throng.Mode(cmp.Or(r.Mode, string(throng.ModeDropIn))),
		Data: string(r.Data),
	}
	if r.Place != "" {
		out.Place = f.place(r.Place)
	}
	if r.Session != "" {
		out.Session = f.session(r.Session)
	}
	for i, m := range r.Members {
		at := fields{prefix: fmt.Sprintf("members[%d].", i)}
		member := throng.Member{Player: at.player("player", m.Player), Epoch: throng.Epoch(at.number("epoch", m.Epoch))}
		brought := at.brought(m.Attributes)
		if at.err != nil {
			return throng.Handoff{}, at.err
		}
		out.Members = append(out.Members, member)
		out.Attributes = append(out.Attributes, brought)
	}
	if f.err != nil {
		return throng.Handoff{}, f.err
	}
	return out, out.Check()
}

// Root returns the seats.
func (h Handed) Root() (throng.Handed, error) {
	f := fields{}
	out := throng.Handed{
		Key:     f.key("ticket", h.Ticket),
		Session: f.session(h.Session),
		Place:   f.place(h.Place),
		Version: throng.Version(f.within("version", h.Version, 1<<31-1)),
		Socket:  h.Server.Websocket != "",
		Code:    h.Code,
		Expires: h.ExpiresAt,
	}
	f.atMost("seats", len(h.Seats), throng.HandoffMost)
	if f.err != nil {
		return throng.Handed{}, f.err
	}
	if _, err := netip.ParseAddr(h.Server.IP); err != nil {
		return throng.Handed{}, throng.AtField(throng.Invalid, "server.ip", "is no IP address")
	}
	web, err := h.Server.Root("")
	if err != nil {
		return throng.Handed{}, err
	}
	out.Web = throng.WebAddress{URL: web.URL, Certificates: web.Certificates}
	for i, s := range h.Seats {
		at := fields{prefix: fmt.Sprintf("seats[%d].", i)}
		seat := throng.HandedToken{Player: at.player("player", s.Player), Token: s.JoinToken}
		if at.err != nil {
			return throng.Handed{}, at.err
		}
		out.Tokens = append(out.Tokens, seat)
	}
	return out, nil
}

// OriginOf turns where players come from.
func OriginOf(o throng.Origin) Origin {
	return Origin{Session: string(o.Session), Place: string(o.Place), Data: []byte(o.Data)}
}

// Root returns where players come from.
func (a Origin) Root() (throng.Origin, error) {
	f := fields{}
	out := throng.Origin{Session: f.session(a.Session), Place: f.place(a.Place), Data: string(a.Data)}
	f.atMost("data", len(a.Data), throng.HandoffData)
	return out, f.err
}
