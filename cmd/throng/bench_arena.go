package main

import (
	"fmt"
	"io/fs"
	"math/rand/v2"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/bot"
	"github.com/throng-gg/throng/cmd/host"
	"github.com/throng-gg/throng/examples"
	"github.com/throng-gg/throng/gameserver"
	"github.com/throng-gg/throng/place"
	"github.com/throng-gg/throng/script"
)

// arenaScene is the example place arena with players who walk as bots do, each
// by a walk of his own: its script moves them, without a network.
type arenaScene struct {
	world   *gameserver.World
	vm      *script.VM
	players []throng.PlayerID
	walkers []*bot.Walker
	rate    int
}

// newArenaScene starts one, the same for the same seed.
func newArenaScene(seed uint64, players int) (*arenaScene, error) {
	files, err := placeFiles("arena")
	if err != nil {
		return nil, err
	}
	manifest, err := place.ParseManifest(files[place.ManifestFile])
	if err != nil {
		return nil, err
	}
	s := &arenaScene{world: gameserver.NewWorld(), rate: manifest.TickRate}
	s.vm, err = script.New(script.Config{
		Files: files, Entry: manifest.Entry, World: host.ScriptWorld{World: s.world}, Seed: seed, Capacity: players,
	})
	if err != nil {
		return nil, err
	}
	if err := s.vm.Start(); err != nil {
		return nil, err
	}
	for i := range players {
		p := throng.PlayerID(fmt.Sprintf("bot.%d-%d", seed, i))
		s.players = append(s.players, p)
		s.walkers = append(s.walkers, bot.NewWalker(rand.New(rand.NewPCG(seed, uint64(i)))))
		if err := s.vm.JoinFrom(p, throng.Origin{}); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// placeFiles is an example place's files by path.
func placeFiles(name string) (map[string][]byte, error) {
	folder, err := fs.Sub(examples.Places, "places/"+name)
	if err != nil {
		return nil, err
	}
	files := map[string][]byte{}
	err = fs.WalkDir(folder, ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		files[path], err = fs.ReadFile(folder, path)
		return err
	})
	return files, err
}

// World is what moves.
func (s *arenaScene) World() *gameserver.World { return s.world }

// Step moves it by a tick.
func (s *arenaScene) Step() error {
	for i, p := range s.players {
		x, y, buttons := s.walkers[i].Step(1000 / s.rate)
		if err := s.vm.Input(p, script.Input{MoveX: x, MoveY: y, Buttons: buttons}); err != nil {
			return err
		}
	}
	return s.vm.Tick(1 / float64(s.rate))
}
