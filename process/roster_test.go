package process

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/throng-gg/throng"
)

func FuzzParseMessage(f *testing.F) {
	f.Add([]byte(`{"kind":"hello","node":"nod_test_0400000000000000","max":4,"servers":["srv_test_0400000000000000"],"exits":[{"server":"srv_test_0800000000000000","reason":"exit status 2"}]}`))
	f.Add([]byte(`{"kind":"allocate","call":1,"server":"srv_test_0400000000000000","env":["THRONG_SERVER=x"]}`))
	f.Add([]byte(`{"kind":"answer","call":1,"code":"no_capacity","detail":"full","retry_after_ms":1000}`))
	f.Add([]byte(`{"kind":"from a newer version","more":[]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := parseMessage(data)
		if err != nil {
			if throng.KindOf(err) != throng.Invalid {
				t.Errorf("got %v, want invalid", err)
			}
			return
		}
		encoded, err := m.encode()
		if err != nil {
			t.Fatal(err)
		}
		again, err := parseMessage(encoded)
		if err != nil {
			t.Fatalf("%s: %v", encoded, err)
		}
		if a, b := fmt.Sprint(m), fmt.Sprint(again); a != b {
			t.Errorf("got %s, want %s", b, a)
		}
	})
}

func TestParseMessageRefuses(t *testing.T) {
	for name, c := range map[string]struct{ text, want string }{
		"not JSON":       {`hello`, "not understood"},
		"a path":         {`{"kind":"release","call":1,"server":"../../x"}`, "is not an ID"},
		"no server":      {`{"kind":"exited"}`, "is not an ID"},
		"no call":        {`{"kind":"allocate","server":"srv_test_0400000000000000"}`, "call: is missing"},
		"no name":        {`{"kind":"hello"}`, "is not an ID"},
		"another's env":  {`{"kind":"allocate","call":1,"server":"srv_test_0400000000000000","env":["PATH=/"]}`, "no THRONG_ variable"},
		"no variable":    {`{"kind":"allocate","call":1,"server":"srv_test_0400000000000000","env":["THRONG_X"]}`, "no THRONG_ variable"},
		"a zero byte":    {`{"kind":"allocate","call":1,"server":"srv_test_0400000000000000","env":["THRONG_X=\u0000"]}`, "no THRONG_ variable"},
		"a long reason":  {`{"kind":"exited","server":"srv_test_0400000000000000","reason":"` + strings.Repeat("x", 9000) + `"}`, "at most 8192"},
		"endless wait":   {`{"kind":"answer","call":1,"retry_after_ms":99999999999}`, "a bad time"},
		"too much":       {strings.Repeat(" ", maxMessage+1), "bytes"},
		"negative limit": {`{"kind":"hello","node":"nod_test_0400000000000000","max":-1}`, "too many"},
	} {
		if _, err := parseMessage([]byte(c.text)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %q", name, err, c.want)
		}
	}
	full := message{Kind: kindHello, Node: throng.MakeNodeID("region-of-16-cha", throng.Entropy{1}), Max: maxServers}
	for n := range maxServers {
		id := throng.MakeServerID("region-of-16-cha", throng.Entropy{byte(n), byte(n >> 8)})
		full.Servers = append(full.Servers, id)
		full.Exits = append(full.Exits, exitMessage{id, "signal: killed (it used up its memory limit of 102400 MiB)"})
	}
	data, err := json.Marshal(full)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := parseMessage(data); err != nil {
		t.Errorf("the longest hello has %d bytes: %v", len(data), err)
	}
}

func rosterServer(n int) throng.ServerID { return throng.MakeServerID("test", throng.Entropy{byte(n)}) }

func rosterNode(n int) throng.NodeID { return throng.MakeNodeID("test", throng.Entropy{byte(n)}) }

// Most nodes away at once means that we were cut off: their servers are given up
// much later.
func TestOverdueIsCautious(t *testing.T) {
	r, now := newRoster(), time.Unix(1e9, 0)
	links := []*link{{}, {}, {}}
	for n, l := range links {
		r.arrive(l, message{Node: rosterNode(n), Max: 1, Servers: []throng.ServerID{rosterServer(n)}})
	}
	overdue := func(after time.Duration) int { return len(r.overdue(now.Add(after), time.Minute)) }
	r.leave(rosterNode(0), links[1], now) // not its connection
	if got := overdue(time.Hour); got != 0 {
		t.Errorf("all are there: got %d overdue, want 0", got)
	}
	r.leave(rosterNode(0), links[0], now)
	if a, b := overdue(59*time.Second), overdue(time.Minute); a != 0 || b != 1 {
		t.Errorf("one of three: got %d and %d, want 0 and 1 after a minute", a, b)
	}
	r.leave(rosterNode(1), links[1], now)
	if a, b := overdue(9*time.Minute), overdue(10*time.Minute); a != 0 || b != 2 {
		t.Errorf("two of three: got %d and %d, want 0 and 2 after ten minutes", a, b)
	}
	r.giveUp(r.overdue(now.Add(time.Hour), time.Minute))
	if overdue(25 * time.Hour); len(r.nodes) != 1 {
		t.Errorf("after a day: got %d nodes known, want 1", len(r.nodes))
	}
}

// A server that was released before its node said that it runs is told as over
// once, whether or not it ever ran.
func TestReleasedBeforeItWasKnown(t *testing.T) {
	r, l := newRoster(), &link{}
	r.arrive(l, message{Node: rosterNode(1), Max: 1})
	m, id := r.nodes[rosterNode(1)], rosterServer(1)
	r.put(id, m, placedAsked)
	r.over.Add(id, "")
	if !r.released(m, id) || r.servers[id] != nil {
		t.Error("released: got no exit, want one, and the server forgotten")
	}
	if r.released(m, id) || r.exited(m, id) {
		t.Error("afterwards: got a second exit")
	}
	r.allocated(m, id, nil)
	if got := r.list(); len(got) != 0 {
		t.Errorf("a late answer to the allocation: got %v, want none", got)
	}
}

// TestRosterModel plays a roster against nodes that lose connections, servers
// and messages. When all nodes were heard again, the roster knows what is alive;
// no server is on two nodes; an exit by a node's word is told at most once.
func TestRosterModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newRosterWorld()
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			w.step(t)
			w.check(t)
		}
		for n := range w.nodes {
			w.connect(n)
			for w.connect(n) > 0 { // what was released is ended
			}
			w.nodes[n].untold = nil
			w.connect(n)
		}
		alive := []throng.ServerID{}
		for _, n := range w.nodes {
			for id := range n.alive {
				alive = append(alive, id)
			}
		}
		slices.Sort(alive)
		if got := w.roster.list(); !slices.Equal(got, alive) {
			t.Fatalf("got %v, want what is alive: %v", got, alive)
		}
		for id := range w.released {
			if slices.Contains(alive, id) {
				t.Fatalf("%s is released and alive", id)
			}
		}
	})
}

type rosterWorld struct {
	roster   *roster
	nodes    []*rosterMachine
	now      time.Time
	released map[throng.ServerID]bool
	told     map[throng.ServerID]int // exits that are not of silence
	next     int
}

// rosterMachine is the truth of one node.
type rosterMachine struct {
	id     throng.NodeID
	link   *link
	alive  map[throng.ServerID]bool
	untold []exitMessage // repeated in each hello
	heard  []exitMessage // of untold, those for which the control plane's word is on its way
}

func newRosterWorld() *rosterWorld {
	w := &rosterWorld{
		roster: newRoster(), now: time.Unix(1e9, 0),
		released: map[throng.ServerID]bool{}, told: map[throng.ServerID]int{},
	}
	for n := range 3 {
		w.nodes = append(w.nodes, &rosterMachine{id: rosterNode(n), alive: map[throng.ServerID]bool{}})
		w.connect(n)
	}
	return w
}

// connect says hello, and returns how many servers were to be released.
func (w *rosterWorld) connect(n int) int {
	m := w.nodes[n]
	m.link = &link{}
	hello := message{Node: m.id, Max: 5, Exits: m.untold}
	for id := range m.alive {
		hello.Servers = append(hello.Servers, id)
	}
	a := w.roster.arrive(m.link, hello)
	w.tell(a.exits)
	m.heard = m.untold
	for _, id := range a.release {
		w.end(m, id)
	}
	return len(a.release)
}

func (w *rosterWorld) tell(exits []throng.ServerExit) {
	for _, e := range exits {
		w.told[e.Server]++
	}
}

// end ends a server, whose exit is told now if the node is connected.
func (w *rosterWorld) end(m *rosterMachine, id throng.ServerID) {
	delete(m.alive, id)
	m.untold = append(m.untold, exitMessage{id, "over"})
	if m.link != nil && w.roster.exited(w.roster.nodes[m.id], id) {
		w.told[id]++
	}
	if m.link != nil {
		m.heard = m.untold
	}
}

func (w *rosterWorld) step(t *rapid.T) {
	n := rapid.IntRange(0, len(w.nodes)-1).Draw(t, "node")
	m := w.nodes[n]
	switch rapid.SampledFrom([]string{"allocate", "crash", "release", "cut", "connect", "told", "wait"}).Draw(t, "what") {
	case "allocate":
		w.allocate(t)
	case "crash":
		if id, ok := w.draw(t, m); ok {
			w.end(m, id)
		}
	case "release":
		if id, ok := w.draw(t, m); ok {
			w.release(m, id)
		}
	case "cut":
		w.roster.leave(m.id, m.link, w.now)
		m.link = nil
	case "connect":
		w.connect(n)
	case "told":
		m.untold = slices.DeleteFunc(m.untold, func(e exitMessage) bool { return slices.Contains(m.heard, e) })
	case "wait":
		w.now = w.now.Add(time.Duration(rapid.IntRange(1, 700).Draw(t, "seconds")) * time.Second)
		w.roster.giveUp(w.roster.overdue(w.now, time.Minute))
	}
}

func (w *rosterWorld) draw(t *rapid.T, m *rosterMachine) (throng.ServerID, bool) {
	ids := []throng.ServerID{}
	for id := range m.alive {
		ids = append(ids, id)
	}
	if len(ids) == 0 {
		return "", false
	}
	slices.Sort(ids)
	return rapid.SampledFrom(ids).Draw(t, "server"), true
}

// allocate asks a node, whose answer may be lost with its connection.
func (w *rosterWorld) allocate(t *rapid.T) {
	picked := w.roster.pick(nil)
	if picked == nil {
		return
	}
	id := rosterServer(w.next)
	w.next++
	w.roster.put(id, picked, placedAsked)
	m := w.nodes[slices.IndexFunc(w.nodes, func(m *rosterMachine) bool { return m.id == picked.id })]
	switch rapid.SampledFrom([]string{"started", "refused", "lost before", "lost after"}).Draw(t, "answer") {
	case "started":
		m.alive[id] = true
		w.roster.allocated(picked, id, nil)
	case "refused":
		w.roster.allocated(picked, id, throng.Errorf(throng.NoCapacity, "full"))
	case "lost after":
		m.alive[id] = true
		fallthrough
	case "lost before":
		w.roster.leave(m.id, m.link, w.now)
		m.link = nil
	}
}

func (w *rosterWorld) release(m *rosterMachine, id throng.ServerID) {
	w.released[id] = true
	w.roster.over.Add(id, "")
	if m.link != nil && w.roster.servers[id] != nil {
		w.end(m, id)
		if w.roster.released(w.roster.nodes[m.id], id) {
			w.told[id]++
		}
	}
}

func (w *rosterWorld) check(t *rapid.T) {
	for id, p := range w.roster.servers {
		if p.on.servers[id] != p {
			t.Fatalf("%s is not on its node", id)
		}
	}
	count := 0
	for _, m := range w.roster.nodes {
		count += len(m.servers)
	}
	if count != len(w.roster.servers) {
		t.Fatalf("nodes have %d servers, %d are known", count, len(w.roster.servers))
	}
	for id, times := range w.told {
		if times > 1 {
			t.Fatalf("the exit of %s was told %d times", id, times)
		}
		for _, m := range w.nodes {
			if m.alive[id] {
				t.Fatalf("%s was told as over by its node's word, and is alive", id)
			}
		}
	}
}
