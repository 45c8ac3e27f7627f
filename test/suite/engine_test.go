package suite_test

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/client"
	"github.com/throng-gg/throng/deploy/image"
	"github.com/throng-gg/throng/test/stranger"
)

// engineImage writes the image of the game server in TypeScript: node, with the
// libraries that it wants, and the program. Empty: it cannot be built here.
func engineImage(t *testing.T, dir, name string) string {
	t.Helper()
	out := filepath.Join(dir, "engine")
	command, err := stranger.Build(t.Context(), "../..", out)
	if errors.Is(err, stranger.ErrNotHere) {
		t.Log(err)
		return ""
	}
	if err != nil {
		t.Fatal(err)
	}
	files := []image.File{{Path: "/node", From: command[0]}, {Path: "/engine", From: out}}
	libraries, err := exec.CommandContext(t.Context(), "ldd", command[0]).Output() //nolint:gosec // this machine's node
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(libraries)) {
		for word := range strings.FieldsSeq(line) {
			if strings.HasPrefix(word, "/") {
				file, err := filepath.EvalSymlinks(word)
				if err != nil {
					t.Fatal(err)
				}
				files = append(files, image.File{Path: word, From: file})
			}
		}
	}
	to := filepath.Join(dir, "engine.tar")
	err = image.WriteFile(to, image.Image{Name: name, Files: files, Entrypoint: []string{"/node", "/engine/src/main.js"}})
	if err != nil {
		t.Fatal(err)
	}
	return to
}

// The Fleet becomes one of an engine that is neither Go nor Lua and knows nothing
// but the server API and Agones' SDK. Twenty play on one of its servers.
func testEngine(r *region) {
	const players = 20
	if r.engine == "" {
		r.t.Skip("the image of the game server that is not Go is not there")
	}
	repository, tag, _ := strings.Cut(r.engine, ":")
	r.helm("upgrade", "throng", "../../deploy/helm/throng", "-f", r.values, "--set", "fleetDefaults.image.repository="+repository,
		"--set-string", "fleetDefaults.image.tag="+tag, "--set-json", "fleetDefaults.command=[]")
	eventually(r.t, 3*time.Minute, "the stock is of that engine", func() bool {
		warm := r.servers("warm")
		for _, s := range warm {
			if s.Image != r.engine {
				return false
			}
		}
		return len(warm) == 4
	})
	door, err := client.New(client.Config{Addr: r.door})
	if err != nil {
		r.t.Fatal(err)
	}
	ctx, stop := context.WithCancel(r.t.Context())
	var over sync.WaitGroup
	defer over.Wait()
	defer stop()
	all := make([]*stranger.Player, players)
	for i := range all {
		name := throng.PlayerID(fmt.Sprintf("stranger-%d", i))
		token, err := door.DevToken(ctx, name, "player")
		if err != nil {
			r.t.Fatal(err)
		}
		own, err := door.As(token.AccessToken)
		if err != nil {
			r.t.Fatal(err)
		}
		all[i] = &stranger.Player{Name: name, Door: own}
		over.Go(func() {
			if err := all[i].Play(ctx, "arena", fmt.Sprintf("t-%d", i)); err != nil && ctx.Err() == nil {
				r.t.Errorf("%s is out: %v", name, err)
			}
		})
	}
	eventually(r.t, time.Minute, "all play together", func() bool {
		for _, p := range all {
			if p.Most.Load() < players || p.States.Load() < 100 {
				return false
			}
		}
		return true
	})
	bound := r.servers("bound")
	if len(bound) != 1 || bound[0].Image != r.engine || r.seated() != players {
		r.t.Errorf("got %d players on %+v, want %d on one server of %s", r.seated(), bound, players, r.engine)
	}
}
