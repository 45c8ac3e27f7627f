package script

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/throng-gg/throng"
)

// handing is a place whose handoffs are written down.
func handing(tb testing.TB, source string) (*place, *[]Handoff) {
	tb.Helper()
	p := newPlace(tb, source)
	asked := &[]Handoff{}
	p.cfg.Handoff = func(call uint64, h Handoff) {
		if int(call) != len(*asked)+1 {
			tb.Errorf("call %d comes as number %d", call, len(*asked)+1)
		}
		*asked = append(*asked, h)
	}
	must(tb, p.Start(), p.Join("ada"), p.Join("bo"))
	return p, asked
}

func TestHandoffIsAsked(t *testing.T) {
	p, asked := handing(t, `
place.on("tick", function()
  handoff.send(players.get("ada"))
  handoff.send(players.all(), {place = "arena", new = true, data = "a\0b"}, function(...) print("two", ...) end)
  handoff.send(players.all(), {session = "ses_local_000123456789abcdef", new = false}, function(...) print("three", ...) end)
  handoff.send({players.get("bo")}, {private = true, new = true})
end)`)
	must(t, p.Tick(0.1))
	want := []Handoff{
		{Players: []throng.PlayerID{"ada"}, Mode: throng.ModeDropIn},
		{Players: []throng.PlayerID{"ada", "bo"}, Place: "arena", Mode: throng.ModeNew, Data: "a\x00b"},
		{Players: []throng.PlayerID{"ada", "bo"}, Mode: throng.ModeSession, Session: "ses_local_000123456789abcdef"},
		{Players: []throng.PlayerID{"bo"}, Mode: throng.ModePrivate},
	}
	if !reflect.DeepEqual(*asked, want) {
		t.Errorf("got %+v\nwant %+v", *asked, want)
	}
	must(t, p.Handed(1, nil), p.Handed(3, throng.Errorf(throng.Full, "no room")), p.Handed(2, nil), p.Handed(2, nil), p.Handed(99, nil))
	if got := p.log(); got != "three\tfalse\tno room\tfull\ntwo\ttrue" {
		t.Errorf("got %q, want each answer once", got)
	}
	if n := len(p.calls.open); n != 1 {
		t.Errorf("%d handoffs are kept, want the one that was not answered", n)
	}
}

func TestWrongHandoffsAreErrors(t *testing.T) {
	p, asked := handing(t, `
local gone
place.on("leave", function(player) gone = player end)
place.on("tick", function()
  local ada = players.get("ada")
  local function try(...) print(select(2, pcall(handoff.send, ...))) end
  try() try({}) try(3) try({ada, 3}) try({ada, ada}) try(gone)
  try(ada, {place = "No"}) try(ada, {session = "x"}) try(ada, {new = 1}) try(ada, {whither = "x"})
  try(ada, {session = "ses_local_000123456789abcdef", new = true})
  try(ada, {data = ("x"):rep(1025)}) try(ada, {}, 3)
end)`)
	must(t, p.Leave("bo"), p.Tick(0.1))
	if len(*asked) != 0 || len(p.lines) != 13 {
		t.Errorf("%d handoffs were asked and %d lines said, want none and 13:\n%s", len(*asked), len(p.lines), p.log())
	}
	for i, line := range p.lines {
		if line == "nil" {
			t.Errorf("case %d was taken", i+1)
		}
	}
}

func TestHandoffsAreBounded(t *testing.T) {
	p, asked := handing(t, `place.on("tick", function() handoff.send(players.get("ada")) end)`)
	for range maxHandoffs {
		must(t, p.Tick(0.1))
	}
	if err := p.Tick(0.1); err == nil || Fatal(err) || !strings.Contains(err.Error(), "32 calls") {
		t.Errorf("one more: got %v, want an error of the script", err)
	}
	must(t, p.Handed(7, nil), p.Tick(0.1))
	if len(*asked) != maxHandoffs+1 {
		t.Errorf("%d were asked, want %d", len(*asked), maxHandoffs+1)
	}
	p = newPlace(t, `place.on("join", function(p) handoff.send(p) end)`)
	must(t, p.Start())
	if err := p.Join("ada"); err == nil || Fatal(err) {
		t.Errorf("where nobody is handed off: got %v, want an error of the script", err)
	}
}

// A callback's errors are the script's, its overruns end the session.
func TestHandoffCallbackHasABudget(t *testing.T) {
	p, _ := handing(t, `
place.on("tick", function()
  handoff.send(players.get("ada"), nil, function() error("oops") end)
  handoff.send(players.get("bo"), nil, function() while true do end end)
end)`)
	must(t, p.Tick(0.1))
	if err := p.Handed(1, nil); err == nil || Fatal(err) {
		t.Errorf("got %v, want an error that the session survives", err)
	}
	if err := p.Handed(2, nil); !Fatal(err) {
		t.Errorf("got %v, want the end of the session", err)
	}
}

func TestJoinTellsWhereFrom(t *testing.T) {
	p := newPlace(t, `
place.on("join", function(player, from)
  if from then print(player.id, from.place, from.session, #from.data, from.data) else print(player.id, from) end
end)`)
	must(t, p.Start(), p.Join("ada"), p.JoinFrom("bo", throng.Origin{Session: "ses_1", Place: "lobby", Data: "red"}))
	if got := p.log(); got != "ada\tnil\nbo\tlobby\tses_1\t3\tred" {
		t.Errorf("got %q", got)
	}
}

func TestDrainIsToldAndAnswered(t *testing.T) {
	ready := 0
	p := newPlace(t, `place.on("drain", function(seconds) print(seconds) if seconds then handoff.ready() end end)`)
	p.cfg.Ready = func() { ready++ }
	must(t, p.Start())
	for i, left := range []time.Duration{0, 90 * time.Second} {
		waits, err := p.Drain(left)
		if err != nil || !waits || ready != i {
			t.Errorf("with %s left: waits %v, %d times ready, %v; want true, %d", left, waits, ready, err, i)
		}
	}
	if p.log() != "nil\n90" {
		t.Errorf("got %q", p.log())
	}
	if waits, err := newPlace(t, "").Drain(0); waits || err != nil {
		t.Errorf("a place that does not mind: got %v, %v", waits, err)
	}
}
