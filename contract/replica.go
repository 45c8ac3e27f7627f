package contract

import (
	"slices"
	"testing"
	"time"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/replica"
)

// ReplicaStore tests a replica.Store. open makes an empty one for each case.
func ReplicaStore(t *testing.T, open func(t *testing.T) replica.Store) {
	for name, run := range map[string]func(*testing.T, replica.Store){
		"who announced lives, until it is taken out": replicasLive,
		"who is silent for its lease is gone":        replicasLapse,
		"a new URL replaces the old one":             replicasMove,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			run(t, open(t))
		})
	}
}

func rep(n byte) throng.Replica {
	return throng.Replica{ID: throng.MakeReplicaID("eu", throng.Entropy{n}), URL: "http://replica-" + string('a'+rune(n))}
}

func replicasLive(t *testing.T, s replica.Store) {
	ctx := t.Context()
	one, two := rep(1), rep(2)
	if got := must(s.Announce(ctx, two, time.Minute))(t); !slices.Equal(got, []throng.Replica{two}) {
		t.Errorf("the first: got %v, want itself", got)
	}
	for range 2 {
		if got := must(s.Announce(ctx, one, time.Minute))(t); !slices.Equal(got, []throng.Replica{one, two}) {
			t.Errorf("the second: got %v, want both, by ID", got)
		}
	}
	for range 2 {
		if got := must(s.Announce(ctx, two, 0))(t); !slices.Equal(got, []throng.Replica{one}) {
			t.Errorf("taken out: got %v, want the other one", got)
		}
	}
}

func replicasLapse(t *testing.T, s replica.Store) {
	ctx := t.Context()
	one, two := rep(1), rep(2)
	must(s.Announce(ctx, one, 50*time.Millisecond))(t)
	deadline := time.Now().Add(20 * time.Second)
	for {
		got := must(s.Announce(ctx, two, time.Minute))(t)
		if slices.Equal(got, []throng.Replica{two}) {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("got %v, want the silent one gone", got)
		}
		<-time.After(10 * time.Millisecond)
	}
	if got := must(s.Announce(ctx, one, time.Minute))(t); len(got) != 2 {
		t.Errorf("back: got %v, want both", got)
	}
}

func replicasMove(t *testing.T, s replica.Store) {
	ctx := t.Context()
	one := rep(1)
	must(s.Announce(ctx, one, time.Minute))(t)
	one.URL = "https://elsewhere/door"
	if got := must(s.Announce(ctx, one, time.Minute))(t); !slices.Equal(got, []throng.Replica{one}) {
		t.Errorf("got %v, want the new URL only", got)
	}
}
