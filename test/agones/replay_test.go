package agones_test

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/throng-gg/throng/test/agones/object"
)

// do sends a request to the API server.
func (f *fixture) do(method, path string, headers map[string]string, body string) (int, []byte) {
	f.t.Helper()
	req, err := http.NewRequestWithContext(f.t.Context(), method, f.cfg.Host+path, strings.NewReader(body))
	if err != nil {
		f.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/json")
	for k, v := range headers {
		req.Header.Set(k, v)
	}
	res, err := f.http.Do(req)
	if err != nil {
		f.t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		f.t.Fatal(err)
	}
	return res.StatusCode, b
}

// get reads what is at a path.
func (f *fixture) get(path string, into any) {
	f.t.Helper()
	status, b := f.do(http.MethodGet, path, nil, "")
	if status != http.StatusOK {
		f.t.Fatalf("GET %s: %d %s", path, status, b)
	}
	if err := json.Unmarshal(b, into); err != nil {
		f.t.Fatal(err)
	}
}

// create posts an object.
func (f *fixture) create(path, body string, into any) {
	f.t.Helper()
	status, b := f.do(http.MethodPost, path, nil, body)
	if status != http.StatusCreated {
		f.t.Fatalf("POST %s: %d %s", path, status, b)
	}
	if err := json.Unmarshal(b, into); err != nil {
		f.t.Fatal(err)
	}
}

// await waits until a server is in a state.
func (f *fixture) await(name string, want object.State) *object.GameServer {
	f.t.Helper()
	var gs *object.GameServer
	f.eventually(name+" is "+string(want), 30*time.Second, func() (bool, any) {
		var err error
		gs, err = f.GameServers.Get(f.t.Context(), "default", name)
		return err == nil && gs.Status.State == want, gs.Status
	})
	return gs
}

// standalone is a GameServer as the recordings create them.
func standalone(name string) string {
	return `{"apiVersion":"agones.dev/v1","kind":"GameServer","metadata":{"name":"` + name + `","labels":{"mode":"deathmatch"}},
		"spec":{"ports":[{"name":"default","portPolicy":"Dynamic","containerPort":7777,"protocol":"UDP"}],
		"template":{"spec":{"containers":[{"name":"game","image":"lab.test/gsrv:1","imagePullPolicy":"Never","env":[]}]}},
		"counters":{"rooms":{"count":1,"capacity":3}},"lists":{"players":{"values":["alice"],"capacity":5}}}}`
}
