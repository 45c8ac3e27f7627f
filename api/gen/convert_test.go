package gen

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"reflect"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/throng-gg/throng"
)

const session = throng.SessionID("ses_local_000123456789abcdef")

func player() *rapid.Generator[throng.PlayerID] {
	return rapid.Map(rapid.StringMatching(`[A-Za-z0-9_.:-]{1,64}`), func(s string) throng.PlayerID { return throng.PlayerID(s) })
}

func key(t *rapid.T) throng.TicketKey {
	return throng.TicketKey{Caller: player().Draw(t, "caller"), Ticket: throng.TicketID(player().Draw(t, "ticket"))}
}

func moment(t *rapid.T) time.Time {
	return time.Unix(rapid.Int64Range(0, 4e9).Draw(t, "s"), rapid.Int64Range(0, 999_999_999).Draw(t, "ns")).UTC()
}

func number(t *rapid.T) uint64 { return rapid.Uint64Range(0, maxNumber).Draw(t, "n") }

func change(t *rapid.T) throng.RosterChange {
	c := throng.RosterChange{
		Revision: throng.Revision(number(t)), Kind: throng.RosterLeft, Player: player().Draw(t, "player"), Epoch: throng.Epoch(number(t)),
	}
	if rapid.Bool().Draw(t, "joined") {
		c.Kind, c.Key = throng.RosterJoined, key(t)
	}
	return c
}

func heartbeat(t *rapid.T) throng.Heartbeat {
	ip := netip.AddrFrom4([4]byte(rapid.SliceOfN(rapid.ByteRange(1, 255), 4, 4).Draw(t, "ip")))
	h := throng.Heartbeat{
		Session: session, Server: "srv_local_0123456789abcdef", Incarnation: "i1",
		Address:  netip.AddrPortFrom(ip, rapid.Uint16Range(1, 65535).Draw(t, "port")),
		Revision: throng.Revision(number(t)), OrdersDone: number(t),
	}
	if rapid.Bool().Draw(t, "web") {
		h.Web = throng.WebAddress{
			URL: "https://192.0.2.1:7001/play", WebSocket: "ws://192.0.2.1:7002/play", Certificates: [][32]byte{{1}, {2}},
		}
	}
	if rapid.Bool().Draw(t, "attributes") {
		h.Attributes = `{"language":{"":1,"de":2},"mode":"ranked","skill":1220.5}`
	}
	for range rapid.IntRange(0, 3).Draw(t, "changes") {
		h.Changes = append(h.Changes, change(t))
	}
	return h
}

// over sends a value as JSON.
func over[T any](t *rapid.T, v T) T {
	data, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	var out T
	if err := json.Unmarshal(data, &out); err != nil {
		t.Fatal(err)
	}
	return out
}

func TestRoundTrips(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := heartbeat(t)
		if got, err := over(t, HeartbeatOf(want)).Root("", session); err != nil || !reflect.DeepEqual(got, want) {
			t.Fatalf("heartbeat: got %+v, %v, want %+v", got, err, want)
		}
		report := throng.Report{
			Heartbeat: want, Place: "arena", Version: 3, Capacity: 8,
			State:    rapid.SampledFrom([]throng.SessionState{throng.SessionOpen, throng.SessionDraining}).Draw(t, "state"),
			OpenedAt: moment(t), Seats: []throng.SeatReport{},
		}
		report.Changes = nil
		if report.Private = rapid.Bool().Draw(t, "private"); report.Private {
			report.Code = throng.HashCode("code")
		}
		for range rapid.IntRange(0, 3).Draw(t, "seats") {
			report.Seats = append(report.Seats, throng.SeatReport{Player: player().Draw(t, "p"), Epoch: throng.Epoch(number(t)), Key: key(t)})
		}
		if got, err := over(t, ReportOf(report)).Root(session); err != nil || !reflect.DeepEqual(got, report) {
			t.Fatalf("report: got %+v, %v, want %+v", got, err, report)
		}
		answer := throng.HeartbeatAnswer{
			Now: moment(t), Next: time.Duration(rapid.IntRange(0, 60_000).Draw(t, "ms")) * time.Millisecond,
			Acked: throng.Revision(number(t)), WantReport: rapid.Bool().Draw(t, "want"), Ended: rapid.Bool().Draw(t, "ended"), Reason: "r",
			EventRate: rapid.SampledFrom([]float64{0, 0.1, 20}).Draw(t, "rate"),
		}
		for range rapid.IntRange(0, 3).Draw(t, "orders") {
			answer.Orders = append(answer.Orders, throng.Order{
				ID: number(t), Kind: throng.OrderKind(rapid.IntRange(1, 5).Draw(t, "kind")), Player: player().Draw(t, "p"), Epoch: throng.Epoch(number(t)),
			})
		}
		if got, err := over(t, HeartbeatAnswerOf(answer)).Root(); err != nil || !reflect.DeepEqual(got, answer) {
			t.Fatalf("answer: got %+v, %v, want %+v", got, err, answer)
		}
		handover := throng.Handover{
			Session: session, Place: "arena", Version: 3, Capacity: 8, Token: "tok", Now: moment(t), OpenedAt: moment(t), Incarnation: "i1",
			Package: "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
			Scripts: rapid.SampledFrom([]throng.PackageHash{"", "fedcba9876543210fedcba9876543210fedcba9876543210fedcba9876543210"}).Draw(t, "scripts"),
			Key:     [32]byte(rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(t, "key")),
			Private: report.Private, Code: report.Code,
			Route: string(rapid.SliceOfN(rapid.Byte(), 0, 91).Draw(t, "route")),
		}
		if got, err := over(t, HandoverOf(7, handover)).Root(); err != nil || got != handover {
			t.Fatalf("handover: got %+v, %v, want %+v", got, err, handover)
		}
		hello := throng.Hello{Server: want.Server, Incarnation: "i1", Web: want.Web}
		if rapid.Bool().Draw(t, "bound") {
			hello.Session, hello.Address = session, want.Address
		}
		if got, err := over(t, HelloOf(hello)).Root(); err != nil || !reflect.DeepEqual(got, hello) {
			t.Fatalf("hello: got %+v, %v, want %+v", got, err, hello)
		}
	})
}

func TestUnknownOrdersAreLeftOut(t *testing.T) {
	a := HeartbeatAnswer{Orders: []Order{{ID: 1, Kind: "dance"}, {ID: 2, Kind: "end"}}}
	got, err := a.Root()
	if err != nil || len(got.Orders) != 1 || got.Orders[0].ID != 2 {
		t.Errorf("got %+v, %v, want order 2 alone", got.Orders, err)
	}
}

func TestHandoverAnswers(t *testing.T) {
	for _, err := range []error{nil, throng.Errorf(throng.Conflict, "has one"), errors.New("broke")} {
		got := HandoverAnswerOf(1, err).Err()
		if (got == nil) != (err == nil) || throng.KindOf(got) != throng.KindOf(err) {
			t.Errorf("got %v, want %v", got, err)
		}
	}
	long := HandoverAnswerOf(1, fmt.Errorf("%02000d", 1))
	if len(long.Detail) != maxReason {
		t.Errorf("got %d bytes, want %d", len(long.Detail), maxReason)
	}
}

func TestHandoverIsChecked(t *testing.T) {
	good := HandoverOf(1, throng.Handover{
		Session: session, Place: "arena", Version: 1, Capacity: 8, Token: "tok", Incarnation: "i1",
		Package: "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
	})
	if _, err := good.Root(); err != nil {
		t.Fatal(err)
	}
	for field, spoil := range map[string]func(*Handover){
		"handover.session":     func(h *Handover) { h.Session = "x" },
		"handover.place":       func(h *Handover) { h.Place = "" },
		"handover.version":     func(h *Handover) { h.Version = 0 },
		"handover.package":     func(h *Handover) { h.Package = "x" },
		"handover.scripts":     func(h *Handover) { h.Scripts = "x" },
		"handover.capacity":    func(h *Handover) { h.Capacity = 201 },
		"handover.token":       func(h *Handover) { h.Token = "" },
		"handover.code_hash":   func(h *Handover) { h.CodeHash = []byte{1} },
		"handover.key":         func(h *Handover) { h.Key = append(h.Key, 0) },
		"handover.incarnation": func(h *Handover) { h.Incarnation = "" },
	} {
		bad := good
		spoil(&bad)
		_, err := bad.Root()
		if e, ok := errors.AsType[*throng.Error](err); !ok || e.Kind != throng.Invalid || e.Field != field {
			t.Errorf("%s: got %v, want invalid there", field, err)
		}
	}
}

func FuzzReport(f *testing.F) {
	f.Add([]byte(`{"server":"srv_local_0123456789abcdef","incarnation":"i1","address":"192.0.2.1:7000","revision":3,"place":"arena",` +
		`"version":1,"capacity":8,"state":"open","seats":[{"player":"bo","epoch":5,"ticket":{"caller":"bo","ticket":"t"}}]}`))
	f.Add([]byte(`{"seats":[{}],"changes":[{"kind":"joined"}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		var r Report
		if json.Unmarshal(data, &r) == nil {
			if _, err := r.Root(session); err != nil && throng.KindOf(err) != throng.Invalid {
				t.Errorf("got %v, want invalid", err)
			}
		}
		var h Heartbeat
		if json.Unmarshal(data, &h) == nil {
			if _, err := h.Root("", session); err != nil && throng.KindOf(err) != throng.Invalid {
				t.Errorf("got %v, want invalid", err)
			}
		}
	})
}
