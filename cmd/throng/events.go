package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/kafka"
)

// eventsTime is for which one question to Kafka is tried.
const eventsTime = 30 * time.Second

// eventsCmd looks at the log of events.
type eventsCmd struct {
	Streams eventsStreamsCmd `cmd:"" default:"withargs" help:"List the streams, and how far behind each group of consumers is."`
	Parked  eventsParkedCmd  `cmd:"" help:"List the events that a group of consumers could not apply, with the reason."`
	Replay  eventsReplayCmd  `cmd:"" help:"Publish parked events again, once what was wrong is mended; groups that have applied them pass over them."`
	Drop    eventsDropCmd    `cmd:"" help:"Let go of parked events."`
}

type eventsStreamsCmd struct {
	JSON bool `help:"Print JSON."`
	brokerFlags
}

// Run prints them.
func (c *eventsStreamsCmd) Run(e *env) error {
	log, err := c.open()
	if err != nil {
		return err
	}
	defer log.Close()
	ctx, cancel := context.WithTimeout(e.ctx, eventsTime)
	defer cancel()
	list, err := log.Status(ctx)
	switch {
	case err != nil:
		return err
	case c.JSON:
		return writeJSON(e.out, list)
	}
	w := tabwriter.NewWriter(e.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "STREAM\tPARTITIONS\tEVENTS\tGROUP\tMEMBERS\tBEHIND")
	for _, s := range list {
		fmt.Fprintf(w, "%s\t%d\t%d", s.Stream, s.Partitions, s.Events)
		if len(s.Groups) == 0 {
			fmt.Fprintln(w, "\t-\t\t")
		}
		for i, g := range s.Groups {
			if i > 0 {
				fmt.Fprintf(w, "\t\t")
			}
			fmt.Fprintf(w, "\t%s\t%d\t%d\n", g.Group, g.Members, g.Lag)
		}
	}
	return w.Flush()
}

// parkedFlags choose among what is parked.
type parkedFlags struct {
	Group string `help:"Only those of this group." placeholder:"GROUP"`
	Type  string `help:"Only events of this type." placeholder:"TYPE"`
	brokerFlags
}

// list returns those that were chosen.
func (f parkedFlags) list(ctx context.Context, log *kafka.Log) ([]throng.EventParked, error) {
	all, err := log.Parked(ctx)
	return slices.DeleteFunc(all, func(p throng.EventParked) bool {
		return f.Group != "" && p.Group != f.Group || f.Type != "" && string(p.Type) != f.Type
	}), err
}

type eventsParkedCmd struct {
	JSON bool `help:"Print JSON, with the events' data."`
	parkedFlags
}

// Run prints them.
func (c *eventsParkedCmd) Run(e *env) error {
	log, err := c.open()
	if err != nil {
		return err
	}
	defer log.Close()
	ctx, cancel := context.WithTimeout(e.ctx, eventsTime)
	defer cancel()
	list, err := c.list(ctx, log)
	switch {
	case err != nil:
		return err
	case c.JSON:
		return writeJSON(e.out, list)
	case len(list) == 0:
		fmt.Fprintln(e.out, "nothing is parked")
		return nil
	}
	w := tabwriter.NewWriter(e.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "PARKED\tGROUP\tWHERE\tTYPE\tEVENT\tREASON")
	for _, p := range list {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", p.At.Format(time.RFC3339), p.Group, whereParked(p), orDash(string(p.Type)), orDash(string(p.ID)), p.Reason)
	}
	return w.Flush()
}

// whereParked names an event's place in the log: STREAM/PARTITION/OFFSET.
func whereParked(p throng.EventParked) string {
	return fmt.Sprintf("%s/%d/%d", p.Stream, p.Partition, p.Offset)
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

// choiceFlags name parked events.
type choiceFlags struct {
	Where []string `arg:"" optional:"" help:"Where they stand, like play/3/1207, or their IDs; see throng events parked." placeholder:"WHERE"`
	All   bool     `help:"All that is parked, of --group and --type."`
	parkedFlags
}

// Validate checks that something is named.
func (f choiceFlags) Validate() error {
	if f.All == (len(f.Where) > 0) {
		return throng.AtField(throng.Invalid, "WHERE", "name events, or say --all")
	}
	return f.KafkaFlags.Validate()
}

// each does something with those that were named.
func (f choiceFlags) each(e *env, does string, what func(ctx context.Context, log *kafka.Log, p throng.EventParked) error) error {
	log, err := f.open()
	if err != nil {
		return err
	}
	defer log.Close()
	ctx, cancel := context.WithTimeout(e.ctx, eventsTime)
	defer cancel()
	list, err := f.list(ctx, log)
	if err != nil {
		return err
	}
	named := map[string]bool{}
	done, failed := 0, 0
	for _, p := range list {
		where := whereParked(p)
		if !f.All && !slices.Contains(f.Where, where) && (p.ID == "" || !slices.Contains(f.Where, string(p.ID))) {
			continue
		}
		named[where], named[string(p.ID)] = true, true
		if err := what(e.ctx, log, p); err != nil {
			failed++
			fmt.Fprintf(e.err, "%s: %v\n", where, err)
			continue
		}
		done++
	}
	unknown := slices.DeleteFunc(slices.Clone(f.Where), func(w string) bool { return named[w] })
	fmt.Fprintf(e.out, "%s %d events\n", does, done)
	switch {
	case len(unknown) > 0:
		return throng.AtField(throng.NotFound, "WHERE", "nothing is parked as %s", strings.Join(unknown, ", "))
	case failed > 0:
		return errSilent
	}
	return nil
}

type eventsReplayCmd struct{ choiceFlags }

// Run publishes them again.
func (c *eventsReplayCmd) Run(e *env) error {
	return c.each(e, "replayed", func(ctx context.Context, log *kafka.Log, p throng.EventParked) error { return log.Replay(ctx, p) })
}

type eventsDropCmd struct{ choiceFlags }

// Run lets go of them.
func (c *eventsDropCmd) Run(e *env) error {
	return c.each(e, "dropped", func(ctx context.Context, log *kafka.Log, p throng.EventParked) error { return log.Drop(ctx, p) })
}
