package analytics

import (
	"strconv"
	"strings"
	"time"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/consumer"
)

// Bounds of a shard.
const (
	mostPlaces   = 100_000
	mostSessions = 200_000
	mostVisitors = 4_000_000
	liveMinutes  = 180               // that are kept for the live numbers
	settleTime   = time.Hour         // how long a session that ended may still be corrected
	mostKey      = 256               // bytes of an event's names
	earliest     = 1_577_836_800_000 // ms: 2020
	aheadMost    = 5 * time.Minute   // of the newest event before it, or of the clock
)

// Config is what a Keeper is made of.
type Config struct {
	Shard consumer.Shard
	Files Files
	Board Board
	// FileEvery is how often what was counted goes into files; default 5 min.
	FileEvery time.Duration
	// PostEvery is how often a place's live numbers are posted; default 1 s.
	PostEvery time.Duration
	Now       func() time.Time
}

// Keeper counts the events of one shard. It is consumer.Keeper.
type Keeper struct {
	cfg  Config
	name string // of the shard, in names of files

	places   map[string]*place
	sessions map[string]*session
	visitors map[visitor][]int32 // days on which he was there
	visits   map[visitor]bool    // that changed
	newest   int64               // ms, of all events
	swept    int64               // ms: newest at the last sweep
	dropped  map[string]bool     // rows that go

	frozen  map[uint64]*frozen
	number  uint64    // of the last frozen
	pending bool      // something is in no file yet
	since   time.Time // when it became so; zero: since before this process
}

// place is what is counted of one.
type place struct {
	total   counts
	minutes map[int64]*minute
	cohorts map[int32]*cohort
	changed bool      // total is to be stored
	posted  time.Time // zero: not by this process
	fresh   bool      // there is something to post
}

// minute is what happened in one.
type minute struct {
	Total   counts `json:"t"`
	Pending counts `json:"p"` // in no file yet
	changed bool
}

// session is its life and its seats, by player and epoch.
type session struct {
	life    sessionLife
	seats   map[string]*seat
	changed map[string]bool // seats; "": its life
}

// New makes a shard's Keeper.
func New(cfg Config) *Keeper {
	if cfg.FileEvery == 0 {
		cfg.FileEvery = 5 * time.Minute
	}
	if cfg.PostEvery == 0 {
		cfg.PostEvery = time.Second
	}
	return &Keeper{
		cfg: cfg, name: cfg.Shard.Group + "-" + string(cfg.Shard.Stream) + "-" + strconv.Itoa(int(cfg.Shard.Partition)),
		places: map[string]*place{}, sessions: map[string]*session{}, visitors: map[visitor][]int32{}, visits: map[visitor]bool{},
		dropped: map[string]bool{}, frozen: map[uint64]*frozen{},
	}
}

var _ consumer.Keeper = (*Keeper)(nil)

// Apply counts an event; see consumer.Keeper.
func (k *Keeper) Apply(e *throng.EventRecord) error {
	at := e.Time.UnixMilli()
	if ahead := e.Time.Sub(k.cfg.Now()); at < earliest || ahead > aheadMost {
		return throng.AtField(throng.Invalid, "time", "%s cannot be, by the clock here it is %s", e.Time.UTC().Format(time.RFC3339), k.cfg.Now().UTC().Format(time.RFC3339))
	}
	if e.Place == "" && e.Type != throng.EventLedgerPosted {
		return nil // nothing of a place
	}
	if strings.Contains(string(e.Place)+string(e.Session)+string(e.Player), "/") || len(e.Place)+len(e.Session)+len(e.Player) > mostKey {
		return throng.Errorf(throng.Invalid, "the place %.50q, session %.70q or player %.70q is no name", e.Place, e.Session, e.Player)
	}
	if k.places[string(e.Place)] == nil && len(k.places) >= mostPlaces {
		return throng.Errorf(throng.Full, "the numbers of %d places are kept, which is the most", mostPlaces)
	}
	err := k.count(e, at)
	if err == nil {
		k.newest = max(k.newest, at)
	}
	return err
}

func (k *Keeper) count(e *throng.EventRecord, at int64) error {
	switch e.Type { //nolint:exhaustive // creators' own are told by their stream
	case throng.EventPlayerJoined, throng.EventPlayerLeft, throng.EventSessionOpened, throng.EventSessionEnded:
		return k.stay(e, at)
	case throng.EventMatchPlaced:
		var d throng.MatchPlaced
		if err := dataOf(e, &d); err != nil {
			return err
		}
		k.add(string(e.Place), at, &counts{Matches: 1, WaitMS: max(d.WaitMS, 0)}, 1)
	case throng.EventLedgerPosted:
		return k.revenue(e, at)
	case throng.EventPresenceChanged:
		return k.visit(e, at)
	default:
		if e.Stream == throng.StreamPlace {
			k.add(string(e.Place), at, &counts{Events: map[string]int64{k.knownName(e): 1}}, 1)
		}
	}
	return nil
}

// knownName is the event's type, or otherName when the place has too many.
func (k *Keeper) knownName(e *throng.EventRecord) string {
	p := k.place(string(e.Place))
	if _, known := p.total.Events[string(e.Type)]; !known && len(p.total.Events) >= mostNames {
		return otherName
	}
	return string(e.Type)
}

// revenue counts what players paid for purchases.
func (k *Keeper) revenue(e *throng.EventRecord, at int64) error {
	var d throng.LedgerPosted
	if err := dataOf(e, &d); err != nil {
		return err
	}
	place := e.Place
	if place == "" {
		place = throng.PlaceID(d.Game)
	}
	paid := map[string]int64{}
	for _, l := range d.Lines {
		house := strings.HasPrefix(l.Account, "@")
		switch {
		case d.Kind == throng.TransferPurchase && !house && l.Change < 0:
			paid[string(l.Item)] -= l.Change
		case d.Kind == throng.TransferRefund && !house && l.Change > 0:
			paid[string(l.Item)] -= l.Change
		}
	}
	if len(paid) > 0 {
		k.add(string(place), at, &counts{Revenue: paid}, 1)
	}
	return nil
}

// stay takes what is heard of sessions and seats.
func (k *Keeper) stay(e *throng.EventRecord, at int64) error {
	if e.Session == "" {
		return throng.AtField(throng.Invalid, "session", "is missing")
	}
	var d throng.PlayerLeft
	ofPlayer := strings.HasPrefix(string(e.Type), "player.")
	if ofPlayer {
		if err := dataOf(e, &d); err != nil {
			return err
		}
		if e.Player == "" || d.Epoch == 0 {
			return throng.AtField(throng.Invalid, "player", "or data.epoch is missing")
		}
	}
	s := k.sessions[string(e.Session)]
	if s == nil {
		if len(k.sessions) >= mostSessions {
			return throng.Errorf(throng.Full, "%d sessions are counted, which is the most", mostSessions)
		}
		s = &session{life: sessionLife{Place: string(e.Place)}, seats: map[string]*seat{}, changed: map[string]bool{"": true}}
		k.sessions[string(e.Session)] = s
	}
	if !ofPlayer {
		k.live(s, e, at)
		return nil
	}
	key := string(e.Player) + "/" + strconv.FormatUint(uint64(d.Epoch), 10)
	t := s.seats[key]
	if t == nil {
		t = &seat{TripUS: -1}
		s.seats[key] = t
	}
	k.parts(s, t, -1)
	if e.Type == throng.EventPlayerJoined {
		t.Joined = first(t.Joined, at)
	} else {
		t.Left = first(t.Left, at)
		if us, ok := micros(d.RoundTripMS); ok && us > 0 {
			t.TripUS = max(t.TripUS, us)
		}
	}
	k.parts(s, t, 1)
	s.changed[key] = true
	return nil
}

func (k *Keeper) parts(s *session, t *seat, sign int64) {
	t.part(s.life.Ended, func(ms int64, c *counts) { k.add(s.life.Place, ms, c, sign) })
}

// live takes a session's begin or end, which also ends its seats.
func (k *Keeper) live(s *session, e *throng.EventRecord, at int64) {
	all := func(sign int64) {
		s.life.part(func(ms int64, c *counts) { k.add(s.life.Place, ms, c, sign) })
		for _, t := range s.seats {
			k.parts(s, t, sign)
		}
	}
	all(-1)
	if e.Type == throng.EventSessionOpened {
		s.life.Opened = first(s.life.Opened, at)
	} else {
		s.life.Ended = first(s.life.Ended, at)
	}
	all(1)
	s.changed[""] = true
}

func (k *Keeper) place(id string) *place {
	p := k.places[id]
	if p == nil {
		p = &place{minutes: map[int64]*minute{}, cohorts: map[int32]*cohort{}}
		k.places[id] = p
	}
	return p
}

// add adds to a place and a minute.
func (k *Keeper) add(id string, ms int64, c *counts, sign int64) {
	p := k.place(id)
	p.total.add(c, sign)
	p.changed, p.fresh = true, true
	at := ms / 60_000
	m := p.minutes[at]
	if m == nil {
		m = &minute{}
		p.minutes[at] = m
	}
	m.Total.add(c, sign)
	m.Pending.add(c, sign)
	m.changed = true
	k.pending = true
}
