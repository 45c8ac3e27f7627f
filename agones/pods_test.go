package agones

import (
	"testing"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/agones/kind"
)

// A process is killed, or runs out of memory: its pod says so at once, while its
// GameServer is Allocated for seconds more.
func TestCrashIsSeenInThePod(t *testing.T) {
	for reason, how := range map[string]kind.Terminated{
		"signal: killed": {ExitCode: 137, Reason: "Error"},
		"signal: killed, it hit its memory limit": {ExitCode: 137, Reason: "OOMKilled"},
		"exit status 2": {ExitCode: 2, Reason: "Error"},
		"exit status 0": {Reason: "Completed"},
	} {
		f := newFake(t, 1)
		b := start(t, f)
		exits := exitsOf(t, b)
		id := serverID(1)
		if err := b.Allocate(t.Context(), id); err != nil {
			t.Fatal(err)
		}
		f.crash(f.named(id)[0], how)
		eventually(t, "the exit is told", func() bool { return len(exits()) == 1 })
		if got := exits()[0]; got != (throng.ServerExit{Server: id, Reason: reason}) {
			t.Errorf("got %+v, want reason %q", got, reason)
		}
		listed(t, b)
		eventually(t, "what is left of it is deleted", func() bool { return len(f.named(id)) == 0 })
		if got := exits(); len(got) != 1 {
			t.Errorf("got exits %v, want one", got)
		}
	}
}

// Agones hands out a dead server for about 4 s: it is over as soon as it is seen.
func TestDeadServerIsHandedOut(t *testing.T) {
	f := newFake(t, 1)
	b := start(t, f)
	exits := exitsOf(t, b)
	f.crash("warm-000", kind.Terminated{ExitCode: 139, Reason: "Error"})
	eventually(t, "the pod's end is seen", func() bool {
		b.mu.Lock()
		defer b.mu.Unlock()
		return len(b.table.dead) == 1
	})
	id := serverID(1)
	err := b.Allocate(t.Context(), id)
	if err == nil {
		eventually(t, "the exit is told", func() bool { return len(exits()) == 1 })
	} else if throng.KindOf(err) != throng.Conflict {
		t.Errorf("got %v, want nothing or that it is over", err)
	}
	listed(t, b)
	eventually(t, "it is deleted", func() bool { return len(f.named(id)) == 0 })
}
