package allocation

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"sigs.k8s.io/yaml"

	"github.com/throng-gg/throng/test/agones/object"
)

const (
	root      = "/apis/" + object.AllocationGroup + "/v1"
	maxBody   = 1 << 20
	plainText = "text/plain; charset=utf-8"
	jsonType  = "application/json"
)

// KubeHandler serves the aggregated API.
func (a *Allocator) KubeHandler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+root, func(w http.ResponseWriter, _ *http.Request) {
		reply(w, http.StatusOK, jsonType, discovery())
	})
	mux.HandleFunc(root+"/namespaces/{namespace}/gameserverallocations", a.kube)
	return mux
}

func discovery() []byte {
	b, err := json.Marshal(metav1.APIResourceList{
		TypeMeta:     metav1.TypeMeta{Kind: "APIResourceList", APIVersion: "v1"},
		GroupVersion: object.AllocationGroup + "/v1",
		APIResources: []metav1.APIResource{{
			Name: "gameserverallocations", SingularName: "gameserverallocation", Namespaced: true,
			Kind: "GameServerAllocation", Verbs: metav1.Verbs{"create"}, ShortNames: []string{"gsa"},
		}},
	})
	if err != nil {
		panic(err) // a constant
	}
	return b
}

func (a *Allocator) kube(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost {
		reply(w, http.StatusMethodNotAllowed, plainText, []byte("Method not supported\n"))
		return
	}
	f := a.cfg.Faults.next(Kube)
	wait(r, f.Delay)
	if f.Status != 0 {
		reply(w, f.Status, plainText, []byte(http.StatusText(f.Status)+"\n"))
		return
	}
	gsa, err := decode(r)
	if err != nil {
		reply(w, http.StatusInternalServerError, plainText, fmt.Appendf(nil, "error decoding body: %v\n", err))
		return
	}
	gsa.Metadata.Namespace = r.PathValue("namespace")
	gsa.Metadata.CreationTimestamp = metav1.NewTime(time.Now())
	gsa.Spec.fill()
	if errs := gsa.Spec.check(); len(errs) > 0 {
		s := invalid(errs)
		b, _ := json.Marshal(s) //nolint:errchkjson // a Status always encodes
		reply(w, int(s.Code), jsonType, b)
		return
	}
	gs, err := a.Allocate(r.Context(), gsa.Metadata.Namespace, &gsa.Spec, f.Twin)
	switch {
	case f.LoseReply:
		lose(w)
		return
	case err == nil:
		gsa.Metadata.Name = gs.Name
		gsa.Status = answer(gs)
	case errors.Is(err, errNone):
		gsa.Status = Status{State: UnAllocated}
	default: // not recorded for this door; the allocator service answers 500 too
		reply(w, http.StatusInternalServerError, plainText, fmt.Appendf(nil, "%v\n", err))
		return
	}
	b, _ := json.Marshal(gsa) //nolint:errchkjson // came from JSON
	kind := jsonType
	if strings.HasPrefix(r.Header.Get("Accept"), "application/yaml") {
		kind = "application/yaml"
		b, _ = yaml.JSONToYAML(b) // it is JSON
	}
	reply(w, http.StatusCreated, kind, b)
}

func decode(r *http.Request) (*Allocation, error) {
	b, err := io.ReadAll(io.LimitReader(r.Body, maxBody))
	if err != nil {
		return nil, err
	}
	if strings.Contains(r.Header.Get("Content-Type"), "yaml") {
		if b, err = yaml.YAMLToJSON(b); err != nil {
			return nil, err
		}
	}
	var gsa Allocation
	if err := json.Unmarshal(b, &gsa); err != nil {
		return nil, fmt.Errorf("couldn't get version/kind; json parse error: %w", err)
	}
	gsa.Kind, gsa.APIVersion = "GameServerAllocation", object.AllocationGroup+"/v1"
	gsa.Status = Status{}
	return &gsa, nil
}

func invalid(errs field.ErrorList) metav1.Status {
	s := apierrors.NewInvalid(schema.GroupKind{Group: object.AllocationGroup, Kind: "GameServerAllocation"}, "", errs).Status()
	s.TypeMeta = metav1.TypeMeta{Kind: "Status", APIVersion: "v1"}
	return s
}

func wait(r *http.Request, d time.Duration) {
	if d <= 0 {
		return
	}
	select {
	case <-time.After(d):
	case <-r.Context().Done():
	}
}

func reply(w http.ResponseWriter, status int, kind string, body []byte) {
	w.Header().Set("Content-Type", kind)
	w.WriteHeader(status)
	_, _ = w.Write(body) // the caller is gone
}
