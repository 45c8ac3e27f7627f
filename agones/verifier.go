package agones

import (
	"context"
	"crypto/sha256"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/throng-gg/throng"
)

const (
	maxPodToken = 8 << 10         // bytes
	skew        = 5 * time.Second // between the clocks of a cluster and ours
	maxGood     = 1 << 14         // tokens that are remembered

	clockWait = 10 * time.Second // most until a token that is not good yet is to be brought again
)

// pod is who brings a token: what the cluster says in it.
type pod struct {
	cluster   string
	namespace string
	name      string
	uid       string
	node      string // empty: not said
	expires   time.Time
}

// podClaims is a service account token that is bound to a pod.
type podClaims struct {
	jwt.RegisteredClaims

	Kubernetes struct {
		Namespace string `json:"namespace"`
		Pod       struct {
			Name string `json:"name"`
			UID  string `json:"uid"`
		} `json:"pod"`
		Node struct {
			Name string `json:"name"`
		} `json:"node"`
	} `json:"kubernetes.io"`
}

// verifier tells whose token it is.
type verifier struct {
	audience string
	clusters []*cluster
	keys     map[string]*keyring // by cluster

	mu   sync.Mutex
	good map[[32]byte]pod // guarded by mu; tokens that were good; full: all are forgotten
}

func newVerifier(audience string, clusters []*cluster) *verifier {
	v := &verifier{audience: audience, clusters: clusters, keys: map[string]*keyring{}, good: map[[32]byte]pod{}}
	for _, c := range clusters {
		v.keys[c.cfg.Name] = &keyring{server: c.server}
	}
	return v
}

// known returns whose token it is if it was good before, and has not expired.
func (v *verifier) known(token string) (pod, bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	p, ok := v.good[sha256.Sum256([]byte(token))]
	if !ok || !time.Now().Before(p.expires.Add(skew)) {
		return pod{}, false
	}
	return p, true
}

// verify returns whose token it is. Denied: it is no good. Unavailable: the
// cluster that may have made it does not say its keys, or its clock is ahead of
// ours.
func (v *verifier) verify(ctx context.Context, token string) (pod, error) {
	if p, ok := v.known(token); ok {
		return p, nil
	}
	if len(token) > maxPodToken {
		return pod{}, throng.Errorf(throng.Denied, "the token has %d bytes, a pod's has at most %d", len(token), maxPodToken)
	}
	var unread podClaims
	parsed, _, err := jwt.NewParser().ParseUnverified(token, &unread)
	if err != nil {
		return pod{}, throng.Errorf(throng.Denied, "the token is none that a cluster makes")
	}
	kid, _ := parsed.Header["kid"].(string)
	if kid == "" || unread.Issuer == "" {
		return pod{}, throng.Errorf(throng.Denied, "the token does not say who made it")
	}
	var away error
	for _, c := range v.clusters {
		// Clusters may all say the same issuer, but each has its own keys.
		key, err := v.keys[c.cfg.Name].find(ctx, unread.Issuer, kid)
		if err != nil {
			away = wrapf(err, "cluster %s", c.cfg.Name)
		}
		if key == nil {
			continue
		}
		var claims podClaims
		_, err = jwt.NewParser(
			jwt.WithValidMethods([]string{"RS256", "ES256", "ES384", "ES512"}),
			jwt.WithIssuer(unread.Issuer), jwt.WithAudience(v.audience),
			jwt.WithExpirationRequired(), jwt.WithLeeway(skew),
		).ParseWithClaims(token, &claims, func(*jwt.Token) (any, error) { return key, nil })
		switch {
		case isEarly(err) && claims.NotBefore != nil:
			// Who is denied ends. This one is good in a moment, by our clock.
			wait := time.Until(claims.NotBefore.Add(-skew))
			return pod{}, throng.RetryLater(throng.Unavailable, min(max(wait, time.Second), clockWait),
				"the token of cluster %s is good from %s from now on: are its clock and ours apart?", c.cfg.Name, wait.Round(time.Second))
		case err != nil:
			return pod{}, throng.Errorf(throng.Denied, "the token of cluster %s is not good: %w", c.cfg.Name, err)
		}
		return v.read(c, token, claims)
	}
	if away != nil {
		return pod{}, away
	}
	return pod{}, throng.Errorf(throng.Denied, "no cluster of this region made the token")
}

// isEarly says that a token is good but for its time, which is yet to come.
func isEarly(err error) bool {
	return errors.Is(err, jwt.ErrTokenNotValidYet) && !slices.ContainsFunc([]error{
		jwt.ErrTokenExpired, jwt.ErrTokenInvalidAudience, jwt.ErrTokenInvalidIssuer, jwt.ErrTokenRequiredClaimMissing,
		jwt.ErrTokenSignatureInvalid, jwt.ErrTokenUnverifiable, jwt.ErrTokenMalformed,
	}, func(other error) bool { return errors.Is(err, other) })
}

// read takes out of a token which pod it is for.
func (v *verifier) read(c *cluster, token string, claims podClaims) (pod, error) {
	p := pod{
		cluster: c.cfg.Name, namespace: claims.Kubernetes.Namespace,
		name: claims.Kubernetes.Pod.Name, uid: claims.Kubernetes.Pod.UID, node: claims.Kubernetes.Node.Name,
		expires: claims.ExpiresAt.Time,
	}
	switch {
	case p.name == "" || p.uid == "":
		return pod{}, throng.Errorf(throng.Denied, "the token is not bound to a pod")
	case p.namespace != c.cfg.Namespace:
		return pod{}, throng.Errorf(throng.Denied, "the pod is in namespace %q, game servers of cluster %s are in %q", p.namespace, c.cfg.Name, c.cfg.Namespace)
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if len(v.good) >= maxGood {
		clear(v.good)
	}
	v.good[sha256.Sum256([]byte(token))] = p
	return p, nil
}
