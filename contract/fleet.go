package contract

import (
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/fleet"
)

// BackendUnderTest is what Backend tests.
type BackendUnderTest struct {
	Backend fleet.Backend
	Max     int // servers that can be alive, at least 2
	// Crash ends an allocated server's process behind the backend's back.
	Crash func(t *testing.T, id throng.ServerID)
	// Started says how many processes were ever started for an ID.
	Started func(t *testing.T, id throng.ServerID) int
	// Room waits until the place of a server that was released can be taken
	// again; nil: it can at once.
	Room func(t *testing.T)
}

// backendPatience is how long a test waits for what must happen.
const backendPatience = 20 * time.Second

// Backend is the contract of fleet.Backend. open makes one without servers,
// whose servers all end with the test.
func Backend(t *testing.T, open func(t *testing.T) BackendUnderTest) {
	t.Helper()
	for name, test := range map[string]func(*testing.T, BackendUnderTest){
		"allocate and release":      backendAllocate,
		"allocate is repeatable":    backendRepeats,
		"released is never started": backendReleased,
		"limit":                     backendLimit,
		"a crash is told":           backendCrash,
		"all at once":               backendAtOnce,
		"watch":                     backendWatch,
		"sites":                     backendSites,
	} {
		t.Run(name, func(t *testing.T) { test(t, open(t)) })
	}
}

func backendID(n byte) throng.ServerID {
	return throng.MakeServerID("test", throng.Entropy{n})
}

func backendContext(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), backendPatience)
	t.Cleanup(cancel)
	return ctx
}

func backendList(t *testing.T, b fleet.Backend, want ...throng.ServerID) {
	t.Helper()
	got, err := b.List(backendContext(t))
	slices.Sort(got)
	slices.Sort(want)
	if err != nil || !slices.Equal(got, want) {
		t.Fatalf("List: got %v, %v, want %v", got, err, want)
	}
}

func backendStart(t *testing.T, b fleet.Backend, id throng.ServerID) {
	t.Helper()
	if err := b.Allocate(backendContext(t), id); err != nil {
		t.Fatalf("Allocate %s: %v", id, err)
	}
}

func backendEnd(t *testing.T, b fleet.Backend, id throng.ServerID) {
	t.Helper()
	if err := b.Release(backendContext(t), id); err != nil {
		t.Fatalf("Release %s: %v", id, err)
	}
}

// backendExits watches until the test ends.
func backendExits(t *testing.T, b fleet.Backend) <-chan throng.ServerExit {
	t.Helper()
	exits := make(chan throng.ServerExit, 100)
	ctx, cancel := context.WithCancel(t.Context())
	var group sync.WaitGroup
	group.Go(func() {
		err := b.Watch(ctx, func(e throng.ServerExit) { exits <- e })
		if err != nil && ctx.Err() == nil {
			t.Errorf("Watch: %v", err)
		}
	})
	t.Cleanup(func() { cancel(); group.Wait() })
	return exits
}

func backendWantExit(t *testing.T, exits <-chan throng.ServerExit, id throng.ServerID) {
	t.Helper()
	select {
	case e := <-exits:
		if e.Server != id || e.Reason == "" {
			t.Fatalf("exit: got %+v, want one of %s with a reason", e, id)
		}
	case <-time.After(backendPatience):
		t.Fatalf("exit of %s: not told within %v", id, backendPatience)
	}
}

func backendAllocate(t *testing.T, u BackendUnderTest) {
	backendList(t, u.Backend)
	backendEnd(t, u.Backend, backendID(9)) // unknown ones are no error
	one, two := backendID(1), backendID(2)
	exits := backendExits(t, u.Backend)
	backendStart(t, u.Backend, one)
	backendStart(t, u.Backend, two)
	backendList(t, u.Backend, one, two)
	backendEnd(t, u.Backend, one)
	backendList(t, u.Backend, two)
	backendWantExit(t, exits, one)
	backendEnd(t, u.Backend, one)
	backendEnd(t, u.Backend, two)
	backendList(t, u.Backend)
	backendWantExit(t, exits, two)
}

func backendRepeats(t *testing.T, u BackendUnderTest) {
	id := backendID(1)
	var group sync.WaitGroup
	for range 4 {
		group.Go(func() {
			if err := u.Backend.Allocate(backendContext(t), id); err != nil {
				t.Errorf("Allocate at the same time: %v", err)
			}
		})
	}
	group.Wait()
	backendStart(t, u.Backend, id)
	backendList(t, u.Backend, id)
	if got := u.Started(t, id); got != 1 {
		t.Errorf("got %d processes, want 1", got)
	}
}

// A call that comes late must not leak a server that nobody knows of.
func backendReleased(t *testing.T, u BackendUnderTest) {
	id := backendID(1)
	backendStart(t, u.Backend, id)
	if got := u.Started(t, id); got != 1 {
		t.Fatalf("got %d processes, want 1", got)
	}
	backendEnd(t, u.Backend, id)
	err := u.Backend.Allocate(backendContext(t), id)
	t.Logf("Allocate after Release: %v", err) // an error or not
	backendList(t, u.Backend)
	if got := u.Started(t, id); got != 1 {
		t.Errorf("got %d processes, want no second one", got)
	}
}

func backendLimit(t *testing.T, u BackendUnderTest) {
	ids := []throng.ServerID{}
	for n := range u.Max {
		ids = append(ids, backendID(byte(n)))
		backendStart(t, u.Backend, ids[n])
	}
	more := backendID(byte(u.Max))
	if err := u.Backend.Allocate(backendContext(t), more); throng.KindOf(err) != throng.NoCapacity {
		t.Errorf("one more than %d: got %v, want no capacity", u.Max, err)
	}
	backendStart(t, u.Backend, ids[0]) // is there, so it needs no room
	backendList(t, u.Backend, ids...)
	backendEnd(t, u.Backend, ids[0])
	if u.Room != nil {
		u.Room(t)
	}
	backendStart(t, u.Backend, more)
	backendList(t, u.Backend, append(slices.Clone(ids[1:]), more)...)
}

func backendCrash(t *testing.T, u BackendUnderTest) {
	exits := backendExits(t, u.Backend)
	one, two := backendID(1), backendID(2)
	backendStart(t, u.Backend, one)
	backendStart(t, u.Backend, two)
	u.Crash(t, one)
	begun := time.Now()
	backendWantExit(t, exits, one)
	if took := time.Since(begun); took > 5*time.Second {
		t.Errorf("the crash was told after %v", took)
	}
	backendList(t, u.Backend, two)
	backendEnd(t, u.Backend, one)
	if got := u.Started(t, one); got != 1 {
		t.Errorf("got %d processes, want 1: a crashed one is not started again", got)
	}
	select {
	case e := <-exits:
		t.Errorf("got a second exit: %+v", e)
	default:
	}
}

func backendAtOnce(t *testing.T, u BackendUnderTest) {
	exits := backendExits(t, u.Backend)
	var group sync.WaitGroup
	for n := range u.Max {
		group.Go(func() {
			ctx, id := backendContext(t), backendID(byte(n))
			if err := u.Backend.Allocate(ctx, id); err != nil {
				t.Errorf("Allocate %d: %v", n, err)
			}
			if err := u.Backend.Release(ctx, id); err != nil {
				t.Errorf("Release %d: %v", n, err)
			}
		})
	}
	group.Wait()
	backendList(t, u.Backend)
	seen := map[throng.ServerID]int{}
	for range u.Max {
		select {
		case e := <-exits:
			seen[e.Server]++
		case <-time.After(backendPatience):
			t.Fatalf("got exits %v, want %d", seen, u.Max)
		}
	}
	for n := range u.Max {
		if got := seen[backendID(byte(n))]; got != 1 {
			t.Errorf("server %d: got %d exits, want 1", n, got)
		}
	}
}

// What ended while nobody watched is told to the next watcher, once.
func backendWatch(t *testing.T, u BackendUnderTest) {
	one := backendID(1)
	backendStart(t, u.Backend, one)
	backendEnd(t, u.Backend, one)
	ctx, cancel := context.WithCancel(backendContext(t))
	told := 0
	err := u.Backend.Watch(ctx, func(e throng.ServerExit) {
		if e.Server == one {
			told++
		}
		cancel()
	})
	if told != 1 || err != nil && ctx.Err() == nil {
		t.Fatalf("got %d exits, %v, want 1", told, err)
	}
	two := backendID(2)
	exits := backendExits(t, u.Backend)
	backendStart(t, u.Backend, two)
	backendEnd(t, u.Backend, two)
	backendWantExit(t, exits, two)
}
