package scene_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"flag"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/scene"
	"github.com/throng-gg/throng/wire"
)

var update = flag.Bool("update", false, "rewrite testdata")

// line is one of a file of testdata: what a scene is told, in the order of Ms, and what it
// has to show then. The first line of a file is its Schema. sdk/ts reads them, too.
type line struct {
	About  string `json:"about,omitempty"`
	Rate   int    `json:"rate,omitempty"`
	Player string `json:"player,omitempty"`
	Schema string `json:"schema,omitempty"` // as wire.AppendSchema writes it, hex

	Ms float64 `json:"ms,omitempty"`
	// Input is a move that is sent: sequence, X, Y and buttons.
	Input []int64 `json:"input,omitempty"`
	// A snapshot that comes.
	Tick     throng.Tick `json:"tick,omitempty"`
	Applied  uint32      `json:"applied,omitempty"`
	Round    float64     `json:"round,omitempty"` // ms
	Entities []entity    `json:"entities,omitempty"`
	// What has to be shown.
	Shown []shownEntity `json:"shown,omitempty"`
	Clock float64       `json:"clock,omitempty"`
	Delay float64       `json:"delay,omitempty"` // ticks
	// Correction is the largest of the last snapshots.
	Correction float64 `json:"correction,omitempty"`
}

type entity struct {
	ID     uint32          `json:"id"`
	Kind   int             `json:"kind"`
	Owner  throng.PlayerID `json:"owner,omitempty"`
	Age    int             `json:"age"`
	Values []uint32        `json:"values"`
}

type shownEntity struct {
	ID        uint32    `json:"id"`
	Predicted bool      `json:"predicted,omitempty"`
	Numbers   []float64 `json:"numbers"` // by field
}

// TestVectors plays files of testdata, by which both languages show the same.
// -update records them anew, from the session of link_test.go.
func TestVectors(t *testing.T) {
	for _, c := range []struct {
		file, about string
		link        link
		every       int
	}{
		{"near.jsonl", "a good network", near, 1},
		{"bad.jsonl", "100 ms, give or take 30, and 5 % loss each way", bad, 1},
		{"rare.jsonl", "every fourth tick, and everybody elsewhere at once after 2.5 s", near, 4},
	} {
		path := filepath.Join("testdata", c.file)
		if *update {
			if err := os.WriteFile(path, record(c.about, c.link, c.every), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		checkVectors(t, c.file, strings.Split(strings.TrimSpace(string(b)), "\n"))
	}
}

func checkVectors(t *testing.T, file string, lines []string) {
	var s *scene.Scene
	var schema *wire.Schema
	looks := 0
	for i, text := range lines {
		var l line
		if err := json.Unmarshal([]byte(text), &l); err != nil {
			t.Fatalf("%s:%d: %v", file, i+1, err)
		}
		now := time.Duration(math.Round(l.Ms * 1e6))
		switch {
		case l.Schema != "":
			schema = must(wire.ParseSchema(must(hex.DecodeString(l.Schema))))
			s = scene.New(wire.Welcome{TickRate: uint8(l.Rate), Player: throng.PlayerID(l.Player), Schema: schema})
		case l.Input != nil:
			s.Input(uint32(l.Input[0]), wire.Move{X: int8(l.Input[1]), Y: int8(l.Input[2]), Buttons: uint32(l.Input[3])}, now)
		case l.Tick != 0:
			s.Snapshot(viewOf(schema, l), l.Applied, time.Duration(l.Round*1e6), now)
		default:
			looks++
			got, want := look(s, now), l
			if !alike(got, want) {
				a, _ := json.Marshal(got)
				t.Fatalf("%s:%d: got\n%s\nwant\n%s", file, i+1, a, text)
			}
		}
	}
	if looks < 40 {
		t.Errorf("%s asks %d times only", file, looks)
	}
}

// alike forgives what sums and functions of other machines differ by.
func alike(a, b line) bool {
	same := func(a, b float64) bool { return math.Abs(a-b) < 1e-6 }
	if !same(a.Clock, b.Clock) || !same(a.Delay, b.Delay) || !same(a.Correction, b.Correction) || len(a.Shown) != len(b.Shown) {
		return false
	}
	for i, e := range a.Shown {
		o := b.Shown[i]
		if e.ID != o.ID || e.Predicted != o.Predicted || len(e.Numbers) != len(o.Numbers) {
			return false
		}
		for j := range e.Numbers {
			if !same(e.Numbers[j], o.Numbers[j]) {
				return false
			}
		}
	}
	return true
}

func viewOf(schema *wire.Schema, l line) *wire.View {
	d := &wire.View{}
	d.Reset(l.Tick)
	for _, e := range l.Entities {
		copy(d.Add(schema.Kind(e.Kind), wire.Entity{ID: e.ID, Kind: e.Kind, Owner: e.Owner}).Values, e.Values)
		d.SetAge(d.Len()-1, e.Age)
	}
	return d
}

func look(s *scene.Scene, now time.Duration) line {
	l := line{Ms: float64(now) / 1e6}
	for _, e := range s.At(now) {
		o := shownEntity{ID: e.ID(), Predicted: e.Predicted()}
		for f := range e.Kind().Len() {
			o.Numbers = append(o.Numbers, e.Number(f))
		}
		l.Shown = append(l.Shown, o)
	}
	l.Clock, _ = s.Tick(now)
	stats := s.Stats()
	l.Delay, l.Correction = float64(stats.Behind)/float64(tickTime), stats.Correction
	return l
}

// record plays 4 s of a session and writes down what its scene was told, and showed.
func record(about string, l link, every int) []byte {
	r := newRun(17, l, 3)
	r.every = every
	var out bytes.Buffer
	write := func(l line) { out.Write(append(must(json.Marshal(l)), '\n')) }
	write(line{About: about, Rate: rate, Player: "p0", Schema: hex.EncodeToString(wire.AppendSchema(nil, r.server.Schema()))})
	r.sent = func(now time.Duration, sequence uint32, m wire.Move) {
		write(line{Ms: float64(now) / 1e6, Input: []int64{int64(sequence), int64(m.X), int64(m.Y), int64(m.Buttons)}})
	}
	r.came = func(now time.Duration, v *wire.View, applied uint32, round time.Duration) {
		l := line{Ms: float64(now) / 1e6, Tick: v.Tick, Applied: applied, Round: float64(round) / 1e6}
		for i := range v.Len() {
			e := v.At(i)
			l.Entities = append(l.Entities, entity{e.ID, e.Kind, e.Owner, v.Age(i), append([]uint32{}, e.Values...)})
		}
		write(l)
	}
	if every > 1 {
		r.at(12500*time.Millisecond, func() {
			for _, p := range r.people {
				x, y := p.body.Place()
				r.put(p, size-x, size-y)
			}
		})
	}
	for now := r.now; now < 14*time.Second; now += 71 * time.Millisecond {
		r.until(now)
		if l := look(r.scene, now); len(l.Shown) > 0 {
			write(l)
		}
	}
	return out.Bytes()
}
