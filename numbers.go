package throng

import "time"

type (
	// PlaceNumbers is how a place does, by the events that were counted.
	PlaceNumbers struct {
		Place    PlaceID
		At       time.Time // of the newest event that is counted; zero: nothing was heard of it
		Players  int64     // who are in now
		Sessions int64     // that run now
		Total    PlaceCounts
		Minutes  []MinuteNumbers // of the last hour in which anything happened, the oldest first
		Cohorts  []Cohort        // of the last 30 days, the oldest first
	}
	// PlaceCounts is what happened in a place over some time.
	PlaceCounts struct {
		Joins          int64
		Leaves         int64
		SessionsOpened int64
		SessionsEnded  int64
		StaySeconds    float64          // mean of those who left; 0: nobody did
		MatchWaitMS    float64          // mean from a call to its answer; 0: none was measured
		RoundTripMS    float64          // mean of those who left; 0: none was measured
		Events         map[string]int64 // creators' own, by type
		Revenue        map[string]int64 // what players paid, by item
	}
	// MinuteNumbers is one minute.
	MinuteNumbers struct {
		Minute  time.Time
		Players int64 // who were in at its end
		Counts  PlaceCounts
	}
	// Cohort is the players who came to a place for the first time on one day.
	Cohort struct {
		Day     string // 2006-01-02
		New     int64
		NextDay int64 // of them who came the day after
		Week    int64 // of them who came seven days after
	}
)
