// Command lab keeps a Kubernetes running for a person: make cluster-up,
// make cluster-down. It is what test/lab gives to tests, and needs the same.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/alecthomas/kong"
)

// cli is the command line.
type cli struct {
	Name string `default:"lab" env:"THRONG_LAB" help:"Which lab: several live side by side."`

	Up     upCmd     `cmd:"" help:"Start a lab, wait until it is ready, say how to use it."`
	Down   downCmd   `cmd:"" help:"End a lab and remove all that was in it."`
	Import importCmd `cmd:"" help:"Make images usable by a lab's pods."`
	Run    runCmd    `cmd:"" help:"Start a lab and keep it until this is interrupted."`
}

// env is what a command may touch of the world around it.
type env struct {
	ctx  context.Context //nolint:containedctx // the command's arguments; it lives as long as the command
	out  io.Writer
	name string
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM) //nolint:forbidigo // where it begins
	var c cli
	chosen := kong.Parse(&c, kong.Name("lab"), kong.Description("A real Kubernetes on this machine."))
	err := chosen.Run(&env{ctx: ctx, out: os.Stdout, name: c.Name})
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "lab:", err)
		os.Exit(1)
	}
}
