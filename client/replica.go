package client

import (
	"context"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/api/gen"
)

// Replica speaks to another control-plane process of the same region. It repeats
// nothing.
type Replica struct{ door *Door }

// NewReplica makes the client of one control-plane process for another. token
// returns a replica's token; it is asked at each call. cfg.Token is not looked
// at. Invalid: a bad address.
func NewReplica(cfg Config, token func() string) (*Replica, error) {
	door, err := New(cfg)
	if err != nil {
		return nil, err
	}
	door.line.token = token
	return &Replica{door: door}, nil
}

// Tell brings news.
func (r *Replica) Tell(ctx context.Context, n throng.ReplicaNews) error {
	req := of(gen.NewTellReplicaRequest(r.door.line.addr, gen.ReplicaNewsOf(n)))
	_, err := send[nothing](ctx, r.door.line, callTime, req)
	return err
}

// Ask asks a question.
func (r *Replica) Ask(ctx context.Context, q throng.ReplicaQuestion) (throng.ReplicaAnswer, error) {
	req := of(gen.NewAskReplicaRequest(r.door.line.addr, gen.ReplicaQuestionOf(q)))
	a, err := send[gen.ReplicaAnswer](ctx, r.door.line, callTime, req)
	if err != nil {
		return throng.ReplicaAnswer{}, err
	}
	return a.Root()
}
