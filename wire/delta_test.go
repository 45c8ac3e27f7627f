package wire

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"testing"

	"pgregory.net/rapid"

	"github.com/throng-gg/throng"
)

// teller is a server of a few entities to one client, as plain as can be: it
// tells all that the client does not have.
type teller struct {
	schema *Schema
	r      *rand.Rand
	tick   throng.Tick
	since  throng.Tick
	came   uint32 // acknowledged: bit i is tick-i
	things []*thing
	body   Body
	lastID uint32
}

type thing struct {
	id      uint32
	kind    int
	owner   throng.PlayerID
	gone    bool
	sees    Variant
	past    map[throng.Tick]Values
	shown   map[throng.Tick]Variant
	now     Values
	told    Samples
	settled throng.Tick
}

func newTeller(s *Schema, seed uint64) *teller {
	return &teller{schema: s, r: rand.New(rand.NewPCG(seed, 1))}
}

// live lets things come, change and go.
func (d *teller) live(spawn int) {
	for _, t := range d.things {
		k := d.schema.Kind(t.kind)
		switch d.r.IntN(60) {
		case 0:
			t.gone = true
		case 1:
			t.gone = false
		case 2:
			t.sees = Variant(d.r.IntN(8))
		}
		for i := range k.slots {
			s := &k.slots[i]
			switch d.r.IntN(12) {
			case 0:
				d.set(s, t)
			case 1, 2, 3, 4, 5:
				if s.kind == FieldNumber {
					t.now.Numbers[s.index] = uint32(min(uint64(t.now.Numbers[s.index])+uint64(t.id%40), uint64(s.top)))
				}
			}
		}
	}
	for range spawn {
		d.lastID += 1 + uint32(d.r.IntN(2))*uint32(d.r.IntN(100))
		t := &thing{id: d.lastID, kind: d.r.IntN(d.schema.Len()), past: map[throng.Tick]Values{}, shown: map[throng.Tick]Variant{}}
		if d.r.IntN(2) == 0 {
			t.owner = throng.PlayerID(fmt.Sprintf("player.%d", d.r.IntN(9)))
		}
		k := d.schema.Kind(t.kind)
		t.now = Values{Numbers: make([]uint32, k.values), Texts: make([]string, k.texts)}
		for i := range k.slots {
			d.set(&k.slots[i], t)
		}
		d.things = append(d.things, t)
	}
}

func (d *teller) set(s *slot, t *thing) {
	v := d.r.Uint32()
	if s.kind == FieldString {
		t.now.Texts[s.index] = CutText(fmt.Sprintf("%d ünd mehr %d", v, v), int(s.top))
		return
	}
	t.now.Numbers[s.index] = uint32(uint64(v) % (uint64(s.top) + 1))
}

func (t *thing) keep(k *Kind, tick throng.Tick) Values {
	v := Values{Numbers: append([]uint32{}, t.now.Numbers...), Texts: append([]string{}, t.now.Texts...)}
	k.Mask(v, t.sees)
	t.past[tick], t.shown[tick] = v, t.sees
	return v
}

// snapshot tells the world at a tick; some things are left out.
func (d *teller) snapshot(tick throng.Tick, leaveOut int) Snapshot {
	by := uint32(min(tick-d.tick, History))
	for _, t := range d.things {
		if age, ok := t.told.Leaving(by, d.came); ok {
			t.settled = d.tick - throng.Tick(age)
		}
		t.told.Advance(by, d.came)
	}
	d.came <<= by
	d.tick = tick
	if d.since == 0 {
		d.since = tick
	}
	s := Snapshot{Tick: tick}
	if age := tick - d.since; age < History {
		s.Young, s.Since = true, uint8(age)
	}
	d.body.Begin(nil, d.came, s.since())
	var news []*thing
	for _, t := range d.things {
		is := t.keep(d.schema.Kind(t.kind), tick)
		seen := t.told.Seen(d.came)
		if leaveOut > 0 && d.r.IntN(leaveOut) == 0 {
			if seen {
				d.body.Untold(&t.told)
			}
			continue
		}
		switch {
		case !seen && !t.gone:
			news = append(news, t)
		case seen && t.gone:
			d.body.Gone(&t.told)
			t.told.Told |= 1
			t.told.Gone |= 1
		case seen:
			d.tell(t, is)
		}
	}
	for _, t := range news {
		d.body.Add(t.id, t.kind, d.schema.Kind(t.kind).AppendFresh(nil, t.sees, t.owner, t.past[tick]))
		t.told.Told |= 1
		t.told.Fresh |= 1
	}
	s.Body = d.body.End()
	h := Hash{}
	for _, t := range d.things {
		switch at, ok := t.newest(tick, d.came|1); {
		case !ok:
		case at == 0:
			h.Settled(t.id, uint8(t.kind))
		default:
			h.Entity(Entity{ID: t.id, Kind: t.kind, Owner: t.owner, Values: t.past[at].Numbers, Texts: t.past[at].Texts})
		}
	}
	s.HasHash, s.Hash = true, h.Sum()
	return s
}

// newest is when it was told last, as these ticks have it; 0: it settled.
func (t *thing) newest(tick throng.Tick, came uint32) (at throng.Tick, ok bool) {
	told := t.told.Told & came
	if told == 0 {
		return 0, t.told.Settled
	}
	return tick - throng.Tick(trailing(told)), t.told.Gone&(told&-told) == 0
}

func (d *teller) tell(t *thing, is Values) {
	k := d.schema.Kind(t.kind)
	p := Past{Bases: t.told.Bases(d.came)}
	base := t.settled
	if p.Base != 0 {
		base = d.tick - throng.Tick(p.Base)
	}
	t.told.Told |= 1
	before := t.told
	before.Told &^= 1
	if t.shown[base] != t.sees {
		d.body.Fresh(&before, k.AppendFresh(nil, t.sees, t.owner, is))
		t.told.Fresh |= 1
		return
	}
	p.At[0] = t.past[base]
	if p.Older != 0 {
		p.At[1] = t.past[d.tick-throng.Tick(p.Older)]
	}
	if p.Oldest != 0 {
		p.At[2] = t.past[d.tick-throng.Tick(p.Oldest)]
	}
	d.body.Change(&before, k.AppendChange(nil, t.sees, is, &p))
}

// check says how a client's copy differs, "" if it does not.
func (d *teller) check(dec *Decoder, s Snapshot) string {
	if got := dec.Hash(); got != s.Hash {
		return fmt.Sprintf("hash %08x, want %08x", got, s.Hash)
	}
	var v View
	dec.Fill(&v)
	for i := range v.Len() {
		e, age := v.At(i), v.Age(i)
		for _, t := range d.things {
			if t.id != e.ID {
				continue
			}
			at := v.Tick - throng.Tick(age)
			if age == History {
				continue // it was checked while it was young
			}
			want := Entity{ID: t.id, Kind: t.kind, Owner: t.owner, Values: t.past[at].Numbers, Texts: t.past[at].Texts}
			if !reflect.DeepEqual(fmt.Sprint(e), fmt.Sprint(want)) {
				return fmt.Sprintf("entity is %+v, want %+v of tick %d", e, want, at)
			}
		}
	}
	return ""
}

func ruledSchema(t interface{ Fatal(...any) }) *Schema {
	s := testSchema(t)
	if _, err := s.Define("ruled", []Field{
		{Name: "x", Kind: FieldNumber, Max: 100, Precision: 0.1},
		{Name: "secret", Kind: FieldInteger, Max: 1000, Owner: true},
		{Name: "detail", Kind: FieldNumber, Max: 10, Precision: 0.1, Within: 20},
		{Name: "name", Kind: FieldString, Max: 10, Within: 50},
	}); err != nil {
		t.Fatal(err)
	}
	return s
}

// Whatever is lost, left out or late: both sides hold the same integers.
func TestDeltasComeBack(t *testing.T) {
	s := ruledSchema(t)
	rapid.Check(t, func(t *rapid.T) {
		seed := rapid.Uint64().Draw(t, "seed")
		loss := rapid.IntRange(0, 3).Draw(t, "loss of 4")
		delay := rapid.IntRange(0, 6).Draw(t, "delay")
		leaveOut := rapid.IntRange(0, 3).Draw(t, "leave out of")
		spawn := rapid.IntRange(1, 40).Draw(t, "spawn")
		ticks := rapid.IntRange(2, 120).Draw(t, "ticks")
		runTeller(t, newTeller(s, seed), NewDecoder(s), telling{ticks, loss, delay, leaveOut, spawn}, nil)
	})
}

// telling is how: of four snapshots loss are lost, one thing of leaveOut is left out.
type telling struct{ ticks, loss, delay, leaveOut, spawn int }

type failer interface{ Fatalf(string, ...any) }

// runTeller tells a client for so many ticks; each is acknowledged after a delay,
// and none is in doubt when History leaves it behind.
func runTeller(t failer, d *teller, dec *Decoder, how telling, each func(Snapshot, *View)) {
	d.live(how.spawn)
	tick := throng.Tick(1)
	var acks []throng.Tick
	for range how.ticks {
		for len(acks) > how.delay || len(acks) > 0 && tick-acks[0] >= History {
			if age := d.tick - acks[0]; age < History {
				d.came |= 1 << age
			}
			acks = acks[1:]
		}
		snap := d.snapshot(tick, how.leaveOut)
		if d.r.IntN(4) >= how.loss {
			if err := dec.Apply(snap); err != nil {
				t.Fatalf("tick %d: %v", tick, err)
			}
			acks = append(acks, tick)
			if diff := d.check(dec, snap); diff != "" {
				t.Fatalf("tick %d: %s", tick, diff)
			}
			if each != nil {
				var v View
				dec.Fill(&v)
				each(snap, &v)
			}
		}
		d.live(d.r.IntN(3) / 2)
		if tick++; d.r.IntN(20) == 0 {
			tick += throng.Tick(d.r.IntN(4))
		}
	}
}

// What moves in a line is expected and takes hardly any room.
func TestLinesAreExpected(t *testing.T) {
	s := testSchema(t)
	k := s.Kind(0)
	at := func(tick, id uint32) Values {
		return Values{Numbers: []uint32{100 + 11*tick, 3000 - tick*id, 0, 0, 0}, Texts: []string{"x"}}
	}
	bits := func(bases Bases) int {
		n := 0
		for id := range uint32(50) {
			p := Past{Bases: bases, At: [3]Values{at(uint32(20-bases.Base), id), at(uint32(20-bases.Older), id), at(uint32(20-bases.Oldest), id)}}
			n += Cost(k.AppendChange(nil, VariantOwner, at(20, id), &p))
		}
		return n / 256
	}
	if got := bits(Bases{5, 10, 15}); got > 50*3 {
		t.Errorf("50 entities on their way take %d bits, want at most 150", got)
	}
	if got := bits(Bases{Base: 5}); got < 50*8 {
		t.Errorf("50 entities take %d bits without an older sample: they do not move", got)
	}
}

func TestBasesAreOfThoseThatCame(t *testing.T) {
	for _, c := range []struct {
		s    Samples
		acks uint32
		want Bases
	}{
		{Samples{}, 1<<32 - 2, Bases{}},
		{Samples{Told: 1<<32 - 1}, 1<<32 - 1 - 63, Bases{6, 12, 18}},
		{Samples{Told: 1<<32 - 1}, 0b1110, Bases{1, 3, 0}},
		{Samples{Told: 1<<32 - 1, Fresh: 1<<4 | 1<<20}, 1<<32 - 2, Bases{1, 3, 4}},
		{Samples{Told: 1<<32 - 1, Gone: 1<<5 | 1<<3}, 1<<5 | 1<<3 | 1<<2 | 1<<7, Bases{2, 7, 0}},
		{Samples{Told: 1<<31 | 1<<30}, 1<<32 - 2, Bases{30, 31, 0}},
	} {
		if got := c.s.Bases(c.acks); got != c.want {
			t.Errorf("%+v acknowledged %b: got %+v, want %+v", c.s, c.acks, got, c.want)
		}
	}
}
