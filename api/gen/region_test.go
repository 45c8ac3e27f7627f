package gen

import (
	"errors"
	"strings"
	"testing"

	"github.com/throng-gg/throng"
)

// TestSummaryThatMakesNoSense: another region's word is not believed unseen.
func TestSummaryThatMakesNoSense(t *testing.T) {
	good := func() RegionSummary {
		return RegionSummary{Region: "eu", Number: 1, Places: []PlaceSummary{
			{Place: "arena", Sessions: 1, Free: 1, Fullest: []float64{0.5}}, {Place: "bay", Sessions: 1, Free: 1, Fullest: []float64{0}},
		}}
	}
	if _, err := good().Root(); err != nil {
		t.Errorf("got %v, want none", err)
	}
	for field, spoil := range map[string]func(*RegionSummary){
		"region":               func(s *RegionSummary) { s.Region = "E U" },
		"number":               func(s *RegionSummary) { s.Number = 256 },
		"warm":                 func(s *RegionSummary) { s.Warm = -1 },
		"spare":                func(s *RegionSummary) { s.Spare = 1 << 40 },
		"room":                 func(s *RegionSummary) { s.Room = -1 },
		"beacon_urls":          func(s *RegionSummary) { s.BeaconUrls = make([]string, throng.MaxBeacons+1) },
		"beacon_urls[1]":       func(s *RegionSummary) { s.BeaconUrls = []string{"", strings.Repeat("x", throng.MaxBeaconURL+1)} },
		"places":               func(s *RegionSummary) { s.Places = make([]PlaceSummary, throng.MaxPlaceSummaries+1) },
		"places[1].place":      func(s *RegionSummary) { s.Places[1].Place = "arena" },
		"places[0].place":      func(s *RegionSummary) { s.Places[0].Place = "../x" },
		"places[0].sessions":   func(s *RegionSummary) { s.Places[0].Sessions = 0 },
		"places[1].free":       func(s *RegionSummary) { s.Places[1].Free = -3 },
		"places[0].players":    func(s *RegionSummary) { s.Places[0].Players = -1 },
		"places[0].fullest":    func(s *RegionSummary) { s.Places[0].Fullest = make([]float64, 9) },
		"places[0].fullest[0]": func(s *RegionSummary) { s.Places[0].Fullest[0] = 1.5 },
	} {
		s := good()
		spoil(&s)
		_, err := s.Root()
		if e, ok := errors.AsType[*throng.Error](err); !ok || e.Kind != throng.Invalid || e.Field != field {
			t.Errorf("%s: got %v, want invalid at the field", field, err)
		}
	}
}
