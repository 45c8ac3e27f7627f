package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/api"
	"github.com/throng-gg/throng/auth"
	"github.com/throng-gg/throng/disk"
	standin "github.com/throng-gg/throng/test/agones"
	"github.com/throng-gg/throng/test/lab"
)

// TestClusterCut stops the API server of one cluster of two for longer than a
// lease, as a cut does: its sessions go on, openings go on in the other cluster,
// and what is left over in it is deleted when it is back.
func TestClusterCut(t *testing.T) {
	lab.Require(t)
	var doors atomic.Pointer[string]
	at := laterAt(&doors)
	o := standin.Options{BatchWait: 100 * time.Millisecond, Lag: 50 * time.Millisecond, ExitLag: 200 * time.Millisecond}
	a, b := startCloud(t, 20, o, at), startCloud(t, 40, o, at)
	r, planes := startPlanes(t, 1, "--clusters", clustersFile(t, a, b), "--warm", "6", "--warm-most", "6", "--max", "60")
	doors.Store(&r.url)
	eventually(t, 60*time.Second, "the control plane is ready", planes[0].ready)
	var before []throng.SessionID
	for i := range 8 {
		s, err := r.openFor(i)
		if err != nil {
			t.Fatal(err)
		}
		before = append(before, s)
	}
	inA, inB := a.hosting(before), b.hosting(before)
	if inA == 0 || inB == 0 || inA+inB != len(before) {
		t.Fatalf("got %d sessions in a, %d in b", inA, inB)
	}

	a.cluster.APIServer.Pause()
	resumed := false
	defer func() {
		if !resumed {
			a.cluster.APIServer.Resume()
		}
	}()
	cut, away := time.Now(), throng.LeaseTime+5*time.Second
	if soakTimes(t) > 0 {
		away = time.Minute
	}
	var slowest time.Duration
	for i := 100; time.Since(cut) < away; i++ {
		asked := time.Now()
		s, err := r.openFor(i)
		if err != nil {
			t.Errorf("an opening after %v: %v", time.Since(cut), err)
			continue
		}
		slowest = max(slowest, time.Since(asked))
		napE2E(t.Context(), 200*time.Millisecond)
		if err := r.as("operator", api.RoleOperator).End(t.Context(), s, "enough"); err != nil {
			t.Errorf("end %s: %v", s, err)
		}
	}
	t.Logf("away for %v: the slowest opening took %v", away, slowest.Round(time.Millisecond))
	if slowest > 20*time.Second {
		t.Errorf("an opening took %v, a call's deadline is 20 s", slowest)
	}
	for _, s := range before {
		if why, ended := r.ended(string(s)); ended {
			t.Errorf("session %s of before the cut ended: %s", s, why)
		}
	}
	a.cluster.APIServer.Resume()
	resumed = true
	for _, s := range before {
		if err := r.as("operator", api.RoleOperator).End(t.Context(), s, "enough"); err != nil {
			t.Errorf("end %s: %v", s, err)
		}
	}
	a.noneLeft(r)
	b.noneLeft(r)
	if s, err := r.openFor(500); err != nil {
		t.Errorf("after all: %s, %v", s, err)
	}
}

// openFor opens a session of a player's own.
func (r *region) openFor(i int) (throng.SessionID, error) {
	p := throng.PlayerID(fmt.Sprintf("solo-%d", i))
	a, err := r.as(p, api.RolePlayer).Matchmake(r.t.Context(), throng.Ticket{
		Key: throng.TicketKey{Caller: p, Ticket: throng.TicketID("tkt-" + p)}, Place: "arena", Party: []throng.PlayerID{p}, Mode: throng.ModeNew,
	})
	return a.Session, err
}

// hosting is how many of the sessions this cluster's servers host.
func (c *cloud) hosting(sessions []throng.SessionID) (n int) {
	for _, s := range sessions {
		if c.host.Server(s) != nil {
			n++
		}
	}
	return n
}

// TestIdleControlPlane measures a control plane beside a Fleet of 2,000 idle
// servers, 100 of which are its stock: memory, processor time, and what it asks
// the API server for.
func TestIdleControlPlane(t *testing.T) {
	lab.Require(t)
	const stock = 100
	most := 300
	if soakTimes(t) > 0 {
		most = 2000
	}
	var doors atomic.Pointer[string]
	c := startCloudWith(t, int32(most), standin.Options{Straight: true, BatchWait: 50 * time.Millisecond, Ports: [2]int32{7000, 9999}},
		laterAt(&doors))
	r, planes := startPlanes(t, 1, "--clusters", clustersFile(t, c), "--warm", strconv.Itoa(stock), "--warm-most", strconv.Itoa(stock), "--max", strconv.Itoa(most))
	ring, err := auth.NewRing(auth.RingConfig{Secrets: disk.Ring{Dir: r.data}})
	if err != nil {
		t.Fatal(err)
	}
	c.enroll = ring.EnrollToken
	doors.Store(&r.url)
	close(c.open)
	took := eventually(t, 3*time.Minute, "all are connected", func() bool {
		return r.metric(`throng_servers{phase="idle"}`) >= stock
	})
	napE2E(t.Context(), 5*time.Second) // for the last calls to be over
	t.Logf("%d servers were connected after %v", stock, took.Round(time.Second))
	before := agonesRequests(t, r)
	pid := planes[0].prog.cmd.Process.Pid
	used, begun := processorTime(pid), time.Now()
	napE2E(t.Context(), 15*time.Second)
	share := (processorTime(pid) - used).Seconds() / time.Since(begun).Seconds()
	// Pages of the program itself are shared and can be dropped: they are told, not judged.
	memory, own := residentMiB(t, planes[0]), memoryMB(pid, "RssAnon:")
	after := agonesRequests(t, r)
	t.Logf("%d idle servers, %d of them the stock: %.1f %% of a core, %d MiB, %.0f MB its own; requests in 15 s: %v, all so far: %v", most, stock, 100*share, memory, own, difference(after, before), after)
	if after["list"] != before["list"] {
		t.Errorf("got %v listings in quiet times", after["list"]-before["list"])
	}
	if share > 0.05*1.5 || own > 100 {
		t.Errorf("%.1f %% of a core and %.0f MB of its own, want under 5 %% and 100 MB", 100*share, own)
	}
}

func difference(after, before map[string]float64) map[string]float64 {
	out := map[string]float64{}
	for verb, n := range after {
		if n != before[verb] {
			out[verb] = n - before[verb]
		}
	}
	return out
}

// agonesRequests reads what the control plane asked the API server for.
func agonesRequests(t *testing.T, r *region) map[string]float64 {
	t.Helper()
	all := map[string]float64{}
	lines := r.metricLines()
	if len(lines) == 0 {
		t.Fatal("the control plane does not say what it asked for")
	}
	for _, line := range lines {
		labels, isIt := strings.CutPrefix(line, "throng_agones_requests_total{")
		if !isIt {
			continue
		}
		_, verb, _ := strings.Cut(labels, `verb="`)
		verb, rest, _ := strings.Cut(verb, `"} `)
		n, err := strconv.ParseFloat(rest, 64)
		if err != nil {
			t.Fatal(err)
		}
		all[verb] += n
	}
	return all
}

func residentMiB(t testing.TB, p *plane) int {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(p.prog.cmd.Process.Pid), "status"))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), "VmRSS:")
	kib, err := strconv.Atoi(strings.Fields(rest)[0])
	if err != nil {
		t.Fatal(err)
	}
	return kib >> 10
}
