package auth

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/throng-gg/throng"
)

// IssuerConfig says whose access tokens are taken. Zero fields have defaults,
// but for those that say required.
type IssuerConfig struct {
	// Issuer is the tokens' claim `iss`. Required; not "throng".
	Issuer string `yaml:"issuer"`
	// JWKS is where its public keys are: a URL (https, or http to this machine),
	// or a file. Required.
	JWKS string `yaml:"jwks"`
	// Audience is the claim `aud`: one of these must be in it. Required.
	Audience []string `yaml:"audience"`
	// Algorithms are those that are taken, of EdDSA, ES256 and RS256; all three.
	Algorithms []string `yaml:"algorithms"`
	// Leeway is how far clocks may differ; 30 s, at most 5 min. Below zero: none.
	Leeway time.Duration `yaml:"leeway"`
	// PlayerClaim names the claim that is the player's ID; sub.
	PlayerClaim string `yaml:"player_claim"`
	// PlayerPrefix is put before it, so that two issuers' players stay apart:
	// "steam:" makes steam:7. At most one issuer has none.
	PlayerPrefix string `yaml:"player_prefix"`
	// RoleClaim names a claim, a string or a list of strings; empty: all are
	// players. Roles says which of its values makes a creator or an operator
	// (the highest counts); other values make players.
	RoleClaim string                 `yaml:"role_claim"`
	Roles     map[string]throng.Role `yaml:"roles"`
	// Refresh is how often keys are fetched; 5 min, at least 1 s.
	Refresh time.Duration `yaml:"refresh"`
	// MinRefresh is the pause between two fetches for a key that is not known;
	// 10 s, at least 100 ms.
	MinRefresh time.Duration `yaml:"min_refresh"`
	// MaxStale is how long the last good keys count while the issuer is away;
	// 24 h.
	MaxStale time.Duration `yaml:"max_stale"`
}

const (
	defaultLeeway = 30 * time.Second
	maxLeeway     = 5 * time.Minute
	maxIssuers    = 16
)

func (c IssuerConfig) withDefaults() IssuerConfig {
	or := func(d *time.Duration, fallback, least time.Duration) {
		if *d <= 0 {
			*d = fallback
		}
		*d = max(*d, least)
	}
	if len(c.Algorithms) == 0 {
		c.Algorithms = []string{"EdDSA", "ES256", "RS256"}
	}
	switch {
	case c.Leeway == 0:
		c.Leeway = defaultLeeway
	case c.Leeway < 0:
		c.Leeway = 0
	}
	if c.PlayerClaim == "" {
		c.PlayerClaim = "sub"
	}
	or(&c.Refresh, 5*time.Minute, time.Second)
	or(&c.MinRefresh, 10*time.Second, 100*time.Millisecond)
	or(&c.MaxStale, 24*time.Hour, time.Second)
	return c
}

func (c IssuerConfig) check() error {
	bad := func(field, format string, args ...any) error {
		return throng.AtField(throng.Invalid, field, format, args...)
	}
	switch {
	case c.Issuer == "":
		return bad("issuer", "is missing")
	case c.Issuer == issuerName:
		return bad("issuer", "%q is the region itself", issuerName)
	case c.JWKS == "":
		return bad("jwks", "is missing: a URL or a file")
	case len(c.Audience) == 0 || slices.Contains(c.Audience, ""):
		return bad("audience", "is missing: without one, tokens that were made for others would count")
	case c.Leeway > maxLeeway:
		return bad("leeway", "%v is over %v", c.Leeway, maxLeeway)
	case len(c.Roles) > 0 && c.RoleClaim == "":
		return bad("role_claim", "is missing, and there are roles")
	}
	for _, alg := range c.Algorithms {
		if methodOf(alg) == nil {
			return bad("algorithms", "%q is not EdDSA, ES256 or RS256", alg)
		}
	}
	for value, role := range c.Roles {
		if !role.Account() {
			return bad("roles", "%s: %q is not player, creator or operator", value, role)
		}
	}
	if c.PlayerPrefix != "" {
		if _, err := throng.ParsePlayerID("player_prefix", c.PlayerPrefix); err != nil || len(c.PlayerPrefix) > 32 {
			return bad("player_prefix", "%q is not 1 to 32 characters of a player's ID", c.PlayerPrefix)
		}
	}
	return checkSource(c.JWKS)
}

// checkIssuers checks them together: nobody can be taken for another's player.
func checkIssuers(all []IssuerConfig) error {
	if len(all) > maxIssuers {
		return throng.AtField(throng.Invalid, "issuers", "are %d, at most %d are allowed", len(all), maxIssuers)
	}
	for i, c := range all {
		at := fmt.Sprintf("issuers[%d]", i)
		if err := c.check(); err != nil {
			return throng.AtField(throng.Invalid, at, "%w", err)
		}
		for _, other := range all[:i] {
			if c.Issuer == other.Issuer {
				return throng.AtField(throng.Invalid, at+".issuer", "%q is there twice", c.Issuer)
			}
			a, b := c.PlayerPrefix, other.PlayerPrefix
			if a == b || a != "" && b != "" && (strings.HasPrefix(a, b) || strings.HasPrefix(b, a)) {
				return throng.AtField(throng.Invalid, at+".player_prefix", "%q and %q do not keep two issuers' players apart", a, b)
			}
		}
	}
	return nil
}

// methodOf lets no other algorithm in: none, and those of shared secrets, which
// would take a public key for one.
func methodOf(alg string) jwt.SigningMethod {
	switch alg {
	case "EdDSA":
		return jwt.SigningMethodEdDSA
	case "ES256":
		return jwt.SigningMethodES256
	case "RS256":
		return jwt.SigningMethodRS256
	}
	return nil
}

// algOf is the only algorithm that a public key is used with.
func algOf(key crypto.PublicKey) string {
	switch k := key.(type) {
	case ed25519.PublicKey:
		return "EdDSA"
	case *ecdsa.PublicKey:
		if k.Curve != nil && k.Params().Name == "P-256" {
			return "ES256"
		}
	case *rsa.PublicKey:
		if bits := k.N.BitLen(); bits >= 2048 && bits <= 8192 && k.E >= 3 {
			return "RS256"
		}
	}
	return ""
}

// issuer checks the tokens of one studio's issuer.
type issuer struct {
	cfg      IssuerConfig
	keys     *keySet
	parser   *jwt.Parser
	reserved []string // prefixes of other issuers' players
}

func newIssuer(cfg IssuerConfig, now func() time.Time, log *slog.Logger, m *metrics) *issuer {
	cfg = cfg.withDefaults()
	return &issuer{
		cfg:  cfg,
		keys: newKeySet(cfg, now, log, m),
		parser: jwt.NewParser(
			jwt.WithValidMethods(cfg.Algorithms),
			jwt.WithIssuer(cfg.Issuer),
			jwt.WithAudience(cfg.Audience...),
			jwt.WithLeeway(cfg.Leeway),
			jwt.WithExpirationRequired(),
			jwt.WithStrictDecoding(),
			jwt.WithTimeFunc(now),
		),
	}
}

// verify checks a token. Unavailable: the issuer's keys were never had, or are
// too old.
func (i *issuer) verify(ctx context.Context, token string) (verified, error) {
	var c jwt.MapClaims
	var key *setKey
	var away error
	_, err := i.parser.ParseWithClaims(token, &c, func(t *jwt.Token) (any, error) {
		kid, _ := t.Header["kid"].(string)
		if key, away = i.keys.find(ctx, kid, t.Method.Alg()); away != nil {
			return nil, away
		}
		return key.public, nil
	})
	if away != nil && throng.KindOf(away) == throng.Unavailable {
		return verified{}, away
	}
	if err != nil {
		return verified{}, err
	}
	caller, err := i.caller(c)
	if err != nil {
		return verified{}, err
	}
	return verified{caller: caller, until: caller.Expires.Add(i.cfg.Leeway), trust: &key.trust}, nil
}

func (i *issuer) caller(c jwt.MapClaims) (throng.Caller, error) {
	name, ok := c[i.cfg.PlayerClaim].(string)
	if !ok {
		return throng.Caller{}, errors.New("there is no player in it")
	}
	player, err := throng.ParsePlayerID(i.cfg.PlayerClaim, i.cfg.PlayerPrefix+name)
	if err != nil || name == "" {
		return throng.Caller{}, errors.New("the player is none")
	}
	for _, prefix := range i.reserved {
		if strings.HasPrefix(string(player), prefix) {
			return throng.Caller{}, errors.New("the player is another issuer's")
		}
	}
	expires, err := c.GetExpirationTime()
	if err != nil || expires == nil {
		return throng.Caller{}, errors.New("it does not expire")
	}
	caller := throng.Caller{Role: i.role(c), Player: player, Expires: expires.Time}
	if list, ok := c["friends"].([]any); ok {
		caller.Friends = friendsOf(stringsOf(list), i.cfg.PlayerPrefix)
	}
	if claim, ok := c["attributes"].(map[string]any); ok {
		caller.Attributes = attributesOf(claim)
	}
	return caller, nil
}

func (i *issuer) role(c jwt.MapClaims) throng.Role {
	if i.cfg.RoleClaim == "" {
		return throng.RolePlayer
	}
	var values []string
	switch v := c[i.cfg.RoleClaim].(type) {
	case string:
		values = []string{v}
	case []any:
		values = stringsOf(v)
	}
	best := throng.RolePlayer
	for _, v := range values {
		switch i.cfg.Roles[v] {
		case throng.RoleOperator:
			return throng.RoleOperator
		case throng.RoleCreator:
			best = throng.RoleCreator
		case throng.RolePlayer, throng.RoleServer, throng.RoleNode, throng.RoleRegion, throng.RoleReplica, "":
		}
	}
	return best
}

func stringsOf(list []any) []string {
	out := make([]string, 0, len(list))
	for _, v := range list {
		if s, ok := v.(string); ok {
			out = append(out, s)
		}
	}
	return out
}
