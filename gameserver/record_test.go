package gameserver

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"encoding/json"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"testing"
	"time"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/client"
	"github.com/throng-gg/throng/wire"
)

var update = flag.Bool("update", false, "rewrite the recorded stream")

// streamFile is one player's side of a session over a bad network, a JSON object
// a line: payloads that came and what a client makes of them, inputs that he
// made and the bytes that they are. Clients in other languages replay it too.
const streamFile = "../wire/testdata/stream.jsonl"

// event is one line: a payload that came (In), or an input that went out (Out).
type event struct {
	At      int64  // milliseconds, of the client's clock
	In, Out string `json:",omitzero"`

	// Of In: what changed. Failed: it made no sense.
	Welcomed, Mismatch, Failed bool        `json:",omitzero"`
	Tick                       throng.Tick `json:",omitzero"`
	Verified                   int         `json:",omitzero"`
	Round                      int64       `json:",omitzero"` // milliseconds
	// Of a tick: the world after it.
	Entities int    `json:",omitzero"`
	Hash     string `json:",omitzero"`

	// Of Out.
	X, Y    float64 `json:",omitzero"`
	Buttons uint32  `json:",omitzero"`
}

// receive lets a client take the payload and says what happened.
func (e event) receive(t *testing.T, c *client.World) event {
	t.Helper()
	payload, err := hex.DecodeString(e.In)
	if err != nil {
		t.Fatal(err)
	}
	u, err := c.Receive(payload, time.UnixMilli(e.At))
	got := event{
		At: e.At, In: e.In, Failed: err != nil,
		Welcomed: u.Welcomed, Mismatch: u.Mismatch, Tick: u.Tick, Verified: u.Verified, Round: u.Round.Milliseconds(),
	}
	if u.Tick != 0 {
		got.Entities, got.Hash = c.Len(), fmt.Sprintf("%016x", c.View().Hash())
	}
	return got
}

// send lets a client make the input.
func (e event) send(c *client.World) event {
	got := e
	got.Out = hex.EncodeToString(c.Input(e.X, e.Y, e.Buttons, time.UnixMilli(e.At)))
	return got
}

func TestRecordedStream(t *testing.T) {
	if *update {
		writeStream(t, recordStream(t))
	}
	file, err := os.ReadFile(streamFile)
	if err != nil {
		t.Fatal(err)
	}
	c := client.NewWorld()
	ticks := 0
	lines := bufio.NewScanner(bytes.NewReader(file))
	for lines.Scan() {
		var want event
		if err := json.Unmarshal(lines.Bytes(), &want); err != nil {
			t.Fatal(err)
		}
		var got event
		if want.In != "" {
			got = want.receive(t, c)
		} else {
			got = want.send(c)
		}
		if got != want {
			t.Fatalf("got %+v\nwant %+v", got, want)
		}
		if got.Tick != 0 {
			ticks++
		}
	}
	if err := lines.Err(); err != nil || ticks < 100 {
		t.Errorf("the stream has %d ticks, want 100 (%v)", ticks, err)
	}
}

// recordStream runs 240 ticks of a small crowd over a network that loses every
// eighth payload, delays and doubles some. One hash is spoilt, so that the
// client asks for all anew; one payload is cut short.
func recordStream(t *testing.T) []event {
	t.Helper()
	crowd := newCrowd(t, 5)
	for i := range 24 {
		crowd.spawn(i%4/3, "ada")
	}
	for range 30 { // for a first snapshot of several payloads
		crowd.spawn(1, "a.player:with_a-long-name")
	}
	p := newPlayer(crowd, rand.New(rand.NewPCG(11, 3)), 0.12, 2)
	now := time.UnixMilli(1e12)
	p.client = client.NewWorld()
	welcome := hex.EncodeToString(wire.AppendWelcome(nil, welcomeTo(crowd)))
	out := []event{event{At: now.UnixMilli(), In: welcome}.receive(t, p.client)}
	spoilt, cut := false, false
	for range 240 {
		now = now.Add(time.Second / 30)
		crowd.churn()
		crowd.step()
		for _, payload := range p.replica.Payloads(crowd.tick, now) {
			p.down.send(payload)
		}
		for _, payload := range p.down.receive() {
			s, err := wire.ParseSnapshot(payload, p.client.Tick())
			fresh := err == nil && s.Tick > p.client.Tick()
			switch {
			case fresh && s.Tick > 100 && s.HasHash && !spoilt:
				spoilt = true
				s.Hash ^= 1 << 20
				payload = wire.AppendSnapshot(nil, s)
			case fresh && s.Tick > 180 && !cut:
				cut = true
				payload = payload[:len(payload)/2]
			}
			out = append(out, event{At: now.UnixMilli(), In: hex.EncodeToString(payload)}.receive(t, p.client))
		}
		e := event{At: now.UnixMilli(), X: p.up.r.Float64()*2.2 - 1.1, Y: p.up.r.Float64()*2 - 1, Buttons: p.up.r.Uint32() >> p.up.r.IntN(33)}
		out = append(out, e.send(p.client))
		payload, err := hex.DecodeString(out[len(out)-1].Out)
		if err != nil {
			t.Fatal(err)
		}
		p.up.send(payload)
		for _, payload := range p.up.receive() {
			in, err := wire.ParseInput(payload)
			if err != nil {
				t.Fatal(err)
			}
			p.replica.Receive(in, now)
		}
	}
	return out
}

func writeStream(t *testing.T, events []event) {
	t.Helper()
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	for _, e := range events {
		if err := enc.Encode(e); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(streamFile, b.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
}
