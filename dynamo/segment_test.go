package dynamo

import (
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
)

// TestSegmentsStayFew: however many commits of whatever size a shard has, its segments
// are few, and what was written once is not written often again.
func TestSegmentsStayFew(t *testing.T) {
	t.Parallel()
	for name, size := range map[string]func(*rand.Rand) int{
		"small": func(*rand.Rand) int { return 200 },
		"large": func(r *rand.Rand) int { return r.IntN(1 << 20) },
		"mixed": func(r *rand.Rand) int { return 1 << r.IntN(21) },
	} {
		rng := rand.New(rand.NewPCG(1, 1)) //nolint:gosec // it is played again from its seed
		var segments []segment
		most, added, written := 0, 0, 0
		for range 50_000 {
			n := size(rng)
			added += n
			from := mergeFrom(segments, n)
			for _, s := range segments[from:] {
				n += s.Bytes
			}
			written += n
			segments = append(segments[:from:from], segment{Bytes: n})
			most = max(most, len(segments))
		}
		t.Logf("%s: %d MB in %d segments at most, each byte written %.1f times", name, added>>20, most, float64(written)/float64(added))
		if most > 60 || written > 10*added {
			t.Errorf("%s: %d segments, each byte written %d times, want at most 60 and 10", name, most, written/added)
		}
	}
}

func TestPackedRows(t *testing.T) {
	t.Parallel()
	c, err := newCodec()
	if err != nil {
		t.Fatal(err)
	}
	want := shardRows{"rgone": nil, "rempty": {}, "rzero": {0}, "r": []byte("x"), pageKey(7): make([]byte, 64)}
	data := c.pack(want)
	got := shardRows{"rgone": []byte("earlier"), "rother": []byte("y")}
	if err := c.unpack(data, got); err != nil {
		t.Fatal(err)
	}
	want["rother"] = []byte("y")
	if !maps.EqualFunc(got, want, func(a, b []byte) bool { return slices.Equal(a, b) && (a == nil) == (b == nil) }) {
		t.Errorf("got %q, want %q", got, want)
	}
	for n := range data {
		if err := c.unpack(data[:n], shardRows{}); err == nil && n > 0 {
			t.Errorf("%d of %d bytes could be read", n, len(data))
		}
	}
}
