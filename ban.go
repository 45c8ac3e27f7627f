package throng

import "time"

// Ban keeps a player out until it ends.
type Ban struct {
	ID       string    `json:"id"` // follows from what it is for
	Player   PlayerID  `json:"player"`
	Rule     string    `json:"rule"`     // that was broken
	Reason   string    `json:"reason"`   // for the player
	Evidence string    `json:"evidence"` // for operators: what was measured, and the limit
	Score    float64   `json:"score"`    // what was measured over what is allowed
	Place    PlaceID   `json:"place"`    // where; "": anywhere
	Session  SessionID `json:"session"`  // in which; "": none
	At       time.Time `json:"at"`       // when it was seen
	Until    time.Time `json:"until"`
	// Report says that nobody is kept out: it would have been a ban.
	Report bool      `json:"report,omitempty"`
	Lifted time.Time `json:"lifted,omitzero"` // zero: it was not
	By     string    `json:"by,omitempty"`    // who lifted it
}

// Holds says whether it keeps the player out now.
func (b Ban) Holds(now time.Time) bool {
	return b.ID != "" && !b.Report && b.Lifted.IsZero() && now.Before(b.Until)
}

// Refuse is what a player is told who is kept out.
func (b Ban) Refuse() error {
	return Errorf(Denied, "%s may not play until %s: %s", b.Player, b.Until.UTC().Format(time.RFC3339), b.Reason)
}

// Yields says whether next takes its place as the ban of a player. One that ends
// later does, and one that is new after it was lifted; a report never does.
func (b Ban) Yields(next Ban) bool {
	switch {
	case b.ID == next.ID:
		return false
	case b.ID == "" || b.Report && !next.Report:
		return true
	case !b.Lifted.IsZero():
		return next.At.After(b.Lifted)
	case next.Report && !b.Report:
		return next.At.After(b.Until)
	}
	return next.Until.After(b.Until)
}
