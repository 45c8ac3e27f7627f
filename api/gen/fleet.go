package gen

import (
	"net/netip"

	"github.com/throng-gg/throng"
)

// ServerRecordOf turns what is known of a game server.
func ServerRecordOf(s throng.ServerInfo) ServerRecord {
	out := ServerRecord{
		ID: string(s.ID), Status: string(s.Status), Since: s.Since.UTC(), Session: string(s.Session), Place: string(s.Place),
		Players: s.Players, Connected: s.Connected,
		Cluster: s.Site.Cluster, Node: s.Site.Node, Name: s.Site.Name, Image: s.Site.Image, Old: s.Site.Old,
	}
	if at := s.Address; at.IsValid() {
		out.Address = at.String()
	} else if at := s.Site.Address; at.IsValid() {
		out.Address = at.String()
	}
	return out
}

// Root returns what is known of a game server.
func (s ServerRecord) Root() (throng.ServerInfo, error) {
	f := &fields{}
	out := throng.ServerInfo{
		ID: f.server("id", s.ID), Status: throng.ServerStatus(s.Status), Since: s.Since, Players: s.Players, Connected: s.Connected,
	}
	if s.Session != "" {
		out.Session = f.session(s.Session)
	}
	if s.Place != "" {
		out.Place = f.place(s.Place)
	}
	if s.Address != "" {
		out.Address = f.address("address", s.Address)
	}
	if s.Cluster != "" {
		out.Site = throng.ServerSite{
			Server: out.ID, Cluster: s.Cluster, Node: s.Node, Name: s.Name, Image: s.Image, Old: s.Old, Address: netip.AddrPort{},
		}
	}
	return out, f.err
}

// FleetRecordOf turns what is known of a cluster.
func FleetRecordOf(c throng.FleetInfo) FleetRecord {
	out := FleetRecord{
		Cluster: c.Name, Image: c.Image, Away: c.Away, Warm: c.Warm, Coming: c.Coming, Old: c.Old, Servers: map[string]int{},
	}
	for status, n := range c.Servers {
		out.Servers[string(status)] = n
	}
	if d := c.Drain; d != nil {
		out.Drain = &FleetDrain{Reason: d.Reason, Since: d.Since.UTC(), Old: d.Old, Region: d.Kind == throng.DrainRegion}
		if !d.Until.IsZero() {
			out.Drain.Until = d.Until.UTC()
		}
	}
	return out
}
