package s3_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/auth"
	"github.com/throng-gg/throng/contract"
	"github.com/throng-gg/throng/place"
	"github.com/throng-gg/throng/s3"
	"github.com/throng-gg/throng/s3/s3test"
)

const fresh = 100 * time.Millisecond

// open opens a store whose Run goes on as long as the test.
func open(t *testing.T, cfg s3.Config) *s3.Store {
	t.Helper()
	if cfg.Fresh == 0 {
		cfg.Fresh = fresh
	}
	cfg.Logger = slog.New(slog.NewTextHandler(t.Output(), nil))
	s, err := s3.Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	over := make(chan error, 1)
	go func() { over <- s.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-over; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	return s
}

func packageFile(server *s3test.Server, prefix string, hash throng.PackageHash) string {
	return server.File(prefix + "/packages/" + string(hash[:2]) + "/" + string(hash) + ".tar")
}

func TestStore(t *testing.T) {
	server := s3test.Start(t)
	var n atomic.Int64
	contract.Places(t, func(t *testing.T) contract.PlaceStores {
		prefix := fmt.Sprintf("run-%d/places", n.Add(1))
		s := open(t, s3.Config{URL: server.URL(prefix)})
		return contract.PlaceStores{
			Records:  s,
			Packages: s,
			Again: func(t *testing.T) contract.PlaceStores {
				s := open(t, s3.Config{URL: server.URL(prefix)})
				return contract.PlaceStores{Records: s, Packages: s}
			},
			Damage: func(t *testing.T, hash throng.PackageHash) {
				name := packageFile(server, prefix, hash)
				content, err := os.ReadFile(name)
				if err != nil {
					t.Fatal(err)
				}
				content[len(content)-1] ^= 1
				if err := os.WriteFile(name, content, 0o644); err != nil {
					t.Fatal(err)
				}
			},
		}
	})
}

func TestKeys(t *testing.T) {
	server := s3test.Start(t)
	var n atomic.Int64
	contract.KeyStores(t, func(t *testing.T) (here, there auth.KeyStore) {
		url := server.URL(fmt.Sprintf("keys-%d", n.Add(1)))
		return open(t, s3.Config{URL: url}).Keys(), open(t, s3.Config{URL: url}).Keys()
	})
}

func TestDrains(t *testing.T) {
	server := s3test.Start(t)
	contract.DrainStores(t, func(t *testing.T) (here, there contract.DrainStore, damage func()) {
		return open(t, s3.Config{URL: server.URL("a")}).Drains(), open(t, s3.Config{URL: server.URL("a")}).Drains(), func() {
			if err := os.WriteFile(server.File("a/drains/cluster-x.json"), []byte("{"), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	})
}

func record(id throng.PlaceID, revision uint64, live throng.Version) place.Record {
	return place.Record{Place: id, Revision: revision, Live: live, Releases: []throng.Release{{Place: id, Version: live, Package: place.Hash([]byte{byte(live)})}}}
}

func wantLive(t *testing.T, s *s3.Store, id throng.PlaceID, want throng.Version) {
	t.Helper()
	got, err := s.Get(t.Context(), id)
	if err != nil || got.Live != want {
		t.Fatalf("%s: version %d is live (%v), want %d", id, got.Live, err, want)
	}
}

// What one process swapped, all others read, as soon as Swap has returned.
func TestSwapIsSeenEverywhere(t *testing.T) {
	server := s3test.Start(t)
	writer := open(t, s3.Config{URL: server.URL("a")})
	var readers []*s3.Store
	for range 4 {
		readers = append(readers, open(t, s3.Config{URL: server.URL("a")}))
	}
	for _, r := range readers {
		if _, err := r.Get(t.Context(), "arena"); throng.KindOf(err) != throng.NotFound || err == nil {
			t.Fatalf("before there was one: got %v, want not found", err)
		}
	}
	for v := throng.Version(1); v <= 20; v++ {
		began := time.Now()
		if err := writer.Swap(t.Context(), record("arena", uint64(v)-1, v)); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(began); took < fresh {
			t.Fatalf("Swap took %s: others may know the old one for %s", took, fresh)
		}
		for _, r := range readers {
			wantLive(t, r, "arena", v)
		}
	}
}

// What is known costs the bucket a few small requests a second, whatever is asked.
func TestReadsAreCheap(t *testing.T) {
	server := s3test.Start(t)
	s := open(t, s3.Config{URL: server.URL("a"), Fresh: time.Second})
	for i := range 3 {
		if err := s.Swap(t.Context(), record(throng.PlaceID(fmt.Sprintf("place-%d", i)), 0, 1)); err != nil {
			t.Fatal(err)
		}
	}
	began := time.Now()
	server.Reset()
	for range 100_000 {
		wantLive(t, s, "place-0", 1)
		wantLive(t, s, "place-1", 1)
	}
	most := 2 + 2*(2+int(4*time.Since(began)/time.Second))
	if n := server.Count("GET", ""); n > most {
		t.Errorf("200,000 reads of two places made %d requests in %s, want %d at most", n, time.Since(began), most)
	}
}

// While the bucket is away, what was known is known; what was not, is not.
func TestBucketAway(t *testing.T) {
	server := s3test.Start(t)
	metrics := prometheus.NewRegistry()
	s := open(t, s3.Config{URL: server.URL("a"), Metrics: metrics})
	if err := s.Swap(t.Context(), record("arena", 0, 1)); err != nil {
		t.Fatal(err)
	}
	wantLive(t, s, "arena", 1)
	if list, err := s.List(t.Context(), "", 10); err != nil || len(list) != 1 {
		t.Fatalf("got %v, %v, want one place", list, err)
	}
	server.Cut(true)
	stale := func() float64 {
		wantLive(t, s, "arena", 1)
		families, err := metrics.Gather()
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range families {
			if f.GetName() == "throng_s3_stale_reads_total" {
				return f.GetMetric()[0].GetCounter().GetValue()
			}
		}
		return 0
	}
	if err := s3test.Await(t.Context(), "reads are stale", func() bool { return stale() > 0 }); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	for range 10_000 {
		wantLive(t, s, "arena", 1)
	}
	if took := time.Since(began); took > 20*time.Second {
		t.Errorf("10,000 reads took %s: they wait for a bucket that is away", took)
	}
	if list, err := s.List(t.Context(), "", 10); err != nil || len(list) != 1 {
		t.Errorf("got %v, %v, want one place", list, err)
	}
	if _, err := s.Get(t.Context(), "maze"); throng.KindOf(err) != throng.Unavailable {
		t.Errorf("an unknown one: got %v, want unavailable", err)
	}
	if err := s.Swap(t.Context(), record("arena", 1, 2)); throng.KindOf(err) != throng.Unavailable {
		t.Errorf("Swap: got %v, want unavailable", err)
	}
	server.Cut(false)
	if err := s.Swap(t.Context(), record("arena", 1, 2)); err != nil {
		t.Fatal(err)
	}
	if err := s3test.Await(t.Context(), "the new one is known", func() bool {
		r, err := s.Get(t.Context(), "arena")
		return err == nil && r.Live == 2
	}); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, s *s3.Store, hash throng.PackageHash) ([]byte, error) {
	t.Helper()
	r, _, err := s.Open(t.Context(), hash)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return io.ReadAll(r)
}

// Published in one region is usable in the other, also when the first one's
// bucket is away from then on.
func TestRegions(t *testing.T) {
	a, b := s3test.Start(t), s3test.Start(t)
	regions := []string{a.URL("eu"), b.URL("us")}
	inA := open(t, s3.Config{URL: regions[0], Regions: regions})
	inB := open(t, s3.Config{URL: regions[1], Regions: regions})
	content := bytes.Repeat([]byte("content "), 1000)
	hash := place.Hash(content)
	if err := inA.Put(t.Context(), hash, content); err != nil {
		t.Fatal(err)
	}
	for v := throng.Version(1); v <= 3; v++ {
		if err := inA.Swap(t.Context(), record("arena", uint64(v)-1, v)); err != nil {
			t.Fatal(err)
		}
		wantLive(t, inB, "arena", v)
	}
	// The other region changes it, too: records are swapped at home.
	if err := inB.Swap(t.Context(), record("arena", 3, 4)); err != nil {
		t.Fatal(err)
	}
	wantLive(t, inA, "arena", 4)
	if err := inA.Swap(t.Context(), record("arena", 3, 5)); throng.KindOf(err) != throng.Conflict {
		t.Errorf("Swap of an old revision: got %v, want conflict", err)
	}

	a.Cut(true)
	wantLive(t, inB, "arena", 4)
	if got, err := read(t, inB, hash); err != nil || !bytes.Equal(got, content) {
		t.Errorf("package: got %d bytes, %v", len(got), err)
	}
	cold := open(t, s3.Config{URL: regions[1], Regions: regions}) // one that starts now
	wantLive(t, cold, "arena", 4)
	if err := inB.Swap(t.Context(), record("arena", 4, 5)); throng.KindOf(err) != throng.Unavailable || !strings.Contains(err.Error(), "s3://places/eu") {
		t.Errorf("Swap without home: got %v, want unavailable that names the bucket", err)
	}
	a.Cut(false)
}

// A publish that does not reach a region says so. The region catches up by itself,
// and a package that it misses comes from another one.
func TestRegionThatWasAway(t *testing.T) {
	a, b := s3test.Start(t), s3test.Start(t)
	regions := []string{a.URL("eu"), b.URL("us")}
	inA := open(t, s3.Config{URL: regions[0], Regions: regions})
	if err := inA.Swap(t.Context(), record("arena", 0, 1)); err != nil {
		t.Fatal(err)
	}
	content := []byte("content")
	hash := place.Hash(content)
	b.Cut(true)
	if err := inA.Put(t.Context(), hash, content); throng.KindOf(err) != throng.Unavailable || !strings.Contains(err.Error(), "s3://places/us") {
		t.Errorf("Put: got %v, want unavailable that names the bucket", err)
	}
	if err := inA.Swap(t.Context(), record("arena", 1, 2)); throng.KindOf(err) != throng.Unavailable || !strings.Contains(err.Error(), "s3://places/us") {
		t.Errorf("Swap: got %v, want unavailable that names the bucket", err)
	}
	wantLive(t, inA, "arena", 2)
	b.Cut(false)
	inB := open(t, s3.Config{URL: regions[1], Regions: regions})
	if err := s3test.Await(t.Context(), "the region catches up", func() bool {
		r, err := inB.Get(t.Context(), "arena")
		return err == nil && r.Live == 2
	}); err != nil {
		t.Fatal(err)
	}
	// Many who want a package that is not there fetch it once.
	a.Reset()
	const callers = 8
	got := make(chan error, callers)
	for range callers {
		go func() {
			text, err := read(t, inB, hash)
			if err == nil && !bytes.Equal(text, content) {
				err = fmt.Errorf("got %q", text)
			}
			got <- err
		}()
	}
	for range callers {
		if err := <-got; err != nil {
			t.Error(err)
		}
	}
	a.Cut(true)
	if text, err := read(t, inB, hash); err != nil || !bytes.Equal(text, content) {
		t.Errorf("it was not kept: got %q, %v", text, err)
	}
	if _, err := read(t, inB, place.Hash([]byte("none"))); throng.KindOf(err) != throng.Unavailable {
		t.Errorf("one that may be elsewhere: got %v, want unavailable", err)
	}
	a.Cut(false)
	if _, err := read(t, inB, place.Hash([]byte("none"))); throng.KindOf(err) != throng.NotFound {
		t.Errorf("one that is nowhere: got %v, want not found", err)
	}
}

func TestOpenRefuses(t *testing.T) {
	server := s3test.Start(t)
	for url, want := range map[string]string{
		"":                               "is not a URL like s3://bucket/prefix",
		"http://places/x":                "is not a URL like",
		"s3:///x":                        "is not a URL like",
		"s3://places/x?region=a&foo=1":   `"foo" is none of region, endpoint, path_style`,
		"s3://places/x?endpoint=places":  `endpoint "places" is not a URL`,
		"s3://places/x?path_style=maybe": "path_style must be true or false",
		strings.Replace(server.URL("x"), "places", "nowhere", 1): "there is no bucket nowhere",
	} {
		if _, err := s3.Open(t.Context(), s3.Config{URL: url}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", url, err, want)
		}
	}
	if _, err := s3.Open(t.Context(), s3.Config{URL: server.URL("x"), Regions: []string{server.URL("y")}}); err == nil || !strings.Contains(err.Error(), "is not among the buckets") {
		t.Errorf("not among its regions: got %v", err)
	}
}

// TestFiles: files are whole, replaced under their name, and nowhere but below the
// prefix; a bucket of their own and the one of places are used by one process.
func TestFiles(t *testing.T) {
	server := s3test.Start(t)
	metrics := prometheus.NewRegistry()
	own, err := s3.OpenFiles(t.Context(), server.URL("a/files"), metrics)
	if err != nil {
		t.Fatal(err)
	}
	const name = "minutes/day=2026-11-29/place=arena/analytics-play-0-000000000001.parquet"
	for where, f := range map[string]s3.Files{"a/files/": own, "b/numbers/": open(t, s3.Config{URL: server.URL("b"), Metrics: metrics}).Files()} {
		for _, text := range []string{"one", "one", "two"} { // again after a crash; a day that went on
			if err := f.Put(t.Context(), name, []byte(text)); err != nil {
				t.Fatal(err)
			}
			if got, err := os.ReadFile(server.File(where + name)); err != nil || string(got) != text {
				t.Errorf("%s: got %q, %v, want %q", where, got, err, text)
			}
		}
		for _, bad := range []string{"", ".", "/etc/passwd", "../keys/key.json", "minutes/../../keys/x", "minutes//x"} {
			if err := f.Put(t.Context(), bad, []byte("x")); err == nil || throng.KindOf(err) != throng.Invalid {
				t.Errorf("%s: %q: got %v, want invalid", where, bad, err)
			}
		}
		server.Cut(true)
		if err := f.Put(t.Context(), "late", []byte("x")); err == nil || throng.KindOf(err) != throng.Unavailable {
			t.Errorf("%s: while it is away: got %v, want unavailable", where, err)
		}
		server.Cut(false)
	}
	if _, err := s3.OpenFiles(t.Context(), strings.Replace(server.URL("x"), "places", "nowhere", 1), nil); err == nil || !strings.Contains(err.Error(), "there is no bucket nowhere") {
		t.Errorf("no bucket: got %v", err)
	}
}

func TestFilesContract(t *testing.T) {
	server := s3test.Start(t)
	contract.Files(t, func() contract.FileStore {
		f, err := s3.OpenFiles(t.Context(), server.URL("files"), nil)
		if err != nil {
			t.Error(err)
		}
		return f
	}, func(name string) []byte {
		data, _ := os.ReadFile(server.File("files/" + name))
		return data
	})
}
