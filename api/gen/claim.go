package gen

import "github.com/throng-gg/throng"

const (
	maxDoors = 64
	maxToken = 16 << 10 // bytes
)

// ServerClaimOf turns a claim.
func ServerClaimOf(c throng.ServerClaim) ServerClaim {
	doors := c.Doors
	if doors == nil {
		doors = []string{}
	}
	return ServerClaim{Server: string(c.Server), Token: c.Token, Region: string(c.Region), Doors: doors}
}

// Root returns the claim. Invalid: it names no server, or no door.
func (c ServerClaim) Root() (throng.ServerClaim, error) {
	f := &fields{}
	out := throng.ServerClaim{
		Server: f.server("server", c.Server),
		Token:  c.Token,
		Region: check(f, "region", c.Region, throng.ParseRegionID),
		Doors:  c.Doors,
	}
	switch {
	case f.err != nil:
		return throng.ServerClaim{}, f.err
	case c.Token == "" || len(c.Token) > maxToken:
		return throng.ServerClaim{}, throng.AtField(throng.Invalid, "token", "has %d bytes, 1 to %d are allowed", len(c.Token), maxToken)
	case len(c.Doors) == 0 || len(c.Doors) > maxDoors:
		return throng.ServerClaim{}, throng.AtField(throng.Invalid, "doors", "has %d, 1 to %d are allowed", len(c.Doors), maxDoors)
	}
	return out, nil
}
