// Package eventtest checks events against the schemas in docs/events.
package eventtest

import (
	"bytes"
	"fmt"
	"path/filepath"
	"strings"
	"sync"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/test/repo"
)

// schemas holds those that were compiled, by file.
var schemas sync.Map //nolint:gochecknoglobals // a cache of files that do not change

// Check says what is wrong with an event: also with its data, whose schema every
// type has.
func Check(e throng.Event) error {
	if err := e.Check(); err != nil {
		return err
	}
	name := string(e.Type)
	if strings.HasPrefix(name, throng.EventPlace) {
		name = "place"
	}
	schema, err := load(name + ".json")
	if err != nil {
		return fmt.Errorf("type %s: %w", e.Type, err)
	}
	data, err := jsonschema.UnmarshalJSON(bytes.NewReader(e.Data))
	if err != nil {
		return err
	}
	if err := schema.Validate(data); err != nil {
		return fmt.Errorf("%s: %w: %s", e.Type, err, e.Data)
	}
	return nil
}

func load(name string) (*jsonschema.Schema, error) {
	if s, ok := schemas.Load(name); ok {
		return s.(*jsonschema.Schema), nil //nolint:forcetypeassert // nothing else is in it
	}
	dir, err := repo.Path(filepath.Join("docs", "events"))
	if err != nil {
		return nil, err
	}
	s, err := jsonschema.NewCompiler().Compile(filepath.Join(dir, name))
	if err != nil {
		return nil, err
	}
	schemas.Store(name, s)
	return s, nil
}
