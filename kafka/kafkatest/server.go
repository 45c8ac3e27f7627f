// Package kafkatest starts a real Apache Kafka for tests.
package kafkatest

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/throng-gg/throng/test/repo"
)

// Server is a Kafka of its own, of one broker, on free ports of the loopback
// interface. It ends with the test.
type Server struct {
	t       testing.TB
	jars    string
	dir     string
	address string
	cmd     *exec.Cmd
}

// Start starts one. Where it cannot be had the test is skipped, loudly.
func Start(t testing.TB) *Server {
	t.Helper()
	s := &Server{t: t, jars: repo.Jars(t, "kafka"), dir: t.TempDir()}
	ports := freePorts(t, 2)
	s.address = fmt.Sprintf("127.0.0.1:%d", ports[0])
	properties := fmt.Sprintf(`process.roles=broker,controller
node.id=1
listeners=PLAINTEXT://%s,CONTROLLER://127.0.0.1:%d
controller.listener.names=CONTROLLER
controller.quorum.bootstrap.servers=127.0.0.1:%d
log.dirs=%s
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=2
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000
auto.create.topics.enable=false
num.network.threads=2
num.io.threads=2
`, s.address, ports[1], ports[1], filepath.Join(s.dir, "log"))
	if err := os.WriteFile(s.config(), []byte(properties), 0o600); err != nil {
		t.Fatal(err)
	}
	format := s.java(t.Context(), "kafka.tools.StorageTool", "format", "--standalone", "-t", "dGhyb25nLXRlc3RzLWthZg", "-c", s.config())
	if out, err := format.CombinedOutput(); err != nil {
		t.Fatalf("format Kafka's storage: %v\n%s", err, out)
	}
	s.Again()
	t.Cleanup(s.Kill)
	return s
}

// Address is its broker's, host:port.
func (s *Server) Address() string { return s.address }

// Kill ends it at once, as a crash does.
func (s *Server) Kill() {
	if s.cmd == nil {
		return
	}
	_ = s.cmd.Process.Kill()
	_ = s.cmd.Wait()
	s.cmd = nil
}

// Again starts it again, with what it has on its disk, and waits until it listens.
func (s *Server) Again() {
	s.t.Helper()
	out, err := os.OpenFile(filepath.Join(s.dir, "kafka.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		s.t.Fatal(err)
	}
	defer func() { _ = out.Close() }() // Kafka has its own
	s.cmd = s.java(context.WithoutCancel(s.t.Context()), "kafka.Kafka", s.config())
	s.cmd.Stdout, s.cmd.Stderr = out, out
	if err := s.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for until := time.Now().Add(2 * time.Minute); time.Now().Before(until); <-tick.C {
		conn, err := net.Dial("tcp", s.address) //nolint:noctx // it answers at once or not
		if err == nil {
			_ = conn.Close()
			return
		}
	}
	text, _ := os.ReadFile(filepath.Join(s.dir, "kafka.log"))
	s.t.Fatalf("Kafka does not listen after two minutes:\n%s", text)
}

func (s *Server) config() string { return filepath.Join(s.dir, "server.properties") }

func (s *Server) java(ctx context.Context, main string, args ...string) *exec.Cmd {
	return exec.CommandContext(ctx, "java", append([]string{
		"-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp", s.jars + "/*", main,
	}, args...)...)
}

// freePorts are ports that nobody listens at, for the moment.
func freePorts(t testing.TB, n int) []int {
	t.Helper()
	ports := make([]int, n)
	for i := range ports {
		l, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // a moment
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = l.Close() }()
		at, ok := l.Addr().(*net.TCPAddr)
		if !ok {
			t.Fatal("a TCP listener without a port")
		}
		ports[i] = at.Port
	}
	return ports
}
