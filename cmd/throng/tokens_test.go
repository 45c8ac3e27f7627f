package main

import (
	"testing"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/auth"
	"github.com/throng-gg/throng/disk"
)

// TestSessionsOutliveARotation: a session's key and code follow from the secret
// that its name says, in every process, for as long as it is there.
func TestSessionsOutliveARotation(t *testing.T) {
	dir := disk.Ring{Dir: t.TempDir()}
	open := func() *secrets {
		ring, err := auth.NewRing(auth.RingConfig{Secrets: dir})
		if err != nil {
			t.Fatal(err)
		}
		return &secrets{Ring: ring}
	}
	one := open()
	named := func(s *secrets) throng.SessionID {
		return throng.MakeSessionID("local", 7, throng.SessionKeyOf(s.newKey(), throng.Entropy{1, 2, 3}))
	}
	old := named(one)
	key, err := one.SessionKey(old)
	if err != nil {
		t.Fatal(err)
	}
	code := one.SessionCode(old)
	if _, err := dir.Add(); err != nil {
		t.Fatal(err)
	}
	other := open()
	fresh := named(other)
	if old == fresh {
		t.Fatalf("%s is named of the old secret", fresh)
	}
	for name, s := range map[string]*secrets{"a replica that was not told": one, "another": other} {
		if got, err := s.SessionKey(old); err != nil || got != key {
			t.Errorf("%s: the old session's key changed: %v", name, err)
		}
		if s.SessionCode(old) != code || s.CodeHash(old) != throng.HashCode(code) {
			t.Errorf("%s: the old session's code changed", name)
		}
		if got, err := s.SessionKey(fresh); err != nil || got == key {
			t.Errorf("%s: the new session's key: %v", name, err)
		}
	}
	if err := dir.Remove(1); err != nil {
		t.Fatal(err)
	}
	if err := other.Reload(); err != nil {
		t.Fatal(err)
	}
	if _, err := other.SessionKey(old); throng.KindOf(err) != throng.NotFound || err == nil {
		t.Errorf("retired: got %v, want not found", err)
	}
	if got := other.SessionCode(old); got == code || got == "" {
		t.Errorf("retired: got code %q, want another than %q", got, code)
	}
	if err := other.CheckJoinToken(old, make([]byte, 2048)); throng.KindOf(err) != throng.Denied || err == nil {
		t.Errorf("a join token of a retired secret: got %v, want denied", err)
	}
}
