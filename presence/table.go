package presence

import (
	"bytes"
	"cmp"
	"encoding/json"
	"hash/maphash"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/throng-gg/throng"
)

const (
	// KeepTime is how long what was said of a player is kept, from the later of when
	// it was said and his epoch.
	KeepTime = 24 * time.Hour

	tableShards = 256
	defaultMost = 32 << 20
	mostPlaces  = 1 << 20
)

// Change is what a session says of a player.
type Change struct {
	Player  throng.PlayerID
	Session throng.SessionID
	Place   throng.PlaceID
	Epoch   throng.Epoch
	In      bool      // false: he left
	Said    time.Time // by the clock of who said it
}

// ChangeOf reads a change. Invalid: it is none.
func ChangeOf(e throng.Event) (Change, error) {
	c := Change{Player: e.Player, Session: e.Session, Place: e.Place, Said: e.Time}
	if e.Type != throng.EventPresenceChanged {
		return c, throng.AtField(throng.Invalid, "type", "%s is not %s", e.Type, throng.EventPresenceChanged)
	}
	if _, err := throng.ParsePlayerID("player", string(e.Player)); err != nil {
		return c, err
	}
	if _, err := throng.ParsePlaceID("place", string(e.Place)); err != nil {
		return c, err
	}
	var data throng.PresenceChanged
	if err := json.Unmarshal(e.Data, &data); err != nil {
		return c, throng.AtField(throng.Invalid, "data", "is no change of presence: %w", err)
	}
	c.Epoch, c.In = data.Epoch, data.In
	return c, nil
}

// Verdict is what became of a change.
type Verdict uint8

// The verdicts.
const (
	Applied Verdict = iota // it is the newest of the player
	Known                  // it was known, or older than what was
	Late                   // so old that a newer one may have been forgotten
	Full                   // there is no room for more players
	Strange                // it makes no sense
)

// String returns the word that metrics have.
func (v Verdict) String() string {
	return [...]string{"applied", "known", "late", "full", "strange"}[v]
}

// Table is the newest of what was said of each player. It is safe for concurrent use.
// What it knows follows from what was said, not from the order: the higher
// epoch counts; of one epoch the session whose name comes later; of one
// session, that he left.
type Table struct {
	regions []throng.RegionID // sorted
	most    int64
	seeds   [2]maphash.Seed
	players atomic.Int64
	shards  [tableShards]struct {
		mu sync.Mutex
		of map[name]entry // guarded by mu
	}

	mu      sync.RWMutex
	places  []throng.PlaceID          // guarded by mu; by number, from 1
	numbers map[throng.PlaceID]uint32 // guarded by mu
}

// name stands for a player's: 128 bits of hashes that nobody outside can foresee, so
// that no two players have the same.
type name [2]uint64

// entry has no pointers and takes 32 bytes.
type entry struct {
	epoch   throng.Epoch
	said    uint32 // minutes since throng.EpochStart
	place   uint32 // its number, twice, and 1 for who left
	session throng.Entropy
	shard   uint8
	region  uint8 // in Table.regions
}

// NewTable makes a table of what the regions say, of at most so many players; 0: 32
// million, which is 3 GB. Full, it takes nothing of others.
func NewTable(regions []throng.RegionID, most int) *Table {
	t := &Table{regions: slices.Sorted(slices.Values(regions)), most: int64(cmp.Or(most, defaultMost)), numbers: map[throng.PlaceID]uint32{}}
	t.seeds = [2]maphash.Seed{maphash.MakeSeed(), maphash.MakeSeed()}
	for i := range t.shards {
		t.shards[i].of = map[name]entry{}
	}
	return t
}

func (t *Table) name(p throng.PlayerID) name {
	return name{maphash.String(t.seeds[0], string(p)), maphash.String(t.seeds[1], string(p))}
}

// Apply takes a change in.
func (t *Table) Apply(c Change, now time.Time) Verdict {
	e, ok := t.entry(c, now)
	if !ok {
		return Strange
	}
	n := t.name(c.Player)
	sh := &t.shards[n[0]%tableShards]
	sh.mu.Lock()
	defer sh.mu.Unlock()
	old, known := sh.of[n]
	if known && !old.keeps(now) {
		delete(sh.of, n)
		t.players.Add(-1)
		known = false
	}
	switch {
	case !known && (!e.keeps(now) || c.In && !now.Before(c.Epoch.Time().Add(KeepTime))):
		return Late
	case !known && t.players.Load() >= t.most:
		return Full
	case !known:
		t.players.Add(1)
	default:
		switch order := old.compare(e); {
		case order > 0:
			return Known
		case order == 0:
			old.said = max(old.said, e.said)
			sh.of[n] = old
			return Known
		}
	}
	sh.of[n] = e
	return Applied
}

// entry is what is kept of a change; false: it makes no sense.
func (t *Table) entry(c Change, now time.Time) (entry, bool) {
	region, known := slices.BinarySearch(t.regions, c.Session.Region())
	entropy, made := c.Session.Entropy()
	// An epoch that is a day ahead comes from a broken clock, and would be the
	// player's newest for good.
	if !known || !made || c.Epoch == 0 || c.Epoch > throng.NextEpoch(now.Add(KeepTime), 0, 0) {
		return entry{}, false
	}
	said := c.Said
	if said.After(now) {
		said = now
	}
	e := entry{
		epoch: c.Epoch, said: uint32(max(said.UnixMilli()-throng.EpochStart, 0) / 60_000), place: t.placeNumber(c.Place) << 1,
		session: entropy, shard: c.Session.Shard(), region: uint8(region),
	}
	if !c.In {
		e.place |= 1
	}
	return e, true
}

func (e *entry) left() bool { return e.place&1 == 1 }

// keeps says whether it still counts.
func (e *entry) keeps(now time.Time) bool {
	said := time.UnixMilli(int64(e.said+1)*60_000 + throng.EpochStart)
	return now.Before(said.Add(KeepTime)) || now.Before(e.epoch.Time().Add(KeepTime))
}

// compare orders what is said of a player: the higher counts.
func (e *entry) compare(o entry) int {
	return cmp.Or(cmp.Compare(e.epoch, o.epoch), cmp.Compare(e.region, o.region), cmp.Compare(e.shard, o.shard),
		bytes.Compare(e.session[:], o.session[:]), cmp.Compare(e.place&1, o.place&1))
}

// At returns the newest of a player; PresenceNone: nothing is known.
func (t *Table) At(p throng.PlayerID, now time.Time) throng.Presence {
	n := t.name(p)
	sh := &t.shards[n[0]%tableShards]
	sh.mu.Lock()
	e, known := sh.of[n]
	sh.mu.Unlock()
	at := throng.Presence{Player: p}
	if !known || !e.keeps(now) {
		return at
	}
	at.State, at.Epoch, at.Place = throng.PresencePlaying, e.epoch, t.place(e.place>>1)
	if e.left() {
		at.State = throng.PresenceLeft
	}
	at.Session = throng.MakeSessionID(t.regions[e.region], e.shard, e.session)
	return at
}

// Epoch returns the highest epoch that is known of a player; 0: none is.
func (t *Table) Epoch(p throng.PlayerID, now time.Time) throng.Epoch {
	n := t.name(p)
	sh := &t.shards[n[0]%tableShards]
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if e, known := sh.of[n]; known && e.keeps(now) {
		return e.epoch
	}
	return 0
}

// Players is how many players something is known of.
func (t *Table) Players() int { return int(t.players.Load()) }

// Sweep forgets what is over in one of the 256 shards.
func (t *Table) Sweep(shard uint8, now time.Time) {
	sh := &t.shards[shard]
	sh.mu.Lock()
	defer sh.mu.Unlock()
	for n, e := range sh.of {
		if !e.keeps(now) {
			delete(sh.of, n)
			t.players.Add(-1)
		}
	}
}

// placeNumber is a place's; 0: there are too many to know it.
func (t *Table) placeNumber(p throng.PlaceID) uint32 {
	t.mu.RLock()
	n, known := t.numbers[p]
	t.mu.RUnlock()
	if known {
		return n
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if n, known := t.numbers[p]; known || len(t.places) >= mostPlaces {
		return n
	}
	t.places = append(t.places, p)
	t.numbers[p] = uint32(len(t.places))
	return t.numbers[p]
}

func (t *Table) place(n uint32) throng.PlaceID {
	t.mu.RLock()
	defer t.mu.RUnlock()
	if n == 0 {
		return ""
	}
	return t.places[n-1]
}
