package agones

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	"encoding/json"
	"net/http"
	"sync"
	"time"

	"github.com/lestrrat-go/jwx/v3/jwk"

	"github.com/throng-gg/throng"
)

const (
	keysFresh = 10 * time.Minute // how long a cluster's keys are believed without a look
	keysAgain = 5 * time.Second  // at least between two looks
	keysTime  = 3 * time.Second
	maxKeys   = 64
)

// keyring is the keys that a cluster signs its service accounts' tokens with, as
// its own API server says. They are read when they are needed, and again when a
// token bears a key that is not among them.
type keyring struct {
	server *server

	mu     sync.Mutex
	issuer string                      // guarded by mu; empty: not known yet
	keys   map[string]crypto.PublicKey // guarded by mu; by key ID
	read   time.Time                   // guarded by mu; when they were read last
	tried  time.Time                   // guarded by mu
	err    error                       // guarded by mu; of the last try
	flight chan struct{}               // guarded by mu; closed when the look under way is over; nil: none is
}

// find returns the key that a token says it was signed with. known says that
// there is one; without error and without a key the cluster has no such key.
// Unavailable: the cluster's keys are not known now.
func (k *keyring) find(ctx context.Context, issuer, kid string) (key crypto.PublicKey, err error) {
	for {
		now := time.Now()
		k.mu.Lock()
		key, has := k.keys[kid]
		if has && k.issuer == issuer && now.Sub(k.read) < keysFresh {
			k.mu.Unlock()
			return key, nil
		}
		if k.flight == nil && now.Sub(k.tried) < keysAgain {
			defer k.mu.Unlock()
			switch {
			case has && k.issuer == issuer: // the cluster is away; what was good stays good
				return key, nil
			case k.read.IsZero():
				return nil, throng.RetryLater(throng.Unavailable, keysAgain, "the cluster's keys are not known: %w", k.err)
			}
			return nil, nil //nolint:nilnil // it has none
		}
		flight := k.flight
		if flight == nil {
			flight = make(chan struct{})
			k.flight, k.tried = flight, now
			k.mu.Unlock()
			k.look(ctx, flight)
			continue
		}
		k.mu.Unlock()
		select {
		case <-flight:
		case <-ctx.Done():
			return nil, throng.Errorf(throng.Unavailable, "the cluster's keys are being read: %w", ctx.Err())
		}
	}
}

// look reads the keys. A caller who leaves does not end it for those who wait.
func (k *keyring) look(ctx context.Context, flight chan struct{}) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), keysTime)
	defer cancel()
	issuer, keys, err := k.get(ctx)
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.err = err; err == nil {
		k.issuer, k.keys, k.read = issuer, keys, time.Now()
	}
	k.flight = nil
	close(flight)
}

// get asks the API server: any account may read these two, by default.
func (k *keyring) get(ctx context.Context) (issuer string, keys map[string]crypto.PublicKey, err error) {
	var about struct {
		Issuer string `json:"issuer"`
	}
	err = k.server.call(ctx, request{verb: "get", method: http.MethodGet, path: "/.well-known/openid-configuration"}, &about)
	if err != nil {
		return "", nil, err
	}
	var text json.RawMessage
	err = k.server.call(ctx, request{verb: "get", method: http.MethodGet, path: "/openid/v1/jwks", accept: "application/jwk-set+json"}, &text)
	if err != nil {
		return "", nil, err
	}
	set, err := jwk.Parse(text)
	if err != nil {
		return "", nil, throng.Errorf(throng.Unavailable, "read the cluster's keys: %w", err)
	}
	if about.Issuer == "" || set.Len() == 0 || set.Len() > maxKeys {
		return "", nil, throng.Errorf(throng.Unavailable, "the cluster has %d keys of issuer %q", set.Len(), clip(about.Issuer))
	}
	keys = make(map[string]crypto.PublicKey, set.Len())
	for i := range set.Len() {
		one, _ := set.Key(i)
		kid, named := one.KeyID()
		var raw any
		if err := jwk.Export(one, &raw); err != nil || !named {
			continue // of a kind that we don't know
		}
		switch public := raw.(type) {
		case *rsa.PublicKey:
			if public.N.BitLen() >= 2048 {
				keys[kid] = public
			}
		case *ecdsa.PublicKey:
			keys[kid] = public
		}
	}
	return about.Issuer, keys, nil
}
