package gameserver

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/throng-gg/throng"
)

// happened tells Events of something in this session. It does not wait.
func (l *loop) happened(e throng.Event, data any) {
	if l.cfg.Events == nil {
		return
	}
	text, err := json.Marshal(data)
	if err != nil {
		l.logger.Error("event cannot be written", "type", string(e.Type), "err", err)
		return
	}
	out := e
	out.Place, out.Session, out.Time, out.Data = l.hand.Place, l.hand.Session, l.clock.now(), text
	if out.Key == "" {
		out.Key = string(l.hand.Session)
	}
	l.cfg.Events.Publish(out)
}

// eventID names what happened once to a stay in this session, or to the session.
func (l *loop) eventID(what string, s *seat) throng.EventID {
	if s == nil {
		return throng.EventID(fmt.Sprintf("%s/%s", l.hand.Session, what))
	}
	return throng.EventID(fmt.Sprintf("%s/%s/%s/%d", l.hand.Session, what, s.player, s.epoch))
}

// tellOpened tells that the session is there.
func (l *loop) tellOpened() {
	l.happened(throng.Event{ID: l.eventID("opened", nil), Type: throng.EventSessionOpened, Stream: throng.StreamPlay},
		throng.SessionBegan{Version: l.hand.Version, Capacity: l.hand.Capacity, Private: l.hand.Private})
}

// tellJoined tells of a player who came into the world.
func (l *loop) tellJoined(s *seat) {
	s.entered = l.cfg.BootClock()
	l.happened(throng.Event{ID: l.eventID("joined", s), Type: throng.EventPlayerJoined, Stream: throng.StreamPlay, Player: s.player},
		throng.PlayerJoined{Epoch: s.epoch, Version: l.hand.Version, ArrivalMS: max(s.entered-s.arrived, 0).Milliseconds(), From: s.from.Session})
	l.tellPresence(s, true)
}

// tellLeft tells that a player who was in the world is not any more.
func (l *loop) tellLeft(s *seat) {
	left := throng.PlayerLeft{Epoch: s.epoch, Version: l.hand.Version, StayedMS: max(l.cfg.BootClock()-s.entered, 0).Milliseconds()}
	if s.peer != nil {
		left.RoundTripMS = float64(s.peer.channel.Stats().Trip.Microseconds()) / 1000
	}
	l.happened(throng.Event{ID: l.eventID("left", s), Type: throng.EventPlayerLeft, Stream: throng.StreamPlay, Player: s.player}, left)
	l.tellPresence(s, false)
}

func (l *loop) tellPresence(s *seat, in bool) {
	what := map[bool]string{true: "in", false: "out"}[in]
	l.happened(throng.Event{
		ID: l.eventID(what, s), Type: throng.EventPresenceChanged, Stream: throng.StreamPresence, Key: throng.PresenceKey(s.player, l.hand.Session), Player: s.player,
	}, throng.PresenceChanged{Epoch: s.epoch, In: in})
}

// tellReported tells of a transfer that the ledger took.
func (l *loop) tellReported(t throng.Transfer) {
	l.happened(throng.Event{
		ID: throng.EventID(fmt.Sprintf("%s/reported/%s", l.hand.Session, t.ID)), Type: throng.EventLedgerReported, Stream: throng.StreamEconomy,
		Key: string(t.First.Player), Player: t.First.Player,
	}, throng.LedgerReported{
		Game: throng.GameID(l.hand.Place), ID: t.ID, Kind: t.Kind, First: t.First.Player, Second: t.Second.Player,
		Gives: eventAmounts(t.Gives), Takes: eventAmounts(t.Takes), Offer: t.Offer, Count: t.Count,
	})
}

func eventAmounts(list []throng.Amount) []throng.EventAmount {
	var out []throng.EventAmount
	for _, a := range list {
		out = append(out, throng.EventAmount(a))
	}
	return out
}

// tellAll tells that those who are in the world are not any more: the session is over.
func (l *loop) tellAll() {
	for _, s := range l.joined {
		l.tellLeft(s)
	}
}

// tellEnded tells that a session is over.
func (s *Server) tellEnded(hand throng.Handover, at time.Time, e throng.Ending) {
	if s.cfg.Events == nil {
		return
	}
	event, err := throng.MakeEvent(throng.Event{
		ID: throng.EventID(string(hand.Session) + "/ended"), Type: throng.EventSessionEnded, Stream: throng.StreamPlay, Key: string(hand.Session),
		Place: hand.Place, Session: hand.Session, Time: at,
	}, throng.SessionOver{Reason: e.Reason[:min(len(e.Reason), 500)], Failed: e.Failed})
	if err == nil {
		s.cfg.Events.Publish(event)
	}
}

const (
	emitRate  = 20  // events that a session's script may publish, a second
	leastEmit = 0.1 // and those that it may in any case, however many sessions share what its place may
	emitSpan  = 5   // seconds' worth that it may publish at once
	mostEmits = emitRate * emitSpan
)

// emitPace is how many events the script may publish: a second, and at once. share
// is the session's share of what its place may; 0: it is not known.
func emitPace(share float64) (rate, most float64) {
	rate = emitRate
	if share > 0 {
		rate = min(rate, max(share, leastEmit))
	}
	return rate, max(rate*emitSpan, 1)
}

// publish tells of what the script says.
func (l *loop) publish(m throng.Message) bool {
	if l.cfg.Events == nil {
		return false
	}
	if l.emits < 1 {
		why := "script_events"
		if rate, _ := emitPace(l.emitShare); rate < emitRate {
			why = "place_events"
		}
		l.metrics.dropped.WithLabelValues(why).Inc()
		return false
	}
	l.emits--
	l.emitted++
	fields := make(map[string]any, len(m.Fields))
	for _, f := range m.Fields {
		fields[f.Name] = f.Value
	}
	l.happened(throng.Event{
		ID:   throng.EventID(fmt.Sprintf("%s/place/%d", l.hand.Session, l.emitted)),
		Type: throng.EventType(throng.EventPlace + m.Name), Stream: throng.StreamPlace,
	}, throng.PlaceEmitted{Version: l.hand.Version, Tick: l.tick, Fields: fields})
	return true
}
