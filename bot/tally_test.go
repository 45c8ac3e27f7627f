package bot

import (
	"errors"
	"testing"
	"time"

	"github.com/throng-gg/throng"
)

func TestReportCountsWhatHappened(t *testing.T) {
	c := newTally(3, 1, 2)
	leave := c.sit(0, "ses_a")
	c.sit(0, "ses_a")
	c.edit(0, func(p *playerTally) {
		p.joined = true
		p.join = []time.Duration{10 * time.Millisecond, 30 * time.Millisecond}
		p.snapshots, p.proven = 60, 2*time.Second
		p.bytes, p.inside = 5000, 2*time.Second
	})
	c.edit(1, func(p *playerTally) { p.joined, p.mismatched = true, 1 })
	c.edit(2, func(p *playerTally) { p.failed = true })
	c.failure("full", errors.New("no seat"))
	c.failure("full", errors.New("no other seat"))
	r := c.report("arena")
	if r.Players != 3 || r.Joined != 2 || r.Failed != 1 || r.Mismatched != 1 || r.Sessions != 1 || r.OverCapacity != 0 {
		t.Errorf("report: got %+v", r)
	}
	if r.SnapshotsS.Median != 30 || r.KbitPlayer.P50 != 20 || r.JoinMS.P99 != 30 {
		t.Errorf("rates: got %v snapshots/s, %v kbit/s, join p99 %v ms; want 30, 20, 30", r.SnapshotsS.Median, r.KbitPlayer.P50, r.JoinMS.P99)
	}
	if r.Errors["full"] != 2 || r.Examples["full"] != "no seat" {
		t.Errorf("errors: got %v like %v, want 2 of full like the first", r.Errors, r.Examples)
	}
	if r.OK() {
		t.Error("a crowd with a failed player and a wrong world is OK")
	}
	leave()
	leave() // counts once
	c.sit(0, "ses_a")
	c.sit(0, "ses_a")
	if got := c.report("arena").OverCapacity; got != 1 {
		t.Errorf("three at once in a session of two: over capacity %d, want 1", got)
	}
}

func TestCrowdIsOKOnlyWhenAllJoined(t *testing.T) {
	for _, c := range []struct {
		name string
		r    Report
		want bool
	}{
		{"all well", Report{Players: 2, Joined: 2}, true},
		{"one missing", Report{Players: 2, Joined: 1}, false},
		{"one failed", Report{Players: 2, Joined: 2, Failed: 1}, false},
		{"a wrong world", Report{Players: 2, Joined: 2, Mismatched: 1}, false},
		{"a full session overfilled", Report{Players: 2, Joined: 2, OverCapacity: 1}, false},
	} {
		if got := c.r.OK(); got != c.want {
			t.Errorf("%s: OK() is %v, want %v", c.name, got, c.want)
		}
	}
}

func TestPartiesParted(t *testing.T) {
	c := newTally(7, 3, 6) // two of three, and one who came alone
	for i, s := range []throng.SessionID{"ses_a", "ses_a", "ses_a", "ses_b", "ses_b", "ses_c", "ses_c"} {
		c.sit(i, s)
	}
	if r := c.report("arena"); r.Parties != 2 || r.Parted != 1 {
		t.Errorf("got %d parties, %d parted, want 2, 1", r.Parties, r.Parted)
	}
	c.sit(5, "ses_b")
	if r := c.report("arena"); r.Parted != 0 {
		t.Errorf("got %d parted, want none once they are together", r.Parted)
	}
}
