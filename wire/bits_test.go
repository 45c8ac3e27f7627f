package wire

import (
	"testing"

	"pgregory.net/rapid"
)

func TestBitsComeBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		type item struct {
			v uint32
			n uint8
		}
		items := rapid.SliceOf(rapid.Custom(func(t *rapid.T) item {
			n := rapid.Uint8Range(0, 33).Draw(t, "bits; 33 is a count")
			v := rapid.Uint32().Draw(t, "value")
			if n < 32 {
				v &= 1<<n - 1
			}
			return item{v, n}
		})).Draw(t, "items")
		var w bitWriter
		for i, it := range items {
			m := w.mark()
			if i%3 == 0 { // what is taken back leaves nothing
				w.bits(0xffffffff, 29)
				w.rewind(m)
			}
			if it.n == 33 {
				w.count(it.v)
			} else {
				w.bits(it.v, it.n)
			}
		}
		size := w.size()
		out := w.finish()
		if len(out) != size {
			t.Fatalf("size said %d, finish made %d", size, len(out))
		}
		r := bitReader{src: out}
		for i, it := range items {
			var got uint32
			if it.n == 33 {
				got = r.count()
			} else {
				got = r.bits(it.n)
			}
			if got != it.v {
				t.Fatalf("item %d: got %d, want %d", i, got, it.v)
			}
		}
		if r.short {
			t.Fatal("short before the end")
		}
		r.bits(8)
		if !r.short {
			t.Fatal("not short after the end")
		}
	})
}
