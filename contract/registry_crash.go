package contract

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/session"
)

func registryCrashes() []registryCase {
	return []registryCase{
		{name: "attack 4: a crash at any point of a join is finished by repeating", run: crashRepeated, long: true},
		{name: "attack 4: a crash at any point of a join lapses by itself", run: crashAbandoned, long: true},
	}
}

var errCrash = errors.New("the process is gone")

// crash makes the nth point of an operation fail, from 1; 0 none. It counts them.
type crash struct {
	nth, seen int
	where     string
}

func (c *crash) fault(op string, at session.Point) error {
	c.seen++
	if c.seen != c.nth {
		return nil
	}
	c.where = fmt.Sprintf("%s, point %d", op, at)
	return errCrash
}

// journey is a party's join from one session to another.
type journey struct {
	b        *bench
	party    []throng.PlayerID
	from, to *server
	grant    throng.Grant
	changes  []throng.RosterChange
	crash    crash
}

// newJourney seats a party of its own, and has the nth point of what follows fail.
func newJourney(t *testing.T, b *bench, nth int) *journey {
	t.Helper()
	j := &journey{b: b, from: b.open(t, 4), to: b.open(t, 4), crash: crash{nth: nth}}
	for _, name := range []string{"ada", "bo"} {
		j.party = append(j.party, throng.PlayerID(fmt.Sprintf("%s-%d", name, nth)))
	}
	old := b.join(t, j.from.id, "t1", j.party...)
	for _, p := range j.party {
		j.from.enter(t, old, p)
	}
	j.from.beat(t)
	b.rig.Break(j.crash.fault)
	return j
}

// steps are what the matchmaker and the two servers do, each repeatable.
func (j *journey) steps(t *testing.T) []func() error {
	t.Helper()
	confirm := func(i int) func() error {
		return func() error { return j.b.reg.Confirm(t.Context(), j.to.report.Heartbeat, j.changes[i]) }
	}
	beat := func(s *server) func() error {
		return func() error {
			a, err := j.b.reg.Heartbeat(t.Context(), s.heartbeat())
			if err == nil {
				s.took(a)
				s.obey(a)
			}
			return err
		}
	}
	return []func() error{
		func() (err error) {
			j.grant, err = j.b.tryJoin(t, j.to.id, ticket("t2", j.party...))
			return err
		},
		func() error {
			for _, p := range j.party {
				j.changes = append(j.changes, j.to.admit(j.grant, p))
			}
			return nil
		},
		confirm(0), confirm(1),
		beat(j.to), beat(j.from), beat(j.from),
	}
}

// arrived checks that the party plays where it went, and nowhere else.
func (j *journey) arrived(t *testing.T) {
	t.Helper()
	j.b.seats(t, j.from.id, 0, 0)
	j.b.seats(t, j.to.id, 2, 0)
	for _, p := range j.party {
		j.b.at(t, p, j.to.id)
	}
	if t.Failed() {
		t.Fatalf("crash at %s", j.crash.where)
	}
}

// crashes makes a journey for each of its points, until there are no more.
func crashes(t *testing.T, b *bench, travel func(*journey)) (all []*journey, servers []*server) {
	t.Helper()
	for nth := 1; ; nth++ {
		j := newJourney(t, b, nth)
		travel(j)
		b.rig.Break(nil)
		if j.crash.where == "" {
			t.Logf("%d points", j.crash.seen)
			return all, servers
		}
		all, servers = append(all, j), append(servers, j.from, j.to)
	}
}

func crashRepeated(t *testing.T, b *bench) {
	all, servers := crashes(t, b, func(j *journey) {
		for i, step := range j.steps(t) {
			err := step()
			if errors.Is(err, errCrash) {
				err = step()
			}
			if err != nil {
				t.Fatalf("crash at %s: step %d: got %v when it was repeated", j.crash.where, i, err)
			}
		}
	})
	b.alive(t, throng.HoldTime+time.Second, servers...)
	for _, j := range all {
		j.arrived(t)
	}
}

func crashAbandoned(t *testing.T, b *bench) {
	all, servers := crashes(t, b, func(j *journey) {
		for _, step := range j.steps(t)[:4] {
			if err := step(); err != nil {
				break
			}
		}
	})
	// Whoever was not let in and confirmed gives up; the servers go on.
	for _, s := range servers {
		s.obey(s.beat(t))
	}
	for _, j := range all {
		for p := range j.to.seats {
			j.to.leave(p)
		}
	}
	b.alive(t, throng.HoldTime+2*time.Second, servers...)
	for _, j := range all {
		b.seats(t, j.to.id, 0, 0)
		g := b.join(t, j.to.id, "t3", j.party...)
		for _, p := range j.party {
			j.to.enter(t, g, p)
		}
		for range 2 {
			j.from.obey(j.from.beat(t))
		}
		j.arrived(t)
	}
}
