package api

import (
	"context"
	"slices"
	"strings"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/api/gen"
)

// maxCluster is how long a cluster's name may be.
const maxCluster = 63

// fleets is what knows of game servers.
func (c calls) fleets() (Fleets, error) {
	if c.cfg.Fleets == nil {
		return nil, throng.Errorf(throng.Unsupported, "this door knows nothing of game servers")
	}
	return c.cfg.Fleets, nil
}

// ListServers lists game servers for operators.
func (c calls) ListServers(ctx context.Context, req gen.ListServersRequestObject) (gen.ListServersResponseObject, error) {
	limit, err := limitOf(req.Params.Limit)
	if err != nil {
		return nil, err
	}
	fleets, err := c.fleets()
	if err != nil {
		return nil, err
	}
	after, cluster := throng.ServerID(value(req.Params.After)), value(req.Params.Cluster)
	if after != "" {
		if after, err = throng.ParseServerID("after", string(after)); err != nil {
			return nil, err
		}
	}
	all, partial, err := fleets.Servers(ctx)
	if err != nil {
		return nil, err
	}
	out := gen.ListServers200JSONResponse{Servers: []gen.ServerRecord{}, Partial: partial}
	for _, s := range all {
		if s.Status == throng.StatusGone || s.ID <= after || cluster != "" && s.Site.Cluster != cluster {
			continue
		}
		if len(out.Servers) == limit {
			out.Next = out.Servers[limit-1].ID
			break
		}
		out.Servers = append(out.Servers, gen.ServerRecordOf(s))
	}
	return out, nil
}

// GetServer returns one game server.
func (c calls) GetServer(ctx context.Context, req gen.GetServerRequestObject) (gen.GetServerResponseObject, error) {
	id, err := throng.ParseServerID("id", req.ID)
	if err != nil {
		return nil, err
	}
	fleets, err := c.fleets()
	if err != nil {
		return nil, err
	}
	all, partial, err := fleets.Servers(ctx)
	if err != nil {
		return nil, err
	}
	at, found := slices.BinarySearchFunc(all, id, func(s throng.ServerInfo, id throng.ServerID) int {
		return strings.Compare(string(s.ID), string(id))
	})
	switch {
	case found:
		return gen.GetServer200JSONResponse(gen.ServerRecordOf(all[at])), nil
	case partial:
		return nil, throng.Errorf(throng.Unavailable, "a control plane that may know the server does not answer")
	}
	return nil, throng.AtField(throng.NotFound, "id", "there is no server %s", id)
}

// ListFleets lists the clusters of the region.
func (c calls) ListFleets(ctx context.Context, _ gen.ListFleetsRequestObject) (gen.ListFleetsResponseObject, error) {
	fleets, err := c.fleets()
	if err != nil {
		return nil, err
	}
	all, partial, err := fleets.Fleets(ctx)
	if err != nil {
		return nil, err
	}
	out := gen.ListFleets200JSONResponse{Fleets: []gen.FleetRecord{}, Partial: partial}
	for _, f := range all {
		out.Fleets = append(out.Fleets, gen.FleetRecordOf(f))
	}
	return out, nil
}

// drain takes a part of the fleet out of use.
func (c calls) drain(ctx context.Context, kind throng.DrainKind, name string, body *gen.DrainRequest) (out gen.DrainAnswer, err error) {
	reason, err := gen.ParseReason("reason", body.Reason)
	if err != nil {
		return out, err
	}
	within, err := withinOf(body.Within)
	if err != nil {
		return out, err
	}
	if body.Old && kind != throng.DrainCluster {
		return out, onlyFleets()
	}
	fleets, err := c.fleets()
	if err != nil {
		return out, err
	}
	sum, err := fleets.Drain(ctx, throng.FleetDrain{Kind: kind, Name: name, Old: body.Old, Reason: reason}, within)
	return gen.DrainAnswer{Servers: sum.Servers, Sessions: sum.Sessions, Players: sum.Players}, err
}

func onlyFleets() error {
	return throng.AtField(throng.Invalid, "old", "goes with a cluster's drain only")
}

// DrainServer drains the session of a game server, or releases it.
func (c calls) DrainServer(ctx context.Context, req gen.DrainServerRequestObject) (gen.DrainServerResponseObject, error) {
	id, err := throng.ParseServerID("id", req.ID)
	if err != nil {
		return nil, err
	}
	answer, err := c.drain(ctx, throng.DrainServer, string(id), req.Body)
	return gen.DrainServer200JSONResponse(answer), err
}

// DrainFleet takes a cluster out of use.
func (c calls) DrainFleet(ctx context.Context, req gen.DrainFleetRequestObject) (gen.DrainFleetResponseObject, error) {
	if err := checkCluster(req.Cluster); err != nil {
		return nil, err
	}
	answer, err := c.drain(ctx, throng.DrainCluster, req.Cluster, req.Body)
	return gen.DrainFleet200JSONResponse(answer), err
}

// UndrainFleet takes it into use again.
func (c calls) UndrainFleet(ctx context.Context, req gen.UndrainFleetRequestObject) (gen.UndrainFleetResponseObject, error) {
	if err := checkCluster(req.Cluster); err != nil {
		return nil, err
	}
	fleets, err := c.fleets()
	if err == nil {
		err = fleets.Undrain(ctx, throng.DrainCluster, req.Cluster)
	}
	return gen.UndrainFleet204Response{}, err
}

// DrainRegion takes the whole region out of use.
func (c calls) DrainRegion(ctx context.Context, req gen.DrainRegionRequestObject) (gen.DrainRegionResponseObject, error) {
	if err := c.ownRegion(req.ID); err != nil {
		return nil, err
	}
	answer, err := c.drain(ctx, throng.DrainRegion, req.ID, req.Body)
	return gen.DrainRegion200JSONResponse(answer), err
}

// UndrainRegion takes it into use again.
func (c calls) UndrainRegion(ctx context.Context, req gen.UndrainRegionRequestObject) (gen.UndrainRegionResponseObject, error) {
	if err := c.ownRegion(req.ID); err != nil {
		return nil, err
	}
	fleets, err := c.fleets()
	if err == nil {
		err = fleets.Undrain(ctx, throng.DrainRegion, req.ID)
	}
	return gen.UndrainRegion204Response{}, err
}

func (c calls) ownRegion(id string) error {
	if id != string(c.cfg.Region) {
		return throng.AtField(throng.NotFound, "id", "this door is of region %s", c.cfg.Region)
	}
	return nil
}

// checkCluster bounds a name, which becomes a file's.
func checkCluster(name string) error {
	ok := name != "" && len(name) <= maxCluster && name[0] != '.'
	for _, r := range []byte(name) {
		ok = ok && (r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.IndexByte("-_.", r) >= 0)
	}
	if !ok {
		return throng.AtField(throng.NotFound, "cluster", "there is no cluster of that name")
	}
	return nil
}
