package auth

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/throng-gg/throng"
)

const (
	issuerName = "throng"

	// MachineTokenTime is how long the tokens of game servers, nodes and regions
	// are good. It bounds the life of a session: a server's token can't be
	// renewed, but it is worth nothing once its session ended.
	MachineTokenTime = 30 * 24 * time.Hour

	maxTokenTime = MachineTokenTime
	maxTokenSize = 8 << 10 // bytes
)

// audience keeps the tokens of accounts and of each kind of machine apart.
func audience(r throng.Role) string {
	switch r {
	case throng.RolePlayer, throng.RoleCreator, throng.RoleOperator:
		return "throng:account"
	case throng.RoleServer:
		return "throng:server"
	case throng.RoleNode:
		return "throng:node"
	case throng.RoleRegion:
		return "throng:region"
	case throng.RoleReplica:
		return "throng:replica"
	}
	return ""
}

type claims struct {
	jwt.RegisteredClaims
	Role    throng.Role      `json:"role"`
	Session throng.SessionID `json:"session,omitempty"`
	Friends *[]string        `json:"friends,omitempty"`
	// Attributes are numbers and categories by the names of places' signals.
	Attributes map[string]any `json:"attributes,omitempty"`
}

func claimsOf(role throng.Role, subject string) claims {
	return claims{Role: role, RegisteredClaims: jwt.RegisteredClaims{Subject: subject}}
}

// PlayerToken makes an account's access token, good for ttl (over 0, at most
// MachineTokenTime). Invalid: a bad player, a role that is not an account's.
func (r *Ring) PlayerToken(player throng.PlayerID, role throng.Role, ttl time.Duration) (string, error) {
	if _, err := throng.ParsePlayerID("player", string(player)); err != nil {
		return "", err
	}
	if !role.Account() {
		return "", throng.AtField(throng.Invalid, "role", "%q is not player, creator or operator", role)
	}
	return r.sign(claimsOf(role, string(player)), ttl)
}

// PlayerTokenWithAttributes is PlayerToken with the claim `attributes`: numbers
// and categories by the names of places' signals. Invalid: a longer token than
// 8 KiB.
func (r *Ring) PlayerTokenWithAttributes(
	player throng.PlayerID, role throng.Role, ttl time.Duration, attributes map[string]any,
) (string, error) {
	if _, err := r.PlayerToken(player, role, ttl); err != nil {
		return "", err
	}
	c := claimsOf(role, string(player))
	c.Attributes = attributes
	token, err := r.sign(c, ttl)
	if err == nil && len(token) > maxTokenSize {
		return "", throng.AtField(throng.Invalid, "attributes", "make a token of %d bytes, at most %d are allowed", len(token), maxTokenSize)
	}
	return token, err
}

// PlayerTokenWithFriends is PlayerToken with the claim `friends`: the player's
// list, which then cannot be set by a call. A token has up to 8 KiB; longer
// lists are set by an operator's call.
func (r *Ring) PlayerTokenWithFriends(
	player throng.PlayerID, role throng.Role, ttl time.Duration, friends []string,
) (string, error) {
	if _, err := r.PlayerToken(player, role, ttl); err != nil {
		return "", err
	}
	c := claimsOf(role, string(player))
	c.Friends = &friends
	token, err := r.sign(c, ttl)
	if err == nil && len(token) > maxTokenSize {
		return "", throng.AtField(throng.Invalid, "friends", "make a token of %d bytes, at most %d are allowed", len(token), maxTokenSize)
	}
	return token, err
}

// ServerToken makes a credential for one session on one server.
func (r *Ring) ServerToken(server throng.ServerID, session throng.SessionID) (string, error) {
	if _, err := throng.ParseSessionID("session", string(session)); err != nil {
		return "", err
	}
	return r.serverToken(server, session)
}

// EnrollToken makes the credential of a server that has no session yet: good
// for its control connection and for packages.
func (r *Ring) EnrollToken(server throng.ServerID) (string, error) {
	return r.serverToken(server, "")
}

func (r *Ring) serverToken(server throng.ServerID, session throng.SessionID) (string, error) {
	if _, err := throng.ParseServerID("server", string(server)); err != nil {
		return "", err
	}
	c := claimsOf(throng.RoleServer, string(server))
	c.Session = session
	return r.sign(c, MachineTokenTime)
}

// NodeToken makes the credential of a machine that runs game servers.
func (r *Ring) NodeToken(node throng.NodeID) (string, error) {
	if _, err := throng.ParseNodeID("node", string(node)); err != nil {
		return "", err
	}
	return r.sign(claimsOf(throng.RoleNode, string(node)), MachineTokenTime)
}

// RegionToken makes the credential with which another region calls this one.
func (r *Ring) RegionToken(region throng.RegionID) (string, error) {
	if _, err := throng.ParseRegionID("region", string(region)); err != nil {
		return "", err
	}
	return r.sign(claimsOf(throng.RoleRegion, string(region)), MachineTokenTime)
}

// ReplicaToken makes the credential of a control-plane process for the others of
// its region.
func (r *Ring) ReplicaToken(replica throng.ReplicaID) (string, error) {
	if _, err := throng.ParseReplicaID("replica", string(replica)); err != nil {
		return "", err
	}
	return r.sign(claimsOf(throng.RoleReplica, string(replica)), MachineTokenTime)
}

// sign fills in what every token has; role and subject are there.
func (r *Ring) sign(c claims, ttl time.Duration) (string, error) {
	if ttl <= 0 || ttl > maxTokenTime {
		return "", throng.AtField(throng.Invalid, "ttl", "%v is not within 0 and %v", ttl, maxTokenTime)
	}
	now := r.cfg.Now()
	c.Issuer = issuerName
	c.Audience = jwt.ClaimStrings{audience(c.Role)}
	c.IssuedAt, c.ExpiresAt = jwt.NewNumericDate(now), jwt.NewNumericDate(now.Add(ttl))
	key := r.Signing()
	token := jwt.NewWithClaims(jwt.SigningMethodEdDSA, c)
	token.Header["kid"] = key.kid
	signed, err := token.SignedString(key.private)
	if err != nil {
		return "", fmt.Errorf("sign a token: %w", err)
	}
	return signed, nil
}

// Verify checks one of the ring's tokens: algorithm, key, signature, issuer,
// expiry, and that audience, role and names fit together. Denied: anything
// else. The words tell expired tokens from bad ones, no more.
func (r *Ring) Verify(token string) (throng.Caller, error) {
	v, err := r.verify(token)
	return v.caller, refusal(err)
}

func (r *Ring) verify(token string) (verified, error) {
	if len(token) > maxTokenSize {
		return verified{}, errTooLong
	}
	var c claims
	var key *RingKey
	_, err := r.parser.ParseWithClaims(token, &c, func(t *jwt.Token) (any, error) {
		kid, _ := t.Header["kid"].(string)
		if key = r.byKid(kid); key == nil {
			return nil, errUnknownKey
		}
		return key.public, nil
	})
	if err != nil {
		return verified{}, err
	}
	caller, err := c.caller()
	if err != nil {
		return verified{}, err
	}
	return verified{caller: caller, until: caller.Expires, trust: &key.trust}, nil
}

// Fresh says whether a machine's token was made with the key that signs now, and
// has half of its time left.
func (r *Ring) Fresh(token string) bool {
	v, err := r.verify(token)
	return err == nil && v.trust == &r.Signing().trust && v.until.Sub(r.cfg.Now()) > MachineTokenTime/2
}

func (c *claims) caller() (throng.Caller, error) {
	if want := audience(c.Role); want == "" || !slices.Equal(c.Audience, jwt.ClaimStrings{want}) {
		return throng.Caller{}, errors.New("audience and role do not fit")
	}
	caller := throng.Caller{Role: c.Role, Expires: c.ExpiresAt.Time}
	var err error
	switch c.Role {
	case throng.RolePlayer, throng.RoleCreator, throng.RoleOperator:
		caller.Player, err = throng.ParsePlayerID("sub", c.Subject)
		if c.Friends != nil {
			caller.Friends = friendsOf(*c.Friends, "")
		}
		caller.Attributes = attributesOf(c.Attributes)
	case throng.RoleServer:
		caller.Server, err = throng.ParseServerID("sub", c.Subject)
		if err == nil && c.Session != "" {
			caller.Session, err = throng.ParseSessionID("session", string(c.Session))
		}
	case throng.RoleNode:
		caller.Node, err = throng.ParseNodeID("sub", c.Subject)
	case throng.RoleRegion:
		caller.Region, err = throng.ParseRegionID("sub", c.Subject)
	case throng.RoleReplica:
		caller.Replica, err = throng.ParseReplicaID("sub", c.Subject)
	}
	if err != nil {
		return throng.Caller{}, err
	}
	return caller, nil
}

// friendsOf returns the claim of that name without what can't be a player: the
// issuer may know friends whom this deployment does not.
func friendsOf(names []string, prefix string) *[]throng.PlayerID {
	list := make([]throng.PlayerID, 0, len(names))
	for _, name := range names {
		if p, err := throng.ParsePlayerID("friends", prefix+name); err == nil {
			list = append(list, p)
		}
	}
	return &list
}

// attributesOf returns the claim of that name without what can be no attribute.
func attributesOf(claim map[string]any) *[]throng.Attribute {
	if len(claim) == 0 {
		return nil
	}
	list := make([]throng.Attribute, 0, len(claim))
	for name, value := range claim {
		if a, ok := throng.MakeAttribute(name, value); ok {
			list = append(list, a)
		}
	}
	return &list
}

var (
	errUnknownKey = errors.New("unknown key")
	errTooLong    = errors.New("too long")
)

// refusal says to the caller what is wrong with a token, and no more than a
// caller may know who brought it: that it has expired is said of a good
// signature only.
func refusal(err error) error {
	switch {
	case err == nil:
		return nil
	case throng.KindOf(err) == throng.Unavailable, throng.KindOf(err) == throng.RateLimited:
		return err
	case errors.Is(err, jwt.ErrTokenExpired) && !errors.Is(err, jwt.ErrTokenSignatureInvalid):
		return throng.Errorf(throng.Denied, "the token has expired")
	case errors.Is(err, errTooLong):
		return throng.Errorf(throng.Denied, "the token is longer than %d bytes", maxTokenSize)
	}
	return throng.Errorf(throng.Denied, "the token is not valid")
}

// isAPIKey tells API keys from tokens.
func isAPIKey(credential string) bool { return strings.HasPrefix(credential, keyPrefix) }
