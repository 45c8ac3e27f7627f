package friend_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"reflect"
	"testing"
	"time"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/event/eventtest"
	"github.com/throng-gg/throng/friend"
	"github.com/throng-gg/throng/memory"
)

// told is a region with its own store and clock, and what it told.
type told struct {
	*friend.Book

	store *memory.Friends
	now   time.Time
	log   []throng.Event
}

func newTold(t *testing.T, region throng.RegionID, ahead time.Duration) *told {
	t.Helper()
	r := &told{store: memory.NewFriends(0, 0), now: time.Unix(1_800_000_000, 0).Add(ahead)}
	var err error
	r.Book, err = friend.New(friend.Config{
		Store: r.store, Presences: &presences{}, Region: region, Now: func() time.Time { return r.now }, Tell: func(e throng.Event) { r.log = append(r.log, e) },
	})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func (r *told) hear(t *testing.T, events ...throng.Event) {
	t.Helper()
	for _, e := range events {
		if err := r.Apply(t.Context(), e); err != nil {
			t.Fatal(err)
		}
	}
}

// Whatever is set where, in whatever order and however often the others hear of it: when
// all have heard all, all have the same.
func TestSettingsAreEqualEverywhere(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	players := []throng.PlayerID{"ada", "bo", "cy"}
	for round := range 100 {
		regions := []*told{newTold(t, "ap", 0), newTold(t, "eu", -time.Hour), newTold(t, "us", time.Hour)}
		for range 20 {
			r, p := regions[random.IntN(3)], players[random.IntN(3)]
			r.now = r.now.Add(time.Duration(random.IntN(3)) * time.Millisecond)
			var err error
			switch random.IntN(3) {
			case 0:
				err = r.SetPrivacy(t.Context(), p, []throng.Privacy{throng.PrivacyEveryone, throng.PrivacyFriends, throng.PrivacyNobody}[random.IntN(3)])
			case 1:
				_, err = r.SetFriends(t.Context(), p, [][]string{nil, {"bo"}, {"ada", "dee"}}[random.IntN(3)])
			default: // one hears of another, all of it
				r.hear(t, regions[random.IntN(3)].log...)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		var all []throng.Event
		for _, r := range regions {
			all = append(all, r.log...)
		}
		for _, e := range all {
			if err := eventtest.Check(e); err != nil {
				t.Fatal(err)
			}
		}
		for _, r := range regions {
			list := append(append([]throng.Event{}, all...), all...)
			random.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
			r.hear(t, list...)
		}
		for _, p := range players {
			want := regions[0].settings(t, p)
			for _, r := range regions[1:] {
				if got := r.settings(t, p); got != want {
					t.Fatalf("round %d: %s: one has %s, another %s", round, p, want, got)
				}
			}
		}
	}
}

func (r *told) settings(t *testing.T, p throng.PlayerID) string {
	t.Helper()
	rec, err := r.store.Record(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	privacy, err := r.Privacy(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprint(rec.Friends, rec.Claimed, privacy, rec.FriendsAt, rec.PrivacyAt)
}

// What is set by who knew of something counts over that, however wrong clocks are.
func TestSettingsDoNotFollowClocks(t *testing.T) {
	ahead, behind := newTold(t, "us", time.Hour), newTold(t, "ap", 0)
	if err := ahead.SetPrivacy(t.Context(), "ada", throng.PrivacyEveryone); err != nil {
		t.Fatal(err)
	}
	behind.hear(t, ahead.log...)
	if err := behind.SetPrivacy(t.Context(), "ada", throng.PrivacyNobody); err != nil {
		t.Fatal(err)
	}
	ahead.hear(t, behind.log...)
	if p, err := ahead.Privacy(t.Context(), "ada"); err != nil || p != throng.PrivacyNobody {
		t.Errorf("set an hour behind by who knew of it: got %s, %v, want nobody", p, err)
	}
}

// Who joins is told of again, so that whoever knows where he is knows who may see it;
// once an hour, and only of what was set.
func TestSettingsAreToldAgain(t *testing.T) {
	r := newTold(t, "eu", 0)
	seen := func() []throng.Event {
		t.Helper()
		r.log = nil
		for _, p := range []throng.PlayerID{"ada", "bo"} {
			if err := r.Seen(t.Context(), p); err != nil {
				t.Fatal(err)
			}
		}
		return r.log
	}
	if got := seen(); len(got) != 0 {
		t.Errorf("of who set nothing it tells %v", got)
	}
	if err := r.SetPrivacy(t.Context(), "ada", throng.PrivacyNobody); err != nil {
		t.Fatal(err)
	}
	first := r.log
	if got := seen(); !reflect.DeepEqual(got, first) || len(got) != 1 || got[0].Key != "ada/privacy" {
		t.Errorf("got %v, want what was told first: %v", got, first)
	}
	if got := seen(); len(got) != 0 {
		t.Errorf("a moment later it tells %v", got)
	}
	r.now = r.now.Add(time.Hour)
	if got := seen(); len(got) != 1 {
		t.Errorf("an hour later it tells %v", got)
	}
}

// A long list goes through the log whole.
func TestLongListIsTold(t *testing.T) {
	us, eu := newTold(t, "us", 0), newTold(t, "eu", 0)
	var names []string
	for i := range throng.FriendsMost {
		names = append(names, fmt.Sprintf("%064d", i))
	}
	if _, err := us.SetFriends(t.Context(), "ada", names); err != nil {
		t.Fatal(err)
	}
	if err := eventtest.Check(us.log[0]); err != nil {
		t.Error(err)
	}
	eu.hear(t, us.log...)
	if list, err := eu.Friends(t.Context(), "ada"); err != nil || len(list) != throng.FriendsMost {
		t.Errorf("got %d friends, %v", len(list), err)
	}
}

func TestStrangeSettings(t *testing.T) {
	r := newTold(t, "eu", 0)
	event := func(change func(*throng.Event), data any) throng.Event {
		text, err := json.Marshal(data)
		if err != nil {
			t.Fatal(err)
		}
		e := throng.Event{Type: throng.EventPlayerPrivacy, Player: "ada", Data: text}
		if change != nil {
			change(&e)
		}
		return e
	}
	at := throng.Stamp{Number: r.now.UnixMilli(), Region: "us"}
	hides := throng.PlayerPrivacy{Stamp: at, Presence: throng.PrivacyNobody}
	for name, e := range map[string]throng.Event{
		"no player":       event(func(e *throng.Event) { e.Player = "" }, hides),
		"another type":    event(func(e *throng.Event) { e.Type = throng.EventPlayerJoined }, hides),
		"no data":         event(func(e *throng.Event) { e.Data = json.RawMessage(`[]`) }, nil),
		"no such setting": event(nil, throng.PlayerPrivacy{Stamp: at, Presence: "some"}),
		"no stamp":        event(nil, throng.PlayerPrivacy{Presence: throng.PrivacyNobody}),
		"no region":       event(nil, throng.PlayerPrivacy{Stamp: throng.Stamp{Number: 1}, Presence: throng.PrivacyNobody}),
		"from far ahead":  event(nil, throng.PlayerPrivacy{Stamp: throng.Stamp{Number: at.Number + 25*3600_000, Region: "us"}, Presence: throng.PrivacyNobody}),
		"a bad friend": event(func(e *throng.Event) { e.Type = throng.EventPlayerFriends },
			throng.PlayerFriends{Stamp: at, Friends: []throng.PlayerID{"b o"}}),
	} {
		if err := r.Apply(t.Context(), e); throng.KindOf(err) != throng.Invalid || err == nil {
			t.Errorf("%s: got %v, want invalid", name, err)
		}
	}
	if rec, err := r.store.Record(t.Context(), "ada"); err != nil || !reflect.DeepEqual(rec, friend.Record{}) {
		t.Errorf("got %+v, %v, want nothing set", rec, err)
	}
}
