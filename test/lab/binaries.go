package lab

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

// Binaries is the folder of the programs, empty if there is none.
func Binaries() string {
	return os.Getenv("THRONG_CLUSTER_BIN") //nolint:forbidigo // a test's, not the product's
}

// Require skips the test if there are no programs.
func Require(t testing.TB) {
	t.Helper()
	if Binaries() == "" {
		t.Skip("NOT TESTED: THRONG_CLUSTER_BIN is not set; make test-cluster builds a Kubernetes and sets it")
	}
}

// program is the path of one of the programs.
func program(name string) (string, error) {
	dir := Binaries()
	if dir == "" {
		return "", fmt.Errorf("find %s: THRONG_CLUSTER_BIN is not set; scripts/cluster-build.sh prints what it is to be", name)
	}
	path, err := filepath.Abs(filepath.Join(dir, name))
	if err == nil {
		_, err = os.Stat(path)
	}
	if err != nil {
		return "", fmt.Errorf("find %s: %w", name, err)
	}
	return path, nil
}
