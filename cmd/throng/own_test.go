package main

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"

	"github.com/throng-gg/throng"
)

// TestNothingKeptIsSaid: control planes that share a Redis and no DynamoDB keep
// nothing of what players own, and say so at the start.
func TestNothingKeptIsSaid(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	g := &ground{flags: groundFlags{Redis: "redis://127.0.0.1:6379/0", Data: t.TempDir()}, logger: slog.New(slog.NewTextHandler(&log, nil))}
	if store, err := g.openOwn(t.Context()); store != nil || err != nil {
		t.Errorf("got %v, %v", store, err)
	}
	if said := log.String(); !strings.Contains(said, "level=WARN") || !strings.Contains(said, "--dynamo") {
		t.Errorf("it logged %q", said)
	}
}

// TestCatalogIsTheGames: a place that shares a game brings no catalog.
func TestCatalogIsTheGames(t *testing.T) {
	t.Parallel()
	files := map[string][]byte{
		"place.yaml": []byte("id: arena\nname: A\ncapacity: 1\nentry: main.lua\ngame: hub\n"), "main.lua": nil, "catalog.yaml": []byte("currencies: {gold: {}}"),
	}
	err := checkFiles(files, "main.lua")
	if err == nil || throng.KindOf(err) != throng.Invalid || !strings.Contains(err.Error(), "catalog.yaml: belongs to the game, which is hub") {
		t.Errorf("got %v", err)
	}
	delete(files, "catalog.yaml")
	if err := checkFiles(files, "main.lua"); err != nil {
		t.Errorf("without it: %v", err)
	}
}
