package auth

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/throng-gg/throng"
)

const maxKeyRecord = 4 << 10 // bytes

// keyFile is an API key as stores keep it. New fields must have a good zero
// value.
type keyFile struct {
	ID      throng.KeyID    `json:"id"`
	Owner   throng.PlayerID `json:"owner"`
	Name    string          `json:"name"`
	Rate    float64         `json:"rate,omitempty"`
	Created time.Time       `json:"created"`
	Expires time.Time       `json:"expires,omitzero"`
	Used    time.Time       `json:"used,omitzero"`
	Hash    []byte          `json:"hash"` // SHA-256 of the key
}

// EncodeKey is a key's record as stores keep it: JSON.
func EncodeKey(r KeyRecord) ([]byte, error) {
	content, err := json.MarshalIndent(keyFile{
		ID: r.ID, Owner: r.Owner, Name: r.Name, Rate: r.Rate, Created: r.Created, Expires: r.Expires, Used: r.Used, Hash: r.Hash[:],
	}, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("write key %s: %w", r.ID, err)
	}
	return content, nil
}

// DecodeKey reads what EncodeKey wrote. Internal: it is no record of the key.
func DecodeKey(id throng.KeyID, content []byte) (KeyRecord, error) {
	var f keyFile
	err := json.Unmarshal(content, &f)
	if err == nil && (f.ID != id || len(f.Hash) != 32 || f.Owner == "" || len(content) > maxKeyRecord) {
		err = errors.New("it is no key's record")
	}
	if err != nil {
		return KeyRecord{}, throng.Errorf(throng.Internal, "key %s is damaged: %w", id, err)
	}
	return KeyRecord{
		APIKey: throng.APIKey{
			ID: f.ID, Owner: f.Owner, Name: f.Name, Rate: f.Rate, Created: f.Created, Expires: f.Expires, Used: f.Used,
		},
		Hash: [32]byte(f.Hash),
	}, nil
}
