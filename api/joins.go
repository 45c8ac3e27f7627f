package api

import (
	"context"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/api/gen"
)

// GetJoins explains how a ticket was answered.
func (c calls) GetJoins(ctx context.Context, req gen.GetJoinsRequestObject) (gen.GetJoinsResponseObject, error) {
	ticket, err := throng.ParseTicketID("ticket", req.Ticket)
	if err != nil {
		return nil, err
	}
	me := callerOf(ctx)
	all := me.Role == RoleOperator
	caller := throng.PlayerID("")
	switch of := value(req.Params.Caller); {
	case of != "":
		if caller, err = throng.ParsePlayerID("caller", of); err != nil {
			return nil, err
		}
	case !all:
		caller = me.Player
	}
	if !all && caller != me.Player {
		return nil, throng.AtField(throng.Denied, "caller", "is another player; only operators see others' tickets")
	}
	if c.cfg.Joins == nil {
		return nil, throng.Errorf(throng.Unsupported, "joins are not recorded here")
	}
	list, err := c.cfg.Joins.Find(ctx, ticket, caller)
	if err != nil {
		return nil, err
	}
	if len(list) == 0 {
		return nil, throng.AtField(throng.NotFound, "ticket", "nothing is remembered of a ticket %s", ticket)
	}
	if !all {
		for i := range list {
			list[i] = list[i].ForCaller()
		}
	}
	return gen.GetJoins200JSONResponse{Joins: list}, nil
}
