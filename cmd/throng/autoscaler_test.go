package main

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestAutoscalerPort: the port for Agones' FleetAutoscalers is there when it is
// asked for; its certificate is replaced without a restart; when it has expired,
// a metric and the log say so.
func TestAutoscalerPort(t *testing.T) {
	t.Parallel()
	exe := throngBinary(t)
	ca := newAuthority(t, "the cluster's")
	ca.issue("hook", 2)
	addr, hook := freePort(t), freePort(t)
	control := start(
		t, exe, "serve", "control", "--addr", addr, "--data", filepath.Join(t.TempDir(), "data"), "--warm", "0",
		"--autoscaler-addr", hook, "--autoscaler-cert", ca.file("hook.pem"), "--autoscaler-key", ca.file("hook.key"),
	)
	control.line("FleetAutoscalers are answered at https://", 30*time.Second)
	pem, err := os.ReadFile(ca.file("ca.pem"))
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(pem)
	// ask returns status and text, and the serial number of the certificate.
	ask := func(body string) (int, string, int64, error) {
		c := http.Client{
			Timeout:   5 * time.Second,
			Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}, DisableKeepAlives: true},
		}
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "https://"+hook+"/autoscale/one/warm", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		resp, err := c.Do(r)
		if err != nil {
			return 0, "", 0, err
		}
		defer resp.Body.Close()
		text, err := io.ReadAll(resp.Body)
		return resp.StatusCode, string(text), resp.TLS.PeerCertificates[0].SerialNumber.Int64(), err
	}
	// Nodes run this region's servers: no Fleet is known, and each is kept.
	status, text, serial, err := ask(`{"request":{"uid":"1","name":"warm","status":{"replicas":3}},"response":null}`)
	if err != nil || status != http.StatusNotFound || serial != 2 || !strings.Contains(text, "not in the configuration") {
		t.Fatalf("got %d %q from certificate %d, %v, want a fleet that is not in the configuration", status, text, serial, err)
	}
	if status, text, _, err := ask("{"); err != nil || status != http.StatusBadRequest {
		t.Errorf("garbage: got %d %q %v, want 400", status, text, err)
	}
	ca.issueUntil("hook", 3, time.Now().Add(-time.Minute))
	eventually(t, 30*time.Second, "the expired certificate is shown", func() bool {
		_, _, _, err := ask("{")
		return err != nil && strings.Contains(err.Error(), "expired")
	})
	eventually(t, 30*time.Second, "the log says so", func() bool {
		return strings.Contains(control.logs.tail(1<<20), "the autoscaler's certificate has expired")
	})
	metrics := func() string {
		resp, err := http.Get("http://" + addr + "/metrics") //nolint:noctx // bounded by the test binary's own timeout
		if err != nil {
			return err.Error()
		}
		defer resp.Body.Close()
		var text bytes.Buffer
		_, _ = text.ReadFrom(resp.Body)
		return text.String()
	}
	if got := metrics(); !strings.Contains(got, "throng_autoscale_certificate_expires_seconds 1") || !strings.Contains(got, `throng_autoscale_answers_total{result="not_found"} 1`) {
		t.Errorf("got metrics without the certificate's end, or the answers")
	}
	ca.issue("hook", 4)
	eventually(t, 30*time.Second, "the next certificate is shown", func() bool {
		_, _, serial, err := ask("{")
		return err == nil && serial == 4
	})
}

// What the flags of the port say together is checked.
func TestAutoscalerFlags(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, want string
		args       []string
	}{
		{"certificate without a port", "--autoscaler-addr", []string{"--autoscaler-cert", file, "--autoscaler-key", file}},
		{"certificate without a key", "--autoscaler-key", []string{"--autoscaler-addr", "127.0.0.1:0", "--autoscaler-cert", file}},
		{"certificate that is none", "--autoscaler-cert", []string{"--autoscaler-addr", "127.0.0.1:0", "--autoscaler-cert", file, "--autoscaler-key", file}},
		{"no address", "--autoscaler-addr", []string{"--autoscaler-addr", "nowhere"}},
		{"more warm servers than servers", "--warm-most", []string{"--warm-most", "99"}},
	} {
		args := append([]string{"serve", "control", "--addr", "127.0.0.1:0", "--data", filepath.Join(t.TempDir(), "data")}, c.args...)
		if status, out := throngCommand(t, args...); status == 0 || !strings.Contains(out, c.want) {
			t.Errorf("%s: exit status %d, got %q, want %q", c.name, status, out, c.want)
		}
	}
}
