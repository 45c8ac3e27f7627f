package sdktest

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// gameServer is as the SDK tells it: snake_case, 64-bit numbers as strings.
type gameServer struct {
	Meta struct {
		Name        string            `json:"name"`
		Namespace   string            `json:"namespace"`
		UID         string            `json:"uid"`
		Version     string            `json:"resource_version"`
		Generation  string            `json:"generation"`
		Created     string            `json:"creation_timestamp"`
		Deleted     string            `json:"deletion_timestamp"`
		Annotations map[string]string `json:"annotations"`
		Labels      map[string]string `json:"labels"`
	} `json:"object_meta"`
	Spec struct {
		Health struct {
			Disabled         bool `json:"disabled"`
			PeriodSeconds    int  `json:"period_seconds"`
			FailureThreshold int  `json:"failure_threshold"`
			InitialDelay     int  `json:"initial_delay_seconds"`
		} `json:"health"`
	} `json:"spec"`
	Status struct {
		State     string              `json:"state"`
		Address   string              `json:"address"`
		Addresses []address           `json:"addresses"`
		Ports     []port              `json:"ports"`
		Players   *struct{}           `json:"players"`
		Counters  map[string]*counter `json:"counters"`
		Lists     map[string]*list    `json:"lists"`
	} `json:"status"`
}

type address struct {
	Type    string `json:"type"`
	Address string `json:"address"`
}

type port struct {
	Name string `json:"name"`
	Port uint16 `json:"port"`
}

type counter struct {
	Name     string `json:"name,omitempty"`
	Count    number `json:"count"`
	Capacity number `json:"capacity"`
}

type list struct {
	Name     string   `json:"name,omitempty"`
	Capacity number   `json:"capacity"`
	Values   []string `json:"values"`
}

// number is a 64-bit one, written as a string.
type number int64

func (n number) MarshalJSON() ([]byte, error) { return json.Marshal(strconv.FormatInt(int64(n), 10)) }

func (n *number) UnmarshalJSON(text []byte) error {
	v, err := strconv.ParseInt(strings.Trim(string(text), `"`), 10, 64)
	*n = number(v)
	return err
}

func newGameServer(cfg Config) gameServer {
	var g gameServer
	g.Meta.Name, g.Meta.Namespace, g.Meta.UID = cfg.Name, "default", "uid-of-"+cfg.Name
	g.Meta.Version, g.Meta.Generation, g.Meta.Created, g.Meta.Deleted = "1", "1", "1795328728", "0"
	g.Meta.Annotations = map[string]string{"agones.dev/sdk-version": "1.61.0-dev-676cc64d"}
	g.Meta.Labels = map[string]string{}
	maps.Copy(g.Meta.Labels, cfg.Labels)
	g.Spec.Health.PeriodSeconds, g.Spec.Health.FailureThreshold, g.Spec.Health.InitialDelay = 5, 3, 5
	g.Status.State, g.Status.Address = "Scheduled", cfg.Address
	g.Status.Addresses = []address{{"InternalIP", cfg.Address}, {"Hostname", "lab"}}
	for name, p := range cfg.Ports {
		g.Status.Ports = append(g.Status.Ports, port{name, p})
	}
	g.Status.Counters, g.Status.Lists = map[string]*counter{}, map[string]*list{}
	for name, most := range cfg.Counters {
		g.Status.Counters[name] = &counter{Capacity: number(most)}
	}
	for name, most := range cfg.Lists {
		g.Status.Lists[name] = &list{Capacity: number(most), Values: []string{}}
	}
	return g
}

// refusal is how it says no.
type refusal struct {
	status  int
	Code    int    `json:"code"`
	Message string `json:"message"`
	Details []int  `json:"details"`
}

func refuse(status, code int, format string, args ...any) *refusal {
	return &refusal{status, code, fmt.Sprintf(format, args...), []int{}}
}

// unknown is the real one's answer to all that went wrong inside.
func unknown(format string, args ...any) *refusal {
	return refuse(http.StatusInternalServerError, 2, format, args...)
}

func (s *Sidecar) handler() http.Handler {
	mux := http.NewServeMux()
	for path, state := range map[string]string{"/ready": "Ready", "/allocate": "Allocated", "/shutdown": "Shutdown"} {
		s.handle(mux, "POST "+path, func(*http.Request, []byte) (any, *refusal) {
			s.write(func(g *gameServer) { g.Status.State = state })
			return struct{}{}, nil
		})
	}
	s.handle(mux, "POST /health", func(*http.Request, []byte) (any, *refusal) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.healths++
		return struct{}{}, nil
	})
	s.handle(mux, "PUT /metadata/label", s.putLabel)
	s.handle(mux, "PUT /metadata/annotation", s.putAnnotation)
	s.handle(mux, "GET /gameserver", func(*http.Request, []byte) (any, *refusal) { return s.snapshot(), nil })
	s.handle(mux, "GET /v1beta1/counters/{name}", s.getCounter)
	s.handle(mux, "PATCH /v1beta1/counters/{name}", s.patchCounter)
	s.handle(mux, "GET /v1beta1/lists/{name}", s.getList)
	s.handle(mux, "POST /v1beta1/lists/{call}", s.changeList)
	mux.HandleFunc("GET /watch/gameserver", s.watch)
	for _, path := range []string{"/ready", "/allocate", "/shutdown", "/health", "/metadata/label", "/metadata/annotation"} {
		mux.HandleFunc(path, func(w http.ResponseWriter, _ *http.Request) {
			answer(w, nil, refuse(http.StatusNotImplemented, 12, "Method Not Allowed"))
		})
	}
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, nil, refuse(http.StatusNotFound, 5, "Not Found"))
	})
	return mux
}

func (s *Sidecar) handle(mux *http.ServeMux, pattern string, call func(r *http.Request, body []byte) (any, *refusal)) {
	mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		s.calls[r.Method+" "+r.URL.Path]++
		s.mu.Unlock()
		body, err := io.ReadAll(io.LimitReader(r.Body, 1<<20))
		if err != nil {
			return
		}
		if r.Method != http.MethodGet && len(body) == 0 {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		if r.Method != http.MethodGet && !json.Valid(body) {
			answer(w, nil, refuse(http.StatusBadRequest, 3, "invalid character '%c' looking for beginning of object key string", body[min(1, len(body)-1)]))
			return
		}
		what, no := call(r, body)
		answer(w, what, no)
	})
}

func answer(w http.ResponseWriter, what any, no *refusal) {
	w.Header().Set("Content-Type", "application/json")
	if no != nil {
		w.WriteHeader(no.status)
		what = no
	}
	text, err := json.Marshal(what)
	if err != nil {
		panic(err) // what is ours can be written
	}
	_, _ = w.Write(text) // who asked is gone
}

// snapshot is the GameServer as one value.
func (s *Sidecar) snapshot() json.RawMessage {
	s.mu.Lock()
	defer s.mu.Unlock()
	text, err := json.Marshal(s.g)
	if err != nil {
		panic(err) // as above
	}
	return text
}

func (s *Sidecar) watch(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	for {
		s.mu.Lock()
		changed := s.changed
		s.mu.Unlock()
		if _, err := fmt.Fprintf(w, `{"result":%s}`+"\n", s.snapshot()); err != nil {
			return
		}
		if http.NewResponseController(w).Flush() != nil {
			return
		}
		select {
		case <-changed:
		case <-r.Context().Done():
			return
		}
	}
}

type keyValue struct{ Key, Value string }

func parseKeyValue(body []byte) (kv keyValue, no *refusal) {
	if err := json.Unmarshal(body, &kv); err != nil {
		return kv, refuse(http.StatusBadRequest, 3, "%v", err)
	}
	return kv, nil
}

const labelValue = `(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?`

func (s *Sidecar) putLabel(_ *http.Request, body []byte) (any, *refusal) {
	kv, no := parseKeyValue(body)
	if no != nil {
		return nil, no
	}
	if ok, err := regexp.MatchString("^"+labelValue+"$", kv.Value); err != nil || !ok || len(kv.Value) > 63 {
		return nil, refuse(http.StatusBadRequest, 3, "invalid label value %q for key %q: a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '%s')", kv.Value, kv.Key, labelValue)
	}
	s.write(func(g *gameServer) { g.Meta.Labels["agones.dev/sdk-"+kv.Key] = kv.Value })
	return struct{}{}, nil
}

func (s *Sidecar) putAnnotation(_ *http.Request, body []byte) (any, *refusal) {
	kv, no := parseKeyValue(body)
	if no != nil {
		return nil, no
	}
	s.write(func(g *gameServer) { g.Meta.Annotations["agones.dev/sdk-"+kv.Key] = kv.Value })
	return struct{}{}, nil
}

func (s *Sidecar) getCounter(r *http.Request, _ []byte) (any, *refusal) {
	s.mu.Lock()
	defer s.mu.Unlock()
	name := r.PathValue("name")
	c := s.g.Status.Counters[name]
	if c == nil {
		return nil, unknown("counter not found: %s", name)
	}
	return counter{name, c.Count, c.Capacity}, nil
}

func (s *Sidecar) patchCounter(r *http.Request, body []byte) (any, *refusal) {
	var ask struct{ Count, Capacity, CountDiff *number }
	if err := json.Unmarshal(body, &ask); err != nil {
		return nil, refuse(http.StatusBadRequest, 3, "%v", err)
	}
	name := r.PathValue("name")
	var no *refusal
	var out counter
	s.change(func(g *gameServer) {
		c := g.Status.Counters[name]
		if c == nil {
			no = unknown("counter not found: %s", name)
			return
		}
		next := *c
		if ask.Capacity != nil {
			next.Capacity = *ask.Capacity
		}
		if ask.Count != nil {
			next.Count = *ask.Count
		}
		if ask.CountDiff != nil {
			next.Count += *ask.CountDiff
		}
		if next.Count < 0 || next.Count > next.Capacity {
			no = unknown("out of range. Count must be within range [0,Capacity]. Found Count: %d, Capacity: %d", next.Count, next.Capacity)
			return
		}
		*c = next
		out = counter{name, c.Count, c.Capacity}
	})
	return out, no
}

func (s *Sidecar) getList(r *http.Request, _ []byte) (any, *refusal) {
	s.mu.Lock()
	defer s.mu.Unlock()
	name := r.PathValue("name")
	l := s.g.Status.Lists[name]
	if l == nil {
		return nil, unknown("list not found: %s", name)
	}
	return list{name, l.Capacity, slices.Clone(l.Values)}, nil
}

func (s *Sidecar) changeList(r *http.Request, body []byte) (any, *refusal) {
	var ask struct{ Value string }
	if err := json.Unmarshal(body, &ask); err != nil {
		return nil, refuse(http.StatusBadRequest, 3, "%v", err)
	}
	name, verb, _ := strings.Cut(r.PathValue("call"), ":")
	var no *refusal
	var out list
	s.change(func(g *gameServer) {
		l := g.Status.Lists[name]
		if l == nil {
			no = unknown("list not found: %s", name)
			return
		}
		at := slices.Index(l.Values, ask.Value)
		switch {
		case verb == "addValue" && at >= 0:
			no = unknown("already exists. Value: %s already in List: %s", ask.Value, name)
		case verb == "addValue" && len(l.Values) >= int(l.Capacity):
			no = unknown("out of range. No available capacity. Current Capacity: %d, List Size: %d", l.Capacity, len(l.Values))
		case verb == "addValue":
			l.Values = append(l.Values, ask.Value)
		case verb == "removeValue" && at < 0:
			no = unknown("not found: value %s not in list %s", ask.Value, name)
		case verb == "removeValue":
			l.Values = slices.Delete(l.Values, at, at+1)
		default:
			no = refuse(http.StatusNotFound, 5, "Not Found")
		}
		out = list{name, l.Capacity, slices.Clone(l.Values)}
	})
	return out, no
}
