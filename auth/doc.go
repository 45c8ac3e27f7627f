// Package auth says who is calling: it checks access tokens of the region's own
// ring of keys and of studios' issuers, and creators' API keys.
//
//	token ──▶ Auth ──▶ cache        verified before, its key still trusted
//	              ├──▶ Ring         issuer "throng": servers, nodes, regions, operators, dev tokens
//	              ├──▶ Issuer       a studio's: keys from a JWKS, by URL or file
//	              └──▶ Keys         "thk_...": a creator's, kept as a hash
//
// A key that is trusted no more (taken out of the ring, out of a JWKS) takes what
// it signed out of the cache at once. docs/security.md has the threat model and
// the procedures.
//
// Neighbours: api asks Auth; disk keeps secrets and API keys; cmd/throng derives
// the keys of sessions from the ring's entries.
//
// When it misbehaves: throng_auth_refused_total says why callers are refused,
// throng_auth_jwks_age_seconds how old an issuer's keys are, and
// throng_auth_ring_keys how many keys the region has; the log says what could
// not be read.
package auth
