package main

import (
	"bytes"
	"context"
	"encoding/csv"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/rueidis"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/redis"
	"github.com/throng-gg/throng/session"
)

const (
	holdPrefix   = "throng-bench:" // of the keys that holds are measured on, which are deleted after it
	holdSessions = 512
	holdCallers  = 8
	holdPipeline = 16
)

// holdBench measures holds on a Redis, without a region: the same hold again and
// again, so that sessions do not fill up and another client can send it.
type holdBench struct {
	url      string
	store    *redis.Store
	sessions []throng.SessionID
	request  session.HoldRequest // of the first session
	words    []string            // that the store sends for it
}

// holdTurns is how often holds and their limit are measured, by turns: a machine is not as
// fast all the time.
const holdTurns = 5

// holdRates is what measureHolds found, medians of the turns.
type holdRates struct {
	perS    float64 // through the store's client
	limit   float64 // redis-benchmark with the same script and as many under way; 0: not measured
	ofLimit float64 // the median of each turn's share
	why     string  // it was not
}

// measureHolds measures n holds.
func measureHolds(ctx context.Context, redisURL string, n int) (holdRates, error) {
	var rates holdRates
	st, err := redis.New(redis.Config{URL: redisURL, Region: "local", Prefix: holdPrefix, Quarantine: time.Millisecond})
	if err != nil {
		return rates, throng.AtField(throng.Invalid, "--redis", "%w", err)
	}
	defer st.Close()
	b := &holdBench{url: redisURL, store: st}
	ctx, stop := context.WithCancel(ctx)
	var stamping sync.WaitGroup
	defer stamping.Wait()
	defer stop()
	if err := b.prepare(ctx); err != nil {
		return rates, err
	}
	stamping.Go(func() { b.keepStamped(ctx) })
	if err := b.calls(ctx, n/10); err != nil { // to warm up
		return rates, err
	}
	var perS, limits, shares []float64
	for range holdTurns {
		begun := time.Now()
		if err := b.calls(ctx, n/holdTurns); err != nil {
			return rates, err
		}
		ours := float64(n/holdTurns) / time.Since(begun).Seconds()
		limit, why, err := b.limit(ctx, n/holdTurns)
		if err != nil {
			return rates, err
		}
		perS, rates.why = append(perS, ours), why
		if why == "" {
			limits, shares = append(limits, limit), append(shares, ours/limit)
		}
	}
	rates.perS = middle(perS)
	if rates.why == "" {
		rates.limit, rates.ofLimit = middle(limits), middle(shares)
	}
	return rates, nil
}

// stamp lets holds be granted.
func (b *holdBench) stamp(ctx context.Context) error {
	return parallel(throng.Shards, func(i int) error {
		_, err := b.store.Stamp(ctx, uint8(i), 0)
		return err
	})
}

func (b *holdBench) keepStamped(ctx context.Context) {
	for {
		_ = pauseFor(ctx, session.TickTime/2)
		if ctx.Err() != nil {
			return
		}
		_ = b.stamp(ctx) // the holds say what is wrong
	}
}

// parallel makes n calls, as many at once as holds are.
func parallel(n int, call func(i int) error) error {
	var (
		group  sync.WaitGroup
		next   atomic.Int64
		failed atomic.Pointer[error]
	)
	for range holdCallers * holdPipeline {
		group.Go(func() {
			for i := int(next.Add(1)) - 1; i < n && failed.Load() == nil; i = int(next.Add(1)) - 1 {
				if err := call(i); err != nil {
					failed.CompareAndSwap(nil, &err)
				}
			}
		})
	}
	group.Wait()
	if err := failed.Load(); err != nil {
		return *err
	}
	return nil
}

// prepare reports sessions and finds a hold that can stand in a command line.
func (b *holdBench) prepare(ctx context.Context) error {
	if err := b.stamp(ctx); err != nil {
		return fmt.Errorf("prepare Redis: %w", err)
	}
	ready, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	err := waitFor(ready, func() bool {
		_, err := b.store.Now(ready)
		return err == nil
	})
	if err != nil {
		return fmt.Errorf("prepare Redis: %w", err)
	}
	for i := range holdSessions {
		e := throng.Entropy{byte(i%255 + 1), byte(i/255 + 1), 7, 7, 7, 7, 7, 7, 7, 7}
		b.sessions = append(b.sessions, throng.MakeSessionID("local", uint8(i%255)+1, e))
	}
	err = parallel(holdSessions, func(i int) error {
		_, _, err := b.store.Report(ctx, throng.Report{
			Heartbeat: throng.Heartbeat{
				Session: b.sessions[i], Server: throng.MakeServerID("local", throng.Entropy{1, byte(i), byte(i >> 8)}),
				Incarnation: throng.MakeIncarnation(throng.Entropy{2}), Address: netip.MustParseAddrPort("192.0.2.7:7777"), Revision: 1,
			},
			Place: benchPlace, Version: 1, Capacity: 50, State: throng.SessionOpen, OpenedAt: time.Now(),
		})
		return err
	})
	if err != nil {
		return fmt.Errorf("prepare Redis: %w", err)
	}
	const player throng.PlayerID = "bench-player"
	b.request = session.HoldRequest{
		Session: b.sessions[0], Members: []throng.Member{{Player: player, Epoch: 0x01010101010101}}, Key: throng.TicketKey{Caller: player},
	}
	for i := 0; b.words == nil || slices.ContainsFunc(b.words, func(w string) bool { return strings.Contains(w, "\x00") }); i++ {
		b.request.Key.Ticket = throng.TicketID("t" + strconv.Itoa(i))
		if b.words, err = b.store.HoldCommand(ctx, b.request); err != nil {
			return fmt.Errorf("prepare Redis: %w", err)
		}
	}
	return nil
}

// calls holds n times, in all sessions by turns.
func (b *holdBench) calls(ctx context.Context, n int) error {
	return parallel(n, func(i int) error {
		r := b.request
		r.Session = b.sessions[i%len(b.sessions)]
		_, _, err := b.store.Hold(ctx, r)
		return err
	})
}

// limit lets redis-benchmark send the command.
func (b *holdBench) limit(ctx context.Context, n int) (perS float64, why string, err error) {
	u, err := url.Parse(b.url)
	if err != nil || u.User != nil || u.Scheme != "redis" && u.Scheme != "valkey" || strings.Contains(u.Host, ",") {
		return 0, "redis-benchmark is used for one Redis without TLS and password only", nil
	}
	tool, err := exec.LookPath("redis-benchmark")
	if err != nil {
		return 0, "there is no redis-benchmark", nil //nolint:nilerr // why says it
	}
	host, port, err := net.SplitHostPort(u.Host)
	if err != nil {
		host, port = u.Host, "6379"
	}
	args := []string{
		"-h", host, "-p", port, "-c", strconv.Itoa(holdCallers), "-P", strconv.Itoa(holdPipeline), "-n", strconv.Itoa(n), "--csv",
	}
	if db := strings.Trim(u.Path, "/"); db != "" {
		args = append(args, "--dbnum", db)
	}
	out, err := exec.CommandContext(ctx, tool, append(args, b.words...)...).Output() //nolint:gosec // the words are ours
	if err != nil {
		return 0, "", fmt.Errorf("redis-benchmark: %w", err)
	}
	lines := bytes.Split(bytes.TrimSpace(out), []byte("\n"))
	record, err := csv.NewReader(bytes.NewReader(lines[len(lines)-1])).Read()
	if err == nil && len(record) > 1 {
		perS, err = strconv.ParseFloat(record[1], 64)
	}
	if err != nil || perS <= 0 {
		return 0, "", throng.Errorf(throng.Internal, "redis-benchmark said no rate: %q", lines[len(lines)-1])
	}
	return perS, "", nil
}

// forgetHolds deletes what holds were measured on.
func forgetHolds(ctx context.Context, c rueidis.Client) error {
	for _, node := range c.Nodes() {
		scan := rueidis.NewScanner(func(cursor uint64) (rueidis.ScanEntry, error) {
			return node.Do(ctx, node.B().Scan().Cursor(cursor).Match(holdPrefix+"*").Count(1000).Build()).AsScanEntry()
		})
		for key := range scan.Iter() {
			err := node.Do(ctx, node.B().Unlink().Key(key).Build()).Error()
			if err != nil && !strings.Contains(err.Error(), "READONLY") {
				return fmt.Errorf("tidy up Redis: %w", err)
			}
		}
		if err := scan.Err(); err != nil {
			return fmt.Errorf("tidy up Redis: %w", err)
		}
	}
	return nil
}
