package profile

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"testing"
)

// typical is a profile of about 10 KB as places write it: settings, statistics,
// quests, an inventory view with rolled numbers, friends, all random but for the
// words.
func typical(seed uint64) []byte {
	rng := rand.New(rand.NewPCG(seed, 2)) //nolint:gosec // a seed
	words := []string{"sword", "shield", "bow", "helmet", "ring", "potion", "scroll", "boots", "amulet", "lantern", "rope", "torch"}
	moods := []string{"common", "rare", "epic", "legendary"}
	var bag, quests []any
	for range 82 {
		bag = append(bag, map[string]any{
			"kind": words[rng.IntN(len(words))], "rarity": moods[rng.IntN(4)], "level": rng.IntN(60), "power": rng.IntN(1000), "slot": rng.IntN(40), "durability": rng.IntN(101),
		})
	}
	for n := range 40 {
		quests = append(quests, map[string]any{"quest": fmt.Sprintf("chapter_%d_task_%d", n/6, n%6), "done": rng.IntN(2) == 0, "progress": rng.IntN(100)})
	}
	stats := map[string]int{}
	for n := range 40 {
		stats[fmt.Sprintf("%s_%s", words[n%len(words)], []string{"used", "found", "sold", "made"}[n/10])] = rng.IntN(10_000)
	}
	doc, err := json.Marshal(map[string]any{
		"bag": bag, "quests": quests, "stats": stats, "settings": map[string]any{"music": 0.4, "effects": 0.8, "language": "en", "hints": true},
		"position": map[string]any{"x": rng.Float64() * 64, "y": rng.Float64() * 64, "zone": "harbour"},
	})
	if err != nil {
		panic(err)
	}
	return doc
}

// TestTypicalSaveIsSmall: a profile of 10 KB is at most 3 KB stored.
func TestTypicalSaveIsSmall(t *testing.T) {
	c, err := newCodec()
	if err != nil {
		t.Fatal(err)
	}
	most, plain := 0, 0
	for seed := range uint64(50) {
		doc := typical(seed)
		data := c.pack(doc)
		if back, err := c.unpack(data); err != nil || string(back) != string(doc) {
			t.Fatalf("it does not come back: %v", err)
		}
		most, plain = max(most, len(data)), max(plain, len(doc))
	}
	t.Logf("documents of up to %d bytes are stored in up to %d", plain, most)
	if plain < 9_500 || most > 3_000 {
		t.Errorf("documents of up to %d bytes are stored in up to %d, want 10 KB in at most 3,000", plain, most)
	}
}

// FuzzUnpack: whatever is stored is read or refused, within bounds.
func FuzzUnpack(f *testing.F) {
	c, err := newCodec()
	if err != nil {
		f.Fatal(err)
	}
	f.Add([]byte{})
	f.Add([]byte{1})
	f.Add(c.pack([]byte(`{"a":[1,2,{"b":"c"}]}`)))
	f.Fuzz(func(t *testing.T, data []byte) {
		doc, err := c.unpack(data)
		if err != nil {
			return
		}
		if back, err := c.unpack(c.pack(doc)); err != nil || string(back) != string(doc) {
			t.Errorf("%q does not come back: %v", doc, err)
		}
	})
}
