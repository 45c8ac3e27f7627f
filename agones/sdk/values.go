package sdk

import (
	"context"
	"net/http"
	"net/url"
)

// Counter returns a counter, with writes that wait. NotFound: the GameServer has
// none of that name.
func (c *Client) Counter(ctx context.Context, name string) (Counter, error) {
	var out Counter
	return out, c.call(ctx, http.MethodGet, counterPath(name), nil, &out)
}

// SetCounter sets a counter and its capacity. NotFound: there is none. Full: the
// count is beyond the capacity.
func (c *Client) SetCounter(ctx context.Context, name string, to Counter) (Counter, error) {
	var out Counter
	return out, c.call(ctx, http.MethodPatch, counterPath(name), to, &out)
}

// AddCounter changes a counter by so much. NotFound: there is none. Full: the
// result is negative, or beyond the capacity.
func (c *Client) AddCounter(ctx context.Context, name string, by Int) (Counter, error) {
	var out Counter
	return out, c.call(ctx, http.MethodPatch, counterPath(name), struct {
		Diff Int `json:"countDiff"`
	}{by}, &out)
}

func counterPath(name string) string { return "/v1beta1/counters/" + url.PathEscape(name) }

// List returns a list, with writes that wait. NotFound: the GameServer has none
// of that name.
func (c *Client) List(ctx context.Context, name string) (List, error) {
	var out List
	return out, c.call(ctx, http.MethodGet, listPath(name), nil, &out)
}

// value is one of a list.
type value struct {
	Value string `json:"value"`
}

// AddValue puts a value on a list. Exists: it is there. Full: the list is. NotFound:
// there is no such list.
func (c *Client) AddValue(ctx context.Context, name, v string) (List, error) {
	var out List
	return out, c.call(ctx, http.MethodPost, listPath(name)+":addValue", value{v}, &out)
}

// RemoveValue takes a value off a list. NotFound: it is not there, or there is no
// such list.
func (c *Client) RemoveValue(ctx context.Context, name, v string) (List, error) {
	var out List
	return out, c.call(ctx, http.MethodPost, listPath(name)+":removeValue", value{v}, &out)
}

func listPath(name string) string { return "/v1beta1/lists/" + url.PathEscape(name) }
