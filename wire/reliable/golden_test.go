package reliable_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/hex"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/throng-gg/throng/wire/reliable"
)

var (
	update    = flag.Bool("update", false, "write testdata from the reference")
	reference = flag.String("reference", "", "program made of the reference, see testdata/README.md")
)

const golden = "testdata/reference.txt"

// end is one end of a conversation: it takes commands and says what came of
// them, a line each.
type end interface {
	do(command string) []string
}

// ours is an Endpoint as an end.
type ours struct {
	t        *testing.T
	e        *reliable.Endpoint
	out      []string
	acks     []string
	received int
}

// config is what testdata was made with.
func config() reliable.Config {
	return reliable.Config{MaxPacket: 2000, FragmentAbove: 100, FragmentSize: 100, Assemblies: 64}
}

func newOurs(t *testing.T) *ours {
	t.Helper()
	e, err := reliable.New(config())
	if err != nil {
		t.Fatal(err)
	}
	return &ours{t: t, e: e}
}

func (o *ours) Packet(h reliable.Header, content []byte) bool {
	o.received++
	o.out = append(o.out, fmt.Sprintf("packet %d %x", h.Sequence, content))
	return content[0] != 0xEE
}

func (o *ours) Acked(sequence uint16) { o.acks = append(o.acks, fmt.Sprintf("acked %d", sequence)) }

func (o *ours) do(command string) []string {
	o.t.Helper()
	o.out, o.acks = nil, nil
	var h reliable.Header
	if n, _ := fmt.Sscanf(command, "header %d %d %d", &h.Sequence, &h.Ack, &h.Bits); n == 3 {
		return []string{fmt.Sprintf("datagram %x", h.Append(nil))}
	}
	verb, text, _ := strings.Cut(command, " ")
	data, err := hex.DecodeString(text)
	if err != nil {
		o.t.Fatal(err)
	}
	switch verb {
	case "send":
		if _, err := o.e.Send(data, func(d []byte) { o.out = append(o.out, fmt.Sprintf("datagram %x", d)) }); err != nil {
			o.t.Fatal(err)
		}
	case "receive":
		if err := o.e.Receive(data, o); err != nil {
			o.out = append(o.out, "error "+err.Error())
		}
	}
	return append(o.out, o.acks...)
}

// theirs is the reference as an end.
type theirs struct {
	t   *testing.T
	in  io.Writer
	out *bufio.Scanner
}

func newTheirs(t *testing.T) *theirs {
	t.Helper()
	cmd := exec.CommandContext(context.WithoutCancel(t.Context()), *reference)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := in.Close(); err != nil {
			t.Error(err)
		}
		if err := cmd.Wait(); err != nil {
			t.Error(err)
		}
	})
	s := bufio.NewScanner(out)
	s.Buffer(nil, 1<<20)
	return &theirs{t: t, in: in, out: s}
}

func (r *theirs) do(command string) []string {
	r.t.Helper()
	if _, err := fmt.Fprintln(r.in, command); err != nil {
		r.t.Fatal(err)
	}
	var lines []string
	for r.out.Scan() {
		if r.out.Text() == "." {
			return lines
		}
		lines = append(lines, r.out.Text())
	}
	r.t.Fatalf("the reference ended at %q", command)
	return nil
}

// converse lets two ends talk over a network that loses, doubles and reorders,
// and gives say each command with what came of it.
func converse(seed uint64, rounds int, ends [2]end, say func(who int, command string, came []string)) {
	random := rand.New(rand.NewPCG(seed, 1))
	var way [2][]string // datagrams to an end
	do := func(who int, command string) {
		came := ends[who].do(command)
		say(who, command, came)
		for _, line := range came {
			d, ok := strings.CutPrefix(line, "datagram ")
			for ok {
				to := 1 - who
				at := max(0, len(way[to])-random.IntN(4)*random.IntN(3))
				way[to] = append(way[to][:at], append([]string{d}, way[to][at:]...)...)
				ok = random.IntN(30) == 0 // doubled
			}
		}
	}
	for range rounds {
		who := random.IntN(2)
		content := make([]byte, 1+random.IntN(20))
		if random.IntN(25) == 0 {
			content = make([]byte, 1+random.IntN(400))
		}
		for i := range content {
			content[i] = byte(random.Uint32())
		}
		if random.IntN(30) == 0 {
			content[0] = 0xEE // the other side refuses it
		}
		do(who, "send "+hex.EncodeToString(content))
		for to := range way {
			for len(way[to]) > random.IntN(6) {
				d := way[to][0]
				way[to] = way[to][1:]
				if random.IntN(12) != 0 {
					do(to, "receive "+d)
				}
			}
		}
	}
}

// headers gives say headers that stand at the edges of what can be left out.
func headers(say func(command string)) {
	for _, s := range []uint16{0, 1, 255, 256, 1000, 32768, 65535, 7} {
		for _, a := range []uint16{0, 1, 254, 255, 256, 999, 65535, 32760} {
			for _, b := range []uint32{0xFFFFFFFF, 0, 0xFFFFFF00, 0x00FFFFFF, 0xDEADBEEF, 0xFF00FF00, 0x000000FF, 0xFFFF00FF} {
				say(fmt.Sprintf("header %d %d %d", s, a, b))
			}
		}
	}
}

// TestReference replays what two ends of the reference said to each other.
func TestReference(t *testing.T) {
	if *update {
		record(t)
	}
	file, err := os.ReadFile(filepath.FromSlash(golden))
	if err != nil {
		t.Fatal(err)
	}
	ends := map[string]end{"a": newOurs(t), "b": newOurs(t)}
	lines := strings.Split(strings.TrimSpace(string(file)), "\n")
	commands := 0
	for i := 0; i < len(lines); commands++ {
		who, command, _ := strings.Cut(lines[i], " ")
		at := i
		var want []string
		for i++; i < len(lines) && strings.HasPrefix(lines[i], "\t"); i++ {
			want = append(want, lines[i][1:])
		}
		if got := ends[who].do(command); strings.Join(got, "\n") != strings.Join(want, "\n") {
			t.Fatalf("line %d, %.80s\ngot  %q\nwant %q", at+1, command, got, want)
		}
	}
	if commands < 1000 {
		t.Errorf("only %d commands", commands)
	}
	t.Logf("%d headers, packets and datagrams as the reference has them", commands)
}

func record(t *testing.T) {
	t.Helper()
	var out bytes.Buffer
	say := func(who int, command string, came []string) {
		fmt.Fprintf(&out, "%c %s\n", 'a'+who, command)
		for _, line := range came {
			fmt.Fprintf(&out, "\t%s\n", line)
		}
	}
	a, b := newTheirs(t), newTheirs(t)
	headers(func(command string) { say(0, command, a.do(command)) })
	converse(1, 500, [2]end{a, b}, say)
	if err := os.WriteFile(filepath.FromSlash(golden), out.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestWithReference lets our end talk to the reference's, in both roles, and
// watches that both do what another of theirs and ours would.
func TestWithReference(t *testing.T) {
	if *reference == "" {
		t.Skip("SKIPPED: no -reference program; testdata/README.md says how it is made. TestReference compares with what it said.")
	}
	for seed := range uint64(4) {
		mine, his := newOurs(t), newTheirs(t)
		shadows := [2]end{newTheirs(t), newOurs(t)}
		n := 0
		converse(seed+10, 5000, [2]end{mine, his}, func(who int, command string, came []string) {
			n++
			if got := shadows[who].do(command); strings.Join(got, "\n") != strings.Join(came, "\n") {
				t.Fatalf("seed %d, %d: %s\none says   %q\nother says %q", seed, who, command, came, got)
			}
		})
		if mine.received < 1000 {
			t.Errorf("only %d packets came", mine.received)
		}
		t.Logf("seed %d: %d commands", seed, n)
	}
}
