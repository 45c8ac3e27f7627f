package api

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/api/gen"
)

// Publish makes an upload live.
func (c calls) Publish(ctx context.Context, req gen.PublishRequestObject) (gen.PublishResponseObject, error) {
	place, err := throng.ParsePlaceID("id", req.ID)
	if err != nil {
		return nil, err
	}
	r, err := c.cfg.Places.Publish(ctx, c.editorOf(ctx), place, req.Body)
	if over, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return nil, tooLarge(over.Limit)
	}
	if err != nil {
		return nil, err
	}
	return gen.Publish200JSONResponse{
		Place:       string(r.Place),
		Name:        r.Name,
		Version:     int(r.Version),
		Package:     string(r.Package),
		Capacity:    r.Capacity,
		TickRate:    r.TickRate,
		PublishedAt: time.UnixMilli(r.Published).UTC(),
	}, nil
}

// GetPackage downloads a package.
func (c calls) GetPackage(ctx context.Context, req gen.GetPackageRequestObject) (gen.GetPackageResponseObject, error) {
	hash, err := gen.ParsePackageHash("hash", req.Hash)
	if err != nil {
		return nil, err
	}
	body, size, err := c.cfg.Places.Package(ctx, hash)
	if err != nil {
		return nil, err
	}
	return gen.GetPackage200ApplicationOctetStreamResponse{Body: body, ContentLength: size}, nil
}
