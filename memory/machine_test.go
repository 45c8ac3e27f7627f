package memory_test

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/contract"
	"github.com/throng-gg/throng/memory"
)

// hall is game servers that do nothing.
type hall struct {
	machine *memory.Machine

	mu    sync.Mutex
	begun map[throng.ServerID]int
}

func newHall(t *testing.T, most int) *hall {
	t.Helper()
	h := &hall{begun: map[throng.ServerID]int{}}
	var err error
	h.machine, err = memory.NewMachine(memory.MachineConfig{Max: most, Begin: func(id throng.ServerID, _ []string) (func(string), error) {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.begun[id]++
		return func(reason string) { h.machine.Over(id, reason) }, nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func TestBackendContract(t *testing.T) {
	contract.Backend(t, func(t *testing.T) contract.BackendUnderTest {
		h := newHall(t, 4)
		return contract.BackendUnderTest{
			Backend: h.machine.Backend(),
			Max:     4,
			Crash:   func(_ *testing.T, id throng.ServerID) { h.machine.Over(id, "signal: killed") },
			Started: func(_ *testing.T, id throng.ServerID) int {
				h.mu.Lock()
				defer h.mu.Unlock()
				return h.begun[id]
			},
		}
	})
}

// A server that could not be begun is none: it is not listed, nobody is told of
// its end, and the next try may succeed.
func TestMachineThatCannotBegin(t *testing.T) {
	broken := true
	var m *memory.Machine
	m, err := memory.NewMachine(memory.MachineConfig{Begin: func(id throng.ServerID, _ []string) (func(string), error) {
		if broken {
			return nil, throng.Errorf(throng.Unavailable, "no socket")
		}
		return func(reason string) { m.Over(id, reason) }, nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	b, id := m.Backend(), throng.MakeServerID("test", throng.Entropy{1})
	if err := b.Allocate(t.Context(), id); throng.KindOf(err) != throng.Unavailable {
		t.Errorf("got %v, want what Begin said", err)
	}
	if all, _ := b.List(t.Context()); len(all) != 0 {
		t.Errorf("got %v listed, want none", all)
	}
	broken = false
	if err := b.Allocate(t.Context(), id); err != nil {
		t.Errorf("got %v for the second try, want a server", err)
	}
	if err := b.Release(t.Context(), id); err != nil {
		t.Error(err)
	}
}

// Each control plane hears of each end, those that are closed do not.
func TestMachineWithTwoControlPlanes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHall(t, 2)
		one, two, closed := h.machine.Backend(), h.machine.Backend(), h.machine.Backend()
		closed.Close()
		id := throng.MakeServerID("test", throng.Entropy{1})
		if err := one.Allocate(t.Context(), id); err != nil {
			t.Fatal(err)
		}
		if err := two.Release(t.Context(), id); err != nil {
			t.Fatal(err)
		}
		for b, want := range map[*memory.Backend]int{one: 1, two: 1, closed: 0} {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			var told []throng.ServerExit
			if err := b.Watch(ctx, func(e throng.ServerExit) { told = append(told, e) }); err != nil {
				t.Error(err)
			}
			cancel()
			if len(told) != want || want > 0 && (told[0].Server != id || told[0].Reason != "released") {
				t.Errorf("got %+v, want the end of %s %d times", told, id, want)
			}
		}
	})
}
