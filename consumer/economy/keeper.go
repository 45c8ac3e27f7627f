package economy

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/consumer"
	"github.com/throng-gg/throng/ledger"
)

// Bounds and times of a shard.
const (
	mostPairs  = 500_000
	mostDays   = 1_000_000 // days times items
	waitTime   = 10 * time.Minute
	keepTime   = time.Hour           // a pair that is whole, in case it is told again
	flagTime   = 90 * 24 * time.Hour // after which flags and days are forgotten
	dayMS      = 24 * 60 * 60 * 1000
	mostShown  = 10_000 // flags of a day in a file
	reportTime = 5 * time.Minute
)

// Config is what a Keeper is made of.
type Config struct {
	Shard    consumer.Shard
	Catalogs Catalogs
	Files    Files
	// FileEvery is how often a day's file is written; default 5 min.
	FileEvery time.Duration
	Now       func() time.Time
	// Flagged hears of each flag; nil: nobody does.
	Flagged func(Flag)
	// Newer hears of a day's file that was not written, because the one that is there
	// is of a later commit: another process has the shard, or had it in another store.
	// Nil: nobody does.
	Newer func(name string)
}

// Flag is something that does not fit.
type Flag struct {
	Kind     string            `json:"kind"` // "differs", "not posted", "not reported" or "impossible"
	Game     throng.GameID     `json:"game"`
	Player   throng.PlayerID   `json:"player"`
	Transfer throng.TransferID `json:"transfer"`
	Evidence string            `json:"evidence"`
	At       time.Time         `json:"at"` // when the transfer was told
}

// Flow is what became of an item in a game on a day.
type Flow struct {
	Sources map[throng.TransferKind]int64 `json:"sources,omitempty"` // what players got from the house
	Sinks   map[throng.TransferKind]int64 `json:"sinks,omitempty"`   // what they paid to it
	Traded  int64                         `json:"traded,omitempty"`  // what went from player to player
}

// pair is a transfer as both tell it.
type pair struct {
	Posted   *told `json:"p,omitempty"`
	Reported *told `json:"r,omitempty"`
}

// Keeper reconciles one shard. It is consumer.Keeper.
type Keeper struct {
	cfg     Config
	pairs   map[string]*pair // by player/transfer
	days    map[string]*Flow // by day/game/item
	flags   map[string]Flag  // by kind/player/transfer
	changed map[string]bool  // rows, by key
	files   map[int32]bool   // days whose file is to be written
	written time.Time
	newest  int64 // ms
	swept   int64
}

// New makes a shard's Keeper.
func New(cfg Config) *Keeper {
	if cfg.FileEvery == 0 {
		cfg.FileEvery = reportTime
	}
	return &Keeper{
		cfg: cfg, pairs: map[string]*pair{}, days: map[string]*Flow{}, flags: map[string]Flag{}, changed: map[string]bool{}, files: map[int32]bool{},
	}
}

var _ consumer.Keeper = (*Keeper)(nil)

// Apply takes what one side tells; see consumer.Keeper.
func (k *Keeper) Apply(e *throng.EventRecord) error {
	at := e.Time.UnixMilli()
	switch e.Type { //nolint:exhaustive // the others move nothing
	case throng.EventLedgerPosted:
		var d throng.LedgerPosted
		if err := k.read(e, &d); err != nil {
			return err
		}
		if err := k.named(d.Game, d.First, d.ID); err != nil {
			return err
		}
		k.flow(&d, at)
		t := postedAs(&d, at, e.Session != "")
		key := string(d.First) + "/" + string(d.ID)
		k.pair(key).Posted = &t
		var catalog *ledger.Catalog
		if c, known := k.cfg.Catalogs.Catalog(d.Game); known {
			catalog = &c
		}
		if evidence := impossible(&d, catalog); evidence != "" {
			k.flag("impossible", d.Game, key, at, evidence)
		}
		k.compare(key)
	case throng.EventLedgerReported:
		var d throng.LedgerReported
		if err := k.read(e, &d); err != nil {
			return err
		}
		if err := k.named(d.Game, d.First, d.ID); err != nil {
			return err
		}
		t, key := reportedAs(&d, at), string(d.First)+"/"+string(d.ID)
		k.pair(key).Reported = &t
		k.compare(key)
	default:
		return nil
	}
	k.newest = max(k.newest, at)
	return nil
}

func (k *Keeper) read(e *throng.EventRecord, v any) error {
	if err := json.Unmarshal(e.Data, v); err != nil {
		return throng.AtField(throng.Invalid, "data", "cannot be read: %w", err)
	}
	if len(k.pairs) >= mostPairs {
		return throng.Errorf(throng.Full, "%d transfers wait to be told by both sides, which is the most", mostPairs)
	}
	return nil
}

func (k *Keeper) named(g throng.GameID, p throng.PlayerID, t throng.TransferID) error {
	if _, err := throng.ParseGameID("data.game", string(g)); err != nil {
		return err
	}
	if _, err := throng.ParsePlayerID("data.first", string(p)); err != nil {
		return err
	}
	_, err := throng.ParseTransferID("data.id", string(t))
	return err
}

func (k *Keeper) pair(key string) *pair {
	p := k.pairs[key]
	if p == nil {
		p = &pair{}
		k.pairs[key] = p
	}
	k.changed["p/"+key] = true
	return p
}

// compare looks at a transfer that something more was told of.
func (k *Keeper) compare(key string) {
	p := k.pairs[key]
	if p.Posted == nil || p.Reported == nil {
		return
	}
	k.unflag("not posted", key)
	k.unflag("not reported", key)
	if d := same(*p.Posted, *p.Reported); d != "" {
		k.flag("differs", p.Posted.Game, key, p.Posted.At, d)
	} else {
		k.unflag("differs", key)
	}
}

// flow counts what a transfer moved between players and the house, and among players.
func (k *Keeper) flow(d *throng.LedgerPosted, at int64) {
	day := int32(at / dayMS)
	for _, l := range d.Lines {
		if strings.HasPrefix(l.Account, "@") || l.Change == 0 {
			continue
		}
		key := "d/" + strconv.Itoa(int(day)) + "/" + string(d.Game) + "/" + kind(l.Item)
		f := k.days[key]
		if f == nil {
			if len(k.days) >= mostDays {
				continue
			}
			f = &Flow{Sources: map[throng.TransferKind]int64{}, Sinks: map[throng.TransferKind]int64{}}
			k.days[key] = f
		}
		k.changed[key] = true
		k.files[day] = true
		switch {
		case d.Kind == throng.TransferTrade:
			f.Traded += max(l.Change, 0)
		case l.Change > 0:
			f.Sources[d.Kind] += l.Change
		default:
			f.Sinks[d.Kind] -= l.Change
		}
	}
}

func (k *Keeper) flag(what string, g throng.GameID, key string, at int64, evidence string) {
	player, id, _ := strings.Cut(key, "/")
	f := Flag{Kind: what, Game: g, Player: throng.PlayerID(player), Transfer: throng.TransferID(id), Evidence: evidence, At: time.UnixMilli(at).UTC()}
	name := "f/" + what + "/" + key
	if k.flags[name] == f {
		return
	}
	k.flags[name] = f
	k.changed[name] = true
	k.files[int32(at/dayMS)] = true
	if k.cfg.Flagged != nil {
		k.cfg.Flagged(f)
	}
}

func (k *Keeper) unflag(what, key string) {
	name := "f/" + what + "/" + key
	if f, ok := k.flags[name]; ok {
		delete(k.flags, name)
		k.changed[name] = true
		k.files[int32(f.At.UnixMilli()/dayMS)] = true
	}
}

// alone says when a pair was told of last, and what is missing of it; empty: nothing.
func (p *pair) alone() (at int64, what string) {
	switch {
	case p.Posted == nil:
		return p.Reported.At, "not posted"
	case p.Reported != nil:
		return max(p.Posted.At, p.Reported.At), ""
	case p.Posted.Server:
		return p.Posted.At, "not reported"
	}
	return p.Posted.At, ""
}

// sweep flags what only one side told for a while, and forgets what is settled, once
// a minute of the events' time.
func (k *Keeper) sweep() {
	if k.newest < k.swept+60_000 {
		return
	}
	k.swept = k.newest
	for key, p := range k.pairs {
		at, alone := p.alone()
		if alone != "" && k.newest-at > waitTime.Milliseconds() {
			t := p.Posted
			if t == nil {
				t = p.Reported
			}
			k.flag(alone, t.Game, key, at, fmt.Sprintf("%s: nothing more was told of it for %s", alone, waitTime))
		}
		if alone == "" && k.newest-at > keepTime.Milliseconds() || k.newest-at > flagTime.Milliseconds()/9 {
			delete(k.pairs, key)
			k.changed["p/"+key] = true
		}
	}
	k.forget()
}

// forget drops flags and days that are too old.
func (k *Keeper) forget() {
	for name, f := range k.flags {
		if k.newest-f.At.UnixMilli() > flagTime.Milliseconds() {
			delete(k.flags, name)
			k.changed[name] = true
		}
	}
	for key := range k.days {
		day, _ := strconv.Atoi(strings.Split(key, "/")[1])
		if k.newest-int64(day)*dayMS > flagTime.Milliseconds() {
			delete(k.days, key)
			k.changed[key] = true
		}
	}
}

// Restore takes a row: of a pair, a day or a flag; see consumer.Keeper.
func (k *Keeper) Restore(r consumer.Row) error {
	kind, rest, _ := strings.Cut(r.Key, "/")
	var err error
	switch kind {
	case "p":
		p := &pair{}
		err = json.Unmarshal(r.Value, p)
		k.pairs[rest] = p
		for _, t := range []*told{p.Posted, p.Reported} {
			if t != nil {
				k.newest = max(k.newest, t.At)
			}
		}
	case "d":
		f := &Flow{}
		if err = json.Unmarshal(r.Value, f); err == nil {
			for _, m := range []*map[throng.TransferKind]int64{&f.Sources, &f.Sinks} {
				if *m == nil {
					*m = map[throng.TransferKind]int64{}
				}
			}
		}
		k.days[r.Key] = f
		day, _ := strconv.Atoi(strings.Split(rest, "/")[0])
		k.files[int32(day)] = true // it is not known whether the file has it
	case "f":
		var f Flag
		err = json.Unmarshal(r.Value, &f)
		k.flags[r.Key] = f
		k.files[int32(f.At.UnixMilli()/dayMS)] = true
	default:
		err = throng.Errorf(throng.Internal, "it is of no kind")
	}
	if err != nil {
		return throng.Errorf(throng.Internal, "the stored row %.60q cannot be read: %w", r.Key, err)
	}
	return nil
}

// Changes returns the rows that changed; see consumer.Keeper.
func (k *Keeper) Changes(time.Time) []consumer.Row {
	k.sweep()
	rows := make([]consumer.Row, 0, len(k.changed))
	for key := range k.changed {
		var v any
		switch kind, rest, _ := strings.Cut(key, "/"); kind {
		case "p":
			if p := k.pairs[rest]; p != nil {
				v = p
			}
		case "d":
			if f := k.days[key]; f != nil {
				v = f
			}
		default:
			if f, ok := k.flags[key]; ok {
				v = f
			}
		}
		row := consumer.Row{Key: key}
		if v != nil {
			data, err := json.Marshal(v)
			if err != nil {
				panic(err) // strings and numbers
			}
			row.Value = data
		}
		rows = append(rows, row)
	}
	clear(k.changed)
	return rows
}

// dayFile is what is found of a shard's day.
type dayFile struct {
	Day    string         `json:"day"`
	Number uint64         `json:"number"` // of the shard's commit: what it says is older than what a higher one does
	Flows  []dayFlow      `json:"flows"`
	Flags  []Flag         `json:"flags"`
	More   int            `json:"more,omitempty"`  // flags that are not listed
	Kinds  map[string]int `json:"kinds,omitempty"` // of flags, how many
}

type dayFlow struct {
	Game throng.GameID `json:"game"`
	Item string        `json:"item"`
	Flow
	// Net is by how much what players have has grown that day; the sum of all days
	// is what they have, as long as none is forgotten.
	Net int64 `json:"net"`
}

// Act writes the files of days that changed; see consumer.Keeper.
func (k *Keeper) Act(ctx context.Context, commit uint64) error {
	now := k.cfg.Now()
	if len(k.files) == 0 || now.Sub(k.written) < k.cfg.FileEvery && now.After(k.written) {
		return nil
	}
	for _, day := range slices.Sorted(maps.Keys(k.files)) {
		file := k.file(day)
		file.Number = commit
		data, err := json.Marshal(file)
		if err != nil {
			return err
		}
		name := fmt.Sprintf("economy/day=%s/%s-%s-%d.json", dayText(day), k.cfg.Shard.Group, k.cfg.Shard.Stream, k.cfg.Shard.Partition)
		newer := false
		err = k.cfg.Files.Update(ctx, name, func(old []byte) []byte {
			var there struct {
				Number uint64 `json:"number"`
			}
			if newer = json.Unmarshal(old, &there) == nil && there.Number > commit; newer {
				return nil
			}
			return data
		})
		if err != nil {
			return err
		}
		if newer && k.cfg.Newer != nil {
			k.cfg.Newer(name)
		}
		delete(k.files, day)
	}
	k.written = now
	return nil
}

func dayText(day int32) string { return time.UnixMilli(int64(day) * dayMS).UTC().Format(time.DateOnly) }

func (k *Keeper) file(day int32) dayFile {
	out := dayFile{Day: dayText(day), Flows: []dayFlow{}, Flags: []Flag{}, Kinds: map[string]int{}}
	for _, key := range slices.Sorted(maps.Keys(k.days)) {
		part := strings.Split(key, "/")
		if part[1] != strconv.Itoa(int(day)) {
			continue
		}
		f := dayFlow{Game: throng.GameID(part[2]), Item: part[3], Flow: *k.days[key]}
		for _, n := range f.Sources {
			f.Net += n
		}
		for _, n := range f.Sinks {
			f.Net -= n
		}
		out.Flows = append(out.Flows, f)
	}
	for _, name := range slices.Sorted(maps.Keys(k.flags)) {
		f := k.flags[name]
		if int32(f.At.UnixMilli()/dayMS) != day {
			continue
		}
		out.Kinds[f.Kind]++
		if len(out.Flags) < mostShown {
			out.Flags = append(out.Flags, f)
		} else {
			out.More++
		}
	}
	return out
}
