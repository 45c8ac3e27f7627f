package match

import (
	"sync"

	"github.com/throng-gg/throng"
)

// siblings counts the sessions of each place that have not ended. Its methods do no
// I/O. Safe for use by many goroutines.
type siblings struct {
	mu     sync.RWMutex
	places map[throng.SessionID]throng.PlaceID // guarded by mu
	count  map[throng.PlaceID]int              // guarded by mu
}

func newSiblings() *siblings {
	return &siblings{places: map[throng.SessionID]throng.PlaceID{}, count: map[throng.PlaceID]int{}}
}

// note takes in what the feed says.
func (s *siblings) note(ch throng.SessionChanges) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if ch.Full {
		clear(s.places)
		clear(s.count)
	}
	for _, c := range ch.Sessions {
		switch _, known := s.places[c.ID]; {
		case c.State == throng.SessionEnded && known:
			delete(s.places, c.ID)
			if s.count[c.Place]--; s.count[c.Place] == 0 {
				delete(s.count, c.Place)
			}
		case c.State != throng.SessionEnded && !known:
			s.places[c.ID] = c.Place
			s.count[c.Place]++
		}
	}
}

// Siblings is how many sessions of its place a session is one of, as far as the feed
// told; 0: it did not tell of the session (yet). It costs a look into a table.
func (m *Matchmaker) Siblings(id throng.SessionID) int {
	s := m.siblings
	s.mu.RLock()
	defer s.mu.RUnlock()
	place, known := s.places[id]
	if !known {
		return 0
	}
	return s.count[place]
}
