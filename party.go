package throng

import "time"

// PartyID is like "pty_local_k2m...".
type PartyID string

// MakePartyID names a party.
func MakePartyID(r RegionID, e Entropy) PartyID { return PartyID(makeID("pty", r, e)) }

// ParsePartyID checks the shape of a party ID.
func ParsePartyID(field, s string) (PartyID, error) {
	return PartyID(s), checkMade(field, s, "pty_", 16)
}

// Bounds of parties and of lists of friends.
const (
	PartyMost   = 200            // members of a party
	PartyIdle   = 24 * time.Hour // after which a party that nobody asks for ends
	InviteTime  = 24 * time.Hour // how long an invite is good
	FriendsMost = 1000           // entries of a player's list
)

// Party is players who move together, as its members see it.
type Party struct {
	ID       PartyID
	Members  []PlayerID   // the leader first, then as they came
	Invite   string       // with the ID it lets players in
	Expires  time.Time    // of the invite
	Ticket   *PartyTicket // nil: none yet
	Revision uint64       // grows with each change
}

// Leader returns who leads: the member who has been in it for longest.
func (p Party) Leader() PlayerID {
	if len(p.Members) == 0 {
		return ""
	}
	return p.Members[0]
}

// PartyTicket is the newest ticket of a party's leader with those whom it seats.
type PartyTicket struct {
	Key     TicketKey
	Members []PlayerID // the leader first
}

// Privacy says who may see where a player is, and follow.
type Privacy string

// The settings of privacy.
const (
	PrivacyEveryone Privacy = "everyone" // when nothing was set
	PrivacyFriends  Privacy = "friends"  // mutual friends only
	PrivacyNobody   Privacy = "nobody"
)

// ParsePrivacy checks a setting.
func ParsePrivacy(field, s string) (Privacy, error) {
	switch p := Privacy(s); p {
	case PrivacyEveryone, PrivacyFriends, PrivacyNobody:
		return p, nil
	}
	return "", AtField(Invalid, field, "%q is not everyone, friends or nobody", clip(s))
}

// SessionFriends says that friends of a party play in a session.
type SessionFriends struct {
	Session SessionID
	Friends int // over 0
}
