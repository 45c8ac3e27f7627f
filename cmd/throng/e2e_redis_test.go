package main

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/throng-gg/throng/bot"
	"github.com/throng-gg/throng/redis/redistest"
)

// TestDevOnRedis kills the registry's Redis under players and starts it again
// with an old snapshot: nobody loses his session, and joins come back.
func TestDevOnRedis(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	r := startDev(t, "--redis", server.URL())
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	crowd := &logBuffer{}
	report := r.crowd(ctx, bot.Config{Place: "arena", Players: 60, For: 2 * time.Minute, Every: 50 * time.Millisecond, Progress: crowd})
	server.Save(t) // before most have come
	eventually(t, 60*time.Second, "all play", func() bool { return strings.Contains(crowd.String(), "joined 60 of 60,") })
	sessions := r.awaitSeated("arena", 60, 30*time.Second)

	server.Kill()
	server.Restart(t)
	begun := time.Now()
	late := r.bots(t.Context(), bot.Config{Place: "arena", Players: 1, For: 100 * time.Millisecond, Name: "late", Capacity: sessions[0].Capacity})
	if late.Joined != 1 {
		t.Errorf("a join after Redis was lost: got %d, want it served within 30 s", late.Joined)
	}
	t.Logf("joins came back after %s", time.Since(begun).Round(time.Millisecond))
	r.awaitSeated("arena", 60, 30*time.Second) // and until it is whole
	for _, s := range sessions {
		if reason, ended := r.ended(s.ID); ended {
			t.Errorf("session %s ended: %s", s.ID, reason)
		}
	}
	cancel()
	got := <-report
	if got.Failed != 0 || got.Mismatched != 0 || got.OverCapacity != 0 || got.Rejoined != 0 {
		t.Errorf("failed %d mismatched %d over capacity %d rejoined %d; want none", got.Failed, got.Mismatched, got.OverCapacity, got.Rejoined)
	}
}

func TestRedisFlagHidesThePassword(t *testing.T) {
	t.Parallel()
	p := start(t, throngBinary(t), "dev", "--addr", "127.0.0.1:0", "--data", t.TempDir(), "--redis", "redis://ada:hunter2@host:x")
	<-p.done
	if logs := p.logs.String(); p.err == nil || strings.Contains(logs, "hunter2") || !strings.Contains(logs, "--redis") {
		t.Errorf("got %v, %q, want an error that names the flag and not the password", p.err, logs)
	}
}
