package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"iter"
	"log/slog"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/api"
	"github.com/throng-gg/throng/api/gen"
	"github.com/throng-gg/throng/client"
)

// door connects to the region, as whoever the token says. Without a token a
// development region is asked for one, in the given name and role.
func (f doorFlags) door(e *env, name throng.PlayerID, role api.Role) (*client.Door, error) {
	url, err := f.url()
	if err != nil {
		return nil, err
	}
	over, err := f.HTTP(slog.New(slog.NewTextHandler(e.err, nil)))
	if err != nil {
		return nil, err
	}
	door, err := client.New(client.Config{Addr: url, Token: f.Token, HTTP: over})
	if err != nil || f.Token != "" {
		return door, err
	}
	token, err := door.DevToken(e.ctx, name, string(role))
	if throng.KindOf(err) == throng.NotFound {
		return nil, throng.AtField(throng.Denied, "--token", "is needed: %s hands out none", url)
	}
	if err != nil {
		return nil, fmt.Errorf("ask %s for an access token: %w", url, err)
	}
	return door.As(token.AccessToken)
}

// creator connects as whoever the API key or the access token says.
func (f creatorFlags) creator(e *env) (*client.Door, error) {
	door := f.doorFlags
	if f.Key != "" {
		door.Token = f.Key
	}
	return door.door(e, "creator", api.RoleCreator)
}

// allPlaces lists every place, page by page.
func allPlaces(ctx context.Context, door *client.Door) iter.Seq2[gen.Place, error] {
	return pages(func(after string) ([]gen.Place, string, error) {
		list, err := door.Places(ctx, client.Page{After: after, Limit: 200})
		return list.Places, list.Next, err
	})
}

// allSessions lists every session that has not ended, page by page.
func allSessions(ctx context.Context, door *client.Door, place throng.PlaceID) iter.Seq2[gen.SessionRecord, error] {
	return pages(func(after string) ([]gen.SessionRecord, string, error) {
		list, err := door.SessionRecords(ctx, place, client.Page{After: after, Limit: 200})
		return list.Sessions, list.Next, err
	})
}

func pages[T any](page func(after string) (items []T, next string, err error)) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		after := ""
		for {
			items, next, err := page(after)
			if err != nil {
				yield(*new(T), err)
				return
			}
			for _, item := range items {
				if !yield(item, nil) {
					return
				}
			}
			if next == "" {
				return
			}
			after = next
		}
	}
}

// collect gathers a listing, for JSON.
func collect[T any](seq iter.Seq2[T, error]) ([]T, error) {
	out := []T{}
	for item, err := range seq {
		if err != nil {
			return nil, err
		}
		out = append(out, item)
	}
	return out, nil
}

// writeJSON writes one value, indented.
func writeJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}
