package throng

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"time"
)

// HandoffData is how many bytes a place can send along with a handoff.
const HandoffData = 1024

// HandoffMost is how many players one handoff moves at most.
const HandoffMost = 200

// handoffPrefix begins the names of tickets that are made for handoffs.
const handoffPrefix = "hof:"

// Origin is where players are handed off from. Its zero value is nowhere: they
// came by themselves. What it says is the region's word, not the players'.
type Origin struct {
	Session SessionID
	Place   PlaceID
	Data    string // from that place's script, any bytes, at most HandoffData
}

// Handoff asks to move players of one session into another, all or none.
type Handoff struct {
	ID      TicketID  // made by the server that asks; repeated, it gives the same answer
	Members []Member  // with the epochs under which they sit; 1 to HandoffMost
	Place   PlaceID   // empty: Session's, else the one that they are in
	Mode    Mode      // ModeDropIn, ModeSession, ModeNew, or ModePrivate for a new private one
	Session SessionID // of ModeSession
	Data    string    // any bytes, at most HandoffData
	// Attributes is what Members bring to places' signals, in their order. Those
	// that are no signals of the place they come to are left out.
	Attributes [][]Attribute
}

// Key is the ticket of the handoff from a session: no player can make one of
// that name.
func (h Handoff) Key(from SessionID) TicketKey {
	sum := sha256.Sum256([]byte(string(from) + "\x00" + string(h.ID)))
	key := TicketKey{Ticket: TicketID(handoffPrefix + hex.EncodeToString(sum[:16]))}
	if len(h.Members) > 0 {
		key.Caller = h.Members[0].Player
	}
	return key
}

// IsHandoff says whether the ticket was made for a handoff.
func (t TicketID) IsHandoff() bool { return strings.HasPrefix(string(t), handoffPrefix) }

// Check says what can never be asked for.
func (h Handoff) Check() error {
	if _, err := ParseTicketID("id", string(h.ID)); err != nil {
		return err
	}
	if n := len(h.Members); n == 0 || n > HandoffMost {
		return AtField(Invalid, "members", "are %d, must be 1 to %d", n, HandoffMost)
	}
	seen := make(map[PlayerID]bool, len(h.Members))
	for _, m := range h.Members {
		if m.Player == "" || m.Epoch == 0 || seen[m.Player] {
			return AtField(Invalid, "members", "%q has no name, no epoch, or is there twice", clip(string(m.Player)))
		}
		seen[m.Player] = true
	}
	switch h.Mode { //nolint:exhaustive // the others are for players
	case ModeDropIn, ModeNew, ModePrivate:
		if h.Session != "" {
			return AtField(Invalid, "session", "goes with mode session only")
		}
	case ModeSession:
		if h.Session == "" {
			return AtField(Invalid, "session", "is empty; mode session needs one")
		}
	default:
		return AtField(Invalid, "mode", "%q is not drop-in, session, new or private", clip(string(h.Mode)))
	}
	if len(h.Attributes) > len(h.Members) {
		return AtField(Invalid, "attributes", "are of %d players, there are %d", len(h.Attributes), len(h.Members))
	}
	if len(h.Data) > HandoffData {
		return AtField(Invalid, "data", "has %d bytes, at most %d are allowed", len(h.Data), HandoffData)
	}
	return nil
}

// Handed is the seats that a group has elsewhere: what its players are told.
type Handed struct {
	Key     TicketKey
	Session SessionID
	Place   PlaceID
	Version Version
	// Web is where browsers connect; of WebSocket, which only the door reaches,
	// it is said whether there is one.
	Web     WebAddress
	Socket  bool
	Code    string    // of a private session
	Expires time.Time // when the tokens end
	Tokens  []HandedToken
}

// HandedToken is one player's join token, 2048 bytes.
type HandedToken struct {
	Player PlayerID
	Token  []byte
}
