package analytics

import (
	"slices"
	"time"

	"github.com/throng-gg/throng"
)

const dayMS = 24 * 60 * 60 * 1000

// retentionDays is how long after his first day it matters that a player came.
const retentionDays = 7

// visitor is a player of a place.
type visitor struct{ place, player string }

// cohort is the players who were in a place for the first time on one day.
type cohort struct {
	New     int64 `json:"n"`
	NextDay int64 `json:"d"` // of them who were there the day after
	Week    int64 `json:"w"` // of them who were there seven days after
	changed bool
}

// visit takes that a player was in a place on a day.
func (k *Keeper) visit(e *throng.EventRecord, at int64) error {
	var d throng.PresenceChanged
	if err := dataOf(e, &d); err != nil {
		return err
	}
	if e.Player == "" {
		return throng.AtField(throng.Invalid, "player", "is missing")
	}
	if !d.In {
		return nil
	}
	v, day := visitor{string(e.Place), string(e.Player)}, int32(at/dayMS)
	days := k.visitors[v]
	if slices.Contains(days, day) {
		return nil
	}
	if len(days) == 0 && len(k.visitors) >= mostVisitors {
		return nil // he is not told apart from others
	}
	if len(days) > 0 && day > days[0]+retentionDays {
		return nil // it does not matter any more
	}
	k.cohortPart(v.place, days, -1)
	days = append(slices.Clone(days), day)
	slices.Sort(days)
	for days[len(days)-1] > days[0]+retentionDays {
		days = days[:len(days)-1]
	}
	k.cohortPart(v.place, days, 1)
	k.visitors[v] = days
	k.visits[v] = true
	return nil
}

// cohortPart is what one player adds to his cohort.
func (k *Keeper) cohortPart(id string, days []int32, sign int64) {
	if len(days) == 0 {
		return
	}
	p := k.place(id)
	p.fresh = true
	c := p.cohorts[days[0]]
	if c == nil {
		c = &cohort{}
		p.cohorts[days[0]] = c
	}
	c.changed = true
	c.New += sign
	if slices.Contains(days, days[0]+1) {
		c.NextDay += sign
	}
	if slices.Contains(days, days[0]+retentionDays) {
		c.Week += sign
	}
}

func dayText(day int32) string { return time.UnixMilli(int64(day) * dayMS).UTC().Format(time.DateOnly) }
