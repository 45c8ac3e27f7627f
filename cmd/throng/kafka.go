package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/cmd/command"
	"github.com/throng-gg/throng/kafka"
	"github.com/throng-gg/throng/kafka/embedded"
)

const (
	spoolFolder = "spool" // in a data folder: events that are not published yet
	kafkaFolder = "kafka" // in that of throng dev: its own broker's
	kafkaFile   = "kafka.url"
	setupTime   = time.Minute
)

// events is how a process publishes what happens.
type events struct {
	*command.Events
	// overs is sessions that are over and not told yet; full: those whose servers are
	// alive are told by them, of the others the end is not told.
	overs chan over
}

// over is a session that the registry ended.
type over struct {
	id  throng.SessionID
	end throng.Ending
}

// maxOvers are told in a second or so.
const maxOvers = 1024

// newEvents connects them; nil: nothing is published.
func newEvents(cfg command.EventsConfig) (*events, error) {
	told, err := command.NewEvents(cfg)
	if told == nil || err != nil {
		return nil, err
	}
	return &events{told, make(chan over, maxOvers)}, nil
}

// ended hears that a session is over: its own server tells so too, if it can, by the
// same name.
func (e *events) ended(id throng.SessionID, end throng.Ending) {
	if e == nil {
		return
	}
	select {
	case e.overs <- over{id, end}:
	default:
	}
}

// tellEnded tells of sessions that are over until ctx ends. look finds an ended one.
func (e *events) tellEnded(ctx context.Context, look func(context.Context, throng.SessionID) (throng.Session, error)) error {
	if e == nil {
		return nil
	}
	for {
		select {
		case <-ctx.Done():
			return nil
		case o := <-e.overs:
			once, cancel := context.WithTimeout(ctx, time.Second)
			s, err := look(once, o.id)
			cancel()
			if err != nil || s.BoundAt.IsZero() {
				continue // it never had a server, or is forgotten
			}
			ended, err := throng.MakeEvent(throng.Event{
				ID: throng.EventID(string(o.id) + "/ended"), Type: throng.EventSessionEnded, Stream: throng.StreamPlay, Key: string(o.id),
				Place: s.Place, Session: o.id, Time: time.Now(),
			}, throng.SessionOver{Reason: o.end.Reason, Failed: o.end.Failed})
			if err == nil {
				e.Publish(ended)
			}
		}
	}
}

// run publishes until ctx ends. Nil: nothing is published.
func (e *events) run(ctx context.Context) error {
	if e == nil {
		return nil
	}
	return e.Run(ctx)
}

// Record tells of a ticket that was answered with seats.
func (e *events) Record(r throng.JoinRecord) {
	if r.Session == "" || r.Code != "ok" {
		return
	}
	placed, err := throng.MakeEvent(throng.Event{
		ID: throng.EventID(fmt.Sprintf("%s/placed/%s/%s", r.Session, r.Caller, r.Ticket)), Type: throng.EventMatchPlaced, Stream: throng.StreamPlay,
		Key: string(r.Session), Place: r.Place, Session: r.Session, Player: r.Caller, Time: r.At.Add(time.Duration(r.TookMs * float64(time.Millisecond))),
	}, throng.MatchPlaced{Ticket: r.Ticket, Players: r.Players, Version: r.Version, WaitMS: int64(r.TookMs)})
	if err == nil {
		e.Publish(placed)
	}
}

// ownBroker starts throng dev's broker with its topics. Its address is left in the
// data folder, for throng events. port 0: a free one.
func ownBroker(ctx context.Context, data string, port int, logger *slog.Logger) (*embedded.Broker, error) {
	b, err := embedded.Open(embedded.Config{Dir: filepath.Join(data, kafkaFolder), Port: port})
	if err != nil {
		return nil, fmt.Errorf("--data: %w", err)
	}
	log, err := kafka.New(kafka.Config{URL: b.Address(), Logger: logger.With("part", "kafka")})
	if err == nil {
		defer log.Close()
		ctx, cancel := context.WithTimeout(ctx, setupTime)
		defer cancel()
		_, err = log.Setup(ctx, kafka.SetupConfig{Partitions: 4})
	}
	if err == nil {
		err = os.WriteFile(filepath.Join(data, kafkaFile), []byte(b.Address()+"\n"), 0o600)
	}
	if err != nil {
		b.Close()
		return nil, err
	}
	return b, nil
}

// spoolEnv is what game servers of a machine are told of events.
func spoolEnv(data string) []string {
	return []string{"THRONG_SPOOL=" + filepath.Join(data, spoolFolder)}
}

// kafkaEnv is what game servers are told of where events go.
func kafkaEnv(url string) []string {
	if url == "" {
		return nil
	}
	return []string{"THRONG_KAFKA=" + url}
}

// setupKafkaCmd makes topics.
type setupKafkaCmd struct {
	URL        string        `arg:"" env:"THRONG_KAFKA" help:"As for --kafka: host:9092,host:9092 or kafkas://user:password@host:9092/throng." secret:""`
	Partitions int           `default:"12" help:"Of each stream; more consumers than that have nothing to do. It cannot be changed without changing the order of events."`
	Replicas   int           `default:"0" help:"Of each partition; 0: what the brokers say."`
	Keep       time.Duration `default:"168h" help:"How long events are kept; those of motion a third of it; of presence the newest of each player and session, for two days at least, and of copies that of each profile, and all transfers, for seven; parked ones 30 days."`
}

// Validate checks what the values say.
func (c *setupKafkaCmd) Validate() error {
	switch {
	case c.Partitions < 1 || c.Partitions > 10_000:
		return throng.AtField(throng.Invalid, "--partitions", "%d make no sense, 1 to 10000 are allowed", c.Partitions)
	case c.Replicas < 0 || c.Replicas > 10:
		return throng.AtField(throng.Invalid, "--replicas", "%d make no sense, 0 to 10 are allowed", c.Replicas)
	case c.Keep < time.Minute:
		return throng.AtField(throng.Invalid, "--keep", "%s is too short, 1m or more is allowed", c.Keep)
	}
	return kafka.CheckURL(c.URL)
}

// Run makes the topics.
func (c *setupKafkaCmd) Run(e *env) error {
	log, err := kafka.New(kafka.Config{URL: c.URL, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return err
	}
	defer log.Close()
	ctx, cancel := context.WithTimeout(e.ctx, setupTime)
	defer cancel()
	made, err := log.Setup(ctx, kafka.SetupConfig{Partitions: c.Partitions, Replicas: c.Replicas, Keep: c.Keep})
	for _, name := range made {
		fmt.Fprintf(e.out, "made %s\n", name)
	}
	if err == nil && len(made) == 0 {
		fmt.Fprintln(e.out, "all topics are there")
	}
	return err
}

// brokerFlags say which Kafka a command asks.
type brokerFlags struct {
	command.KafkaFlags
	Data string `default:"./data" type:"path" help:"Folder of throng dev, whose own broker is asked when there is no --kafka."`
}

// open connects. The log is to be closed.
func (f brokerFlags) open() (*kafka.Log, error) {
	url := f.Kafka
	if url == "" {
		text, err := os.ReadFile(filepath.Join(f.Data, kafkaFile))
		if err != nil {
			return nil, throng.AtField(throng.Invalid, "--kafka", "is needed, or --data of a throng dev that runs: %w", err)
		}
		url = strings.TrimSpace(string(text))
	}
	return kafka.New(kafka.Config{URL: url, Logger: slog.New(slog.DiscardHandler)})
}
