package agones

import (
	"testing"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/agones/kind"
	"github.com/throng-gg/throng/contract"
)

// The contract, on a fake API server; test/agones runs it on a real one.
func TestBackendContract(t *testing.T) {
	contract.Backend(t, func(t *testing.T) contract.BackendUnderTest {
		f := newFake(t, 4)
		b := start(t, f)
		return contract.BackendUnderTest{
			Backend: b, Max: 4,
			Crash: func(t *testing.T, id throng.ServerID) {
				t.Helper()
				for _, name := range f.named(id) {
					f.set(name, func(g *kind.GameServer) { g.Status.State = kind.StateUnhealthy })
					f.remove(name)
				}
			},
			Started: func(_ *testing.T, id throng.ServerID) int { return f.ordered(id) },
			Room:    func(*testing.T) { f.add("again") },
		}
	})
}
