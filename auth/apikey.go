package auth

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base32"
	"fmt"
	"log/slog"
	"math"
	"strings"
	"sync"
	"time"

	"github.com/throng-gg/throng"
)

const (
	keyPrefix = "thk_"
	// keyIDText and keySecretText are how many characters each has: 80 and 160 bits.
	keyIDText, keySecretText = 16, 32

	maxKeysOfOwner = 50
	maxKeyName     = 64 // bytes
	maxKeyRate     = 1000
	keyMemory      = 5 * time.Second // that a record is believed, so that long a revoked key can count elsewhere
	maxKeyMemory   = 10_000          // records; past that all are read anew
	useEvery       = time.Minute     // between two notes of a key's use
	maxUses        = 256
)

// Keys makes and checks creators' API keys. It is safe for concurrent use, and
// several processes may have one each on the same store.
type Keys struct {
	store KeyStore
	now   func() time.Time
	log   *slog.Logger

	// uses is notes of use to be written. Full: they are dropped, and the next
	// call notes it again.
	uses chan keyUse

	mu    sync.Mutex
	known map[throng.KeyID]knownKey // guarded by mu
}

type knownKey struct {
	KeyRecord
	at   time.Time // read
	used time.Time // noted
}

type keyUse struct {
	id throng.KeyID
	at time.Time
}

// NewKeys makes Keys on a store. now and log may be nil.
func NewKeys(store KeyStore, now func() time.Time, log *slog.Logger) (*Keys, error) {
	if store == nil {
		return nil, throng.AtField(throng.Invalid, "store", "is missing")
	}
	if now == nil {
		now = time.Now
	}
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &Keys{store: store, now: now, log: log, uses: make(chan keyUse, maxUses), known: make(map[throng.KeyID]knownKey)}, nil
}

// Run notes when keys were used, until ctx ends.
func (k *Keys) Run(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case use := <-k.uses:
			err := k.store.UseKey(ctx, use.id, use.at)
			if err != nil && throng.KindOf(err) != throng.NotFound && ctx.Err() == nil {
				k.log.WarnContext(ctx, "the use of a key was not noted", "key", use.id, "err", err)
			}
		}
	}
}

// Create makes a key and returns it with its record: it is shown this once.
// Invalid: a bad name, a rate that is not within 0 and 1000, an end that is not
// to come. Full: the owner has 50.
func (k *Keys) Create(ctx context.Context, want throng.APIKey) (string, throng.APIKey, error) {
	now := k.now()
	switch {
	case want.Name == "" || len(want.Name) > maxKeyName || strings.ContainsFunc(want.Name, func(r rune) bool { return r < ' ' }):
		return "", throng.APIKey{}, throng.AtField(throng.Invalid, "name", "is not 1 to %d bytes of a line", maxKeyName)
	case math.IsNaN(want.Rate) || want.Rate < 0 || want.Rate > maxKeyRate:
		return "", throng.APIKey{}, throng.AtField(throng.Invalid, "rate", "%g is not within 0 and %d", want.Rate, maxKeyRate)
	case !want.Expires.IsZero() && !want.Expires.After(now):
		return "", throng.APIKey{}, throng.AtField(throng.Invalid, "expires", "is not to come")
	}
	have, err := k.store.ListKeys(ctx, want.Owner)
	if err != nil {
		return "", throng.APIKey{}, err
	}
	if len(have) >= maxKeysOfOwner {
		return "", throng.APIKey{}, throng.Errorf(throng.Full, "there are %d keys already: revoke one first", len(have))
	}
	var id throng.Entropy
	var secret [20]byte
	rand.Read(id[:])
	rand.Read(secret[:])
	want.ID, want.Created, want.Used = throng.MakeKeyID(id), now.UTC().Truncate(time.Second), time.Time{}
	text := keyText(want.ID, secret)
	if err := k.store.PutKey(ctx, KeyRecord{APIKey: want, Hash: sha256.Sum256([]byte(text))}); err != nil {
		return "", throng.APIKey{}, fmt.Errorf("store the key: %w", err)
	}
	return text, want, nil
}

func keyText(id throng.KeyID, secret [20]byte) string {
	return keyPrefix + strings.TrimPrefix(string(id), "key_") + "_" + strings.ToLower(base32.StdEncoding.EncodeToString(secret[:]))
}

// List returns an owner's keys, by ID.
func (k *Keys) List(ctx context.Context, owner throng.PlayerID) ([]throng.APIKey, error) {
	records, err := k.store.ListKeys(ctx, owner)
	if err != nil {
		return nil, err
	}
	out := make([]throng.APIKey, len(records))
	for i, r := range records {
		out[i] = r.APIKey
	}
	return out, nil
}

// Revoke takes a key away: here at once, in other processes within 5 s. owner
// empty: whosever it is. NotFound: there is none, or it is another's.
func (k *Keys) Revoke(ctx context.Context, owner throng.PlayerID, id throng.KeyID) error {
	record, err := k.store.GetKey(ctx, id)
	if err == nil && owner != "" && record.Owner != owner {
		err = throng.Errorf(throng.NotFound, "")
	}
	if throng.KindOf(err) == throng.NotFound && err != nil {
		return throng.Errorf(throng.NotFound, "there is no key %s", id)
	}
	if err != nil {
		return err
	}
	err = k.store.DeleteKey(ctx, id)
	k.mu.Lock()
	delete(k.known, id)
	k.mu.Unlock()
	return err
}

// verify says whose key it is. Denied: nobody's.
func (k *Keys) verify(ctx context.Context, text string) (throng.Caller, error) {
	now := k.now()
	denied := throng.Errorf(throng.Denied, "the token is not valid")
	rest := strings.TrimPrefix(text, keyPrefix)
	if len(rest) != keyIDText+1+keySecretText || rest[keyIDText] != '_' {
		return throng.Caller{}, denied
	}
	id, err := throng.ParseKeyID("key", "key_"+rest[:keyIDText])
	if err != nil {
		return throng.Caller{}, denied
	}
	record, err := k.record(ctx, id, now)
	switch {
	case throng.KindOf(err) == throng.NotFound && err != nil:
		return throng.Caller{}, denied
	case err != nil:
		return throng.Caller{}, throng.RetryLater(throng.Unavailable, time.Second, "keys cannot be read now: %w", err)
	}
	hash := sha256.Sum256([]byte(text))
	if subtle.ConstantTimeCompare(hash[:], record.Hash[:]) != 1 {
		return throng.Caller{}, denied
	}
	if !record.Expires.IsZero() && !now.Before(record.Expires) {
		return throng.Caller{}, throng.Errorf(throng.Denied, "the key has expired")
	}
	k.note(id, now)
	return throng.Caller{
		Role: throng.RoleCreator, Player: record.Owner, Expires: record.Expires, Key: id, KeyRate: record.Rate,
	}, nil
}

func (k *Keys) record(ctx context.Context, id throng.KeyID, now time.Time) (KeyRecord, error) {
	k.mu.Lock()
	known, ok := k.known[id]
	k.mu.Unlock()
	if ok && now.Sub(known.at) < keyMemory {
		return known.KeyRecord, nil
	}
	record, err := k.store.GetKey(ctx, id)
	k.mu.Lock()
	defer k.mu.Unlock()
	if err != nil {
		delete(k.known, id)
		return KeyRecord{}, err
	}
	if len(k.known) >= maxKeyMemory {
		clear(k.known)
	}
	used := record.Used
	if known.used.After(used) {
		used = known.used
	}
	k.known[id] = knownKey{KeyRecord: record, at: now, used: used}
	return record, nil
}

func (k *Keys) note(id throng.KeyID, now time.Time) {
	k.mu.Lock()
	known, ok := k.known[id]
	due := ok && now.Sub(known.used) >= useEvery
	if due {
		known.used = now
		k.known[id] = known
	}
	k.mu.Unlock()
	if !due {
		return
	}
	select {
	case k.uses <- keyUse{id, now}:
	default:
	}
}
