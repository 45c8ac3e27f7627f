package main

import (
	"fmt"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/dynamo"
)

// setupCmd prepares what a region runs on.
type setupCmd struct {
	Dynamo setupDynamoCmd `cmd:"" help:"Make the tables for --dynamo that are missing; those that are there stay as they are."`
	Kafka  setupKafkaCmd  `cmd:"" help:"Make the topics for --kafka that are missing; those that are there stay as they are."`
}

type setupDynamoCmd struct {
	URL           string `arg:"" help:"As for --dynamo: dynamodb://REGION/PREFIX."`
	ProfilesRead  int64  `default:"0" help:"Provisioned read units of the table of profiles; without any it is paid on demand." placeholder:"N"`
	ProfilesWrite int64  `default:"0" help:"Its write units." placeholder:"N"`
	EconomyRead   int64  `default:"0" help:"Provisioned read units of the table of the ledger; without any it is paid on demand." placeholder:"N"`
	EconomyWrite  int64  `default:"0" help:"Its write units." placeholder:"N"`
}

// Validate checks that units come in pairs.
func (c *setupDynamoCmd) Validate() error {
	for name, units := range map[string][2]int64{"profiles": {c.ProfilesRead, c.ProfilesWrite}, "economy": {c.EconomyRead, c.EconomyWrite}} {
		if units[0] < 0 || units[1] < 0 || (units[0] == 0) != (units[1] == 0) {
			return throng.AtField(throng.Invalid, "--"+name+"-read", "and --%s-write are %d and %d: both are needed, or none", name, units[0], units[1])
		}
	}
	return nil
}

// Run makes the tables.
func (c *setupDynamoCmd) Run(e *env) error {
	store, err := dynamo.New(e.ctx, dynamo.Config{URL: c.URL})
	if err != nil {
		return err
	}
	made, err := store.Setup(e.ctx, dynamo.Capacity{Read: c.ProfilesRead, Write: c.ProfilesWrite}, dynamo.Capacity{Read: c.EconomyRead, Write: c.EconomyWrite})
	for _, name := range made {
		fmt.Fprintf(e.out, "made %s\n", name)
	}
	if err == nil && len(made) == 0 {
		fmt.Fprintln(e.out, "all tables are there")
	}
	return err
}
