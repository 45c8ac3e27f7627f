package memory

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"time"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/friend"
)

// How much a Friends keeps at most if it is not told. A full list of 1,000 names
// of 12 characters takes some 28 KB.
const (
	DefaultFriendRecords = 1 << 20
	DefaultFriendEntries = 10_000_000 // of all lists together
)

// Friends is a friend.Store in memory. It is safe for concurrent use.
type Friends struct {
	mostRecords, mostEntries int

	mu      sync.RWMutex
	records map[throng.PlayerID]*friendRecord
	entries int // of all lists together
	// forgotten is when things were set that are as if they never were. Full: all of it
	// is forgotten.
	forgotten map[throng.PlayerID]*friendRecord
}

// mostForgotten bounds what is remembered of them.
const mostForgotten = 1 << 17

type friendRecord struct {
	friend.Record
	seen time.Time
}

var _ friend.Store = (*Friends)(nil)

// NewFriends makes an empty store of up to so many players and entries of lists;
// 0: the defaults.
func NewFriends(records, entries int) *Friends {
	return &Friends{
		mostRecords: cmp.Or(records, DefaultFriendRecords),
		mostEntries: cmp.Or(entries, DefaultFriendEntries),
		records:     map[throng.PlayerID]*friendRecord{},
		forgotten:   map[throng.PlayerID]*friendRecord{},
	}
}

// Record returns what is known of a player.
func (f *Friends) Record(_ context.Context, p throng.PlayerID) (friend.Record, error) {
	f.mu.RLock()
	defer f.mu.RUnlock()
	r := cmp.Or(f.records[p], f.forgotten[p])
	if r == nil {
		return friend.Record{}, nil
	}
	return r.Record, nil // lists are replaced, never changed
}

// SetFriends replaces the player's list.
func (f *Friends) SetFriends(_ context.Context, p throng.PlayerID, friends []throng.PlayerID, claimed bool, at throng.Stamp) (bool, error) {
	list := slices.Clip(slices.Sorted(slices.Values(friends)))
	return f.edit(p, func(r *friendRecord) bool {
		newer := at.Newer(r.FriendsAt)
		r.Friends, r.Claimed, r.FriendsAt = list, claimed, at
		return newer
	})
}

// SetPrivacy replaces the player's setting.
func (f *Friends) SetPrivacy(_ context.Context, p throng.PlayerID, privacy throng.Privacy, at throng.Stamp) (bool, error) {
	return f.edit(p, func(r *friendRecord) bool {
		newer := at.Newer(r.PrivacyAt)
		r.Privacy, r.PrivacyAt = privacy, at
		return newer
	})
}

// edit changes a copy of a player's record and keeps it if it is newer and there is room.
func (f *Friends) edit(p throng.PlayerID, change func(*friendRecord) (newer bool)) (set bool, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	old := f.records[p]
	var next friendRecord
	if before := cmp.Or(old, f.forgotten[p]); before != nil {
		next = *before
	}
	before := len(next.Friends)
	if !change(&next) {
		return false, nil
	}
	grown := len(next.Friends) - before
	empty := len(next.Friends) == 0 && !next.Claimed && (next.Privacy == "" || next.Privacy == throng.PrivacyEveryone)
	switch {
	case empty:
		delete(f.records, p)
		if len(f.forgotten) >= mostForgotten {
			clear(f.forgotten)
		}
		next.Privacy = ""
		f.forgotten[p] = &next
	case old == nil && len(f.records) >= f.mostRecords:
		return false, throng.RetryLater(throng.Unavailable, time.Minute, "the lists of %d players are kept, which is the most", f.mostRecords)
	case grown > 0 && f.entries+grown > f.mostEntries:
		return false, throng.RetryLater(throng.Unavailable, time.Minute, "the lists have %d entries, which is the most", f.entries)
	default:
		f.records[p] = &next
		delete(f.forgotten, p)
	}
	f.entries += grown
	return true, nil
}

// Seen says that the player was here.
func (f *Friends) Seen(_ context.Context, p throng.PlayerID, at time.Time) (known bool, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	r := f.records[p]
	if r != nil && r.seen.Before(at) {
		r.seen = at
	}
	return r != nil, nil
}

// Mutual returns those of the player's list whose list has him.
func (f *Friends) Mutual(_ context.Context, p throng.PlayerID) ([]friend.Friend, error) {
	f.mu.RLock()
	defer f.mu.RUnlock()
	r := f.records[p]
	if r == nil {
		return nil, nil
	}
	var list []friend.Friend
	for _, name := range r.Friends {
		other := f.records[name]
		if other == nil {
			continue
		}
		if _, mutual := slices.BinarySearch(other.Friends, p); mutual {
			list = append(list, friend.Friend{Player: name, Privacy: other.Privacy, Seen: other.seen})
		}
	}
	return list, nil
}
