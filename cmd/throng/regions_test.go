package main

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/auth"
	"github.com/throng-gg/throng/cmd/command"
	"github.com/throng-gg/throng/disk"
)

// regionSpot is where a region is going to be.
type regionSpot struct {
	name       throng.RegionID
	number     int
	data, addr string
	keys       *auth.Ring
}

// newRegionSpot makes a region's secrets, which its first start would make else.
func newRegionSpot(t *testing.T, name throng.RegionID, number int) *regionSpot {
	t.Helper()
	s := &regionSpot{name: name, number: number, data: filepath.Join(t.TempDir(), "data"), addr: freePort(t)}
	if err := os.MkdirAll(s.data, 0o700); err != nil {
		t.Fatal(err)
	}
	var err error
	if s.keys, err = auth.NewRing(auth.RingConfig{Secrets: disk.Ring{Dir: s.data}}); err != nil {
		t.Fatal(err)
	}
	return s
}

// tokensOf writes what others made for a region.
func tokensOf(t *testing.T, own throng.RegionID, others ...*regionSpot) (file string) {
	t.Helper()
	var b strings.Builder
	for _, o := range others {
		token, err := o.keys.RegionToken(own)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&b, "# of %s\n\n%s = %s\n", o.name, o.name, token)
	}
	file = filepath.Join(t.TempDir(), "tokens")
	if err := os.WriteFile(file, []byte(b.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// TestRegionsHearEachOther: two regions that share nothing tell each other what
// they have. One that is killed is not heard any more, and again when it is back.
func TestRegionsHearEachOther(t *testing.T) {
	t.Parallel()
	eu, us := newRegionSpot(t, "eu", 1), newRegionSpot(t, "us", 2)
	run := func(own, other *regionSpot) (*program, *replicaRun) {
		p := start(t, throngBinary(t), "serve", "control", "--dev", "--region", string(own.name), "--region-number", strconv.Itoa(own.number), "--addr", own.addr, "--data", own.data,
			"--peers", fmt.Sprintf("%s=http://%s", other.name, other.addr), "--peer-tokens", tokensOf(t, own.name, other))
		p.line("listens at", 60*time.Second)
		return p, &replicaRun{t: t, url: "http://" + own.addr, logs: p.logs}
	}
	heard := func(r *replicaRun, other *regionSpot, want int) {
		t.Helper()
		eventually(t, 60*time.Second, fmt.Sprintf("throng_region_heard of %s is %d", other.name, want), func() bool {
			return r.gauge(fmt.Sprintf("throng_region_heard{region=%q}", other.name)) == want
		})
	}
	_, a := run(eu, us)
	other, b := run(us, eu)
	heard(a, us, 1)
	heard(b, eu, 1)
	other.stop(syscall.SIGKILL)
	heard(a, us, 0)
	if log := a.logs.String(); !strings.Contains(log, "region is not heard") {
		t.Error("the log says nothing of a region that is gone")
	}
	us.number = 1
	other, _ = run(us, eu)
	eventually(t, 60*time.Second, "a region with the same number is refused", func() bool {
		return strings.Contains(a.logs.String(), "region has the number of another")
	})
	heard(a, us, 0)
	other.stop(syscall.SIGTERM)
	us.number = 2
	run(us, eu)
	heard(a, us, 1)
}

func TestPeersThatMakeNoSense(t *testing.T) {
	us := newRegionSpot(t, "us", 2)
	good := tokensOf(t, "eu", us)
	many := make([]string, 0, throng.MaxRegions)
	for i := range throng.MaxRegions {
		many = append(many, fmt.Sprintf("r%d=http://r%d", i, i))
	}
	for _, c := range []struct{ peers, tokens, want string }{
		{"us=http://us", "", "--peer-tokens"},
		{"", good, "--peer-tokens"},
		{"http://us", good, "--peers"},
		{"us=ftp://us", good, `--peers: "ftp://us" of region us`},
		{"us", good, `--peers: "" of region us`},
		{"eu=http://eu", good, "--peers: eu is this region itself"},
		{strings.Join(many, ","), good, "--peers: 16 regions are too many"},
	} {
		f := peersFlags{PeerTokens: c.tokens}
		if c.peers != "" {
			f.Peers = strings.Split(c.peers, ",")
		}
		if _, err := f.others("eu"); throng.KindOf(err) != throng.Invalid || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want invalid and %q", c.peers, err, c.want)
		}
	}
	f := peersFlags{Peers: []string{"us=https://a.example/", "us=b.example"}, PeerTokens: good}
	if got, err := f.others("eu"); err != nil || got["us"] != "https://a.example,http://b.example" {
		t.Errorf("got %v, %v, want both doors of us", got, err)
	}
}

func TestPeerTokens(t *testing.T) {
	us := newRegionSpot(t, "us", 2)
	line, err := os.ReadFile(tokensOf(t, "eu", us))
	if err != nil {
		t.Fatal(err)
	}
	secret := strings.TrimSpace(strings.SplitN(string(line), "=", 2)[1])
	for name, c := range map[string]struct{ text, want string }{
		"no such region":   {"asia=" + secret, "has no line for region us"},
		"twice":            {"us=" + secret + "\nus=" + secret, "line 2: us is there twice"},
		"no token":         {"us=", "line 1: is no credential of region eu"},
		"no region":        {"\n" + secret, "line 2 does not begin with a region's name"},
		"of somebody else": {"us=" + strings.Replace(secret, ".", ".x", 1), "line 1: is no credential of region eu"},
		"large":            {strings.Repeat("#", maxPeerTokens+1), "is larger than"},
	} {
		file := filepath.Join(t.TempDir(), "tokens")
		if err := os.WriteFile(file, []byte(c.text), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := readPeerTokens(file, "eu", []throng.RegionID{"us"})
		if throng.KindOf(err) != throng.Invalid || !strings.Contains(err.Error(), c.want) || !strings.HasPrefix(err.Error(), "--peer-tokens: ") {
			t.Errorf("%s: got %v, want invalid and %q", name, err, c.want)
		}
		if err != nil && strings.Contains(err.Error(), secret[:20]) {
			t.Errorf("%s: the error tells the token: %v", name, err)
		}
	}
	if _, err := readPeerTokens(tokensOf(t, "asia", us), "eu", nil); throng.KindOf(err) != throng.Invalid {
		t.Errorf("another region's: got %v, want invalid", err)
	}
	if _, err := readPeerTokens(filepath.Join(t.TempDir(), "none"), "eu", nil); throng.KindOf(err) != throng.Invalid || !strings.HasPrefix(err.Error(), "--peer-tokens: ") {
		t.Errorf("no file: got %v, want invalid", err)
	}
	if got, err := readPeerTokens(tokensOf(t, "eu", us), "eu", []throng.RegionID{"us"}); err != nil || got["us"] == "" {
		t.Errorf("got %v, %v, want a token of us", got, err)
	}
}

// Credentials are read again when their file changes; a bad file changes nothing.
func TestPeerTokensChange(t *testing.T) {
	us := newRegionSpot(t, "us", 2)
	file := tokensOf(t, "eu", us)
	synctest.Test(t, func(t *testing.T) {
		logs := &logBuffer{}
		tokens := (&peersFlags{PeerTokens: file}).tokens("eu", []throng.RegionID{"us"}, slog.New(slog.NewTextHandler(logs, nil)))
		first, err := tokens.Get()
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range []struct {
			text string
			same bool
		}{{"us=nonsense", true}, {"us=" + first["us"] + "\n" + "asia=" + first["us"] + "\n", false}} {
			if err := os.WriteFile(file, []byte(c.text), 0o600); err != nil {
				t.Fatal(err)
			}
			<-time.After(2 * command.WatchPause)
			got, err := tokens.Get()
			if err != nil || got["us"] != first["us"] || (len(got) == 1) != c.same {
				t.Errorf("got %d tokens, %v, want the old ones: %v", len(got), err, c.same)
			}
		}
		if !strings.Contains(logs.String(), "the old ones stay") {
			t.Error("the log says nothing of a bad file")
		}
	})
}
