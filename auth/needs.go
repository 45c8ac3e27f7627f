package auth

import (
	"context"
	"time"

	"github.com/throng-gg/throng"
)

// Secret is one of a region's master secrets.
type Secret struct {
	Number int // from 1; the newest has the highest
	Bytes  [32]byte
	Since  time.Time // when it was made, or reached this machine
}

// Secrets is where a region's master secrets are.
type Secrets interface {
	// Secrets returns all of them, the oldest first. At least one.
	Secrets() ([]Secret, error)
}

// KeyRecord is what is kept of an API key.
type KeyRecord struct {
	throng.APIKey
	Hash [32]byte // SHA-256 of the key
}

// KeyStore keeps API keys. Other processes may change them at any time.
type KeyStore interface {
	// PutKey stores a new key; it is durable when PutKey returned nil. Exists:
	// there is one of that name.
	PutKey(ctx context.Context, k KeyRecord) error
	// GetKey returns a key. NotFound: there is none.
	GetKey(ctx context.Context, id throng.KeyID) (KeyRecord, error)
	// ListKeys returns an owner's keys, by ID; of everybody for an empty owner.
	ListKeys(ctx context.Context, owner throng.PlayerID) ([]KeyRecord, error)
	// DeleteKey takes a key away for good. NotFound: there is none.
	DeleteKey(ctx context.Context, id throng.KeyID) error
	// UseKey notes when a key was used last. A key that was deleted meanwhile
	// stays deleted: NotFound.
	UseKey(ctx context.Context, id throng.KeyID, at time.Time) error
}
