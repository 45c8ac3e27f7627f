package contract

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/friend"
)

// FriendStore tests a friend.Store. open makes an empty one for each case, with
// room for 10 players and 2,000 entries of lists.
func FriendStore(t *testing.T, open func(t *testing.T) friend.Store) {
	for name, run := range map[string]func(*testing.T, friend.Store){
		"who set nothing has an empty record":    friendNothing,
		"list and privacy are kept apart":        friendKept,
		"friends are mutual or do not count":     friendMutual,
		"when a friend was seen is kept":         friendSeen,
		"past its room it refuses, and says so":  friendFull,
		"writers and readers at once are served": friendRace,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			run(t, open(t))
		})
	}
}

func friendNothing(t *testing.T, s friend.Store) {
	ctx := t.Context()
	r := must(s.Record(ctx, "ada"))(t)
	if len(r.Friends) != 0 || r.Claimed || r.Privacy != "" {
		t.Errorf("got %+v, want an empty record", r)
	}
	if m := must(s.Mutual(ctx, "ada"))(t); len(m) != 0 {
		t.Errorf("mutual: got %v, want none", m)
	}
	must(s.Seen(ctx, "ada", partyTime))(t)
}

func friendKept(t *testing.T, s friend.Store) {
	ctx := t.Context()
	check(t, s.SetFriends(ctx, "ada", []throng.PlayerID{"bo", "cy"}, false))
	check(t, s.SetPrivacy(ctx, "ada", throng.PrivacyFriends))
	check(t, s.SetFriends(ctx, "ada", []throng.PlayerID{"dee"}, true))
	check(t, s.SetFriends(ctx, "ada", []throng.PlayerID{"dee"}, true))
	r := must(s.Record(ctx, "ada"))(t)
	if !slices.Equal(r.Friends, []throng.PlayerID{"dee"}) || !r.Claimed || r.Privacy != throng.PrivacyFriends {
		t.Errorf("got %+v, want dee, claimed, friends", r)
	}
	check(t, s.SetFriends(ctx, "ada", nil, false))
	r = must(s.Record(ctx, "ada"))(t)
	if len(r.Friends) != 0 || r.Claimed || r.Privacy != throng.PrivacyFriends {
		t.Errorf("emptied: got %+v, want friends kept as the setting", r)
	}
}

func friendMutual(t *testing.T, s friend.Store) {
	ctx := t.Context()
	check(t, s.SetFriends(ctx, "ada", []throng.PlayerID{"bo", "cy", "dee"}, false))
	check(t, s.SetFriends(ctx, "bo", []throng.PlayerID{"ada"}, false))
	check(t, s.SetFriends(ctx, "cy", []throng.PlayerID{"bo"}, false))
	check(t, s.SetFriends(ctx, "eve", []throng.PlayerID{"ada"}, false))
	check(t, s.SetPrivacy(ctx, "bo", throng.PrivacyNobody))
	got := must(s.Mutual(ctx, "ada"))(t)
	if len(got) != 1 || got[0].Player != "bo" || got[0].Privacy != throng.PrivacyNobody || !got[0].Seen.IsZero() {
		t.Errorf("ada's: got %+v, want bo alone, who hides", got)
	}
	if got := must(s.Mutual(ctx, "eve"))(t); len(got) != 0 {
		t.Errorf("eve's: got %+v, want none", got)
	}
	check(t, s.SetFriends(ctx, "bo", nil, false))
	if got := must(s.Mutual(ctx, "ada"))(t); len(got) != 0 {
		t.Errorf("bo took her out: got %+v, want none", got)
	}
}

func friendSeen(t *testing.T, s friend.Store) {
	ctx := t.Context()
	check(t, s.SetFriends(ctx, "ada", []throng.PlayerID{"bo"}, false))
	check(t, s.SetFriends(ctx, "bo", []throng.PlayerID{"ada"}, false))
	if !must(s.Seen(ctx, "bo", partyTime))(t) || !must(s.Seen(ctx, "bo", partyTime.Add(-time.Hour)))(t) {
		t.Errorf("got that bo has no record, want one")
	}
	if must(s.Seen(ctx, "eve", partyTime))(t) {
		t.Errorf("got that eve has a record, want none")
	}
	check(t, s.SetPrivacy(ctx, "bo", throng.PrivacyFriends))
	got := must(s.Mutual(ctx, "ada"))(t)
	if len(got) != 1 || !got[0].Seen.Equal(partyTime) {
		t.Errorf("got %+v, want bo seen at %v", got, partyTime)
	}
}

func friendFull(t *testing.T, s friend.Store) {
	ctx := t.Context()
	long := make([]throng.PlayerID, 1000)
	for i := range long {
		long[i] = throng.PlayerID(fmt.Sprintf("f%04d", i))
	}
	check(t, s.SetFriends(ctx, "ada", long, false))
	check(t, s.SetFriends(ctx, "bo", long, false))
	refused(t, s.SetFriends(ctx, "cy", long[:1], false), throng.Unavailable)
	check(t, s.SetFriends(ctx, "ada", long[:500], false))
	check(t, s.SetFriends(ctx, "cy", long[:500], false))
	for i := range 7 {
		check(t, s.SetPrivacy(ctx, throng.PlayerID(fmt.Sprint("p", i)), throng.PrivacyNobody))
	}
	refused(t, s.SetPrivacy(ctx, "late", throng.PrivacyNobody), throng.Unavailable)
	check(t, s.SetPrivacy(ctx, "p0", throng.PrivacyEveryone)) // as if he never set it
	check(t, s.SetPrivacy(ctx, "late", throng.PrivacyNobody))
	if r := must(s.Record(ctx, "ada"))(t); len(r.Friends) != 500 {
		t.Errorf("ada's list: got %d, want 500", len(r.Friends))
	}
}

func friendRace(t *testing.T, s friend.Store) {
	ctx := t.Context()
	var group sync.WaitGroup
	fine := func(err error) {
		if err != nil {
			t.Errorf("got %v, want no error", err)
		}
	}
	for i := range 8 {
		me, other := throng.PlayerID(fmt.Sprint("p", i)), throng.PlayerID(fmt.Sprint("p", (i+1)%8))
		group.Go(func() {
			for n := range 100 {
				fine(s.SetFriends(ctx, me, []throng.PlayerID{other, throng.PlayerID(fmt.Sprint("x", n%3))}, false))
				fine(second(s.Seen(ctx, other, partyTime.Add(time.Duration(n)))))
				r, err := s.Record(ctx, other)
				fine(err)
				if len(r.Friends) != 0 && len(r.Friends) != 2 {
					t.Errorf("a list half changed: %v", r.Friends)
				}
				fine(second(s.Mutual(ctx, me)))
			}
		})
	}
	group.Wait()
}
