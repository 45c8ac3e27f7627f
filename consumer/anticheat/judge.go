package anticheat

import (
	"fmt"
	"slices"
	"time"

	"github.com/throng-gg/throng"
)

// verdict is what a rule says of a player.
type verdict struct {
	rule     *Rule
	player   throng.PlayerID
	place    throng.PlaceID
	session  throng.SessionID
	at       int64 // ms
	score    float64
	evidence string
}

// judgeMotion looks at a player's samples, by time, that end within the window
// before at. It returns what is measured over what is allowed, and from 1 on that in
// words; 0: too little is known.
func judgeMotion(r *Rule, samples []measure, at int64) (float64, string) {
	var sum measure
	ms, way, allowed := int64(0), 0.0, 0.0
	from := at - r.Window.Milliseconds()
	for i := len(samples) - 1; i >= 0 && samples[i].at > from; i-- {
		s := &samples[i]
		if s.at > at {
			continue
		}
		ms += int64(s.ms)
		sum.presses += s.presses
		sum.jumps += s.jumps
		way += float64(s.way)
		allowed += float64(s.allowed)
	}
	seconds, measured := float64(ms)/1000, 0.0
	switch {
	case r.Kind == KindTeleport:
		measured = float64(sum.jumps)
	case ms < r.Least.Milliseconds():
	case r.Kind == KindSpeed && allowed > 0:
		measured = way / allowed
	case r.Kind == KindInputs && ms > 0:
		measured = float64(sum.presses) / seconds
	}
	score := measured / r.Limit
	if score < 1 { // nearly always: nobody reads the words
		return score, ""
	}
	switch r.Kind {
	case KindSpeed:
		return score, fmt.Sprintf("went %.1f units in %.1f s, %.2f times what the place's max_speed allows; the limit is %.2f times", way, seconds, measured, r.Limit)
	case KindTeleport:
		return score, fmt.Sprintf("moved %d times farther at once than max_speed and %s explain, within %s; the limit is %.0f", sum.jumps, r.Slack, r.Window, r.Limit)
	case KindInputs:
		return score, fmt.Sprintf("pressed buttons %.1f times a second for %.1f s; the limit is %.1f", measured, seconds, r.Limit)
	case KindGain, KindDevice:
	}
	return score, ""
}

// gain is what a player was given of an item.
type gain struct {
	At    int64  `json:"a"` // ms
	Item  string `json:"i"`
	Count int64  `json:"c"`
}

// judgeGain looks at what a player was given of one item.
func judgeGain(r *Rule, gains []gain, item string, at, most int64) (float64, string) {
	sum, from := int64(0), at-r.Window.Milliseconds()
	for _, g := range gains {
		if g.Item == item && g.At > from && g.At <= at {
			sum += g.Count
		}
	}
	if most <= 0 || sum <= 0 {
		return 0, ""
	}
	share := float64(sum) / float64(most)
	return share / r.Limit, fmt.Sprintf("was given %d %s within %s, %.2f of the %d that one can have; the limit is %.2f", sum, item, r.Window, share, most, r.Limit)
}

// press is that an account of a device pressed a sequence.
type press struct {
	At      int64            `json:"a"` // ms
	Player  throng.PlayerID  `json:"p"`
	Session throng.SessionID `json:"s"`
	Place   throng.PlaceID   `json:"l"`
	Shingle uint64           `json:"h"`
}

// judgeDevice counts the sequences that several accounts of a device pressed within
// the window before at, and names those who pressed them.
func judgeDevice(r *Rule, presses []press, at int64) (score float64, evidence string, who []press) {
	from := at - r.Window.Milliseconds()
	by := map[uint64][]press{}
	for _, p := range presses {
		if p.At > from && p.At <= at && !slices.ContainsFunc(by[p.Shingle], func(o press) bool { return o.Player == p.Player }) {
			by[p.Shingle] = append(by[p.Shingle], p)
		}
	}
	matches := 0
	last := map[throng.PlayerID]press{}
	for _, same := range by {
		if len(same) < r.Accounts {
			continue
		}
		matches++
		for _, p := range same {
			if p.At >= last[p.Player].At {
				last[p.Player] = p
			}
		}
	}
	for _, p := range last {
		who = append(who, p)
	}
	slices.SortFunc(who, func(a, b press) int { return int(b.At - a.At) })
	return float64(matches) / r.Limit, fmt.Sprintf("%d accounts of one device pressed %d of the same long sequences within %s; the limit is %.0f", len(last), matches, r.Window, r.Limit), who
}

// id names a flag: one of a player and rule an hour.
func (v *verdict) id() string {
	return fmt.Sprintf("%s/%s/%d", v.player, v.rule.Name, v.at/time.Hour.Milliseconds())
}

// reason is what players are told; evidence is for operators.
func (r *Rule) reason() string {
	switch r.Kind {
	case KindSpeed:
		return "moved faster than this place allows"
	case KindTeleport:
		return "moved in ways that this place does not allow"
	case KindGain:
		return "was given more than can be earned"
	case KindInputs:
		return "pressed buttons faster than people can"
	case KindDevice:
		return "several accounts were played by one hand"
	}
	return "broke the rules"
}

// ban is what follows from a verdict.
func (v *verdict) ban(dry bool) throng.Ban {
	at := time.UnixMilli(v.at).UTC()
	return throng.Ban{
		ID: v.id(), Player: v.player, Rule: v.rule.Name, Reason: v.rule.reason(), Evidence: v.evidence, Score: v.score,
		Place: v.place, Session: v.session, At: at, Until: at.Add(v.rule.Ban), Report: dry || v.rule.Report,
	}
}
