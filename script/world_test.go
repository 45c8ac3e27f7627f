package script

import (
	"errors"
	"fmt"
	"slices"

	"github.com/throng-gg/throng"
)

// fakeWorld keeps what scripts do to the world.
type fakeWorld struct {
	kinds    []string
	fields   [][]Field
	entities map[uint32]*fakeEntity
	last     uint32
	writes   int
	rules    []string
	full     int // how many entities fit; 0: any number
}

type fakeEntity struct {
	kind    int
	owner   throng.PlayerID
	numbers []float64
	strings []string
}

func newFakeWorld() *fakeWorld { return &fakeWorld{entities: make(map[uint32]*fakeEntity)} }

func (w *fakeWorld) Define(name string, fields []Field) (int, error) {
	if name == "refused" {
		return 0, errors.New("the world refuses")
	}
	w.kinds = append(w.kinds, name)
	w.fields = append(w.fields, slices.Clone(fields))
	return len(w.kinds) - 1, nil
}

func (w *fakeWorld) Spawn(kind int, owner throng.PlayerID) (uint32, error) {
	if w.full > 0 && len(w.entities) >= w.full {
		return 0, throng.Errorf(throng.Full, "the world is full")
	}
	w.last++
	n := len(w.fields[kind])
	w.entities[w.last] = &fakeEntity{kind, owner, make([]float64, n), make([]string, n)}
	return w.last, nil
}

func (w *fakeWorld) Remove(entity uint32) { delete(w.entities, entity) }

func (w *fakeWorld) SetNumber(entity uint32, field int, v float64) error {
	e := w.entities[entity]
	if e == nil {
		return fmt.Errorf("no entity %d", entity)
	}
	f := w.fields[e.kind][field]
	if f.Kind != FieldBool && (v < f.Min || v > f.Max) {
		return fmt.Errorf("%s is %v", f.Name, v)
	}
	e.numbers[field] = v
	w.writes++
	return nil
}

func (w *fakeWorld) SetString(entity uint32, field int, v string) error {
	e := w.entities[entity]
	if e == nil {
		return fmt.Errorf("no entity %d", entity)
	}
	e.strings[field] = v
	w.writes++
	return nil
}

func (w *fakeWorld) Rule(kind int, seen, weight float64) error {
	w.rules = append(w.rules, fmt.Sprintf("%s seen %v weighs %v", w.kinds[kind], seen, weight))
	return nil
}

func (w *fakeWorld) Gait(kind int, g Gait) error {
	if g.Speed > 100 {
		return fmt.Errorf("speed %v is too fast", g.Speed)
	}
	w.rules = append(w.rules, fmt.Sprintf("%s moves %v", w.kinds[kind], g))
	return nil
}

// Past is one less for each tick.
func (w *fakeWorld) Past(entity uint32, field, ticks int) (float64, bool) {
	e := w.entities[entity]
	if e == nil {
		return 0, false
	}
	return e.numbers[field] - float64(ticks), true
}

// number reads a field by name.
func (w *fakeWorld) number(id uint32, name string) float64 {
	e := w.entities[id]
	for i, f := range w.fields[e.kind] {
		if f.Name == name {
			return e.numbers[i]
		}
	}
	return -1
}
