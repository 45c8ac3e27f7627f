// Command throng-gameserver is one game server: it waits for a session, hosts it,
// and ends. An orchestrator starts it; many run on a machine, so it is a program
// of its own that has nothing of what only the rest of Throng needs.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"syscall"

	"github.com/alecthomas/kong"
	_ "golang.org/x/crypto/x509roots/fallback" // an image from scratch has no authorities of its own

	"github.com/throng-gg/throng/cmd/command"
	"github.com/throng-gg/throng/cmd/host"
)

func main() {
	oneProcessor()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	status := run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
	stop()
	os.Exit(status)
}

// oneProcessor lets one thread run Go code at a time, unless GOMAXPROCS says
// otherwise. A session is one goroutine, and what is beside it takes little: waking
// a second thread for it costs more, and many game servers share the machine's
// processors (docs/benchmarks.md).
func oneProcessor() {
	if os.Getenv("GOMAXPROCS") == "" { //nolint:forbidigo // the runtime's own
		runtime.GOMAXPROCS(1)
	}
}

// run is main without the process around it. It returns the exit status.
func run(ctx context.Context, args []string, in io.Reader, out, errs io.Writer) int {
	var c host.Command
	exited, status := false, 0
	parser, err := kong.New(&c, kong.Name("throng-gameserver"),
		kong.Description("A game server of Throng: waits for a session, hosts it, ends. Started by an orchestrator."),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true}),
		kong.Vars{"version": command.Version()},
		kong.Writers(out, errs),
		kong.Exit(func(code int) { exited, status = true, code }),
	)
	if err == nil {
		_, err = parser.Parse(args)
	}
	switch {
	case exited: // --help
		return status
	case err != nil:
		fmt.Fprintln(errs, "throng-gameserver:", err)
		fmt.Fprintln(errs, "throng-gameserver --help lists the flags")
		return 2
	}
	if err := c.Run(ctx, in, errs); err != nil {
		fmt.Fprintln(errs, "throng-gameserver:", err)
		return 1
	}
	return 0
}
