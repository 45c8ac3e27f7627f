package trace

import (
	"context"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"github.com/throng-gg/throng"
)

// Record makes the spans of the work on a ticket: "join", which is the first one
// of its trace, and in it one for each step, from the step before to it. A ticket
// that was worked on again, as after a lost answer, has "join again" beside it. It
// does not wait.
func (t *Tracer) Record(r throng.JoinRecord) {
	t.offer(throng.TicketKey{Caller: r.Caller, Ticket: r.Ticket}, func(ctx context.Context, first trace.SpanContext) {
		name, known := "join", false
		for _, s := range r.Steps {
			known = known || s.Step == throng.StepKnown
		}
		if known {
			name, ctx = "join again", trace.ContextWithRemoteSpanContext(ctx, first)
		} else {
			ctx = context.WithValue(ctx, firstSpanKey{}, firstSpan{first.TraceID(), first.SpanID()})
		}
		ctx, join := t.tracer.Start(ctx, name, trace.WithTimestamp(r.At), trace.WithSpanKind(trace.SpanKindServer), trace.WithAttributes(
			attribute.String("throng.player", string(r.Caller)), attribute.String("throng.ticket", string(r.Ticket)),
			attribute.String("throng.place", string(r.Place)), attribute.Int("throng.version", int(r.Version)),
			attribute.String("throng.session", string(r.Session)), attribute.String("throng.mode", string(r.Mode)),
			attribute.Int("throng.party", r.Players),
		))
		from := r.At
		for _, s := range r.Steps {
			to := r.At.Add(milliseconds(s.AfterMs))
			about := []attribute.KeyValue{}
			if s.Session != "" {
				about = append(about, attribute.String("throng.session", string(s.Session)))
			}
			if s.Code != "" {
				about = append(about, attribute.String("throng.code", s.Code))
			}
			t.span(ctx, s.Step, from, to, about...)
			from = to
		}
		if r.Code != "ok" {
			join.SetStatus(codes.Error, r.Code+": "+r.Detail)
		}
		join.End(trace.WithTimestamp(r.At.Add(milliseconds(r.TookMs))))
	})
}

func milliseconds(ms float64) time.Duration { return time.Duration(ms * float64(time.Millisecond)) }

// Arrived makes the spans of a player's arrival at his game server: "arrive",
// with "confirm" and "first snapshot" in it. A member of a party is in the trace
// of its ticket. It does not wait.
func (t *Tracer) Arrived(a throng.Arrival) {
	t.offer(a.Key, func(ctx context.Context, first trace.SpanContext) {
		ctx = trace.ContextWithRemoteSpanContext(ctx, first)
		ctx, arrive := t.tracer.Start(ctx, "arrive", trace.WithTimestamp(a.Connected), trace.WithSpanKind(trace.SpanKindServer),
			trace.WithAttributes(
				attribute.String("throng.player", string(a.Player)), attribute.String("throng.session", string(a.Session)),
				attribute.String("throng.place", string(a.Place)), attribute.Int("throng.version", int(a.Version)),
				attribute.Bool("throng.confirmed", !a.Confirmed.IsZero()),
			))
		if !a.Confirmed.IsZero() {
			t.span(ctx, "confirm", a.Connected, a.Confirmed)
		}
		t.span(ctx, "first snapshot", a.Entered, a.Snapshot)
		arrive.End(trace.WithTimestamp(a.Snapshot))
	})
}

// span is one that is over.
func (t *Tracer) span(ctx context.Context, name string, from, to time.Time, about ...attribute.KeyValue) {
	_, s := t.tracer.Start(ctx, name, trace.WithTimestamp(from), trace.WithAttributes(about...))
	s.End(trace.WithTimestamp(to))
}
