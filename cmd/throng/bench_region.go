package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/redis/rueidis"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/api"
	"github.com/throng-gg/throng/client"
	"github.com/throng-gg/throng/cmd/command"
	"github.com/throng-gg/throng/load"
	"github.com/throng-gg/throng/place"
	"github.com/throng-gg/throng/process"
	"github.com/throng-gg/throng/script"
)

// benchPlace is published for a benchmark, with a run's own name after it where a
// Redis may know what another run left.
const benchPlace = "bench"

// benchRegionFlags say which region is put under load: a running one, or one that
// is started for it and ended after it.
type benchRegionFlags struct {
	Addr     []string `name:"addr" help:"URLs of the doors of a running region; without them one is started. Needs --data." placeholder:"URL"`
	Data     string   `type:"path" help:"Data folder of the running region, for credentials." placeholder:"DIR"`
	Region   string   `default:"local" help:"Name of the region."`
	Redis    string   `help:"Redis of the region that is started; without it its registry is in memory." placeholder:"URL"`
	Replicas int      `default:"1" help:"Control planes of the region that is started."`
	Warm     int      `default:"20" help:"Idle game servers that each keeps ready."`
	JSON     bool     `help:"Print the report as JSON."`
}

// benchRegion is a region under load, with a node of simulated game servers on
// each of its doors.
type benchRegion struct {
	ctx     context.Context //nolint:containedctx // of all that is under way; ended by close
	stop    context.CancelFunc
	flags   benchRegionFlags
	run     string         // names its players, and tells them from those of other runs
	place   throng.PlaceID // that is joined
	urls    []string
	secrets *secrets
	http    *http.Client
	hosts   []*load.Host
	running sync.WaitGroup
	failed  chan error // of what runs; holds one each

	children []*exec.Cmd
	folder   string         // removed at the end; empty: not ours
	redis    rueidis.Client // nil: none
}

// open reaches or starts the region, publishes the place and hosts its sessions.
func (f benchRegionFlags) open(e *env, capacity int) (*benchRegion, error) {
	return f.openAnd(e, capacity, func(r *benchRegion) error { return r.host(e) })
}

// openBare is open without game servers.
func (f benchRegionFlags) openBare(e *env, capacity int) (*benchRegion, error) {
	f.Warm = 0
	return f.openAnd(e, capacity, (*benchRegion).ready)
}

func (f benchRegionFlags) openAnd(e *env, capacity int, then func(*benchRegion) error) (*benchRegion, error) {
	r := f.region(e)
	err := r.watchRedis()
	if err == nil {
		err = r.begin(e, f.args())
	}
	if err == nil {
		err = r.publish(r.place, capacity)
	}
	if err == nil {
		err = then(r)
	}
	if err != nil {
		return nil, errors.Join(err, r.close())
	}
	return r, nil
}

// openConstant starts a door that answers with a constant.
func (f benchRegionFlags) openConstant(e *env, capacity int) (*benchRegion, error) {
	f.Addr, f.Data, f.Redis, f.Replicas = nil, "", "", 1
	r := f.region(e)
	err := r.begin(e, []string{"bench", "door"})
	if err == nil {
		err = r.publish(r.place, capacity)
	}
	if err != nil {
		return nil, errors.Join(err, r.close())
	}
	return r, nil
}

func (f benchRegionFlags) region(e *env) *benchRegion {
	r := &benchRegion{flags: f, failed: make(chan error, 16), run: strings.ToLower(rand.Text()[:8]), place: benchPlace}
	if len(f.Addr) == 0 {
		r.place += throng.PlaceID("-" + r.run)
	}
	r.ctx, r.stop = context.WithCancel(e.ctx)
	r.http = &http.Client{Transport: &http.Transport{
		DialContext:         (&net.Dialer{Timeout: 5 * time.Second}).DialContext,
		MaxIdleConnsPerHost: 4096,
		DisableCompression:  true,
	}}
	return r
}

func (f benchRegionFlags) args() []string {
	args := []string{"serve", "control", "--dev", "--warm", strconv.Itoa(f.Warm), "--max", "4096", "--region", f.Region}
	if f.Redis != "" {
		args = append(args, "--redis", f.Redis)
	}
	return args
}

// watchRedis connects to the Redis that the region is started on, to see what it
// spends.
func (r *benchRegion) watchRedis() error {
	if r.flags.Redis == "" {
		return nil
	}
	opt, err := rueidis.ParseURL(r.flags.Redis)
	if err != nil {
		return throng.AtField(throng.Invalid, "--redis", "%w", err)
	}
	opt.DisableCache = true
	if r.redis, err = rueidis.NewClient(opt); err != nil {
		return throng.AtField(throng.Unavailable, "--redis", "%w", err)
	}
	return nil
}

func (r *benchRegion) flushRedis() error { return emptyRedis(r.ctx, r.redis) }

// beats is how many heartbeats of its game servers were answered, and missed.
func (r *benchRegion) beats() (answered, missed int64) {
	for _, h := range r.hosts {
		a, m := h.Beats()
		answered += a
		missed += m
	}
	return answered, missed
}

// begin finds the doors and the region's secret.
func (r *benchRegion) begin(e *env, args []string) error {
	if len(r.flags.Addr) > 0 {
		if r.flags.Data == "" {
			return throng.AtField(throng.Invalid, "--data", "is needed with --addr: the region's data folder")
		}
		for _, addr := range r.flags.Addr {
			url, err := command.DoorURL(addr)
			if err != nil {
				return err
			}
			r.urls = append(r.urls, url)
		}
		return r.unlock(r.flags.Data)
	}
	if r.flags.Replicas < 1 || r.flags.Replicas > 64 {
		return throng.AtField(throng.Invalid, "--replicas", "is %d, 1 to 64 are possible", r.flags.Replicas)
	}
	if r.flags.Replicas > 1 && r.flags.Redis == "" {
		return throng.AtField(throng.Invalid, "--replicas", "need one registry: give --redis")
	}
	var err error
	if r.folder, err = os.MkdirTemp("", "throng-bench-"); err != nil {
		return fmt.Errorf("make a data folder: %w", err)
	}
	for range r.flags.Replicas {
		url, err := r.child(e, append(args, "--addr", "127.0.0.1:0", "--data", r.folder, "--log-level", "ERROR"))
		if err != nil {
			return err
		}
		r.urls = append(r.urls, url)
	}
	return r.unlock(r.folder)
}

func (r *benchRegion) unlock(folder string) error {
	var err error
	r.secrets, err = ringFlags{Data: folder}.secrets()
	return err
}

// child starts a part of the region and returns its URL once it listens.
func (r *benchRegion) child(e *env, args []string) (string, error) {
	exe, err := self()
	if err != nil {
		return "", err
	}
	cmd := exec.Command(exe, args...) //nolint:gosec,noctx // this program itself; ended by close, in order
	cmd.Stderr = e.err
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return "", err
	}
	if err := cmd.Start(); err != nil {
		return "", fmt.Errorf("start %s: %w", strings.Join(args[:2], " "), err)
	}
	r.children = append(r.children, cmd)
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		_, url, ok := strings.Cut(lines.Text(), " listens at ")
		if !ok { // throng dev
			_, url, ok = strings.Cut(lines.Text(), " is ready at ")
			url, _, _ = strings.Cut(url, " ")
		}
		if ok {
			go func() { _, _ = io.Copy(io.Discard, out) }()
			return strings.TrimSpace(url), nil
		}
	}
	return "", throng.Errorf(throng.Unavailable, "throng %s did not start", strings.Join(args, " "))
}

// publish makes the place that is joined.
func (r *benchRegion) publish(id throng.PlaceID, capacity int) error {
	token, err := r.secrets.PlayerToken("bench", api.RoleOperator, time.Hour)
	if err != nil {
		return err
	}
	door, err := client.New(client.Config{Addr: r.urls[0], Token: token, HTTP: r.http})
	if err != nil {
		return err
	}
	files := map[string][]byte{
		place.ManifestFile: fmt.Appendf(nil, "id: %s\nname: Bench\ncapacity: %d\nentry: main.lua\n", id, capacity),
		"main.lua":         []byte("-- nobody plays here\n"),
	}
	if _, err := place.Check(files, script.Check); err != nil {
		return err
	}
	var upload bytes.Buffer
	if err := place.WriteUpload(&upload, files); err != nil {
		return err
	}
	_, err = door.Publish(r.ctx, id, &upload, throng.Publication{})
	return err
}

// host puts a node of simulated game servers on each door, and waits until joins
// go through.
func (r *benchRegion) host(e *env) error {
	logger := slog.New(slog.NewTextHandler(e.err, &slog.HandlerOptions{Level: slog.LevelError}))
	for _, url := range r.urls {
		host, err := load.NewHost(load.HostConfig{HTTP: r.http, Logger: logger})
		if err != nil {
			return err
		}
		region, err := regionOf(r.flags.Region, 1)
		if err != nil {
			return err
		}
		token, err := newNodeToken(region, r.secrets)
		if err != nil {
			return err
		}
		id, err := nodeOf(token)
		if err != nil {
			return err
		}
		node, err := process.NewNode(process.NodeConfig{
			Host: host, Addrs: []string{url}, Token: func() (string, error) { return token, nil }, ID: id, Logger: logger,
		})
		if err != nil {
			return err
		}
		r.hosts = append(r.hosts, host)
		r.running.Go(func() { r.failed <- host.Run(r.ctx) })
		r.running.Go(func() { r.failed <- node.Run(r.ctx) })
	}
	return r.ready()
}

// ready waits until the doors say that they are.
func (r *benchRegion) ready() error {
	ready, cancel := context.WithTimeout(r.ctx, time.Minute)
	defer cancel()
	for _, url := range r.urls {
		err := waitFor(ready, func() bool {
			req, err := http.NewRequestWithContext(ready, http.MethodGet, url+"/readyz", nil)
			if err != nil {
				return false
			}
			resp, err := r.http.Do(req)
			if err != nil {
				return false
			}
			_ = resp.Body.Close()
			return resp.StatusCode == http.StatusOK
		})
		if err != nil {
			return fmt.Errorf("%s was not ready within a minute: %w", url, err)
		}
	}
	return nil
}

// players makes credentials, which costs more than a join, before anything is
// measured. Each speaks to one of the doors.
func (r *benchRegion) players(n int) ([]load.Player, error) { return r.playersNamed("bench", n) }

func (r *benchRegion) playersNamed(prefix string, n int) ([]load.Player, error) {
	doors := make([]*client.Door, len(r.urls))
	for i, url := range r.urls {
		var err error
		if doors[i], err = client.New(client.Config{Addr: url, HTTP: r.http}); err != nil {
			return nil, err
		}
	}
	all := make([]load.Player, n)
	var group sync.WaitGroup
	var once sync.Once
	var failed error
	const share = 1024
	for from := 0; from < n; from += share {
		group.Go(func() {
			for i := from; i < min(from+share, n); i++ {
				id := throng.PlayerID(prefix + "-" + r.run + "-" + strconv.Itoa(i))
				token, err := r.secrets.PlayerToken(id, api.RolePlayer, time.Hour)
				if err == nil {
					all[i].ID = id
					all[i].Door, err = doors[i%len(doors)].As(token)
				}
				if err != nil {
					once.Do(func() { failed = err })
					return
				}
			}
		})
	}
	group.Wait()
	return all, failed
}

// adopted makes a session that runs, with the credentials of its server and
// players from a number on.
func (r *benchRegion) adopted(in throng.PlaceID, capacity, first, players int) (load.Adopted, error) {
	region, err := regionOf(r.flags.Region, 1)
	if err != nil {
		return load.Adopted{}, err
	}
	var e throng.Entropy
	rand.Read(e[:])
	a := load.Adopted{
		Epoch: throng.NextEpoch(time.Now(), 0, region.Number), Server: throng.MakeServerID(region.ID, e),
		Hand: throng.Handover{Place: in, Version: 1, Capacity: capacity, OpenedAt: time.Now()},
	}
	rand.Read(e[:])
	e = throng.SessionKeyOf(r.secrets.newKey(), e)
	a.Hand.Session = throng.MakeSessionID(region.ID, throng.PoolShard(in, a.Hand.Version), e)
	if a.Hand.Key, err = r.secrets.SessionKey(a.Hand.Session); err != nil {
		return load.Adopted{}, err
	}
	if a.Hand.Token, err = r.secrets.ServerToken(a.Server, a.Hand.Session); err != nil {
		return load.Adopted{}, err
	}
	for p := range players {
		a.Players = append(a.Players, throng.PlayerID("held-"+r.run+"-"+strconv.Itoa(first+p)))
	}
	return a, nil
}

// arrive brings a placed player to his game server.
func (r *benchRegion) arrive(ctx context.Context, a client.Assignment) error {
	for _, h := range r.hosts {
		if s := h.Server(a.Session); s != nil {
			return s.Arrive(ctx, a.JoinToken)
		}
	}
	return throng.Errorf(throng.NotFound, "no simulated server hosts %s: does the region have other nodes?", a.Session)
}

func nobodyArrives(context.Context, client.Assignment) error { return nil }

func (r *benchRegion) leave(id throng.SessionID, p throng.PlayerID) {
	for _, h := range r.hosts {
		if s := h.Server(id); s != nil {
			s.Leave(p)
		}
	}
}

func (r *benchRegion) hosted() load.Hosted {
	var all load.Hosted
	for _, h := range r.hosts {
		one := h.Hosted()
		all.Sessions += one.Sessions
		all.Players += one.Players
		all.OverCapacity += one.OverCapacity
		all.Twice += one.Twice
	}
	return all
}

// usage is the processor time of all parts so far.
func (r *benchRegion) usage() usage {
	var u usage
	for _, c := range r.children {
		u.control += processorTime(c.Process.Pid)
	}
	u.generator = processorTime(os.Getpid())
	if r.redis != nil {
		u.redis, u.redisBytes, _ = redisUse(context.WithoutCancel(r.ctx), r.redis) // zero: it is away
	}
	return u
}

// processorTime reads a process's user and system time; 0: it is gone.
func processorTime(pid int) time.Duration {
	stat, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	if err != nil {
		return 0
	}
	// The name, in brackets, may have spaces.
	_, after, _ := strings.Cut(string(stat), ") ")
	fields := strings.Fields(after)
	if len(fields) < 13 {
		return 0
	}
	var ticks int64
	for _, f := range fields[11:13] {
		n, err := strconv.ParseInt(f, 10, 64)
		if err != nil {
			return 0
		}
		ticks += n
	}
	return time.Duration(ticks*10) * time.Millisecond // 100 a second, on every Linux
}

// finish ends all that was started and prints what was measured, also when
// something did not end well.
func (r *benchRegion) finish(e *env, report interface{ text(w io.Writer) }, measured error) error {
	closing := r.close()
	if measured != nil {
		return measured
	}
	if r.flags.JSON {
		return errors.Join(writeJSON(e.out, report), closing)
	}
	report.text(e.out)
	return closing
}

// close ends all that was started.
func (r *benchRegion) close() error {
	r.stop()
	r.running.Wait()
	var failed error
	for _, c := range r.children {
		_ = c.Process.Signal(os.Interrupt)
	}
	for _, c := range r.children {
		kill := time.AfterFunc(10*time.Second, func() { _ = c.Process.Kill() })
		err := c.Wait()
		if kill.Stop(); err != nil {
			failed = errors.Join(failed, fmt.Errorf("a part of the region: %w", err))
		}
	}
	r.http.CloseIdleConnections()
	if r.redis != nil {
		r.redis.Close()
	}
	if r.folder != "" {
		failed = errors.Join(failed, os.RemoveAll(r.folder))
	}
	for len(r.failed) > 0 {
		failed = errors.Join(failed, <-r.failed)
	}
	return failed
}
