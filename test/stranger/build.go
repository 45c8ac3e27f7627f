package stranger

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// ErrNotHere says that the engine cannot be built on this machine.
var ErrNotHere = errors.New("the game server that is not Go is not tested")

// Build builds the game server of examples/engine-ts into a folder and returns
// how to run it: node, and a file in the folder. root is the repository's.
// ErrNotHere: there is no node, or its modules are not installed.
func Build(ctx context.Context, root, out string) (command []string, err error) {
	node, err := exec.LookPath("node")
	if err != nil {
		return nil, fmt.Errorf("%w: no node on this machine", ErrNotHere)
	}
	tsc := filepath.Join(root, "node_modules", "typescript", "bin", "tsc")
	if _, err := os.Stat(tsc); err != nil {
		return nil, fmt.Errorf("%w: node_modules is not there (npm ci)", ErrNotHere)
	}
	project := filepath.Join(root, "examples", "engine-ts")
	text, err := exec.CommandContext(ctx, node, tsc, "-p", project, "--outDir", out).CombinedOutput() //nolint:gosec // ours
	if err != nil {
		return nil, fmt.Errorf("tsc: %w\n%s", err, text)
	}
	if err := os.WriteFile(filepath.Join(out, "package.json"), []byte(`{"type":"module"}`), 0o644); err != nil { //nolint:gosec // no secret
		return nil, err
	}
	return []string{node, filepath.Join(out, "src", "main.js")}, nil
}
