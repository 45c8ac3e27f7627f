package gen

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/throng-gg/throng"
)

// maxBatch is how many lines one LogBatch has at most.
const maxBatch = 1000

// LogBatchOf is Root's reverse.
func LogBatchOf(b throng.LogBatch) LogBatch {
	out := LogBatch{Incarnation: string(b.Incarnation), First: b.First, Lines: make([]LogEntry, len(b.Lines))}
	for i, line := range b.Lines {
		out.Lines[i] = LogEntry{Time: line.Time.UTC(), Level: line.Level.String(), Text: line.Text}
	}
	return out
}

// Root checks a batch of a session's log. Invalid names the field.
func (b LogBatch) Root(session throng.SessionID) (throng.LogBatch, error) {
	f := &fields{}
	out := throng.LogBatch{Session: session, Incarnation: throng.Incarnation(check(f, "incarnation", b.Incarnation, throng.ParseTicketID)), First: b.First}
	if b.First < 1 || b.First > 1<<53 {
		f.fail(throng.AtField(throng.Invalid, "first", "%d is not a line's number from 1", b.First))
	}
	if len(b.Lines) < 1 || len(b.Lines) > maxBatch {
		f.fail(throng.AtField(throng.Invalid, "lines", "has %d lines, 1 to %d are allowed", len(b.Lines), maxBatch))
		return throng.LogBatch{}, f.err
	}
	out.Lines = make([]throng.LogLine, len(b.Lines))
	for i, line := range b.Lines {
		field := fmt.Sprintf("lines[%d]", i)
		if err := checkLogText(field+".text", line.Text); err != nil {
			f.fail(err)
		}
		out.Lines[i] = throng.LogLine{Time: line.Time, Level: check(f, field+".level", line.Level, throng.ParseLogLevel), Text: line.Text}
	}
	return out, f.err
}

// checkLogText keeps what could move a terminal's cursor out of logs.
func checkLogText(field, text string) error {
	switch {
	case len(text) > throng.MaxLogText:
		return throng.AtField(throng.Invalid, field, "has %d bytes, at most %d are allowed", len(text), throng.MaxLogText)
	case !utf8.ValidString(text):
		return throng.AtField(throng.Invalid, field, "is not UTF-8")
	case strings.ContainsFunc(text, func(r rune) bool { return unicode.IsControl(r) && r != '\t' }):
		return throng.AtField(throng.Invalid, field, "has a control character")
	}
	return nil
}
