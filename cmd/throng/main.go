// Command throng is the whole of Throng in one binary, but for game servers, which
// throng-gameserver is: the platform on one machine (dev), its parts (serve), and
// what creators, operators and testers use.
//
// One file a subcommand; dev.go and platform.go are the whole wiring; config.go
// is the only reader of flags and environment, config_file.go of configuration
// files.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/alecthomas/kong"
	_ "golang.org/x/crypto/x509roots/fallback" // an image from scratch has no authorities of its own
)

// cli is the command line. Each field's type stands in the file of its name.
type cli struct {
	Dev      devCmd      `cmd:"" help:"The whole platform on this machine: door, matchmaker, registry, orchestrator and its game servers."`
	Serve    serveCmd    `cmd:"" help:"One part of a region: the control plane, or a node that runs game servers."`
	Edge     edgeCmd     `cmd:"" help:"What stands between players and regions: gateways, beacons, DNS."`
	New      newCmd      `cmd:"" help:"Write a place to start from into a folder."`
	Publish  publishCmd  `cmd:"" help:"Publish a place from a folder; it is live at once for new sessions."`
	Release  releaseCmd  `cmd:"" help:"Say which versions of a place new sessions run: make one live, try one in a part of them, roll back, pin, drain old ones."`
	Places   placesCmd   `cmd:"" help:"List what is published, with players and sessions."`
	Bans     bansCmd     `cmd:"" help:"List who is banned, say why, let players in again."`
	Profile  profileCmd  `cmd:"" help:"Show and restore what a player keeps in a place's game."`
	Ledger   ledgerCmd   `cmd:"" help:"Show what a player owns in a place's game, give and give back."`
	Home     homeCmd     `cmd:"" help:"Say in which region profiles and the ledger are written; make another one the home."`
	Audit    auditCmd    `cmd:"" help:"Prove that the ledger's books are right, while the region runs."`
	Logs     logsCmd     `cmd:"" help:"Print what a place's scripts print, their errors, and how its sessions begin and end."`
	Owners   ownersCmd   `cmd:"" help:"Show and change who owns a place."`
	Keys     keysCmd     `cmd:"" help:"API keys of a creator, for machines that publish."`
	Sessions sessionsCmd `cmd:"" help:"List the running sessions."`
	Servers  serversCmd  `cmd:"" help:"List the game servers: where they run and what they do."`
	Fleets   fleetsCmd   `cmd:"" help:"List the clusters on which game servers run, with how many are warm, allocated, draining or leaked."`
	Explain  explainCmd  `cmd:"" help:"Say how a ticket was answered: what was considered, what was chosen, and why."`
	Events   eventsCmd   `cmd:"" help:"Look at the log of events: streams, consumers that are behind, and events that could not be applied; replay those."`
	Drain    drainCmd    `cmd:"" help:"Take a session, a game server, a cluster or the region out of use: players are moved to other sessions, and what is empty ends."`
	Bots     botsCmd     `cmd:"" help:"Send players in: real clients over real UDP that check the world they see."`
	Bench    benchCmd    `cmd:"" help:"Put a region under load and measure it, beside the limit in the same run."`
	Token    tokenCmd    `cmd:"" help:"Make a credential from a region's secret: for a node, or for an operator of a region that hands out none."`
	Setup    setupCmd    `cmd:"" help:"Prepare what a region runs on: the tables in DynamoDB, the topics in Kafka."`
	Secret   secretCmd   `cmd:"" help:"The region's ring of secrets: list, rotate, retire."`
	Config   configCmd   `cmd:"" help:"Check a configuration file, or show what a part would run with."`
	Version  versionCmd  `cmd:"" help:"Print the version."`
}

// env is what a command may touch of the world around it.
type env struct {
	ctx context.Context //nolint:containedctx // the command's arguments; it lives as long as the command
	in  io.Reader
	out io.Writer // what was asked for
	err io.Writer // progress, logs and complaints
}

// errSilent ends the program with status 1 without another word: the command
// has said what there is to say.
var errSilent = errors.New("said already")

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	status := run(os.Args[1:], &env{ctx: ctx, in: os.Stdin, out: os.Stdout, err: os.Stderr})
	stop()
	os.Exit(status)
}

// run is main without the process around it. It returns the exit status.
func run(args []string, e *env) int {
	var commands cli
	exited, status := false, 0
	files := newFileResolver()
	parser, err := newParser(
		&commands,
		files,
		kong.Writers(e.out, e.err),
		kong.Exit(func(code int) { exited, status = true, code }),
		kong.UsageOnError(),
	)
	if err != nil {
		fmt.Fprintln(e.err, "throng:", err)
		return 1
	}
	chosen, err := parser.Parse(args)
	switch {
	case exited: // --help
		return status
	case err != nil:
		fmt.Fprintln(e.err, "throng:", files.locate(err))
		fmt.Fprintln(e.err, "throng --help lists the commands")
		return 2
	}
	commands.Dev.args = args
	err = chosen.Run(e)
	switch {
	case errors.Is(err, errSilent):
		return 1
	case err != nil:
		fmt.Fprintln(e.err, "throng:", files.locate(err))
		return 1
	}
	return 0
}
