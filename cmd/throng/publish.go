package main

import (
	"bytes"
	"fmt"
	"os"

	"github.com/throng-gg/throng/api/gen"
	"github.com/throng-gg/throng/place"
	"github.com/throng-gg/throng/script"
)

// publishCmd publishes a place.
type publishCmd struct {
	Dir   string `arg:"" type:"existingdir" help:"Folder with place.yaml and the place's scripts and assets."`
	Watch bool   `help:"Go on: publish at every change, and try each version, until Ctrl-C."`
	NoTry bool   `help:"With --watch: do not send a player into each new version."`
	JSON  bool   `help:"Print the release as JSON; with --watch one object a line."`
	creatorFlags
}

// Run checks the folder here, so that faults are named before anything is sent,
// and publishes it.
func (c *publishCmd) Run(e *env) error {
	if c.Watch {
		return c.watch(e)
	}
	release, err := c.publish(e)
	if err != nil {
		return err
	}
	if c.JSON {
		return writeJSON(e.out, release)
	}
	_, err = fmt.Fprintf(e.out, "%s version %d is live (package %.12s)\n", release.Place, release.Version, release.Package)
	return err
}

// publish checks, packs and sends the folder.
func (c *publishCmd) publish(e *env) (gen.Release, error) {
	door, err := c.creator(e)
	if err != nil {
		return gen.Release{}, err
	}
	files, err := place.ReadDir(os.DirFS(c.Dir))
	if err != nil {
		return gen.Release{}, err
	}
	manifest, err := place.Check(files, script.Check)
	if err != nil {
		return gen.Release{}, err
	}
	var upload bytes.Buffer
	if err := place.WriteUpload(&upload, files); err != nil {
		return gen.Release{}, err
	}
	return door.Publish(e.ctx, manifest.ID, &upload)
}
