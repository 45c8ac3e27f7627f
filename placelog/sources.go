package placelog

import (
	"container/list"

	"github.com/throng-gg/throng"
)

// sources knows how far each game server's lines were taken. It remembers the
// ones that wrote last; of one that was forgotten a repeated batch is taken
// twice.
type sources struct {
	most  int
	byID  map[throng.Incarnation]*list.Element // of *source
	order *list.List                           // the one that wrote last first
}

type source struct {
	id   throng.Incarnation
	last uint64 // number of the last line that was taken
}

func newSources(most int) *sources {
	return &sources{most: most, byID: make(map[throng.Incarnation]*list.Element), order: list.New()}
}

// take notes a batch of count lines from first on. skip is how many of them
// were taken before, missing how many before them never came.
func (s *sources) take(id throng.Incarnation, first uint64, count int) (skip int, missing uint64) {
	at := s.byID[id]
	if at == nil {
		if s.order.Len() >= s.most {
			oldest, _ := s.order.Remove(s.order.Back()).(*source)
			delete(s.byID, oldest.id)
		}
		// What came before is not known: an earlier control plane may have it.
		s.byID[id] = s.order.PushFront(&source{id: id, last: first + uint64(count) - 1})
		return 0, 0
	}
	s.order.MoveToFront(at)
	known, _ := at.Value.(*source)
	next := known.last + 1
	switch {
	case first > next:
		missing = first - next
	case next-first >= uint64(count):
		return count, 0
	default:
		skip = int(next - first)
	}
	known.last = first + uint64(count) - 1
	return skip, missing
}
