package shed

import "math"

// Class is what a call is worth while a door cannot answer all: lower ones are given
// up before higher ones.
type Class uint8

// The classes, from the one that is given up first to the one that is kept longest.
const (
	Telemetry Class = iota // what is looked at later: logs, numbers, explanations, audits
	Browse                 // what is only looked at
	Join                   // a player's wish to play
	Together               // parties, and who follows a friend
	Reconnect              // who has a seat or waits in line already
	Save                   // what would be lost: profiles, the ledger, operators' orders
	Lease                  // heartbeats, confirms, control connections, what regions tell each other
	classes
)

// Classes lists all, in their order.
func Classes() []Class {
	all := make([]Class, classes)
	for i := range all {
		all[i] = Class(i) //nolint:gosec // a few
	}
	return all
}

// String is for people and metrics.
func (c Class) String() string {
	switch c {
	case Telemetry:
		return "telemetry"
	case Browse:
		return "browse"
	case Join:
		return "join"
	case Together:
		return "together"
	case Reconnect:
		return "reconnect"
	case Save:
		return "save"
	case Lease:
		return "lease"
	case classes:
	}
	return "none"
}

// share is how much of a door a class may take, together with those below it; the
// rest is for the ones above. It never falls from one class to the next.
func (c Class) share() float64 {
	switch c {
	case Telemetry:
		return 0.5
	case Browse:
		return 0.6
	case Join:
		return 0.7
	case Together:
		return 0.8
	case Reconnect:
		return 0.9
	case Save, Lease, classes:
	}
	return 1
}

// Of is how many of so many places a class may take, together with those below it; at
// least one of any.
func (c Class) Of(most int64) int64 { return int64(math.Ceil(c.share() * float64(most))) }
