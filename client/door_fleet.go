package client

import (
	"context"
	"time"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/api/gen"
)

// Servers lists game servers for operators. cluster empty: of all clusters.
func (d *Door) Servers(ctx context.Context, cluster string, p Page) (gen.ServerList, error) {
	req := of(gen.NewListServersRequest(d.line.addr, &gen.ListServersParams{
		Cluster: given(cluster), After: given(p.After), Limit: given(p.Limit),
	}))
	return send[gen.ServerList](ctx, d.line, callTime, req)
}

// Server returns one game server.
func (d *Door) Server(ctx context.Context, id throng.ServerID) (gen.ServerRecord, error) {
	return send[gen.ServerRecord](ctx, d.line, callTime, of(gen.NewGetServerRequest(d.line.addr, string(id))))
}

// Fleets lists the region's clusters for operators.
func (d *Door) Fleets(ctx context.Context) (gen.FleetList, error) {
	return send[gen.FleetList](ctx, d.line, callTime, of(gen.NewListFleetsRequest(d.line.addr)))
}

// DrainFleet takes a part of the fleet out of use: f's Kind and Name say which,
// Old and Reason how. Its sessions end after within though players are in them;
// zero: never.
func (d *Door) DrainFleet(ctx context.Context, f throng.FleetDrain, within time.Duration) (gen.DrainAnswer, error) {
	ask := gen.DrainRequest{Reason: f.Reason, Within: within.Seconds(), Old: f.Old}
	switch f.Kind {
	case throng.DrainServer:
		return send[gen.DrainAnswer](ctx, d.line, callTime, of(gen.NewDrainServerRequest(d.line.addr, f.Name, ask)))
	case throng.DrainCluster:
		return send[gen.DrainAnswer](ctx, d.line, callTime, of(gen.NewDrainFleetRequest(d.line.addr, f.Name, ask)))
	case throng.DrainRegion:
		return send[gen.DrainAnswer](ctx, d.line, callTime, of(gen.NewDrainRegionRequest(d.line.addr, f.Name, ask)))
	case throng.DrainVersion: // by ChangeRelease, with its place
	}
	return gen.DrainAnswer{}, throng.AtField(throng.Invalid, "Kind", "%q cannot be drained", f.Kind)
}

// UndrainFleet takes a cluster or the region into use again.
func (d *Door) UndrainFleet(ctx context.Context, kind throng.DrainKind, name string) error {
	req := of(gen.NewUndrainFleetRequest(d.line.addr, name))
	if kind == throng.DrainRegion {
		req = of(gen.NewUndrainRegionRequest(d.line.addr, name))
	}
	_, err := send[nothing](ctx, d.line, callTime, req)
	return err
}
