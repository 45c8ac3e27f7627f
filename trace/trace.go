package trace

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"net/url"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/resource"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/throng-gg/throng"
)

const (
	queue      = 4096 // joins and arrivals whose spans are not made yet; full: they are dropped
	exportTime = 5 * time.Second
	shutTime   = 3 * time.Second
	sayEvery   = time.Minute
)

// Config is what a Tracer needs.
type Config struct {
	Endpoint string  // URL of a collector that takes OTLP over HTTP, like http://127.0.0.1:4318; required
	Share    float64 // of the joins that are traced, 0 to 1
	Service  string  // "throng control", "throng gameserver"
	Region   throng.RegionID
	Instance string // of this process; may be empty

	Logger  *slog.Logger          // nil: says nothing
	Metrics prometheus.Registerer // nil: not registered
	// Exporter replaces the collector; for tests.
	Exporter sdk.SpanExporter
}

// Tracer makes the spans of joins and sends them on.
type Tracer struct {
	cfg      Config
	provider *sdk.TracerProvider
	tracer   trace.Tracer
	dropped  prometheus.Counter
	logger   *slog.Logger
	spans    chan func(context.Context) // full: what comes is dropped and counted
}

// New makes a tracer that works once it is Run. Invalid: the endpoint is no URL,
// or the share no share.
func New(c Config) (*Tracer, error) {
	u, err := url.Parse(c.Endpoint)
	if c.Exporter == nil && (err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https") {
		return nil, throng.AtField(throng.Invalid, "endpoint", "%q is not a URL like http://127.0.0.1:4318", c.Endpoint)
	}
	if !(c.Share >= 0 && c.Share <= 1) {
		return nil, throng.AtField(throng.Invalid, "share", "is %v, 0 to 1 is possible", c.Share)
	}
	t := &Tracer{cfg: c, logger: c.Logger, spans: make(chan func(context.Context), queue)}
	if t.logger == nil {
		t.logger = slog.New(slog.DiscardHandler)
	}
	t.dropped = prometheus.NewCounter(prometheus.CounterOpts{
		Name: "throng_trace_dropped_total", Help: "Joins and arrivals that made no spans because too many waited.",
	})
	if c.Metrics != nil {
		if err := c.Metrics.Register(t.dropped); err != nil {
			return nil, fmt.Errorf("register metrics: %w", err)
		}
	}
	exporter := c.Exporter
	if exporter == nil {
		// It connects when it has something to send.
		exporter = otlptracehttp.NewUnstarted(
			otlptracehttp.WithEndpointURL(u.JoinPath("v1", "traces").String()), otlptracehttp.WithTimeout(exportTime),
		)
	}
	t.provider = sdk.NewTracerProvider(
		sdk.WithSampler(sdk.AlwaysSample()), // what is not sampled makes no span
		sdk.WithIDGenerator(generator{randomIDs{}}),
		sdk.WithBatcher(&said{SpanExporter: exporter, logger: t.logger}, sdk.WithExportTimeout(exportTime)),
		sdk.WithResource(resource.NewSchemaless(
			attribute.String("service.name", c.Service),
			attribute.String("service.instance.id", c.Instance),
			attribute.String("throng.region", string(c.Region)),
		)),
	)
	t.tracer = t.provider.Tracer("github.com/throng-gg/throng")
	return t, nil
}

// Run makes spans until ctx ends, and then sends what is left within 3 s.
func (t *Tracer) Run(ctx context.Context) error {
	late := context.WithoutCancel(ctx)
	for {
		select {
		case <-ctx.Done():
			for range len(t.spans) {
				(<-t.spans)(late)
			}
			shutting, cancel := context.WithTimeout(late, shutTime)
			defer cancel()
			if err := t.provider.Shutdown(shutting); err != nil {
				t.logger.WarnContext(ctx, "the last spans were not sent", "err", err)
			}
			return nil
		case spans := <-t.spans:
			spans(late)
		}
	}
}

// offer queues the making of spans of one ticket, if it is among the share.
func (t *Tracer) offer(k throng.TicketKey, spans func(ctx context.Context, first trace.SpanContext)) {
	id, span := ids(k)
	if !sampled(id, t.cfg.Share) {
		return
	}
	first := trace.NewSpanContext(trace.SpanContextConfig{TraceID: id, SpanID: span, TraceFlags: trace.FlagsSampled, Remote: true})
	select {
	case t.spans <- func(ctx context.Context) { spans(ctx, first) }:
	default:
		t.dropped.Inc()
	}
}

// said is an exporter that says once a minute that it fails.
type said struct {
	sdk.SpanExporter
	logger *slog.Logger

	mu   sync.Mutex
	last time.Time
}

// ExportSpans sends a batch. The SDK drops what could not be sent.
func (s *said) ExportSpans(ctx context.Context, spans []sdk.ReadOnlySpan) error {
	err := s.SpanExporter.ExportSpans(ctx, spans)
	if err == nil {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if now := time.Now(); now.Sub(s.last) > sayEvery {
		s.last = now
		s.logger.WarnContext(ctx, "traces are not taken by the collector", "spans", len(spans), "err", err)
	}
	return nil // said, and the SDK would say it again on standard error
}

// randomIDs makes IDs as OpenTelemetry wants them: not zero.
type randomIDs struct{}

// NewIDs makes both.
func (randomIDs) NewIDs(context.Context) (id trace.TraceID, span trace.SpanID) {
	rand.Read(id[:])
	rand.Read(span[:])
	return id, span
}

// NewSpanID makes a span's.
func (randomIDs) NewSpanID(context.Context, trace.TraceID) (span trace.SpanID) {
	rand.Read(span[:])
	return span
}
