package sim

import (
	"fmt"
	"time"
)

// Shape is the size of a world.
type Shape string

// The shapes.
const (
	Small  Shape = "small"  // 2 to 6 players, up to 3 faults, a minute or two
	Herd   Shape = "herd"   // 200 players who come at once
	Region Shape = "region" // 60 players in many sessions, many faults, 5 minutes
)

// Config is one schedule.
type Config struct {
	Seed  uint64
	Shape Shape // empty: Small
	Off   Guard // the guard that is taken out; empty: none
	// Fault is the only kind of fault that happens; empty: all kinds.
	Fault FaultKind
	// Trace keeps the events as text.
	Trace bool
}

// Violation is a promise that was broken.
type Violation struct {
	At   time.Duration // since the world began
	Rule string        // one word, from the list in watch.go
	Text string
}

func (v Violation) String() string {
	return fmt.Sprintf("%9.3fs %s: %s", v.At.Seconds(), v.Rule, v.Text)
}

// Result is what became of a schedule.
type Result struct {
	Seed       uint64
	Violations []Violation
	Trace      []string
	Hash       uint64 // of all events: the same for the same schedule
	Stats      Stats
}

// Stats counts what happened, so that a test can see that things did.
type Stats struct {
	Joins, Answers, Refusals   int // tickets, and how they were answered
	Served, Evicted, Confirmed int // connections
	Sessions, Servers, Faults  int
	Orphans                    int // tickets that were seated in a session that nobody started
	Worlds                     int
	Virtual                    time.Duration
}

// add sums up.
func (s *Stats) add(o Stats) {
	s.Joins += o.Joins
	s.Answers += o.Answers
	s.Refusals += o.Refusals
	s.Served += o.Served
	s.Evicted += o.Evicted
	s.Confirmed += o.Confirmed
	s.Sessions += o.Sessions
	s.Servers += o.Servers
	s.Faults += o.Faults
	s.Orphans += o.Orphans
	s.Worlds += o.Worlds
	s.Virtual += o.Virtual
}

// String is the counts as people read them.
func (s *Stats) String() string {
	return fmt.Sprintf("%s of %d worlds' time, %d faults; %d joins, %d answered, %d refused; %d connections, %d confirmed, %d evicted; %d sessions, %d servers, %d orphans",
		s.Virtual.Round(time.Second), s.Worlds, s.Faults, s.Joins, s.Answers, s.Refusals, s.Served, s.Confirmed, s.Evicted, s.Sessions, s.Servers, s.Orphans)
}
