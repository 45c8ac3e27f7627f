package command

import (
	"context"
	"errors"
	"log/slog"
	"strconv"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/trace"
)

// TraceFlags say where joins are traced to. The game servers that a control plane
// starts are told the same.
type TraceFlags struct {
	Traces     string  `env:"THRONG_TRACES" help:"URL of an OpenTelemetry collector that takes OTLP over HTTP, like http://127.0.0.1:4318: one trace of each join, from the door to the first snapshot. Without it nothing is traced." placeholder:"URL"`
	TraceShare float64 `default:"0.01" env:"THRONG_TRACE_SHARE" help:"Share of joins that are traced, 0 to 1." placeholder:"SHARE"`
}

// Tracer makes the process's tracer; nil: nothing is traced.
func (f TraceFlags) Tracer(
	service string, region throng.RegionID, instance string, logger *slog.Logger, metrics prometheus.Registerer,
) (*trace.Tracer, error) {
	if f.Traces == "" {
		return nil, nil //nolint:nilnil // not asked for
	}
	return trace.New(trace.Config{
		Endpoint: f.Traces, Share: f.TraceShare, Service: service, Region: region, Instance: instance,
		Logger: logger.With("part", "trace"), Metrics: metrics,
	})
}

// Env is what a game server's process is told of it.
func (f TraceFlags) Env() []string {
	if f.Traces == "" {
		return nil
	}
	return []string{"THRONG_TRACES=" + f.Traces, "THRONG_TRACE_SHARE=" + strconv.FormatFloat(f.TraceShare, 'g', -1, 64)}
}

// Traced runs what is traced, and after it its tracer until the last spans are
// sent. tracer may be nil.
func Traced(ctx context.Context, tracer *trace.Tracer, run func(context.Context) error) error {
	if tracer == nil {
		return run(ctx)
	}
	tracing, stop := context.WithCancel(context.WithoutCancel(ctx))
	sent := make(chan error, 1)
	go func() { sent <- tracer.Run(tracing) }()
	err := run(ctx)
	stop()
	return errors.Join(err, <-sent)
}
