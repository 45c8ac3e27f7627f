package gen

import (
	"fmt"

	"github.com/throng-gg/throng"
)

// Bounds of what is believed of a region.
const (
	maxCount   = 1<<31 - 1
	maxFullest = 8 // for parties of 1, 2, 4, ... 128
)

// RegionSummaryOf turns what a region tells of itself.
func RegionSummaryOf(s throng.RegionSummary) RegionSummary {
	out := RegionSummary{
		Region: string(s.Region), Number: int(s.Number), Draining: s.Draining, URL: s.Door,
		Warm: s.Warm, Spare: s.Spare, Room: s.Room, BeaconUrls: s.Beacons, Places: []PlaceSummary{},
	}
	if s.Home.Term > 0 {
		out.Home = HomeOf(s.Home)
	}
	for _, p := range s.Places {
		out.Places = append(out.Places, PlaceSummary{
			Place: string(p.Place), Sessions: p.Sessions, Players: p.Players, Free: p.Free, Fullest: append([]float64{}, p.Fullest...),
		})
	}
	return out
}

// Root returns what the region tells. Invalid names the field: too many places, or
// not in their order, or numbers that no region has. What the beacons' URLs say is
// not looked at: clients do.
func (s RegionSummary) Root() (throng.RegionSummary, error) {
	f := &fields{}
	out := throng.RegionSummary{
		Region: check(f, "region", s.Region, throng.ParseRegionID), Number: uint8(f.within("number", s.Number, 255)), Draining: s.Draining,
		Warm: f.count("warm", s.Warm), Spare: f.count("spare", s.Spare), Room: f.count("room", s.Room), Beacons: s.BeaconUrls, Door: s.URL,
	}
	if len(s.URL) > throng.MaxDoorURL {
		f.fail(throng.AtField(throng.Invalid, "url", "has %d bytes, at most %d are allowed", len(s.URL), throng.MaxDoorURL))
	}
	if s.Home != (Home{}) {
		var err error
		if out.Home, err = s.Home.root("home."); err != nil {
			f.fail(err)
		}
	}
	f.atMost("beacon_urls", len(s.BeaconUrls), throng.MaxBeacons)
	for i, url := range s.BeaconUrls {
		if len(url) > throng.MaxBeaconURL {
			f.fail(throng.AtField(throng.Invalid, fmt.Sprintf("beacon_urls[%d]", i), "has %d bytes, at most %d are allowed", len(url), throng.MaxBeaconURL))
		}
	}
	if f.atMost("places", len(s.Places), throng.MaxPlaceSummaries); f.err != nil {
		return out, f.err
	}
	for i, said := range s.Places {
		f.prefix = fmt.Sprintf("places[%d].", i)
		p := said.root(f)
		if n := len(out.Places); n > 0 && p.Place <= out.Places[n-1].Place {
			f.fail(throng.AtField(throng.Invalid, f.prefix+"place", "%s does not come after %s", p.Place, out.Places[n-1].Place))
		}
		if f.err != nil {
			return out, f.err
		}
		out.Places = append(out.Places, p)
	}
	return out, nil
}

func (p PlaceSummary) root(f *fields) throng.PlaceSummary {
	out := throng.PlaceSummary{
		Place: f.place(p.Place), Sessions: f.within("sessions", p.Sessions, maxCount),
		Players: f.count("players", p.Players), Free: f.within("free", p.Free, maxCount), Fullest: p.Fullest,
	}
	f.atMost("fullest", len(p.Fullest), maxFullest)
	for i, fill := range p.Fullest {
		if !(fill >= 0 && fill <= 1) { // also what is no number
			f.fail(throng.AtField(throng.Invalid, fmt.Sprintf("%sfullest[%d]", f.prefix, i), "%v is not within 0 and 1", fill))
		}
	}
	return out
}

// count is a number of things, of which there may be none.
func (f *fields) count(name string, n int) int {
	if n < 0 || n > maxCount {
		f.fail(throng.AtField(throng.Invalid, f.prefix+name, "%d is not within 0 and %d", n, maxCount))
	}
	return n
}
