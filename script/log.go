package script

import (
	"fmt"
	"strings"
	"unicode"

	"github.com/throng-gg/throng"
)

// Bounds of what a script can write to the log.
const (
	linesPerSecond = 200
	lineBytes      = 1000
	repeatSeconds  = 10  // between two lines about the same error
	errorsKnown    = 100 // errors whose repeats are counted
)

// logger bounds the script's log. Its clock is the simulation's.
type logger struct {
	write   func(level throng.LogLevel, line string)
	left    float64 // lines that may be written now
	dropped int
	errors  map[string]*repeated
}

type repeated struct {
	at    float64 // when it was last written
	count int     // since
}

func newLogger(write func(throng.LogLevel, string)) *logger {
	return &logger{write: write, left: linesPerSecond, errors: make(map[string]*repeated)}
}

// advance lets dt seconds pass.
func (l *logger) advance(dt float64) {
	l.left = min(l.left+dt*linesPerSecond, linesPerSecond)
	if l.dropped > 0 && l.left >= 2 {
		l.left--
		l.write(throng.LogInfo, fmt.Sprintf("(%d lines dropped: a script may write %d a second)", l.dropped, linesPerSecond))
		l.dropped = 0
	}
}

// print writes what the script prints.
func (l *logger) print(line string) { l.line(throng.LogPrint, line) }

// line writes one line, cut and without control characters.
func (l *logger) line(level throng.LogLevel, line string) {
	if l.left < 1 {
		l.dropped++
		return
	}
	l.left--
	cut := line
	if len(cut) > lineBytes {
		cut = cut[:lineBytes] + "…"
	}
	l.write(level, strings.Map(func(r rune) rune {
		if unicode.IsControl(r) && r != '\t' {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(cut, "?")))
}

// failed writes an error with its stack; the same one again after 10 s, with
// how often it came.
func (l *logger) failed(e *Error, now float64) {
	key := e.Error()
	seen := l.errors[key]
	if seen != nil && now-seen.at < repeatSeconds {
		seen.count++
		return
	}
	words := "error in " + e.Event + ": " + key
	if seen != nil && seen.count > 0 {
		words += fmt.Sprintf(" (%d times more)", seen.count)
	}
	l.line(throng.LogError, words)
	for _, s := range e.Stack {
		l.line(throng.LogError, "    "+s)
	}
	if len(l.errors) >= errorsKnown {
		clear(l.errors)
	}
	l.errors[key] = &repeated{at: now}
}
