package command

import (
	"context"
	"log/slog"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/event"
	"github.com/throng-gg/throng/kafka"
)

// KafkaFlags say where events go.
type KafkaFlags struct {
	Kafka string `env:"THRONG_KAFKA" help:"Where events are published: an Apache Kafka, like host:9092,host:9092, or kafkas://user:password@host:9092/throng for TLS and another prefix of topics, with ?ca=FILE after it for who signed (throng setup kafka makes them). Without it, nowhere; throng dev has a broker of its own." placeholder:"URL" secret:""`
}

// Validate checks what the value says.
func (f KafkaFlags) Validate() error {
	if f.Kafka == "" {
		return nil
	}
	return kafka.CheckURL(f.Kafka)
}

// Events is how a process publishes what happens.
type Events struct {
	*event.Publisher
	Log *kafka.Log
}

// EventsConfig is what they are made of.
type EventsConfig struct {
	URL     string // of Kafka; empty: nothing is published
	Spool   string // folder; empty: none
	Region  throng.RegionID
	Logger  *slog.Logger
	Metrics prometheus.Registerer
}

// NewEvents connects them; nil: nothing is published.
func NewEvents(cfg EventsConfig) (*Events, error) {
	if cfg.URL == "" {
		return nil, nil //nolint:nilnil // nothing is published
	}
	log, err := kafka.New(kafka.Config{URL: cfg.URL, Logger: cfg.Logger.With("part", "kafka"), Metrics: cfg.Metrics})
	if err != nil {
		return nil, err
	}
	p, err := event.New(event.Config{Log: log, Region: cfg.Region, Dir: cfg.Spool, Logger: cfg.Logger.With("part", "event"), Metrics: cfg.Metrics})
	if err != nil {
		log.Close()
		return nil, err
	}
	return &Events{p, log}, nil
}

// Run publishes until ctx ends. Nil: nothing is published.
func (e *Events) Run(ctx context.Context) error {
	if e == nil {
		return nil
	}
	defer e.Log.Close()
	return e.Publisher.Run(ctx)
}
