package friend

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/throng-gg/throng"
)

// Config is what a Book needs.
type Config struct {
	Store     Store            // required
	Presences Presences        // required
	Now       func() time.Time // nil: time.Now
	Region    throng.RegionID  // that sets what is set here
	// Tell tells the other regions; it does not wait. Nil: they are not told.
	Tell func(throng.Event)
}

// Book is who is whose friend and who may see whom. Its methods may be called by
// any number of goroutines and processes on the same store, and repeated.
type Book struct {
	store     Store
	presences Presences
	now       func() time.Time
	region    throng.RegionID
	tell      func(throng.Event)
	quiet     quiet
	told      told
}

// New makes a Book.
func New(c Config) (*Book, error) {
	if c.Store == nil || c.Presences == nil {
		return nil, throng.Errorf(throng.Invalid, "friends need a store and presences")
	}
	b := &Book{store: c.Store, presences: c.Presences, now: c.Now, region: c.Region, tell: c.Tell}
	if b.now == nil {
		b.now = time.Now
	}
	return b, nil
}

// SetFriends replaces a player's list and returns it as it is kept: sorted, each
// once, without himself. Invalid: more than throng.FriendsMost, or a bad name.
// Denied: the player's access tokens bring the list.
func (b *Book) SetFriends(ctx context.Context, p throng.PlayerID, names []string) ([]throng.PlayerID, error) {
	list := make([]throng.PlayerID, 0, min(len(names), throng.FriendsMost))
	for i, name := range names {
		friend, err := throng.ParsePlayerID(fmt.Sprintf("friends[%d]", i), name)
		if err != nil {
			return nil, err
		}
		list = append(list, friend)
	}
	list = tidy(p, list)
	if len(list) > throng.FriendsMost {
		return nil, throng.AtField(throng.Invalid, "friends", "has %d players, at most %d are allowed", len(list), throng.FriendsMost)
	}
	r, err := b.store.Record(ctx, p)
	if err != nil {
		return nil, err
	}
	if r.Claimed {
		return nil, throng.AtField(throng.Denied, "friends", "come with the access token of %s, and can't be set", p)
	}
	return list, b.setFriends(ctx, p, r, list, false)
}

// Claim takes in the list that an access token brought. It takes the place of
// one that was set, and cannot be set from then on. What is over
// throng.FriendsMost, by name, does not count.
func (b *Book) Claim(ctx context.Context, p throng.PlayerID, friends []throng.PlayerID) error {
	list := tidy(p, friends)
	list = list[:min(len(list), throng.FriendsMost)]
	r, err := b.store.Record(ctx, p)
	if err != nil {
		return err
	}
	if r.Claimed && slices.Equal(r.Friends, list) {
		return nil
	}
	return b.setFriends(ctx, p, r, list, true)
}

// tidy returns a list sorted, each once, without the player himself.
func tidy(p throng.PlayerID, friends []throng.PlayerID) []throng.PlayerID {
	list := slices.Sorted(slices.Values(friends))
	list = slices.Compact(list)
	return slices.DeleteFunc(list, func(f throng.PlayerID) bool { return f == p })
}

// Friends returns a player's list, mutual or not, sorted.
func (b *Book) Friends(ctx context.Context, p throng.PlayerID) ([]throng.PlayerID, error) {
	r, err := b.store.Record(ctx, p)
	return r.Friends, err
}

// SetPrivacy says who may see where the player is.
func (b *Book) SetPrivacy(ctx context.Context, p throng.PlayerID, privacy throng.Privacy) error {
	r, err := b.store.Record(ctx, p)
	if err != nil {
		return err
	}
	return b.setPrivacy(ctx, p, r, privacy)
}

// Privacy returns what the player set, throng.PrivacyEveryone if he did not.
func (b *Book) Privacy(ctx context.Context, p throng.PlayerID) (throng.Privacy, error) {
	r, err := b.store.Record(ctx, p)
	return orEveryone(r.Privacy), err
}

// Seen says that a player was here.
func (b *Book) Seen(ctx context.Context, p throng.PlayerID) error {
	now := b.now()
	known, err := b.store.Seen(ctx, p, now)
	switch {
	case err == nil && !known:
		b.quiet.add(p, now)
	case err == nil && b.tell != nil && b.told.due(p, now):
		var r Record
		if r, err = b.store.Record(ctx, p); err == nil {
			b.tellFriends(p, r.Friends, r.Claimed, r.FriendsAt)
			b.tellPrivacy(p, r.Privacy, r.PrivacyAt)
		}
	}
	return err
}

// Shows says whether the viewer may see where the player is: it is himself, or
// the player's privacy allows it.
func (b *Book) Shows(ctx context.Context, player, viewer throng.PlayerID) (bool, error) {
	if player == viewer {
		return true, nil
	}
	r, err := b.store.Record(ctx, player)
	if err != nil {
		return false, err
	}
	switch orEveryone(r.Privacy) {
	case throng.PrivacyEveryone:
		return true, nil
	case throng.PrivacyFriends:
		if !contains(r.Friends, viewer) {
			return false, nil
		}
		v, err := b.store.Record(ctx, viewer)
		return contains(v.Friends, player), err
	case throng.PrivacyNobody:
	}
	return false, nil
}

func contains(sorted []throng.PlayerID, p throng.PlayerID) bool {
	_, found := slices.BinarySearch(sorted, p)
	return found
}

func orEveryone(p throng.Privacy) throng.Privacy {
	if p == "" {
		return throng.PrivacyEveryone
	}
	return p
}
