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
	from, to *server
	grant    throng.Grant
	changes  []throng.RosterChange
}

func newJourney(t *testing.T, b *bench) *journey {
	t.Helper()
	j := &journey{b: b, from: b.open(t, 4), to: b.open(t, 4)}
	old := b.join(t, j.from.id, "t1", "ada", "bo")
	j.from.enter(t, old, "ada")
	j.from.enter(t, old, "bo")
	j.from.beat(t)
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
			j.grant, err = j.b.tryJoin(t, j.to.id, ticket("t2", "ada", "bo"))
			return err
		},
		func() error {
			j.changes = append(j.changes, j.to.admit(j.grant, "ada"), j.to.admit(j.grant, "bo"))
			return nil
		},
		confirm(0), confirm(1),
		beat(j.to), beat(j.from), beat(j.from),
	}
}

func crashRepeated(t *testing.T, b *bench) {
	for nth := 1; ; nth++ {
		b := b.again()
		j := newJourney(t, b)
		c := &crash{nth: nth}
		b.rig.Break(c.fault)
		for i, step := range j.steps(t) {
			err := step()
			if errors.Is(err, errCrash) {
				err = step()
			}
			if err != nil {
				t.Fatalf("crash at %s: step %d: got %v when it was repeated", c.where, i, err)
			}
		}
		b.rig.Break(nil)
		if c.where == "" {
			t.Logf("%d points", c.seen)
			return
		}
		b.alive(t, throng.HoldTime+time.Second, j.from, j.to)
		b.seats(t, j.from.id, 0, 0)
		b.seats(t, j.to.id, 2, 0)
		b.at(t, "ada", j.to.id)
		b.at(t, "bo", j.to.id)
		if t.Failed() {
			t.Fatalf("crash at %s", c.where)
		}
	}
}

func crashAbandoned(t *testing.T, b *bench) {
	for nth := 1; ; nth++ {
		b := b.again()
		j := newJourney(t, b)
		c := &crash{nth: nth}
		b.rig.Break(c.fault)
		for _, step := range j.steps(t)[:4] {
			if err := step(); err != nil {
				break
			}
		}
		b.rig.Break(nil)
		if c.where == "" {
			return
		}
		// Whoever was not let in and confirmed gives up; the servers go on.
		for _, s := range []*server{j.from, j.to} {
			s.obey(s.beat(t))
		}
		for p := range j.to.seats {
			j.to.leave(p)
		}
		b.alive(t, throng.HoldTime+2*time.Second, j.from, j.to)
		b.seats(t, j.to.id, 0, 0)
		g := b.join(t, j.to.id, "t3", "ada", "bo")
		j.to.enter(t, g, "ada")
		j.to.enter(t, g, "bo")
		for range 2 {
			j.from.obey(j.from.beat(t))
		}
		b.seats(t, j.from.id, 0, 0)
		b.seats(t, j.to.id, 2, 0)
		b.at(t, "ada", j.to.id)
		if t.Failed() {
			t.Fatalf("crash at %s", c.where)
		}
	}
}
