package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/agones/kind"
	"github.com/throng-gg/throng/api"
	"github.com/throng-gg/throng/client"
	"github.com/throng-gg/throng/load"
	standin "github.com/throng-gg/throng/test/agones"
	paper "github.com/throng-gg/throng/test/agones/control"
	"github.com/throng-gg/throng/test/lab"
)

// quick is a stand-in that waits for little.
var quick = standin.Options{BatchWait: 20 * time.Millisecond, Lag: 20 * time.Millisecond, ExitLag: 100 * time.Millisecond, Ports: [2]int32{7000, 9000}}

// TestBurstOnCluster: 200 players come at once to 20 places that nobody plays.
// 20 servers are used, no more, and all players are seated and come in.
func TestBurstOnCluster(t *testing.T) {
	lab.Require(t)
	const places, each = 20, 10
	var doors atomic.Pointer[string]
	c := startCloud(t, 60, quick, laterAt(&doors))
	r, planes := startPlanes(t, 1, "--clusters", clustersFile(t, c), "--warm", "8", "--max", "60")
	doors.Store(&r.url)
	eventually(t, 60*time.Second, "the control plane is ready", planes[0].ready)
	for i := range places {
		r.publish(fmt.Sprintf("burst-%d", i), fmt.Sprint(each), "-- nobody plays here\n")
	}
	players := make([]*client.Door, places*each)
	for i := range players {
		players[i] = r.as(throng.PlayerID(fmt.Sprintf("burst-%d", i)), api.RolePlayer)
	}
	seated := make([]client.Assignment, len(players))
	var slowest atomic.Int64
	var group sync.WaitGroup
	begun := time.Now()
	for i, door := range players {
		group.Go(func() {
			p := throng.PlayerID(fmt.Sprintf("burst-%d", i))
			var err error
			seated[i], err = door.Matchmake(t.Context(), throng.Ticket{
				Key: throng.TicketKey{Caller: p, Ticket: throng.TicketID("tkt-" + p)}, Place: throng.PlaceID(fmt.Sprintf("burst-%d", i%places)), Party: []throng.PlayerID{p}, Mode: throng.ModeDropIn,
			})
			took := time.Since(begun)
			if err == nil {
				err = c.arrive(t.Context(), seated[i])
			}
			if err != nil {
				t.Errorf("player %d: %v", i, err)
			}
			for old := slowest.Load(); int64(took) > old && !slowest.CompareAndSwap(old, int64(took)); old = slowest.Load() {
			}
		})
	}
	group.Wait()
	full := map[throng.SessionID]int{}
	for _, a := range seated {
		full[a.Session]++
	}
	bound := r.metric(`throng_server_openings_total{result="bound"}`)
	t.Logf("%d players at %d places: %d sessions, %.0f servers used, the last seat after %v", len(seated), places, len(full), bound, time.Duration(slowest.Load()).Round(time.Millisecond))
	if len(full) != places || bound != places {
		t.Errorf("got %d sessions on %.0f servers, want %d", len(full), bound, places)
	}
	for id, n := range full {
		if n != each {
			t.Errorf("session %s has %d players, want %d", id, n, each)
		}
	}
}

// arrive lets a player in at the simulated server of his session.
func (c *cloud) arrive(ctx context.Context, a client.Assignment) error {
	s := c.host.Server(a.Session)
	if s == nil {
		return throng.Errorf(throng.NotFound, "no server hosts %s", a.Session)
	}
	return s.Arrive(ctx, a.JoinToken)
}

// TestSustainedOnCluster opens and ends sessions as fast as the cluster makes
// servers, which is measured without a control plane first. No server hosts two
// sessions. Cluster, control plane, Redis and game servers share this machine, so
// that the two figures are not of the same work. With THRONG_KUBECONFIG the cluster is that
// one, with its Agones and nodes of kwok's.
func TestSustainedOnCluster(t *testing.T) {
	lab.Require(t)
	if soakTimes(t) == 0 {
		t.Skip("NOT MEASURED without THRONG_SOAK: openings and endings beside the cluster's own rate")
	}
	const span = time.Minute // the Fleet is used up several times
	var doors atomic.Pointer[string]
	c := startAgones(t, sustained, laterAt(&doors))
	var before spending
	count := func() { before = spent(t) }
	c.whole()
	bare := c.churn(span, count)
	alone := spent(t).since(before)
	most := strconv.Itoa(sustained)
	r, planes := startPlanes(t, 1, "--clusters", clustersFile(t, c), "--warm", "30", "--warm-most", "30", "--max", most)
	doors.Store(&r.url)
	eventually(t, 60*time.Second, "the control plane is ready", planes[0].ready)

	operator := r.as("operator", api.RoleOperator)
	c.whole()
	waited := 0 * time.Second // of all openings, for their seats
	var mu sync.Mutex
	hosts := map[*load.Server]throng.SessionID{}
	refused := 0
	pace := pace{span: span, counts: count}
	var next atomic.Int64
	var group sync.WaitGroup
	for range openers {
		group.Go(func() {
			for pace.goesOn() {
				o := r.openOne(operator, int(next.Add(1)), func(a client.Assignment) {
					mu.Lock()
					defer mu.Unlock()
					s := c.host.Server(a.Session)
					if other, used := hosts[s]; used && s != nil {
						t.Errorf("a server hosts %s and hosted %s", a.Session, other)
					}
					hosts[s] = a.Session
				})
				mu.Lock()
				waited += o.took
				switch {
				case o.err != nil && throng.KindOf(o.err) == throng.NoCapacity:
					refused++
				case o.err != nil:
					t.Error(o.err)
				default:
					pace.step()
				}
				mu.Unlock()
			}
		})
	}
	group.Wait()
	rate := pace.rate()
	used := spent(t).since(before)
	t.Logf("the cluster alone: %.1f servers/s; opened and ended: %.1f sessions/s, which is %.0f %%; %d refused; %d servers, none twice; a seat after %v on average, %.0f openings waited for a server, %.0f did not",
		bare, rate, 100*rate/bare, refused, len(hosts), (waited / time.Duration(next.Load())).Round(time.Millisecond),
		r.metric(`throng_stock_draws_total{result="waits"}`), r.metric(`throng_stock_draws_total{result="ready"}`))
	t.Logf("CPU alone: %v; with sessions: %v", alone, used)
	t.Logf("what became of servers:%s", r.metrics("throng_servers_gone_total", "throng_agones_cleaned_total", "throng_agones_allocations_total", "throng_server_openings_total"))
	if rate < bare/4 {
		t.Errorf("got %.1f sessions/s beside %.1f servers/s of the cluster alone", rate, bare)
	}
	c.noneLeft(r)
}

// startAgones is startCloud, on the stand-in or on a cluster that has Agones.
func startAgones(t *testing.T, replicas int32, doors func() string) *cloud {
	t.Helper()
	if given := os.Getenv("THRONG_KUBECONFIG"); given != "" { //nolint:forbidigo // a test's own switch
		return startCloudAt(t, given, replicas, doors)
	}
	return startCloud(t, replicas, quick, doors)
}

// spending is the processor time that each program of this machine took so far.
type spending struct {
	at time.Time
	of map[string]time.Duration
}

// spent is read from /proc, so that a cluster's programs are in it, whoever started it.
func spent(t *testing.T) spending {
	t.Helper()
	all, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		t.Fatal(err)
	}
	s := spending{time.Now(), map[string]time.Duration{}}
	for _, file := range all {
		text, err := os.ReadFile(file)
		if err != nil {
			continue // it is over
		}
		pid, rest, _ := strings.Cut(string(text), " (")
		name, _, _ := strings.Cut(rest, ")")
		if args, err := os.ReadFile(filepath.Join(filepath.Dir(file), "cmdline")); err == nil && name == "kube" {
			name = strings.Split(string(args)+"\x00", "\x00")[1] // the program's many programs
		}
		if n, err := strconv.Atoi(pid); err == nil {
			s.of[name] += processorTime(n)
		}
	}
	return s
}

// since tells what was spent since before, the most first.
func (s spending) since(before spending) string {
	type one struct {
		name string
		took time.Duration
	}
	var each []one
	sum := time.Duration(0)
	for name, took := range s.of {
		if took -= before.of[name]; took > 0 {
			each = append(each, one{name, took})
			sum += took
		}
	}
	slices.SortFunc(each, func(a, b one) int { return cmp.Compare(b.took, a.took) })
	text := fmt.Sprintf("%.1f cores:", sum.Seconds()/s.at.Sub(before.at).Seconds())
	for _, o := range each[:min(len(each), 12)] {
		text += fmt.Sprintf(" %s %.1f s,", o.name, o.took.Seconds())
	}
	return strings.TrimSuffix(text, ",")
}

// whole waits until the Fleet has all its servers and none is on its way out, so
// that whoever uses them next starts with no less than another did.
func (c *cloud) whole() {
	c.t.Helper()
	var seen map[kind.State]int
	defer func() {
		if c.t.Failed() {
			c.t.Logf("last seen: %v", seen)
		}
	}()
	eventually(c.t, 3*time.Minute, "the Fleet is whole", func() bool {
		napE2E(c.t.Context(), 500*time.Millisecond)
		text, err := c.kube.RESTClient().Get().AbsPath("/apis/agones.dev/v1/namespaces/default/gameservers").DoRaw(c.t.Context())
		var list kind.List[kind.GameServer]
		if err == nil {
			err = json.Unmarshal(text, &list)
		}
		seen = map[kind.State]int{}
		for _, g := range list.Items {
			seen[g.Status.State]++
		}
		return err == nil && len(list.Items) == sustained && seen[kind.StateReady]+seen[kind.StateAllocated] == sustained
	})
}

// churn allocates and deletes servers with many callers, and returns how many a
// second the cluster replaces. It calls counts when it begins to count.
func (c *cloud) churn(span time.Duration, counts func()) float64 {
	c.t.Helper()
	body, err := json.Marshal(kind.GameServerAllocation{
		APIVersion: "allocation.agones.dev/v1", Kind: "GameServerAllocation",
		Spec: kind.AllocationSpec{Selectors: []kind.Selector{{MatchLabels: map[string]string{kind.LabelFleet: "warm"}}}},
	})
	if err != nil {
		c.t.Fatal(err)
	}
	pace := pace{span: span, counts: counts}
	var group sync.WaitGroup
	for range openers {
		group.Go(func() {
			for pace.goesOn() {
				text, err := c.kube.RESTClient().Post().AbsPath("/apis/allocation.agones.dev/v1/namespaces/default/gameserverallocations").
					SetHeader("Content-Type", "application/json").Body(body).DoRaw(c.t.Context())
				var a kind.GameServerAllocation
				if err == nil {
					err = json.Unmarshal(text, &a)
				}
				if err != nil || a.Status.State != kind.Allocated {
					napE2E(c.t.Context(), 20*time.Millisecond)
					continue
				}
				if err := c.kube.RESTClient().Delete().AbsPath("/apis/agones.dev/v1/namespaces/default/gameservers/" + a.Status.GameServerName).Do(c.t.Context()).Error(); err != nil {
					c.t.Error(err)
				}
				pace.step()
			}
		})
	}
	group.Wait()
	return pace.rate()
}

const (
	// sustained is how many servers the Fleet has: so many that the cluster makes them as fast as it
	// can, whether some of them wait as a stock or not.
	sustained = 300
	unsteady  = 2 * sustained
	openers   = 64
)

// pace is how many servers a second are used, once those that were ready at first
// are used up and so many again: they are used at once, and the cluster has that
// behind it then, too.
type pace struct {
	span   time.Duration
	counts func() // called when it begins to count

	mu    sync.Mutex
	steps int       // guarded by mu
	begun time.Time // guarded by mu; when it began to count
	last  time.Time // guarded by mu
}

func (p *pace) step() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.last = time.Now()
	if p.steps++; p.steps == unsteady {
		p.begun = p.last
		p.counts()
	}
}

func (p *pace) goesOn() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.begun.IsZero() || time.Since(p.begun) < p.span
}

func (p *pace) rate() float64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.last.After(p.begun) {
		return 0
	}
	return float64(p.steps-unsteady) / p.last.Sub(p.begun).Seconds()
}

// TestQuotaOnCluster: a quota lets the cluster make no more pods. The sessions go
// on, joins beyond are told no_capacity, and when the quota is larger servers
// come without anybody's hands.
func TestQuotaOnCluster(t *testing.T) {
	lab.Require(t)
	const room = 8
	var doors atomic.Pointer[string]
	lc := lab.Start(t, lab.Options{Controllers: true})
	o := quick
	o.Pods, o.SDKImage = paper.PaperPods, "none.test/sidecar"
	c := startCloudOn(t, lc, 0, o, laterAt(&doors))
	quota := &corev1.ResourceQuota{
		ObjectMeta: metav1.ObjectMeta{Name: "few"},
		Spec:       corev1.ResourceQuotaSpec{Hard: corev1.ResourceList{corev1.ResourcePods: *resource.NewQuantity(room, resource.DecimalSI)}},
	}
	quotas := c.kube.CoreV1().ResourceQuotas("default")
	if _, err := quotas.Create(t.Context(), quota, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, 60*time.Second, "the quota counts", func() bool {
		q, err := quotas.Get(t.Context(), "few", metav1.GetOptions{})
		return err == nil && len(q.Status.Hard) > 0
	})
	if _, err := c.Fleets.Patch(t.Context(), "default", "warm", []byte(`{"spec":{"replicas":20}}`)); err != nil {
		t.Fatal(err)
	}
	r, planes := startPlanes(t, 1, "--clusters", clustersFile(t, c), "--warm", "2", "--max", "40")
	doors.Store(&r.url)
	eventually(t, 60*time.Second, "the control plane is ready", planes[0].ready)
	open := func(i int) (throng.SessionID, error) {
		p := throng.PlayerID(fmt.Sprintf("quota-%d", i))
		a, err := r.as(p, api.RolePlayer).MatchmakeOnce(t.Context(), throng.Ticket{
			Key: throng.TicketKey{Caller: p, Ticket: throng.TicketID("tkt-" + p)}, Place: "arena", Party: []throng.PlayerID{p}, Mode: throng.ModeNew,
		})
		return a.Session, err
	}
	sessions := make([]throng.SessionID, 0, room)
	for i := range room {
		s, err := open(i)
		if err != nil {
			t.Fatalf("opening %d of %d: %v", i, room, err)
		}
		sessions = append(sessions, s)
	}
	asked := time.Now()
	if s, err := open(room); throng.KindOf(err) != throng.NoCapacity {
		t.Errorf("an opening beyond the quota: got %q, %v, want no_capacity", s, err)
	} else {
		t.Logf("beyond the quota, after %v: %v", time.Since(asked).Round(time.Millisecond), err)
	}
	var living []throng.SessionID
	for _, s := range r.sessions("arena") {
		if s.State == "open" {
			living = append(living, throng.SessionID(s.ID))
		}
	}
	for _, s := range sessions {
		if !slices.Contains(living, s) {
			t.Errorf("session %s does not go on: %v", s, living)
		}
	}
	if err := quotas.Delete(t.Context(), "few", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	took := eventually(t, 60*time.Second, "openings go on", func() bool {
		next := room + 1 + int(time.Since(asked)/time.Millisecond)
		_, err := open(next)
		return err == nil
	})
	t.Logf("an opening succeeds %v after the quota went", took.Round(time.Millisecond))
}

// metrics is what a control plane counted of some families.
func (r *region) metrics(families ...string) string {
	r.t.Helper()
	var found strings.Builder
	for _, line := range r.metricLines() {
		family, _, _ := strings.Cut(line, "{")
		if slices.Contains(families, family) && !strings.HasSuffix(line, " 0") {
			found.WriteString("\n  " + line)
		}
	}
	return found.String()
}
