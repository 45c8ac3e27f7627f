package friend_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/friend"
	"github.com/throng-gg/throng/memory"
)

// presences says where players play, and counts how often it is asked.
type presences struct {
	at    map[throng.PlayerID]throng.SessionID
	asked atomic.Int64
}

func (p *presences) Presence(_ context.Context, who throng.PlayerID) (throng.Presence, error) {
	p.asked.Add(1)
	if s, ok := p.at[who]; ok {
		return throng.Presence{Player: who, State: throng.PresencePlaying, Session: s, Place: "arena"}, nil
	}
	return throng.Presence{Player: who, State: throng.PresenceLeft, Session: "ses_old"}, nil
}

type rig struct {
	*friend.Book
	t   *testing.T
	at  *presences
	now time.Time
}

func newRig(t *testing.T) *rig {
	t.Helper()
	r := &rig{t: t, at: &presences{at: map[throng.PlayerID]throng.SessionID{}}, now: time.Unix(1000, 0)}
	var err error
	r.Book, err = friend.New(friend.Config{
		Store: memory.NewFriends(0, 0), Presences: r.at, Now: func() time.Time { return r.now },
	})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func (r *rig) friends(p throng.PlayerID, names ...string) {
	r.t.Helper()
	if _, err := r.SetFriends(r.t.Context(), p, names); err != nil {
		r.t.Fatalf("friends of %s: %v", p, err)
	}
}

func (r *rig) privacy(p throng.PlayerID, setting throng.Privacy) {
	r.t.Helper()
	if err := r.SetPrivacy(r.t.Context(), p, setting); err != nil {
		r.t.Fatalf("privacy of %s: %v", p, err)
	}
}

func TestSetFriends(t *testing.T) {
	r, ctx := newRig(t), t.Context()
	got, err := r.SetFriends(ctx, "ada", []string{"cy", "bo", "ada", "bo", "o.d:d_-"})
	want := []throng.PlayerID{"bo", "cy", "o.d:d_-"}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("got %v, %v, want %v", got, err, want)
	}
	if kept, err := r.Friends(ctx, "ada"); err != nil || !slices.Equal(kept, want) {
		t.Errorf("kept: got %v, %v, want %v", kept, err, want)
	}
	for name, list := range map[string][]string{
		"10,000 friends": crowd(10_000), "1,001": crowd(1001),
		"a space": {"a b"}, "nothing": {""}, "a letter of another kind": {"zoë"}, "control": {"a\x00"}, "long": {fmt.Sprintf("%065d", 1)},
	} {
		if _, err := r.SetFriends(ctx, "ada", list); throng.KindOf(err) != throng.Invalid || err == nil {
			t.Errorf("%s: got %v, want invalid", name, err)
		}
	}
	if kept, _ := r.Friends(ctx, "ada"); !slices.Equal(kept, want) {
		t.Errorf("after refusals: got %v, want %v", kept, want)
	}
	if _, err := r.SetFriends(ctx, "ada", append(crowd(1000), "ada", "f0")); err != nil {
		t.Errorf("1,000, one twice, and herself: got %v, want no error", err)
	}
}

func crowd(n int) []string {
	list := make([]string, n)
	for i := range list {
		list[i] = fmt.Sprint("f", i)
	}
	return list
}

func TestClaimsTakePrecedence(t *testing.T) {
	r, ctx := newRig(t), t.Context()
	r.friends("ada", "bo")
	if err := r.Claim(ctx, "ada", []throng.PlayerID{"cy", "ada", "cy"}); err != nil {
		t.Fatal(err)
	}
	if got, _ := r.Friends(ctx, "ada"); !slices.Equal(got, []throng.PlayerID{"cy"}) {
		t.Errorf("got %v, want what the token says", got)
	}
	if _, err := r.SetFriends(ctx, "ada", []string{"bo"}); throng.KindOf(err) != throng.Denied || err == nil {
		t.Errorf("set after a claim: got %v, want denied", err)
	}
	if err := r.Claim(ctx, "ada", nil); err != nil {
		t.Fatal(err)
	}
	if got, _ := r.Friends(ctx, "ada"); len(got) != 0 {
		t.Errorf("an empty claim: got %v, want none", got)
	}
}

func TestPrivacy(t *testing.T) {
	r, ctx := newRig(t), t.Context()
	r.friends("ada", "bo", "cy")
	r.friends("bo", "ada")
	r.friends("dee", "ada")
	r.at.at["ada"] = "ses_a"
	for _, c := range []struct {
		setting throng.Privacy
		sees    string // of bo (mutual), cy (whom ada likes), dee (who likes ada), eve (a stranger)
	}{
		{"", "bo cy dee eve"},
		{throng.PrivacyEveryone, "bo cy dee eve"},
		{throng.PrivacyFriends, "bo"},
		{throng.PrivacyNobody, ""},
	} {
		if c.setting != "" {
			r.privacy("ada", c.setting)
		}
		want := map[throng.PlayerID]bool{"ada": true}
		for _, who := range []throng.PlayerID{"bo", "cy", "dee", "eve"} {
			want[who] = slices.Contains(strings.Fields(c.sees), string(who))
		}
		for viewer, sees := range want {
			if got, err := r.Shows(ctx, "ada", viewer); err != nil || got != sees {
				t.Errorf("%q, seen by %s: got %v, %v, want %v", c.setting, viewer, got, err, sees)
			}
			session, err := r.Follow(ctx, viewer, "ada")
			if sees && (err != nil || session != "ses_a") || !sees && (throng.KindOf(err) != throng.NotFound || err == nil) {
				t.Errorf("%q, followed by %s: got %s, %v, want it: %v", c.setting, viewer, session, err, sees)
			}
		}
	}
	// A hidden one and one who was never here look alike.
	_, hidden := r.Follow(ctx, "eve", "ada")
	delete(r.at.at, "ada")
	_, never := r.Follow(ctx, "eve", "ada")
	if hidden.Error() != never.Error() {
		t.Errorf("hidden: %q, not here: %q; want them alike", hidden, never)
	}
	if got, err := r.Privacy(ctx, "ghost"); err != nil || got != throng.PrivacyEveryone {
		t.Errorf("who set nothing: got %s, %v, want everyone", got, err)
	}
}

func TestAround(t *testing.T) {
	r, ctx := newRig(t), t.Context()
	r.friends("ada", "bo", "cy", "dee", "eve")
	r.friends("ivo", "bo", "fay")
	for _, f := range []throng.PlayerID{"bo", "cy", "dee"} {
		r.friends(f, "ada", "ivo")
	}
	r.friends("fay", "ivo")
	r.privacy("dee", throng.PrivacyNobody)
	r.privacy("cy", throng.PrivacyFriends)
	r.at.at = map[throng.PlayerID]throng.SessionID{
		"bo": "ses_2", "cy": "ses_1", "dee": "ses_3", "eve": "ses_4", "fay": "ses_1", "ada": "ses_5",
	}
	for _, c := range []struct {
		party []throng.PlayerID
		want  []throng.SessionFriends
	}{
		{[]throng.PlayerID{"ada"}, []throng.SessionFriends{{Session: "ses_1", Friends: 1}, {Session: "ses_2", Friends: 1}}},
		{[]throng.PlayerID{"ada", "ivo"}, []throng.SessionFriends{{Session: "ses_1", Friends: 2}, {Session: "ses_2", Friends: 1}}},
		{[]throng.PlayerID{"ada", "bo"}, []throng.SessionFriends{{Session: "ses_1", Friends: 1}}},
		{[]throng.PlayerID{"stranger"}, nil},
	} {
		got, err := r.Around(ctx, c.party)
		if err != nil || !slices.Equal(got, c.want) {
			t.Errorf("%v: got %v, %v, want %v", c.party, got, err, c.want)
		}
	}
}

// Of a thousand friends those 200 are looked up who were seen last.
func TestAroundIsBounded(t *testing.T) {
	r, ctx := newRig(t), t.Context()
	r.friends("ada", crowd(1000)...)
	for i, name := range crowd(1000) {
		p := throng.PlayerID(name)
		r.friends(p, "ada")
		r.now = time.Unix(int64(2000+i), 0)
		if err := r.Seen(ctx, p); err != nil {
			t.Fatal(err)
		}
	}
	r.at.at["f999"], r.at.at["f800"], r.at.at["f799"] = "ses_1", "ses_1", "ses_2"
	got, err := r.Around(ctx, []throng.PlayerID{"ada"})
	if want := []throng.SessionFriends{{Session: "ses_1", Friends: 2}}; err != nil || !slices.Equal(got, want) {
		t.Errorf("got %v, %v, want %v", got, err, want)
	}
	if n := r.at.asked.Load(); n != 200 {
		t.Errorf("got %d look-ups, want 200", n)
	}
}

// reads counts how often friends are looked up.
type reads struct {
	friend.Store
	n int
}

func (r *reads) Mutual(ctx context.Context, p throng.PlayerID) ([]friend.Friend, error) {
	r.n++
	return r.Store.Mutual(ctx, p)
}

// Who was just seen without a record has no friends to look up, until he sets
// some, or a moment has passed in which another process may have set them.
func TestAroundOfWhoHasNoRecord(t *testing.T) {
	r, ctx := newRig(t), t.Context()
	store := &reads{Store: memory.NewFriends(0, 0)}
	var err error
	r.Book, err = friend.New(friend.Config{Store: store, Presences: r.at, Now: func() time.Time { return r.now }})
	if err != nil {
		t.Fatal(err)
	}
	r.friends("bo", "ada")
	r.at.at["bo"] = "ses_1"
	sessions := func(step string, want, lookUps int) {
		t.Helper()
		got, err := r.Around(ctx, []throng.PlayerID{"ada"})
		if err != nil || len(got) != want || store.n != lookUps {
			t.Errorf("%s: got %v, %v, after %d look-ups, want %d sessions after %d", step, got, err, store.n, want, lookUps)
		}
	}
	seen := func() {
		t.Helper()
		if err := r.Seen(ctx, "ada"); err != nil {
			t.Fatal(err)
		}
	}
	seen()
	sessions("just seen", 0, 0)
	sessions("again", 0, 1)
	seen()
	r.now = r.now.Add(time.Second)
	sessions("seen a second ago", 0, 2)
	seen()
	r.friends("ada", "bo")
	sessions("with a friend", 1, 3)
	seen()
	sessions("seen with a record", 1, 4)
}
