package client

import (
	"context"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/api/gen"
)

// Region speaks to another region's door, as a region. It repeats nothing.
type Region struct {
	door *Door
	id   throng.RegionID
}

// NewRegion makes the client of one region for another. token returns what the
// called one made (throng token region); it is asked for at each call. cfg.Token is
// not looked at. Invalid: a bad address or name.
func NewRegion(cfg Config, id throng.RegionID, token func() string) (*Region, error) {
	if _, err := throng.ParseRegionID("id", string(id)); err != nil {
		return nil, err
	}
	door, err := New(cfg)
	if err != nil {
		return nil, err
	}
	door.line.token = token
	return &Region{door: door, id: id}, nil
}

// Summary asks the region what it has. Internal: the door's answer makes no sense,
// or is another region's.
func (r *Region) Summary(ctx context.Context) (throng.RegionSummary, error) {
	said, err := send[gen.RegionSummary](ctx, r.door.line, callTime, of(gen.NewGetRegionSummaryRequest(r.door.line.addr, string(r.id))))
	if err != nil {
		return throng.RegionSummary{}, err
	}
	s, err := said.Root()
	switch {
	case err != nil:
		return throng.RegionSummary{}, throng.Errorf(throng.Internal, "the door's answer: %w", err)
	case s.Region != r.id:
		return throng.RegionSummary{}, throng.Errorf(throng.Internal, "the door's answer is of region %s, not %s", s.Region, r.id)
	}
	return s, nil
}
