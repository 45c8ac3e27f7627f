package contract

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/friend"
)

// FriendStore tests a friend.Store. open makes an empty one for each case, with
// room for 10 players and 2,000 entries of lists.
func FriendStore(t *testing.T, open func(t *testing.T) friend.Store) {
	for name, run := range map[string]func(*testing.T, friendStore){
		"who set nothing has an empty record":    friendNothing,
		"list and privacy are kept apart":        friendKept,
		"friends are mutual or do not count":     friendMutual,
		"when a friend was seen is kept":         friendSeen,
		"past its room it refuses, and says so":  friendFull,
		"the newest stamp counts":                friendStamps,
		"writers and readers at once are served": friendRace,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			run(t, friendStore{open(t), new(atomic.Int64)})
		})
	}
}

// friendStore sets everything later than what it set before.
type friendStore struct {
	friend.Store

	now *atomic.Int64
}

func (s friendStore) SetFriends(ctx context.Context, p throng.PlayerID, friends []throng.PlayerID, claimed bool) error {
	_, err := s.Store.SetFriends(ctx, p, friends, claimed, throng.Stamp{Number: s.now.Add(1), Region: "eu"})
	return err
}

func (s friendStore) SetPrivacy(ctx context.Context, p throng.PlayerID, privacy throng.Privacy) error {
	_, err := s.Store.SetPrivacy(ctx, p, privacy, throng.Stamp{Number: s.now.Add(1), Region: "eu"})
	return err
}

func friendNothing(t *testing.T, s friendStore) {
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

func friendKept(t *testing.T, s friendStore) {
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

func friendMutual(t *testing.T, s friendStore) {
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

func friendSeen(t *testing.T, s friendStore) {
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

func friendFull(t *testing.T, s friendStore) {
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

// Whatever the order in which a list and a setting come, and however often, those with
// the newest stamps stay; also when they are as if nothing was ever set.
func friendStamps(t *testing.T, s friendStore) {
	ctx, stamp := t.Context(), friendStamp
	settings := []struct {
		at      throng.Stamp
		privacy throng.Privacy
		friends []throng.PlayerID
	}{
		{stamp(1, "us"), throng.PrivacyNobody, []throng.PlayerID{"bo"}},
		{stamp(2, "ap"), throng.PrivacyFriends, []throng.PlayerID{"bo", "cy"}},
		{stamp(2, "eu"), throng.PrivacyEveryone, nil},
	}
	orders := [][]int{{0, 1, 2}, {0, 2, 1}, {1, 0, 2}, {1, 2, 0}, {2, 0, 1}, {2, 1, 0}, {2, 2, 0, 0, 1, 2}}
	for i, order := range orders {
		p := throng.PlayerID(fmt.Sprint("p", i))
		newest := -1
		for _, n := range order {
			is := settings[n]
			for what, set := range map[string]bool{
				"privacy": must(s.Store.SetPrivacy(ctx, p, is.privacy, is.at))(t),
				"list":    must(s.Store.SetFriends(ctx, p, is.friends, false, is.at))(t),
			} {
				if set != (n > newest) {
					t.Errorf("%v: %s of %v was set: %t", order, what, is.at, set)
				}
			}
			newest = max(newest, n)
		}
		r := must(s.Record(ctx, p))(t)
		if r.Privacy != "" && r.Privacy != throng.PrivacyEveryone || len(r.Friends) != 0 || r.FriendsAt != settings[2].at || r.PrivacyAt != settings[2].at {
			t.Errorf("%v: got %+v, want the last of them", order, r)
		}
		if must(s.Seen(ctx, p, partyTime))(t) {
			t.Errorf("%v: there is a record of who set nothing", order)
		}
	}
	friendLater(t, s)
}

// friendStamp is the n-th of a region.
func friendStamp(n int64, r throng.RegionID) throng.Stamp {
	return throng.Stamp{Number: 1_800_000_000_000 + n, Region: r}
}

// friendLater: those who set nothing in the end take no room, and what is set later
// counts.
func friendLater(t *testing.T, s friendStore) {
	t.Helper()
	ctx, stamp := t.Context(), friendStamp
	for i := range 10 {
		p := throng.PlayerID(fmt.Sprint("p", i))
		if !must(s.Store.SetPrivacy(ctx, p, throng.PrivacyNobody, stamp(3, "ap")))(t) {
			t.Errorf("a later setting of %s was not kept", p)
		}
		if r := must(s.Record(ctx, p))(t); r.Privacy != throng.PrivacyNobody || r.PrivacyAt != stamp(3, "ap") {
			t.Errorf("%s: got %+v, want nobody", p, r)
		}
		if !must(s.Seen(ctx, p, partyTime))(t) {
			t.Errorf("there is no record of %s", p)
		}
	}
}

func friendRace(t *testing.T, s friendStore) {
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
