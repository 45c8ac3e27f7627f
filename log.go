package throng

import "time"

// MaxLogText is the most bytes that a log line's text has.
const MaxLogText = 1024

// LogLevel says who wrote a line of a place's log.
type LogLevel uint8

// The levels of log lines.
const (
	LogPrint LogLevel = iota + 1 // a script printed it
	LogInfo                      // Throng says what happened: a session started, or ended in order
	LogError                     // a script's error or a line of its stack, or a session that a script ended
)

// String returns the word that people and the API see.
func (l LogLevel) String() string {
	switch l {
	case LogPrint:
		return "print"
	case LogInfo:
		return "info"
	case LogError:
		return "error"
	}
	return "unknown"
}

// ParseLogLevel is String's reverse. field says where it came from.
func ParseLogLevel(field, s string) (LogLevel, error) {
	for _, l := range []LogLevel{LogPrint, LogInfo, LogError} {
		if l.String() == s {
			return l, nil
		}
	}
	return 0, AtField(Invalid, field, "%q is not print, info or error", clip(s))
}

// LogLine is one line of a place's log.
type LogLine struct {
	Time    time.Time
	Session SessionID // empty: of the version as a whole
	Version Version
	Level   LogLevel
	Text    string // one line, up to MaxLogText bytes
}

// LogBatch is a piece of a session's log, as its game server sends it.
type LogBatch struct {
	Session     SessionID
	Incarnation Incarnation
	First       uint64    // number of the first line, counted from 1 in this life of the server
	Lines       []LogLine // Session and Version are not looked at
}

// LogQuery says which lines of a place's log to read.
type LogQuery struct {
	After   uint64        // those after this cursor; zero: all that are remembered
	Session SessionID     // of this session only; empty: of all, and of the place
	Limit   int           // at most so many; zero: 200
	Wait    time.Duration // for the first one, if there is none
}

// LogPage is a piece of a place's log, oldest line first.
type LogPage struct {
	Lines []LogLine
	Next  uint64 // cursor of the next piece
}
