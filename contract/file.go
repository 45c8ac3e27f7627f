package contract

import (
	"context"
	"strconv"
	"sync"
	"testing"

	"github.com/throng-gg/throng"
)

// FileStore keeps files that people and their tools read.
type FileStore interface {
	Put(ctx context.Context, name string, data []byte) error
	Update(ctx context.Context, name string, change func(old []byte) []byte) error
}

// Files tests a FileStore. open connects to the same empty one each time; read returns
// what a file has, nil when there is none.
func Files(t *testing.T, open func() FileStore, read func(name string) []byte) {
	const name = "economy/day=2026-11-29/economy-economy-0.json"
	f := open()
	saw := "nothing"
	update := func(data []byte) func([]byte) []byte {
		return func(old []byte) []byte {
			saw = "none"
			if old != nil {
				saw = string(old)
			}
			return data
		}
	}
	want := func(when, old, now string) {
		t.Helper()
		if got := string(read(name)); saw != old || got != now {
			t.Errorf("%s: change saw %q and the file has %q, want %q and %q", when, saw, got, old, now)
		}
	}
	for _, step := range []struct{ when, text, old, now string }{
		{"no change of none", "", "none", ""},
		{"at first", "one", "none", "one"},
		{"no change", "", "one", "one"},
		{"another", "two", "one", "two"},
		{"the same", "two", "two", "two"},
	} {
		var data []byte
		if step.text != "" {
			data = []byte(step.text)
		}
		if err := f.Update(t.Context(), name, update(data)); err != nil {
			t.Fatal(err)
		}
		want(step.when, step.old, step.now)
	}
	filesAtOnce(t, name, open, read)
	for _, bad := range []string{"../out", "/etc/passwd"} {
		if err := f.Update(t.Context(), bad, update([]byte("x"))); err == nil || throng.KindOf(err) != throng.Invalid {
			t.Errorf("%s: got %v, want invalid", bad, err)
		}
	}
}

// filesAtOnce lets three count in one file.
func filesAtOnce(t *testing.T, name string, open func() FileStore, read func(name string) []byte) {
	t.Helper()
	if err := open().Put(t.Context(), name, []byte("0")); err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	for range 3 {
		all.Go(func() {
			g := open()
			for n := 0; n < 10; {
				err := g.Update(t.Context(), name, func(old []byte) []byte {
					count, _ := strconv.Atoi(string(old))
					return strconv.AppendInt(nil, int64(count)+1, 10)
				})
				if err == nil {
					n++
				} else if throng.KindOf(err) != throng.Contention {
					t.Error(err)
					return
				}
			}
		})
	}
	all.Wait()
	if got := string(read(name)); got != "30" {
		t.Errorf("three added ten each: got %s, want 30", got)
	}
}
