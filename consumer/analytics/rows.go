package analytics

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/consumer"
)

// silentTime is how long nothing may be heard of a session that did not end; then
// its end was lost.
const silentTime = 48 * time.Hour

// Restore takes a row; see consumer.Keeper. Rows of a shard:
//
//	t/place                   counts since the beginning
//	m/place/minute            counts of a minute
//	c/place/day               cohort
//	v/place/player            days on which he was there
//	s/session                 its life
//	a/session/player/epoch    a seat
//	f/number                  what goes into files
//	n/files                   the last number of that
func (k *Keeper) Restore(r consumer.Row) error {
	part := strings.Split(r.Key, "/")
	var err error
	switch {
	case part[0] == "t" && len(part) == 2:
		p := k.place(part[1])
		p.fresh = true
		err = json.Unmarshal(r.Value, &p.total)
	case part[0] == "m" && len(part) == 3:
		m, at := &minute{}, number(part[2])
		err = json.Unmarshal(r.Value, m)
		k.place(part[1]).minutes[at] = m
		k.pending = k.pending || !m.Pending.zero()
		k.newest = max(k.newest, at*60_000)
	case part[0] == "c" && len(part) == 3:
		c := &cohort{}
		err = json.Unmarshal(r.Value, c)
		k.place(part[1]).cohorts[int32(number(part[2]))] = c
	case part[0] == "v" && len(part) == 3:
		var days []int32
		err = json.Unmarshal(r.Value, &days)
		k.visitors[visitor{part[1], part[2]}] = days
	case part[0] == "s" && len(part) == 2:
		err = json.Unmarshal(r.Value, &k.restored(part[1]).life)
	case part[0] == "a" && len(part) == 4:
		t := &seat{}
		err = json.Unmarshal(r.Value, t)
		k.restored(part[1]).seats[part[2]+"/"+part[3]] = t
	case part[0] == "f" && len(part) == 2:
		f := &frozen{}
		err = json.Unmarshal(r.Value, f)
		k.frozen[f.Number] = f
		k.number = max(k.number, f.Number)
	case part[0] == "n":
		k.number = max(k.number, uint64(number(string(r.Value))))
	default:
		return throng.Errorf(throng.Internal, "a stored row %.60q is of no kind", r.Key)
	}
	if err != nil {
		return throng.Errorf(throng.Internal, "the stored row %.60q cannot be read: %w", r.Key, err)
	}
	return nil
}

func (k *Keeper) restored(id string) *session {
	s := k.sessions[id]
	if s == nil {
		s = &session{seats: map[string]*seat{}, changed: map[string]bool{}}
		k.sessions[id] = s
	}
	return s
}

// number reads one of ours; 0: it is none.
func number(s string) int64 {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		return 0
	}
	return n
}

// Changes returns the rows that changed; see consumer.Keeper.
func (k *Keeper) Changes(now time.Time) []consumer.Row {
	k.sweep()
	var rows []consumer.Row
	put := func(v any, format string, args ...any) {
		data, err := json.Marshal(v)
		if err != nil {
			panic(err) // numbers and strings can always be written
		}
		rows = append(rows, consumer.Row{Key: fmt.Sprintf(format, args...), Value: data})
	}
	if f := k.freeze(now); f != nil {
		put(f, "f/%016x", f.Number)
		put(f.Number, "n/files")
	}
	for id, p := range k.places {
		p.changes(id, put)
	}
	for v := range k.visits {
		put(k.visitors[v], "v/%s/%s", v.place, v.player)
	}
	clear(k.visits)
	for id, s := range k.sessions {
		for seat := range s.changed {
			if seat == "" {
				put(&s.life, "s/%s", id)
			} else {
				put(s.seats[seat], "a/%s/%s", id, seat)
			}
		}
		clear(s.changed)
	}
	for key := range k.dropped {
		rows = append(rows, consumer.Row{Key: key})
	}
	clear(k.dropped)
	return rows
}

// changes puts what changed of a place.
func (p *place) changes(id string, put func(v any, format string, args ...any)) {
	if p.changed {
		p.changed = false
		put(&p.total, "t/%s", id)
	}
	for at, m := range p.minutes {
		if m.changed {
			m.changed = false
			put(m, "m/%s/%d", id, at)
		}
	}
	for day, c := range p.cohorts {
		if c.changed {
			c.changed = false
			put(c, "c/%s/%d", id, day)
		}
	}
}

// sweep forgets what no event changes any more, once a minute of the events' time.
func (k *Keeper) sweep() {
	if k.newest < k.swept+60_000 {
		return
	}
	k.swept = k.newest
	for id, s := range k.sessions {
		last := s.life.Ended
		if last == 0 {
			if last = s.heard(); k.newest-last < silentTime.Milliseconds() {
				continue
			}
			k.lost(s, last)
		}
		if k.newest-last < settleTime.Milliseconds() {
			continue
		}
		k.dropped["s/"+id] = true
		for seat := range s.seats {
			k.dropped["a/"+id+"/"+seat] = true
		}
		delete(k.sessions, id)
	}
	k.forget()
}

// lost ends a session whose end nobody told.
func (k *Keeper) lost(s *session, at int64) {
	for _, t := range s.seats {
		k.parts(s, t, -1)
	}
	s.life.Ended = at
	for _, t := range s.seats {
		k.parts(s, t, 1)
	}
	s.life.part(func(ms int64, c *counts) {
		if c.Ended != 0 {
			k.add(s.life.Place, ms, c, 1)
		}
	})
}

// forget drops minutes and cohorts that are too old.
func (k *Keeper) forget() {
	for id, p := range k.places {
		for at, m := range p.minutes {
			if !m.changed && m.Pending.zero() && at < k.newest/60_000-liveMinutes {
				delete(p.minutes, at)
				k.dropped[fmt.Sprintf("m/%s/%d", id, at)] = true
			}
		}
		for day := range p.cohorts {
			if int64(day) < k.newest/dayMS-90 {
				delete(p.cohorts, day)
				k.dropped[fmt.Sprintf("c/%s/%d", id, day)] = true
			}
		}
	}
}

// heard is the last that was heard of a session, ms.
func (s *session) heard() int64 {
	last := s.life.Opened
	for _, t := range s.seats {
		last = max(last, t.Joined, t.Left)
	}
	return last
}
