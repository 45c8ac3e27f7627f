package allocation

import (
	"math/rand/v2"
	"net/http"
	"sync"
	"time"
)

// Door is where an allocation comes in.
type Door string

// The doors.
const (
	Any  Door = ""
	Kube Door = "kube" // the aggregated API
	REST Door = "rest" // the allocator service
)

// Fault is something that goes wrong with allocations. The zero value does
// nothing; several fields at once happen together.
type Fault struct {
	Door  Door    // which requests
	Rate  float64 // share of the requests, 0 means all
	Times int     // how many requests, 0 means until it is removed

	Delay     time.Duration // before anything else
	Status    int           // answer this instead of allocating (429, 500, 503)
	LoseReply bool          // allocate, then close the connection without an answer
	Conflict  bool          // every write finds a conflict: after 5 tries HTTP 500
	Twin      bool          // two servers get the labels; the answer names the second
}

// Faults are those in force. It is safe for concurrent use.
type Faults struct {
	mu     sync.Mutex
	active []*Fault
	// conflicts is how many active faults ask for conflicts.
	conflicts int
}

// Inject puts f in force and returns what ends it.
func (fs *Faults) Inject(f Fault) func() {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	p := &f
	fs.active = append(fs.active, p)
	if f.Conflict {
		fs.conflicts++
	}
	return func() {
		fs.mu.Lock()
		defer fs.mu.Unlock()
		fs.drop(p)
	}
}

func (fs *Faults) drop(p *Fault) {
	for i, a := range fs.active {
		if a == p {
			fs.active = append(fs.active[:i], fs.active[i+1:]...)
			if p.Conflict {
				fs.conflicts--
			}
			return
		}
	}
}

// next returns the fault that a request at that door meets.
func (fs *Faults) next(door Door) Fault {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	for _, f := range fs.active {
		if f.Door != Any && f.Door != door || f.Conflict {
			continue
		}
		if f.Rate > 0 && rand.Float64() >= f.Rate { //nolint:gosec // no secret
			continue
		}
		hit := *f
		if f.Times > 0 {
			if f.Times--; f.Times == 0 {
				fs.drop(f)
			}
		}
		return hit
	}
	return Fault{}
}

func (fs *Faults) conflict() bool {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	return fs.conflicts > 0
}

// lose closes the connection of w without an answer.
func lose(w http.ResponseWriter) {
	if h, ok := w.(http.Hijacker); ok {
		if c, _, err := h.Hijack(); err == nil {
			_ = c.Close()
			return
		}
	}
	panic(http.ErrAbortHandler)
}
