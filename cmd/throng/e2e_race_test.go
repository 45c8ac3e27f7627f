package main

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/throng-gg/throng/bot"
)

// TestRacePlatform runs the whole platform, game servers included, built with
// the race detector.
func TestRacePlatform(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := build(dir, "-race"); err != nil {
		t.Fatal(err)
	}
	r := startDevWith(t, filepath.Join(dir, "throng"))
	report := r.bots(t.Context(), bot.Config{Place: "arena", Players: 12, For: 3 * time.Second})
	if report.Failed != 0 || report.Mismatched != 0 {
		t.Errorf("12 bots: failed %d, mismatched %d, want none", report.Failed, report.Mismatched)
	}
	for _, s := range r.sessions("arena") {
		if err := syscall.Kill(r.pidOf(s.Server), syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
	}
	if got := r.bots(t.Context(), bot.Config{Place: "starter", Players: 4, For: time.Second}); !got.OK() {
		t.Errorf("4 bots after a kill: failed %d, mismatched %d, want none", got.Failed, got.Mismatched)
	}
	r.prog.stop(syscall.SIGINT)
	logs, err := filepath.Glob(filepath.Join(r.data, "logs", "*.log"))
	if err != nil || len(logs) < 2 {
		t.Fatalf("logs of game servers: %v, %v", logs, err)
	}
	texts := []string{r.prog.logs.String()}
	for _, name := range logs {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		texts = append(texts, string(text))
	}
	for _, text := range texts {
		if at := strings.Index(text, "DATA RACE"); at >= 0 {
			t.Errorf("a data race:\n%s", text[at:min(at+3000, len(text))])
		}
	}
}
