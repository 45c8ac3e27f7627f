package contract

import (
	"bytes"
	"fmt"
	"reflect"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/profile"
)

// ProfileStores is what Profiles tests.
type ProfileStores struct {
	Store profile.Mirror
	// Again opens the same store anew, as after a restart; the old one is not used
	// any more. Nil: it is a server of its own.
	Again func(t *testing.T) profile.Mirror
}

// Sessions of the contracts' players.
const (
	sessionOne   throng.SessionID = "ses_local_00aaaaaaaaaaaaaaaa"
	sessionTwo   throng.SessionID = "ses_local_01bbbbbbbbbbbbbbbb"
	sessionThree throng.SessionID = "ses_local_02cccccccccccccccc"
)

// Profiles is the contract of profile.Mirror. open makes an empty store, or keys
// of it that nobody uses: game is one.
func Profiles(t *testing.T, open func(t *testing.T) (ProfileStores, throng.GameID)) {
	t.Helper()
	for name, test := range map[string]func(*testing.T, ProfileStores, throng.GameID){
		"a checkout fences older ones":           profileFence,
		"saves count up on condition of fence":   profileSaves,
		"a save repeated is no other one":        profileRepeat,
		"ten saves are kept":                     profileKept,
		"a profile is let go of":                 profileReturn,
		"everything outlives a restart":          profileAgain,
		"of racing checkouts the last one saves": profileRace,
		"games and players are apart":            profileApart,
		"copies count if they are newer":         profileCopy,
	} {
		t.Run(name, func(t *testing.T) {
			stores, game := open(t)
			test(t, stores, game)
		})
	}
}

func profileSave(r throng.Revision, fence throng.Epoch, holder throng.SessionID, words string) profile.Save {
	return profile.Save{Revision: r, Fence: fence, Holder: holder, SavedAt: time.UnixMilli(1_700_000_000_000 + int64(r)).UTC(), Size: len(words), Data: []byte(words)}
}

func profileWantHead(t *testing.T, s profile.Store, k profile.Key, want profile.Head) {
	t.Helper()
	got, err := s.Head(t.Context(), k)
	if err != nil || got != want {
		t.Fatalf("Head of %s: got %+v, %v, want %+v", k.Player, got, err, want)
	}
}

func wantOK(t *testing.T, what string, err error) {
	t.Helper()
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
}

func profileCheckout(t *testing.T, s profile.Store, k profile.Key, fence throng.Epoch, holder throng.SessionID) {
	t.Helper()
	h, err := s.Checkout(t.Context(), k, fence, holder)
	wantOK(t, fmt.Sprintf("Checkout at %d", fence), err)
	if h.Fence != fence || h.Holder != holder || h.Returned {
		t.Fatalf("Checkout at %d by %s: got %+v", fence, holder, h)
	}
}

func profileFence(t *testing.T, stores ProfileStores, game throng.GameID) {
	t.Helper()
	s, ada := stores.Store, profile.Key{Game: game, Player: "ada"}
	profileWantHead(t, s, ada, profile.Head{})
	profileCheckout(t, s, ada, 7, sessionOne)
	profileCheckout(t, s, ada, 7, sessionOne) // the same session again
	_, err := s.Checkout(t.Context(), ada, 7, sessionTwo)
	placeWantKind(t, "Checkout at the same epoch by another session", err, throng.Denied)
	profileCheckout(t, s, ada, 9, sessionTwo)
	_, err = s.Checkout(t.Context(), ada, 8, sessionThree)
	placeWantKind(t, "Checkout at a lower epoch", err, throng.Denied)
	_, err = s.Checkout(t.Context(), ada, 7, sessionOne)
	placeWantKind(t, "Checkout by who had it", err, throng.Denied)
	profileWantHead(t, s, ada, profile.Head{Fence: 9, Holder: sessionTwo})
}

func profileSaves(t *testing.T, stores ProfileStores, game throng.GameID) {
	t.Helper()
	s, ada := stores.Store, profile.Key{Game: game, Player: "ada"}
	placeWantKind(t, "Save without a checkout", s.Save(t.Context(), ada, profileSave(1, 7, sessionOne, "x"), false), throng.Denied)
	profileCheckout(t, s, ada, 7, sessionOne)
	_, err := s.Saved(t.Context(), ada, 0)
	placeWantKind(t, "Saved of none", err, throng.NotFound)
	placeWantKind(t, "Save of revision 2 before 1", s.Save(t.Context(), ada, profileSave(2, 7, sessionOne, "x"), false), throng.Conflict)
	wantOK(t, "first save", s.Save(t.Context(), ada, profileSave(1, 7, sessionOne, "one"), false))
	profileCheckout(t, s, ada, 9, sessionTwo)
	placeWantKind(t, "Save of a stale session", s.Save(t.Context(), ada, profileSave(2, 7, sessionOne, "stale"), false), throng.Denied)
	placeWantKind(t, "Save at the fence by another session", s.Save(t.Context(), ada, profileSave(2, 9, sessionOne, "stale"), false), throng.Denied)
	wantOK(t, "second save", s.Save(t.Context(), ada, profileSave(2, 9, sessionTwo, "two"), false))
	placeWantKind(t, "Save of a stale session, later", s.Save(t.Context(), ada, profileSave(3, 7, sessionOne, "stale"), false), throng.Denied)
	for r, want := range map[throng.Revision]profile.Save{
		0: profileSave(2, 9, sessionTwo, "two"), 1: profileSave(1, 7, sessionOne, "one"), 2: profileSave(2, 9, sessionTwo, "two"),
	} {
		got, err := s.Saved(t.Context(), ada, r)
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("Saved %d: got %+v, %v, want %+v", r, got, err, want)
		}
	}
	_, err = s.Saved(t.Context(), ada, 3)
	placeWantKind(t, "Saved of a refused save", err, throng.NotFound)
}

func profileRepeat(t *testing.T, stores ProfileStores, game throng.GameID) {
	t.Helper()
	s, ada := stores.Store, profile.Key{Game: game, Player: "ada"}
	profileCheckout(t, s, ada, 7, sessionOne)
	for range 3 {
		wantOK(t, "save", s.Save(t.Context(), ada, profileSave(1, 7, sessionOne, "one"), false))
	}
	placeWantKind(t, "Save of the same revision with other content", s.Save(t.Context(), ada, profileSave(1, 7, sessionOne, "other"), false), throng.Conflict)
	got, err := s.Saved(t.Context(), ada, 0)
	if err != nil || string(got.Data) != "one" {
		t.Errorf("after repeats: got %q, %v, want one", got.Data, err)
	}
	for range 2 {
		wantOK(t, "last save", s.Save(t.Context(), ada, profileSave(2, 7, sessionOne, "two"), true))
	}
	profileWantHead(t, s, ada, profile.Head{Fence: 7, Holder: sessionOne, Returned: true, Revision: 2})
}

func profileKept(t *testing.T, stores ProfileStores, game throng.GameID) {
	t.Helper()
	s, ada := stores.Store, profile.Key{Game: game, Player: "ada"}
	const all = 3*profile.Kept + 4
	profileCheckout(t, s, ada, 7, sessionOne)
	for r := throng.Revision(1); r <= all; r++ {
		wantOK(t, "save", s.Save(t.Context(), ada, profileSave(r, 7, sessionOne, fmt.Sprint("save ", r)), false))
	}
	list, err := s.Saves(t.Context(), ada)
	wantOK(t, "Saves", err)
	var revisions []throng.Revision
	for _, save := range list {
		revisions = append(revisions, save.Revision)
		if save.Data != nil || save.Size == 0 || save.Fence != 7 || save.Holder != sessionOne {
			t.Errorf("Saves: got %+v", save)
		}
	}
	if len(revisions) != profile.Kept || revisions[0] != all || !slices.IsSortedFunc(revisions, func(a, b throng.Revision) int { return int(b) - int(a) }) {
		t.Errorf("Saves: got %v, want the newest %d", revisions, profile.Kept)
	}
	for _, r := range revisions {
		if got, err := s.Saved(t.Context(), ada, r); err != nil || string(got.Data) != fmt.Sprint("save ", r) {
			t.Errorf("Saved %d: got %q, %v", r, got.Data, err)
		}
	}
	_, err = s.Saved(t.Context(), ada, all-profile.Kept)
	placeWantKind(t, "Saved of what is not kept", err, throng.NotFound)
}

func profileReturn(t *testing.T, stores ProfileStores, game throng.GameID) {
	t.Helper()
	s, ada := stores.Store, profile.Key{Game: game, Player: "ada"}
	profileCheckout(t, s, ada, 7, sessionOne)
	wantOK(t, "save", s.Save(t.Context(), ada, profileSave(1, 7, sessionOne, "one"), false))
	for range 2 {
		wantOK(t, "Return", s.Return(t.Context(), ada, 7, sessionOne))
	}
	placeWantKind(t, "Save after the return", s.Save(t.Context(), ada, profileSave(2, 7, sessionOne, "two"), false), throng.Denied)
	placeWantKind(t, "Return by another session", s.Return(t.Context(), ada, 7, sessionTwo), throng.Denied)
	profileCheckout(t, s, ada, 8, sessionTwo)
	placeWantKind(t, "Return by a stale session", s.Return(t.Context(), ada, 7, sessionOne), throng.Denied)
	profileWantHead(t, s, ada, profile.Head{Fence: 8, Holder: sessionTwo, Revision: 1})
}

func profileAgain(t *testing.T, stores ProfileStores, game throng.GameID) {
	t.Helper()
	if stores.Again == nil {
		t.Skip("NOT TESTED: the store is a server that goes on")
	}
	ada := profile.Key{Game: game, Player: "ada"}
	profileCheckout(t, stores.Store, ada, 7, sessionOne)
	wantOK(t, "save", stores.Store.Save(t.Context(), ada, profileSave(1, 7, sessionOne, "one"), false))
	s := stores.Again(t)
	profileWantHead(t, s, ada, profile.Head{Fence: 7, Holder: sessionOne, Revision: 1})
	if got, err := s.Saved(t.Context(), ada, 0); err != nil || string(got.Data) != "one" {
		t.Errorf("after a restart: got %q, %v", got.Data, err)
	}
	wantOK(t, "save after a restart", s.Save(t.Context(), ada, profileSave(2, 7, sessionOne, "two"), false))
}

// profileRace has many sessions take a profile and save: each that lost it is
// refused from then on, and the saves are one chain.
func profileRace(t *testing.T, stores ProfileStores, game throng.GameID) {
	t.Helper()
	s, ada := stores.Store, profile.Key{Game: game, Player: "ada"}
	const sessions, tries = 8, 12
	var saved atomic.Int64
	var group sync.WaitGroup
	for i := range sessions {
		fence, holder := throng.Epoch(i+1), throng.SessionID(fmt.Sprintf("ses_local_%02x%016d", i, i))
		group.Go(func() {
			h, err := s.Checkout(t.Context(), ada, fence, holder)
			for r := h.Revision + 1; err == nil && r <= h.Revision+tries; r++ {
				if err = s.Save(t.Context(), ada, profileSave(r, fence, holder, fmt.Sprint(fence, " ", r)), false); err == nil {
					saved.Add(1)
				}
			}
			// It lost the profile, or an older one saved between.
			if kind := throng.KindOf(err); err != nil && kind != throng.Denied && kind != throng.Conflict {
				t.Errorf("session %d: %v", i, err)
			}
		})
	}
	group.Wait()
	h, err := s.Head(t.Context(), ada)
	wantOK(t, "Head", err)
	if h.Fence != sessions || int64(h.Revision) != saved.Load() {
		t.Errorf("got %+v after %d saves", h, saved.Load())
	}
	list, err := s.Saves(t.Context(), ada)
	wantOK(t, "Saves", err)
	for i := 1; i < len(list); i++ {
		if list[i].Fence > list[i-1].Fence || list[i].Revision != list[i-1].Revision-1 {
			t.Errorf("save %d at fence %d comes before save %d at fence %d", list[i].Revision, list[i].Fence, list[i-1].Revision, list[i-1].Fence)
		}
	}
}

func profileApart(t *testing.T, stores ProfileStores, game throng.GameID) {
	t.Helper()
	s := stores.Store
	keys := []profile.Key{{Game: game, Player: "ada"}, {Game: game, Player: "ada.2"}, {Game: game, Player: "ad"}, {Game: game + "-b", Player: "ada"}}
	for i, k := range keys {
		profileCheckout(t, s, k, throng.Epoch(i+1), sessionOne)
		for r := range throng.Revision(2) {
			wantOK(t, "save", s.Save(t.Context(), k, profileSave(r+1, throng.Epoch(i+1), sessionOne, fmt.Sprint(i, r)), false))
		}
	}
	for i, k := range keys {
		got, err := s.Saved(t.Context(), k, 0)
		if want := []byte(fmt.Sprint(i, 1)); err != nil || !bytes.Equal(got.Data, want) {
			t.Errorf("%v: got %q, %v, want %q", k, got.Data, err, want)
		}
		if list, err := s.Saves(t.Context(), k); err != nil || len(list) != 2 {
			t.Errorf("%v: got %d saves, %v, want 2", k, len(list), err)
		}
	}
}
