package consumer_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/parquet-go/parquet-go"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/consumer"
	"github.com/throng-gg/throng/consumer/analytics"
	"github.com/throng-gg/throng/consumer/anticheat"
	"github.com/throng-gg/throng/consumer/economy"
	"github.com/throng-gg/throng/disk"
	"github.com/throng-gg/throng/ledger"
	"github.com/throng-gg/throng/memory"
)

// sums is what consumers made of events, by name; of all shards together.
type sums map[string]int64

// add adds all numbers of a row's JSON.
func (s sums) add(name string, v any) {
	switch v := v.(type) {
	case float64:
		s[name] += int64(v)
	case map[string]any:
		for k, part := range v {
			s.add(name+" "+k, part)
		}
	}
}

// differ are the names of which two do not say the same.
func (s sums) differ(want sums) (out []string) {
	all := maps.Clone(s)
	maps.Copy(all, want)
	for _, name := range slices.Sorted(maps.Keys(all)) {
		if s[name] != want[name] {
			out = append(out, fmt.Sprintf("%s: got %d, want %d", name, s[name], want[name]))
		}
	}
	return out[:min(len(out), 20)]
}

// limits and catalogs are of all places and games.
type worldRules struct{}

func (worldRules) Speed(throng.PlaceID) (float64, bool) { return worldSpeed, true }
func (worldRules) Most(_ throng.GameID, i throng.ItemID) (int64, bool) {
	return worldGold, i == "gold"
}

func (worldRules) Catalog(throng.GameID) (ledger.Catalog, bool) {
	c, err := ledger.ParseCatalog(fmt.Appendf(nil, `
currencies: {gold: {most: %d}}
items: {potion: {most: 99}}
offers: {potion: {price: {gold: 5}, gives: {potion: 1}}}
`, worldGold))
	return c, err == nil
}

// files is where consumers write.
type files interface {
	analytics.Files
	economy.Files
}

// jail keeps bans as files, each once by its name.
type jail struct{ files }

func (j jail) Put(ctx context.Context, b throng.Ban) error {
	return j.files.Put(ctx, fmt.Sprintf("bans/%s/%s", b.Player, b.Rule), []byte(b.ID))
}
func (jail) Evict(context.Context, throng.PlayerID, string) error { return nil }

// groups are all groups of consumers, as a control plane has them.
var groups = map[string][]throng.Stream{
	"analytics": {throng.StreamPlay, throng.StreamPlace, throng.StreamEconomy, throng.StreamPresence},
	"anticheat": {throng.StreamMotion, throng.StreamEconomy},
	"economy":   {throng.StreamEconomy},
}

// kept is where a process keeps what it makes of events.
type kept struct {
	store  consumer.Store
	parker consumer.Parker
	files  files
	now    func() time.Time
}

// consumer makes a group's.
func (k kept) consumer(group string) (*consumer.Consumer, error) {
	return consumer.New(consumer.Config{
		Group: group, Store: k.store, Parker: k.parker, Window: 5000, Now: k.now, Logger: slog.New(slog.DiscardHandler),
		New: func(s consumer.Shard) consumer.Keeper {
			switch group {
			case "analytics":
				return analytics.New(analytics.Config{Shard: s, Files: k.files, Board: memory.NewBoard(), FileEvery: 300 * time.Millisecond, Now: k.now})
			case "anticheat":
				return anticheat.New(anticheat.Config{Limits: worldRules{}, Bans: jail{k.files}, Orders: jail{k.files}})
			}
			return economy.New(economy.Config{Shard: s, Catalogs: worldRules{}, Files: k.files, FileEvery: 300 * time.Millisecond, Now: k.now})
		},
	})
}

// parkedOnce counts the events of each group that were parked.
type parkedOnce struct {
	mu   sync.Mutex
	list map[string]bool
}

func (p *parkedOnce) Park(_ context.Context, group string, e throng.EventRecord, _ string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.list[group+" "+string(e.ID)] = true
	return nil
}

// finish lets every shard do what is due, and adds up what all of them have.
func (k kept) finish(ctx context.Context, dir string, partitions int32) (sums, error) {
	out, now := sums{}, time.Now()
	k.now = func() time.Time { return now }
	for group, streams := range groups {
		c, err := k.consumer(group)
		if err != nil {
			return nil, err
		}
		for _, s := range streams {
			for p := range partitions {
				for range 4 {
					now = now.Add(time.Hour)
					if err := c.Idle(ctx, s, p); err != nil {
						return nil, err
					}
				}
				if _, _, err := k.store.Load(ctx, consumer.Shard{Group: group, Stream: s, Partition: p}, func(r consumer.Row) error { return out.row(group, r) }); err != nil {
					return nil, err
				}
			}
		}
	}
	return out, out.files(dir)
}

// row adds a row, unless it is one that is forgotten at some moment.
func (s sums) row(group string, r consumer.Row) error {
	kind, name, _ := strings.Cut(r.Key, "/")
	switch group + " " + kind {
	case "analytics f", "anticheat todo":
		return fmt.Errorf("%s: %s was not carried out", group, r.Key)
	case "anticheat flag":
		s["flag "+name]++
	case "economy f":
		var f economy.Flag
		if err := json.Unmarshal(r.Value, &f); err != nil {
			return err
		}
		s[name]++
		s["evidence "+name+": "+f.Evidence+f.At.String()]++
	case "analytics t", "analytics c", "economy d":
		var v any
		if err := json.Unmarshal(r.Value, &v); err != nil {
			return err
		}
		s.add(group+" "+r.Key, v)
	}
	return nil
}

// files adds up what files say.
func (s sums) files(dir string) error {
	return fs.WalkDir(os.DirFS(dir), ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || strings.HasSuffix(name, ".tmp") { // of who was killed, and did not come back to it
			return err
		}
		path := filepath.Join(dir, name)
		switch part := strings.Split(name, "/"); part[0] {
		case "bans":
			s["banned "+part[1]+" "+part[2]]++
		case "minutes":
			type line struct {
				Joins  int64 `parquet:"joins"`
				Leaves int64 `parquet:"leaves"`
				Opened int64 `parquet:"sessions_opened"`
				Ended  int64 `parquet:"sessions_ended"`
				StayMS int64 `parquet:"stay_ms"`
			}
			lines, err := parquet.ReadFile[line](path)
			for _, l := range lines {
				for name, n := range map[string]int64{"joins": l.Joins, "leaves": l.Leaves, "opened": l.Opened, "ended": l.Ended, "stay": l.StayMS} {
					s[name] += n
				}
			}
			return err
		case "counts":
			type line struct {
				Kind  string `parquet:"kind"`
				Name  string `parquet:"name"`
				Count int64  `parquet:"count"`
			}
			lines, err := parquet.ReadFile[line](path)
			for _, l := range lines {
				s[map[string]string{"revenue": "revenue", "event": l.Name}[l.Kind]] += l.Count
			}
			return err
		case "economy":
			data, err := os.ReadFile(path)
			var day struct {
				Flows []struct {
					Item string
					Net  int64
				}
			}
			err = errors.Join(err, json.Unmarshal(data, &day))
			for _, f := range day.Flows {
				s[f.Item] += f.Net
			}
			return err
		}
		return nil
	})
}

// clean is what comes out when nothing goes wrong.
func (w *world) clean(t *testing.T) sums {
	t.Helper()
	dir, parked := t.TempDir(), &parkedOnce{list: map[string]bool{}}
	k := kept{store: memory.NewShards(), parker: parked, files: disk.Files{Dir: dir}, now: time.Now}
	for group, streams := range groups {
		c, err := k.consumer(group)
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range streams {
			var batch []throng.EventRecord
			for _, e := range slices.Concat(w.events, w.last) {
				if e.Stream == s {
					batch = append(batch, throng.EventRecord{Event: e, Offset: int64(len(batch))})
				}
			}
			for from := 0; from < len(batch); from += 500 {
				if err := c.Handle(t.Context(), s, 0, batch[from:min(from+500, len(batch))]); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	got, err := k.finish(t.Context(), dir, 1)
	if err != nil {
		t.Fatal(err)
	}
	got.park(parked.list)
	for _, name := range slices.Sorted(maps.Keys(w.want)) {
		if got[name] != w.want[name] {
			t.Errorf("clean run: %s: got %d, it happened %d times", name, got[name], w.want[name])
		}
	}
	for name := range got {
		if w.want[name] == 0 && (strings.HasPrefix(name, "banned ") || strings.HasPrefix(name, "not ") || strings.HasPrefix(name, "differs/") || strings.HasPrefix(name, "impossible/")) {
			t.Errorf("clean run: %s, and it did not happen", name)
		}
	}
	return got
}

// park adds what was parked, by group.
func (s sums) park(list map[string]bool) {
	for name := range list {
		group, _, _ := strings.Cut(name, " ")
		s["parked "+group]++
	}
}
