package gen

import (
	"fmt"
	"net/netip"
	"time"

	"github.com/throng-gg/throng"
)

// What both the door and its clients turn between the generated types and the
// dictionary's. XOf makes the generated type; its Root method checks and makes
// the dictionary's. Root's errors are Invalid and name the field after prefix.

const (
	maxChanges = 4096
	maxSeats   = 200
	maxReason  = 1000       // bytes
	maxNumber  = 1<<53 - 1  // JSON readers hold larger integers badly
	maxNext    = 10 * 60000 // milliseconds
)

// HeartbeatOf leaves out the session, which is in the path.
func HeartbeatOf(h throng.Heartbeat) Heartbeat {
	changes := make([]RosterChange, len(h.Changes))
	for i, c := range h.Changes {
		changes[i] = RosterChangeOf(c)
	}
	return Heartbeat{
		Server:      string(h.Server),
		Incarnation: string(h.Incarnation),
		Address:     h.Address.String(),
		Web:         WebAddressOf(h.Web),
		Attributes:  attributesOf(h.Attributes),
		Revision:    uint64(h.Revision),
		Changes:     changes,
		OrdersDone:  h.OrdersDone,
	}
}

// Root returns the heartbeat of a session.
func (h Heartbeat) Root(prefix string, session throng.SessionID) (throng.Heartbeat, error) {
	f := fields{prefix: prefix}
	out := throng.Heartbeat{
		Session:     session,
		Server:      f.server("server", h.Server),
		Incarnation: f.incarnation("incarnation", h.Incarnation),
		Address:     f.address("address", h.Address),
		Web:         f.web("web", h.Web),
		Attributes:  check(&f, "attributes", string(h.Attributes), parseAttributes),
		Revision:    throng.Revision(f.number("revision", h.Revision)),
		OrdersDone:  f.number("orders_done", h.OrdersDone),
	}
	f.atMost("changes", len(h.Changes), maxChanges)
	if f.err != nil {
		return throng.Heartbeat{}, f.err
	}
	for i, c := range h.Changes {
		change, err := c.Root(fmt.Sprintf("%schanges[%d].", prefix, i))
		if err != nil {
			return throng.Heartbeat{}, err
		}
		out.Changes = append(out.Changes, change)
	}
	return out, nil
}

// RosterChangeOf turns a roster change.
func RosterChangeOf(c throng.RosterChange) RosterChange {
	kind := "joined"
	if c.Kind == throng.RosterLeft {
		kind = "left"
	}
	return RosterChange{
		Revision: uint64(c.Revision),
		Kind:     kind,
		Player:   string(c.Player),
		Epoch:    uint64(c.Epoch),
		Ticket:   TicketKey{Caller: string(c.Key.Caller), Ticket: string(c.Key.Ticket)},
	}
}

// Root returns the roster change; a join must name its ticket.
func (c RosterChange) Root(prefix string) (throng.RosterChange, error) {
	f := fields{prefix: prefix}
	out := throng.RosterChange{
		Revision: throng.Revision(f.number("revision", c.Revision)),
		Player:   f.player("player", c.Player),
		Epoch:    throng.Epoch(f.number("epoch", c.Epoch)),
	}
	switch c.Kind {
	case "joined":
		out.Kind = throng.RosterJoined
	case "left":
		out.Kind = throng.RosterLeft
	default:
		f.fail(throng.AtField(throng.Invalid, prefix+"kind", "is not joined or left"))
	}
	if out.Kind == throng.RosterJoined || c.Ticket != (TicketKey{}) {
		out.Key = f.key("ticket", c.Ticket)
	}
	return out, f.err
}

// ReportOf leaves out the session, which is in the path.
func ReportOf(r throng.Report) Report {
	seats := make([]Seat, len(r.Seats))
	for i, s := range r.Seats {
		seats[i] = Seat{
			Player: string(s.Player),
			Epoch:  uint64(s.Epoch),
			Ticket: TicketKey{Caller: string(s.Key.Caller), Ticket: string(s.Key.Ticket)},
		}
	}
	return Report{
		Server:      string(r.Server),
		Incarnation: string(r.Incarnation),
		Address:     r.Address.String(),
		Web:         WebAddressOf(r.Web),
		Attributes:  attributesOf(r.Attributes),
		Revision:    uint64(r.Revision),
		OrdersDone:  r.OrdersDone,
		Place:       string(r.Place),
		Version:     int(r.Version),
		Capacity:    r.Capacity,
		State:       r.State.String(),
		OpenedAt:    r.OpenedAt,
		Private:     r.Private,
		CodeHash:    codeHashOf(r.Code),
		Seats:       seats,
	}
}

// Root returns the report of a session.
func (r Report) Root(session throng.SessionID) (throng.Report, error) {
	head, err := Heartbeat{
		Server: r.Server, Incarnation: r.Incarnation, Address: r.Address, Web: r.Web, Attributes: r.Attributes,
		Revision: r.Revision, OrdersDone: r.OrdersDone,
	}.Root("", session)
	if err != nil {
		return throng.Report{}, err
	}
	f := fields{}
	out := throng.Report{
		Heartbeat: head,
		Place:     f.place(r.Place),
		Version:   throng.Version(f.within("version", r.Version, 1<<31-1)),
		Capacity:  f.within("capacity", r.Capacity, maxSeats),
		State:     f.state("state", r.State),
		OpenedAt:  r.OpenedAt,
		Private:   r.Private,
		Code:      f.codeHash("code_hash", r.CodeHash),
		Seats:     make([]throng.SeatReport, 0, len(r.Seats)),
	}
	f.atMost("seats", len(r.Seats), maxSeats)
	if f.err != nil {
		return throng.Report{}, f.err
	}
	for i, s := range r.Seats {
		at := fields{prefix: fmt.Sprintf("seats[%d].", i)}
		seat := throng.SeatReport{
			Player: at.player("player", s.Player),
			Epoch:  throng.Epoch(at.number("epoch", s.Epoch)),
			Key:    at.key("ticket", s.Ticket),
		}
		if at.err != nil {
			return throng.Report{}, at.err
		}
		out.Seats = append(out.Seats, seat)
	}
	return out, nil
}

// HeartbeatAnswerOf turns an answer.
func HeartbeatAnswerOf(a throng.HeartbeatAnswer) HeartbeatAnswer {
	orders := make([]Order, len(a.Orders))
	for i, o := range a.Orders {
		orders[i] = OrderOf(o)
	}
	return HeartbeatAnswer{
		Now:        a.Now,
		NextMs:     a.Next.Milliseconds(),
		Acked:      uint64(a.Acked),
		Orders:     orders,
		WantReport: a.WantReport,
		Ended:      a.Ended,
		Reason:     a.Reason,
		EventRate:  a.EventRate,
	}
}

// Root returns the answer. Orders of a kind that is not known here are left
// out: they are a newer registry's.
func (a HeartbeatAnswer) Root() (throng.HeartbeatAnswer, error) {
	f := fields{}
	out := throng.HeartbeatAnswer{
		Now:        a.Now,
		Acked:      throng.Revision(f.number("acked", a.Acked)),
		WantReport: a.WantReport,
		Ended:      a.Ended,
		Reason:     a.Reason,
		EventRate:  a.EventRate,
	}
	if a.EventRate < 0 {
		f.fail(throng.AtField(throng.Invalid, "event_rate", "%g is less than 0", a.EventRate))
	}
	if a.NextMs < 0 || a.NextMs > maxNext {
		f.fail(throng.AtField(throng.Invalid, "next_ms", "%d is not within 0 and %d", a.NextMs, maxNext))
	}
	if f.err != nil {
		return throng.HeartbeatAnswer{}, f.err
	}
	out.Next = time.Duration(a.NextMs) * time.Millisecond
	for _, o := range a.Orders {
		if order, err := o.Root(); err == nil {
			out.Orders = append(out.Orders, order)
		}
	}
	return out, nil
}

// OrderOf turns an order.
func OrderOf(o throng.Order) Order {
	return Order{ID: o.ID, Kind: o.Kind.String(), Player: string(o.Player), Epoch: uint64(o.Epoch), Reason: o.Reason, Until: o.Until}
}

// Root returns the order.
func (o Order) Root() (throng.Order, error) {
	kind, err := throng.ParseOrderKind(o.Kind)
	if err != nil {
		return throng.Order{}, err
	}
	return throng.Order{
		ID: o.ID, Kind: kind, Player: throng.PlayerID(o.Player), Epoch: throng.Epoch(o.Epoch), Reason: o.Reason, Until: o.Until,
	}, nil
}

// ParseReason checks a reason for people: 1 to 1000 bytes.
func ParseReason(field, s string) (string, error) {
	if s == "" {
		return "", throng.AtField(throng.Invalid, field, "is empty")
	}
	if len(s) > maxReason {
		return "", throng.AtField(throng.Invalid, field, "has %d bytes, at most %d are allowed", len(s), maxReason)
	}
	return s, nil
}

// ParsePackageHash checks a package's name: 64 lower-case hexadecimal digits.
func ParsePackageHash(field, s string) (throng.PackageHash, error) {
	if len(s) != 64 {
		return "", throng.AtField(throng.Invalid, field, "has %d characters, a package has 64", len(s))
	}
	for i := range len(s) {
		if c := s[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return "", throng.AtField(throng.Invalid, field, "is not hexadecimal in lower case at position %d", i+1)
		}
	}
	return throng.PackageHash(s), nil
}

// ParseAddress checks where players connect: a proper IP address and a port.
func ParseAddress(field, s string) (netip.AddrPort, error) {
	addr, err := netip.ParseAddrPort(s)
	if err != nil || addr.Port() == 0 || addr.Addr().IsUnspecified() {
		return netip.AddrPort{}, throng.AtField(throng.Invalid, field, "is not an address like 192.0.2.1:7000")
	}
	return addr, nil
}
