package api

import (
	"context"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/api/gen"
)

// heartbeat checks that a server's token, the session in the path and what the
// server says of itself fit together.
func (c calls) heartbeat(
	ctx context.Context, prefix string, id throng.SessionID, said gen.Heartbeat,
) (throng.Heartbeat, error) {
	caller := callerOf(ctx)
	if err := ownSession(caller, id); err != nil {
		return throng.Heartbeat{}, err
	}
	h, err := said.Root(prefix, id)
	if err != nil {
		return throng.Heartbeat{}, err
	}
	return h, ownServer(caller, prefix+"server", h.Server)
}

// PutHeartbeat extends a session's lease.
func (c calls) PutHeartbeat(ctx context.Context, req gen.PutHeartbeatRequestObject) (gen.PutHeartbeatResponseObject, error) {
	id, err := throng.ParseSessionID("id", req.ID)
	if err != nil {
		return nil, err
	}
	h, err := c.heartbeat(ctx, "", id, *req.Body)
	if err != nil {
		return nil, err
	}
	answer, err := c.cfg.Registry.Heartbeat(ctx, h)
	if err != nil {
		return nil, err
	}
	return gen.PutHeartbeat200JSONResponse{HeardJSONResponse: gen.HeardJSONResponse(gen.HeartbeatAnswerOf(answer))}, nil
}

// PutReport replaces what the registry knows of a session's seats.
func (c calls) PutReport(ctx context.Context, req gen.PutReportRequestObject) (gen.PutReportResponseObject, error) {
	id, err := throng.ParseSessionID("id", req.ID)
	if err != nil {
		return nil, err
	}
	if err := ownSession(callerOf(ctx), id); err != nil {
		return nil, err
	}
	report, err := req.Body.Root(id)
	if err != nil {
		return nil, err
	}
	if err := ownServer(callerOf(ctx), "server", report.Server); err != nil {
		return nil, err
	}
	answer, err := c.cfg.Registry.Report(ctx, report)
	if err != nil {
		return nil, err
	}
	return gen.PutReport200JSONResponse{HeardJSONResponse: gen.HeardJSONResponse(gen.HeartbeatAnswerOf(answer))}, nil
}

// Confirm makes a held seat an occupied one.
func (c calls) Confirm(ctx context.Context, req gen.ConfirmRequestObject) (gen.ConfirmResponseObject, error) {
	id, err := throng.ParseSessionID("id", req.ID)
	if err != nil {
		return nil, err
	}
	h, err := c.heartbeat(ctx, "heartbeat.", id, req.Body.Heartbeat)
	if err != nil {
		return nil, err
	}
	change, err := req.Body.Change.Root("change.")
	if err != nil {
		return nil, err
	}
	if change.Kind != throng.RosterJoined {
		return nil, throng.AtField(throng.Invalid, "change.kind", "only who joined is confirmed")
	}
	if err := c.cfg.Registry.Confirm(ctx, h, change); err != nil {
		return nil, err
	}
	return gen.Confirm204Response{}, nil
}
