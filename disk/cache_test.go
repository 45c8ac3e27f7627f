package disk_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/disk"
	"github.com/throng-gg/throng/place"
)

// pack is a package of so many bytes of noise.
func pack(t *testing.T, size int) ([]byte, throng.PackageHash) {
	t.Helper()
	files := map[string][]byte{place.ManifestFile: []byte("id: heavy\n"), "main.lua": []byte("-- nothing\n")}
	for n := 0; size > 0; n++ {
		part := make([]byte, min(size, place.MaxFile))
		rand.Read(part)
		files[fmt.Sprintf("asset-%d.bin", n)] = part
		size -= len(part)
	}
	content, hash, err := place.Pack(files)
	if err != nil {
		t.Fatal(err)
	}
	return content, hash
}

// source is where packages come from; it counts.
type source struct {
	content map[throng.PackageHash][]byte
	fetched atomic.Int64
	spoil   func(n int64, content []byte) []byte
}

func (s *source) fetch(_ context.Context, hash throng.PackageHash) (io.ReadCloser, error) {
	n := s.fetched.Add(1)
	content, ok := s.content[hash]
	if !ok {
		return nil, throng.Errorf(throng.NotFound, "there is no package %s", hash)
	}
	if s.spoil != nil {
		content = s.spoil(n, bytes.Clone(content))
	}
	return io.NopCloser(bytes.NewReader(content)), nil
}

func newCache(t *testing.T, dir string, most int64) *disk.Cache {
	t.Helper()
	c, err := disk.NewCache(disk.CacheConfig{Dir: dir, Bytes: most})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func wantFiles(t *testing.T, c *disk.Cache, s *source, hash throng.PackageHash, fetched int64) {
	t.Helper()
	files, err := c.Scripts(t.Context(), hash, s.fetch)
	if err != nil {
		t.Fatal(err)
	}
	want, err := place.UnpackScripts(bytes.NewReader(s.content[hash]), hash)
	if err != nil {
		t.Fatal(err)
	}
	if len(want) < 2 || !maps.EqualFunc(files, want, bytes.Equal) {
		t.Errorf("got other files: %v", slices.Collect(maps.Keys(files)))
	}
	if n := s.fetched.Load(); n != fetched {
		t.Errorf("it was fetched %d times, want %d", n, fetched)
	}
}

func TestCacheFetchesOnce(t *testing.T) {
	content, hash := pack(t, 1<<20)
	s := &source{content: map[throng.PackageHash][]byte{hash: content}}
	dir := filepath.Join(t.TempDir(), "made", "here")
	c := newCache(t, dir, 0)
	var group sync.WaitGroup
	for range 50 {
		group.Go(func() {
			if _, err := c.Scripts(t.Context(), hash, s.fetch); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	wantFiles(t, c, s, hash, 1)
	wantFiles(t, newCache(t, dir, 0), s, hash, 1)
}

func TestCacheFetchesDamagedAgain(t *testing.T) {
	content, hash := pack(t, 10_000)
	s := &source{content: map[throng.PackageHash][]byte{hash: content}}
	dir := t.TempDir()
	c := newCache(t, dir, 0)
	wantFiles(t, c, s, hash, 1)
	file := filepath.Join(dir, string(hash)+".tar")
	fetched := int64(1)
	for name, spoil := range map[string]func([]byte) []byte{
		"one bit": func(b []byte) []byte { b[5000] ^= 1; return b },
		"header":  func(b []byte) []byte { b[3] ^= 1; return b },
		"cut":     func(b []byte) []byte { return b[:len(b)/2] },
		"empty":   func([]byte) []byte { return nil },
		"longer":  func(b []byte) []byte { return append(b, 0) },
		"another": func([]byte) []byte { other, _ := pack(t, 100); return other },
	} {
		change(t, file, spoil)
		fetched++
		wantFiles(t, c, s, hash, fetched)
		if t.Failed() {
			t.Fatal(name)
		}
		wantFiles(t, c, s, hash, fetched) // and is whole again
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	wantFiles(t, c, s, hash, fetched+1)
}

// What comes damaged is fetched once more, and is neither used nor kept.
func TestCacheOfDamagedSource(t *testing.T) {
	content, hash := pack(t, 10_000)
	s := &source{content: map[throng.PackageHash][]byte{hash: content}, spoil: func(n int64, b []byte) []byte {
		if n <= 3 {
			b[600] ^= 1
		}
		return b
	}}
	dir := t.TempDir()
	c := newCache(t, dir, 0)
	files, err := c.Scripts(t.Context(), hash, s.fetch)
	if err == nil || files != nil || throng.KindOf(err) != throng.Internal || !strings.Contains(err.Error(), "is damaged") {
		t.Errorf("got %d files and %v, want none and a damaged package", len(files), err)
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "*.*")); len(left) != 0 {
		t.Errorf("it was kept: %v", left)
	}
	wantFiles(t, c, s, hash, 4)
	_, err = c.Scripts(t.Context(), place.Hash([]byte("none")), s.fetch)
	if throng.KindOf(err) != throng.NotFound {
		t.Errorf("one that is nowhere: got %v, want not found", err)
	}
	if _, err := c.Scripts(t.Context(), "../../etc/passwd", s.fetch); throng.KindOf(err) != throng.Invalid || err == nil {
		t.Errorf("a hash that is a path: got %v, want invalid", err)
	}
	broken := errors.New("the line broke")
	if _, err := c.Scripts(t.Context(), place.Hash([]byte("x")), func(context.Context, throng.PackageHash) (io.ReadCloser, error) {
		return nil, broken
	}); !errors.Is(err, broken) {
		t.Errorf("got %v, want what fetch said", err)
	}
}

func TestCacheIsBounded(t *testing.T) {
	s := &source{content: map[throng.PackageHash][]byte{}}
	var hashes []throng.PackageHash
	size := 0
	for range 5 {
		content, hash := pack(t, 100_000)
		s.content[hash], size = content, len(content)
		hashes = append(hashes, hash)
	}
	dir := t.TempDir()
	c := newCache(t, dir, int64(3*size))
	for i, hash := range hashes {
		wantFiles(t, c, s, hash, int64(i+1))
		old := time.Now().Add(time.Duration(i-10) * time.Hour)
		if err := os.Chtimes(filepath.Join(dir, string(hash)+".tar"), old, old); err != nil {
			t.Fatal(err)
		}
		if i == 2 {
			wantFiles(t, c, s, hashes[0], 3) // used again: the second one is the oldest now
		}
	}
	left, err := filepath.Glob(filepath.Join(dir, "*.tar"))
	if err != nil || len(left) != 3 {
		t.Errorf("got %v (%v), want three packages", left, err)
	}
	wantFiles(t, c, s, hashes[0], 5)
	wantFiles(t, c, s, hashes[1], 6)
}

// A cache that cannot be written costs a fetch each, and no session.
func TestCacheThatCantBeWritten(t *testing.T) {
	content, hash := pack(t, 1000)
	s := &source{content: map[throng.PackageHash][]byte{hash: content}}
	dir := filepath.Join(t.TempDir(), "cache")
	c := newCache(t, dir, 0)
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	wantFiles(t, c, s, hash, 1)
	wantFiles(t, c, s, hash, 2)
	if err := os.WriteFile(dir, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := disk.NewCache(disk.CacheConfig{Dir: dir}); err == nil || strings.Contains(err.Error(), "\n") {
		t.Errorf("a file is there: got %v, want one line", err)
	}
}

func TestCacheWaitEnds(t *testing.T) {
	content, hash := pack(t, 1000)
	s := &source{content: map[throng.PackageHash][]byte{hash: content}}
	c := newCache(t, t.TempDir(), 0)
	began, goOn := make(chan struct{}), make(chan struct{})
	over := make(chan error)
	go func() {
		_, err := c.Scripts(t.Context(), hash, func(ctx context.Context, hash throng.PackageHash) (io.ReadCloser, error) {
			close(began)
			<-goOn
			return s.fetch(ctx, hash)
		})
		over <- err
	}()
	<-began
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := c.Scripts(ctx, hash, s.fetch); throng.KindOf(err) != throng.Unavailable {
		t.Errorf("got %v, want unavailable", err)
	}
	close(goOn)
	if err := <-over; err != nil {
		t.Error(err)
	}
}

// useCache is another process: it gets a package by way of a cache.
func useCache(dir, url, hash string) {
	c, err := disk.NewCache(disk.CacheConfig{Dir: dir})
	if err == nil {
		//nolint:forbidigo // a process of its own, which nobody cancels
		_, err = c.Scripts(context.Background(), throng.PackageHash(hash), func(ctx context.Context, _ throng.PackageHash) (io.ReadCloser, error) {
			req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
			if err != nil {
				return nil, err
			}
			resp, err := http.DefaultClient.Do(req)
			if err != nil {
				return nil, err
			}
			return resp.Body, nil
		})
	}
	if err != nil {
		say(err.Error())
		os.Exit(1)
	}
	os.Exit(0)
}

// Processes that start at once make one download: 16 with 2 MB here, 200 with
// 30 MB in the long form.
func TestCacheAcrossProcesses(t *testing.T) {
	processes, size := 16, 2<<20
	if os.Getenv("THRONG_SOAK") != "" { //nolint:forbidigo // the long form of a test
		processes, size = 200, 30<<20
	}
	content, hash := pack(t, size)
	var downloads atomic.Int64
	store := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		downloads.Add(1)
		_, _ = w.Write(content) // whoever went away
	}))
	defer store.Close()
	dir := t.TempDir()
	began := time.Now()
	var group sync.WaitGroup
	for range processes {
		group.Go(func() {
			out, err := exec.CommandContext(t.Context(), os.Args[0], "cache", dir, store.URL, string(hash)).CombinedOutput() //nolint:gosec // this binary
			if err != nil {
				t.Errorf("%v: %s", err, out)
			}
		})
	}
	group.Wait()
	if n := downloads.Load(); n != 1 {
		t.Errorf("%d processes made %d downloads, want 1", processes, n)
	}
	t.Logf("%d processes had %d MB each after %s, by one download", processes, size>>20, time.Since(began).Round(time.Millisecond))
}
