package throng_test

import (
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/throng-gg/throng"
)

// TestEpochsNeverGoBack: whatever the clock does, the next epoch is higher than
// every known one, carries its region and stays below 2^53.
func TestEpochsNeverGoBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		known := throng.Epoch(rapid.Uint64Range(0, 1<<52).Draw(t, "known"))
		now := time.UnixMilli(rapid.Int64Range(0, 4_000_000_000_000).Draw(t, "now"))
		region := rapid.Byte().Draw(t, "region")
		got := throng.NextEpoch(now, known, region)
		if got <= known || uint8(got) != region || got >= 1<<53 {
			t.Fatalf("after %d at %s in region %d: got %d", known, now, region, got)
		}
	})
}

func TestStatesOnlyGoForward(t *testing.T) {
	states := []throng.SessionState{throng.SessionStarting, throng.SessionOpen, throng.SessionDraining, throng.SessionEnded}
	for i, from := range states {
		for j, to := range states {
			if from.CanBecome(to) && j <= i {
				t.Errorf("%s can become %s", from, to)
			}
		}
		if back, err := throng.ParseSessionState(from.String()); err != nil || back != from {
			t.Errorf("%s: parsed as %v, %v", from, back, err)
		}
	}
	if throng.SessionEnded.CanBecome(throng.SessionOpen) || throng.ServerGone.CanBecome(throng.ServerIdle) {
		t.Error("what is over can begin again")
	}
}

func TestKindsSurviveWrappingAndTheWire(t *testing.T) {
	for k := throng.Internal; k <= throng.Unsupported; k++ {
		err := fmt.Errorf("while testing: %w", throng.RetryLater(k, time.Second, "no"))
		if throng.KindOf(err) != k || throng.RetryAfterOf(err) != time.Second || throng.ParseKind(k.String()) != k {
			t.Errorf("%s: got kind %s, retry %s", k, throng.KindOf(err), throng.RetryAfterOf(err))
		}
	}
}
