package s3

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/auth"
)

const (
	keysDir = "keys/"
	maxKeys = 20_000
	void    = "{}" // in place of a key that is being deleted
)

// Keys keeps API keys in the region's bucket, and nothing in memory. It is
// auth.KeyStore.
type Keys struct{ at *bucket }

// Keys returns the store's API keys.
func (s *Store) Keys() Keys { return Keys{s.own} }

func keyOf(id throng.KeyID) (string, error) {
	_, err := throng.ParseKeyID("key", string(id))
	return keysDir + string(id) + ".json", err
}

func noKey(id throng.KeyID) error { return throng.Errorf(throng.NotFound, "there is no key %s", id) }

// PutKey is auth.KeyStore.
func (k Keys) PutKey(ctx context.Context, r auth.KeyRecord) error {
	key, err := keyOf(r.ID)
	if err != nil {
		return err
	}
	content, err := auth.EncodeKey(r)
	if err != nil {
		return err
	}
	_, err = k.at.put(ctx, key, content, condition{absent: true})
	if err != nil && throng.KindOf(err) == throng.Conflict {
		return throng.Errorf(throng.Exists, "there is a key %s", r.ID)
	}
	return err
}

// GetKey is auth.KeyStore.
func (k Keys) GetKey(ctx context.Context, id throng.KeyID) (auth.KeyRecord, error) {
	r, _, err := k.get(ctx, id)
	return r, err
}

func (k Keys) get(ctx context.Context, id throng.KeyID) (auth.KeyRecord, string, error) {
	key, err := keyOf(id)
	if err != nil {
		return auth.KeyRecord{}, "", err
	}
	o, err := k.at.get(ctx, key, "")
	if err != nil {
		return auth.KeyRecord{}, "", err
	}
	if string(o.content) == void {
		return auth.KeyRecord{}, "", noKey(id)
	}
	r, err := auth.DecodeKey(id, o.content)
	if err != nil {
		return auth.KeyRecord{}, "", fmt.Errorf("%s: %w", k.at.name, err)
	}
	return r, o.tag, nil
}

// ListKeys is auth.KeyStore.
func (k Keys) ListKeys(ctx context.Context, owner throng.PlayerID) ([]auth.KeyRecord, error) {
	found, err := k.at.list(ctx, keysDir, maxKeys)
	if err != nil {
		return nil, err
	}
	records, errs := make([]auth.KeyRecord, len(found)), make([]error, len(found))
	turn := make(chan struct{}, readers)
	var all sync.WaitGroup
	for i, f := range found {
		turn <- struct{}{}
		all.Go(func() {
			records[i], errs[i] = k.GetKey(ctx, throng.KeyID(strings.TrimSuffix(f.name, ".json")))
			<-turn
		})
	}
	all.Wait()
	var list []auth.KeyRecord
	for i, r := range records {
		switch err := errs[i]; {
		case err != nil && throng.KindOf(err) == throng.NotFound: // deleted meanwhile
		case err != nil:
			return nil, err
		case owner == "" || r.Owner == owner:
			list = append(list, r)
		}
	}
	slices.SortFunc(list, func(a, b auth.KeyRecord) int { return strings.Compare(string(a.ID), string(b.ID)) })
	return list, nil
}

// DeleteKey is auth.KeyStore. A key is made void before it goes, by condition, so
// that no note of its use that is on its way brings it back.
func (k Keys) DeleteKey(ctx context.Context, id throng.KeyID) error {
	key, err := keyOf(id)
	if err != nil {
		return err
	}
	for {
		o, err := k.at.get(ctx, key, "")
		if err == nil && string(o.content) == void {
			err = noKey(id)
		}
		if err != nil {
			return err
		}
		_, err = k.at.put(ctx, key, []byte(void), condition{tag: o.tag})
		if err == nil {
			return k.at.drop(ctx, key)
		}
		if throng.KindOf(err) != throng.Conflict || ctx.Err() != nil {
			return err
		}
	}
}

// UseKey is auth.KeyStore.
func (k Keys) UseKey(ctx context.Context, id throng.KeyID, at time.Time) error {
	for {
		r, tag, err := k.get(ctx, id)
		if err != nil || !at.After(r.Used) {
			return err
		}
		r.Used = at.UTC().Truncate(time.Second)
		content, err := auth.EncodeKey(r)
		if err != nil {
			return err
		}
		// One that was deleted meanwhile stays deleted.
		_, err = k.at.put(ctx, keysDir+string(id)+".json", content, condition{tag: tag})
		if err == nil || throng.KindOf(err) != throng.Conflict || ctx.Err() != nil {
			return err
		}
	}
}
