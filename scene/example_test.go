package scene_test

import (
	"fmt"
	"time"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/scene"
	"github.com/throng-gg/throng/wire"
)

// A client tells a scene of inputs and snapshots, and draws what it shows at each frame.
func Example() {
	var schema wire.Schema
	kind, err := schema.Define("walker", []wire.Field{
		{Name: "x", Kind: wire.FieldNumber, Max: 64, Precision: 1. / 64},
		{Name: "y", Kind: wire.FieldNumber, Max: 64, Precision: 1. / 64},
	})
	if err != nil {
		panic(err)
	}
	if err := schema.SetGait(kind, wire.Gait{Speed: 6}); err != nil { // metres a second
		panic(err)
	}
	s := scene.New(wire.Welcome{TickRate: 20, Player: "ada", Schema: &schema})

	// The server's part: where ada is at a tick.
	snapshot := func(tick throng.Tick, x uint32) *wire.View {
		v := &wire.View{}
		v.Reset(tick)
		ada := v.Add(schema.Kind(kind), wire.Entity{ID: 1, Kind: kind, Owner: "ada"})
		copy(ada.Values, []uint32{x * 64, 32 * 64})
		return v
	}

	const tick = 50 * time.Millisecond
	s.Input(1, wire.MakeMove(0, 0, 0), 0)
	s.Snapshot(snapshot(1, 10), 1, 2*tick, 2*tick)    // 100 ms later the input is in the world
	s.Input(2, wire.MakeMove(1, 0, 0), 3*tick)        // to the right, 6 metres a second
	for now := 3 * tick; now <= 6*tick; now += tick { // no newer snapshot came
		for _, e := range s.At(now) {
			x, _ := e.Kind().Field("x")
			fmt.Printf("%v after the input: x %.1f\n", now-3*tick, e.Number(x))
		}
	}
	// Output:
	// 0s after the input: x 10.0
	// 50ms after the input: x 10.3
	// 100ms after the input: x 10.6
	// 150ms after the input: x 10.9
}
