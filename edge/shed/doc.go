// Package shed decides what a door gives up first when it has more to do than it can.
//
// Pure: Class (class.go) is the order, with the share of a door that each class may
// take, and Policy (policy.go) a limit of calls a second that exists only during
// overload: it follows what the door gets done, and keeps for each class a share that
// the ones below it cannot take. Acting: Shedder (shedder.go) measures, four times a
// second, how late goroutines run (late.go) and how long leases take.
//
// Neighbours: none. The door (package api) asks it before each call, and holds the
// table of which operation is of which class.
//
// When it misbehaves: throng_door_shed_total says by class what is refused,
// throng_door_admit_rate the limit (0: none), throng_door_overload_windows_total by
// reason why there is one: late goroutines (this process has too little CPU), or slow
// leases (what stores them is slow).
package shed
