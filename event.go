package throng

import (
	"encoding/json"
	"time"
)

// Bounds of an event.
const (
	EventDataMost    = 16 << 10 // bytes of an event's data
	CopyDataMost     = 560_000  // of those of StreamCopies: a profile's document that does not compress, in base64, and what goes with it
	EventFriendsMost = 96 << 10 // the same, of EventPlayerFriends
	EventPostedMost  = 96 << 10 // the same, of EventLedgerPosted: 272 moves of the longest names
	EventTypeMost    = 64       // bytes of an event's type
	EventIDMost      = 200      // bytes of its ID, and of its key
)

type (
	// EventID names an event. Whoever saw it happen makes it, and says the same one
	// again when in doubt: consumers apply an event once.
	EventID string
	// EventType says what happened and which version of its data this is, like
	// "player.joined.v1": [a-z0-9_.-], at most EventTypeMost bytes. A creator's own
	// types start with "place.".
	EventType string
)

// Stream is a sequence of events of one concern: a topic of the log. Events of one
// key of a stream stay in order.
type Stream string

// The streams of a region.
const (
	StreamPlay     Stream = "play"     // joins, leaves, sessions: by session
	StreamEconomy  Stream = "economy"  // what the ledger committed, and what servers reported: by player
	StreamPlace    Stream = "place"    // what scripts emit: by session
	StreamMotion   Stream = "motion"   // samples of what players did, for anticheat: by player
	StreamPresence Stream = "presence" // who is where: by player and session, compacted
	StreamCopies   Stream = "copies"   // what other regions keep of profiles and the ledger: by game and player, compacted
	StreamParked   Stream = "parked"   // what a consumer could not apply, with the reason
)

// Event is one thing that happened, told to those who were not there.
type Event struct {
	ID      EventID
	Type    EventType
	Stream  Stream
	Key     string // of the order within the stream: a session's or a player's ID, PresenceKey, or that of a copy
	Region  RegionID
	Place   PlaceID         // "": of no place
	Session SessionID       // "": of no session
	Player  PlayerID        // "": of no player
	Time    time.Time       // when it happened, by the clock of who saw it
	Data    json.RawMessage // a JSON object of the type's schema, at most EventDataMost bytes, or CopyDataMost
}

// EventRecord is an event where it stands in its stream's log.
type EventRecord struct {
	Event
	Partition int32
	Offset    int64
}

// Streams are those that events are published to.
func Streams() []Stream {
	return []Stream{StreamPlay, StreamEconomy, StreamPlace, StreamMotion, StreamPresence, StreamCopies}
}
