package gen

import (
	"time"

	"github.com/throng-gg/throng"
)

// PlaceNumbersOf turns what was counted of a place.
func PlaceNumbersOf(n throng.PlaceNumbers) PlaceNumbers {
	out := PlaceNumbers{
		Place: string(n.Place), At: n.At, Players: n.Players, Sessions: n.Sessions, Total: placeCountsOf(n.Total),
		Minutes: make([]MinuteNumbers, len(n.Minutes)), Cohorts: make([]Cohort, len(n.Cohorts)),
	}
	for i, m := range n.Minutes {
		out.Minutes[i] = MinuteNumbers{Minute: m.Minute, Players: m.Players, Counts: placeCountsOf(m.Counts)}
	}
	for i, c := range n.Cohorts {
		out.Cohorts[i] = Cohort{Day: c.Day, New: c.New, NextDay: c.NextDay, Week: c.Week}
	}
	return out
}

func placeCountsOf(c throng.PlaceCounts) PlaceCounts {
	out := PlaceCounts{
		Joins: c.Joins, Leaves: c.Leaves, SessionsOpened: c.SessionsOpened, SessionsEnded: c.SessionsEnded,
		StaySeconds: c.StaySeconds, MatchWaitMs: c.MatchWaitMS, RoundTripMs: c.RoundTripMS, Events: c.Events, Revenue: c.Revenue,
	}
	if out.Events == nil {
		out.Events = map[string]int64{}
	}
	if out.Revenue == nil {
		out.Revenue = map[string]int64{}
	}
	return out
}

// BanOf turns a ban as it is now.
func BanOf(b throng.Ban, now time.Time) Ban {
	return Ban{
		ID: b.ID, Player: string(b.Player), Rule: b.Rule, Reason: b.Reason, Evidence: b.Evidence, Score: b.Score, Place: string(b.Place),
		Session: string(b.Session), At: b.At.UTC(), Until: b.Until.UTC(), Report: b.Report, Lifted: b.Lifted, By: b.By, Holds: b.Holds(now),
	}
}
