package main

import (
	"bytes"
	"fmt"
	"os"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/api/gen"
	"github.com/throng-gg/throng/place"
	"github.com/throng-gg/throng/script"
)

// publishCmd publishes a place.
type publishCmd struct {
	Dir    string `arg:"" type:"existingdir" help:"Folder with place.yaml and the place's scripts and assets."`
	Watch  bool   `help:"Go on: publish at every change, and try each version, until Ctrl-C."`
	Stage  bool   `help:"Only store the version; throng release releases it."`
	Canary int    `help:"Run it in so many percent of the new sessions." placeholder:"PERCENT"`
	NoTry  bool   `help:"With --watch: do not send a player into each new version."`
	JSON   bool   `help:"Print the release as JSON; with --watch one object a line."`
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
	_, err = fmt.Fprintf(e.out, "%s version %d is %s (package %.12s)\n", release.Place, release.Version, released(release), release.Package)
	return err
}

// released says what a version is.
func released(r gen.Release) string {
	switch {
	case r.Live:
		return "live"
	case r.Canary > 0:
		return fmt.Sprintf("in %d %% of the new sessions", r.Canary)
	}
	return "stored, not live"
}

// Validate checks what the values say together.
func (c *publishCmd) Validate() error {
	if c.Canary != 0 && (c.Canary < 1 || c.Canary > 99) {
		return throng.AtField(throng.Invalid, "--canary", "%d is not allowed, 1 to 99 percent are", c.Canary)
	}
	if c.Stage && c.Canary != 0 || c.Watch && (c.Stage || c.Canary != 0) {
		return throng.AtField(throng.Invalid, "--stage", "--canary and --watch do not go together")
	}
	return nil
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
	return door.Publish(e.ctx, manifest.ID, &upload, throng.Publication{Stage: c.Stage, Canary: c.Canary})
}
