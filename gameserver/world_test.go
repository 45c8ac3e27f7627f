package gameserver

import (
	"math"
	"slices"
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
	w.Commit(1)
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
	s, err := wire.ParseSnapshot(payloads[0], 0)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestATickIsSentOnce(t *testing.T) {
	c, r := smallReplica(t)
	now := time.UnixMilli(1e12)
	c.step()
	if s := parse(t, r.Payloads(c.tick, now)); !s.Young || s.Since != 0 || len(s.Body) == 0 {
		t.Errorf("the first snapshot is %+v", s)
	}
	if again := r.Payloads(c.tick, now); again != nil {
		t.Error("a tick was sent twice")
	}
	if r.Payloads(c.tick+1, now) != nil {
		t.Error("a tick that was not committed was sent")
	}
}

func TestAcksAreBelievedOnlyOfWhatWasSent(t *testing.T) {
	c, r := smallReplica(t)
	now := time.UnixMilli(1e12)
	sequence := uint32(0)
	// Acknowledged ticks, after an ack, a step and a snapshot.
	came := func(ack throng.Tick, before uint32) (ticks []throng.Tick) {
		t.Helper()
		sequence++
		if !r.Receive(wire.Input{Sequence: sequence, Ack: ack, Came: before, Count: 1}, now) {
			t.Fatal("an input was not taken")
		}
		c.step()
		parse(t, r.Payloads(c.tick, now))
		for age := range throng.Tick(wire.History) {
			if r.came>>age&1 == 1 {
				ticks = append(ticks, c.tick-age)
			}
		}
		return ticks
	}
	want := func(got []throng.Tick, want ...throng.Tick) {
		t.Helper()
		if !slices.Equal(got, want) {
			t.Errorf("acknowledged are %v, want %v", got, want)
		}
	}
	want(came(0, 0))
	want(came(1, 0), 1)
	for _, ack := range []throng.Tick{99, 1 << 31, 1<<32 - 1, 3 + wire.History} {
		want(came(ack, 1<<31-1), 1)
	}
	want(came(5, 0b0100), 5, 2, 1)
	want(came(4, 0), 5, 4, 2, 1)
	want(came(0, 0)) // the client lost all
	if r.since != c.tick {
		t.Errorf("the client is to forget all before %d, want %d", r.since, c.tick)
	}
	want(came(5, 1<<31-1)) // of before it did
	want(came(0, 0))       // known already
	want(came(10, 0), 10)
	if r.Receive(wire.Input{Sequence: sequence, Ack: 9, Count: 1}, now) {
		t.Error("the same input was taken twice")
	}
	for range wire.History {
		c.step()
	}
	want(came(10+wire.History, 1<<31-1)) // that tick was not sent
}

// Nothing is told by what the client may have forgotten, or the loop has, which
// gave up ticks; nothing is sent for long to who acknowledges nothing.
func TestNothingIsToldByWhatIsTooOld(t *testing.T) {
	c, r := smallReplica(t)
	now := time.UnixMilli(1e12)
	r.Receive(wire.Input{Sequence: 1, Count: 1}, now)
	c.step()
	r.Payloads(c.tick, now)
	r.Receive(wire.Input{Sequence: 2, Ack: 1, Count: 1}, now)
	c.tick += wire.History + 1
	c.step()
	if s := parse(t, r.Payloads(c.tick, now)); !s.Young || s.Since != 0 {
		t.Errorf("got %+v, want one that begins anew", s)
	}
	told, bytes := 0, 0
	for range 3000 {
		c.step()
		for _, p := range r.Payloads(c.tick, now) {
			if len(p) > 20 {
				told++
			}
			bytes += len(p) + headers
		}
	}
	if most := 3000/silenceEvery + silence + 1; told > most || told < 300 {
		t.Errorf("%d snapshots tell something without an answer, want at most %d", told, most)
	}
	if most := 3000*Budget/8/30 + firstCredit + mostCredit; bytes > most {
		t.Errorf("%d bytes, want at most %d", bytes, most)
	}
}

func TestTheClientsClockComesBackOnce(t *testing.T) {
	c, r := smallReplica(t)
	now := time.UnixMilli(1e12)
	send := func(after time.Duration) wire.Snapshot {
		for range echoEvery - 1 {
			c.step()
			if s := parse(t, r.Payloads(c.tick, now)); r.told%echoEvery != 1 && s.HasEcho {
				t.Errorf("an echo where none is expected: %+v", s)
			}
		}
		c.step()
		return parse(t, r.Payloads(c.tick, now.Add(after)))
	}
	r.told = 1
	r.Receive(wire.Input{Sequence: 70001, Sent: 4711, Count: 1}, now)
	r.Applied(70001)
	if got := send(17 * time.Millisecond); !got.HasEcho || got.Sent != 4711 || got.Hold != 17 || got.Input != uint8(70001&0xff) {
		t.Errorf("got %+v", got)
	}
	if got := send(20 * time.Millisecond); got.HasEcho {
		t.Errorf("it came back twice: %+v", got)
	}
	r.Receive(wire.Input{Sequence: 70002, Sent: 4800, Count: 1}, now)
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
		r.Receive(wire.Input{Sequence: sequence, Ack: r.tick, Came: 1<<31 - 1, Count: 1}, now)
		c.step()
		r.Payloads(c.tick, now)
	})
	if got > 0 {
		t.Errorf("got %v allocations a tick, want 0", got)
	}
}
