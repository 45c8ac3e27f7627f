package profile_test

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"reflect"
	"sync"
	"testing"
	"time"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/bolt"
	"github.com/throng-gg/throng/event/eventtest"
	"github.com/throng-gg/throng/profile"
)

// copyLog keeps what is published.
type copyLog struct {
	mu     sync.Mutex
	events []throng.Event
	fail   error                   // what Publish answers
	refuse func(throng.Event) bool // what it never takes
}

// Publish takes all or nothing.
func (l *copyLog) Publish(_ context.Context, list []throng.Event) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.fail != nil {
		return l.fail
	}
	for _, e := range list {
		if l.refuse != nil && l.refuse(e) {
			return throng.Errorf(throng.Invalid, "too large")
		}
	}
	l.events = append(l.events, list...)
	return nil
}

func (l *copyLog) taken() []throng.Event {
	l.mu.Lock()
	defer l.mu.Unlock()
	list := l.events
	l.events = nil
	return list
}

type wallets struct{}

func (wallets) Fence(context.Context, throng.GameID, throng.PlayerID, throng.Epoch) error { return nil }

func mirror(t *testing.T) profile.Mirror {
	t.Helper()
	s, err := bolt.Open(bolt.Config{Path: filepath.Join(t.TempDir(), "throng.db")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s.Profiles()
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

const holder throng.SessionID = "ses_local_00aaaaaaaaaaaaaaaa"

func claimOf(p throng.PlayerID, fence throng.Epoch) profile.Claim {
	return profile.Claim{Key: profile.Key{Game: "bazaar", Player: p}, Fence: fence, Session: holder}
}

type copyRig struct {
	store    profile.Mirror
	profiles *profile.Profiles
	copier   *profile.Copier
	log      *copyLog
	term     uint64
}

func newCopyRig(t *testing.T, most int) *copyRig {
	t.Helper()
	r := &copyRig{store: mirror(t), log: &copyLog{}, term: 2}
	var err error
	r.copier, err = profile.NewCopier(profile.CopierConfig{
		Store: r.store, Log: r.log, Region: "eu", Term: func() uint64 { return r.term }, Most: most, Logger: slog.New(slog.DiscardHandler),
	})
	must(t, err)
	r.profiles, err = profile.New(profile.Config{
		Store: r.store, Wallets: wallets{}, Changes: r.copier, Region: throng.Region{ID: "eu", Number: 1}, Now: time.Now, Logger: slog.New(slog.DiscardHandler),
	})
	must(t, err)
	return r
}

// follow copies what was published to another store, and compares.
func (r *copyRig) follow(t *testing.T, to profile.Mirror) (n int) {
	t.Helper()
	for _, e := range r.log.taken() {
		n++
		must(t, eventtest.Check(e))
		c, err := profile.ParseCopy(e)
		must(t, err)
		k := c.Key
		if c.Term != r.term || e.Region != "eu" {
			t.Errorf("term %d of %s, want %d", c.Term, e.Region, r.term)
		}
		must(t, to.Copy(t.Context(), k, c.Head, c.Save))
		want, err := r.store.Head(t.Context(), k)
		must(t, err)
		if got, err := to.Head(t.Context(), k); err != nil || got != want {
			t.Errorf("%s: copied as %+v, %v, want %+v", k.Player, got, err, want)
		}
		if want.Revision == 0 {
			continue
		}
		save, err := r.store.Saved(t.Context(), k, 0)
		must(t, err)
		if got, err := to.Saved(t.Context(), k, 0); err != nil || !reflect.DeepEqual(got, save) {
			t.Errorf("%s: saved as %+v, %v, want %+v", k.Player, got, err, save)
		}
	}
	return n
}

// TestCopies: whatever changes a profile, its copy is the same.
func TestCopies(t *testing.T) {
	t.Parallel()
	r, to := newCopyRig(t, 0), mirror(t)
	ada := claimOf("ada", 512)
	for i, change := range []func() error{
		func() error { _, err := r.profiles.Checkout(t.Context(), ada); return err },
		func() error { return r.profiles.Save(t.Context(), ada, 1, []byte(`{"a":1}`)) },
		func() error { return r.profiles.Save(t.Context(), ada, 2, []byte(`{"a":2}`)) },
		func() error { return r.profiles.Return(t.Context(), ada, 3, []byte(`{"a":3}`)) },
		func() error { _, err := r.profiles.Checkout(t.Context(), claimOf("ada", 1024)); return err },
		func() error { return r.profiles.Return(t.Context(), claimOf("ada", 1024), 4, nil) },
		func() error { _, err := r.profiles.Restore(t.Context(), ada.Key, 1); return err },
	} {
		must(t, change())
		must(t, r.copier.Step(t.Context()))
		if n := r.follow(t, to); n != 1 {
			t.Errorf("change %d: %d copies", i, n)
		}
	}
	if r.profiles.Save(t.Context(), ada, 9, []byte(`{}`)) == nil {
		t.Error("a stale save was taken")
	}
	must(t, r.copier.Step(t.Context()))
	if n := r.follow(t, to); n != 0 {
		t.Errorf("%d copies of what was refused", n)
	}
}

// TestCopiesWait: while the log is away changes wait, each profile once, and go out as
// they are then.
func TestCopiesWait(t *testing.T) {
	t.Parallel()
	r, to := newCopyRig(t, 0), mirror(t)
	r.log.fail = throng.Errorf(throng.Unavailable, "away")
	for i := range 40 {
		c := claimOf(throng.PlayerID(fmt.Sprint("p", i)), 512)
		_, err := r.profiles.Checkout(t.Context(), c)
		must(t, err)
		if r.copier.Step(t.Context()) == nil {
			t.Fatal("it was published")
		}
		must(t, r.profiles.Save(t.Context(), c, 1, []byte(`{"n":1}`)))
	}
	r.log.fail = nil
	must(t, r.copier.Step(t.Context()))
	if n := r.follow(t, to); n != 40 {
		t.Errorf("%d copies of 40 profiles", n)
	}
	// One that is never taken holds none up.
	r.log.refuse = func(e throng.Event) bool { return e.Player == "p7" }
	for i := range 40 {
		must(t, r.profiles.Save(t.Context(), claimOf(throng.PlayerID(fmt.Sprint("p", i)), 512), 2, []byte(`{"n":2}`)))
	}
	must(t, r.copier.Step(t.Context()))
	if n := r.follow(t, to); n != 39 {
		t.Errorf("%d copies of 39 profiles", n)
	}
	// Of a region that was never the home nobody hears.
	r.term, r.log.refuse = 0, nil
	must(t, r.profiles.Save(t.Context(), claimOf("p1", 512), 3, []byte(`{"n":3}`)))
	must(t, r.copier.Step(t.Context()))
	if n := len(r.log.taken()); n != 0 {
		t.Errorf("%d copies without a term", n)
	}
}

// TestCopiesBounded: what does not fit is copied when it changes again.
func TestCopiesBounded(t *testing.T) {
	t.Parallel()
	r, to := newCopyRig(t, 3), mirror(t)
	for i := range 5 {
		_, err := r.profiles.Checkout(t.Context(), claimOf(throng.PlayerID(fmt.Sprint("p", i)), 512))
		must(t, err)
	}
	must(t, r.copier.Step(t.Context()))
	if n := r.follow(t, to); n != 3 {
		t.Errorf("%d copies, 3 fit", n)
	}
	must(t, r.profiles.Save(t.Context(), claimOf("p4", 512), 1, []byte(`{}`)))
	must(t, r.copier.Step(t.Context()))
	if n := r.follow(t, to); n != 1 {
		t.Errorf("%d copies, want the one that changed again", n)
	}
}

// TestCopiesOfOthers: what is no copy is refused with the field.
func TestCopiesOfOthers(t *testing.T) {
	t.Parallel()
	good, err := profile.CopyOf("eu", 1, profile.Key{Game: "bazaar", Player: "ada"}, profile.Head{Fence: 512, Holder: holder, Revision: 1}, &profile.Save{
		Revision: 1, Fence: 512, Holder: holder, SavedAt: time.UnixMilli(5), Size: 2, Data: []byte{1},
	})
	must(t, err)
	if _, err := profile.ParseCopy(good); err != nil {
		t.Fatal(err)
	}
	for name, data := range map[string]string{
		"no JSON":      `{`,
		"no term":      `{"game":"bazaar","player":"ada","fence":5,"revision":0}`,
		"no game":      `{"term":1,"game":"a b","player":"ada","fence":5,"revision":0}`,
		"another key":  `{"term":1,"game":"bazaar","player":"bo","fence":5,"revision":0}`,
		"no fence":     `{"term":1,"game":"bazaar","player":"ada","revision":0}`,
		"no save":      `{"term":1,"game":"bazaar","player":"ada","fence":5,"revision":1}`,
		"no session":   `{"term":1,"game":"bazaar","player":"ada","fence":5,"holder":"x","revision":0}`,
		"no saver":     `{"term":1,"game":"bazaar","player":"ada","fence":5,"revision":1,"save":{"fence":5,"holder":"x","size":1,"data":"AQ=="}}`,
		"empty":        `{"term":1,"game":"bazaar","player":"ada","fence":5,"revision":1,"save":{"fence":5,"size":1,"data":""}}`,
		"too large":    `{"term":1,"game":"bazaar","player":"ada","fence":5,"revision":1,"save":{"fence":5,"size":500000,"data":"AQ=="}}`,
		"from later":   `{"term":1,"game":"bazaar","player":"ada","fence":5,"revision":1,"save":{"fence":6,"size":1,"data":"AQ=="}}`,
		"bad revision": `{"term":1,"game":"bazaar","player":"ada","fence":5,"revision":-1}`,
	} {
		e := good
		e.Data = []byte(data)
		if _, err := profile.ParseCopy(e); throng.KindOf(err) != throng.Invalid || err == nil {
			t.Errorf("%s: got %v, want Invalid", name, err)
		}
	}
	good.Type = throng.EventLedgerCopied
	if _, err := profile.ParseCopy(good); throng.KindOf(err) != throng.Invalid {
		t.Errorf("another type: got %v", err)
	}
}
