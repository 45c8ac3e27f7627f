package api

import (
	"context"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/api/gen"
)

// GetRegionSummary tells another region what this one has.
func (c calls) GetRegionSummary(ctx context.Context, req gen.GetRegionSummaryRequestObject) (gen.GetRegionSummaryResponseObject, error) {
	if err := c.ownRegion(req.ID); err != nil {
		return nil, err
	}
	if c.cfg.Summaries == nil {
		return nil, throng.Errorf(throng.Unsupported, "this door tells nothing of its region")
	}
	s, err := c.cfg.Summaries.Summary(ctx)
	if err != nil {
		return nil, err
	}
	return gen.GetRegionSummary200JSONResponse(gen.RegionSummaryOf(s)), nil
}
