package throng

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"time"
	"unicode/utf8"
)

// Bounds of a profile's document, which is a JSON object.
const (
	ProfileBytes = 400_000 // of the document as it is saved: with the rest of its record DynamoDB takes 409,600
	ProfileDepth = 16      // objects and lists inside each other
)

// Profile is what a player keeps in a game from one session to the next.
type Profile struct {
	Document []byte   // see CheckDocument; nil: nothing was saved yet
	Revision Revision // of the last save; 0: none
	SavedAt  time.Time
	// Copy says that it is another region's copy, because the home is away: it may be old,
	// and whoever reads it may not save it.
	Copy bool
}

// ProfileKey names a player's profile in a game.
type ProfileKey struct {
	Game   GameID
	Player PlayerID
}

// ProfileClaim is a session's right to a profile.
type ProfileClaim struct {
	Key     ProfileKey
	Fence   Epoch // of the player in the session
	Session SessionID
}

// ProfileSave is one of a profile's newest saves, which are kept.
type ProfileSave struct {
	Revision Revision
	SavedAt  time.Time
	Session  SessionID // that saved it; empty: it was restored
	Size     int       // of the document, bytes
}

// CheckDocument says what is wrong with a profile's document: Invalid, with
// field. It is one JSON object of at most ProfileBytes, in UTF-8, at most
// ProfileDepth deep.
func CheckDocument(field string, doc []byte) error {
	if len(doc) > ProfileBytes {
		return AtField(Invalid, field, "has %d bytes, at most %d are allowed", len(doc), ProfileBytes)
	}
	if !utf8.Valid(doc) {
		return AtField(Invalid, field, "is not UTF-8")
	}
	in := json.NewDecoder(bytes.NewReader(doc))
	in.UseNumber()
	depth, first := 0, true
	for {
		token, err := in.Token()
		switch {
		case errors.Is(err, io.EOF) && !first && depth == 0:
			return nil
		case errors.Is(err, io.EOF):
			return AtField(Invalid, field, "ends too early")
		case err != nil:
			return AtField(Invalid, field, "is not JSON: %w", err)
		}
		delim, _ := token.(json.Delim)
		switch {
		case first && delim != '{':
			return AtField(Invalid, field, "is not a JSON object")
		case !first && depth == 0:
			return AtField(Invalid, field, "goes on after its end")
		case delim == '{' || delim == '[':
			depth++
		case delim != 0:
			depth--
		}
		if depth > ProfileDepth {
			return AtField(Invalid, field, "is more than %d levels deep", ProfileDepth)
		}
		first = false
	}
}
