package trace

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"math"

	"go.opentelemetry.io/otel/trace"

	"github.com/throng-gg/throng"
)

// ids are those of a join's trace and of its first span. They follow from the
// ticket's key, so that every process makes the same.
func ids(k throng.TicketKey) (trace.TraceID, trace.SpanID) {
	sum := sha256.Sum256([]byte("throng join\x00" + string(k.Caller) + "\x00" + string(k.Ticket)))
	return trace.TraceID(sum[:16]), trace.SpanID(sum[16:24])
}

// sampled says whether a trace is among the share that is kept, 0 to 1, as
// OpenTelemetry's own ratio sampler does: by the ID's last 8 bytes.
func sampled(id trace.TraceID, share float64) bool {
	switch {
	case share >= 1:
		return true
	case !(share > 0):
		return false
	}
	return binary.BigEndian.Uint64(id[8:])>>1 < uint64(share*math.MaxInt64)
}

// generator gives the first span of a join the IDs that its context says, and
// all other spans random ones.
type generator struct{ random idGenerator }

type idGenerator interface {
	NewIDs(ctx context.Context) (trace.TraceID, trace.SpanID)
	NewSpanID(ctx context.Context, id trace.TraceID) trace.SpanID
}

type firstSpan struct {
	trace trace.TraceID
	span  trace.SpanID
}

type firstSpanKey struct{}

// NewIDs is for spans without a parent.
func (g generator) NewIDs(ctx context.Context) (trace.TraceID, trace.SpanID) {
	if first, ok := ctx.Value(firstSpanKey{}).(firstSpan); ok {
		return first.trace, first.span
	}
	return g.random.NewIDs(ctx)
}

// NewSpanID is for spans that have one.
func (g generator) NewSpanID(ctx context.Context, id trace.TraceID) trace.SpanID {
	return g.random.NewSpanID(ctx, id)
}
