package main

import (
	"fmt"

	"github.com/throng-gg/throng/cmd/command"
)

type versionCmd struct{}

// Run prints the version.
func (versionCmd) Run(e *env) error {
	_, err := fmt.Fprintln(e.out, command.Version())
	return err
}
