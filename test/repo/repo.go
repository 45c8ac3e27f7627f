// Package repo finds what tests use of the repository: its files, and the programs in
// Java that its scripts fetch.
package repo

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// Path looks for a file or folder of the repository, from here upwards.
func Path(name string) (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		path := filepath.Join(dir, name)
		if _, err := os.Stat(path); err == nil {
			return path, nil
		}
		up := filepath.Dir(dir)
		if up == dir {
			return "", fmt.Errorf("%s is not in the repository", name)
		}
		dir = up
	}
}

// Jars fetches a program, as scripts/jars.sh names it, and returns the folder of its
// jars. Where it cannot be had the test is skipped, loudly.
func Jars(t testing.TB, program string) string {
	t.Helper()
	script, err := Path("scripts/jars.sh")
	if err != nil {
		t.Fatal(err)
	}
	fetch := exec.CommandContext(t.Context(), script, program)
	fetch.Stderr = os.Stderr
	out, err := fetch.Output()
	if err != nil {
		t.Skipf("NOT TESTED on a real %s: %s: %v", program, script, err)
	}
	return strings.TrimSpace(string(out))
}
