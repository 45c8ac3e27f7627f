package profile

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/throng-gg/throng"
)

// CopyOf is a profile as other regions are told of it; s is its newest save, nil: it
// has none. term is the home's that says so.
func CopyOf(region throng.RegionID, term uint64, k Key, h Head, s *Save) (throng.Event, error) {
	data := throng.ProfileCopied{Term: term, Game: k.Game, Player: k.Player, Fence: h.Fence, Holder: h.Holder, Returned: h.Returned, Revision: h.Revision}
	id := fmt.Sprintf("%s/%s/%d/%d", k.Game, k.Player, h.Fence, h.Revision)
	if h.Returned {
		id += "/returned"
	}
	at := h.Fence.Time()
	if s != nil {
		data.Save = &throng.CopiedSave{Fence: s.Fence, Holder: s.Holder, SavedAt: s.SavedAt.UnixMilli(), Size: s.Size, Data: s.Data}
		if s.SavedAt.After(at) {
			at = s.SavedAt
		}
	}
	return throng.MakeEvent(throng.Event{
		ID: throng.EventID(id), Type: throng.EventProfileCopied, Stream: throng.StreamCopies, Key: throng.ProfileCopyKey(k.Game, k.Player),
		Region: region, Place: throng.PlaceID(k.Game), Session: h.Holder, Player: k.Player, Time: at,
	}, data)
}

// Copy is a profile as another region has it.
type Copy struct {
	Term uint64 // of the home that says so
	Key  Key
	Head Head
	Save *Save // the newest; nil: there is none
}

// ParseCopy reads what CopyOf made. Invalid: it is no such event, or no profile can be
// so.
func ParseCopy(e throng.Event) (Copy, error) {
	if e.Type != throng.EventProfileCopied {
		return Copy{}, throng.AtField(throng.Invalid, "type", "%s is not %s", e.Type, throng.EventProfileCopied)
	}
	var data throng.ProfileCopied
	if err := json.Unmarshal(e.Data, &data); err != nil {
		return Copy{}, throng.AtField(throng.Invalid, "data", "cannot be read: %w", err)
	}
	c := Copy{
		Term: data.Term, Key: Key{Game: data.Game, Player: data.Player},
		Head: Head{Fence: data.Fence, Holder: data.Holder, Returned: data.Returned, Revision: data.Revision},
	}
	if err := checkKey(c.Key); err != nil {
		return c, err
	}
	switch {
	case c.Term == 0:
		return c, throng.AtField(throng.Invalid, "term", "is 0")
	case e.Key != throng.ProfileCopyKey(c.Key.Game, c.Key.Player):
		return c, throng.AtField(throng.Invalid, "key", "is not the profile's")
	case c.Head.Fence == 0 || (data.Save == nil) != (c.Head.Revision == 0):
		return c, throng.AtField(throng.Invalid, "save", "does not go with fence %d and revision %d", c.Head.Fence, c.Head.Revision)
	}
	if err := checkHolder("holder", c.Head.Holder); err != nil || data.Save == nil {
		return c, err
	}
	if err := checkHolder("save.holder", data.Save.Holder); err != nil {
		return c, err
	}
	if len(data.Save.Data) == 0 || data.Save.Size < 0 || data.Save.Size > throng.ProfileBytes {
		return c, throng.AtField(throng.Invalid, "save", "has %d bytes, of a document of %d", len(data.Save.Data), data.Save.Size)
	}
	c.Save = &Save{
		Revision: c.Head.Revision, Fence: data.Save.Fence, Holder: data.Save.Holder, SavedAt: time.UnixMilli(data.Save.SavedAt).UTC(),
		Size: data.Save.Size, Data: data.Save.Data,
	}
	return c, MayCopy(c.Key, c.Head, c.Save)
}

// checkHolder checks a session that may be none.
func checkHolder(field string, s throng.SessionID) error {
	if s == "" {
		return nil
	}
	_, err := throng.ParseSessionID(field, string(s))
	return err
}
