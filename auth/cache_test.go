package auth

import (
	"encoding/base64"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/throng-gg/throng"
)

func b64(b []byte) string { return base64.URLEncoding.EncodeToString(b) }

// movable is a clock.
type movable struct {
	mu   sync.Mutex
	gone time.Duration
}

func (m *movable) now() time.Time {
	m.mu.Lock()
	defer m.mu.Unlock()
	return time.Now().Add(m.gone)
}

func (m *movable) move(d time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.gone += d
}

func TestVerifiedTokensAreRemembered(t *testing.T) {
	clock := &movable{}
	source := &secretsOf{}
	source.set(nil, secret(1, time.Time{}), secret(2, time.Time{}))
	ring := ringOn(t, RingConfig{Secrets: source, Now: clock.now})
	a, err := New(Config{Ring: ring, Now: clock.now})
	if err != nil {
		t.Fatal(err)
	}
	token := playerToken(t, ring)
	if _, ok := a.Known(token); ok {
		t.Error("before: want unknown")
	}
	first, err := a.Authenticate(t.Context(), token)
	if err != nil {
		t.Fatal(err)
	}
	if c, ok := a.Known(token); !ok || c != first {
		t.Errorf("after: got %+v, %v, want %+v", c, ok, first)
	}
	for _, other := range []string{token + "x", token[:len(token)-1], ""} {
		if _, ok := a.Known(other); ok {
			t.Errorf("%.10q…: want unknown", other)
		}
	}
	clock.move(time.Hour + time.Second)
	if _, ok := a.Known(token); ok {
		t.Error("expired: want unknown")
	}
	token = playerToken(t, ring)
	if _, err := a.Authenticate(t.Context(), token); err != nil {
		t.Fatal(err)
	}
	source.set(nil, secret(1, time.Time{}), secret(3, time.Time{}))
	if err := ring.Reload(); err != nil {
		t.Fatal(err)
	}
	if _, ok := a.Known(token); ok {
		t.Error("its secret was retired: want unknown")
	}
	if n := a.cache.len(); n != 0 {
		t.Errorf("%d are remembered, want none", n)
	}
}

func TestCacheIsBounded(t *testing.T) {
	c := newCache(cacheShards * 10 * entryBytes)
	key := &trust{}
	until := time.Now().Add(time.Hour)
	var last [32]byte
	for i := range 1000 {
		last = tokenHash(fmt.Sprint(i))
		c.put(last, 100, verified{until: until, trust: key, caller: throng.Caller{Player: "ada"}})
		if _, ok := c.get(last, time.Now()); !ok {
			t.Fatalf("entry %d is not there right after", i)
		}
	}
	if n := c.len(); n > cacheShards*10 || n < cacheShards*5 {
		t.Errorf("%d entries, want at most %d", n, cacheShards*10)
	}
	many := make([]throng.PlayerID, 5000)
	huge := tokenHash("huge")
	c.put(huge, 8000, verified{until: until, trust: key, caller: throng.Caller{Friends: &many}})
	if _, ok := c.get(huge, time.Now()); ok {
		t.Error("one that is larger than its share is remembered")
	}
	for i := range c.shards {
		if s := &c.shards[i]; s.bytes > s.most || s.bytes != s.order.Len()*entryBytes {
			t.Errorf("shard %d counts %d bytes of %d entries", i, s.bytes, s.order.Len())
		}
	}
}

// BenchmarkAuthenticate is what a call of a known player costs the door, by what
// remembers him: nothing, or the cache.
func BenchmarkAuthenticate(b *testing.B) {
	s := newStudio(b)
	for _, alg := range []string{"EdDSA", "ES256", "RS256"} {
		s.add(alg, alg)
	}
	for _, by := range []string{"ring", "EdDSA", "ES256", "RS256"} {
		for name, bytes := range map[string]int{"verified": -1, "cached": 0} {
			b.Run(by+"/"+name, func(b *testing.B) {
				a, err := New(Config{Ring: testRing(b, 7), Issuers: []IssuerConfig{s.config()}, CacheBytes: bytes})
				if err != nil {
					b.Fatal(err)
				}
				token := playerToken(b, a.ring)
				if by != "ring" {
					token = s.token(by, nil)
				}
				if _, err := a.Authenticate(b.Context(), token); err != nil {
					b.Fatal(err)
				}
				b.ReportAllocs()
				for b.Loop() {
					if _, ok := a.Known(token); ok {
						continue
					}
					if _, err := a.Authenticate(b.Context(), token); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
