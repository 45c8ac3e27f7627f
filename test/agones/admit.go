package agones

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"

	admission "k8s.io/api/admission/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/validation/field"

	kinds "github.com/throng-gg/throng/test/agones/object"
)

const maxReview = 4 << 20

// admitter answers the API server's reviews.
type admitter func(req *admission.AdmissionRequest, res *admission.AdmissionResponse) error

func (f admitter) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var review admission.AdmissionReview
	b, err := io.ReadAll(io.LimitReader(r.Body, maxReview))
	if err == nil {
		err = json.Unmarshal(b, &review)
	}
	if err != nil || review.Request == nil {
		http.Error(w, "not a review", http.StatusBadRequest)
		return
	}
	res := &admission.AdmissionResponse{UID: review.Request.UID, Allowed: true}
	if err := f(review.Request, res); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	review.Request, review.Response = nil, res
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(review) // the API server is gone
}

// patch is one step of a JSON patch.
type patch struct {
	Op    string `json:"op"`
	Path  string `json:"path"`
	Value any    `json:"value"`
}

// mutate fills in what the recordings show filled in.
func mutate(req *admission.AdmissionRequest, res *admission.AdmissionResponse) error {
	var patches []patch
	switch req.Kind.Kind {
	case "GameServer":
		var gs kinds.GameServer
		if err := json.Unmarshal(req.Object.Raw, &gs); err != nil {
			return err
		}
		fillGameServer(&gs)
		patches = []patch{
			{"add", "/spec", gs.Spec},
			{"add", "/status", gs.Status},
			{"add", "/metadata/annotations", gs.Annotations},
			{"add", "/metadata/finalizers", gs.Finalizers},
		}
	case "Fleet":
		var f kinds.Fleet
		if err := json.Unmarshal(req.Object.Raw, &f); err != nil {
			return err
		}
		fillFleet(&f)
		patches = []patch{{"add", "/spec", f.Spec}, {"add", "/metadata/annotations", f.Annotations}}
	case "FleetAutoscaler":
		var fas kinds.FleetAutoscaler
		if err := json.Unmarshal(req.Object.Raw, &fas); err != nil {
			return err
		}
		if fas.Spec.Sync == nil {
			fas.Spec.Sync = &kinds.Sync{Type: "FixedInterval", FixedInterval: kinds.FixedInterval{Seconds: 30}}
		}
		patches = []patch{{"add", "/spec", fas.Spec}}
	}
	raw, err := json.Marshal(patches)
	if err != nil {
		return err
	}
	kind := admission.PatchTypeJSONPatch
	res.Patch, res.PatchType = raw, &kind
	return nil
}

func mark(annotations map[string]string) map[string]string {
	if annotations == nil {
		annotations = map[string]string{}
	}
	annotations[kinds.VersionKey] = kinds.Version
	return annotations
}

func fillGameServer(gs *kinds.GameServer) {
	gs.Annotations = mark(gs.Annotations)
	gs.Finalizers = append(gs.Finalizers, kinds.Finalizer)
	s := &gs.Spec
	if s.Container == "" && len(s.Template.Spec.Containers) == 1 {
		s.Container = s.Template.Spec.Containers[0].Name
	}
	for i := range s.Ports {
		fillPort(&s.Ports[i], s.Container)
	}
	if !s.Health.Disabled {
		fill(&s.Health.PeriodSeconds, 5)
		fill(&s.Health.FailureThreshold, 3)
		fill(&s.Health.InitialDelaySeconds, 5)
	}
	fill(&s.Scheduling, "Packed")
	fill(&s.SDKServer.LogLevel, "Info")
	fill(&s.SDKServer.GRPCPort, 9357)
	fill(&s.SDKServer.HTTPPort, 9358)
	if s.Eviction == nil {
		s.Eviction = &kinds.Eviction{Safe: "Never"}
	}
	fill(&s.ImmutableReplicas, 1)
	gs.Status = kinds.GameServerStatus{
		State: kinds.PortAllocation, Counters: s.Counters, Lists: s.Lists,
		Eviction: s.Eviction, ImmutableReplicas: 1,
	}
}

func fillPort(p *kinds.Port, container string) {
	fill(&p.PortPolicy, "Dynamic")
	fill(&p.Protocol, "UDP")
	fill(&p.Range, "default")
	if p.Container == nil {
		p.Container = &container
	}
}

func fill[T comparable](p *T, v T) {
	var zero T
	if *p == zero {
		*p = v
	}
}

func fillFleet(f *kinds.Fleet) {
	f.Annotations = mark(f.Annotations)
	fill(&f.Spec.Scheduling, "Packed")
	fill(&f.Spec.Strategy.Type, "RollingUpdate")
	fill(&f.Spec.Template.Spec.ImmutableReplicas, 1)
	if f.Spec.Strategy.Type != "RollingUpdate" {
		return
	}
	r := f.Spec.Strategy.RollingUpdate
	if r == nil {
		r = &kinds.RollingUpdate{}
		f.Spec.Strategy.RollingUpdate = r
	}
	quarter := intstr.FromString("25%")
	fill(&r.MaxSurge, &quarter)
	fill(&r.MaxUnavailable, &quarter)
}

// validate refuses what the recordings show refused.
func validate(req *admission.AdmissionRequest, res *admission.AdmissionResponse) error {
	var errs field.ErrorList
	kind := schema.GroupKind{Group: req.Kind.Group, Kind: req.Kind.Kind}
	switch req.Kind.Kind {
	case "GameServer":
		var gs kinds.GameServer
		if err := json.Unmarshal(req.Object.Raw, &gs); err != nil {
			return err
		}
		errs = checkGameServer(&gs)
	case "FleetAutoscaler":
		var fas kinds.FleetAutoscaler
		if err := json.Unmarshal(req.Object.Raw, &fas); err != nil {
			return err
		}
		errs = checkPolicy(fas.Spec.Policy, field.NewPath("spec", "policy"))
	}
	if len(errs) > 0 {
		status := apierrors.NewInvalid(kind, req.Name, errs).Status()
		res.Allowed, res.Result = false, &status
	}
	return nil
}

func checkGameServer(gs *kinds.GameServer) field.ErrorList {
	var errs field.ErrorList
	at := field.NewPath("spec", "container")
	containers := gs.Spec.Template.Spec.Containers
	if len(containers) > 1 && gs.Spec.Container == "" {
		errs = append(errs, field.Required(at, "Container is required when using multiple containers in the pod template"))
	}
	for _, c := range containers {
		if c.Name == gs.Spec.Container {
			return errs
		}
	}
	return append(errs, field.Invalid(at, gs.Spec.Container, "Could not find a container named "+gs.Spec.Container))
}

func checkPolicy(p kinds.Policy, at *field.Path) field.ErrorList {
	var errs field.ErrorList
	if w := p.Webhook; p.Type == "Webhook" && w != nil && w.URL != nil && w.Service != nil {
		errs = append(errs, field.Duplicate(at.Child("webhook", "url"), "service and url cannot be used simultaneously"))
	}
	if b := p.Buffer; p.Type == "Buffer" && b != nil {
		errs = append(errs, checkBuffer(b, at.Child("buffer"))...)
	}
	for i, c := range p.Chain {
		errs = append(errs, checkPolicy(c.Policy, at.Child("chain").Index(i))...)
	}
	return errs
}

func checkBuffer(b *kinds.Buffer, at *field.Path) field.ErrorList {
	var errs field.ErrorList
	if b.BufferSize.Type != intstr.Int {
		if _, err := intstr.GetScaledValueFromIntOrPercent(&b.BufferSize, 100, true); err != nil {
			errs = append(errs, field.Invalid(at.Child("bufferSize"), b.BufferSize.String(), fmt.Sprintf("not a share: %v", err)))
		}
		return errs
	}
	size := b.BufferSize.IntVal
	if b.MaxReplicas < size {
		errs = append(errs, field.Invalid(at.Child("maxReplicas"), b.MaxReplicas, "maxReplicas should be bigger than or equal to bufferSize"))
	}
	if b.MinReplicas != 0 && b.MinReplicas < size {
		errs = append(errs, field.Invalid(at.Child("minReplicas"), b.MinReplicas, "minReplicas should be bigger than or equal to bufferSize"))
	}
	return errs
}
