package allocation

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/throng-gg/throng/test/agones/object"
)

// Codes of gRPC that the allocator service answers with.
const (
	codeUnknown       = 2
	codeInvalid       = 3
	codeNotFound      = 5
	codeExhausted     = 8
	codeUnimplemented = 12
)

// number is an int64 that travels as a string; a bare number is read too.
type number int64

func (n number) MarshalJSON() ([]byte, error) {
	return strconv.AppendQuote(nil, strconv.FormatInt(int64(n), 10)), nil
}

func (n *number) UnmarshalJSON(b []byte) error {
	i, err := strconv.ParseInt(strings.Trim(string(b), `"`), 10, 64)
	*n = number(i)
	return err
}

func plain(n *number) *int64 {
	if n == nil {
		return nil
	}
	return (*int64)(n)
}

type restRequest struct {
	Namespace  string                       `json:"namespace"`
	Selectors  []restSelector               `json:"gameServerSelectors"`
	Required   *restSelector                `json:"requiredGameServerSelector"`
	Preferred  []restSelector               `json:"preferredGameServerSelectors"`
	Scheduling json.RawMessage              `json:"scheduling"`
	Priorities []Priority                   `json:"priorities"`
	Metadata   Metadata                     `json:"metadata"`
	Counters   map[string]restCounterAction `json:"counters"`
	Lists      map[string]restListAction    `json:"lists"`
}

type restSelector struct {
	MatchLabels map[string]string `json:"matchLabels"`
	State       string            `json:"gameServerState"`
	Counters    map[string]struct {
		MinCount     number `json:"minCount"`
		MaxCount     number `json:"maxCount"`
		MinAvailable number `json:"minAvailable"`
		MaxAvailable number `json:"maxAvailable"`
	} `json:"counters"`
	Lists map[string]struct {
		ContainsValue string `json:"containsValue"`
		MinAvailable  number `json:"minAvailable"`
		MaxAvailable  number `json:"maxAvailable"`
	} `json:"lists"`
}

type restCounterAction struct {
	Action   string  `json:"action"`
	Amount   *number `json:"amount"`
	Capacity *number `json:"capacity"`
}

type restListAction struct {
	AddValues    []string `json:"addValues"`
	DeleteValues []string `json:"deleteValues"`
	Capacity     *number  `json:"capacity"`
}

type restResponse struct {
	GameServerName string                 `json:"gameServerName"`
	Ports          []object.StatusPort    `json:"ports"`
	Address        string                 `json:"address"`
	Addresses      []corev1.NodeAddress   `json:"addresses"`
	NodeName       string                 `json:"nodeName"`
	Source         string                 `json:"source"`
	Metadata       *Metadata              `json:"metadata"`
	Counters       map[string]restCounter `json:"counters"`
	Lists          map[string]restList    `json:"lists"`
}

type restCounter struct {
	Count    number `json:"count"`
	Capacity number `json:"capacity"`
}

type restList struct {
	Values   []string `json:"values"`
	Capacity number   `json:"capacity"`
}

// RESTHandler serves the allocator service's gateway.
func (a *Allocator) RESTHandler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/gameserverallocation", a.rest)
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		fail(w, http.StatusNotFound, codeNotFound, "Not Found")
	})
	return mux
}

func (a *Allocator) rest(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost {
		fail(w, http.StatusNotImplemented, codeUnimplemented, "Method Not Allowed")
		return
	}
	f := a.cfg.Faults.next(REST)
	wait(r, f.Delay)
	if f.Status != 0 {
		fail(w, f.Status, codeUnknown, http.StatusText(f.Status))
		return
	}
	var in restRequest
	b, err := io.ReadAll(io.LimitReader(r.Body, maxBody))
	if err == nil {
		err = json.Unmarshal(b, &in)
	}
	if err != nil {
		fail(w, http.StatusBadRequest, codeInvalid, err.Error())
		return
	}
	spec := in.spec()
	spec.fill()
	if errs := spec.check(); len(errs) > 0 {
		s := invalid(errs)
		s.TypeMeta = metav1.TypeMeta{}
		// So it was recorded: the message is the format and nothing in it takes the argument.
		fail(w, http.StatusInternalServerError, int(s.Code), s.Message+fmt.Sprintf("%%!(EXTRA *v1.Status=%v)", &s))
		return
	}
	gs, err := a.Allocate(r.Context(), in.Namespace, spec, f.Twin)
	switch {
	case f.LoseReply:
		lose(w)
	case err == nil:
		b, _ := json.Marshal(restAnswer(gs)) //nolint:errchkjson // plain data
		reply(w, http.StatusOK, jsonType, b)
	case errors.Is(err, errNone):
		fail(w, http.StatusTooManyRequests, codeExhausted, err.Error())
	default:
		fail(w, http.StatusInternalServerError, codeUnknown, err.Error())
	}
}

func (in *restRequest) spec() *Spec {
	s := &Spec{Priorities: in.Priorities, Metadata: in.Metadata}
	var scheduling string
	if json.Unmarshal(in.Scheduling, &scheduling) == nil && (scheduling == Packed || scheduling == Distributed) {
		s.Scheduling = scheduling // anything else is ignored
	}
	for _, sel := range in.Selectors {
		s.Selectors = append(s.Selectors, sel.plain())
	}
	for _, sel := range in.Preferred {
		s.Preferred = append(s.Preferred, sel.plain())
	}
	if in.Required != nil {
		s.Required = in.Required.plain()
	}
	for name, c := range in.Counters {
		if s.Counters == nil {
			s.Counters = map[string]CounterAction{}
		}
		s.Counters[name] = CounterAction{Action: c.Action, Amount: plain(c.Amount), Capacity: plain(c.Capacity)}
	}
	for name, l := range in.Lists {
		if s.Lists == nil {
			s.Lists = map[string]ListAction{}
		}
		s.Lists[name] = ListAction{AddValues: l.AddValues, DeleteValues: l.DeleteValues, Capacity: plain(l.Capacity)}
	}
	return s
}

func (in restSelector) plain() Selector {
	s := Selector{LabelSelector: metav1.LabelSelector{MatchLabels: in.MatchLabels}}
	if in.State == "ALLOCATED" {
		s.State = object.Allocated
	}
	for name, c := range in.Counters {
		if s.Counters == nil {
			s.Counters = map[string]CounterSelector{}
		}
		s.Counters[name] = CounterSelector{int64(c.MinCount), int64(c.MaxCount), int64(c.MinAvailable), int64(c.MaxAvailable)}
	}
	for name, l := range in.Lists {
		if s.Lists == nil {
			s.Lists = map[string]ListSelector{}
		}
		s.Lists[name] = ListSelector{l.ContainsValue, int64(l.MinAvailable), int64(l.MaxAvailable)}
	}
	return s
}

func restAnswer(gs *object.GameServer) restResponse {
	st := answer(gs)
	out := restResponse{
		GameServerName: st.GameServerName, Ports: st.Ports, Address: st.Address, Addresses: st.Addresses,
		NodeName: st.NodeName, Source: st.Source, Metadata: st.Metadata,
		Counters: map[string]restCounter{}, Lists: map[string]restList{},
	}
	for name, c := range st.Counters {
		out.Counters[name] = restCounter{number(c.Count), number(c.Capacity)}
	}
	for name, l := range st.Lists {
		out.Lists[name] = restList{append([]string{}, l.Values...), number(l.Capacity)}
	}
	return out
}

// fail answers as a gRPC gateway does.
func fail(w http.ResponseWriter, status, code int, message string) {
	b, _ := json.Marshal(struct { //nolint:errchkjson // plain data
		Code    int      `json:"code"`
		Message string   `json:"message"`
		Details []string `json:"details"`
	}{code, message, []string{}})
	reply(w, status, jsonType, b)
}
