package consumer_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/throng-gg/throng"
)

// world is what happened in a region, and what of it has to be found.
type world struct {
	rng    *rand.Rand
	events []throng.Event // in the order in which they happened, stream by stream
	last   []throng.Event // long after all others
	begun  time.Time
	want   sums
}

const (
	worldPlayers = 40
	worldSpeed   = 9 // units a second
	worldGold    = 1_000_000
)

// makeWorld plays about n events.
func makeWorld(n int, seed uint64) *world {
	w := &world{
		rng: rand.New(rand.NewPCG(seed, 5)), begun: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC), want: sums{}, //nolint:gosec // it is played again from its seed
	}
	w.sessions(n * 3 / 10)
	w.transfers(n * 3 / 10)
	w.motion(n * 4 / 10 / worldPlayers)
	return w
}

// made appends an event; data that is no JSON of its type makes it one that is to be
// parked.
func (w *world) made(e throng.Event, data any) {
	e, err := throng.MakeEvent(e, data)
	if err != nil {
		panic(err) // structs of numbers and strings
	}
	e.ID = throng.EventID(fmt.Sprintf("%s-%d", e.Stream, len(w.events)))
	w.events = append(w.events, e)
}

// stay is a player in a session.
type stay struct {
	player throng.PlayerID
	epoch  throng.Epoch
}

// sessions plays sessions of a few places: about a step of 4 s an event.
func (w *world) sessions(n int) {
	type life struct {
		id    throng.SessionID
		place throng.PlaceID
		stays []stay
	}
	var lives []*life
	epoch := throng.Epoch(0)
	for end, i := len(w.events)+n, 0; len(w.events) < end; i++ {
		now := w.begun.Add(time.Duration(i) * 4 * time.Second)
		tell := func(l *life, t throng.EventType, p throng.PlayerID, data any) {
			w.made(throng.Event{Type: t, Stream: throng.StreamPlay, Key: string(l.id), Place: l.place, Session: l.id, Player: p, Time: now}, data)
		}
		if len(lives) < 12 {
			l := &life{id: throng.SessionID(fmt.Sprint("ses_", i)), place: throng.PlaceID(fmt.Sprint("place-", i%4))}
			lives = append(lives, l)
			w.want["opened"]++
			tell(l, throng.EventSessionOpened, "", throng.SessionBegan{Version: 1})
			continue
		}
		at := w.rng.IntN(len(lives))
		l := lives[at]
		switch d := w.rng.IntN(100); {
		case d < 40:
			epoch++
			s := stay{throng.PlayerID(fmt.Sprint("p", w.rng.IntN(500))), epoch}
			l.stays = append(l.stays, s)
			w.want["joins"]++
			tell(l, throng.EventPlayerJoined, s.player, throng.PlayerJoined{Epoch: s.epoch})
			tell(l, throng.EventMatchPlaced, s.player, throng.MatchPlaced{WaitMS: int64(w.rng.IntN(3000))})
			w.made(throng.Event{
				Type: throng.EventPresenceChanged, Stream: throng.StreamPresence, Key: string(s.player), Place: l.place, Session: l.id, Player: s.player, Time: now,
			}, throng.PresenceChanged{Epoch: s.epoch, In: true})
		case d < 75 && len(l.stays) > 0:
			s := l.stays[0]
			l.stays = l.stays[1:]
			w.want["leaves"]++
			tell(l, throng.EventPlayerLeft, s.player, throng.PlayerLeft{Epoch: s.epoch, RoundTripMS: float64(w.rng.IntN(100))})
		case d < 95:
			w.want["place.kill"]++
			w.made(throng.Event{Type: "place.kill", Stream: throng.StreamPlace, Key: string(l.id), Place: l.place, Session: l.id, Time: now}, throng.PlaceEmitted{})
		case d < 97: // its server is gone: nobody says that the players left
			w.want["ended"]++
			w.want["leaves"] += int64(len(l.stays))
			tell(l, throng.EventSessionEnded, "", throng.SessionOver{Reason: "lost"})
			lives = append(lives[:at], lives[at+1:]...)
		case d < 98:
			w.want["parked analytics"]++
			tell(l, throng.EventPlayerJoined, "nobody", json.RawMessage(`{"epoch":"none"}`))
		}
	}
}

// transfers tells of rewards and purchases, most of them by both sides.
func (w *world) transfers(n int) {
	for end, i := len(w.events)+n, 0; len(w.events) < end; i++ {
		t := transfer{id: throng.TransferID(fmt.Sprint("t", i)), player: throng.PlayerID(fmt.Sprint("p", i%worldPlayers)), at: w.begun.Add(time.Duration(i) * 5 * time.Second)}
		t.gold = int64(1 + w.rng.IntN(100))
		t.says = t.gold
		if w.rng.IntN(4) == 0 {
			t.potions = int64(1 + w.rng.IntN(3))
		}
		w.twist(&t, i)
		w.tell(t)
	}
	for round := range 2 {
		for p := range worldPlayers {
			w.last = append(w.last, (&world{want: sums{}}).tell(transfer{
				id: throng.TransferID(fmt.Sprint("last", round)), player: throng.PlayerID(fmt.Sprint("p", p)), gold: 1, says: 1,
				at: w.begun.Add(time.Duration(n)*5*time.Second + time.Duration(2+round)*time.Hour),
			})...)
		}
	}
	for i := range w.last {
		w.last[i].ID = throng.EventID(fmt.Sprint("last-", i))
	}
	w.want["gold"] += int64(len(w.last) / 2)
}

// twist makes some transfers what they should not be. Ten rewards are just below what
// one may be given, so that one twice would be flagged, and ten just at it.
func (w *world) twist(t *transfer, i int) {
	name := fmt.Sprintf("%s/%s", t.player, t.id)
	switch d := w.rng.IntN(60); {
	case i >= 100 && i < 120:
		t.gold, t.potions = worldGold/2-20_000, 0
		if i >= 110 {
			t.gold = worldGold / 2
			w.want["banned "+string(t.player)+" gain"] = 1
		}
		t.says = t.gold
	case d == 0:
		t.says, t.potions = t.gold+1, 0
		w.want["differs/"+name]++
	case d == 1:
		t.says = 0
		w.want["not reported/"+name]++
	case d == 2:
		t.gold, t.potions = 0, 0
		w.want["not posted/"+name]++
	case d == 3:
		t.gold, t.potions = 2*worldGold, 0
		t.says = t.gold
		w.want["impossible/"+name]++
		w.want["banned "+string(t.player)+" gain"] = 1
	}
}

// transfer is a reward of gold, or a purchase of potions.
type transfer struct {
	id      throng.TransferID
	player  throng.PlayerID
	at      time.Time
	potions int64 // 0: it is a reward
	gold    int64 // that was posted; 0: none was
	says    int64 // what its server says of it; 0: nothing
}

func (w *world) tell(t transfer) []throng.Event {
	e := throng.Event{Stream: throng.StreamEconomy, Key: string(t.player), Player: t.player, Session: "ses_1", Place: "bazaar", Time: t.at}
	lines := func(item throng.ItemID, count int64) []throng.EventLine {
		return []throng.EventLine{{Account: string(t.player), Item: item, Change: count}, {Account: "@01", Item: item, Change: -count}}
	}
	posted := throng.LedgerPosted{Game: "bazaar", ID: t.id, Kind: throng.TransferReward, First: t.player, Lines: lines("gold", t.gold)}
	reported := throng.LedgerReported{Game: "bazaar", ID: t.id, Kind: throng.TransferReward, First: t.player, Gives: []throng.EventAmount{{Item: "gold", Count: t.says}}}
	if t.potions > 0 {
		posted.Kind, posted.Offer, posted.Count = throng.TransferPurchase, "potion", t.potions
		posted.Lines = append(lines("potion", t.potions), lines("gold", -5*t.potions)...)
		reported.Kind, reported.Offer, reported.Count, reported.Gives = posted.Kind, posted.Offer, posted.Count, nil
		w.want["potion"] += t.potions
		w.want["revenue"] += 5 * t.potions
		w.want["gold"] -= 5 * t.potions
	} else {
		w.want["gold"] += t.gold
	}
	if t.gold > 0 {
		e.Type = throng.EventLedgerPosted
		w.made(e, posted)
	}
	if t.says > 0 {
		e.Type, e.Time = throng.EventLedgerReported, t.at.Add(time.Second)
		w.made(e, reported)
	}
	return w.events
}

// motion samples players each second. Some cheat; the first five are at the edge of
// what is allowed, so that one sample twice would flag them, and the next five are
// just past it, so that one less would not.
func (w *world) motion(seconds int) {
	for second := range seconds {
		for p := range worldPlayers {
			m := throng.MotionSampled{Epoch: 1, SpanMS: 1000, TickMS: 1000.0 / 15, Distance: worldSpeed * w.rng.Float64(), Presses: w.rng.IntN(10)}
			jump, name := false, fmt.Sprint("m", p)
			switch {
			case p < 5:
				jump = second == 40+p || second == 60+p
			case p < 10:
				jump = second == 40+p || second == 60+p || second == 80+p
				w.want["banned "+name+" teleport"] = 1
			case p == 10:
				m.Distance = 2 * worldSpeed
				w.want["banned "+name+" speed"] = 1
			case p == 11:
				m.Presses = 40
				w.want["banned "+name+" inputs"] = 1
			}
			if jump {
				m.StepMost = 100 * worldSpeed
				m.Distance += m.StepMost
			}
			if p == 20 && second%25 == 0 {
				m.SpanMS = -1
				w.want["parked anticheat"]++
			}
			w.made(throng.Event{
				Type: throng.EventMotionSampled, Stream: throng.StreamMotion, Key: name, Player: throng.PlayerID(name), Place: "arena", Session: "ses_1",
				Time: w.begun.Add(time.Duration(second)*time.Second + time.Duration(p)*time.Millisecond),
			}, m)
		}
	}
}

// disorder is what producers make of it: the streams at the same time, one event in
// ten twice, and each up to reach events of its stream later than it happened.
func (w *world) disorder(reach int) []throng.Event {
	var slots [][]throng.Event
	counts := map[throng.Stream]int{}
	of := map[throng.Stream]int{}
	for _, e := range w.events {
		of[e.Stream]++
	}
	slots = make([][]throng.Event, len(w.events)+1)
	put := func(e throng.Event, at int) {
		i := min(at+w.rng.IntN(reach), of[e.Stream]-1) * len(w.events) / of[e.Stream]
		slots[i] = append(slots[i], e)
	}
	for _, e := range w.events {
		put(e, counts[e.Stream])
		if w.rng.IntN(10) == 0 {
			put(e, counts[e.Stream])
		}
		counts[e.Stream]++
	}
	var out []throng.Event
	for _, s := range slots {
		out = append(out, s...)
	}
	return out
}
