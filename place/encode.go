package place

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/throng-gg/throng"
)

// recordFile is a place's record as stores keep it. New fields must have a good
// zero value.
type recordFile struct {
	Place    throng.PlaceID `json:"place"`
	Revision uint64         `json:"revision"`
	Live     throng.Version `json:"live"`
	Canary   *canaryFile    `json:"canary,omitempty"`
	Pinned   bool           `json:"pinned,omitempty"`
	// Before is what was live before, the latest one last.
	Before   []throng.Version `json:"before,omitempty"`
	Releases []releaseFile    `json:"releases"`
	// Owners is missing where nobody owns the place.
	Owners []throng.PlayerID `json:"owners,omitempty"`
}

type canaryFile struct {
	Version throng.Version `json:"version"`
	Percent int            `json:"percent"`
}

type releaseFile struct {
	Version   throng.Version     `json:"version"`
	Package   throng.PackageHash `json:"package"`
	Scripts   throng.PackageHash `json:"scripts,omitempty"` // empty: written before there was one
	Name      string             `json:"name"`
	Capacity  int                `json:"capacity"`
	TickRate  int                `json:"tick_rate"`
	MaxSpeed  int                `json:"max_speed,omitempty"`
	Fill      float64            `json:"fill"`
	Latency   float64            `json:"latency"`
	Friends   *float64           `json:"friends,omitempty"`     // nil: written before there was one
	Farthest  int                `json:"max_latency,omitempty"` // ms
	Signals   []signalFile       `json:"signals,omitempty"`
	Published int64              `json:"published"` // Unix milliseconds
	Game      throng.GameID      `json:"game,omitempty"`
}

type signalFile struct {
	Name   string            `json:"name"`
	Kind   throng.SignalKind `json:"kind"`
	Range  float64           `json:"range,omitempty"`
	Weight float64           `json:"weight"`
}

// oldFriends is the weight of friends in releases that do not say it.
const oldFriends = 15

func (f recordFile) record() Record {
	r := Record{Place: f.Place, Revision: f.Revision, Live: f.Live, Owners: f.Owners, Pinned: f.Pinned, Before: f.Before}
	if f.Canary != nil {
		r.Canary = throng.Canary(*f.Canary)
	}
	for _, v := range f.Releases {
		friends := float64(oldFriends)
		if v.Friends != nil {
			friends = *v.Friends
		}
		var signals []throng.Signal
		for _, s := range v.Signals {
			signals = append(signals, throng.Signal(s))
		}
		r.Releases = append(r.Releases, throng.Release{
			Place: f.Place, Name: v.Name, Version: v.Version, Package: v.Package, Scripts: v.Scripts, Capacity: v.Capacity,
			TickRate: v.TickRate, MaxSpeed: v.MaxSpeed, Published: v.Published,
			Weights: throng.Weights{Fill: v.Fill, Latency: v.Latency, Friends: friends},
			Signals: signals,
			Game:    v.Game,

			MaxLatency: v.Farthest,
		})
	}
	return r
}

// EncodeRecord is a record as stores keep it: JSON.
func EncodeRecord(r Record) ([]byte, error) {
	f := recordFile{
		Place: r.Place, Revision: r.Revision, Live: r.Live, Owners: slices.Clone(r.Owners),
		Pinned: r.Pinned, Before: slices.Clone(r.Before),
	}
	if r.Canary != (throng.Canary{}) {
		c := canaryFile(r.Canary)
		f.Canary = &c
	}
	for _, v := range r.Releases {
		var signals []signalFile
		for _, s := range v.Signals {
			signals = append(signals, signalFile(s))
		}
		f.Releases = append(f.Releases, releaseFile{
			Version: v.Version, Package: v.Package, Scripts: v.Scripts, Name: v.Name, Capacity: v.Capacity, TickRate: v.TickRate, MaxSpeed: v.MaxSpeed,
			Fill: v.Weights.Fill, Latency: v.Weights.Latency, Friends: &v.Weights.Friends, Published: v.Published,
			Signals: signals, Farthest: v.MaxLatency,
			Game: v.Game,
		})
	}
	content, err := json.MarshalIndent(f, "", " ")
	if err != nil {
		return nil, fmt.Errorf("write record of %s: %w", r.Place, err)
	}
	return content, nil
}

// DecodeRecord reads what EncodeRecord wrote. It keeps nothing of content.
// Internal: it is no record of the place.
func DecodeRecord(id throng.PlaceID, content []byte) (Record, error) {
	var f recordFile
	err := json.Unmarshal(content, &f)
	switch {
	case err != nil:
	case f.Place != id:
		err = fmt.Errorf("it is of place %q", clip(string(f.Place)))
	case f.Revision == 0 || len(f.Releases) == 0:
		err = errors.New("it has no revision or no release")
	}
	if err != nil {
		return Record{}, throng.Errorf(throng.Internal, "it is no record of %s: %w", id, err)
	}
	return f.record(), nil
}
