package redis

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Patch takes a guard out of the scripts: the line of a part, as it stands in
// lua/, and what stands there instead.
type Patch struct{ Part, Line, Instead string }

// NewPatchedShelf is NewShelf for scripts with patches. It panics if a line is
// not there (any more).
func NewPatchedShelf(quarantine time.Duration, patches []Patch) *Shelf {
	s := NewShelf(quarantine)
	for _, p := range patches {
		b, err := luaFiles.ReadFile("lua/" + p.Part + ".lua")
		if err != nil {
			panic(err)
		}
		if !slices.ContainsFunc(strings.Split(string(b), "\n"), func(l string) bool { return strings.TrimSpace(l) == p.Line }) {
			panic(fmt.Sprintf("lua/%s.lua has no line %q", p.Part, p.Line))
		}
		s.patches = append(s.patches, patch{part: p.Part, line: p.Line, instead: p.Instead})
	}
	return s
}

// LoadAll loads the scripts of all generations that the store knows, as a client
// does that takes a missing script for one that was forgotten.
func LoadAll(ctx context.Context, st *Store) error {
	client, err := st.bulk.get()
	if err != nil {
		return err
	}
	st.shelf.mu.Lock()
	var texts []string
	for _, f := range st.shelf.families {
		texts = append(append(texts, anchorText(f.nonce)), f.texts[:]...)
	}
	st.shelf.mu.Unlock()
	for _, text := range texts {
		if err := client.Do(ctx, client.B().ScriptLoad().Script(text).Build()).Error(); err != nil {
			return err
		}
	}
	return nil
}
