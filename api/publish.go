package api

import (
	"context"
	"errors"
	"net/http"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/api/gen"
)

// Publish makes an upload live.
func (c calls) Publish(ctx context.Context, req gen.PublishRequestObject) (gen.PublishResponseObject, error) {
	place, err := throng.ParsePlaceID("id", req.ID)
	if err != nil {
		return nil, err
	}
	how := throng.Publication{Stage: value(req.Params.Stage), Canary: value(req.Params.Canary)}
	if how.Stage && how.Canary != 0 {
		return nil, throng.AtField(throng.Invalid, "stage", "and canary do not go together")
	}
	r, err := c.cfg.Places.Publish(ctx, c.editorOf(ctx), place, req.Body, how)
	if over, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return nil, tooLarge(over.Limit)
	}
	if err != nil {
		return nil, err
	}
	return gen.Publish200JSONResponse(releaseOf(r)), nil
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
