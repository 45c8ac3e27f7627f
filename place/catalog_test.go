package place_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"reflect"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/contract"
	"github.com/throng-gg/throng/place"
)

// stores keeps records and packages in memory. fail, when set, is asked before
// each write.
type stores struct {
	mu       sync.Mutex
	records  map[throng.PlaceID]place.Record
	packages map[throng.PackageHash][]byte
	fail     func(what string) error
}

func newStores() *stores {
	return &stores{
		records:  map[throng.PlaceID]place.Record{},
		packages: map[throng.PackageHash][]byte{},
		fail:     func(string) error { return nil },
	}
}

func (s *stores) Put(_ context.Context, hash throng.PackageHash, content []byte) error {
	if place.Hash(content) != hash {
		return throng.Errorf(throng.Invalid, "content has another hash")
	}
	if err := s.fail("put"); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.packages[hash] = bytes.Clone(content)
	return nil
}

func (s *stores) Open(_ context.Context, hash throng.PackageHash) (io.ReadCloser, int64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	content, ok := s.packages[hash]
	if !ok {
		return nil, 0, throng.Errorf(throng.NotFound, "no such package")
	}
	if place.Hash(content) != hash {
		return nil, 0, throng.Errorf(throng.Internal, "damaged")
	}
	return io.NopCloser(bytes.NewReader(content)), int64(len(content)), nil
}

func (s *stores) Get(_ context.Context, id throng.PlaceID) (place.Record, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r, ok := s.records[id]
	if !ok {
		return place.Record{}, throng.Errorf(throng.NotFound, "no such place")
	}
	return r, nil
}

func (s *stores) Swap(_ context.Context, r place.Record) error {
	if err := s.fail("swap"); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.records[r.Place].Revision != r.Revision {
		return throng.Errorf(throng.Conflict, "it moved on")
	}
	r.Revision++
	r.Releases, r.Owners, r.Before = slices.Clone(r.Releases), slices.Clone(r.Owners), slices.Clone(r.Before)
	s.records[r.Place] = r
	return nil
}

func (s *stores) List(_ context.Context, after throng.PlaceID, limit int) ([]place.Record, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var list []place.Record
	for id, r := range s.records {
		if id > after {
			list = append(list, r)
		}
	}
	slices.SortFunc(list, func(a, b place.Record) int { return bytes.Compare([]byte(a.Place), []byte(b.Place)) })
	return list[:min(limit, len(list))], nil
}

func TestStoresOfThisTest(t *testing.T) {
	contract.Places(t, func(*testing.T) contract.PlaceStores {
		s := newStores()
		return contract.PlaceStores{Records: s, Packages: s, Damage: func(_ *testing.T, hash throng.PackageHash) {
			s.packages[hash] = flip(s.packages[hash], 0)
		}}
	})
}

var published = time.UnixMilli(1_700_000_000_123)

func newCatalog(t *testing.T, s *stores) *place.Catalog {
	t.Helper()
	c, err := place.New(place.Config{
		Records:  s,
		Packages: s,
		CheckScripts: func(files map[string][]byte, entry string) error {
			if bytes.HasPrefix(files[entry], []byte("bad")) {
				return throng.AtField(throng.Invalid, entry+":1", "unexpected symbol near 'bad'")
			}
			return nil
		},
		Now:    func() time.Time { return published },
		Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func placeFiles(id, script string) map[string][]byte {
	return map[string][]byte{
		"place.yaml": []byte("id: " + id + "\nname: Place " + id + "\ncapacity: 10\nentry: main.lua\n"),
		"main.lua":   []byte(script),
	}
}

func publish(t *testing.T, c *place.Catalog, files map[string][]byte) (throng.Release, error) {
	t.Helper()
	p, err := publishHow(t, c, files, throng.Publication{})
	return p.Release, err
}

func publishHow(t *testing.T, c *place.Catalog, files map[string][]byte, how throng.Publication) (throng.Published, error) {
	t.Helper()
	var b bytes.Buffer
	if err := place.WriteUpload(&b, files); err != nil {
		t.Fatal(err)
	}
	return c.Publish(t.Context(), ada, "arena", &b, how)
}

// ada is a creator.
var ada = throng.Editor{Player: "ada"}

func TestPublish(t *testing.T) {
	s := newStores()
	c := newCatalog(t, s)
	if _, err := c.Release(t.Context(), "arena"); throng.KindOf(err) != throng.NotFound {
		t.Errorf("Release before Publish: got %v, want not found", err)
	}
	files := placeFiles("arena", "--1")
	content, hash, err := place.Pack(files)
	if err != nil {
		t.Fatal(err)
	}
	want := throng.Release{
		Place: "arena", Name: "Place arena", Version: 1, Package: hash, Scripts: hash, Capacity: 10, TickRate: 30,
		Weights: throng.Weights{Fill: 2, Latency: 3, Friends: 15}, Published: published.UnixMilli(),
	}
	for range 2 { // the same content is the same version
		got, err := publish(t, c, files)
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Fatalf("Publish: got %+v, %v, want %+v", got, err, want)
		}
	}
	if got, err := c.Release(t.Context(), "arena"); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("Release: got %+v, %v, want %+v", got, err, want)
	}
	r, length, err := c.Package(t.Context(), hash)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(r); err != nil || !bytes.Equal(got, content) || length != int64(len(content)) {
		t.Errorf("Package: got %d bytes, length %d, %v, want %d", len(got), length, err, len(content))
	}

	second, err := publish(t, c, placeFiles("arena", "--2"))
	if err != nil || second.Version != 2 || second.Package == hash {
		t.Errorf("second Publish: got %+v, %v, want version 2", second, err)
	}
	third, err := publish(t, c, files) // older content again is a new version
	if err != nil || third.Version != 3 || third.Package != hash {
		t.Errorf("third Publish: got %+v, %v, want version 3 of the first package", third, err)
	}
	if got, err := c.Version(t.Context(), "arena", 1); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("Version 1: got %+v, %v, want %+v", got, err, want)
	}
	if _, err := c.Version(t.Context(), "arena", 4); throng.KindOf(err) != throng.NotFound || err == nil {
		t.Errorf("Version 4: got %v, want not found", err)
	}
	if got := len(s.records["arena"].Releases); got != 3 {
		t.Errorf("got %d versions kept, want 3", got)
	}
}

// What game servers run is a package of its own, without the assets.
func TestPublishStoresScriptsApart(t *testing.T) {
	s := newStores()
	c := newCatalog(t, s)
	files := placeFiles("arena", "--1")
	_, scripts, err := place.Pack(files)
	if err != nil {
		t.Fatal(err)
	}
	files["asset.bin"] = make([]byte, 5000)
	_, all, err := place.Pack(files)
	if err != nil {
		t.Fatal(err)
	}
	got, err := publish(t, c, files)
	if err != nil || got.Package != all || got.Scripts != scripts {
		t.Fatalf("got %+v, %v, want package %s with scripts %s", got, err, all, scripts)
	}
	for hash, want := range map[throng.PackageHash][]string{all: {"asset.bin", "main.lua", "place.yaml"}, scripts: {"main.lua", "place.yaml"}} {
		r, _, err := c.Package(t.Context(), hash)
		if err != nil {
			t.Fatal(err)
		}
		got, err := place.Unpack(r, hash)
		if paths := slices.Sorted(maps.Keys(got)); err != nil || !slices.Equal(paths, want) {
			t.Errorf("got files %q and %v, want %q", paths, err, want)
		}
	}
	files["asset.bin"] = []byte("another")
	second, err := publish(t, c, files)
	if err != nil || second.Version != 2 || second.Package == all || second.Scripts != scripts {
		t.Errorf("another asset: got %+v, %v, want version 2 with the same scripts", second, err)
	}
}

func TestPublishRefusesBeforeStoring(t *testing.T) {
	s := newStores()
	c := newCatalog(t, s)
	first, err := publish(t, c, placeFiles("arena", "--1"))
	if err != nil {
		t.Fatal(err)
	}
	noEntry := placeFiles("arena", "")
	delete(noEntry, "main.lua")
	badScript := placeFiles("arena", "bad")
	for name, c2 := range map[string]struct {
		files map[string][]byte
		want  string
	}{
		"no manifest":      {map[string][]byte{"main.lua": nil}, "publish arena: place.yaml: is missing"},
		"folder in folder": {map[string][]byte{"arena/place.yaml": nil}, "publish arena: place.yaml: is missing; there is arena/place.yaml, was its folder packed in place of what is in it?"},
		"bad manifest":     {map[string][]byte{"place.yaml": []byte("id: arena\nname: A\ncapacity: 0\nentry: main.lua\n")}, "publish arena: place.yaml:3: capacity: must be 1 to 200, is 0"},
		"another place":    {placeFiles("maze", "--"), `publish arena: place.yaml: id: is "maze", and the upload is for "arena"`},
		"no entry":         {noEntry, `publish arena: place.yaml: entry: there is no file "main.lua"`},
		"bad script":       {badScript, "publish arena: main.lua:1: unexpected symbol near 'bad'"},
	} {
		_, err := publish(t, c, c2.files)
		if err == nil || err.Error() != c2.want || throng.KindOf(err) != throng.Invalid {
			t.Errorf("%s: got %v %v, want invalid %s", name, throng.KindOf(err), err, c2.want)
		}
	}
	if _, err := c.Publish(t.Context(), ada, "../x", &bytes.Buffer{}, throng.Publication{}); throng.KindOf(err) != throng.Invalid || err == nil {
		t.Errorf("a bad place ID: got %v, want invalid", err)
	}
	if _, err := c.Publish(t.Context(), ada, "arena", &bytes.Buffer{}, throng.Publication{}); throng.KindOf(err) != throng.Invalid || err == nil {
		t.Errorf("an empty upload: got %v, want invalid", err)
	}
	if got, err := c.Release(t.Context(), "arena"); err != nil || !reflect.DeepEqual(got, first) {
		t.Errorf("Release afterwards: got %+v, %v, want %+v", got, err, first)
	}
	if len(s.packages) != 1 {
		t.Errorf("got %d packages stored, want 1", len(s.packages))
	}
}

// A store that fails before any write leaves the live version as it was, and
// the publish can be repeated.
func TestPublishSurvivesItsStores(t *testing.T) {
	for _, broken := range []string{"put", "swap"} {
		s := newStores()
		c := newCatalog(t, s)
		first, err := publish(t, c, placeFiles("arena", "--1"))
		if err != nil {
			t.Fatal(err)
		}
		s.fail = func(what string) error {
			if what == broken {
				return throng.Errorf(throng.Unavailable, "the disk is full")
			}
			return nil
		}
		if _, err := publish(t, c, placeFiles("arena", "--2")); throng.KindOf(err) != throng.Unavailable {
			t.Errorf("%s fails: got %v, want unavailable", broken, err)
		}
		if got, err := c.Release(t.Context(), "arena"); err != nil || !reflect.DeepEqual(got, first) {
			t.Errorf("%s fails: got %+v, %v, want %+v", broken, got, err, first)
		}
		s.fail = func(string) error { return nil }
		if got, err := publish(t, c, placeFiles("arena", "--2")); err != nil || got.Version != 2 {
			t.Errorf("repeated after %s failed: got %+v, %v, want version 2", broken, got, err)
		}
	}
}

func TestPublishersRace(t *testing.T) {
	s := newStores()
	c := newCatalog(t, s)
	const publishers = 12
	versions := make([]throng.Version, publishers)
	var group sync.WaitGroup
	for i := range publishers {
		group.Go(func() {
			r, err := publish(t, c, placeFiles("arena", fmt.Sprintf("--%d", i)))
			if err != nil {
				t.Errorf("publisher %d: %v", i, err)
			}
			versions[i] = r.Version
		})
	}
	group.Wait()
	slices.Sort(versions)
	for i, v := range versions {
		if v != throng.Version(i+1) {
			t.Fatalf("got versions %v, want 1 to %d, each once", versions, publishers)
		}
	}
	for i, r := range s.records["arena"].Releases {
		if r.Version != throng.Version(i+1) {
			t.Errorf("kept release %d is version %d", i, r.Version)
		}
	}
}

func TestPublishLosesEveryRace(t *testing.T) {
	s := newStores()
	c := newCatalog(t, s)
	s.fail = func(what string) error {
		if what == "swap" {
			return throng.Errorf(throng.Conflict, "another one was first")
		}
		return nil
	}
	_, err := publish(t, c, placeFiles("arena", "--"))
	if throng.KindOf(err) != throng.Contention || throng.RetryAfterOf(err) == 0 {
		t.Errorf("got %v, want contention with a time to come back", err)
	}
}

func TestPublishWaitsItsTurn(t *testing.T) {
	c := newCatalog(t, newStores())
	ctx, cancel := context.WithCancel(t.Context())
	began := make(chan struct{})
	never, end := io.Pipe()
	var group sync.WaitGroup
	for range 4 {
		group.Go(func() {
			_, err := c.Publish(t.Context(), ada, "arena", io.MultiReader(signal(began), never), throng.Publication{})
			if throng.KindOf(err) != throng.Invalid || err == nil {
				t.Errorf("an upload that ends at once: got %v, want invalid", err)
			}
		})
		<-began
	}
	cancel()
	_, err := c.Publish(ctx, ada, "arena", &bytes.Buffer{}, throng.Publication{})
	if throng.KindOf(err) != throng.Unavailable || !errors.Is(err, context.Canceled) {
		t.Errorf("fifth upload: got %v, want unavailable once its caller left", err)
	}
	if err := end.Close(); err != nil {
		t.Fatal(err)
	}
	group.Wait()
}

// signal says that it is being read.
type signal chan struct{}

func (s signal) Read([]byte) (int, error) { s <- struct{}{}; return 0, io.EOF }

func TestReleases(t *testing.T) {
	s := newStores()
	c := newCatalog(t, s)
	for _, id := range []string{"c", "a", "b"} {
		var b bytes.Buffer
		if err := place.WriteUpload(&b, placeFiles(id, "--")); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Publish(t.Context(), ada, throng.PlaceID(id), &b, throng.Publication{}); err != nil {
			t.Fatal(err)
		}
	}
	for _, c2 := range []struct {
		after throng.PlaceID
		limit int
		want  string
	}{{"", 100, "abc"}, {"", 2, "ab"}, {"a", 2, "bc"}, {"c", 2, ""}, {"", -1, "a"}} {
		releases, err := c.Releases(t.Context(), c2.after, c2.limit)
		got := ""
		for _, r := range releases {
			got += string(r.Place)
		}
		if err != nil || got != c2.want {
			t.Errorf("after %q, limit %d: got %q, %v, want %q", c2.after, c2.limit, got, err, c2.want)
		}
	}
	if _, _, err := c.Package(t.Context(), "../../etc/passwd"); throng.KindOf(err) != throng.Invalid || err == nil {
		t.Errorf("a package that is a path: got %v, want invalid", err)
	}
}
