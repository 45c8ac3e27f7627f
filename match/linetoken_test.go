package match

import (
	"encoding/base64"
	"testing"
	"time"

	"github.com/throng-gg/throng"
)

// ring is line keys; the last one signs.
type ring [][32]byte

func (r ring) LineKey() [32]byte    { return r[len(r)-1] }
func (r ring) LineKeys() [][32]byte { return r }

// A place in line that is brought along counts for the same wish of the same
// caller in the same region, for as long as a ticket stays in line unasked for.
func TestLineToken(t *testing.T) {
	metrics, err := newMetrics(nil)
	if err != nil {
		t.Fatal(err)
	}
	m := &Matchmaker{region: throng.Region{ID: "eu"}, lineKeys: ring{{1}}, metrics: metrics}
	since := time.UnixMilli(1_800_000_000_000)
	now := since.Add(5 * time.Minute)
	tk := ticket("ada", 2)
	token := m.writeLine(&work{ticket: tk, since: since, phase: inLine}, now)
	if len(token) != 39 {
		t.Errorf("got %q with %d characters, want 39", token, len(token))
	}
	read := func(m *Matchmaker, tk throng.Ticket, token string, at time.Time) (time.Time, bool) {
		tk.Line = token
		return m.readLine(tk, at)
	}
	if got, ok := read(m, tk, token, now.Add(time.Minute)); !ok || !got.Equal(since) {
		t.Errorf("got %s, %v, want %s", got, ok, since)
	}
	// The clock of this matchmaker is behind.
	if _, ok := read(m, tk, token, now.Add(-time.Second)); !ok {
		t.Error("a second before it was made: got refused")
	}
	rotated := &Matchmaker{region: m.region, lineKeys: ring{{1}, {2}}, metrics: metrics}
	if _, ok := read(rotated, tk, token, now); !ok {
		t.Error("after another key signs: got refused")
	}
	early := m.writeLine(&work{ticket: tk, since: now, phase: inLine}, now)
	if got, ok := read(m, tk, early, now.Add(-time.Second)); !ok || got.After(now.Add(-time.Second)) {
		t.Errorf("from a clock that is ahead: got %s, %v, want not later than now", got, ok)
	}

	bigger, other, friend, elsewhere, mode := tk, tk, tk, tk, tk
	bigger.Party = append(bigger.Party, "p-bo")
	other.Key.Ticket = "t-other"
	friend.Key.Caller = "p-eve"
	friend.Party = []throng.PlayerID{"p-eve", "p-ada-1"}
	elsewhere.Place = "maze"
	mode.Mode = throng.ModeNew
	raw, err := base64.RawURLEncoding.DecodeString(token)
	if err != nil {
		t.Fatal(err)
	}
	for i := range raw { // any byte that is not as it was
		forged := append([]byte(nil), raw...)
		forged[i] ^= 1
		if _, ok := read(m, tk, base64.RawURLEncoding.EncodeToString(forged), now); ok {
			t.Errorf("byte %d changed: got accepted", i)
		}
	}
	otherRegion := &Matchmaker{region: throng.Region{ID: "us"}, lineKeys: m.lineKeys, metrics: metrics}
	otherKey := &Matchmaker{region: m.region, lineKeys: ring{{2}}, metrics: metrics}
	noKey := &Matchmaker{region: m.region, metrics: metrics}
	for name, c := range map[string]struct {
		m     *Matchmaker
		t     throng.Ticket
		token string
		after time.Duration
	}{
		"a bigger party":   {m, bigger, token, 0},
		"another ticket":   {m, other, token, 0},
		"another player":   {m, friend, token, 0},
		"another place":    {m, elsewhere, token, 0},
		"another mode":     {m, mode, token, 0},
		"another region":   {otherRegion, tk, token, 0},
		"another key":      {otherKey, tk, token, 0},
		"no key":           {noKey, tk, token, 0},
		"too old":          {m, tk, token, lineIdle + lineSkew + time.Second},
		"from the future":  {m, tk, token, -lineSkew - time.Second},
		"longer":           {m, tk, token + "A", 0},
		"shorter":          {m, tk, token[:38], 0},
		"no base64":        {m, tk, "!" + token[1:], 0},
		"empty":            {m, tk, "", 0},
		"zero":             {m, tk, base64.RawURLEncoding.EncodeToString(make([]byte, 29)), 0},
		"no canonical end": {m, tk, token[:38] + "_", 0},
	} {
		if _, ok := read(c.m, c.t, c.token, now.Add(c.after)); ok {
			t.Errorf("%s: got a place in line, want none", name)
		}
	}
	if got := noKey.writeLine(&work{ticket: tk, since: since}, now); got != "" {
		t.Errorf("without a key: got %q", got)
	}
}

func FuzzLineToken(f *testing.F) {
	metrics, err := newMetrics(nil)
	if err != nil {
		f.Fatal(err)
	}
	m := &Matchmaker{region: throng.Region{ID: "eu"}, lineKeys: ring{{1}}, metrics: metrics}
	now := time.UnixMilli(1_800_000_000_000)
	tk := ticket("ada", 1)
	good := m.writeLine(&work{ticket: tk, since: now.Add(-time.Hour), phase: inLine}, now)
	f.Add(good)
	f.Add("")
	f.Fuzz(func(t *testing.T, token string) {
		tk := tk
		tk.Line = token
		if _, ok := m.openLine(tk, now); ok && token != good {
			t.Errorf("%q was taken for a place in line", token)
		}
	})
}
