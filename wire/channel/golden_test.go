package channel_test

import (
	"bytes"
	"encoding/hex"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/throng-gg/throng/wire/channel"
)

var update = flag.Bool("update", false, "write testdata")

const transcript = "testdata/transcript.txt"

// TestTranscript replays what a client's end did over a bad network. Clients in
// other languages do the same: sdk/ts/test/channel.test.ts.
func TestTranscript(t *testing.T) {
	if *update {
		writeTranscript(t)
	}
	file, err := os.ReadFile(filepath.FromSlash(transcript))
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	note := func(line string, args ...any) { fmt.Fprintf(&out, line+"\n", args...) }
	s := &side{conn: channel.New(channel.Config{}), record: note}
	for line := range strings.Lines(string(file)) {
		if line = strings.TrimSuffix(line, "\n"); !strings.HasPrefix(line, "\t") {
			note("%s", line)
			command(t, s, line, func(d []byte) { note("\tdatagram %x", d) })
		}
	}
	if out.String() != string(file) {
		got, want := strings.Split(out.String(), "\n"), strings.Split(string(file), "\n")
		for i := range want {
			if i >= len(got) || got[i] != want[i] {
				t.Fatalf("line %d: got %.200s, want %.200s", i+1, got[min(i, len(got)-1)], want[i])
			}
		}
		t.Fatal("more came than there is in the file")
	}
}

// command carries out one line.
func command(t *testing.T, s *side, line string, transmit func([]byte)) {
	t.Helper()
	words := append(strings.Split(line, " "), "", "")
	ms, err := strconv.ParseInt(words[0], 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	now := time.UnixMilli(ms)
	data, err := hex.DecodeString(words[2])
	if err != nil {
		t.Fatal(err)
	}
	switch words[1] {
	case "queue":
		err = s.conn.Queue(data)
	case "receive":
		err = s.conn.Receive(now, data, s)
	case "flush":
		var tag uint64
		if tag, err = strconv.ParseUint(words[3], 10, 64); err == nil {
			s.conn.Flush(now, data, tag, transmit)
		}
	default:
		t.Fatalf("no command: %.100s", line)
	}
	if err != nil {
		t.Fatalf("%.100s: %v", line, err)
	}
}

func writeTranscript(t *testing.T) {
	t.Helper()
	var out bytes.Buffer
	note := func(line string, args ...any) { fmt.Fprintf(&out, line+"\n", args...) }
	w := rough()
	w.loss, w.reorder = 0.15, 0.1
	n := newNet(t, 21, w)
	n.now = time.UnixMilli(1000)
	random := rand.New(rand.NewPCG(3, 4))
	server, client := n.ends[0], n.ends[1]
	client.record = note
	some := func(most int) []byte {
		b := make([]byte, 1+random.IntN(most))
		for i := range b {
			b[i] = byte(random.Uint32())
		}
		return b
	}
	for tick := range 500 {
		n.arrive(n.now.Add(33 * time.Millisecond))
		if tick%9 == 0 && tick < 400 {
			if err := server.conn.Queue(some([]int{20, 200, 2500}[random.IntN(3)])); err != nil {
				t.Fatal(err)
			}
			m := some([]int{20, 200, 1500}[random.IntN(3)])
			note("%d queue %x", n.now.UnixMilli(), m)
			if err := client.conn.Queue(m); err != nil {
				t.Fatal(err)
			}
		}
		size := 30
		if tick%60 == 0 {
			size = 3000
		}
		server.conn.Flush(n.now, some(size), uint64(tick+1), server.transmit)
		state := some(12)
		note("%d flush %x %d", n.now.UnixMilli(), state, tick+1)
		client.conn.Flush(n.now, state, uint64(tick+1), func(d []byte) {
			note("\tdatagram %x", d)
			client.transmit(d)
		})
	}
	server.conn.Last(n.now, []byte("over"), server.transmit)
	n.arrive(n.now.Add(time.Second))
	if len(client.messages) != 45 || len(server.messages) != 45 {
		t.Fatalf("only %d and %d messages came", len(client.messages), len(server.messages))
	}
	if err := os.WriteFile(filepath.FromSlash(transcript), out.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
}
