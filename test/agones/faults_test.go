package agones_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/throng-gg/throng/test/agones"
	"github.com/throng-gg/throng/test/agones/allocation"
	"github.com/throng-gg/throng/test/agones/object"
)

const (
	gsaPath = "/apis/allocation.agones.dev/v1/namespaces/default/gameserverallocations"
	gsPath  = "/apis/agones.dev/v1/namespaces/default/gameservers"
	anyOfRf = `{"spec":{"selectors":[{"matchLabels":{"agones.dev/fleet":"rf"}}],"metadata":{"labels":{"who":"me"}}}}`
)

// conflict makes every write of an allocation find a conflict.
var conflict = allocation.Fault{Conflict: true}

// labelled counts the servers that an allocation of anyOfRf has labelled.
func (f *fixture) labelled() int {
	var l object.GameServerList
	f.get(gsPath+"?labelSelector=who%3Dme", &l)
	return len(l.Items)
}

func TestFaults(t *testing.T) {
	f := start(t, agones.Options{BatchWait: 10 * time.Millisecond, ExitLag: 300 * time.Millisecond, Lag: 20 * time.Millisecond})
	f.fleet("rf", 10)

	t.Run("a lost reply allocates", func(t *testing.T) {
		end := f.Inject(allocation.Fault{LoseReply: true})
		status, body := f.do(http.MethodPost, gsaPath, nil, anyOfRf)
		end()
		if status < 500 {
			t.Errorf("answered %d %s", status, body)
		}
		if n := f.labelled(); n != 1 {
			t.Errorf("%d servers labelled, want 1", n)
		}
	})
	t.Run("refusals", func(t *testing.T) {
		for _, want := range []int{429, 500, 503} {
			f.Inject(allocation.Fault{Status: want, Times: 1})
			if got, body := f.do(http.MethodPost, gsaPath, nil, anyOfRf); got != want {
				t.Errorf("answered %d %s, want %d", got, body, want)
			}
		}
		if n := f.labelled(); n != 1 {
			t.Errorf("%d servers labelled, want 1: a refusal allocates nothing", n)
		}
	})
	t.Run("twins", func(t *testing.T) {
		f.Inject(allocation.Fault{Twin: true, Times: 1})
		if status, body := f.do(http.MethodPost, gsaPath, nil, anyOfRf); status != http.StatusCreated {
			t.Errorf("answered %d %s", status, body)
		}
		if n := f.labelled(); n != 3 {
			t.Errorf("%d servers labelled, want 3", n)
		}
	})
	t.Run("conflicts", func(t *testing.T) {
		end := f.Inject(allocation.Fault{Conflict: true})
		status, body := f.do(http.MethodPost, gsaPath, nil, anyOfRf)
		end()
		if status != http.StatusInternalServerError {
			t.Errorf("answered %d %s", status, body)
		}
	})
	t.Run("delay", func(t *testing.T) {
		f.Inject(allocation.Fault{Delay: 200 * time.Millisecond, Times: 1})
		begin := time.Now()
		f.do(http.MethodPost, gsaPath, nil, anyOfRf)
		if took := time.Since(begin); took < 200*time.Millisecond {
			t.Errorf("answered after %v", took)
		}
	})
	t.Run("without a controller", func(t *testing.T) {
		f.StopController()
		if st := f.allocate(`{}`); st.State != allocation.Allocated {
			t.Errorf("got %+v: allocation goes on", st)
		}
		var gs object.GameServer
		f.create(gsPath, standalone("orphan"), &gs)
		if gs.Status.State != object.PortAllocation {
			t.Errorf("made in state %s", gs.Status.State)
		}
		if err := f.StartController(); err != nil {
			t.Fatal(err)
		}
		f.await("orphan", object.Ready)
	})
	t.Run("without extensions", func(t *testing.T) {
		if err := f.StopExtensions(t.Context()); err != nil {
			t.Fatal(err)
		}
		if status, body := f.do(http.MethodPost, gsaPath, nil, anyOfRf); status != http.StatusServiceUnavailable {
			t.Errorf("answered %d %s", status, body)
		}
		if status, body := f.do(http.MethodPost, gsPath, nil, standalone("no")); status != http.StatusInternalServerError {
			t.Errorf("answered %d %s", status, body)
		}
		if err := f.StartExtensions(t.Context()); err != nil {
			t.Fatal(err)
		}
		if status, body := f.do(http.MethodPost, gsaPath, nil, anyOfRf); status != http.StatusCreated {
			t.Errorf("answered %d %s", status, body)
		}
	})
	t.Run("a dead server is handed out", func(t *testing.T) {
		var l object.GameServerList
		f.get(gsPath+"?labelSelector=agones.dev/fleet%3Drf", &l)
		dead := map[string]bool{}
		for _, gs := range l.Items {
			if gs.Status.State == object.Ready {
				dead[gs.Name] = true
				if err := f.Exit("default", gs.Name, 137); err != nil {
					t.Fatal(err)
				}
			}
		}
		st := f.allocate(`{"selectors":[{"matchLabels":{"agones.dev/fleet":"rf"}}]}`)
		if st.State != allocation.Allocated || !dead[st.GameServerName] {
			t.Errorf("got %+v: the dead are allocatable until somebody notices", st)
		}
		f.eventually("the dead are replaced", time.Minute, func() (bool, any) {
			var l object.GameServerList
			f.get(gsPath+"?labelSelector=agones.dev/fleet%3Drf", &l)
			up := 0
			for _, gs := range l.Items {
				if dead[gs.Name] {
					return false, gs.Name
				}
				if gs.Status.State == object.Ready || gs.Status.State == object.Allocated {
					up++
				}
			}
			return up == 10, up
		})
	})
}
