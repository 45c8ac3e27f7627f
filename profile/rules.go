package profile

import (
	"bytes"
	"cmp"

	"github.com/throng-gg/throng"
)

// What may become of a profile. Stores ask, each inside the write that the answer
// is for, or make a condition of it.

// MayCheckout says whether a session gets a profile that stands so. Denied: a
// newer session has had it, or another one under the same fence.
func MayCheckout(k Key, h Head, fence throng.Epoch, holder throng.SessionID) error {
	if fence < h.Fence || fence == h.Fence && holder != h.Holder {
		return throng.AtField(throng.Denied, "epoch", "session %q has had %s since, at epoch %d: epoch %d is fenced", h.Holder, k.Player, h.Fence, fence)
	}
	return nil
}

// MaySave says whether a save is the profile's next one.
func MaySave(k Key, h Head, s Save) error {
	if err := MayReturn(k, h, s.Fence, s.Holder); err != nil {
		return err
	}
	switch {
	case s.Revision != h.Revision+1:
		return throng.AtField(throng.Conflict, "revision", "%d is not the next one of %s, which is %d", s.Revision, k.Player, h.Revision+1)
	case h.Returned:
		return throng.AtField(throng.Denied, "session", "%q has let go of %s", s.Holder, k.Player)
	}
	return nil
}

// MayRepeat says whether a save of the revision that the profile has is that one
// again. nil: it is.
func MayRepeat(k Key, h Head, was, s Save, returned bool) error { //nolint:revive // flag-parameter: part of the save
	if err := MayReturn(k, h, s.Fence, s.Holder); err != nil {
		return err
	}
	if was.Fence != s.Fence || was.Holder != s.Holder || !bytes.Equal(was.Data, s.Data) || h.Returned != returned {
		return throng.AtField(throng.Conflict, "revision", "%d of %s was saved by session %q with %d bytes, and not with these %d",
			s.Revision, k.Player, was.Holder, was.Size, s.Size)
	}
	return nil
}

// MayReturn says whether a profile is a session's to save and to let go of.
func MayReturn(k Key, h Head, fence throng.Epoch, holder throng.SessionID) error {
	if h.Fence != fence || h.Holder != holder {
		return throng.AtField(throng.Denied, "epoch", "session %q has %s now, at epoch %d: epoch %d of session %q is fenced",
			h.Holder, k.Player, h.Fence, fence, holder)
	}
	return nil
}

// Newer says whether a copy of a profile is newer than what a store has of it.
func Newer(h, than Head) bool {
	if by := cmp.Or(cmp.Compare(h.Fence, than.Fence), cmp.Compare(h.Revision, than.Revision)); by != 0 {
		return by > 0
	}
	return h.Returned && !than.Returned
}

// MayCopy says whether a copy can be what a store has of a profile. Invalid: its save
// is not the head's.
func MayCopy(k Key, h Head, s *Save) error {
	switch {
	case s != nil && (s.Revision != h.Revision || s.Revision == 0):
		return throng.AtField(throng.Invalid, "save", "of %s is %d, its head says %d", k.Player, s.Revision, h.Revision)
	case s != nil && s.Fence > h.Fence:
		return throng.AtField(throng.Invalid, "save", "of %s was saved at epoch %d, its head says %d", k.Player, s.Fence, h.Fence)
	}
	return nil
}

// IsKept says whether a save is one of a profile's newest.
func IsKept(h Head, r throng.Revision) bool { return r > 0 && r <= h.Revision && r+Kept > h.Revision }
