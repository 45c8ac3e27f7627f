package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/client"
)

// tlsFlags say how the door proves itself, and how its callers do. Files are
// read again when they change.
type tlsFlags struct {
	TLSCert    string `name:"tls-cert" type:"path" env:"THRONG_TLS_CERT" placeholder:"FILE" help:"The door's certificate, with those above it (PEM): the door speaks TLS 1.3."`
	TLSKey     string `name:"tls-key" type:"path" env:"THRONG_TLS_KEY" placeholder:"FILE" help:"Its key (PEM)."`
	ClientCA   string `name:"client-ca" type:"path" env:"THRONG_CLIENT_CA" placeholder:"FILE" help:"Who signs callers' certificates (PEM): game servers, nodes and regions must then have one."`
	ClientAuth string `default:"machines" enum:"machines,all" env:"THRONG_CLIENT_AUTH" help:"With --client-ca: machines must have a certificate, or all callers must."`
}

func (f tlsFlags) on() bool { return f.TLSCert != "" || f.TLSKey != "" || f.ClientCA != "" }

// config is what the door's connections are made with; nil: they are plain.
func (f tlsFlags) config(logger *slog.Logger) (*tls.Config, error) {
	if !f.on() {
		return nil, nil //nolint:nilnil // plain
	}
	if f.TLSCert == "" || f.TLSKey == "" {
		return nil, throng.AtField(throng.Invalid, "--tls-cert", "and --tls-key are needed both")
	}
	files := &watched[*tls.Config]{what: "certificates", files: []string{f.TLSCert, f.TLSKey, f.ClientCA}, logger: logger, load: f.load}
	if _, err := files.get(); err != nil {
		return nil, err
	}
	return &tls.Config{
		MinVersion:         tls.VersionTLS13,
		NextProtos:         []string{"h2", "http/1.1"},
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) { return files.get() },
		// Never asked: GetConfigForClient gives another configuration. ServeTLS
		// wants one of the two.
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
			return nil, errors.New("there is no certificate")
		},
	}, nil
}

func (f tlsFlags) load() (*tls.Config, error) {
	certificate, err := tls.LoadX509KeyPair(f.TLSCert, f.TLSKey)
	if err != nil {
		return nil, fmt.Errorf("--tls-cert: %w", err)
	}
	c := &tls.Config{
		MinVersion: tls.VersionTLS13, NextProtos: []string{"h2", "http/1.1"}, Certificates: []tls.Certificate{certificate},
		// A ticket would let in whose CA is trusted no more.
		SessionTicketsDisabled: true,
	}
	if f.ClientCA == "" {
		return c, nil
	}
	if c.ClientCAs, err = readCA("--client-ca", f.ClientCA); err != nil {
		return nil, err
	}
	c.ClientAuth = tls.VerifyClientCertIfGiven
	if f.ClientAuth == "all" {
		c.ClientAuth = tls.RequireAndVerifyClientCert
	}
	return c, nil
}

func readCA(flag, file string) (*x509.CertPool, error) {
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

// callFlags say how a command, a node or a game server knows the door, and
// proves itself to it. Files are read again when they change.
type callFlags struct {
	CA         string `name:"ca" type:"path" env:"THRONG_CA" placeholder:"FILE" help:"Who signs the door's certificate (PEM), when it is not one of the system's."`
	ClientCert string `name:"client-cert" type:"path" env:"THRONG_CLIENT_CERT" placeholder:"FILE" help:"Certificate to show to the door (PEM)."`
	ClientKey  string `name:"client-key" type:"path" env:"THRONG_CLIENT_KEY" placeholder:"FILE" help:"Its key (PEM)."`
}

// env passes them on to a game server.
func (f callFlags) env() []string {
	var env []string
	for _, kv := range [][2]string{{"THRONG_CA", f.CA}, {"THRONG_CLIENT_CERT", f.ClientCert}, {"THRONG_CLIENT_KEY", f.ClientKey}} {
		if kv[1] != "" {
			env = append(env, kv[0]+"="+kv[1])
		}
	}
	return env
}

// http makes what calls the door; nil: the defaults do.
func (f callFlags) http(logger *slog.Logger) (*http.Client, error) {
	if f == (callFlags{}) {
		return nil, nil //nolint:nilnil // the defaults
	}
	if (f.ClientCert == "") != (f.ClientKey == "") {
		return nil, throng.AtField(throng.Invalid, "--client-cert", "and --client-key are needed both")
	}
	files := &watched[*tls.Config]{what: "certificates", files: []string{f.CA, f.ClientCert, f.ClientKey}, logger: logger, load: f.load}
	if _, err := files.get(); err != nil {
		return nil, err
	}
	return client.NewHTTP(func(ctx context.Context, network, addr string) (net.Conn, error) {
		c, err := files.get()
		if err != nil {
			return nil, err
		}
		d := tls.Dialer{NetDialer: &net.Dialer{Timeout: 2 * time.Second, KeepAlive: 15 * time.Second}, Config: c}
		return d.DialContext(ctx, network, addr)
	}), nil
}

func (f callFlags) load() (*tls.Config, error) {
	c := &tls.Config{MinVersion: tls.VersionTLS13}
	var err error
	if f.CA != "" {
		if c.RootCAs, err = readCA("--ca", f.CA); err != nil {
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

// watchPause is how often files are looked at, at most.
const watchPause = time.Second

// watched is something that is made of files, made anew when they change. While
// they cannot be read, or are half replaced, the last one stays.
type watched[T any] struct {
	what   string   // for the log
	files  []string // empty names are left out
	logger *slog.Logger
	load   func() (T, error)

	mu     sync.Mutex
	looked time.Time
	stamp  string // of what made value
	value  T
	made   bool
	said   string // the last complaint, which is not repeated
}

// get returns the newest good one. An error: there never was one.
func (w *watched[T]) get() (T, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.made && time.Since(w.looked) < watchPause {
		return w.value, nil
	}
	w.looked = time.Now()
	stamp := w.look()
	if w.made && stamp == w.stamp {
		return w.value, nil
	}
	value, err := w.load()
	switch {
	case err == nil:
		w.value, w.stamp, w.made, w.said = value, stamp, true, ""
	case !w.made:
		return w.value, err
	case err.Error() != w.said:
		w.said = err.Error()
		w.logger.Error("files were not read, the old ones stay", "what", w.what, "err", err)
	}
	return w.value, nil
}

func (w *watched[T]) look() string {
	var stamp strings.Builder
	for _, name := range w.files {
		if name == "" {
			continue
		}
		if info, err := os.Stat(name); err == nil {
			fmt.Fprintf(&stamp, "%s %d %d\n", name, info.Size(), info.ModTime().UnixNano())
		}
	}
	return stamp.String()
}
