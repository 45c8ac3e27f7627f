package main

import (
	"bytes"
	"fmt"
	"os"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/auth"
	"github.com/throng-gg/throng/disk"
)

const maxIssuersFile = 64 << 10 // bytes

// authFlags say who may call a door.
type authFlags struct {
	// Issuers is a YAML file with a list of auth.IssuerConfig.
	Issuers string `type:"path" env:"THRONG_ISSUERS" placeholder:"FILE" help:"File with the issuers of players' access tokens (docs/security.md)."`
	// Issuer, with IssuerJWKS and IssuerAudience, is one issuer without a file.
	Issuer         string   `env:"THRONG_ISSUER" placeholder:"ISS" help:"The only issuer of players' access tokens: their claim iss."`
	IssuerJWKS     string   `name:"issuer-jwks" env:"THRONG_ISSUER_JWKS" placeholder:"URL" help:"Its public keys: a URL (https) or a file."`
	IssuerAudience []string `env:"THRONG_ISSUER_AUDIENCE" placeholder:"AUD" help:"What its tokens are for: their claim aud has one of these."`
	// SecretDelay is auth.RingConfig.Delay.
	SecretDelay time.Duration `default:"15s" env:"THRONG_SECRET_DELAY" help:"How long a new secret of the region only verifies before it signs, so that every replica has it."`
	// AuthCache is how much memory verified tokens may take, MiB; 0: none is remembered.
	AuthCache int `default:"64" env:"THRONG_AUTH_CACHE" placeholder:"MIB" help:"Memory for tokens that were verified already; 0: each call verifies."`
}

// issuers reads who else makes access tokens.
func (f authFlags) issuers() ([]auth.IssuerConfig, error) {
	if f.Issuers != "" && f.Issuer != "" {
		return nil, throng.AtField(throng.Invalid, "--issuers", "and --issuer exclude each other")
	}
	if f.Issuer != "" {
		return []auth.IssuerConfig{{Issuer: f.Issuer, JWKS: f.IssuerJWKS, Audience: f.IssuerAudience}}, nil
	}
	if f.IssuerJWKS != "" || len(f.IssuerAudience) > 0 {
		return nil, throng.AtField(throng.Invalid, "--issuer", "is missing")
	}
	if f.Issuers == "" {
		return nil, nil
	}
	text, err := os.ReadFile(f.Issuers)
	if err != nil {
		return nil, fmt.Errorf("--issuers: %w", err)
	}
	if len(text) > maxIssuersFile {
		return nil, throng.AtField(throng.Invalid, "--issuers", "%s is larger than %d bytes", f.Issuers, maxIssuersFile)
	}
	var list []auth.IssuerConfig
	dec := yaml.NewDecoder(bytes.NewReader(text))
	dec.KnownFields(true)
	if err := dec.Decode(&list); err != nil {
		return nil, throng.AtField(throng.Invalid, "--issuers", "%s: %s", f.Issuers, strings.Join(strings.Fields(err.Error()), " "))
	}
	return list, nil
}

// ring reads the region's secrets in the data folder.
func (f authFlags) ring(g *ground) (*auth.Ring, error) {
	return auth.NewRing(auth.RingConfig{
		Secrets: disk.Ring{Dir: g.flags.Data},
		Delay:   f.SecretDelay,
		Logger:  g.logger.With("part", "auth"),
		Metrics: g.metrics,
	})
}

// who makes what says who is calling.
func (f authFlags) who(g *ground) (*auth.Auth, *auth.Keys, error) {
	issuers, err := f.issuers()
	if err != nil {
		return nil, nil, err
	}
	logger := g.logger.With("part", "auth")
	keys, err := auth.NewKeys(g.places.keys, nil, logger)
	if err != nil {
		return nil, nil, err
	}
	size := f.AuthCache << 20
	if size <= 0 {
		size = -1
	}
	who, err := auth.New(auth.Config{
		Ring: g.secrets.Ring, Issuers: issuers, Keys: keys, CacheBytes: size, Logger: logger, Metrics: g.metrics,
	})
	return who, keys, err
}
