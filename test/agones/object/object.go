// Package object holds Agones' kinds as the stand-in needs them: whole, so
// that nothing is lost when an object is read, changed and written. What Throng
// itself uses of them is in agones/kind; the recordings in
// test/agones/testdata show each field in use.
package object

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// Keys that Agones writes.
const (
	FleetLabel      = "agones.dev/fleet"
	SetLabel        = "agones.dev/gameserverset"
	VersionKey      = "agones.dev/sdk-version"
	LastAllocated   = "agones.dev/last-allocated"
	SDKPrefix       = "agones.dev/sdk-"
	Finalizer       = "agones.dev/controller"
	Version         = "1.61.0-dev-676cc64d" // what the recordings say
	Group           = "agones.dev"
	AllocationGroup = "allocation.agones.dev"
	ScalingGroup    = "autoscaling.agones.dev"
)

// State is where a GameServer is in its life:
//
//	PortAllocation -> Creating -> Starting -> Scheduled -> RequestReady -> Ready
//	Ready <-> Reserved, Ready -> Allocated, Allocated -> RequestReady
//	any -> Unhealthy, Shutdown, Error
type State string

// The states.
const (
	PortAllocation State = "PortAllocation"
	Creating       State = "Creating"
	Starting       State = "Starting"
	Scheduled      State = "Scheduled"
	RequestReady   State = "RequestReady"
	Ready          State = "Ready"
	Reserved       State = "Reserved"
	Allocated      State = "Allocated"
	Unhealthy      State = "Unhealthy"
	Shutdown       State = "Shutdown"
	Error          State = "Error"
)

// GameServer is one game server process and what surrounds it.
type GameServer struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata"`

	Spec   GameServerSpec   `json:"spec"`
	Status GameServerStatus `json:"status"`
}

// GameServerSpec says what to run.
type GameServerSpec struct {
	Container         string                 `json:"container,omitempty"`
	Ports             []Port                 `json:"ports,omitempty"`
	Health            Health                 `json:"health"`
	Scheduling        string                 `json:"scheduling,omitempty"`
	SDKServer         SDKServer              `json:"sdkServer"`
	Template          corev1.PodTemplateSpec `json:"template"`
	Counters          map[string]Counter     `json:"counters,omitempty"`
	Lists             map[string]List        `json:"lists,omitempty"`
	Eviction          *Eviction              `json:"eviction,omitempty"`
	ImmutableReplicas int32                  `json:"immutableReplicas,omitempty"`
}

// Port is a port that the game listens on.
type Port struct {
	Name          string          `json:"name,omitempty"`
	Range         string          `json:"range,omitempty"`
	PortPolicy    string          `json:"portPolicy,omitempty"`
	Container     *string         `json:"container,omitempty"`
	ContainerPort int32           `json:"containerPort,omitempty"`
	HostPort      int32           `json:"hostPort,omitempty"`
	Protocol      corev1.Protocol `json:"protocol,omitempty"`
}

// Health says when silence means sick.
type Health struct {
	Disabled            bool  `json:"disabled,omitempty"`
	PeriodSeconds       int32 `json:"periodSeconds,omitempty"`
	FailureThreshold    int32 `json:"failureThreshold,omitempty"`
	InitialDelaySeconds int32 `json:"initialDelaySeconds,omitempty"`
}

// SDKServer configures the sidecar.
type SDKServer struct {
	LogLevel string `json:"logLevel,omitempty"`
	GRPCPort int32  `json:"grpcPort,omitempty"`
	HTTPPort int32  `json:"httpPort,omitempty"`
}

// Eviction says whether the server may be moved.
type Eviction struct {
	Safe string `json:"safe,omitempty"`
}

// Counter counts what a server holds.
type Counter struct {
	Count    int64 `json:"count"`
	Capacity int64 `json:"capacity"`
}

// List names what a server holds.
type List struct {
	Capacity int64    `json:"capacity"`
	Values   []string `json:"values"`
}

// GameServerStatus is what has become of it.
type GameServerStatus struct {
	State             State                `json:"state"`
	Ports             []StatusPort         `json:"ports"`
	Address           string               `json:"address"`
	Addresses         []corev1.NodeAddress `json:"addresses"`
	NodeName          string               `json:"nodeName"`
	ReservedUntil     *metav1.Time         `json:"reservedUntil"`
	Players           *struct{}            `json:"players"`
	Counters          map[string]Counter   `json:"counters,omitempty"`
	Lists             map[string]List      `json:"lists,omitempty"`
	Eviction          *Eviction            `json:"eviction,omitempty"`
	ImmutableReplicas int32                `json:"immutableReplicas,omitempty"`
}

// StatusPort is where a port can be reached.
type StatusPort struct {
	Name string `json:"name,omitempty"`
	Port int32  `json:"port"`
}

// Template is what a set makes GameServers from.
type Template struct {
	metav1.ObjectMeta `json:"metadata"`
	Spec              GameServerSpec `json:"spec"`
}

// Overflow is put on Allocated servers beyond the replicas wanted.
type Overflow struct {
	Labels      map[string]string `json:"labels,omitempty"`
	Annotations map[string]string `json:"annotations,omitempty"`
}

// GameServerSet keeps a number of equal GameServers.
type GameServerSet struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata"`

	Spec   GameServerSetSpec    `json:"spec"`
	Status *GameServerSetStatus `json:"status,omitempty"`
}

// GameServerSetSpec is what it keeps.
type GameServerSetSpec struct {
	Replicas           int32     `json:"replicas"`
	Scheduling         string    `json:"scheduling,omitempty"`
	AllocationOverflow *Overflow `json:"allocationOverflow,omitempty"`
	Template           Template  `json:"template"`
}

// GameServerSetStatus counts its servers.
type GameServerSetStatus struct {
	Replicas          int32                `json:"replicas"`
	ReadyReplicas     int32                `json:"readyReplicas"`
	ReservedReplicas  int32                `json:"reservedReplicas"`
	AllocatedReplicas int32                `json:"allocatedReplicas"`
	ShutdownReplicas  int32                `json:"shutdownReplicas"`
	Counters          map[string]Aggregate `json:"counters,omitempty"`
	Lists             map[string]Aggregate `json:"lists,omitempty"`
}

// Aggregate sums a counter or list over servers.
type Aggregate struct {
	AllocatedCount    int64 `json:"allocatedCount"`
	AllocatedCapacity int64 `json:"allocatedCapacity"`
	Count             int64 `json:"count"`
	Capacity          int64 `json:"capacity"`
}

// Fleet keeps a number of GameServers of the newest template.
type Fleet struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata"`

	Spec   FleetSpec    `json:"spec"`
	Status *FleetStatus `json:"status,omitempty"`
}

// FleetSpec is what it keeps and how it changes.
type FleetSpec struct {
	Replicas           int32     `json:"replicas"`
	Scheduling         string    `json:"scheduling,omitempty"`
	AllocationOverflow *Overflow `json:"allocationOverflow,omitempty"`
	Strategy           Strategy  `json:"strategy"`
	Template           Template  `json:"template"`
}

// Strategy is how servers of an old template give way.
type Strategy struct {
	Type          string         `json:"type,omitempty"`
	RollingUpdate *RollingUpdate `json:"rollingUpdate,omitempty"`
}

// RollingUpdate bounds a change, in servers or percent of the replicas.
type RollingUpdate struct {
	MaxSurge       *intstr.IntOrString `json:"maxSurge,omitempty"`
	MaxUnavailable *intstr.IntOrString `json:"maxUnavailable,omitempty"`
}

// FleetStatus counts its servers.
type FleetStatus struct {
	Replicas          int32                `json:"replicas"`
	ReadyReplicas     int32                `json:"readyReplicas"`
	ReservedReplicas  int32                `json:"reservedReplicas"`
	AllocatedReplicas int32                `json:"allocatedReplicas"`
	Allocations       int64                `json:"allocations"`
	Counters          map[string]Aggregate `json:"counters,omitempty"`
	Lists             map[string]Aggregate `json:"lists,omitempty"`
}
