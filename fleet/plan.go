package fleet

import (
	"cmp"
	"time"

	"github.com/throng-gg/throng"
)

const (
	atOnce      = 8                      // most allocations under way, unless the backend likes more
	surplusWait = time.Minute            // how long there are too many idle before one is released
	surplusStep = 10 * time.Second       // between one such release and the next
	crowdedWait = 2 * time.Second        // the same two while there is no room for peers
	standBack   = 500 * time.Millisecond // how long the stock waits for sessions that come up on the same machine
)

// View is what a plan depends on.
type View struct {
	Now   time.Time
	Stock int  // idle servers to keep
	Max   int  // most servers
	Peers bool // others share Max

	AtOnce int  // most allocations under way; 0: 8
	Shared bool // servers start on the machine that sessions come up on
	Full   bool // the backend starts no more for now
	Stuck  bool // the backend fails, or takes much longer than it does

	Asked    int // allocations under way
	Started  int // allocated, not connected
	Late     int // of the started: for longer than it takes, while others connect
	Idle     int // connected, without a session
	Occupied int // handed, bound or leaving
	Handed   int // of the occupied: with a session that comes up
	Waiting  int // openings without a server

	NotBefore time.Time // no allocation until then: the last ones failed
	Surplus   time.Time // since when there are too many idle; zero: there are not
	Short     time.Time // since when there are too few, or fewer on their way; zero: there are not
}

// Decision is what to do now.
type Decision struct {
	Allocate int
	Release  int       // of the idle
	Surplus  time.Time // of the next View
	Short    time.Time // of the next View
}

// Plan keeps the stock. It goes up at once and down slowly, by a tenth of what is
// too many at a time.
func Plan(v View) Decision {
	need := v.Waiting + v.Stock - v.coming()
	if need < 0 && v.Idle > v.Stock+v.Waiting {
		if v.Peers && v.room() <= 0 {
			return yield(v)
		}
		return shrink(v)
	}
	if need <= 0 {
		return Decision{}
	}
	d := Decision{Short: cmp.Or(v.Short, v.Now)}
	if v.Now.Before(v.NotBefore) {
		return d
	}
	most := cmp.Or(v.AtOnce, atOnce) - v.Asked
	if v.Shared && v.Handed > 0 && v.Waiting == 0 { // sessions that come up need the processors more
		if v.Now.Sub(d.Short) < standBack {
			return d
		}
		most = min(most, 1-v.Asked-v.Started)
	}
	d.Allocate = max(min(need, v.room(), most), 0)
	return d
}

func shrink(v View) Decision {
	switch {
	case v.Surplus.IsZero():
		return Decision{Surplus: v.Now}
	case v.Now.Sub(v.Surplus) < surplusWait:
		return Decision{Surplus: v.Surplus}
	}
	tooMany := v.Idle - v.Stock - v.Waiting
	return Decision{Release: max(tooMany/targetShare, 1), Surplus: v.Now.Add(surplusStep - surplusWait)}
}

// yield makes room for peers, which may have openings and none of the idle
// servers: by a quarter of what is too many at a time, without waiting long.
func yield(v View) Decision {
	switch {
	case v.Surplus.IsZero():
		return Decision{Surplus: v.Now}
	case v.Now.Sub(v.Surplus) < crowdedWait:
		return Decision{Surplus: v.Surplus}
	}
	return Decision{Release: max((v.Idle-v.Stock-v.Waiting)/4, 1), Surplus: v.Now}
}

// coming is how many servers are idle or will soon be. One that is late may never be:
// its node may be cut off.
func (v View) coming() int { return v.Asked + v.Started - v.Late + v.Idle }

// room is how many more servers there may be.
func (v View) room() int { return v.Max - v.Asked - v.Started - v.Idle - v.Occupied }

// HasRoom says whether one more opening can get a server.
func HasRoom(v View) bool { return v.Occupied+v.Waiting < v.Max }

// RoomOf is how many openings would get a server beside those that wait for one.
func RoomOf(v View) throng.ServerRoom {
	warm := max(v.Idle-v.Waiting, 0)
	coming := v.coming() - v.Waiting
	total := v.Max - v.Occupied - v.Waiting
	switch {
	case v.Stuck: // nothing may come of what is on its way
		total = min(total, v.Idle-v.Waiting)
	case v.Full:
		total = min(total, coming)
	}
	return throng.ServerRoom{Warm: max(min(warm, total), 0), Spare: max(total-warm, 0)}
}

// Hopeless is how many of the waiting openings no server is coming for, once
// the backend said that it starts no more.
func Hopeless(v View) int { return max(v.Waiting-v.Asked-v.Started-v.Idle, 0) }

// backoff is how long to wait after so many allocations in a row that came to
// nothing.
func backoff(failures int) time.Duration {
	return min(100*time.Millisecond<<min(failures, 10), 10*time.Second)
}

// verdict is what the registry's word means for a server that says, or was
// told, that it hosts a session.
type verdict uint8

const (
	verdictUnknown verdict = iota // the registry cannot tell: nothing may be concluded
	verdictHosts                  // the session is bound to this very server
	verdictOver                   // ended, or bound to another one
	verdictUnheard                // the registry knows no such session
	verdictNotYet                 // nobody is bound yet
)

// judge reads the registry's answer about a server's session.
func judge(h throng.Hello, s throng.Session, err error) verdict {
	switch {
	case err != nil && throng.KindOf(err) == throng.NotFound:
		return verdictUnheard
	case err != nil:
		return verdictUnknown
	case s.State == throng.SessionEnded:
		return verdictOver
	case s.Server == "":
		return verdictNotYet
	case s.Server == h.Server && (h.Incarnation == "" || s.Incarnation == h.Incarnation):
		return verdictHosts
	}
	return verdictOver
}
