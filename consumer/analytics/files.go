package analytics

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/parquet-go/parquet-go"
)

// frozen is what goes into files under one number.
type frozen struct {
	Number  uint64         `json:"n"`
	Minutes []frozenMinute `json:"m"` // by place and minute
}

type frozenMinute struct {
	Place  string `json:"p"`
	Minute int64  `json:"a"`
	Counts counts `json:"c"`
}

// freeze takes what is in no file yet, when it is time; nil: it is not.
func (k *Keeper) freeze(now time.Time) *frozen {
	switch {
	case !k.pending:
		return nil
	case k.since.IsZero():
		k.since = now
		return nil
	case now.Sub(k.since) < k.cfg.FileEvery:
		return nil
	}
	k.number++
	f := &frozen{Number: k.number}
	for id, p := range k.places {
		for at, m := range p.minutes {
			if m.Pending.zero() {
				continue
			}
			f.Minutes = append(f.Minutes, frozenMinute{id, at, m.Pending.clone()})
			m.Pending = counts{}
			m.changed = true
		}
	}
	slices.SortFunc(f.Minutes, func(a, b frozenMinute) int {
		return cmp.Or(cmp.Compare(a.Place, b.Place), cmp.Compare(a.Minute, b.Minute))
	})
	k.pending, k.since = false, time.Time{}
	if len(f.Minutes) == 0 { // what was added was taken back
		return nil
	}
	k.frozen[f.Number] = f
	return f
}

// Act writes what is frozen into files and posts live numbers; see consumer.Keeper.
func (k *Keeper) Act(ctx context.Context, _ uint64) error {
	for _, n := range slices.Sorted(maps.Keys(k.frozen)) {
		if err := k.write(ctx, k.frozen[n]); err != nil {
			return err
		}
		delete(k.frozen, n)
		k.dropped[fmt.Sprintf("f/%016x", n)] = true
	}
	return k.post(ctx)
}

// minuteLine and countLine are the lines of the files. They add up: what a line
// says was added to the minute.
type (
	minuteLine struct {
		Place      string    `parquet:"place,dict"`
		Minute     time.Time `parquet:"minute,timestamp(millisecond)"`
		Joins      int64     `parquet:"joins"`
		Leaves     int64     `parquet:"leaves"`
		Opened     int64     `parquet:"sessions_opened"`
		Ended      int64     `parquet:"sessions_ended"`
		StayMS     int64     `parquet:"stay_ms"`
		Matches    int64     `parquet:"matches"`
		WaitMS     int64     `parquet:"wait_ms"`
		RoundTrips int64     `parquet:"round_trips"`
		TripUS     int64     `parquet:"round_trip_us"`
	}
	countLine struct {
		Place  string    `parquet:"place,dict"`
		Minute time.Time `parquet:"minute,timestamp(millisecond)"`
		Kind   string    `parquet:"kind,dict"` // "event" of a creator's type, "revenue" in an item
		Name   string    `parquet:"name,dict"`
		Count  int64     `parquet:"count"`
	}
)

// write writes one frozen row: a file of each table for each day and place.
func (k *Keeper) write(ctx context.Context, f *frozen) error {
	type part struct {
		minutes []minuteLine
		counts  []countLine
	}
	parts := map[string]*part{}
	for i := range f.Minutes {
		m := &f.Minutes[i]
		folder := fmt.Sprintf("day=%s/place=%s", dayText(int32(m.Minute*60_000/dayMS)), m.Place)
		p := parts[folder]
		if p == nil {
			p = &part{}
			parts[folder] = p
		}
		at := time.UnixMilli(m.Minute * 60_000).UTC()
		c := &m.Counts
		p.minutes = append(p.minutes, minuteLine{
			m.Place, at, c.Joins, c.Leaves, c.Opened, c.Ended, c.StayMS, c.Matches, c.WaitMS, c.Trips, c.TripUS,
		})
		for _, name := range slices.Sorted(maps.Keys(c.Events)) {
			p.counts = append(p.counts, countLine{m.Place, at, "event", name, c.Events[name]})
		}
		for _, name := range slices.Sorted(maps.Keys(c.Revenue)) {
			p.counts = append(p.counts, countLine{m.Place, at, "revenue", name, c.Revenue[name]})
		}
	}
	for _, folder := range slices.Sorted(maps.Keys(parts)) {
		name := fmt.Sprintf("%s/%s-%012d.parquet", folder, k.name, f.Number)
		if err := putLines(ctx, k.cfg.Files, "minutes/"+name, parts[folder].minutes); err != nil {
			return err
		}
		if err := putLines(ctx, k.cfg.Files, "counts/"+name, parts[folder].counts); err != nil {
			return err
		}
	}
	return nil
}

func putLines[T any](ctx context.Context, to Files, name string, lines []T) error {
	if len(lines) == 0 {
		return nil
	}
	var file bytes.Buffer
	w := parquet.NewGenericWriter[T](&file, parquet.Compression(&parquet.Zstd))
	if _, err := w.Write(lines); err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	if err := w.Close(); err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	if err := to.Put(ctx, name, file.Bytes()); err != nil {
		return fmt.Errorf("keep %s: %w", name, err)
	}
	return nil
}
