package friend

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/throng-gg/throng"
)

const (
	// tries is how often something is set that another one was faster to set.
	tries = 5
	// aheadMost is how far ahead of the clock here another region's may be.
	aheadMost = 24 * time.Hour
	// toldEvery is how often at most all is told again of a player who joins.
	toldEvery = time.Hour
)

// setFriends sets a list that is newer than what the record has, and tells of it.
func (b *Book) setFriends(ctx context.Context, p throng.PlayerID, r Record, list []throng.PlayerID, claimed bool) error {
	defer b.quiet.forget(p)
	return b.newest(ctx, p, r.FriendsAt, func(r Record) throng.Stamp { return r.FriendsAt }, func(at throng.Stamp) (bool, error) {
		set, err := b.store.SetFriends(ctx, p, list, claimed, at)
		if set && err == nil {
			b.tellFriends(p, list, claimed, at)
		}
		return set, err
	})
}

// setPrivacy does the same with a setting.
func (b *Book) setPrivacy(ctx context.Context, p throng.PlayerID, r Record, privacy throng.Privacy) error {
	defer b.quiet.forget(p)
	return b.newest(ctx, p, r.PrivacyAt, func(r Record) throng.Stamp { return r.PrivacyAt }, func(at throng.Stamp) (bool, error) {
		set, err := b.store.SetPrivacy(ctx, p, privacy, at)
		if set && err == nil {
			b.tellPrivacy(p, privacy, at)
		}
		return set, err
	})
}

// newest sets something with a stamp that is newer than what is known. Contention:
// others were faster again and again.
func (b *Book) newest(ctx context.Context, p throng.PlayerID, known throng.Stamp, of func(Record) throng.Stamp, set func(throng.Stamp) (bool, error)) error {
	for range tries {
		done, err := set(known.Next(b.region, b.now()))
		if done || err != nil {
			return err
		}
		r, err := b.store.Record(ctx, p)
		if err != nil {
			return err
		}
		known = of(r)
	}
	return throng.RetryLater(throng.Contention, time.Second, "settings of %s are being set by others", p)
}

// tellFriends tells of a list that was set once.
func (b *Book) tellFriends(p throng.PlayerID, list []throng.PlayerID, claimed bool, at throng.Stamp) {
	if list == nil {
		list = []throng.PlayerID{}
	}
	b.say(throng.EventPlayerFriends, p, "friends", at, throng.PlayerFriends{Stamp: at, Friends: list, Claimed: claimed})
}

// tellPrivacy tells of a setting that was set once.
func (b *Book) tellPrivacy(p throng.PlayerID, privacy throng.Privacy, at throng.Stamp) {
	b.say(throng.EventPlayerPrivacy, p, "privacy", at, throng.PlayerPrivacy{Stamp: at, Presence: orEveryone(privacy)})
}

func (b *Book) say(t throng.EventType, p throng.PlayerID, what string, at throng.Stamp, data any) {
	if b.tell == nil || at == (throng.Stamp{}) {
		return
	}
	e, err := throng.MakeEvent(throng.Event{
		ID: throng.EventID(fmt.Sprintf("%s/%s/%d/%s", p, what, at.Number, at.Region)), Type: t, Stream: throng.StreamPresence,
		Key: string(p) + "/" + what, Player: p, Time: b.now(),
	}, data)
	if err == nil {
		b.tell(e)
	}
}

// Apply takes in what a region told of a player's settings: it counts if it is newer
// than what is known, and comes to the same in any order and however often. Invalid: it
// is something else, or makes no sense. Unavailable: it has to be told again.
func (b *Book) Apply(ctx context.Context, e throng.Event) error {
	p, err := throng.ParsePlayerID("player", string(e.Player))
	if err != nil {
		return err
	}
	defer b.quiet.forget(p)
	switch e.Type { //nolint:exhaustive // others are none
	case throng.EventPlayerPrivacy:
		return b.applyPrivacy(ctx, p, e)
	case throng.EventPlayerFriends:
		return b.applyFriends(ctx, p, e)
	}
	return throng.AtField(throng.Invalid, "type", "%s tells of no settings", e.Type)
}

func (b *Book) applyPrivacy(ctx context.Context, p throng.PlayerID, e throng.Event) error {
	var d throng.PlayerPrivacy
	if err := json.Unmarshal(e.Data, &d); err != nil {
		return badData(e, err)
	}
	if err := b.check(d.Stamp); err != nil {
		return err
	}
	privacy, err := throng.ParsePrivacy("presence", string(d.Presence))
	if err == nil {
		_, err = b.store.SetPrivacy(ctx, p, privacy, d.Stamp)
	}
	return err
}

func (b *Book) applyFriends(ctx context.Context, p throng.PlayerID, e throng.Event) error {
	var d throng.PlayerFriends
	if err := json.Unmarshal(e.Data, &d); err != nil {
		return badData(e, err)
	}
	if err := b.check(d.Stamp); err != nil {
		return err
	}
	for i, f := range d.Friends {
		if _, err := throng.ParsePlayerID(fmt.Sprintf("friends[%d]", i), string(f)); err != nil {
			return err
		}
	}
	list := tidy(p, slices.Clone(d.Friends))
	if len(list) > throng.FriendsMost {
		return throng.AtField(throng.Invalid, "friends", "has %d players, at most %d are allowed", len(list), throng.FriendsMost)
	}
	_, err := b.store.SetFriends(ctx, p, list, d.Claimed, d.Stamp)
	return err
}

func badData(e throng.Event, err error) error {
	return throng.AtField(throng.Invalid, "data", "is not of %s: %w", e.Type, err)
}

// check says what is wrong with a stamp: one from far ahead would be the newest for
// long.
func (b *Book) check(at throng.Stamp) error {
	if _, err := throng.ParseRegionID("region", string(at.Region)); err != nil {
		return err
	}
	if most := b.now().Add(aheadMost).UnixMilli(); at.Number <= 0 || at.Number > most {
		return throng.AtField(throng.Invalid, "number", "%d is not within 1 and %d", at.Number, most)
	}
	return nil
}
