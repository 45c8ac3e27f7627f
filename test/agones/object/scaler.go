package object

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// FleetAutoscaler sets a Fleet's replicas.
type FleetAutoscaler struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata"`

	Spec   FleetAutoscalerSpec    `json:"spec"`
	Status *FleetAutoscalerStatus `json:"status,omitempty"`
}

// FleetAutoscalerSpec says of which Fleet, how, and how often.
type FleetAutoscalerSpec struct {
	FleetName string `json:"fleetName"`
	Policy    Policy `json:"policy"`
	Sync      *Sync  `json:"sync,omitempty"`
}

// Policy is one way to find the replicas.
type Policy struct {
	Type    string    `json:"type"`
	Buffer  *Buffer   `json:"buffer,omitempty"`
	Webhook *Webhook  `json:"webhook,omitempty"`
	Chain   []Chained `json:"chain,omitempty"`
}

// Chained is a policy in a chain: the first that gives no error decides.
type Chained struct {
	ID     string `json:"id"`
	Policy `json:",inline"`
}

// Buffer keeps this many servers Ready.
type Buffer struct {
	MaxReplicas int32              `json:"maxReplicas"`
	MinReplicas int32              `json:"minReplicas"`
	BufferSize  intstr.IntOrString `json:"bufferSize"`
}

// Webhook asks somebody.
type Webhook struct {
	URL      *string  `json:"url,omitempty"`
	Service  *Service `json:"service,omitempty"`
	CABundle []byte   `json:"caBundle,omitempty"`
}

// Service is a webhook in the cluster.
type Service struct {
	Namespace string  `json:"namespace"`
	Name      string  `json:"name"`
	Path      *string `json:"path,omitempty"`
	Port      *int32  `json:"port,omitempty"`
}

// Sync says how often.
type Sync struct {
	Type          string        `json:"type"`
	FixedInterval FixedInterval `json:"fixedInterval"`
}

// FixedInterval is in seconds.
type FixedInterval struct {
	Seconds int32 `json:"seconds"`
}

// FleetAutoscalerStatus says what was done last.
type FleetAutoscalerStatus struct {
	CurrentReplicas   int32        `json:"currentReplicas"`
	DesiredReplicas   int32        `json:"desiredReplicas"`
	LastScaleTime     *metav1.Time `json:"lastScaleTime"`
	AbleToScale       bool         `json:"ableToScale"`
	ScalingLimited    bool         `json:"scalingLimited"`
	LastAppliedPolicy string       `json:"lastAppliedPolicy"`
}

// Review is what goes to a webhook and comes back.
type Review struct {
	Request  *ReviewRequest  `json:"request"`
	Response *ReviewResponse `json:"response"`
}

// ReviewRequest describes the Fleet: the name, labels and annotations are the
// Fleet's.
type ReviewRequest struct {
	UID         types.UID         `json:"uid"`
	Name        string            `json:"name"`
	Namespace   string            `json:"namespace"`
	Status      FleetStatus       `json:"status"`
	Labels      map[string]string `json:"labels,omitempty"`
	Annotations map[string]string `json:"annotations,omitempty"`
}

// ReviewResponse is the webhook's decision.
type ReviewResponse struct {
	UID      types.UID `json:"uid"`
	Scale    bool      `json:"scale"`
	Replicas int32     `json:"replicas"`
}
