package command

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/client"
)

// CallFlags say how a command, a node or a game server knows the door, and
// proves itself to it. Files are read again when they change.
type CallFlags struct {
	CA         string `name:"ca" type:"path" env:"THRONG_CA" placeholder:"FILE" help:"Who signs the door's certificate (PEM), when it is not one of the system's."`
	ClientCert string `name:"client-cert" type:"path" env:"THRONG_CLIENT_CERT" placeholder:"FILE" help:"Certificate to show to the door (PEM)."`
	ClientKey  string `name:"client-key" type:"path" env:"THRONG_CLIENT_KEY" placeholder:"FILE" help:"Its key (PEM)."`
}

// Env passes them on to a game server.
func (f CallFlags) Env() []string {
	var env []string
	for _, kv := range [][2]string{{"THRONG_CA", f.CA}, {"THRONG_CLIENT_CERT", f.ClientCert}, {"THRONG_CLIENT_KEY", f.ClientKey}} {
		if kv[1] != "" {
			env = append(env, kv[0]+"="+kv[1])
		}
	}
	return env
}

// HTTP makes what calls the door; nil: the defaults do.
func (f CallFlags) HTTP(logger *slog.Logger) (*http.Client, error) {
	if f == (CallFlags{}) {
		return nil, nil //nolint:nilnil // the defaults
	}
	if (f.ClientCert == "") != (f.ClientKey == "") {
		return nil, throng.AtField(throng.Invalid, "--client-cert", "and --client-key are needed both")
	}
	files := &Watched[*tls.Config]{What: "certificates", Files: []string{f.CA, f.ClientCert, f.ClientKey}, Logger: logger, Load: f.load}
	if _, err := files.Get(); err != nil {
		return nil, err
	}
	return client.NewHTTP(func(ctx context.Context, network, addr string) (net.Conn, error) {
		c, err := files.Get()
		if err != nil {
			return nil, err
		}
		d := tls.Dialer{NetDialer: &net.Dialer{Timeout: 2 * time.Second, KeepAlive: 15 * time.Second}, Config: c}
		return d.DialContext(ctx, network, addr)
	}), nil
}

func (f CallFlags) load() (*tls.Config, error) {
	c := &tls.Config{MinVersion: tls.VersionTLS13}
	var err error
	if f.CA != "" {
		if c.RootCAs, err = ReadCA("--ca", f.CA); err != nil {
			return nil, err
		}
	}
	if f.ClientCert != "" {
		certificate, err := tls.LoadX509KeyPair(f.ClientCert, f.ClientKey)
		if err != nil {
			return nil, fmt.Errorf("--client-cert: %w", err)
		}
		c.Certificates = []tls.Certificate{certificate}
	}
	return c, nil
}

// ReadCA reads certificates (PEM); errors name the flag.
func ReadCA(flag, file string) (*x509.CertPool, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", flag, err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		return nil, throng.AtField(throng.Invalid, flag, "%s has no certificate (PEM)", file)
	}
	return pool, nil
}
