package match

import (
	"testing"

	"github.com/throng-gg/throng"
)

// TestSiblings: every session that has not ended counts once, of whatever version and
// kind, and what the feed does not tell of any more does not.
func TestSiblings(t *testing.T) {
	m := &Matchmaker{siblings: newSiblings()}
	tell := func(full bool, list ...throng.Session) {
		m.siblings.note(throng.SessionChanges{Full: full, Sessions: list})
	}
	want := func(when string, id throng.SessionID, n int) {
		t.Helper()
		if got := m.Siblings(id); got != n {
			t.Errorf("%s: %s is one of %d, want %d", when, id, got, n)
		}
	}
	of := func(place throng.PlaceID, id throng.SessionID, state throng.SessionState) throng.Session {
		return throng.Session{ID: id, Place: place, State: state}
	}
	want("before the feed spoke", "a", 0)
	private := of("arena", "c", throng.SessionOpen)
	private.Private, private.Version = true, 2
	tell(true, of("arena", "a", throng.SessionStarting), of("arena", "b", throng.SessionDraining), private, of("bay", "d", throng.SessionOpen))
	want("at first", "a", 3)
	want("at first", "d", 1)
	tell(false, of("arena", "a", throng.SessionOpen), of("arena", "e", throng.SessionOpen))
	want("after one more", "a", 4)
	tell(false, of("arena", "a", throng.SessionEnded), of("arena", "x", throng.SessionEnded))
	tell(false, of("arena", "a", throng.SessionEnded))
	want("after one ended, which was told twice", "b", 3)
	want("after it ended", "a", 0)
	tell(true, of("arena", "b", throng.SessionOpen))
	want("after all was read anew", "b", 1)
	want("after all was read anew", "d", 0)
	if len(m.siblings.count) != 1 {
		t.Errorf("%d places are counted, want 1", len(m.siblings.count))
	}
}
