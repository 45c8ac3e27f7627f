package motion

import (
	"fmt"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/wire"
)

// CubesReport is what a frame of the pile takes.
type CubesReport struct {
	Frames  int     `json:"frames"`
	Raw     float64 `json:"raw_kbit_s"` // 320 bits a cube, as the article counts
	Changed float64 `json:"changed"`    // cubes a frame, against six frames before
	Ours    float64 `json:"ours_kbit_s"`
	// Published is of the bit-packing with its author's constants, Fitted with those
	// that fit this pile best.
	Published float64 `json:"published_kbit_s"`
	Fitted    float64 `json:"fitted_kbit_s"`
	// Ratio is of Ours to the smaller one of Published and Fitted.
	Ratio float64 `json:"ratio"`
}

// cubeAcks is how many frames ago the newest known frame is.
const cubeAcks = 6

// MeasureCubes tells frames of a pile both ways, each by the frame six before,
// and decodes ours. tally, if not nil, counts decisions.
func MeasureCubes(seed uint64, frames int, tally *wire.Tally) (CubesReport, error) {
	pile := NewPile(seed)
	list := make([][Cubes]Cube, frames)
	for i := range list {
		list[i] = pile.Step()
	}
	r := CubesReport{Frames: frames - 2*cubeAcks}
	kbit := func(bytes int) float64 { return float64(bytes) / float64(r.Frames) * 8 * cubeRate / 1000 }
	r.Raw = Cubes * 320 * cubeRate / 1000.
	changed := 0
	for i := 2 * cubeAcks; i < frames; i++ {
		for j := range list[i] {
			if list[i][j] != list[i-cubeAcks][j] {
				changed++
			}
		}
	}
	r.Changed = float64(changed) / float64(r.Frames)
	r.Published, r.Fitted = kbit(published().all(list)), kbit(fit(list))
	ours, err := tellCubes(list, tally)
	if err != nil {
		return CubesReport{}, err
	}
	r.Ours = kbit(ours)
	r.Ratio = r.Ours / min(r.Published, r.Fitted)
	return r, nil
}

func (f fiedler) all(list [][Cubes]Cube) int {
	n := 0
	for i := 2 * cubeAcks; i < len(list); i++ {
		n += f.size(&list[i], &list[i-cubeAcks], &list[i-2*cubeAcks])
	}
	return n
}

// fit tries constants and returns the least bytes.
func fit(list [][Cubes]Cube) int {
	best := published().all(list)
	for _, g := range []int{0, 1, 3, 8, 20, 50} {
		for _, drag := range []float64{0, 0.03, 0.062, 0.12, 0.25, 0.5} {
			best = min(best, fiedler{gravity: g, ground: 103, drag: drag}.all(list))
		}
	}
	return best
}

// cubeSchema has the same steps as the article.
func cubeSchema() (*wire.Schema, error) {
	s := &wire.Schema{}
	part := func(name string) wire.Field {
		return wire.Field{Name: name, Kind: wire.FieldNumber, Max: 511, Precision: 1}
	}
	_, err := s.Define("cube", []wire.Field{
		{Name: "interacting", Kind: wire.FieldBool},
		{Name: "x", Kind: wire.FieldNumber, Min: -16383, Max: 16383, Precision: 1},
		{Name: "y", Kind: wire.FieldNumber, Min: -16383, Max: 16383, Precision: 1},
		{Name: "z", Kind: wire.FieldNumber, Max: 8191, Precision: 1},
		{Name: "largest", Kind: wire.FieldInteger, Max: 3},
		part("a"), part("b"), part("c"),
	})
	return s, err
}

func (c *Cube) values(into []uint32) {
	interacting := uint32(0)
	if c.Interacting {
		interacting = 1
	}
	copy(into, []uint32{
		interacting, uint32(c.X + 16383), uint32(c.Y + 16383), uint32(c.Z), uint32(c.Largest), uint32(c.A), uint32(c.B), uint32(c.C),
	})
}

const cubeFields = 8

type cubeValues [cubeFields]uint32

// cubeTeller tells cubes to one client, who answers after cubeAcks frames.
type cubeTeller struct {
	kind            *wire.Kind
	body            wire.Body
	told            [Cubes]wire.Samples
	past            [][Cubes]cubeValues // by frame
	settled, newest [Cubes]cubeValues
	tokens          []wire.Token
	out             []byte
}

// tellCubes returns the bytes of our bodies and hears them as a client does.
func tellCubes(list [][Cubes]Cube, tally *wire.Tally) (int, error) {
	s, err := cubeSchema()
	if err != nil {
		return 0, err
	}
	d := &cubeTeller{kind: s.Kind(0), body: wire.Body{Tally: tally}, past: make([][Cubes]cubeValues, len(list))}
	decoder := wire.NewDecoder(s)
	var view wire.View
	total := 0
	for i := range list {
		for j := range list[i] {
			list[i][j].values(d.past[i][j][:])
		}
		since := min(i, wire.History-1)
		d.frame(i, since)
		err := decoder.Apply(wire.Snapshot{Tick: throng.Tick(i + 1), Young: i < wire.History, Since: uint8(since), Body: d.out})
		if err != nil {
			return 0, err
		}
		if i >= 2*cubeAcks {
			total += len(d.out)
		}
		decoder.Fill(&view)
		for j := range list[i] {
			if cubeValues(view.At(j).Values) != d.past[i][j] {
				return 0, fmt.Errorf("frame %d: cube %d is seen as %v, which is %v", i, j, view.At(j).Values, d.past[i][j])
			}
		}
	}
	return total, nil
}

// frame writes one frame's body.
func (d *cubeTeller) frame(i, since int) {
	acks := uint32(0)
	for age := cubeAcks; age <= since; age++ {
		acks |= 1 << age
	}
	d.body.Begin(d.out[:0], acks, uint8(since))
	var news []int
	for j := range d.told {
		t := &d.told[j]
		if age, ok := t.Leaving(1, ^uint32(0)); ok {
			d.settled[j] = d.past[i-1-age][j]
		}
		t.Advance(1, ^uint32(0))
		if !t.Seen(acks) {
			news = append(news, j)
			continue
		}
		d.tell(i, j, acks)
	}
	for _, j := range news {
		d.tokens = d.kind.AppendFresh(d.tokens[:0], 0, "", wire.Values{Numbers: d.past[i][j][:]})
		d.body.Add(uint32(j+1), 0, d.tokens)
		d.told[j].Told |= 1
		d.told[j].Fresh |= 1
		d.newest[j] = d.past[i][j]
	}
	d.out = d.body.End()
}

// tell tells a cube that the client has, if it is not as he has it.
func (d *cubeTeller) tell(i, j int, acks uint32) {
	t, now := &d.told[j], &d.past[i][j]
	p := wire.Past{Bases: t.Bases(acks)}
	at := func(age uint8) wire.Values { return wire.Values{Numbers: d.past[i-int(age)][j][:]} }
	if p.Base == 0 {
		p.At[0] = wire.Values{Numbers: d.settled[j][:]}
	} else {
		p.At = [3]wire.Values{at(p.Base), at(p.Older), at(p.Oldest)}
	}
	if cubeValues(p.At[0].Numbers) == *now && d.newest[j] == *now {
		d.body.Untold(t)
		return
	}
	d.tokens = d.kind.AppendChange(d.tokens[:0], 0, wire.Values{Numbers: now[:]}, &p)
	d.body.Change(t, d.tokens)
	t.Told |= 1
	d.newest[j] = *now
}
