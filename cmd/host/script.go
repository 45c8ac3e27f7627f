package host

import (
	"path"
	"time"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/gameserver"
	"github.com/throng-gg/throng/place"
	"github.com/throng-gg/throng/script"
	"github.com/throng-gg/throng/wire"
)

// loadPlace compiles a place's script for a session.
func loadPlace(cfg gameserver.LoadConfig) (gameserver.Place, error) {
	manifest, err := place.ParseManifest(cfg.Files[place.ManifestFile])
	if err != nil {
		return gameserver.Place{}, err
	}
	logger := cfg.Logger
	vm, err := script.New(script.Config{
		Files:    cfg.Files,
		Entry:    path.Clean(manifest.Entry),
		World:    ScriptWorld{cfg.World},
		Seed:     seedOf(cfg.Handover.Session),
		Capacity: cfg.Handover.Capacity,
		Signals:  manifest.Signals, SetAttribute: cfg.SetAttribute,
		Handoff: func(call uint64, h script.Handoff) { cfg.Handoff(call, gameserver.HandoffAsk(h)) },
		Store:   cfg.Store,
		Send:    cfg.Send,
		Publish: cfg.Publish,
		Ready:   cfg.Ready,
		Log: func(level throng.LogLevel, line string) {
			logger.Info("script", "line", line)
			cfg.Log(level, line)
		},
	})
	if err != nil {
		return gameserver.Place{}, err
	}
	return gameserver.Place{Script: &scripted{vm: vm, cfg: cfg}, TickRate: manifest.TickRate, Signals: manifest.Signals}, nil
}

// seedOf makes a session's randomness its own, and the same when it is replayed.
func seedOf(s throng.SessionID) uint64 {
	key := wire.SessionKey([32]byte{}, s)
	var seed uint64
	for _, b := range key[:8] {
		seed = seed<<8 | uint64(b)
	}
	return seed
}

// ScriptWorld is the world as scripts know it.
type ScriptWorld struct{ *gameserver.World }

// Define makes an entity kind.
func (w ScriptWorld) Define(name string, fields []script.Field) (int, error) {
	out := make([]wire.Field, len(fields))
	for i, f := range fields {
		out[i] = wire.Field{Name: f.Name, Kind: wire.FieldKind(f.Kind), Min: f.Min, Max: f.Max, Precision: f.Precision, Owner: f.Owner, Within: f.Within}
	}
	return w.World.Define(name, out)
}

// Gait says how entities of a kind move.
func (w ScriptWorld) Gait(kind int, g script.Gait) error { return w.World.Gait(kind, wire.Gait(g)) }

// scripted is a script as the session loop knows it: errors that the session
// survives are logged, the others end it.
type scripted struct {
	vm  *script.VM
	cfg gameserver.LoadConfig
}

func (s *scripted) survive(err error) error {
	if err == nil || script.Fatal(err) {
		return err
	}
	s.cfg.ScriptError(err)
	return nil
}

// Start runs the place's start callback.
func (s *scripted) Start() error { return s.survive(s.vm.Start()) }

// Join tells the script of a player.
func (s *scripted) Join(p throng.PlayerID, from throng.Origin, brought ...throng.Attribute) error {
	return s.survive(s.vm.JoinFrom(p, from, brought...))
}

// Leave tells the script that a player left.
func (s *scripted) Leave(p throng.PlayerID) error { return s.survive(s.vm.Leave(p)) }

// Input brings a player's newest input.
func (s *scripted) Input(p throng.PlayerID, in gameserver.Input) error {
	return s.survive(s.vm.Input(p, script.Input(in)))
}

// Message brings what a player's client sent.
func (s *scripted) Message(p throng.PlayerID, m throng.Message) error {
	return s.survive(s.vm.Message(p, m))
}

// Tick runs one simulation step.
func (s *scripted) Tick(dt float64) error { return s.survive(s.vm.Tick(dt)) }

// Handed tells the script what became of a handoff.
func (s *scripted) Handed(call uint64, result error) error {
	return s.survive(s.vm.Handed(call, result))
}

// Drain tells the script that its players are to move.
func (s *scripted) Drain(left time.Duration) (waits bool, err error) {
	waits, err = s.vm.Drain(left)
	return waits, s.survive(err)
}

// Loaded tells the script of a player's profile.
func (s *scripted) Loaded(p throng.PlayerID, profile throng.Profile, result error) error {
	return s.survive(s.vm.Loaded(p, profile, result))
}

// Document is what is to be saved of a player.
func (s *scripted) Document(p throng.PlayerID) ([]byte, error) {
	doc, err := s.vm.Document(p)
	return doc, s.survive(err)
}

// Saved tells the script what became of a save.
func (s *scripted) Saved(call uint64, result error) error { return s.survive(s.vm.Saved(call, result)) }

// Posted tells the script what became of a transfer.
func (s *scripted) Posted(call uint64, r throng.Receipt, result error) error {
	return s.survive(s.vm.Posted(call, r, result))
}

// Held tells the script what a player owns.
func (s *scripted) Held(call uint64, h throng.Holding, result error) error {
	return s.survive(s.vm.Held(call, h, result))
}
