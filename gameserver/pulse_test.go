package gameserver

import (
	"testing"
	"time"
)

func TestPulseServesNobodyAfterAStop(t *testing.T) {
	var p pulse
	sec := time.Second
	if serve, stopped := p.beat(1 * sec); !serve || stopped {
		t.Fatalf("first beat: got serve %v stopped %v, want serving", serve, stopped)
	}
	if serve, stopped := p.beat(31 * sec); serve || !stopped {
		t.Fatalf("beat after 30 s: got serve %v stopped %v, want suspended", serve, stopped)
	}
	p.answered(29 * sec) // a heartbeat begun before the stop was noticed
	if serve, _ := p.beat(32 * sec); serve {
		t.Error("an answer to an old heartbeat: got serving, want suspended")
	}
	p.answered(31*sec + 1)
	if serve, _ := p.beat(32*sec + 1); !serve {
		t.Error("an answer to a new heartbeat: got suspended, want serving")
	}
}

func TestPulseGoesOnWhenNobodyAnswers(t *testing.T) {
	var p pulse
	p.beat(time.Second)
	p.beat(20 * time.Second)
	for s := 21; s < 35; s++ {
		if serve, _ := p.beat(time.Duration(s) * time.Second); serve {
			t.Fatalf("%d s after the stop was noticed: got serving, want suspended", s-20)
		}
	}
	if serve, _ := p.beat(35 * time.Second); !serve {
		t.Error("15 s without an answer: got suspended, want serving: losing the registry ends nothing")
	}
}

func TestPulseShortGapsAreNoStop(t *testing.T) {
	var p pulse
	p.beat(time.Second)
	if serve, stopped := p.beat(6 * time.Second); !serve || stopped {
		t.Errorf("a gap of 5 s: got serve %v stopped %v, want serving", serve, stopped)
	}
}
