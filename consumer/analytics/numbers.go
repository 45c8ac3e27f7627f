package analytics

import (
	"context"
	"encoding/json"
	"slices"
	"time"

	"github.com/throng-gg/throng"
)

// summary is what one shard knows of a place, for Board.
type summary struct {
	Total   counts           `json:"t"`
	Minutes map[int64]counts `json:"m"`
	Cohorts map[int32]cohort `json:"c"`
	Newest  int64            `json:"n"` // ms, of the events of the shard
}

const (
	shownMinutes = 60
	shownDays    = 30
)

// post posts the numbers of places that changed.
func (k *Keeper) post(ctx context.Context) error {
	now := k.cfg.Now()
	for id, p := range k.places {
		if !p.fresh || now.Sub(p.posted) < k.cfg.PostEvery && now.After(p.posted) {
			continue
		}
		s := summary{Total: p.total, Minutes: map[int64]counts{}, Cohorts: map[int32]cohort{}, Newest: k.newest}
		for at, m := range p.minutes {
			if at > k.newest/60_000-shownMinutes {
				s.Minutes[at] = m.Total
			}
		}
		for day, c := range p.cohorts {
			if int64(day) > k.newest/dayMS-shownDays {
				s.Cohorts[day] = *c
			}
		}
		data, err := json.Marshal(s)
		if err != nil {
			return err
		}
		if err := k.cfg.Board.Post(ctx, throng.PlaceID(id), k.name, data); err != nil {
			return err
		}
		p.fresh, p.posted = false, now
	}
	return nil
}

// Numbers reads a place's numbers from a Board.
type Numbers struct{ Board Board }

// Numbers returns them; of a place of which nothing was heard they are zero.
func (n Numbers) Numbers(ctx context.Context, id throng.PlaceID) (throng.PlaceNumbers, error) {
	posts, err := n.Board.Posts(ctx, id)
	if err != nil {
		return throng.PlaceNumbers{}, err
	}
	all := make([]summary, len(posts))
	for i, p := range posts {
		if err := json.Unmarshal(p, &all[i]); err != nil {
			return throng.PlaceNumbers{}, throng.Errorf(throng.Internal, "posted numbers of %s cannot be read: %w", id, err)
		}
	}
	return merge(id, all), nil
}

// merge adds up what shards know of a place.
func merge(id throng.PlaceID, all []summary) throng.PlaceNumbers {
	out := throng.PlaceNumbers{Place: id}
	var total counts
	minutes, cohorts, newest := map[int64]*counts{}, map[int32]*cohort{}, int64(0)
	for i := range all {
		s := &all[i]
		total.add(&s.Total, 1)
		newest = max(newest, s.Newest)
		for at, c := range s.Minutes {
			if minutes[at] == nil {
				minutes[at] = &counts{}
			}
			minutes[at].add(&c, 1)
		}
		for day, c := range s.Cohorts {
			if cohorts[day] == nil {
				cohorts[day] = &cohort{}
			}
			cohorts[day].New += c.New
			cohorts[day].NextDay += c.NextDay
			cohorts[day].Week += c.Week
		}
	}
	if newest > 0 {
		out.At = time.UnixMilli(newest).UTC()
	}
	out.Players, out.Sessions = total.Joins-total.Leaves, total.Opened-total.Ended
	out.Total = shown(&total)
	players := out.Players
	for at := newest / 60_000; at > newest/60_000-shownMinutes; at-- {
		c := minutes[at]
		if c == nil {
			continue
		}
		out.Minutes = append(out.Minutes, throng.MinuteNumbers{Minute: time.UnixMilli(at * 60_000).UTC(), Players: players, Counts: shown(c)})
		players -= c.Joins - c.Leaves
	}
	slices.Reverse(out.Minutes)
	for day := int32(newest / dayMS); int64(day) > newest/dayMS-shownDays; day-- {
		if c := cohorts[day]; c != nil && c.New > 0 {
			out.Cohorts = append(out.Cohorts, throng.Cohort{Day: dayText(day), New: c.New, NextDay: c.NextDay, Week: c.Week})
		}
	}
	slices.Reverse(out.Cohorts)
	return out
}

func shown(c *counts) throng.PlaceCounts {
	return throng.PlaceCounts{
		Joins: c.Joins, Leaves: c.Leaves, SessionsOpened: c.Opened, SessionsEnded: c.Ended,
		StaySeconds: mean(c.StayMS, c.Leaves, 1000), MatchWaitMS: mean(c.WaitMS, c.Matches, 1), RoundTripMS: mean(c.TripUS, c.Trips, 1000),
		Events: c.Events, Revenue: c.Revenue,
	}
}

func mean(sum, n int64, unit float64) float64 {
	if n == 0 {
		return 0
	}
	return float64(sum) / float64(n) / unit
}
