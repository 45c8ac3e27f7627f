package api

import (
	"context"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/api/gen"
)

// ListSessions lists sessions for operators.
func (c calls) ListSessions(ctx context.Context, req gen.ListSessionsRequestObject) (gen.ListSessionsResponseObject, error) {
	limit, err := limitOf(req.Params.Limit)
	if err != nil {
		return nil, err
	}
	after, err := afterSession(value(req.Params.After))
	if err != nil {
		return nil, err
	}
	place := throng.PlaceID("")
	if name := value(req.Params.Place); name != "" {
		if place, err = throng.ParsePlaceID("place", name); err != nil {
			return nil, err
		}
	}
	sessions, err := c.cfg.Directory.Sessions(ctx, place, after, limit+1)
	if err != nil {
		return nil, err
	}
	out := gen.ListSessions200JSONResponse{Sessions: []gen.SessionRecord{}}
	for i, s := range sessions {
		if i == limit {
			out.Next = out.Sessions[limit-1].ID
			break
		}
		out.Sessions = append(out.Sessions, recordOf(s))
	}
	return out, nil
}

// GetSession returns one session.
func (c calls) GetSession(ctx context.Context, req gen.GetSessionRequestObject) (gen.GetSessionResponseObject, error) {
	id, err := throng.ParseSessionID("id", req.ID)
	if err != nil {
		return nil, err
	}
	s, err := c.cfg.Directory.Session(ctx, id)
	if err != nil {
		return nil, err
	}
	return gen.GetSession200JSONResponse(recordOf(s)), nil
}

// DrainSession takes no more players into a session, which moves those that it
// has. A game server drains its own.
func (c calls) DrainSession(ctx context.Context, req gen.DrainSessionRequestObject) (gen.DrainSessionResponseObject, error) {
	id, err := throng.ParseSessionID("id", req.ID)
	if err != nil {
		return nil, err
	}
	reason, err := gen.ParseReason("reason", req.Body.Reason)
	if err != nil {
		return nil, err
	}
	within, err := withinOf(req.Body.Within)
	if err != nil {
		return nil, err
	}
	if req.Body.Old {
		return nil, onlyFleets()
	}
	if caller := callerOf(ctx); caller.Role == RoleServer {
		if err := ownSession(caller, id); err != nil {
			return nil, err
		}
	}
	if err := c.cfg.Directory.Drain(ctx, id, reason, within); err != nil {
		return nil, err
	}
	return gen.DrainSession204Response{}, nil
}

// EndSession ends a session, as an operator or as its own server.
func (c calls) EndSession(ctx context.Context, req gen.EndSessionRequestObject) (gen.EndSessionResponseObject, error) {
	id, err := throng.ParseSessionID("id", req.ID)
	if err != nil {
		return nil, err
	}
	reason, err := gen.ParseReason("reason", req.Body.Reason)
	if err != nil {
		return nil, err
	}
	if callerOf(ctx).Role == RoleServer {
		h, err := c.heartbeat(ctx, "heartbeat.", id, req.Body.Heartbeat)
		if err != nil {
			return nil, err
		}
		if req.Body.IfEmpty {
			return gen.EndSession204Response{}, c.cfg.Registry.Retire(ctx, h, reason)
		}
		err = c.cfg.Registry.EndBy(ctx, h, throng.Ending{Reason: reason, Failed: req.Body.Failed})
		return gen.EndSession204Response{}, err
	}
	if req.Body.IfEmpty {
		return nil, throng.AtField(throng.Invalid, "if_empty", "is for the session's own server to give")
	}
	if req.Body.Heartbeat.Server != "" {
		return nil, throng.AtField(throng.Invalid, "heartbeat", "is for the session's own server to give")
	}
	if req.Body.Failed {
		return nil, throng.AtField(throng.Invalid, "failed", "is for the session's own server to say")
	}
	err = c.cfg.Directory.End(ctx, id, reason)
	return gen.EndSession204Response{}, err
}

func recordOf(s throng.Session) gen.SessionRecord {
	r := gen.SessionRecord{
		ID:          string(s.ID),
		Place:       string(s.Place),
		Version:     int(s.Version),
		Region:      string(s.ID.Region()),
		State:       s.State.String(),
		Capacity:    s.Capacity,
		Seated:      s.Seated,
		Held:        s.Held,
		Server:      string(s.Server),
		Incarnation: string(s.Incarnation),
		Web:         gen.WebAddressOf(s.Web),
		Attributes:  gen.SessionAttributes(s.Attributes),
		OpenedAt:    s.OpenedAt.UTC(),
		LeaseUntil:  s.LeaseUntil.UTC(),
		Revision:    uint64(s.Revision),
		Private:     s.Private,
		Reason:      s.Reason,
		Failed:      s.Failed,
	}
	if s.Address.IsValid() {
		r.Address = s.Address.String()
	}
	if !s.BoundAt.IsZero() {
		r.BoundAt = s.BoundAt.UTC()
	}
	return r
}
