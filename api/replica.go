package api

import (
	"context"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/api/gen"
)

// maxReplicaCalls is how many calls of other control-plane processes run at the
// same time.
const maxReplicaCalls = 256

// TellReplica takes news of another control-plane process.
func (c calls) TellReplica(ctx context.Context, req gen.TellReplicaRequestObject) (gen.TellReplicaResponseObject, error) {
	if c.cfg.Replicas == nil {
		return nil, noReplicas()
	}
	news, err := req.Body.Root()
	if err != nil {
		return nil, err
	}
	if err := c.cfg.Replicas.Hear(ctx, news); err != nil {
		return nil, err
	}
	return gen.TellReplica204Response{}, nil
}

// AskReplica answers another control-plane process.
func (c calls) AskReplica(ctx context.Context, req gen.AskReplicaRequestObject) (gen.AskReplicaResponseObject, error) {
	if c.cfg.Replicas == nil {
		return nil, noReplicas()
	}
	question, err := req.Body.Root()
	if err != nil {
		return nil, err
	}
	answer, err := c.cfg.Replicas.Answer(ctx, question)
	if err != nil {
		return nil, err
	}
	return gen.AskReplica200JSONResponse(gen.ReplicaAnswerOf(answer)), nil
}

func noReplicas() error {
	return throng.Errorf(throng.Unsupported, "this control plane is one process")
}
