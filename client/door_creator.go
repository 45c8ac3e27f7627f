package client

import (
	"context"
	"time"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/api/gen"
)

// KeyWish says what an API key is for.
type KeyWish struct {
	Name    string        // for people, 1 to 64 bytes
	Expires time.Duration // how long it is good, whole seconds; zero: until it is revoked
	Rate    float64       // calls a second; zero: as many as an account may make
}

// CreateKey makes an API key of the caller. It is shown this once; repeated, the
// call makes another one.
func (d *Door) CreateKey(ctx context.Context, w KeyWish) (gen.NewAPIKey, error) {
	req := of(gen.NewCreateKeyRequest(d.line.addr, gen.CreateKeyRequest{
		Name: w.Name, ExpiresIn: int64(w.Expires / time.Second), Rate: w.Rate,
	}))
	return send[gen.NewAPIKey](ctx, d.line, callTime, req)
}

// Keys lists API keys: the caller's, or for operators another owner's.
func (d *Door) Keys(ctx context.Context, owner throng.PlayerID) (gen.APIKeyList, error) {
	req := of(gen.NewListKeysRequest(d.line.addr, &gen.ListKeysParams{Owner: given(string(owner))}))
	return send[gen.APIKeyList](ctx, d.line, callTime, req)
}

// RevokeKey takes an API key away for good. NotFound: there is none of the
// caller's.
func (d *Door) RevokeKey(ctx context.Context, id throng.KeyID) error {
	req := of(gen.NewRevokeKeyRequest(d.line.addr, string(id)))
	_, err := send[nothing](ctx, d.line, callTime, req)
	return err
}

// Owners lists who owns a place. NotFound: the caller does not.
func (d *Door) Owners(ctx context.Context, place throng.PlaceID) (gen.OwnerList, error) {
	req := of(gen.NewGetOwnersRequest(d.line.addr, string(place)))
	return send[gen.OwnerList](ctx, d.line, callTime, req)
}

// AddOwner lets another account own the caller's place as well.
func (d *Door) AddOwner(ctx context.Context, place throng.PlaceID, p throng.PlayerID) (gen.OwnerList, error) {
	req := of(gen.NewAddOwnerRequest(d.line.addr, string(place), string(p)))
	return send[gen.OwnerList](ctx, d.line, callTime, req)
}

// RemoveOwner takes an owner of the caller's place away, also the caller.
func (d *Door) RemoveOwner(ctx context.Context, place throng.PlaceID, p throng.PlayerID) (gen.OwnerList, error) {
	req := of(gen.NewRemoveOwnerRequest(d.line.addr, string(place), string(p)))
	return send[gen.OwnerList](ctx, d.line, callTime, req)
}
