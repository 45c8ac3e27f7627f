package kind

import "time"

// Keys of labels and annotations.
const (
	// LabelServer names the allocated server that a GameServer is: ours.
	LabelServer = "throng.dev/server"
	// LabelRegion names its region: ours.
	LabelRegion = "throng.dev/region"
	// AnnotationDoor is the URL of the door of who allocated it: ours.
	AnnotationDoor = "throng.dev/door"
	// LabelFleet names the Fleet that a GameServer belongs to: Agones'.
	LabelFleet = "agones.dev/fleet"
	// AnnotationAllocated is when a GameServer was allocated last, in RFC 3339 with
	// nanoseconds: Agones'.
	AnnotationAllocated = "agones.dev/last-allocated"
)

// Meta is an object's metadata.
type Meta struct {
	Name              string            `json:"name,omitempty"`
	Namespace         string            `json:"namespace,omitempty"`
	UID               string            `json:"uid,omitempty"`
	ResourceVersion   string            `json:"resourceVersion,omitempty"`
	Labels            map[string]string `json:"labels,omitempty"`
	Annotations       map[string]string `json:"annotations,omitempty"`
	DeletionTimestamp *time.Time        `json:"deletionTimestamp,omitempty"`
}

// ListMeta is a list's metadata.
type ListMeta struct {
	ResourceVersion string `json:"resourceVersion"`
	Continue        string `json:"continue"`
}

// List is a page of a listing.
type List[T any] struct {
	Metadata ListMeta `json:"metadata"`
	Items    []T      `json:"items"`
}

// Status is how the API server refuses.
type Status struct {
	Kind    string  `json:"kind"` // "Status"
	Message string  `json:"message"`
	Reason  string  `json:"reason"`
	Code    int     `json:"code"`
	Details Details `json:"details"`
}

// Details is what a Status says for programs.
type Details struct {
	RetryAfterSeconds int `json:"retryAfterSeconds"`
}

// DeleteOptions is the body of a DELETE.
type DeleteOptions struct {
	APIVersion        string         `json:"apiVersion"` // "v1"
	Kind              string         `json:"kind"`       // "DeleteOptions"
	PropagationPolicy string         `json:"propagationPolicy,omitempty"`
	Preconditions     *Preconditions `json:"preconditions,omitempty"`
}

// Preconditions is what an object must be for a DELETE to delete it.
type Preconditions struct {
	UID             string `json:"uid,omitempty"`
	ResourceVersion string `json:"resourceVersion,omitempty"`
}
