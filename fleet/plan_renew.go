package fleet

import "time"

// renewAgain is how long after a new server that was old already the next one is
// asked for: the cluster has not got new ones yet.
const renewAgain = 5 * time.Second

// RenewView is what the renewal of the stock depends on.
type RenewView struct {
	Now     time.Time
	After   time.Time // no server is asked for in place of an old one until then
	Stock   int       // idle servers to keep
	Waiting int       // openings without a server
	New     int       // idle, made from what new ones are made from
	Old     int       // idle, made from something else
	Coming  int       // allocated or asked for, not connected
	Room    int       // how many more servers there may be
}

// Renewal is what to do for the stock to become new.
type Renewal struct {
	Allocate int
	Release  int // of the old idle ones
}

// Renew replaces the old servers of the stock, a quarter at a time: an old one
// goes when a new one is there in its place. So a new image that does not come up
// costs nothing: the old stock stays, and is used.
func Renew(v RenewView) Renewal {
	if v.Old == 0 {
		return Renewal{}
	}
	release := min(v.Old, max(v.New+v.Old-v.Stock-v.Waiting, 0))
	if v.Now.Before(v.After) {
		return Renewal{Release: release}
	}
	atOnce := max(v.Stock/4, 1)
	return Renewal{Release: release, Allocate: max(min(v.Old-release, atOnce-v.Coming, v.Room+release), 0)}
}
