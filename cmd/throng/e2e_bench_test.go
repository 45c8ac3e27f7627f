package main

import (
	"encoding/json"
	"os/exec"
	"strings"
	"testing"

	"github.com/throng-gg/throng/api"
	"github.com/throng-gg/throng/client"
	"github.com/throng-gg/throng/redis/redistest"
)

// TestBenchJoin measures a small crowd: what is measured must have happened.
func TestBenchJoin(t *testing.T) {
	cmd := exec.CommandContext(t.Context(), throngBinary(t),
		"bench", "join", "--joins", "400", "--capacity", "30", "--at-once", "50", "--json")
	cmd.Stderr = t.Output()
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("bench join: %v\n%s", err, out)
	}
	var got joinReport
	if err := json.Unmarshal(out, &got); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if got.Joined != 400 || got.Failed != 0 || got.OverCapacity != 0 || got.Twice != 0 || got.Servers != 14 {
		t.Errorf("got %+v, want 400 joined in 14 servers, none over capacity", got)
	}
	if got.JoinsPerS <= 0 || got.DoorPerS <= 0 || got.ControlCPU <= 0 || got.P99MS < got.P50MS || got.P50MS <= 0 {
		t.Errorf("got %+v, want rates, times and the limit", got)
	}
}

// TestBenchJoinOnRedis measures two crowds on one Redis, where what the first left
// must not be in the way of the second, and holds beside redis-benchmark.
func TestBenchJoinOnRedis(t *testing.T) {
	server := redistest.Start(t)
	for range 2 {
		cmd := exec.CommandContext(t.Context(), throngBinary(t),
			"bench", "join", "--joins", "100", "--at-once", "20", "--redis", server.URL(), "--json")
		cmd.Stderr = t.Output()
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("bench join: %v\n%s", err, out)
		}
		var got joinReport
		if err := json.Unmarshal(out, &got); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		if got.Joined != 100 || got.Failed != 0 || got.OverCapacity != 0 {
			t.Errorf("got %+v, want 100 joined", got)
		}
		_, missing := exec.LookPath("redis-benchmark")
		if got.HoldPerS <= 0 || got.HoldLimitPerS <= 0 && missing == nil {
			t.Errorf("got %g holds/s of %g, want both", got.HoldPerS, got.HoldLimitPerS)
		}
	}
	if left := server.Must(t, "KEYS", holdPrefix+"*"); left != "" {
		t.Errorf("got %q left of the holds, want nothing", left)
	}
}

// TestBenchHeartbeat measures few heartbeats, of a region of its own and of one
// that runs, where no session is left.
func TestBenchHeartbeat(t *testing.T) {
	r := startDev(t)
	for _, args := range [][]string{nil, {"--addr", r.url, "--data", r.data}} {
		args = append([]string{"bench", "heartbeat", "--json", "--sessions", "20", "--players", "5", "--for", "1s", "--rate", "200", "--churn", "1"}, args...)
		cmd := exec.CommandContext(t.Context(), throngBinary(t), args...)
		cmd.Stderr = t.Output()
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("%v: %v\n%s", args, err, out)
		}
		var got heartbeatReport
		if err := json.Unmarshal(out, &got); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		if got.Heartbeats == 0 || got.Failed != 0 || got.Ended != 0 || got.Sessions != 20 || got.Players != 100 {
			t.Errorf("%v: got %+v, want heartbeats of 20 sessions of 5, none failed", args, got)
		}
		if got.HeartbeatsPerS <= 0 || got.ChangesPerS <= 0 || got.P50MS <= 0 || got.P99MS < got.P50MS {
			t.Errorf("%v: got %+v, want rates and times", args, got)
		}
	}
	list, err := r.as("boss", api.RoleOperator).Sessions(t.Context(), benchPlace, client.SessionQuery{})
	if err != nil || len(list.Sessions) != 0 {
		t.Errorf("got %d sessions, %v, want none left", len(list.Sessions), err)
	}
}

func TestBenchRefuses(t *testing.T) {
	for _, args := range [][]string{
		{"--joins", "0"},
		{"--capacity", "201"},
		{"--addr", "http://127.0.0.1:1"},
		{"--replicas", "2"},
		{"--replicas", "0"},
	} {
		args = append([]string{"bench", "join", "--no-limit"}, args...)
		refused(t, args)
	}
	for _, args := range [][]string{
		{"--sessions", "0"},
		{"--players", "201"},
		{"--churn", "2"},
		{"--for", "1ms"},
		{"--sessions", "1000", "--rate", "10"},
		{"--addr", "http://127.0.0.1:1"},
		{"--addr", "http://127.0.0.1:1", "--data", t.TempDir()},
		{"--redis", "redis://127.0.0.1:1"},
	} {
		refused(t, append([]string{"bench", "heartbeat"}, args...))
	}
}

func refused(t *testing.T, args []string) {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), throngBinary(t), args...).CombinedOutput()
	if err == nil || strings.Contains(string(out), "goroutine ") || strings.Count(string(out), "\n") > 2 {
		t.Errorf("%v: got %v, want an error in words\n%s", args, err, out)
		return
	}
	t.Logf("%v: %s", args, out)
}
