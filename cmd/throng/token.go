package main

import (
	"fmt"
	"time"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/api"
)

// tokenCmd makes a credential from a region's secret, for who can read its data
// folder.
type tokenCmd struct {
	Role string        `arg:"" enum:"node,region,operator,creator,player" help:"node, region, operator, creator or player."`
	Name string        `default:"operator" help:"Whose it is: an account, or the other region; a node's name is made."`
	TTL  time.Duration `default:"24h" help:"How long it is good; a node's and a region's 30 days."`
	ringFlags
	Region string `default:"local" help:"Name of the region."`
}

// Run prints the credential.
func (c *tokenCmd) Run(e *env) error {
	region, err := throng.ParseRegionID("--region", c.Region)
	if err != nil {
		return err
	}
	keys, err := c.secrets()
	if err != nil {
		return err
	}
	token := ""
	switch {
	case c.Role == string(api.RoleNode):
		token, err = newNodeToken(throng.Region{ID: region}, keys)
	case c.Role == string(api.RoleRegion):
		token, err = keys.RegionToken(throng.RegionID(c.Name))
	default:
		var name throng.PlayerID
		if name, err = throng.ParsePlayerID("--name", c.Name); err == nil {
			token, err = keys.PlayerToken(name, api.Role(c.Role), c.TTL)
		}
	}
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(e.out, token)
	return err
}
