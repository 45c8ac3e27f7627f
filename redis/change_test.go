package redis

import (
	"strings"
	"testing"
	"time"

	"github.com/throng-gg/throng"
)

// counts is a change as save.lua packs it.
func counts(seq uint64, seated, held int, revision uint64, finish int64) string {
	b := appendUint([]byte("+"), 6, seq)
	b = appendUint(appendUint(b, 1, uint64(seated)), 2, uint64(held))
	return string(appendUint(appendUint(b, 6, revision), 6, uint64(finish)))
}

// TestChangesThatSayEnough: a session is read again unless the change follows
// what is known of it, and says all.
func TestChangesThatSayEnough(t *testing.T) {
	n := newNames("x:", "local")
	id := string(append([]byte{7}, strings.Repeat("e", 10)...))
	s := n.session(id)
	for _, c := range []struct {
		name    string
		changes []string
		read    bool
		held    int
		seq     uint64
	}{
		{"older", []string{counts(4, 1, 9, 2, 3), "5"}, false, 0, 5},
		{"the next", []string{counts(6, 1, 9, 2, 3)}, false, 9, 6},
		{"two", []string{counts(6, 1, 9, 2, 3), counts(7, 1, 8, 2, 3)}, false, 8, 7},
		{"one is missing", []string{counts(7, 1, 9, 2, 3)}, true, 0, 5},
		{"of the version before", []string{"6"}, true, 0, 5},
		{"counts after something else", []string{"6", counts(7, 1, 9, 2, 3)}, true, 0, 5},
		{"of a later version", []string{counts(6, 1, 9, 2, 3) + "more"}, true, 0, 5},
		{"of another later version", []string{"!"}, true, 0, 5},
	} {
		w := &watch{}
		w.init(8, time.Now())
		w.shards[7] = watched{loaded: true, sessions: map[throng.SessionID]view{s: {session: throng.Session{ID: s}, seq: 5}}}
		start := w.feed.Load().Since(0).Cursor
		var list []change
		for _, said := range c.changes {
			one := parseChange(said)
			one.id = id
			list = append(list, one)
		}
		ids, _ := w.take(&n, 7, list)
		v := w.shards[7].sessions[s]
		if (len(ids) == 1) != c.read || len(ids) > 1 || v.session.Held != c.held || v.seq != c.seq {
			t.Errorf("%s: got %q to read, %d held and change %d; want read %v, %d, %d", c.name, ids, v.session.Held, v.seq, c.read, c.held, c.seq)
		}
		if told := len(w.feed.Load().Since(start).Sessions) > 0; told != (c.held > 0) {
			t.Errorf("%s: got told %v", c.name, told)
		}
		if c.held > 0 && (v.session.Seated != 1 || v.session.Revision != 2 || v.session.LeaseUntil.UnixMilli() != 3) {
			t.Errorf("%s: got %+v", c.name, v.session)
		}
	}
}
