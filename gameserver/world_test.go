package gameserver

import (
	"math"
	"strings"
	"testing"
	"time"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/wire"
)

func TestWorldKeepsItsBounds(t *testing.T) {
	w := NewWorld()
	kind, err := w.Define("thing", []wire.Field{
		{Name: "n", Kind: wire.FieldNumber, Min: -1, Max: 1, Precision: 0.5},
		{Name: "s", Kind: wire.FieldString, Max: 4},
	})
	if err != nil {
		t.Fatal(err)
	}
	for want := uint32(1); want <= wire.MaxEntities; want++ {
		if id, err := w.Spawn(kind, ""); err != nil || id != want {
			t.Fatalf("got entity %d, %v, want %d", id, err, want)
		}
	}
	if _, err := w.Spawn(kind, ""); throng.KindOf(err) != throng.Full {
		t.Errorf("one too many: got %v, want Full", err)
	}
	w.Remove(7)
	w.Remove(7)
	if id, err := w.Spawn(kind, "ada"); err != nil || id != wire.MaxEntities+1 {
		t.Errorf("after a removal: got %d, %v: IDs are not used again", id, err)
	}
	if w.Len() != wire.MaxEntities {
		t.Errorf("got %d entities", w.Len())
	}

	for set, want := range map[float64]float64{-9: -1, 0.3: 0.5, math.Inf(1): 1} {
		if err := w.SetNumber(1, 0, set); err != nil || w.Number(1, 0) != want {
			t.Errorf("%v: got %v, %v, want %v", set, w.Number(1, 0), err, want)
		}
	}
	if err := w.SetString(1, 1, "grün!"); err != nil || w.Text(1, 1) != "grü" {
		t.Errorf("got %q, %v", w.Text(1, 1), err)
	}
	refused := map[string]struct {
		err  error
		want throng.Kind
	}{
		"not a number":      {w.SetNumber(1, 0, math.NaN()), throng.Invalid},
		"a string's number": {w.SetNumber(1, 1, 0), throng.Invalid},
		"field -1":          {w.SetNumber(1, -1, 0), throng.Invalid},
		"a number's string": {w.SetString(1, 0, ""), throng.Invalid},
		"gone":              {w.SetNumber(7, 0, 0), throng.NotFound},
		"never there":       {w.SetString(1<<32-1, 1, ""), throng.NotFound},
	}
	for what, c := range refused {
		if throng.KindOf(c.err) != c.want {
			t.Errorf("%s: got %v, want %v", what, c.err, c.want)
		}
	}
	if _, err := w.Spawn(1, ""); throng.KindOf(err) != throng.Invalid {
		t.Errorf("no such kind: got %v, want Invalid", err)
	}
	w.Remove(8)
	if _, err := w.Spawn(kind, throng.PlayerID(strings.Repeat("x", 65))); throng.KindOf(err) != throng.Invalid {
		t.Errorf("a long owner: got %v, want Invalid", err)
	}
	if _, err := w.Define("late", nil); throng.KindOf(err) != throng.Invalid {
		t.Errorf("defined late: got %v, want Invalid", err)
	}
}

// smallReplica is a player of a small world whose welcome was received.
func smallReplica(t *testing.T) (*crowd, *Replica) {
	c := newCrowd(t, 1)
	for range 20 {
		c.spawn(0, "ada")
	}
	return c, NewReplica(c.world, wire.Welcome{TickRate: 30, Player: "ada"})
}

func parse(t *testing.T, payloads [][]byte) wire.Snapshot {
	t.Helper()
	if len(payloads) != 1 {
		t.Fatalf("got %d payloads, want 1", len(payloads))
	}
	s, err := wire.ParseSnapshot(payloads[0])
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestTheWelcomeIsRepeatedUntilItArrived(t *testing.T) {
	c, r := smallReplica(t)
	now := time.UnixMilli(1e12)
	var got []int
	for range 6 {
		c.step()
		got = append(got, len(r.Payloads(c.tick, now)))
		if again := r.Payloads(c.tick, now); again != nil {
			t.Fatal("a tick was sent twice")
		}
	}
	if want := [6]int{2, 0, 0, 2, 0, 0}; [6]int(got) != want {
		t.Errorf("payloads a tick: got %v, want %v", got, want)
	}
	r.Receive(wire.Input{Sequence: 1, Welcomed: true, Count: 1}, now)
	c.step()
	if s := parse(t, r.Payloads(c.tick, now)); s.Base != 0 {
		t.Errorf("the first snapshot builds on tick %d", s.Base)
	}
	if r.Payloads(c.tick+1, now) != nil {
		t.Error("a tick that was not committed was sent")
	}
}

func TestAcksAreBelievedOnlyOfWhatWasSent(t *testing.T) {
	c, r := smallReplica(t)
	now := time.UnixMilli(1e12)
	sequence := uint32(0)
	base := func(ack throng.Tick) throng.Tick {
		t.Helper()
		sequence++
		if !r.Receive(wire.Input{Sequence: sequence, Ack: ack, Welcomed: true, Count: 1}, now) {
			t.Fatal("an input was not taken")
		}
		c.step()
		return parse(t, r.Payloads(c.tick, now)).Base
	}
	base(0)
	if got := base(1); got != 1 {
		t.Errorf("got base %d, want 1", got)
	}
	for _, ack := range []throng.Tick{99, 1 << 31, 1<<32 - 1, 3 + wire.History} {
		if got := base(ack); got != 1 {
			t.Errorf("acknowledged %d, which was never sent: got base %d", ack, got)
		}
	}
	if got := base(5); got != 5 {
		t.Errorf("got base %d, want 5", got)
	}
	if got := base(2); got != 5 {
		t.Errorf("an older ack: got base %d, want 5", got)
	}
	if got := base(0); got != 0 {
		t.Errorf("the client lost all: got base %d, want 0", got)
	}
	if got := base(5); got != 5 {
		t.Errorf("got base %d, want 5", got)
	}
	if r.Receive(wire.Input{Sequence: sequence, Ack: 7, Count: 1}, now) {
		t.Error("the same input was taken twice")
	}
	for range wire.History {
		c.step()
	}
	// That slot of the ring now holds a later tick, which was never sent.
	if got := base(5 + wire.History); got != 0 {
		t.Errorf("a tick that was not sent: got base %d, want 0", got)
	}
}

// A loop that gave up ticks leaves old ones in the ring.
func TestABaseIsNeverTooOld(t *testing.T) {
	c, r := smallReplica(t)
	now := time.UnixMilli(1e12)
	r.Receive(wire.Input{Sequence: 1, Welcomed: true, Count: 1}, now)
	c.step()
	r.Payloads(c.tick, now)
	r.Receive(wire.Input{Sequence: 2, Ack: 1, Count: 1}, now)
	c.tick += wire.History
	c.step()
	if s := parse(t, r.Payloads(c.tick, now)); s.Base != 0 {
		t.Errorf("tick %d builds on tick %d", s.Tick, s.Base)
	}
}

func TestTheClientsClockComesBackOnce(t *testing.T) {
	c, r := smallReplica(t)
	now := time.UnixMilli(1e12)
	send := func(after time.Duration) wire.About {
		c.step()
		return parse(t, r.Payloads(c.tick, now.Add(after))).About
	}
	r.Receive(wire.Input{Sequence: 70001, Welcomed: true, Sent: 4711, Count: 1}, now)
	if got := send(17 * time.Millisecond); !got.HasEcho || got.Sent != 4711 || got.Hold != 17 || got.Input != uint16(70001&0xffff) {
		t.Errorf("got %+v", got)
	}
	if got := send(20 * time.Millisecond); got.HasEcho {
		t.Errorf("it came back twice: %+v", got)
	}
	r.Receive(wire.Input{Sequence: 70002, Welcomed: true, Sent: 4800, Count: 1}, now)
	if got := send(time.Second); got.HasEcho {
		t.Errorf("a hold that cannot be told was: %+v", got)
	}
}

func TestSnapshotsAreMadeWithoutAllocating(t *testing.T) {
	c, r := smallReplica(t)
	now := time.UnixMilli(1e12)
	sequence := uint32(0)
	got := testing.AllocsPerRun(500, func() {
		sequence++
		r.Receive(wire.Input{Sequence: sequence, Ack: r.last, Welcomed: true, Count: 1}, now)
		c.step()
		r.Payloads(c.tick, now)
	})
	if got > 0 {
		t.Errorf("got %v allocations a tick, want 0", got)
	}
}
