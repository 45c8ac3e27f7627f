package gameserver

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/throng-gg/throng"
)

// vault keeps what players own as the stores do, writes down what it is asked,
// and fails as a test says.
type vault struct {
	mu        sync.Mutex
	asked     []string
	fences    map[throng.PlayerID]throng.Epoch
	docs      map[throng.PlayerID]string
	revisions map[throng.PlayerID]throng.Revision
	lost      func(throng.Revision) error // takes the place of a save's answer; nil: none
	slow      time.Duration
	fail      func(op string) error // nil: nothing
	copied    bool                  // checkouts get a copy
}

func newVault() *vault {
	return &vault{fences: map[throng.PlayerID]throng.Epoch{}, docs: map[throng.PlayerID]string{}, revisions: map[throng.PlayerID]throng.Revision{}}
}

func (v *vault) call(op string, h throng.Heartbeat, m throng.Member) error {
	time.Sleep(v.slow) //nolint:forbidigo // fake time
	v.mu.Lock()
	defer v.mu.Unlock()
	if h.Server != testServer || len(h.Changes) != 0 || m.Epoch == 0 {
		return throng.Errorf(throng.Invalid, "who asks? %+v, %+v", h, m)
	}
	v.asked = append(v.asked, op+" "+string(m.Player))
	if v.fail != nil {
		if err := v.fail(op); err != nil {
			return err
		}
	}
	if m.Epoch < v.fences[m.Player] {
		return throng.Errorf(throng.Denied, "a later epoch has it")
	}
	return nil
}

func (v *vault) Checkout(_ context.Context, h throng.Heartbeat, m throng.Member) (throng.Profile, error) {
	if err := v.call("checkout", h, m); err != nil {
		return throng.Profile{}, err
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if !v.copied {
		v.fences[m.Player] = m.Epoch
	}
	return throng.Profile{Document: []byte(v.docs[m.Player]), Revision: v.revisions[m.Player], Copy: v.copied}, nil
}

func (v *vault) Save(_ context.Context, h throng.Heartbeat, m throng.Member, p throng.Profile) error {
	if err := v.call("save", h, m); err != nil {
		return err
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if p.Revision != v.revisions[m.Player]+1 {
		return throng.Errorf(throng.Conflict, "revision %d comes after %d", p.Revision, v.revisions[m.Player])
	}
	v.docs[m.Player], v.revisions[m.Player] = string(p.Document), p.Revision
	if v.lost != nil {
		return v.lost(p.Revision)
	}
	return nil
}

func (v *vault) Return(ctx context.Context, h throng.Heartbeat, m throng.Member, p throng.Profile) error {
	if p.Document != nil {
		if err := v.Save(ctx, h, m, p); err != nil {
			return err
		}
	}
	return v.call("return", h, m)
}

func (v *vault) Post(_ context.Context, h throng.Heartbeat, t throng.Transfer) (throng.Receipt, error) {
	if err := v.call(fmt.Sprintf("post %s %v %s", t.ID, t.Gives, t.Second.Player), h, t.First); err != nil {
		return throng.Receipt{}, err
	}
	return throng.Receipt{ID: t.ID}, nil
}

func (v *vault) Balance(_ context.Context, h throng.Heartbeat, m throng.Member) (throng.Holding, error) {
	return throng.Holding{Player: m.Player, Amounts: []throng.Amount{{Item: "gold", Count: 7}}}, v.call("balance", h, m)
}

func (v *vault) set(change func()) {
	v.mu.Lock()
	defer v.mu.Unlock()
	change()
}

func (v *vault) log() string {
	v.mu.Lock()
	defer v.mu.Unlock()
	return strings.Join(v.asked, ", ")
}

// told is what the place was told of something; false: nothing.
func (s *stage) told(what string) (err error, told bool) { //nolint:revive // told is about err
	s.place.mu.Lock()
	defer s.place.mu.Unlock()
	err, told = s.place.told[what]
	return err, told
}

func (s *stage) wantTold(what string, kind throng.Kind, words string) {
	s.t.Helper()
	err, told := s.told(what)
	switch {
	case !told:
		s.t.Errorf("the script was not told %q", what)
	case words == "" && err != nil:
		s.t.Errorf("%s: got %v, want no error", what, err)
	case words != "" && (throng.KindOf(err) != kind || !strings.Contains(err.Error(), words)):
		s.t.Errorf("%s: got %v, want %s with %q", what, err, kind, words)
	}
}

// Without stores everything is answered all the same, in a later step.
func TestWithoutStoresScriptsAreTold(t *testing.T) {
	play(t, func(s *stage) {
		s.enter("t", "ada", "bo")
		s.inTick(func() {
			s.store.Save(1, "ada", []byte("{}"))
			s.store.Post(2, throng.Transfer{ID: "t", Kind: throng.TransferReward, First: throng.Member{Player: "ada"}, Gives: []throng.Amount{{Item: "gold", Count: 1}}})
			s.store.Balance(3, "bo")
			s.store.Balance(4, "cy")
			s.store.Post(5, throng.Transfer{Kind: throng.TransferTrade, First: throng.Member{Player: "ada"}, Second: throng.Member{Player: "cy"}})
			if len(s.place.told) > 2 {
				t.Errorf("told within the call: %v", s.place.told)
			}
		})
		s.wantTold("loaded ada ", throng.Unavailable, "profiles are not connected to this game server yet")
		s.wantTold("loaded bo ", throng.Unavailable, "profiles are not connected")
		s.wantTold("saved 1", throng.Unavailable, "not checked out")
		s.wantTold("posted 2 ", throng.Unavailable, "the ledger is not connected to this game server yet")
		s.wantTold("held 3 []", throng.Unavailable, "the ledger is not connected")
		s.wantTold("held 4 []", throng.Denied, "cy is not in the session")
		s.wantTold("posted 5 ", throng.Denied, "cy is not in the session")
	})
}

// TestProfilesAreKept: saves arrive in order, the newest of those that wait
// counts, and a profile is returned once its last save is durable.
func TestProfilesAreKept(t *testing.T) {
	v := newVault()
	v.docs["ada"], v.slow = `{"gold":1}`, 100*time.Millisecond
	playWith(t, func(s *stage) { s.profiles, s.ledger = v, v }, func(s *stage) {
		conns, _ := s.enter("t", "ada", "bo")
		s.wait(200 * time.Millisecond)
		s.wantTold(`loaded ada {"gold":1}`, 0, "")
		s.wantTold(`loaded bo `, 0, "")
		s.inTick(func() {
			s.store.Save(1, "ada", []byte("1"))
			s.store.Save(2, "ada", []byte("2"))
			s.store.Save(3, "ada", []byte("3"))
			s.store.Post(4, throng.Transfer{
				Kind: throng.TransferTrade, First: throng.Member{Player: "ada"}, Second: throng.Member{Player: "bo"},
				Gives: []throng.Amount{{Item: "gold", Count: 1}},
			})
			s.store.Balance(5, "bo")
		})
		s.wait(time.Second)
		for _, what := range []string{"saved 1", "saved 2", "saved 3", "posted 4 inc-1", "held 5 [{gold 7}]"} {
			s.wantTold(what, 0, "")
		}
		s.inTick(func() { s.store.Save(6, "ada", []byte("4")) }) // and he leaves at once
		s.net.events <- Event{Kind: EventDisconnected, Conn: conns[0]}
		s.wait(time.Second)
		v.set(func() {
			slices.Sort(v.asked)
			if got, want := strings.Join(v.asked, ", "), "balance bo, checkout ada, checkout bo, post inc-1 [{gold 1}] bo ada, return ada, save ada, save ada, save ada"; got != want {
				t.Errorf("got %s\nwant %s", got, want)
			}
			if v.docs["ada"] != "4" {
				t.Errorf("kept %q, want the last one", v.docs["ada"])
			}
		})
	})
}

// TestSavesWaitForTheStore: while it is away the newest document waits, the
// script hears that it is not saved, and a session that is over tries until the
// end.
func TestSavesWaitForTheStore(t *testing.T) {
	v := newVault()
	playWith(t, func(s *stage) { s.profiles = v }, func(s *stage) {
		s.enter("t", "ada")
		s.inTick(func() {
			v.fail = func(string) error { return throng.Errorf(throng.Unavailable, "down") }
			s.store.Save(1, "ada", []byte("1"))
		})
		s.wait(errandTime + 3*time.Second)
		s.wantTold("saved 1", throng.Unavailable, "down")
		v.set(func() { v.fail = nil })
		s.wait(5 * time.Second)
		v.set(func() {
			if v.docs["ada"] != "1" {
				t.Errorf("kept %q once the store was back, want what waited", v.docs["ada"])
			}
		})
		s.place.mu.Lock()
		s.place.docs = map[throng.PlayerID]string{"ada": "2"}
		s.place.mu.Unlock()
		s.server.Leave("the machine ends", time.Second)
		s.wait(3 * time.Second)
		v.set(func() {
			if v.docs["ada"] != "2" {
				t.Errorf("kept %q when the session ended, want what the script had last", v.docs["ada"])
			}
		})
		if got := v.log(); !strings.HasSuffix(got, "save ada, return ada") {
			t.Errorf("got %s, want a last save and a return", got)
		}
	})
}

// TestSavedWhileItIsLoaded: a script may save a profile in the same moment in which it
// hears that it is there.
func TestSavedWhileItIsLoaded(t *testing.T) {
	v := newVault()
	playWith(t, func(s *stage) { s.profiles = v }, func(s *stage) {
		s.place.onLoaded = func(p throng.PlayerID) { s.store.Save(1, p, []byte("first")) }
		s.enter("t", "ada")
		s.wait(time.Second)
		s.wantTold("saved 1", 0, "")
		if got, want := v.log(), "checkout ada, save ada"; got != want || v.docs["ada"] != "first" {
			t.Errorf("got %s and %q\nwant %s and first", got, v.docs["ada"], want)
		}
	})
}

// TestCopyIsNeverSaved: while the home of profiles is away the script has a copy, of
// which nothing is saved; once the home is back it gets what was saved last.
func TestCopyIsNeverSaved(t *testing.T) {
	v := newVault()
	v.docs["ada"], v.revisions["ada"], v.copied = "old", 3, true
	playWith(t, func(s *stage) { s.profiles = v }, func(s *stage) {
		s.enter("t", "ada")
		s.wait(time.Second)
		s.wantTold("loaded ada old", 0, "")
		s.inTick(func() { s.store.Save(1, "ada", []byte("mine")) })
		s.wait(time.Second)
		s.wantTold("saved 1", throng.Unavailable, "not checked out")
		v.set(func() { v.fail = func(string) error { return throng.Errorf(throng.Unavailable, "down") } })
		s.wait(time.Minute)
		if _, told := s.told("loaded ada "); told {
			t.Error("the script lost its copy while the door was away")
		}
		v.set(func() { v.fail, v.copied, v.docs["ada"], v.revisions["ada"] = nil, false, "new", 5 })
		s.wait(errandTime)
		s.wantTold("loaded ada new", 0, "")
		s.inTick(func() { s.store.Save(2, "ada", []byte("mine")) })
		s.wait(time.Second)
		s.wantTold("saved 2", 0, "")
		if v.docs["ada"] != "mine" || v.revisions["ada"] != 6 {
			t.Errorf("kept %q as revision %d, want mine as revision 6", v.docs["ada"], v.revisions["ada"])
		}
	})
}

// TestSecondStayWaitsForTheFirst: a player who comes back under a new epoch gets
// his profile after his older stay has saved it.
func TestSecondStayWaitsForTheFirst(t *testing.T) {
	v := newVault()
	v.slow = 300 * time.Millisecond
	playWith(t, func(s *stage) { s.profiles = v }, func(s *stage) {
		s.enter("t", "ada")
		s.wait(time.Second)
		s.inTick(func() { s.store.Save(1, "ada", []byte("mine")) })
		s.enter("t2", "ada")
		s.wait(3 * time.Second)
		if got, want := v.log(), "checkout ada, save ada, return ada, checkout ada"; got != want {
			t.Errorf("got %s\nwant %s", got, want)
		}
		s.wantTold("loaded ada mine", 0, "")
	})
}

// TestNewerSessionHasTheProfile: the script is told that nothing it saves counts.
func TestNewerSessionHasTheProfile(t *testing.T) {
	v := newVault()
	playWith(t, func(s *stage) { s.profiles = v }, func(s *stage) {
		s.enter("t", "ada")
		s.inTick(func() {
			v.fences["ada"] = 1 << 60
			s.store.Save(1, "ada", []byte("stale"))
		})
		s.wait(time.Second)
		s.wantTold("saved 1", throng.Denied, "a later epoch has it")
		if v.docs["ada"] == "stale" {
			t.Error("a stale writer was believed")
		}
	})
}

// TestAutosaveIsDirtyOnly: what changed is saved by itself within SaveEvery, and
// what has not changed is not.
func TestAutosaveIsDirtyOnly(t *testing.T) {
	v := newVault()
	playWith(t, func(s *stage) { s.profiles = v }, func(s *stage) {
		s.enter("t", "ada")
		s.wait(time.Second)
		set := func(doc string) {
			s.place.mu.Lock()
			defer s.place.mu.Unlock()
			s.place.docs = map[throng.PlayerID]string{"ada": doc}
		}
		set("1")
		s.wait(3*time.Minute + time.Second)
		s.wait(9 * time.Minute)
		set("2")
		s.wait(3*time.Minute + time.Second)
		if got, want := v.log(), "checkout ada, save ada, save ada"; got != want {
			t.Errorf("got %s\nwant %s", got, want)
		}
	})
}

// TestFlushLetsGo: a session that is asked saves and returns at once, and keeps
// nothing more of the player, who plays on.
func TestFlushLetsGo(t *testing.T) {
	v := newVault()
	playWith(t, func(s *stage) { s.profiles = v }, func(s *stage) {
		_, grant := s.enter("t", "ada")
		s.wait(time.Second)
		s.place.mu.Lock()
		s.place.docs = map[throng.PlayerID]string{"ada": "mine"}
		s.place.mu.Unlock()
		directives{s: s.server}.Order(grant.Session, throng.Order{Kind: throng.OrderFlush, Player: "ada", Epoch: grant.Members[0].Epoch})
		s.wait(time.Second)
		s.inTick(func() { s.store.Save(1, "ada", []byte("late")) })
		s.wait(time.Second)
		s.wantTold("saved 1", throng.Unavailable, "not checked out")
		s.wantTold("loaded ada ", throng.Denied, "another session")
		if got, want := v.log(), "checkout ada, save ada, return ada"; got != want || v.docs["ada"] != "mine" {
			t.Errorf("got %s and %q\nwant %s and mine", got, v.docs["ada"], want)
		}
	})
}

// TestLostReplyOfASave: a save that got through though nobody heard is followed
// by the next one.
func TestLostReplyOfASave(t *testing.T) {
	v := newVault()
	playWith(t, func(s *stage) { s.profiles = v }, func(s *stage) {
		s.enter("t", "ada")
		s.wait(time.Second)
		v.set(func() {
			v.lost = func(r throng.Revision) error {
				v.fail = func(string) error { return throng.Errorf(throng.Unavailable, "down") }
				return throng.Errorf(throng.Unavailable, "the reply to %d was lost", r)
			}
		})
		s.inTick(func() { s.store.Save(1, "ada", []byte("1")) })
		s.wait(time.Second)
		s.inTick(func() { s.store.Save(2, "ada", []byte("2")) })
		s.wait(errandTime + 3*time.Second)
		v.set(func() { v.fail, v.lost = nil, nil })
		s.wait(10 * time.Second)
		s.wantTold("saved 2", 0, "")
		if v.docs["ada"] != "2" || v.revisions["ada"] != 2 {
			t.Errorf("kept %q as revision %d, want 2 as revision 2", v.docs["ada"], v.revisions["ada"])
		}
	})
}
