package throng

import (
	"slices"
	"time"
)

// Bounds of what is remembered of a join.
const (
	MaxJoinSteps      = 64 // of one record; later ones are left out, but for the last
	MaxJoinDecisions  = 8
	MaxJoinCandidates = 6 // of one decision
)

// JoinRecord is what is remembered of the work on one ticket: what was
// considered, refused and chosen, why, and when. A ticket that was worked on
// several times has several. Zero values are left out of its JSON.
type JoinRecord struct {
	Ticket  TicketID   `json:"ticket"`
	Caller  PlayerID   `json:"caller"`
	Region  RegionID   `json:"region"`
	Process string     `json:"process,omitempty"` // the matchmaker that worked on it
	Place   PlaceID    `json:"place"`
	Version Version    `json:"version,omitempty"` // of the session that was found, or that was live
	Mode    Mode       `json:"mode"`
	Party   []PlayerID `json:"party,omitempty"` // the caller first
	Players int        `json:"players"`         // in the party
	At      time.Time  `json:"at"`              // when it was admitted
	Under   int        `json:"under_way"`       // tickets that were worked on when it was begun, this one among them
	TookMs  float64    `json:"took_ms"`

	Session SessionID `json:"session,omitempty"` // that it got
	Code    string    `json:"code"`              // ok, or the kind of error
	Detail  string    `json:"detail,omitempty"`  // the error in words

	// Regions is how the door chose one, in the order in which they are tried; empty:
	// there is one.
	Regions   []RegionChoice `json:"regions,omitempty"`
	Steps     []JoinStep     `json:"steps"`
	Decisions []Decision     `json:"decisions,omitempty"`
}

// JoinStep is one moment of a join.
type JoinStep struct {
	AfterMs float64   `json:"after_ms"` // since it was admitted
	Step    string    `json:"step"`
	Session SessionID `json:"session,omitempty"`
	Code    string    `json:"code,omitempty"` // of what did not succeed: the kind of error
	Detail  string    `json:"detail,omitempty"`
}

// The steps of a join, in the order in which they come.
const (
	StepAdmitted = "admitted" // the ticket was taken in
	StepBegun    = "begun"    // it has waited in line for the matchmaker
	StepResolved = "resolved" // the place's live version is known
	StepClaimed  = "claimed"  // the registry gave each member an epoch
	StepKnown    = "known"    // the ticket had its answer already
	StepFriends  = "friends"  // it is known where friends play
	StepAsked    = "asked"    // it waits in line for seats
	StepOffered  = "offered"  // a session was chosen, or there is none
	StepOpened   = "opened"   // a session of its own was opened
	StepFound    = "found"    // the session that it names is known
	StepHeld     = "held"     // the registry holds the seats
	StepReread   = "reread"   // sessions that refused were read anew
	StepSettled  = "settled"  // that is the ticket's answer
	StepBound    = "bound"    // the session has a game server
	StepAnswered = "answered" // the work is over
	StepSent     = "sent"     // another region was asked for seats
)

// Decision is one choice among the sessions that a matchmaker knew of, with all
// that it takes to make it again.
type Decision struct {
	AfterMs  float64  `json:"after_ms"`           // since the ticket was admitted
	Line     int      `json:"line"`               // place in line when it asked, from 1
	Openings int      `json:"openings,omitempty"` // of sessions, that it waited for
	Seats    int      `json:"seats"`
	Keep     int      `json:"keep"`
	Weights  Weights  `json:"weights"`
	Wishes   []Wish   `json:"wishes,omitempty"`
	Random   uint64   `json:"random,string"`
	Counts   JoinTold `json:"counts"`

	Latencies map[RegionID]float64 `json:"latencies,omitempty"`
	Refused   []SessionID          `json:"refused,omitempty"` // that had refused the ticket before

	Chosen SessionID `json:"chosen"`
	// Candidates are the best ones, best first, and the chosen one.
	Candidates []Candidate `json:"candidates"`
	// Lots says that the near-ties were drawn by lots, because each session was
	// scored by itself.
	Lots bool `json:"lots,omitempty"`
	// Before and After are how many more sessions were as good as the best and
	// took part in the draw, before and after the chosen one. They are 0 where
	// lots are drawn, because there the others change nothing.
	Before int `json:"before,omitempty"`
	After  int `json:"after,omitempty"`
}

// JoinTold is how many sessions of the place a matchmaker knew and what became
// of them.
type JoinTold struct {
	Sessions int `json:"sessions"` // that take players
	Full     int `json:"full"`     // without a free seat
	Small    int `json:"small"`    // with too few for the party
	Scored   int `json:"scored"`   // the others could not be the best
	Ties     int `json:"ties"`     // within 1 % of the best
}

// Candidate is a session that could be chosen.
type Candidate struct {
	Session    SessionID         `json:"session"`
	Capacity   int               `json:"capacity"`
	Free       int               `json:"free"`              // as the matchmaker believed
	Friends    int               `json:"friends,omitempty"` // of the party's that play there
	Attributes SessionAttributes `json:"attributes,omitempty"`
	Signals    JoinSignals       `json:"signals"`
	Score      float64           `json:"score"`
	Tie        bool              `json:"tie,omitempty"`  // within 1 % of the best
	Kept       bool              `json:"kept,omitempty"` // only its last seats are free, which are kept for friends
}

// JoinSignals is a candidate's signals, each 0 to 1.
type JoinSignals struct {
	Fill    float64   `json:"fill"`
	Latency float64   `json:"latency"`
	Friends float64   `json:"friends,omitempty"`
	Own     []float64 `json:"own,omitempty"` // in the order of Decision.Wishes
}

// ForCaller is the record as the ticket's own caller may see it: without other
// players, and without what could tell of them.
func (r JoinRecord) ForCaller() JoinRecord {
	r.Party, r.Process = nil, ""
	r.Steps = slices.DeleteFunc(slices.Clone(r.Steps), func(s JoinStep) bool { return s.Step == StepFriends })
	decisions := make([]Decision, len(r.Decisions))
	for i, d := range r.Decisions {
		candidates := make([]Candidate, len(d.Candidates))
		for j, c := range d.Candidates {
			candidates[j] = Candidate{
				Session: c.Session, Capacity: c.Capacity, Free: c.Free, Tie: c.Tie, Kept: c.Kept,
				Signals: JoinSignals{Fill: c.Signals.Fill, Latency: c.Signals.Latency},
			}
		}
		d.Candidates, d.Wishes = candidates, nil
		decisions[i] = d
	}
	r.Decisions = decisions
	if len(decisions) == 0 {
		r.Decisions = nil
	}
	return r
}
