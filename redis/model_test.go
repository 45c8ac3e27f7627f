package redis_test

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"sort"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/memory"
	"github.com/throng-gg/throng/session"
)

// TestSameAsMemory runs the same operations on package memory's store and on
// this one, by the same clock, and compares every answer.
func TestSameAsMemory(t *testing.T) {
	g := alone(t)
	for range 8 { // its histories are short ones
		rapid.Check(t, func(rt *rapid.T) { sameAsMemory(t, rt, g) })
	}
}

func sameAsMemory(t *testing.T, rt *rapid.T, g *ground) {
	t.Helper()
	r := g.open(t)
	defer r.stop()
	mem, err := memory.New(memory.Config{Now: r.clock, Quarantine: throng.TokenTime})
	if err != nil {
		t.Fatal(err)
	}
	w := &twins{rig: r, stores: [2]session.Store{mem, r.store}}
	for range 9 {
		w.time(rt, time.Second)
	}
	for range 2 {
		w.open(rt)
	}
	rt.Repeat(map[string]func(*rapid.T){
		"open": w.open, "claim": w.claim, "hold": w.hold, "hold again": w.hold, "settle": w.settle, "ticket": w.ticket,
		"leave": w.leave, "unhold": w.unhold, "seat": w.seat, "seat again": w.seat, "unseat": w.unseat, "fence": w.fence,
		"evicted": w.evicted, "left": w.left, "evict": w.evict, "heartbeat": w.heartbeat, "heartbeat again": w.heartbeat,
		"report": w.report, "published": w.published, "drain": w.drain, "end": w.end, "expire": w.expire,
		"look": w.look, "pass": w.pass, "stall": w.stall,
	})
}

// twins are two stores that are to behave alike.
type twins struct {
	rig      *rig
	stores   [2]session.Store
	ids      []throng.SessionID
	epochs   []throng.Epoch
	holds    []throng.Hold
	untils   []time.Time
	numbers  []uint64
	evicting []session.Eviction
}

var pair = throng.PoolShard("arena", 3)

// both runs an operation on both stores and compares what they answer.
func both[T any](t *rapid.T, w *twins, what string, run func(context.Context, session.Store) (T, error)) (T, error) {
	t.Helper()
	var (
		got  [2]T
		errs [2]error
	)
	for i, st := range w.stores {
		got[i], errs[i] = run(t.Context(), st)
	}
	kind := func(err error) string {
		if err == nil {
			return "none"
		}
		return fmt.Sprintf("%s: %v (%v)", throng.KindOf(err), err, throng.RetryAfterOf(err))
	}
	if a, b := kind(errs[0]), kind(errs[1]); a != b {
		t.Fatalf("%s: memory answers the error %s, redis %s", what, a, b)
	}
	if errs[0] != nil {
		return got[1], errs[1]
	}
	if a, b := fmt.Sprintf("%+v", tidy(got[0])), fmt.Sprintf("%+v", tidy(got[1])); a != b {
		t.Fatalf("%s:\nmemory answers %s\nredis answers  %s", what, a, b)
	}
	return got[1], errs[1]
}

// tidy puts what has no order into one, and times into one zone.
func tidy(v any) any {
	switch v := v.(type) {
	case session.Effects:
		return tidyEffects(v)
	case answered:
		v.fx = tidyEffects(v.fx)
		v.a.Now = v.a.Now.UTC()
		v.a.Orders = tidyOrders(v.a.Orders)
		if len(v.a.Orders) == 0 {
			v.a.Orders = nil
		}
		return v
	case session.OpenResult:
		v.Session = tidySession(v.Session)
		for i := range v.Others {
			v.Others[i] = tidySession(v.Others[i])
		}
		for i := range v.Holds {
			v.Holds[i].HeldAt, v.Holds[i].Until = v.Holds[i].HeldAt.UTC(), v.Holds[i].Until.UTC()
		}
		return v
	case throng.Session:
		return tidySession(v)
	case held:
		v.s, v.h.HeldAt, v.h.Until = tidySession(v.s), v.h.HeldAt.UTC(), v.h.Until.UTC()
		return v
	case []throng.Session:
		for i := range v {
			v[i] = tidySession(v[i])
		}
		return v
	case session.SettleResult:
		v.Grant.HeldAt, v.Grant.Until = v.Grant.HeldAt.UTC(), v.Grant.Until.UTC()
		return fmt.Sprintf("%+v", v)
	case session.ClaimResult:
		return fmt.Sprint(v.Epoch, tidyGrant(v.Grant))
	case session.TicketRecord:
		g := tidyGrant(v.Grant)
		v.Grant = nil
		return fmt.Sprintf("%+v %s", v, g)
	case session.LeaveResult:
		return fmt.Sprintf("%+v %s", v.Seat, tidyGrant(v.Grant))
	case session.SweepResult:
		for i := range v.Lapsed {
			v.Lapsed[i].Until = v.Lapsed[i].Until.UTC()
		}
		sort.Slice(v.Lapsed, func(i, j int) bool { return v.Lapsed[i].Session < v.Lapsed[j].Session })
		for i := range v.Left {
			v.Left[i] = tidyEffects(v.Left[i])
		}
		sort.Slice(v.Left, func(i, j int) bool { return v.Left[i].Session < v.Left[j].Session })
		return v
	case session.StampResult:
		v.Now, v.ReadyAt = v.Now.UTC(), v.ReadyAt.UTC()
		return v
	}
	return v
}

func tidyGrant(g *throng.Grant) string {
	if g == nil {
		return "none"
	}
	c := *g
	c.HeldAt, c.Until = c.HeldAt.UTC(), c.Until.UTC()
	return fmt.Sprintf("%+v", c)
}

func tidySession(s throng.Session) throng.Session {
	s.OpenedAt, s.BoundAt, s.LeaseUntil = s.OpenedAt.UTC(), s.BoundAt.UTC(), s.LeaseUntil.UTC()
	return s
}

// tidyEffects leaves out the numbers of departures: those of one moment have no
// order among each other.
func tidyEffects(fx session.Effects) session.Effects {
	if fx.Session == "" {
		return session.Effects{}
	}
	fx.Left, fx.Orders = slices.Clone(fx.Left), tidyOrders(fx.Orders)
	for i := range fx.Left {
		fx.Left[i].Number = 0
	}
	sort.Slice(fx.Left, func(i, j int) bool { return fmt.Sprint(fx.Left[i]) < fmt.Sprint(fx.Left[j]) })
	if len(fx.Seats) == 0 {
		fx.Seats = nil
	}
	return fx
}

func tidyOrders(list []throng.Order) []throng.Order {
	list = slices.Clone(list)
	for i := range list {
		list[i].Until = list[i].Until.UTC()
	}
	return list
}

type answered struct {
	a  throng.HeartbeatAnswer
	fx session.Effects
}

type held struct {
	h throng.Hold
	s throng.Session
}

func none(err error) (struct{}, error) { return struct{}{}, err }

func (w *twins) player(t *rapid.T) throng.PlayerID {
	return rapid.SampledFrom([]throng.PlayerID{"ada", "bo", "cy", "a-player-whose-name-is-long-0123456789-0123456789-0123456789"}).Draw(t, "player")
}

func (w *twins) key(t *rapid.T) throng.TicketKey {
	return throng.TicketKey{
		Caller: w.player(t),
		Ticket: rapid.SampledFrom([]throng.TicketID{"t1", "t2", "a-ticket-whose-name-is-long-0123456789-0123456789-0123456789"}).Draw(t, "ticket"),
	}
}

func (w *twins) id(t *rapid.T) throng.SessionID {
	return rapid.SampledFrom(append([]throng.SessionID{throng.MakeSessionID("local", pair, throng.Entropy{99})}, w.ids...)).Draw(t, "session")
}

func (w *twins) epoch(t *rapid.T) throng.Epoch {
	if len(w.epochs) == 0 {
		return 5
	}
	return rapid.SampledFrom(w.epochs[max(len(w.epochs)-6, 0):]).Draw(t, "epoch")
}

func (w *twins) beat(t *rapid.T) throng.Heartbeat {
	e := throng.Entropy{byte(rapid.IntRange(0, 4).Draw(t, "server") / 4)} // mostly the first
	return throng.Heartbeat{
		Session: w.id(t), Server: throng.MakeServerID("local", e), Incarnation: throng.MakeIncarnation(e),
		Address:    netip.MustParseAddrPort("192.0.2.1:4000"),
		Revision:   throng.Revision(rapid.IntRange(0, 6).Draw(t, "revision")),
		OrdersDone: uint64(rapid.IntRange(0, 3).Draw(t, "done")),
		Attributes: rapid.SampledFrom([]throng.SessionAttributes{"", `{"skill":7}`}).Draw(t, "attributes"),
		Web:        throng.WebAddress{URL: rapid.SampledFrom([]string{"", "https://192.0.2.1:1/a"}).Draw(t, "web")},
	}
}

func (w *twins) change(t *rapid.T) throng.RosterChange {
	return throng.RosterChange{
		Revision: throng.Revision(rapid.IntRange(1, 6).Draw(t, "change")),
		Kind:     rapid.SampledFrom([]throng.RosterKind{throng.RosterJoined, throng.RosterLeft}).Draw(t, "kind"),
		Player:   w.player(t), Epoch: w.epoch(t), Key: w.key(t),
	}
}

func (w *twins) open(t *rapid.T) {
	s := throng.Session{
		ID:    throng.MakeSessionID("local", pair, throng.Entropy{byte(len(w.ids))}),
		Place: "arena", Version: 3, Capacity: rapid.IntRange(1, 3).Draw(t, "capacity"),
	}
	if rapid.Bool().Draw(t, "private") {
		s.Private, s.Code = true, throng.HashCode("x")
	}
	r := session.OpenRequest{Session: s, Room: rapid.IntRange(0, 2).Draw(t, "room")}
	if len(w.numbers) > 0 && rapid.Bool().Draw(t, "seen") {
		r.Seen = rapid.SampledFrom(w.numbers).Draw(t, "up to")
	}
	seats := s.Capacity
	for _, p := range []throng.PlayerID{"ada", "bo", "cy"} {
		if seats > 0 && rapid.Bool().Draw(t, "in") {
			r.Holds = append(r.Holds, session.HoldRequest{
				Key:     throng.TicketKey{Caller: p, Ticket: "t1"},
				Members: []throng.Member{{Player: p, Epoch: w.epoch(t)}},
			})
			seats--
		}
	}
	if len(w.ids) > 0 && rapid.IntRange(0, 5).Draw(t, "again") == 0 {
		r.Session.ID = rapid.SampledFrom(w.ids).Draw(t, "known")
	}
	got, err := both(t, w, "open", func(ctx context.Context, st session.Store) (session.OpenResult, error) { return st.Open(ctx, r) })
	if err == nil && got.Session.ID == s.ID {
		w.ids, w.numbers = append(w.ids, s.ID), append(w.numbers, got.Session.Number)
	}
}

func (w *twins) claim(t *rapid.T) {
	k := w.key(t)
	tk := throng.Ticket{
		Key: k, Place: "arena", Version: throng.Version(rapid.IntRange(3, 4).Draw(t, "version")), Party: []throng.PlayerID{k.Caller},
		Mode: rapid.SampledFrom([]throng.Mode{throng.ModeDropIn, throng.ModeDropIn, throng.ModeFriend}).Draw(t, "mode"),
	}
	if rapid.IntRange(0, 4).Draw(t, "from") == 0 {
		tk.From = throng.Origin{Session: w.id(t), Place: "lobby", Data: "\x00\xff"}
	}
	if p := w.player(t); p != k.Caller && rapid.Bool().Draw(t, "together") {
		tk.Party = append(tk.Party, p)
	}
	for _, p := range tk.Party {
		r := session.ClaimRequest{Player: p, Region: 7, Ticket: tk}
		res, err := both(t, w, "claim", func(ctx context.Context, st session.Store) (session.ClaimResult, error) { return st.Claim(ctx, r) })
		if err == nil {
			w.epochs = append(w.epochs, res.Epoch)
		}
	}
}

func (w *twins) hold(t *rapid.T) {
	r := session.HoldRequest{Session: w.id(t), Key: w.key(t)}
	r.Members = []throng.Member{{Player: r.Key.Caller, Epoch: w.epoch(t)}}
	if p := w.player(t); p != r.Key.Caller && rapid.Bool().Draw(t, "together") {
		r.Members = append(r.Members, throng.Member{Player: p, Epoch: w.epoch(t)})
	}
	got, err := both(t, w, "hold", func(ctx context.Context, st session.Store) (held, error) {
		h, s, err := st.Hold(ctx, r)
		return held{h, s}, err
	})
	if err == nil {
		w.holds = append(w.holds, got.h)
	}
}

func (w *twins) settle(t *rapid.T) {
	if len(w.holds) == 0 {
		t.Skip()
	}
	h := rapid.SampledFrom(w.holds).Draw(t, "hold")
	g := throng.Grant{Hold: h, Place: "arena", Version: 3, Nonce: [24]byte{byte(rapid.IntRange(0, 9).Draw(t, "nonce"))}}
	if rapid.Bool().Draw(t, "brings") {
		g.Attributes = [][]throng.Attribute{{{Name: "skill", Number: 7}, {Name: "language", Category: "en"}}}
	}
	_, _ = both(t, w, "settle", func(ctx context.Context, st session.Store) (session.SettleResult, error) { return st.Settle(ctx, g) })
}

func (w *twins) ticket(t *rapid.T) {
	k := w.key(t)
	_, _ = both(t, w, "ticket", func(ctx context.Context, st session.Store) (session.TicketRecord, error) { return st.Ticket(ctx, k) })
}

func (w *twins) leave(t *rapid.T) {
	r := session.LeaveRequest{Key: w.key(t), Player: w.player(t), Cancel: rapid.Bool().Draw(t, "cancel")}
	if rapid.Bool().Draw(t, "granted") {
		r.Epoch = w.epoch(t)
	}
	_, _ = both(t, w, "leave", func(ctx context.Context, st session.Store) (session.LeaveResult, error) { return st.Leave(ctx, r) })
}

func (w *twins) unhold(t *rapid.T) {
	id, k, p := w.id(t), w.key(t), throng.PlayerID("")
	if rapid.Bool().Draw(t, "one") {
		p = w.player(t)
	}
	_, _ = both(t, w, "unhold", func(ctx context.Context, st session.Store) (struct{}, error) { return none(st.Unhold(ctx, id, k, p)) })
}

func (w *twins) seat(t *rapid.T) {
	h, c := w.beat(t), w.change(t)
	c.Kind = throng.RosterJoined
	if len(w.holds) > 0 && rapid.Bool().Draw(t, "held") {
		hold := rapid.SampledFrom(w.holds).Draw(t, "hold")
		h.Session, c.Key, c.Player, c.Epoch = hold.Session, hold.Key, hold.Members[0].Player, hold.Members[0].Epoch
	}
	_, _ = both(t, w, "seat", func(ctx context.Context, st session.Store) (throng.Session, error) { return st.Seat(ctx, h, c) })
}

func (w *twins) unseat(t *rapid.T) {
	id, m := w.id(t), throng.Member{Player: w.player(t), Epoch: w.epoch(t)}
	_, _ = both(t, w, "unseat", func(ctx context.Context, st session.Store) (session.Effects, error) { return st.Unseat(ctx, id, m) })
}

// restored is what became of a reported seat.
type restored struct {
	older  []session.Eviction
	kind   throng.Kind
	failed bool
}

func (w *twins) fence(t *rapid.T) {
	r := session.FenceRequest{
		Player: w.player(t), Epoch: w.epoch(t), Session: w.id(t), Place: "arena", Key: w.key(t),
		Revision: throng.Revision(rapid.IntRange(0, 6).Draw(t, "revision")),
	}
	if rapid.Bool().Draw(t, "reported") {
		got, _ := both(t, w, "restore", func(ctx context.Context, st session.Store) (restored, error) {
			list, err := st.Restore(ctx, []session.FenceRequest{r})
			if err != nil {
				return restored{}, err
			}
			return restored{list[0].Older, throng.KindOf(list[0].Err), list[0].Err != nil}, nil
		})
		w.evicting = append(w.evicting, got.older...)
		return
	}
	got, err := both(t, w, "fence", func(ctx context.Context, st session.Store) ([]session.Eviction, error) { return st.Fence(ctx, r) })
	if err == nil {
		w.evicting = append(w.evicting, got...)
	}
}

func (w *twins) evicted(t *rapid.T) {
	if len(w.evicting) == 0 {
		t.Skip()
	}
	e := rapid.SampledFrom(w.evicting).Draw(t, "eviction")
	_, _ = both(t, w, "evicted", func(ctx context.Context, st session.Store) (struct{}, error) { return none(st.Evicted(ctx, e)) })
}

func (w *twins) left(t *rapid.T) {
	d := session.Departure{
		Number: 1, Player: w.player(t), Session: w.id(t), Place: "arena", Epoch: w.epoch(t),
		Revision: throng.Revision(rapid.IntRange(0, 6).Draw(t, "revision")),
	}
	_, _ = both(t, w, "left", func(ctx context.Context, st session.Store) ([]session.Eviction, error) { return st.Left(ctx, d) })
}

func (w *twins) evict(t *rapid.T) {
	id, m := w.id(t), throng.Member{Player: w.player(t), Epoch: w.epoch(t)}
	_, _ = both(t, w, "evict", func(ctx context.Context, st session.Store) (session.Effects, error) {
		return st.Evict(ctx, id, m, "why")
	})
}

func (w *twins) heartbeat(t *rapid.T) {
	h := w.beat(t)
	for range rapid.IntRange(0, 3).Draw(t, "changes") {
		c := w.change(t)
		if n := len(h.Changes); n > 0 {
			c.Revision = h.Changes[n-1].Revision + 1
		}
		h.Changes = append(h.Changes, c)
		h.Revision = max(h.Revision, c.Revision)
	}
	upTo := rapid.SampledFrom([]uint64{0, 0, 1, 3, 1 << 40}).Draw(t, "published")
	_, _ = both(t, w, "heartbeat", func(ctx context.Context, st session.Store) (answered, error) {
		a, fx, err := st.Heartbeat(ctx, h, upTo)
		return answered{a, fx}, err
	})
}

func (w *twins) report(t *rapid.T) {
	r := throng.Report{
		Heartbeat: w.beat(t), Place: "arena", Version: 3, Capacity: rapid.IntRange(1, 3).Draw(t, "capacity"),
		State:    rapid.SampledFrom([]throng.SessionState{throng.SessionOpen, throng.SessionOpen, throng.SessionDraining}).Draw(t, "state"),
		OpenedAt: w.rig.clock().Add(time.Duration(rapid.IntRange(-20, 20).Draw(t, "opened")) * time.Second),
	}
	for _, p := range []throng.PlayerID{"ada", "bo", "cy"} {
		if len(r.Seats) < r.Capacity && rapid.Bool().Draw(t, "in") {
			r.Seats = append(r.Seats, throng.SeatReport{Player: p, Epoch: w.epoch(t), Key: w.key(t)})
		}
	}
	_, _ = both(t, w, "report", func(ctx context.Context, st session.Store) (answered, error) {
		a, fx, err := st.Report(ctx, r)
		return answered{a, fx}, err
	})
}

// published publishes all, as the numbers of departures of one moment differ.
func (w *twins) published(t *rapid.T) {
	id := w.id(t)
	_, _ = both(t, w, "published", func(ctx context.Context, st session.Store) (struct{}, error) {
		return none(st.Published(ctx, id, 1<<40))
	})
}

func (w *twins) drain(t *rapid.T) {
	r := session.DrainRequest{Session: w.id(t), Reason: "update"}
	if after := rapid.IntRange(0, 2).Draw(t, "until"); after > 0 {
		r.Until = w.rig.clock().Truncate(time.Hour).Add(time.Duration(after) * time.Hour)
	}
	_, _ = both(t, w, "drain", func(ctx context.Context, st session.Store) (session.Effects, error) { return st.Drain(ctx, r) })
}

func (w *twins) end(t *rapid.T) {
	if rapid.IntRange(0, 2).Draw(t, "really") > 0 {
		t.Skip()
	}
	r := session.EndRequest{Session: w.id(t), Reason: "over", Failed: rapid.Bool().Draw(t, "failed"), IfEmpty: rapid.Bool().Draw(t, "if empty")}
	if rapid.Bool().Draw(t, "by its server") {
		h := w.beat(t)
		r.By = &h
	}
	_, _ = both(t, w, "end", func(ctx context.Context, st session.Store) (session.Effects, error) { return st.End(ctx, r) })
}

func (w *twins) expire(t *rapid.T) {
	if len(w.untils) == 0 {
		t.Skip()
	}
	r := session.ExpireRequest{
		Session: w.id(t), Until: rapid.SampledFrom(w.untils).Draw(t, "until"),
		Reason: rapid.SampledFrom([]string{"", "silent"}).Draw(t, "reason"),
	}
	_, _ = both(t, w, "expire", func(ctx context.Context, st session.Store) (session.Effects, error) { return st.Expire(ctx, r) })
}

func (w *twins) look(t *rapid.T) {
	id, p := w.id(t), w.player(t)
	_, _ = both(t, w, "session", func(ctx context.Context, st session.Store) (throng.Session, error) { return st.Session(ctx, id) })
	_, _ = both(t, w, "sessions", func(ctx context.Context, st session.Store) ([]throng.Session, error) {
		return st.Sessions(ctx, session.ListRequest{Shard: pair, Limit: 10})
	})
	_, _ = both(t, w, "presence", func(ctx context.Context, st session.Store) (session.PresenceRecord, error) {
		return st.Presence(ctx, p)
	})
	_, _ = both(t, w, "seated", func(ctx context.Context, st session.Store) (throng.Epoch, error) { return st.Seated(ctx, id, p) })
}

// time lets time pass and runs a tick of the shards that are used.
func (w *twins) time(t *rapid.T, d time.Duration) {
	w.rig.passed.Add(int64(d))
	shards := map[uint8]bool{pair: true}
	for _, p := range []throng.PlayerID{"ada", "bo", "cy", "a-player-whose-name-is-long-0123456789-0123456789-0123456789"} {
		shards[throng.PlayerShard(p)] = true
	}
	var census uint64
	if rapid.IntRange(0, 20).Draw(t, "census") == 0 {
		census = uint64(w.rig.clock().UnixMilli())
	}
	for shard := range shards {
		_, _ = both(t, w, "stamp", func(ctx context.Context, st session.Store) (session.StampResult, error) {
			return st.Stamp(ctx, shard, census)
		})
		got, err := both(t, w, "sweep", func(ctx context.Context, st session.Store) (session.SweepResult, error) { return st.Sweep(ctx, shard) })
		if err != nil {
			t.Fatalf("sweep: %v", err)
		}
		for _, l := range got.Lapsed {
			w.untils = append(w.untils, l.Until)
		}
	}
}

func (w *twins) pass(t *rapid.T) {
	for range rapid.IntRange(1, 20).Draw(t, "seconds") {
		w.time(t, time.Second)
	}
}

// stall lets time pass without a stamp.
func (w *twins) stall(t *rapid.T) {
	if rapid.IntRange(0, 9).Draw(t, "really") > 0 {
		t.Skip()
	}
	d := rapid.SampledFrom([]time.Duration{time.Second, 3 * time.Second, time.Minute, throng.TicketTime}).Draw(t, "for")
	w.rig.passed.Add(int64(d))
}
