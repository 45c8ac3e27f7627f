package main

import (
	"encoding/json"
	"os/exec"
	"strings"
	"testing"

	"github.com/throng-gg/throng/api"
	"github.com/throng-gg/throng/bot"
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

// TestBenchGateway measures a gateway of a few players: garbage makes no flow and is
// answered by nothing, and what is valid goes through.
func TestBenchGateway(t *testing.T) {
	t.Parallel()
	cmd := exec.CommandContext(t.Context(), throngBinary(t), "bench", "gateway", "--json",
		"--flows", "100", "--forged", "1000", "--valid", "500", "--garbage", "4", "--for", "500ms", "--runs", "1")
	progress := &logBuffer{}
	cmd.Stderr = progress
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("bench gateway: %v\n%s%s", err, progress, out)
	}
	var got gatewayReport
	if err := json.Unmarshal(out, &got); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if got.Flows != 100 || got.GatewayUS <= 0 || got.RawUS <= 0 || got.ForgedPassed != 0 || got.ForgedFlows != 0 || got.ForgedBytes != 0 {
		t.Errorf("got %+v", got)
	}
	for title, trip := range map[string]gatewayTrip{
		"gateway": got.Half.Gateway, "raw": got.Half.Raw, "direct": got.Half.Direct, "calm": got.Flood.Calm,
		"flooded": got.Flood.Flooded, "raw, calm": got.Flood.RawCalm, "raw, flooded": got.Flood.RawFlooded,
	} {
		if trip.PerS <= 0 || trip.Lost >= 1 || trip.P99US <= 0 || trip.P99US < trip.P50US {
			t.Errorf("%s: got %s", title, trip)
		}
	}
	f := got.Flood
	if dropped := f.Verdicts["malformed"] + f.Verdicts["forged"] + f.Verdicts["unknown"] + f.Verdicts["token_limit"]; dropped == 0 || f.Flows != 0 || f.Answer != 0 {
		t.Errorf("flood: got %+v, want garbage dropped, no flow, no answer", f)
	}
}

// TestBenchWire measures a few players on each transport: what is measured must
// have happened.
func TestBenchWire(t *testing.T) {
	t.Parallel()
	sides := []string{sideBareEcho, sideBareTick, sideThrongTick, sideENet}
	if inLong() {
		sides = wireSides()
	}
	cmd := exec.CommandContext(t.Context(), throngBinary(t), "bench", "wire", "--players", "6", "--runs", "1", "--for", "1s", "--json",
		"--sides", strings.Join(sides, ","))
	progress := &logBuffer{}
	cmd.Stderr = progress
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("bench wire: %v\n%s%s", err, progress, out)
	}
	var got wireReport
	if err := json.Unmarshal(out, &got); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, why := range got.Skipped {
		t.Logf("SKIPPED: %s", why)
	}
	if n := len(got.Sides) + len(got.Skipped); n != len(sides) {
		t.Errorf("got %d sides, want %d", n, len(sides))
	}
	for _, s := range got.Sides {
		if s.CPU <= 0 || s.USPerDatagram <= 0 || s.Name != sideENet && (s.Received < 0.5 || s.Arrived < 0.5) {
			t.Errorf("%+v: want CPU, and most payloads to arrive", s)
		}
	}
	if got.OfBareTick <= 0 || got.OfBareEcho <= 0 || got.Forged == nil || got.Forged.CheckUS <= 0 || got.Forged.ProcessUS < got.Forged.CheckUS {
		t.Errorf("got %+v, %+v, want ratios and the cost of a forged request", got, got.Forged)
	}
	if !strings.Contains(progress.String(), "run 1 of 1: bare-tick") {
		t.Errorf("progress: got %q", progress)
	}
}

// TestBenchSession measures a second of motion and a few bots: what is measured
// must have happened.
func TestBenchSession(t *testing.T) {
	t.Parallel()
	cmd := exec.CommandContext(t.Context(), throngBinary(t),
		"bench", "session", "--players", "5", "--seconds", "1", "--sessions", "1", "--for", "4s", "--no-cubes")
	cmd.Stderr = t.Output()
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("bench session: %v\n%s", err, out)
	}
	var got sessionReport
	if err := json.Unmarshal(out, &got); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, m := range got.Motion {
		if m.Total <= 0 || m.Checks == 0 || m.Plain != nil && m.Plain.Raw <= m.Plain.Delta {
			t.Errorf("%s: got %+v, want bytes, and hashes that were checked", m.Way, m)
		}
	}
	if len(got.Motion) == 0 || len(got.Servers) != 1 {
		t.Fatalf("got %d ways and %d crowds, want some and one", len(got.Motion), len(got.Servers))
	}
	s := got.Servers[0]
	var bots bot.Report
	if err := json.Unmarshal(s.Downlink, &bots); err != nil || bots.Joined != 5 || bots.Mismatched != 0 {
		t.Errorf("the bots: %v, %+v, want 5 joined and none that saw a wrong world", err, bots)
	}
	if s.CPU <= 0 || s.BareCPU <= 0 || s.OwnMB <= 0 || s.MaxMB < s.OwnMB || s.StepP99MS < s.StepP50MS || s.StepP50MS <= 0 {
		t.Errorf("got %+v, want what the game server and the echo took", s)
	}
}
