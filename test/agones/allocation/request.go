package allocation

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	metavalidation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/throng-gg/throng/test/agones/object"
)

// Scheduling of allocations.
const (
	Packed      = "Packed"
	Distributed = "Distributed"
)

// The states of an answer.
const (
	Allocated   = "Allocated"
	UnAllocated = "UnAllocated"
)

// Allocation is a GameServerAllocation; its fields are in the order of the answers.
type Allocation struct {
	Kind       string            `json:"kind"`
	APIVersion string            `json:"apiVersion"`
	Metadata   metav1.ObjectMeta `json:"metadata"`
	Spec       Spec              `json:"spec"`
	Status     Status            `json:"status"`
}

// Spec is what is wanted.
type Spec struct {
	MultiCluster MultiCluster             `json:"multiClusterSetting"`
	Required     Selector                 `json:"required"`
	Preferred    []Selector               `json:"preferred,omitempty"`
	Priorities   []Priority               `json:"priorities,omitempty"`
	Selectors    []Selector               `json:"selectors,omitempty"`
	Scheduling   string                   `json:"scheduling"`
	Metadata     Metadata                 `json:"metadata"`
	Counters     map[string]CounterAction `json:"counters,omitempty"`
	Lists        map[string]ListAction    `json:"lists,omitempty"`
}

// MultiCluster is accepted and not acted upon.
type MultiCluster struct {
	Enabled        bool                 `json:"enabled,omitempty"`
	PolicySelector metav1.LabelSelector `json:"policySelector"`
}

// Selector says which servers will do.
type Selector struct {
	metav1.LabelSelector `json:",inline"`

	State    object.State               `json:"gameServerState,omitempty"`
	Counters map[string]CounterSelector `json:"counters,omitempty"`
	Lists    map[string]ListSelector    `json:"lists,omitempty"`
}

// CounterSelector bounds a counter; a maximum of zero is none.
type CounterSelector struct {
	MinCount     int64 `json:"minCount"`
	MaxCount     int64 `json:"maxCount"`
	MinAvailable int64 `json:"minAvailable"`
	MaxAvailable int64 `json:"maxAvailable"`
}

// ListSelector bounds a list; a maximum of zero is none.
type ListSelector struct {
	ContainsValue string `json:"containsValue,omitempty"`
	MinAvailable  int64  `json:"minAvailable"`
	MaxAvailable  int64  `json:"maxAvailable"`
}

// Priority orders servers by what is free in a counter or list.
type Priority struct {
	Type  string `json:"type"`
	Key   string `json:"key"`
	Order string `json:"order"`
}

// Metadata is put on the server.
type Metadata struct {
	Labels      map[string]string `json:"labels,omitempty"`
	Annotations map[string]string `json:"annotations,omitempty"`
}

// CounterAction changes a counter of the server.
type CounterAction struct {
	Action   string `json:"action,omitempty"`
	Amount   *int64 `json:"amount,omitempty"`
	Capacity *int64 `json:"capacity,omitempty"`
}

// ListAction changes a list of the server.
type ListAction struct {
	AddValues    []string `json:"addValues,omitempty"`
	DeleteValues []string `json:"deleteValues,omitempty"`
	Capacity     *int64   `json:"capacity,omitempty"`
}

// Status is the answer.
type Status struct {
	State          string                    `json:"state"`
	GameServerName string                    `json:"gameServerName"`
	Ports          []object.StatusPort       `json:"ports,omitempty"`
	Address        string                    `json:"address,omitempty"`
	Addresses      []corev1.NodeAddress      `json:"addresses,omitempty"`
	NodeName       string                    `json:"nodeName,omitempty"`
	Source         string                    `json:"source"`
	Metadata       *Metadata                 `json:"metadata,omitempty"`
	Counters       map[string]object.Counter `json:"counters,omitempty"`
	Lists          map[string]object.List    `json:"lists,omitempty"`
}

// fill sets the defaults: without selectors the old fields preferred and
// required become them.
func (s *Spec) fill() {
	if len(s.Selectors) == 0 {
		s.Required.fill()
		for i := range s.Preferred {
			s.Preferred[i].fill()
		}
		s.Selectors = append(append([]Selector{}, s.Preferred...), s.Required)
	}
	for i := range s.Selectors {
		s.Selectors[i].fill()
	}
	if s.Scheduling == "" {
		s.Scheduling = Packed
	}
}

func (s *Selector) fill() {
	if s.State == "" {
		s.State = object.Ready
	}
}

// check finds what Agones refuses.
func (s *Spec) check() field.ErrorList {
	var errs field.ErrorList
	spec := field.NewPath("spec")
	if s.Scheduling != Packed && s.Scheduling != Distributed {
		errs = append(errs, field.NotSupported(spec.Child("scheduling"), s.Scheduling, []string{Packed, Distributed}))
	}
	for i, sel := range s.Selectors {
		at := spec.Child("selectors").Index(i)
		if sel.State != object.Ready && sel.State != object.Allocated {
			errs = append(errs, field.Invalid(at.Child("gameServerState"), sel.State,
				"GameServerState must be either Allocated or Ready"))
		}
		errs = append(errs, metavalidation.ValidateLabelSelector(&sel.LabelSelector, metavalidation.LabelSelectorValidationOptions{}, at)...)
	}
	errs = append(errs, metavalidation.ValidateLabels(s.Metadata.Labels, spec.Child("metadata", "labels"))...)
	errs = append(errs, apivalidation.ValidateAnnotations(s.Metadata.Annotations, spec.Child("metadata", "annotations"))...)
	for name, c := range s.Counters {
		if c.Amount != nil && *c.Amount < 0 {
			errs = append(errs, field.Invalid(spec.Child("counters").Key(name), *c.Amount, "amount must not be negative"))
		}
	}
	return errs
}

// answer describes the server that was allocated.
func answer(gs *object.GameServer) Status {
	return Status{
		State:          Allocated,
		GameServerName: gs.Name,
		Ports:          gs.Status.Ports,
		Address:        gs.Status.Address,
		Addresses:      gs.Status.Addresses,
		NodeName:       gs.Status.NodeName,
		Source:         "local",
		Metadata:       &Metadata{Labels: gs.Labels, Annotations: gs.Annotations},
		Counters:       gs.Status.Counters,
		Lists:          gs.Status.Lists,
	}
}

func (p Priority) String() string { return fmt.Sprintf("%s %s %s", p.Type, p.Key, p.Order) }
