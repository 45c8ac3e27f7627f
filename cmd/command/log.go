package command

import (
	"io"
	"log/slog"
)

// LogFlags say how a part logs. Logs go to standard error. Game servers log at
// the level of the control plane that has them started.
type LogFlags struct {
	LogLevel  slog.Level `default:"INFO" env:"THRONG_LOG_LEVEL" enum:"DEBUG,INFO,WARN,ERROR" help:"Least level that is logged."`
	LogFormat string     `default:"text" enum:"text,json" help:"text for people, json for machines."`
}

// Logger makes the part's log.
func (f LogFlags) Logger(out io.Writer) *slog.Logger {
	opts := &slog.HandlerOptions{Level: f.LogLevel}
	if f.LogFormat == "json" {
		return slog.New(slog.NewJSONHandler(out, opts))
	}
	return slog.New(slog.NewTextHandler(out, opts))
}
