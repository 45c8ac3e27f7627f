package agones

import (
	"strings"
	"testing"

	"github.com/throng-gg/throng"
)

// The answers are real Agones' 1.61.0-dev on Kubernetes 1.35, cut to what counts.
func TestAnswers(t *testing.T) {
	const (
		allocated   = `{"kind":"GameServerAllocation","status":{"state":"Allocated","gameServerName":"rf-clq2l-42qhx","ports":[{"name":"default","port":7273}]}}`
		unallocated = `{"kind":"GameServerAllocation","status":{"state":"UnAllocated","gameServerName":"","source":""}}`
		contention  = `{"kind":"GameServerAllocation","status":{"state":"Contention"}}`
		invalid     = `{"kind":"Status","code":422,"reason":"Invalid","message":"spec.scheduling: Unsupported value: \"Nope\""}`
		conflict    = `{"kind":"Status","code":500,"reason":"InternalError","message":"could not update the selected GameServer"}`
		busy        = `{"kind":"Status","code":429,"reason":"TooManyRequests","message":"too many requests, please try again later"}`
	)
	for name, c := range map[string]struct {
		read func(int, []byte) outcome
		code int
		text string
		fate fate
		kind throng.Kind
		says string
	}{
		"allocated":                 {readOrder, 201, allocated, fateAllocated, 0, ""},
		"none is 201, too":          {readOrder, 201, unallocated, fateNone, throng.NoCapacity, "no game server is ready"},
		"contention":                {readOrder, 201, contention, fateUnknown, throng.Unavailable, "Contention"},
		"a new state":               {readOrder, 201, `{"status":{"state":"Pending"}}`, fateUnknown, throng.Unavailable, "Pending"},
		"no name":                   {readOrder, 201, `{"status":{"state":"Allocated"}}`, fateUnknown, throng.Unavailable, "names no game server"},
		"cut off":                   {readOrder, 201, allocated[:40], fateUnknown, throng.Unavailable, ""},
		"invalid":                   {readOrder, 422, invalid, fateRefused, throng.Internal, "Unsupported value"},
		"may not":                   {readOrder, 403, "forbidden", fateRefused, throng.Unavailable, "may not allocate"},
		"no Agones":                 {readOrder, 404, "404 page not found\n", fateRefused, throng.Unavailable, "is Agones installed?"},
		"API server busy":           {readOrder, 429, busy, fateRefused, throng.Unavailable, "too busy"},
		"extensions down":           {readOrder, 503, "service unavailable\n", fateRefused, throng.Unavailable, "does not take allocations"},
		"extensions not reached":    {readOrder, 503, "error trying to reach service: dial tcp 10.0.0.1:8081: connect: connection refused", fateRefused, throng.Unavailable, ""},
		"extensions died meanwhile": {readOrder, 503, "error trying to reach service: EOF", fateUnknown, throng.Unavailable, ""},
		"update conflict":           {readOrder, 500, conflict, fateUnknown, throng.Unavailable, "could not update"},
		"timeout":                   {readOrder, 504, "timeout", fateUnknown, throng.Unavailable, ""},

		"rest allocated":       {readAllocator, 200, `{"gameServerName":"rf-clq2l-njnrd","ports":[]}`, fateAllocated, 0, ""},
		"rest none":            {readAllocator, 429, `{"code":8,"message":"there is no available GameServer to allocate","details":[]}`, fateNone, throng.NoCapacity, ""},
		"rest busy":            {readAllocator, 429, `slow down`, fateRefused, throng.Unavailable, "slow down"},
		"rest invalid is 500":  {readAllocator, 500, `{"code":422,"message":"&Status{...}","details":[]}`, fateRefused, throng.Internal, "no good"},
		"rest update conflict": {readAllocator, 500, `{"code":2,"message":"could not update the selected GameServer","details":[]}`, fateUnknown, throng.Unavailable, "could not update"},
		"rest wrong path":      {readAllocator, 404, `{"code":5,"message":"Not Found"}`, fateRefused, throng.Unavailable, "no allocator"},
		"rest upstream away":   {readAllocator, 503, `{"code":14,"message":"connection error"}`, fateUnknown, throng.Unavailable, ""},
		"rest no name":         {readAllocator, 200, `{}`, fateUnknown, throng.Unavailable, ""},
	} {
		got := c.read(c.code, []byte(c.text))
		if got.fate != c.fate || (got.err == nil) != (c.fate == fateAllocated) {
			t.Errorf("%s: got %s, %v, want %s", name, got.fate, got.err, c.fate)
			continue
		}
		if got.err != nil && (throng.KindOf(got.err) != c.kind || !strings.Contains(got.err.Error(), c.says)) {
			t.Errorf("%s: got %s: %v, want %s: %s", name, throng.KindOf(got.err), got.err, c.kind, c.says)
		}
	}
	if got := readOrder(201, []byte(allocated)).name; got != "rf-clq2l-42qhx" {
		t.Errorf("name: got %q", got)
	}
}

func TestChoose(t *testing.T) {
	for name, c := range map[string]struct {
		all  []choice
		want string
	}{
		"the emptier":             {[]choice{{name: "a", weight: 1, servers: 5}, {name: "b", weight: 1, servers: 4}}, "b a"},
		"for its weight":          {[]choice{{name: "a", weight: 3, servers: 5}, {name: "b", weight: 1, servers: 2}}, "a b"},
		"the larger at first":     {[]choice{{name: "a", weight: 1}, {name: "b", weight: 3}}, "b a"},
		"by name":                 {[]choice{{name: "b", weight: 1}, {name: "a", weight: 1}}, "a b"},
		"none for no weight":      {[]choice{{name: "a"}, {name: "b", weight: 1, servers: 9}}, "b"},
		"none that is away":       {[]choice{{name: "a", weight: 1, away: true}, {name: "b", weight: 1, servers: 9}}, "b"},
		"none that is drained":    {[]choice{{name: "a", weight: 1, avoided: true}}, ""},
		"dry ones after":          {[]choice{{name: "a", weight: 1, dry: true}, {name: "b", weight: 1, servers: 9}}, "b a"},
		"those that limp at last": {[]choice{{name: "a", weight: 1, limps: true}, {name: "b", weight: 1, servers: 9, dry: true}}, "b a"},
	} {
		if got := strings.Join(choose(c.all), " "); got != c.want {
			t.Errorf("%s: got %q, want %q", name, got, c.want)
		}
	}
}
