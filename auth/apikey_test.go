package auth

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/throng-gg/throng"
)

// shelf is a KeyStore in memory.
type shelf struct {
	mu    sync.Mutex
	keys  map[throng.KeyID]KeyRecord
	err   error
	reads int
}

func newShelf() *shelf { return &shelf{keys: map[throng.KeyID]KeyRecord{}} }

func (s *shelf) PutKey(_ context.Context, k KeyRecord) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.keys[k.ID] = k
	return s.err
}

func (s *shelf) GetKey(_ context.Context, id throng.KeyID) (KeyRecord, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reads++
	k, ok := s.keys[id]
	if !ok && s.err == nil {
		return KeyRecord{}, throng.Errorf(throng.NotFound, "none")
	}
	return k, s.err
}

func (s *shelf) ListKeys(_ context.Context, owner throng.PlayerID) ([]KeyRecord, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var list []KeyRecord
	for _, id := range slices.Sorted(maps.Keys(s.keys)) {
		if k := s.keys[id]; owner == "" || k.Owner == owner {
			list = append(list, k)
		}
	}
	return list, s.err
}

func (s *shelf) DeleteKey(_ context.Context, id throng.KeyID) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.keys, id)
	return nil
}

func (s *shelf) UseKey(_ context.Context, id throng.KeyID, at time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	k, ok := s.keys[id]
	if !ok {
		return throng.Errorf(throng.NotFound, "none")
	}
	k.Used = at
	s.keys[id] = k
	return nil
}

func keysOn(t *testing.T, s KeyStore) (*Auth, *Keys) {
	t.Helper()
	keys, err := NewKeys(s, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	a, err := New(Config{Ring: testRing(t, 1), Keys: keys})
	if err != nil {
		t.Fatal(err)
	}
	return a, keys
}

func TestAPIKeys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShelf()
		here, keys := keysOn(t, s)
		there, _ := keysOn(t, s)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- keys.Run(ctx) }()
		text, made, err := keys.Create(ctx, throng.APIKey{Owner: "ada", Name: "ci", Rate: 3, Expires: time.Now().Add(time.Hour)})
		if err != nil {
			t.Fatal(err)
		}
		for id, k := range s.keys {
			if strings.Contains(string(k.Hash[:]), text[21:]) || id != made.ID {
				t.Errorf("the store has %+v", k)
			}
		}
		for name, a := range map[string]*Auth{"here": here, "there": there} {
			c, err := a.Authenticate(ctx, text)
			if err != nil || c.Player != "ada" || c.Role != throng.RoleCreator || c.Key != made.ID || c.KeyRate != 3 {
				t.Errorf("%s: got %+v, %v", name, c, err)
			}
			if _, ok := a.Known(text); ok {
				t.Errorf("%s: a key is remembered as a token is: it could not be revoked", name)
			}
		}
		synctest.Wait()
		if got := s.keys[made.ID].Used; !got.Equal(time.Now()) {
			t.Errorf("last used: got %s, want now", got)
		}
		for name, bad := range map[string]string{
			"another secret": text[:len(text)-1] + "a", "cut": text[:len(text)-1], "longer": text + "a", "upper case": strings.ToUpper(text),
			"no secret": text[:20], "another ID": "thk_0000000000000000" + text[20:], "nothing": "thk_", "a way out": "thk_../../../../x/y" + text[19:],
		} {
			if bad == text {
				bad = text[:len(text)-1] + "b"
			}
			c, err := here.Authenticate(ctx, bad)
			wantDenied(t, name, c, err)
		}
		if err := keys.Revoke(ctx, "eve", made.ID); throng.KindOf(err) != throng.NotFound || err == nil {
			t.Errorf("revoke another's: got %v, want not found", err)
		}
		if err := keys.Revoke(ctx, "ada", made.ID); err != nil {
			t.Fatal(err)
		}
		c, err := here.Authenticate(ctx, text)
		wantDenied(t, "revoked, here", c, err)
		<-time.After(keyMemory)
		c, err = there.Authenticate(ctx, text)
		wantDenied(t, "revoked, there", c, err)
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

func TestAPIKeysExpire(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, keys := keysOn(t, newShelf())
		text, _, err := keys.Create(t.Context(), throng.APIKey{Owner: "ada", Name: "ci", Expires: time.Now().Add(time.Minute)})
		if err != nil {
			t.Fatal(err)
		}
		forever, _, err := keys.Create(t.Context(), throng.APIKey{Owner: "ada", Name: "ci"})
		if err != nil {
			t.Fatal(err)
		}
		<-time.After(time.Minute - time.Second)
		if _, err := a.Authenticate(t.Context(), text); err != nil {
			t.Errorf("a second before: got %v", err)
		}
		<-time.After(time.Second)
		c, err := a.Authenticate(t.Context(), text)
		wantDenied(t, "expired", c, err)
		if _, err := a.Authenticate(t.Context(), forever); err != nil {
			t.Errorf("one without an end: got %v", err)
		}
	})
}

func TestAPIKeysAreBounded(t *testing.T) {
	s := newShelf()
	_, keys := keysOn(t, s)
	for range maxKeysOfOwner {
		if _, _, err := keys.Create(t.Context(), throng.APIKey{Owner: "ada", Name: "ci"}); err != nil {
			t.Fatal(err)
		}
	}
	if _, _, err := keys.Create(t.Context(), throng.APIKey{Owner: "ada", Name: "ci"}); throng.KindOf(err) != throng.Full || err == nil {
		t.Errorf("one too many: got %v, want full", err)
	}
	if _, _, err := keys.Create(t.Context(), throng.APIKey{Owner: "bo", Name: "ci"}); err != nil {
		t.Errorf("another owner: got %v", err)
	}
}

// TestKeyStoreAway: that it cannot be read is not the caller's fault, and who was
// read within 5 s goes on.
func TestKeyStoreAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShelf()
		a, keys := keysOn(t, s)
		text, _, err := keys.Create(t.Context(), throng.APIKey{Owner: "ada", Name: "ci"})
		if err != nil {
			t.Fatal(err)
		}
		for range 100 {
			if _, err := a.Authenticate(t.Context(), text); err != nil {
				t.Fatal(err)
			}
		}
		if s.reads != 1 {
			t.Errorf("read %d times, want once", s.reads)
		}
		s.err = errors.New("disk")
		if _, err := a.Authenticate(t.Context(), text); err != nil {
			t.Errorf("within 5 s: got %v", err)
		}
		<-time.After(keyMemory)
		if _, err := a.Authenticate(t.Context(), text); throng.KindOf(err) != throng.Unavailable || err == nil {
			t.Errorf("after that: got %v, want unavailable", err)
		}
	})
}
