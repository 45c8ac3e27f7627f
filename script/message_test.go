package script

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/throng-gg/throng"
)

// textMessage has one field.
func textMessage(name, field, value string) throng.Message {
	return throng.Message{Name: name, Fields: []throng.MessageField{{Name: field, Value: value}}}
}

func TestMessagesGoBothWays(t *testing.T) {
	var sent []string
	var last throng.Message
	vm, err := New(Config{
		Entry: "main.lua", World: newFakeWorld(), Capacity: 3,
		Files: map[string][]byte{"main.lua": []byte(`
place.on("message", function(player, name, fields)
  assert(player.id == "ada" and name == "echo" and fields.number == 2.5 and fields.yes == true and fields.text == "grün")
  assert(player:send("echo", fields) == true and player:send("full") == false)
  assert(players.send("all", {n = 1}) == 2)
end)`)},
		Send: func(p throng.PlayerID, m throng.Message) bool {
			if m.Name == "echo" {
				last = m
			}
			sent = append(sent, fmt.Sprintf("%s %s", p, m.Name))
			return m.Name != "full"
		},
		Log: func(_ throng.LogLevel, line string) { t.Error(line) },
	})
	want := throng.Message{Name: "echo", Fields: []throng.MessageField{
		{Name: "number", Value: 2.5}, {Name: "text", Value: "grün"}, {Name: "yes", Value: true},
	}}
	must(t, err, vm.Start(), vm.Join("ada"), vm.Join("bo"), vm.Message("ada", want), vm.Message("eve", want))
	if !reflect.DeepEqual(last, want) {
		t.Errorf("got %+v, want %+v", last, want)
	}
	if all := []string{"ada echo", "ada full", "ada all", "bo all"}; !slices.Equal(sent, all) {
		t.Errorf("got %q, want %q", sent, all)
	}
}

// TestPublish: names become types of a place's own.
func TestPublish(t *testing.T) {
	var told []string
	vm, err := New(Config{
		Entry: "main.lua", World: newFakeWorld(), Capacity: 3,
		Files: map[string][]byte{"main.lua": []byte(`
assert(events.publish("goal.v1", {by = "ada", minute = 3}) == true)
assert(events.publish("full") == false)
for _, bad in ipairs({"Goal", "a b", "", ("x"):rep(40)}) do assert(not pcall(events.publish, bad)) end
assert(not pcall(events.publish, "x", {a = {}}))`)},
		Publish: func(m throng.Message) bool {
			told = append(told, fmt.Sprint(m.Name, m.Fields))
			return m.Name != "full"
		},
		Log: func(_ throng.LogLevel, line string) { t.Error(line) },
	})
	must(t, err, vm.Start())
	if want := []string{"goal.v1[{by ada} {minute 3}]", "full[]"}; !slices.Equal(told, want) {
		t.Errorf("got %q, want %q", told, want)
	}
}

func TestMessagesThatCannotBeSent(t *testing.T) {
	for call, want := range map[string]string{
		`players.send("")`:                        "name",
		`players.send(string.rep("n", 33))`:       "name",
		`players.send("x", {[1] = 2})`:            "have names",
		`players.send("x", {a = {}})`:             "is a table",
		`players.send("x", {a = 0/0})`:            "finite",
		`players.send("x", {a = ("b"):rep(513)})`: "512",
		`players.send("x", 3)`:                    "table",
		`players.all()[1].send("x")`:              "player:send",
		`local t = {} for i = 1, 17 do t["f" .. i] = i end players.send("x", t)`: "at most 16",
	} {
		var lines []string
		vm, err := New(Config{
			Entry: "main.lua", World: newFakeWorld(), Files: map[string][]byte{"main.lua": []byte("place.on('join', function() " + call + " end)")},
			Log: func(_ throng.LogLevel, line string) { lines = append(lines, line) },
		})
		must(t, err, vm.Start())
		if err := vm.Join("ada"); err == nil || !strings.Contains(strings.Join(lines, " "), want) {
			t.Errorf("%s: got %v, %q, want %q", call, err, lines, want)
		}
	}
}
