// Package dynamotest starts a real DynamoDB Local for tests.
package dynamotest

import (
	"bufio"
	_ "embed" // the wrapper
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/throng-gg/throng/test/repo"
)

// wrapper is what starts it on the loopback interface only.
//
//go:embed Local.java
var wrapper []byte

// Start starts one that ends with the test, and returns its URL without a prefix.
// Where it cannot be had the test is skipped, loudly.
func Start(t testing.TB) string {
	t.Helper()
	lib := repo.Jars(t, "dynamodb-local")
	source := filepath.Join(t.TempDir(), "Local.java")
	if err := os.WriteFile(source, wrapper, 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("java", "-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Djava.library.path="+lib, "-Dsqlite4java.library.path="+lib, //nolint:noctx // it is ended by its standard input
		"-Dlog4j2.level=OFF", "-cp", lib+"/*", source)
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Skipf("NOT TESTED on a real DynamoDB Local: %v", err)
	}
	t.Cleanup(func() {
		stdin.Close()
		_ = cmd.Wait()
	})
	port, err := listening(stdout)
	if err != nil {
		t.Fatalf("DynamoDB Local: %v", err)
	}
	return "http://127.0.0.1:" + port
}

// listening reads until it says where it listens, and drains the rest.
func listening(out io.Reader) (string, error) {
	said := make(chan string, 1)
	go func() {
		defer close(said)
		lines := bufio.NewScanner(out)
		for lines.Scan() {
			if port, ok := strings.CutPrefix(lines.Text(), "listening "); ok {
				said <- port
			}
		}
	}()
	select {
	case port, ok := <-said:
		if !ok {
			return "", fmt.Errorf("it ended before it listened")
		}
		return port, nil
	case <-time.After(2 * time.Minute):
		return "", fmt.Errorf("it does not listen after two minutes")
	}
}
