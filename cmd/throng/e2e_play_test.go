package main

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/throng-gg/throng/bot"
)

// TestPlayPage runs real browsers on the players' page of a real region:
// play/test says what they do. THRONG_SHOTS names a folder that keeps their
// pictures.
func TestPlayPage(t *testing.T) {
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	node, err := exec.LookPath("node")
	if err != nil {
		t.Skip("NOT TESTED: the players' page needs node")
	}
	browser, err := exec.LookPath("chromium")
	if err != nil {
		t.Skip("NOT TESTED: the players' page needs chromium")
	}
	if _, err := os.Stat(filepath.Join(root, "node_modules", "playwright-core")); err != nil {
		t.Skip("NOT TESTED: the players' page needs playwright-core: npm ci brings it")
	}
	shots := os.Getenv("THRONG_SHOTS") //nolint:forbidigo // of the test alone
	if shots == "" {
		shots = t.TempDir()
	}
	tests, err := filepath.Glob(filepath.Join(root, "play", "test", "*.test.mjs"))
	if err != nil {
		t.Fatal(err)
	}
	crowded, regional := filepath.Join(root, "play", "test", "crowd.test.mjs"), filepath.Join(root, "play", "test", "regions.test.mjs")
	quiet := slices.DeleteFunc(slices.Clone(tests), func(name string) bool { return name == crowded || name == regional })
	if len(quiet) != len(tests)-2 || len(quiet) == 0 {
		t.Fatalf("tests of the page: %v", tests)
	}
	r := startDev(t, "--warm", "3", "--log-level", "DEBUG")
	defer r.showServers()
	run := func(t *testing.T, r *region, tests ...string) {
		within, stop := context.WithTimeout(t.Context(), 8*time.Minute)
		defer stop()
		cmd := exec.CommandContext(within, node, append([]string{"--test", "--test-concurrency=1"}, tests...)...)
		cmd.WaitDelay = 5 * time.Second
		cmd.Dir = filepath.Join(root, "play")
		cmd.Env = append(os.Environ(), "THRONG_ADDR="+r.url, "THRONG_SHOTS="+shots, "CHROMIUM="+browser)
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Errorf("the page's tests: %v\n%s", err, out)
			return
		}
		for line := range strings.Lines(string(out)) {
			if strings.Contains(line, "frames/s") {
				t.Log(strings.TrimSpace(line))
			}
		}
	}
	t.Run("crowd", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		crowd := r.crowd(ctx, bot.Config{Place: "arena", Players: 48, For: time.Hour})
		defer func() {
			cancel()
			if got := <-crowd; got.Failed != 0 || got.Mismatched != 0 {
				t.Errorf("bots beside the pages: failed %d, mismatched %d, want none", got.Failed, got.Mismatched)
			}
		}()
		run(t, r, crowded)
	})
	t.Run("pages", func(t *testing.T) { run(t, r, quiet...) })
	t.Run("regions", func(t *testing.T) {
		s := startRegions(t, 2)
		s.drain(0)
		run(t, s.all[0], regional)
	})
}
