package channel_test

import (
	"slices"
	"testing"
	"time"

	"github.com/throng-gg/throng/wire/channel"
)

// A network that loses 5 % at random is not full: the rate stays.
func TestRandomLossDoesNotSlowDown(t *testing.T) {
	const minutes = 20
	sent := 0
	n := newNet(t, 11, rough())
	n.run(minutes*60*30, func(tick int) {
		sent += n.play(150, uint64(tick+1))
		for _, s := range n.ends {
			s.acked, s.states = s.acked[:0], s.states[:0]
		}
	})
	if got := float64(sent) / (minutes * 60); got < 29.7 {
		t.Errorf("%.2f states a second, want 30", got)
	}
}

// With 100 ms and 30 more or less each way, 5 % lost, 2 % overtaken and 2 % twice, 99
// of 100 states come within 200 ms of the one before.
func TestStatesKeepComing(t *testing.T) {
	far := rough()
	far.delay, far.jitter = 100*time.Millisecond, 30*time.Millisecond
	for name, w := range map[string]weather{"50 and 15 ms": rough(), "100 and 30 ms": far} {
		n := newNet(t, 14, w)
		n.run(3*60*30, func(tick int) { n.play(150, uint64(tick+1)) })
		var gaps []time.Duration
		for i, at := range n.ends[1].times[1:] {
			gaps = append(gaps, at.Sub(n.ends[1].times[i]))
		}
		slices.Sort(gaps)
		at := func(q float64) time.Duration { return gaps[int(q*float64(len(gaps)-1))] }
		t.Logf("%s each way: a state comes after p50 %s, p99 %s, p99.9 %s, most %s", name, at(0.5), at(0.99), at(0.999), at(1))
		if at(0.99) > 200*time.Millisecond {
			t.Errorf("%s each way: a state comes after %s at p99, want 200 ms at most", name, at(0.99))
		}
	}
}

// A way that is too narrow gets less state, so that inputs keep coming, and gets
// all of it again once it is wide.
func TestANarrowWay(t *testing.T) {
	n := newNet(t, 12, weather{delay: 40 * time.Millisecond, jitter: 5 * time.Millisecond, loss: 0.01})
	second := func(size int) (sent, inputs int) {
		before := len(n.ends[0].states) + n.ends[0].late
		n.run(30, func(tick int) { sent += n.play(size, uint64(tick+1)) })
		return sent, len(n.ends[0].states) + n.ends[0].late - before
	}
	seconds := func(count int) (states, inputs float64, least int) {
		least = 30
		for range count {
			sent, came := second(300)
			states += float64(sent) / float64(count)
			inputs += float64(came) / float64(count)
			least = min(least, came)
		}
		return states, inputs, least
	}
	wide, _, _ := seconds(10)
	// 30 states of 340 bytes and 30 inputs of 45 are 92 kbit/s.
	n.rate, n.queue = 60_000/8, 6000
	first, _, _ := seconds(8) // finds out
	narrow, inputs, least := seconds(60)
	n.rate = 0
	seconds(60) // it had seen coming back fail, and waits
	again, _, _ := seconds(10)
	t.Logf("states a second: %.1f wide, %.1f and %.1f narrow, %.1f again; inputs in a narrow second: %.1f, at least %d", wide, first, narrow, again, inputs, least)
	if wide < 29 || again < 29 {
		t.Errorf("%.1f and again %.1f states a second with room for all", wide, again)
	}
	if narrow > 19 || narrow < 10 {
		t.Errorf("%.1f states a second through a way that has room for 18", narrow)
	}
	if inputs < 29.2 || least < 15 {
		t.Errorf("%.1f inputs a second, at least %d, of 30 of which 1 %% are lost", inputs, least)
	}
}

// With nothing coming back state goes out at the slowest pace.
func TestSilenceSlowsDown(t *testing.T) {
	n := newNet(t, 13, weather{})
	n.ends[0].deaf = true
	n.run(900, func(tick int) { n.play(300, uint64(tick+1)) })
	if got := n.ends[0].conn.Stats().Pace; got != channel.SlowestPace {
		t.Errorf("pace %d, want %d", got, channel.SlowestPace)
	}
}
