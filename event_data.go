package throng

import (
	"encoding/json"
	"time"
)

// The platform's types. The schema of each stands in docs/events.
const (
	EventPlayerJoined    EventType = "player.joined.v1"    // play, by session: PlayerJoined
	EventPlayerLeft      EventType = "player.left.v1"      // play, by session: PlayerLeft
	EventSessionOpened   EventType = "session.opened.v1"   // play, by session: SessionBegan
	EventSessionEnded    EventType = "session.ended.v1"    // play, by session: SessionOver
	EventMatchPlaced     EventType = "match.placed.v1"     // play, by session: MatchPlaced
	EventPresenceChanged EventType = "presence.changed.v1" // presence, by player and session: PresenceChanged
	EventPlayerPrivacy   EventType = "player.privacy.v1"   // presence, by player and "privacy": PlayerPrivacy
	EventPlayerFriends   EventType = "player.friends.v1"   // presence, by player and "friends": PlayerFriends
	EventLedgerPosted    EventType = "ledger.posted.v1"    // economy, by the first player: LedgerPosted
	EventLedgerReported  EventType = "ledger.reported.v1"  // economy, by the first player: LedgerReported
	EventMotionSampled   EventType = "motion.sampled.v1"   // motion, by player: MotionSampled
	EventInputPattern    EventType = "input.pattern.v1"    // motion, by source: InputPattern
	EventProfileCopied   EventType = "profile.copied.v1"   // copies, by game and player: ProfileCopied
	EventLedgerCopied    EventType = "ledger.copied.v1"    // copies, by game, first player and transfer: LedgerCopied
)

// EventPlace begins the types that creators choose: place.NAME carries a PlaceEmitted.
const EventPlace = "place."

type (
	// PlayerJoined is a player who came into a session's world.
	PlayerJoined struct {
		Epoch     Epoch     `json:"epoch"`
		Version   Version   `json:"version"`
		ArrivalMS int64     `json:"arrival_ms"`     // from his connection to the world
		From      SessionID `json:"from,omitempty"` // that he was handed off by
	}
	// PlayerLeft is a player whose stay is over.
	PlayerLeft struct {
		Epoch       Epoch   `json:"epoch"`
		Version     Version `json:"version"`
		StayedMS    int64   `json:"stayed_ms"`
		RoundTripMS float64 `json:"round_trip_ms,omitempty"` // at the end; 0: not known
	}
	// SessionBegan is a session that a game server began.
	SessionBegan struct {
		Version  Version `json:"version"`
		Capacity int     `json:"capacity"`
		Private  bool    `json:"private,omitempty"`
	}
	// SessionOver is a session that is over.
	SessionOver struct {
		Reason string `json:"reason"`
		Failed bool   `json:"failed,omitempty"` // by the place's own fault
	}
	// MatchPlaced is a ticket that was answered with seats.
	MatchPlaced struct {
		Ticket  TicketID `json:"ticket"`
		Players int      `json:"players"`
		Version Version  `json:"version"`
		WaitMS  int64    `json:"wait_ms"`
	}
	// PresenceChanged is where a player is, by the session that knows. One with
	// a lower epoch than was seen of him is old; of one epoch and session, that he left
	// counts, whichever comes first.
	PresenceChanged struct {
		Epoch Epoch `json:"epoch"`
		In    bool  `json:"in"` // false: he left
	}
	// EventAmount is so much of an item.
	EventAmount struct {
		Item  ItemID `json:"item"`
		Count int64  `json:"count"`
	}
	// EventLine is what a transfer moved on one account: a player's, or the house's
	// ("@00" to "@3f"). Those of one item sum to zero.
	EventLine struct {
		Account string `json:"account"`
		Item    ItemID `json:"item"`
		Change  int64  `json:"change"`
	}
	// LedgerPosted is a transfer that the ledger committed, as it did.
	LedgerPosted struct {
		Game    GameID       `json:"game"`
		ID      TransferID   `json:"id"`
		Kind    TransferKind `json:"kind"`
		First   PlayerID     `json:"first"`
		Second  PlayerID     `json:"second,omitempty"`
		Offer   ItemID       `json:"offer,omitempty"`
		Count   int64        `json:"count,omitempty"`
		Refunds TransferID   `json:"refunds,omitempty"`
		Lines   []EventLine  `json:"lines"`
	}
	// LedgerReported is a transfer that a game server says was posted for it.
	LedgerReported struct {
		Game   GameID        `json:"game"`
		ID     TransferID    `json:"id"`
		Kind   TransferKind  `json:"kind"`
		First  PlayerID      `json:"first"`
		Second PlayerID      `json:"second,omitempty"`
		Gives  []EventAmount `json:"gives,omitempty"`
		Takes  []EventAmount `json:"takes,omitempty"`
		Offer  ItemID        `json:"offer,omitempty"`
		Count  int64         `json:"count,omitempty"`
	}
	// MotionSampled is what a player's first entity and his inputs did in a span of time.
	MotionSampled struct {
		Epoch      Epoch   `json:"epoch"`
		SpanMS     int64   `json:"span_ms"`
		X          float64 `json:"x"` // at its end
		Y          float64 `json:"y"`
		Distance   float64 `json:"distance"`                 // way that it went
		StepMost   float64 `json:"step_most"`                // longest way in one tick
		TickMS     float64 `json:"tick_ms"`                  // of the session
		Inputs     int     `json:"inputs"`                   // that were applied
		Presses    int     `json:"presses"`                  // of buttons
		PressLeast int64   `json:"press_least_ms,omitempty"` // shortest time between two; 0: there were not two
		Source     string  `json:"source,omitempty"`         // the same for players of one network address in one session, hashed
	}
	// InputPattern is some of the sequences of inputs that a player made, of one behind
	// whose network address there are others in the session.
	InputPattern struct {
		Epoch    Epoch    `json:"epoch"`
		Source   string   `json:"source"`   // as in MotionSampled
		Shingles []uint64 `json:"shingles"` // hashes of sequences, chosen by their values; at most 16
	}
	// ProfileCopied is a profile as it is where it is written.
	ProfileCopied struct {
		Term     uint64      `json:"term"` // of the home that says so
		Game     GameID      `json:"game"`
		Player   PlayerID    `json:"player"`
		Fence    Epoch       `json:"fence"`
		Holder   SessionID   `json:"holder,omitempty"`
		Returned bool        `json:"returned,omitempty"`
		Revision Revision    `json:"revision"`
		Save     *CopiedSave `json:"save,omitempty"` // the newest; nil: there is none
	}
	// CopiedSave is a profile's save, of the revision that goes with it.
	CopiedSave struct {
		Fence   Epoch     `json:"fence"`
		Holder  SessionID `json:"holder,omitempty"`
		SavedAt int64     `json:"saved_ms"` // Unix milliseconds
		Size    int       `json:"size"`     // of the document, bytes
		Data    []byte    `json:"data"`     // as stored: compressed
	}
	// LedgerCopied is a transfer that was posted, as the ledger stores it.
	LedgerCopied struct {
		Term   uint64          `json:"term"` // of the home that says so
		Game   GameID          `json:"game"`
		Record json.RawMessage `json:"record"`
	}
	// PlaceEmitted is what a place's script published.
	PlaceEmitted struct {
		Version Version        `json:"version"`
		Tick    Tick           `json:"tick"`
		Fields  map[string]any `json:"fields"` // booleans, numbers and strings
	}
)

// PresenceKey is the key of a PresenceChanged: the log keeps the newest of each. What
// stands before the slash says the partition.
func PresenceKey(p PlayerID, s SessionID) string { return string(p) + "/" + string(s) }

// ProfileCopyKey is the key of a ProfileCopied, and LedgerCopyKey that of a
// LedgerCopied: the log keeps the newest of each. What stands before a second slash
// says the partition.
func ProfileCopyKey(g GameID, p PlayerID) string { return string(g) + "/" + string(p) }

// LedgerCopyKey is the key of a LedgerCopied.
func LedgerCopyKey(g GameID, first PlayerID, id TransferID) string {
	return ProfileCopyKey(g, first) + "/" + string(id)
}

type (
	// PlayerPrivacy is who may see where a player is. Of two of a player the one with the
	// newer stamp counts, whichever comes first.
	PlayerPrivacy struct {
		Stamp

		Presence Privacy `json:"presence"`
	}
	// PlayerFriends is a player's list, all of it. Of two of a player the one with the
	// newer stamp counts, whichever comes first.
	PlayerFriends struct {
		Stamp

		Friends []PlayerID `json:"friends"` // at most FriendsMost
		Claimed bool       `json:"claimed,omitempty"`
	}
)

// Stamp orders what regions set of a player. Whoever sets something makes it newer than
// what it knew, so no clock decides what came after what; of two that did not know of each other
// the higher number counts, then the region whose name comes later. The zero value is
// older than all.
type Stamp struct {
	Number int64    `json:"number"` // about the milliseconds since 1970 at which it was set
	Region RegionID `json:"region"` // that set it
}

// Newer says whether the stamp is newer than another.
func (s Stamp) Newer(than Stamp) bool {
	return s.Number > than.Number || s.Number == than.Number && s.Region > than.Region
}

// Next is a stamp of a region that is newer than this one.
func (s Stamp) Next(r RegionID, now time.Time) Stamp {
	return Stamp{Number: max(s.Number+1, now.UnixMilli()), Region: r}
}

// EventParked is an event that a consumer could not apply.
type EventParked struct {
	EventRecord        // where it stands in its stream
	Group       string // of the consumers
	Reason      string
	At          time.Time // when it was parked
	Raw         []byte    // what the log has, when it is no event
}

// MakeEvent fills in an event's data.
func MakeEvent(e Event, data any) (Event, error) {
	text, err := json.Marshal(data)
	if err != nil {
		return e, AtField(Invalid, "data", "of %s: %w", e.Type, err)
	}
	out := e
	out.Data = text
	return out, nil
}

// Check says what is wrong with an event: Invalid, with field. It does not read its
// data, whose schema is checked by tests.
func (e Event) Check() error {
	most := e.Type.dataMost()
	if e.Stream == StreamCopies {
		most = CopyDataMost
	}
	switch {
	case len(e.ID) == 0 || len(e.ID) > EventIDMost:
		return AtField(Invalid, "id", "has %d bytes, 1 to %d are allowed", len(e.ID), EventIDMost)
	case len(e.Key) == 0 || len(e.Key) > EventIDMost:
		return AtField(Invalid, "key", "has %d bytes, 1 to %d are allowed", len(e.Key), EventIDMost)
	case len(e.Data) < 2 || len(e.Data) > most:
		return AtField(Invalid, "data", "has %d bytes, 2 to %d are allowed", len(e.Data), most)
	case e.Data[0] != '{':
		return AtField(Invalid, "data", "is not a JSON object")
	case e.Time.IsZero():
		return AtField(Invalid, "time", "is missing")
	}
	if err := e.Type.Check(); err != nil {
		return err
	}
	switch e.Stream {
	case StreamPlay, StreamEconomy, StreamPlace, StreamMotion, StreamPresence, StreamCopies:
		return nil
	case StreamParked:
	}
	return AtField(Invalid, "stream", "%.20q takes no events", e.Stream)
}

// dataMost is how many bytes of data an event of a type may have.
func (t EventType) dataMost() int {
	if t == EventPlayerFriends {
		return EventFriendsMost
	}
	if t == EventLedgerPosted {
		return EventPostedMost
	}
	return EventDataMost
}

// Check says what is wrong with a type.
func (t EventType) Check() error {
	if len(t) == 0 || len(t) > EventTypeMost {
		return AtField(Invalid, "type", "has %d bytes, 1 to %d are allowed", len(t), EventTypeMost)
	}
	for i := range len(t) {
		if c := t[i]; (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '.' && c != '_' && c != '-' {
			return AtField(Invalid, "type", "%q has other characters than a-z, 0-9, dot, dash and underscore", t)
		}
	}
	return nil
}
