package script

import (
	"time"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/script/lua"
)

// Handoff is players who are to move to another session, all or none.
type Handoff struct {
	Players []throng.PlayerID // each once, at least one
	Place   throng.PlaceID    // empty: Session's, else the script's own
	Mode    throng.Mode       // ModeDropIn, ModeSession, ModeNew or ModePrivate
	Session throng.SessionID  // of ModeSession
	Data    string            // for the place that they come to; at most throng.HandoffData bytes
}

// JoinFrom is Join of a player who was handed off by another session; from zero:
// he was not.
func (vm *VM) JoinFrom(id throng.PlayerID, from throng.Origin, brought ...throng.Attribute) error {
	if vm.failed != nil || vm.players[id] != nil {
		return vm.failed
	}
	vm.m.Budget("join", vm.cfg.StepsPerEvent)
	var p *player
	var origin lua.Value
	err := vm.m.Do(func(*lua.Thread) {
		p = vm.newPlayer(id, brought)
		if from != (throng.Origin{}) {
			origin = vm.origin(from)
		}
	})
	if err != nil {
		return vm.ran("join", err)
	}
	return vm.fire(eventJoin, vm.cfg.StepsPerEvent, lua.Of(p.value), origin)
}

// origin is where a player comes from, for scripts.
func (vm *VM) origin(from throng.Origin) lua.Value {
	t := vm.m.NewTable()
	t.SetField("session", vm.m.String(string(from.Session)))
	t.SetField("place", vm.m.String(string(from.Place)))
	t.SetField("data", vm.m.String(from.Data))
	return lua.Of(t)
}

// Drain tells the script that its players are to move elsewhere, and that the
// session ends in left; 0: not before they have. waits: it handles the event, and
// calls handoff.ready when the moment is good.
func (vm *VM) Drain(left time.Duration) (waits bool, err error) {
	if vm.failed != nil {
		return false, vm.failed
	}
	var seconds lua.Value
	if left > 0 {
		seconds = lua.Number(left.Seconds())
	}
	return len(vm.handlers[eventDrain]) > 0, vm.fire(eventDrain, vm.cfg.StepsPerEvent, seconds)
}

// Handed tells the script what became of a handoff; nil: all have seats.
func (vm *VM) Handed(id uint64, result error) error { return vm.answer(id, "handoff", result, nil) }

func (vm *VM) openHandoff() {
	lib := vm.m.Library("handoff")
	vm.m.Define(lib, "send", vm.send)
	vm.m.Define(lib, "ready", func(lua.Call) []lua.Value {
		if vm.cfg.Ready != nil {
			vm.cfg.Ready()
		}
		return nil
	})
	lib.Lock()
}

// send is handoff.send.
func (vm *VM) send(c lua.Call) []lua.Value {
	h := Handoff{Players: playersOf(c, 0), Mode: throng.ModeDropIn}
	c.T.Charge(100 + 10*len(h.Players))
	if !c.Arg(1).IsNil() {
		h.target(c, c.Table(1))
	}
	if vm.cfg.Handoff == nil {
		c.T.Throw("players cannot be handed off here")
	}
	vm.cfg.Handoff(vm.begin(c, 2, maxHandoffs, call{what: "handoff"}), h)
	return nil
}

// playersOf is argument i, one player or a list of them.
func playersOf(c lua.Call, i int) []throng.PlayerID {
	list := []lua.Value{c.Arg(i)}
	if tb := c.Arg(i).Table(); tb != nil {
		if tb.Len() == 0 || tb.Len() > throng.HandoffMost {
			c.Fail(i, "1 to 200 players expected")
		}
		list = list[:0]
		for at := 1; at <= tb.Len(); at++ {
			list = append(list, tb.At(at))
		}
	}
	var out []throng.PlayerID
	seen := make(map[throng.PlayerID]bool, len(list))
	for _, v := range list {
		p, ok := v.Object().(*player)
		switch {
		case !ok:
			c.Fail(i, "a player or a list of players expected")
		case p.left:
			c.Fail(i, "player %s left", p.id)
		case seen[p.id]:
			c.Fail(i, "player %s is there twice", p.id)
		}
		seen[p.id] = true
		out = append(out, p.id)
	}
	return out
}

// target reads where to.
func (h *Handoff) target(c lua.Call, to *lua.Table) {
	for k, v := to.Next(lua.Value{}); !k.IsNil(); k, v = to.Next(k) {
		key := words(k)
		s, isText := v.Text()
		yes, isBool := v.Bool()
		var err error
		switch {
		case key == "place" && isText:
			h.Place, err = throng.ParsePlaceID("place", s)
		case key == "session" && isText:
			h.Session, err = throng.ParseSessionID("session", s)
			h.setMode(c, throng.ModeSession, true)
		case key == "data" && isText:
			h.Data = s
		case key == "new" && isBool:
			h.setMode(c, throng.ModeNew, yes)
		case key == "private" && isBool:
			h.setMode(c, throng.ModePrivate, yes)
		default:
			c.T.Throw("'%.40s' is not one of place, session, data (strings), new and private (true or false)", key)
		}
		if err != nil {
			c.T.Throw("%.200s", err.Error())
		}
	}
	if len(h.Data) > throng.HandoffData {
		c.T.Throw("data has %d bytes, at most %d are allowed", len(h.Data), throng.HandoffData)
	}
}

// setMode refuses two ways at once, but for a new session that is private.
func (h *Handoff) setMode(c lua.Call, mode throng.Mode, yes bool) {
	own := func(m throng.Mode) bool { return m == throng.ModeNew || m == throng.ModePrivate }
	switch {
	case !yes:
	case h.Mode == throng.ModeDropIn:
		h.Mode = mode
	case own(h.Mode) && own(mode):
		h.Mode = throng.ModePrivate
	default:
		c.T.Throw("a session that is named is not a new one")
	}
}
