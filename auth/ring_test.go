package auth

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/throng-gg/throng"
)

func playerToken(tb testing.TB, r *Ring) string {
	tb.Helper()
	token, err := r.PlayerToken("ada", throng.RolePlayer, time.Hour)
	if err != nil {
		tb.Fatal(err)
	}
	return token
}

func TestRotation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begun := time.Now()
		first, second := secret(1, begun.Add(-time.Hour)), secret(2, begun)
		source := &secretsOf{}
		source.set(nil, first)
		cfg := RingConfig{Secrets: source, Delay: 15 * time.Second}
		here, there := ringOn(t, cfg), ringOn(t, cfg)
		old := playerToken(t, here)
		source.set(nil, first, second)
		if err := here.Reload(); err != nil {
			t.Fatal(err)
		}
		if got := here.Signing().Number; got != 1 {
			t.Errorf("at once %d signs, want 1: other replicas do not have it yet", got)
		}
		<-time.After(15 * time.Second)
		if got := here.Signing().Number; got != 2 {
			t.Errorf("after the delay %d signs, want 2", got)
		}
		fresh := playerToken(t, here)
		// The other replica was not told: it looks by itself.
		for name, r := range map[string]*Ring{"here": here, "there": there} {
			for which, token := range map[string]string{"old": old, "new": fresh} {
				if c, err := r.Verify(token); err != nil || c.Player != "ada" {
					t.Errorf("%s, %s token: got %+v, %v", name, which, c, err)
				}
			}
		}
		if k, err := there.Numbered(1); err != nil || k.Derive("x") != here.Keys()[0].Derive("x") || k.Derive("x") == k.Derive("y") {
			t.Errorf("secret 1: got %v, want the same there", err)
		}
		source.set(nil, second)
		if err := here.Reload(); err != nil {
			t.Fatal(err)
		}
		_, err := here.Verify(old)
		if throng.KindOf(err) != throng.Denied {
			t.Errorf("retired: got %v, want denied", err)
		}
		if _, err := here.Numbered(1); throng.KindOf(err) != throng.NotFound {
			t.Errorf("retired: got %v, want not found", err)
		}
		if c, err := here.Verify(fresh); err != nil || c.Player != "ada" {
			t.Errorf("the newest after that: got %+v, %v", c, err)
		}
	})
}

func TestRingKeepsTheLastGoodSecrets(t *testing.T) {
	source := &secretsOf{}
	source.set(nil, secret(1, time.Time{}))
	r := ringOn(t, RingConfig{Secrets: source})
	token := playerToken(t, r)
	for name, bad := range map[string]func(){
		"unreadable": func() { source.set(errors.New("gone")) },
		"empty":      func() { source.set(nil) },
		"no order":   func() { source.set(nil, secret(2, time.Time{}), secret(1, time.Time{})) },
		"zero":       func() { source.set(nil, secret(0, time.Time{})) },
		"the same": func() {
			source.set(nil, secret(1, time.Time{}), Secret{Number: 2, Bytes: secret(1, time.Time{}).Bytes})
		},
		"one name": func() { source.set(nil, secret(1, time.Time{}), secret(257, time.Time{})) },
	} {
		bad()
		if err := r.Reload(); err == nil {
			t.Errorf("%s: got no error", name)
		}
		if _, err := r.Verify(token); err != nil {
			t.Errorf("%s: got %v, want the old secrets to stay", name, err)
		}
	}
	source.set(nil)
	if _, err := NewRing(RingConfig{Secrets: source}); throng.KindOf(err) != throng.Invalid {
		t.Errorf("at the start: got %v, want invalid", err)
	}
}

// TestRingIsNotReadForEveryGuess: unknown keys cost a look a second, not more.
func TestRingIsNotReadForEveryGuess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source := &secretsOf{}
		source.set(nil, secret(1, time.Time{}))
		r := ringOn(t, RingConfig{Secrets: source})
		foreign := playerToken(t, testRing(t, 9))
		for range 1000 {
			_, err := r.Verify(foreign)
			if throng.KindOf(err) != throng.Denied {
				t.Fatalf("got %v, want denied", err)
			}
		}
		if source.reads != 2 {
			t.Errorf("read %d times, want 2: at the start, and once", source.reads)
		}
	})
}

func TestFresh(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source := &secretsOf{}
		source.set(nil, secret(1, time.Time{}))
		r := ringOn(t, RingConfig{Secrets: source})
		node, err := r.NodeToken(nodeA)
		if err != nil {
			t.Fatal(err)
		}
		if !r.Fresh(node) {
			t.Error("just made: want fresh")
		}
		<-time.After(MachineTokenTime/2 + time.Minute)
		if r.Fresh(node) {
			t.Error("half of its time is over: want not fresh")
		}
		if node, err = r.NodeToken(nodeA); err != nil {
			t.Fatal(err)
		}
		source.set(nil, secret(1, time.Time{}), secret(2, time.Time{}))
		if err := r.Reload(); err != nil {
			t.Fatal(err)
		}
		if r.Fresh(node) || r.Fresh("x") {
			t.Error("another secret signs: want not fresh")
		}
	})
}
