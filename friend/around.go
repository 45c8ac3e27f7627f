package friend

import (
	"cmp"
	"context"
	"slices"

	"github.com/throng-gg/throng"
)

const (
	maxAsked   = 200 // friends of one party whose presence is looked up
	maxMembers = 20  // of a party whose friends count, the leader first
)

// Follow returns the session that a friend plays in, if the caller may know.
// NotFound: the friend plays nowhere, hides, or was never here; nobody can tell
// which.
func (b *Book) Follow(ctx context.Context, caller, friend throng.PlayerID) (throng.SessionID, error) {
	at, err := b.presences.Presence(ctx, friend)
	if err != nil && throng.KindOf(err) != throng.NotFound {
		return "", err
	}
	shows, err := b.Shows(ctx, friend, caller)
	if err != nil {
		return "", err
	}
	if !shows || at.State != throng.PresencePlaying {
		return "", throng.AtField(throng.NotFound, "friend", "%s does not play here", friend)
	}
	return at.Session, nil
}

// Around returns the sessions that mutual friends of the party play in and show,
// by ID, each once. Of a party of more than 20 the friends of the first 20 count,
// of more than 200 friends those who were seen last.
func (b *Book) Around(ctx context.Context, party []throng.PlayerID) ([]throng.SessionFriends, error) {
	friends, err := b.friends(ctx, party)
	if err != nil {
		return nil, err
	}
	found := map[throng.SessionID]int{}
	for _, f := range friends {
		at, err := b.presences.Presence(ctx, f.Player)
		if err != nil && throng.KindOf(err) != throng.NotFound {
			return nil, err
		}
		if at.State == throng.PresencePlaying {
			found[at.Session]++
		}
	}
	list := make([]throng.SessionFriends, 0, len(found))
	for id, n := range found {
		list = append(list, throng.SessionFriends{Session: id, Friends: n})
	}
	slices.SortFunc(list, func(a, b throng.SessionFriends) int { return cmp.Compare(a.Session, b.Session) })
	return list, nil
}

// friends returns the party's mutual friends who show where they are, each once
// and none of the party itself, those who were seen last; at most maxAsked.
func (b *Book) friends(ctx context.Context, party []throng.PlayerID) ([]Friend, error) {
	taken := make(map[throng.PlayerID]bool, len(party))
	for _, p := range party {
		taken[p] = true
	}
	var all []Friend
	for _, p := range party[:min(len(party), maxMembers)] {
		if b.quiet.take(p, b.now()) {
			continue
		}
		mutual, err := b.store.Mutual(ctx, p)
		if err != nil {
			return nil, err
		}
		for _, f := range mutual {
			if !taken[f.Player] && f.Privacy != throng.PrivacyNobody {
				taken[f.Player] = true
				all = append(all, f)
			}
		}
	}
	slices.SortFunc(all, func(x, y Friend) int {
		return cmp.Or(y.Seen.Compare(x.Seen), cmp.Compare(x.Player, y.Player))
	})
	return all[:min(len(all), maxAsked)], nil
}
