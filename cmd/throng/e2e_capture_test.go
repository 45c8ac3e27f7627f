package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/throng-gg/throng/bot"
)

// TestGatewayHidesServers: of all that is on the wire between players and a region
// behind a gateway, as tshark captures it, no packet comes from or goes to a game
// server's address, and none has it in it.
func TestGatewayHidesServers(t *testing.T) {
	t.Parallel()
	tshark, err := exec.LookPath("tshark")
	if err != nil {
		t.Skip("NOT TESTED: there is no tshark, which captures what is on the wire")
	}
	wires := newRealms(t, 1)
	net := wires.nets[0]
	hidden := next(net.address, 100)
	if err := wires.ip("-n", net.name, "addr", "add", hidden+"/32", "dev", "lo"); err != nil {
		t.Fatal(err)
	}
	door := fmt.Sprintf("%s:%d", net.address, realmDoor)
	p := wires.in(0, throngBinary(t), "dev", "--addr", door, "--data", filepath.Join(t.TempDir(), "data"), "--gateway", net.address+":7800",
		"--server-command", fmt.Sprintf("%s --udp %s:0 --web off", gameServerBinary(t), hidden))
	p.line("ready at", 60*time.Second)
	r := newRegion(t, p, "http://"+door, "")

	file := filepath.Join(t.TempDir(), "wire.pcapng")
	capture := start(t, tshark, "-q", "-i", wires.bridge, "-w", file, "-P", "-l")
	eventually(t, 30*time.Second, "tshark captures", func() bool { return strings.Contains(capture.logs.String(), "Capturing on") && size(file) > 0 })
	report := r.bots(t.Context(), bot.Config{Place: "arena", Players: 10, For: 3 * time.Second})
	if !report.OK() {
		t.Errorf("10 bots: joined %d failed %d mismatched %d, want all well", report.Joined, report.Failed, report.Mismatched)
	}
	capture.stop(syscall.SIGINT)
	// Operators are told.
	if sessions := r.sessions("arena"); len(sessions) == 0 || !strings.HasPrefix(sessions[0].Address, hidden+":") {
		t.Fatalf("sessions %+v, want one at %s", sessions, hidden)
	}
	count := func(filter string) int {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		out, err := exec.CommandContext(ctx, tshark, "-r", file, "-Y", filter, "-T", "fields", "-e", "frame.number").Output()
		if err != nil {
			t.Fatalf("tshark -Y %q: %v", filter, err)
		}
		return strings.Count(string(out), "\n")
	}
	if n := count("udp.port == 7800 && ip.addr == " + net.address); n < 1000 {
		t.Errorf("%d packets of the gateway were captured, want those of 10 players", n)
	}
	if n := count("http.response.code == 200"); n < 10 {
		t.Errorf("%d answers of the door were captured, want at least one for each player", n)
	}
	for what, filter := range map[string]string{
		"from or to a game server":  "ip.addr == " + hidden,
		"with its address in bytes": "frame contains " + hexOf(hidden), "with its address in words": fmt.Sprintf("frame contains %q", hidden),
	} {
		if n := count(filter); n > 0 {
			t.Errorf("%d packets are %s, want none", n, what)
		}
	}
}

// hexOf is an IPv4 address as tshark has bytes.
func hexOf(address string) string {
	var out []string
	for part := range strings.SplitSeq(address, ".") {
		n, _ := strconv.Atoi(part)
		out = append(out, fmt.Sprintf("%02x", n))
	}
	return strings.Join(out, ":")
}

func size(file string) int64 {
	info, err := os.Stat(file)
	if err != nil {
		return 0
	}
	return info.Size()
}
