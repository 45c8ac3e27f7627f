package sidecar

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/throng-gg/throng/test/agones/object"
)

// Codes of gRPC that the gateway answers with.
const (
	codeUnknown       = 2
	codeInvalid       = 3
	codeNotFound      = 5
	codeUnimplemented = 12
)

const maxBody = 1 << 20

// refusal is an answer that says no.
type refusal struct {
	status, code int
	message      string
}

func (r *refusal) Error() string { return r.message }

func unknown(format string, args ...any) *refusal {
	return &refusal{http.StatusInternalServerError, codeUnknown, fmt.Sprintf(format, args...)}
}

func invalid(format string, args ...any) *refusal {
	return &refusal{http.StatusBadRequest, codeInvalid, fmt.Sprintf(format, args...)}
}

func wrongMethod() *refusal {
	return &refusal{http.StatusNotImplemented, codeUnimplemented, "Method Not Allowed"}
}

// call is one method of the SDK.
type call func(s *Server, r *http.Request, body []byte) (any, error)

type nothing struct{}

// Handler serves the REST API of the game.
func (s *Server) Handler() http.Handler {
	paths := map[string]map[string]call{
		"/ready":               {"POST": become(object.RequestReady)},
		"/allocate":            {"POST": become(object.Allocated)},
		"/shutdown":            {"POST": become(object.Shutdown)},
		"/reserve":             {"POST": (*Server).reserve},
		"/health":              {"POST": (*Server).alive},
		"/gameserver":          {"GET": (*Server).get},
		"/metadata/label":      {"PUT": (*Server).label},
		"/metadata/annotation": {"PUT": (*Server).annotate},

		"/v1beta1/counters/{name}": {"GET": (*Server).counter, "PATCH": (*Server).changeCounter},
	}
	mux := http.NewServeMux()
	for path, calls := range paths {
		mux.HandleFunc(path, func(w http.ResponseWriter, r *http.Request) { s.serve(w, r, calls[r.Method]) })
	}
	lists := map[string]call{
		"GET ": (*Server).list, "PATCH ": (*Server).changeList,
		"POST addValue": (*Server).addValue, "POST removeValue": (*Server).removeValue,
	}
	mux.HandleFunc("/v1beta1/lists/{name}", func(w http.ResponseWriter, r *http.Request) {
		_, verb, _ := strings.Cut(r.PathValue("name"), ":")
		s.serve(w, r, lists[r.Method+" "+verb])
	})
	mux.HandleFunc("/watch/gameserver", s.watch)
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, nil, &refusal{http.StatusNotFound, codeNotFound, "Not Found"})
	})
	return mux
}

// Probes serves what the kubelet asks on port 8080.
func (s *Server) Probes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/healthz", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) })
	mux.HandleFunc("/gshealthz", func(w http.ResponseWriter, _ *http.Request) {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.sick {
			w.WriteHeader(http.StatusInternalServerError)
		}
	})
	return mux
}

func (s *Server) serve(w http.ResponseWriter, r *http.Request, f call) {
	if f == nil {
		answer(w, nil, wrongMethod())
		return
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, maxBody))
	if err != nil {
		answer(w, nil, invalid("%v", err))
		return
	}
	if len(body) == 0 && r.URL.Path == "/health" {
		w.WriteHeader(http.StatusBadRequest) // so recorded
		return
	}
	if err := read(body, &nothing{}); err != nil {
		answer(w, nil, err)
		return
	}
	out, err := f(s, r, body)
	answer(w, out, err)
}

func answer(w http.ResponseWriter, out any, err error) {
	if no, ok := errors.AsType[*refusal](err); ok {
		send(w, no.status, map[string]any{"code": no.code, "message": no.message, "details": []string{}})
		return
	}
	w.Header().Set("Grpc-Metadata-Content-Type", "application/grpc")
	send(w, http.StatusOK, out)
}

func send(w http.ResponseWriter, status int, out any) {
	b, err := json.Marshal(out)
	if err != nil {
		panic(err) // plain data
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(b) // the game is gone
}

// read fills in what a body says; an empty one says nothing.
func read(body []byte, into any) error {
	if len(body) == 0 {
		return nil
	}
	if err := json.Unmarshal(body, into); err != nil {
		return invalid("%v", err)
	}
	return nil
}

func become(state object.State) call {
	return func(s *Server, _ *http.Request, _ []byte) (any, error) {
		s.become(state, 0)
		return nothing{}, nil
	}
}

// become asks for a state; what was reserved isn't any more.
func (s *Server) become(state object.State, reserve time.Duration) {
	s.ask(func(w *wishes) {
		if s.reserved != nil {
			s.reserved.Stop()
			s.reserved = nil
		}
		w.state, w.reserve = state, reserve
	})
}

func (s *Server) reserve(_ *http.Request, body []byte) (any, error) {
	var in struct {
		Seconds number `json:"seconds"`
	}
	if err := read(body, &in); err != nil {
		return nil, err
	}
	s.become(object.Reserved, time.Duration(in.Seconds)*time.Second)
	return nothing{}, nil
}

func (s *Server) alive(*http.Request, []byte) (any, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.beat = time.Now()
	return nothing{}, nil
}

type keyValue struct {
	Key   string `json:"key"`
	Value string `json:"value"`
}

func (s *Server) label(_ *http.Request, body []byte) (any, error) {
	var in keyValue
	if err := read(body, &in); err != nil {
		return nil, err
	}
	if errs := validation.IsValidLabelValue(in.Value); len(errs) > 0 {
		return nil, invalid("invalid label value %q for key %q: %s", in.Value, in.Key, strings.Join(errs, "; "))
	}
	if errs := validation.IsQualifiedName(object.SDKPrefix + in.Key); len(errs) > 0 {
		return nil, invalid("invalid label key %q: %s", in.Key, strings.Join(errs, "; "))
	}
	s.ask(func(w *wishes) { put(&w.labels, map[string]string{object.SDKPrefix + in.Key: in.Value}) })
	return nothing{}, nil
}

func (s *Server) annotate(_ *http.Request, body []byte) (any, error) {
	var in keyValue
	if err := read(body, &in); err != nil {
		return nil, err
	}
	if errs := validation.IsQualifiedName(object.SDKPrefix + in.Key); len(errs) > 0 {
		return nil, invalid("invalid annotation key %q: %s", in.Key, strings.Join(errs, "; "))
	}
	s.ask(func(w *wishes) { put(&w.annotations, map[string]string{object.SDKPrefix + in.Key: in.Value}) })
	return nothing{}, nil
}

func (s *Server) get(*http.Request, []byte) (any, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.gs == nil {
		return nil, unknown("gameserver %s/%s is not known yet", s.cfg.Namespace, s.cfg.Name)
	}
	return view(s.gs), nil
}

// watch sends the game server as it is and then each change.
func (s *Server) watch(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet {
		answer(w, nil, wrongMethod())
		return
	}
	updates := make(chan *object.GameServer, watchLength)
	s.mu.Lock()
	s.watchers[updates] = true
	if s.gs != nil {
		updates <- s.gs
	}
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		delete(s.watchers, updates)
		s.mu.Unlock()
	}()
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Grpc-Metadata-Content-Type", "application/grpc")
	flush := http.NewResponseController(w)
	for {
		select {
		case <-r.Context().Done():
			return
		case gs, ok := <-updates:
			if !ok {
				return
			}
			b, err := json.Marshal(map[string]gameServer{"result": view(gs)})
			if err != nil {
				panic(err) // plain data
			}
			if _, err := w.Write(append(b, '\n')); err != nil || flush.Flush() != nil {
				return
			}
		}
	}
}
