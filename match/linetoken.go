package match

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"slices"
	"time"

	"github.com/throng-gg/throng"
)

// A line token says since when a ticket stands in line, so that it does not go
// to the end of another matchmaker's when its own one is gone. It is
//
//	version 1 | since, 6 bytes | made, 6 bytes | 16 bytes of HMAC-SHA256
//
// in base64url, the times in milliseconds since 1970. The HMAC covers the whole
// wish, so a token is of no use to another player, for another ticket, or for a
// bigger party. It is good for as long as a ticket stays in line that nobody
// asks for: who wants to keep a place has to come back for it, and a settled
// ticket gives the same answer whatever its token says. What it gains at best is
// one place in the line of each matchmaker of the region, for one answer.
const (
	lineVersion = 1
	lineHead    = 1 + 6 + 6
	lineMAC     = 16
	lineSkew    = 2 * time.Second // between the clocks of two matchmakers
)

// writeLine makes the token of a ticket that stands in line.
func (m *Matchmaker) writeLine(w *work, now time.Time) string {
	if m.lineKeys == nil || w.phase != inLine && w.phase != begun {
		return ""
	}
	b := make([]byte, 0, lineHead+lineMAC)
	b = append(b, lineVersion)
	b = appendMillis(b, w.since)
	b = appendMillis(b, now)
	b = append(b, m.signLine(m.lineKeys.LineKey(), &w.ticket, b)...)
	return base64.RawURLEncoding.EncodeToString(b)
}

// readLine says since when a ticket has been in line. False: its token does not
// say so, or not any more.
func (m *Matchmaker) readLine(t throng.Ticket, now time.Time) (time.Time, bool) {
	if t.Line == "" || m.lineKeys == nil {
		return time.Time{}, false
	}
	since, ok := m.openLine(t, now)
	if ok {
		m.metrics.lineTokens.WithLabelValues("ok").Inc()
	} else {
		m.metrics.lineTokens.WithLabelValues("invalid").Inc()
	}
	return since, ok
}

func (m *Matchmaker) openLine(t throng.Ticket, now time.Time) (time.Time, bool) {
	if len(t.Line) != base64.RawURLEncoding.EncodedLen(lineHead+lineMAC) {
		return time.Time{}, false
	}
	b, err := base64.RawURLEncoding.Strict().DecodeString(t.Line)
	if err != nil || b[0] != lineVersion {
		return time.Time{}, false
	}
	ours := func(key [32]byte) bool { return hmac.Equal(b[lineHead:], m.signLine(key, &t, b[:lineHead])) }
	if !slices.ContainsFunc(m.lineKeys.LineKeys(), ours) {
		return time.Time{}, false
	}
	since, made := millis(b[1:]), millis(b[7:])
	age := now.Sub(made)
	if age < -lineSkew || age > lineIdle+lineSkew || since.After(made) {
		return time.Time{}, false
	}
	if since.After(now) { // by a clock that is ahead
		since = now
	}
	return since, true
}

// signLine is the MAC of a token's head and of the wish that it belongs to.
func (m *Matchmaker) signLine(key [32]byte, t *throng.Ticket, head []byte) []byte {
	mac := hmac.New(sha256.New, key[:])
	var buf [256]byte
	text := append(buf[:0], "throng line"...)
	for _, s := range []string{
		string(m.region.ID), string(t.Key.Caller), string(t.Key.Ticket), string(t.Place), string(t.Mode),
		string(t.Session), string(t.Friend), string(t.PartyID),
	} {
		text = binary.AppendUvarint(text, uint64(len(s)))
		text = append(text, s...)
	}
	text = append(text, t.Code[:]...)
	for _, p := range t.Party {
		text = binary.AppendUvarint(text, uint64(len(p)))
		text = append(text, p...)
	}
	mac.Write(append(text, head...))
	return mac.Sum(nil)[:lineMAC]
}

func appendMillis(b []byte, t time.Time) []byte {
	var full [8]byte
	binary.BigEndian.PutUint64(full[:], uint64(max(t.UnixMilli(), 0)))
	return append(b, full[2:]...)
}

func millis(b []byte) time.Time {
	var full [8]byte
	copy(full[2:], b[:6])
	return time.UnixMilli(int64(binary.BigEndian.Uint64(full[:]))) //nolint:gosec // 48 bits
}
