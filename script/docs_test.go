package script

import (
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/throng-gg/throng"
)

const placesPage = "../docs/places.md"

// page returns the creators' page.
func page(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(placesPage)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// snippet is one ```lua block of the page.
type snippet struct {
	line   int // of the page
	source string
}

func snippets(t *testing.T) (list []snippet, files map[string][]byte) {
	t.Helper()
	files = map[string][]byte{}
	text := page(t)
	for _, at := range regexp.MustCompile("(?ms)^```lua\n(.*?)^```$").FindAllStringSubmatchIndex(text, -1) {
		s := snippet{line: strings.Count(text[:at[2]], "\n") + 1, source: text[at[2]:at[3]]}
		if name := regexp.MustCompile(`^-- (scripts/\S+\.lua)\n`).FindStringSubmatch(s.source); name != nil {
			files[name[1]] = []byte(s.source)
		} else {
			list = append(list, s)
		}
	}
	return list, files
}

// signals are those of the page's example of a manifest with some.
func signals(t *testing.T) []throng.Signal {
	t.Helper()
	if !strings.Contains(page(t), "    skill: {type: number, range: 400, weight: 5}\n    language: {type: category, weight: 3}\n") {
		t.Fatal("the page's example of signals has changed: change it here too")
	}
	return []throng.Signal{
		{Name: "language", Kind: throng.SignalCategory, Weight: 3},
		{Name: "skill", Kind: throng.SignalNumber, Range: 400, Weight: 5},
	}
}

// TestDocumentedExamples runs each example of the page through a session's life:
// it must do so without an error.
func TestDocumentedExamples(t *testing.T) {
	list, files := snippets(t)
	if len(list) < 12 || len(files) != 2 {
		t.Fatalf("got %d examples and %d files, want more: is the page read?", len(list), len(files))
	}
	for _, s := range list {
		t.Run(fmt.Sprintf("line %d", s.line), func(t *testing.T) {
			var failed []string
			var calls []uint64
			all := map[string][]byte{"scripts/main.lua": []byte(s.source)}
			maps.Copy(all, files)
			shop := &fakeStore{}
			vm, err := New(Config{
				Store: shop,
				Files: all, Entry: "scripts/main.lua", World: newFakeWorld(), Capacity: 20, Seed: 1, Signals: signals(t),
				Handoff: func(call uint64, _ Handoff) { calls = append(calls, call) },
				Send:    func(throng.PlayerID, throng.Message) bool { return true },
				Publish: func(throng.Message) bool { return true },
				Log: func(level throng.LogLevel, line string) {
					if level != throng.LogPrint {
						failed = append(failed, line)
					}
				},
			})
			lobby := throng.Origin{Session: "ses_local_1", Place: "lobby", Data: "red"}
			must(t, err, vm.Start(), vm.Join("ada", throng.Attribute{Name: "language", Category: "en"}), vm.Tick(1.0/30), vm.JoinFrom("bo", lobby))
			for tick := range 61 * 30 {
				in := Input{MoveX: 0.6, MoveY: -0.8, Buttons: uint32(tick / 15 & 1)}
				must(t, vm.Input("ada", in), vm.Tick(1.0/30))
				for i, call := range calls {
					must(t, vm.Handed(call, []error{nil, throng.Errorf(throng.Full, "no room")}[i%2]))
				}
				calls = nil
				if tick == 5 {
					must(t, vm.Loaded("ada", throng.Profile{}, nil), vm.Loaded("bo", throng.Profile{}, throng.Errorf(throng.Unavailable, "away")))
				}
				must(t, shop.answer(vm))
				if tick == 9 {
					must(t, vm.Message("ada", textMessage("chat", "text", "hello")), vm.Message("bo", textMessage("team", "team", "red")))
				}
			}
			if _, err := vm.Drain(time.Minute / 2); err != nil {
				t.Error(err)
			}
			must(t, vm.Leave("ada"), vm.Tick(1.0/30), vm.Leave("bo"), vm.Tick(1.0/30))
			if len(failed) > 0 {
				t.Errorf("got errors: %s", strings.Join(failed, "\n"))
			}
		})
	}
}

// TestEverythingIsDocumented: every name that a script can find stands on the
// page.
func TestEverythingIsDocumented(t *testing.T) {
	p := newPlace(t, `
for name, value in pairs(_G) do
  print(name)
  if type(value) == "table" and value ~= _G then
    for field in pairs(value) do print(name .. "." .. field) end
  end
end`)
	must(t, p.Start())
	if len(p.lines) < 80 || !slices.Contains(p.lines, "world.spawn") {
		t.Fatalf("got %q, want all globals and what is in them", p.lines)
	}
	text := page(t)
	for _, name := range p.lines {
		if !documented(text, name) {
			t.Errorf("%s is not on the page", name)
		}
	}
	for _, name := range []string{
		"entity.id", "entity.kind", "entity.owner", "entity.removed", "entity:remove()",
		"player.data", "player.data_state", "player:save(",
		"player.id", "player.name", "player.state", "player.input", "player.attributes", "player.left",
		"space:circle(", "space:box(", "space:grid(", "space:overlap_circle(", "space:overlap_box(", "space:raycast(", "space:move(", "space:count(",
		"body.x", "body.y", "body.radius", "body.width", "body.height", "body.group", "body.solid", "body.data", "body.removed", "body:remove()",
		"input.move_x", "input.move_y", "input.pressed(",
	} {
		if !strings.Contains(text, "`"+name) {
			t.Errorf("%s is not on the page", name)
		}
	}
	for e := range eventCount {
		if !strings.Contains(text, "| `"+e.String()+"` |") {
			t.Errorf("event %s is not on the page", e)
		}
	}
}

// documented looks for a name by itself, `name` or `name(`, or for a library's
// in the library's own list.
func documented(text, name string) bool {
	if strings.Contains(text, "`"+name+"`") || strings.Contains(text, "`"+name+"(") {
		return true
	}
	lib, field, ok := strings.Cut(name, ".")
	if !ok {
		return strings.Contains(text, "### "+name+"\n")
	}
	list := regexp.MustCompile("(?m)^- `" + lib + "`: (.*\n(?:  .*\n)*)").FindStringSubmatch(text)
	return list != nil && strings.Contains(list[1], "`"+field+"`")
}
