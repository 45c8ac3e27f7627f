package kafka_test

import (
	"context"
	"encoding/pem"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/contract"
	"github.com/throng-gg/throng/kafka"
	"github.com/throng-gg/throng/kafka/embedded"
	"github.com/throng-gg/throng/kafka/kafkatest"
)

func TestEmbedded(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	b, err := embedded.Open(embedded.Config{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	port, err := b.Port()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	contract.Logs(t, contract.Broker{Address: b.Address(), Restart: func() {
		b.Close()
		if b, err = embedded.Open(embedded.Config{Dir: dir, Port: port}); err != nil {
			t.Fatal(err)
		}
	}})
}

func TestRealKafka(t *testing.T) {
	t.Parallel()
	s := kafkatest.Start(t)
	contract.Logs(t, contract.Broker{Address: s.Address(), Restart: func() {
		s.Kill()
		s.Again()
	}})
}

func TestURLs(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	none, noise, signer := filepath.Join(dir, "none"), filepath.Join(dir, "noise"), filepath.Join(dir, "ca.crt")
	door := httptest.NewTLSServer(http.NotFoundHandler())
	defer door.Close()
	for name, text := range map[string][]byte{
		noise: []byte("noise"), signer: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: door.Certificate().Raw}),
	} {
		if err := os.WriteFile(name, text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, good := range []string{"kafkas://a:1?ca=" + signer, "kafkas://me:x@a:1/x?ca=" + signer, "a:9092", "a:9092,b:9093", "kafka://a:9092/eu", "kafkas://me:s%40cret@a:9092,b:1/x-1", "[::1]:9092"} {
		if err := kafka.CheckURL(good); err != nil {
			t.Errorf("%s: %v", good, err)
		}
	}
	for bad, says := range map[string]string{
		"kafkas://a:1?ca=": "not known", "kafkas://a:1?x=1": "not known", "kafkas://a:1?ca=" + none: "no such file", "kafkas://a:1?ca=" + noise: "no certificate",
		"kafka://a:1?ca=" + signer: "for kafkas",
		"":                         "no host:port", "a": "no host:port", "a:9092,": "no host:port", "http://a:1": "not known", "a:1/x y": "no prefix", "a:1/x.y": "no prefix", "a:1/b/c": "no prefix",
	} {
		if err := kafka.CheckURL(bad); throng.KindOf(err) != throng.Invalid || err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%q: %v, want %q", bad, err, says)
		}
	}
}

// TestNobodyThere: a call ends in its time, and says that it is not known.
func TestNobodyThere(t *testing.T) {
	t.Parallel()
	l, err := kafka.New(kafka.Config{URL: "127.0.0.1:1", Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	e := throng.Event{ID: "1", Type: "a.v1", Stream: throng.StreamPlay, Key: "k", Time: time.Now(), Data: []byte(`{}`)}
	if err := l.Publish(ctx, []throng.Event{e}); throng.KindOf(err) != throng.Unavailable {
		t.Errorf("%v; want Unavailable", err)
	}
	e.Key = ""
	if err := l.Publish(t.Context(), []throng.Event{e}); throng.KindOf(err) != throng.Invalid {
		t.Errorf("%v; want Invalid", err)
	}
}
