package beacon

import (
	"bytes"
	"fmt"
	"net/http/httptest"
	"os/exec"
	"strings"
	"testing"

	"github.com/throng-gg/throng/edge/beacon/probe"
)

// foreign is a client that is written by what package probe says of the protocol, and
// shares nothing with it.
const foreign = `
import os, socket, sys, time

PER_SOURCE = int(sys.argv[3])
BEGUN = time.monotonic()
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.connect((sys.argv[1], int(sys.argv[2])))

def ask(probe, wait):
    s.settimeout(wait)
    s.send(probe)
    try:
        return s.recv(4096)
    except socket.timeout:
        return None

def must(ok, what):
    if not ok:
        print("FAILED: " + what)
        sys.exit(1)

# Each size comes back as it went, with its own nonce.
for size in (16, 17, 40, 64):
    probe = b"THRNGBCN" + os.urandom(8) + os.urandom(size - 16)
    got = ask(probe, 30)
    must(got == probe, "a probe of %d bytes: got %r" % (size, got))

# What is no probe is answered by nothing; the probe behind it still is. The answers come in
# the order of the questions, so that nothing else came if that one is next.
for bad in (b"", b"T", b"THRNGBCN", b"THRNGBCN1234567", b"THRNGBCX" + bytes(8), b"THRNGBCN" + bytes(57), bytes(1200)):
    s.send(bad)
probe = b"THRNGBCN" + os.urandom(8)
got = ask(probe, 30)
must(got == probe, "after what is no probe: got %r" % got)

# More than a source may ask: it gets what the limit lets through, and nothing twice.
sent = [b"THRNGBCN" + i.to_bytes(8, "big") for i in range(20 * PER_SOURCE)]
for probe in sent:
    s.send(probe)
answers = []
s.settimeout(0.5)
try:
    while True:
        answers.append(s.recv(4096))
except socket.timeout:
    pass
must(set(answers) <= set(sent), "an answer to nothing")
must(len(set(answers)) == len(answers), "an answer came twice")
most = PER_SOURCE * (1 + time.monotonic() - BEGUN) + 1
must(len(answers) <= most, "%d answers, at most %d are allowed" % (len(answers), most))
print("answered %d of %d" % (len(answers), len(sent)))
`

// A client in another language, of which not a line is ours, gets what the protocol
// promises.
func TestForeignClient(t *testing.T) {
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Skipf("SKIPPED: no python3: %v", err)
	}
	const perSource = 20
	b := run(t, Config{PerSource: perSource})
	at := b.Address()
	out, err := exec.CommandContext(t.Context(), python, "-c", foreign, at.Addr().String(), fmt.Sprint(at.Port()), fmt.Sprint(perSource)).CombinedOutput()
	if err != nil {
		t.Fatalf("python3: %v\n%s", err, out)
	}
	t.Logf("%s", bytes.TrimSpace(out))
}

// curl sees over HTTP what a page does: no body, nothing to keep, and leave to time it.
func TestForeignHTTP(t *testing.T) {
	curl, err := exec.LookPath("curl")
	if err != nil {
		t.Skipf("SKIPPED: no curl: %v", err)
	}
	s := httptest.NewServer(Handler(0))
	defer s.Close()
	call := func(args ...string) string {
		t.Helper()
		args = append([]string{"--silent", "--show-error", "--noproxy", "*", "--max-time", "60", "--include", "--write-out", "%{size_download} bytes"}, args...)
		out, err := exec.CommandContext(t.Context(), curl, append(args, s.URL+probe.Path)...).CombinedOutput()
		if err != nil {
			t.Fatalf("curl: %v\n%s", err, out)
		}
		return strings.ToLower(string(out))
	}
	got := call()
	for _, want := range []string{" 204 ", "access-control-allow-origin: *", "timing-allow-origin: *", "cache-control: no-store", "\n0 bytes"} {
		if !strings.Contains(got, want) {
			t.Errorf("got %q, want %q in it", got, want)
		}
	}
	if got := call("--data", "x"); !strings.Contains(got, " 405 ") {
		t.Errorf("POST: got %q, want 405", got)
	}
}
