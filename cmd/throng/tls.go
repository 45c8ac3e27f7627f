package main

import (
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/cmd/command"
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
	files := &command.Watched[*tls.Config]{What: "certificates", Files: []string{f.TLSCert, f.TLSKey, f.ClientCA}, Logger: logger, Load: f.load}
	if _, err := files.Get(); err != nil {
		return nil, err
	}
	return &tls.Config{
		MinVersion:         tls.VersionTLS13,
		NextProtos:         []string{"h2", "http/1.1"},
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) { return files.Get() },
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
	if c.ClientCAs, err = command.ReadCA("--client-ca", f.ClientCA); err != nil {
		return nil, err
	}
	c.ClientAuth = tls.VerifyClientCertIfGiven
	if f.ClientAuth == "all" {
		c.ClientAuth = tls.RequireAndVerifyClientCert
	}
	return c, nil
}
