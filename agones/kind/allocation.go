package kind

// AllocationState is what a GameServerAllocation says became of it.
type AllocationState string

// The states of an answer.
const (
	Allocated   AllocationState = "Allocated"
	UnAllocated AllocationState = "UnAllocated"
	Contention  AllocationState = "Contention"
)

// GameServerAllocation asks the API server for a Ready GameServer.
type GameServerAllocation struct {
	APIVersion string           `json:"apiVersion"` // "allocation.agones.dev/v1"
	Kind       string           `json:"kind"`       // "GameServerAllocation"
	Metadata   Meta             `json:"metadata"`
	Spec       AllocationSpec   `json:"spec"`
	Status     AllocationStatus `json:"status,omitzero"`
}

// AllocationSpec says which one, and what is written on it.
type AllocationSpec struct {
	Selectors []Selector `json:"selectors"`
	Metadata  MetaPatch  `json:"metadata"`
}

// Selector is which GameServers will do.
type Selector struct {
	MatchLabels map[string]string `json:"matchLabels"`
	State       State             `json:"gameServerState,omitempty"`
}

// MetaPatch is labels and annotations to set.
type MetaPatch struct {
	Labels      map[string]string `json:"labels,omitempty"`
	Annotations map[string]string `json:"annotations,omitempty"`
}

// AllocationStatus is the answer.
type AllocationStatus struct {
	State          AllocationState `json:"state"`
	GameServerName string          `json:"gameServerName"`
	Metadata       MetaPatch       `json:"metadata"` // all labels and annotations of the server
}

// AllocationRequest asks the allocator service, over REST.
type AllocationRequest struct {
	Namespace string            `json:"namespace"`
	Selectors []RequestSelector `json:"gameServerSelectors"`
	Metadata  MetaPatch         `json:"metadata"`
}

// RequestSelector is which GameServers will do. The service takes Ready ones
// unless told else.
type RequestSelector struct {
	MatchLabels map[string]string `json:"matchLabels"`
}

// AllocationResponse is the allocator service's answer.
type AllocationResponse struct {
	GameServerName string    `json:"gameServerName"`
	Metadata       MetaPatch `json:"metadata"`
}

// AllocatorError is how the allocator service refuses.
type AllocatorError struct {
	Code    int    `json:"code"` // gRPC's, or of a Status that it passes on
	Message string `json:"message"`
}
