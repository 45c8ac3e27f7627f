package kind

// State is where a GameServer stands in its life; Agones' own words.
type State string

// The states that mean something to Throng. All others come before Ready.
const (
	StateReady     State = "Ready"
	StateAllocated State = "Allocated"
	StateShutdown  State = "Shutdown"
	StateUnhealthy State = "Unhealthy"
	StateError     State = "Error"
)

// GameServer is one game server process, with its pod.
type GameServer struct {
	Metadata Meta             `json:"metadata"`
	Spec     GameServerSpec   `json:"spec"`
	Status   GameServerStatus `json:"status"`
}

// GameServerSpec says what runs.
type GameServerSpec struct {
	Container string      `json:"container,omitempty"` // of the template's, which is the game server
	Template  PodTemplate `json:"template"`
}

// PodTemplate is what pods are made from.
type PodTemplate struct {
	Spec PodSpec `json:"spec"`
}

// PodSpec is what runs in a pod.
type PodSpec struct {
	Containers []Container `json:"containers"`
}

// Container is one process of a pod.
type Container struct {
	Name  string `json:"name"`
	Image string `json:"image"`
}

// Image is what the game server's process is made from; empty: not said.
func (s GameServerSpec) Image() string {
	all := s.Template.Spec.Containers
	for _, c := range all {
		if c.Name == s.Container || len(all) == 1 {
			return c.Image
		}
	}
	return ""
}

// GameServerStatus is what became of it.
type GameServerStatus struct {
	State    State  `json:"state"`
	Address  string `json:"address"`
	Ports    []Port `json:"ports"`
	NodeName string `json:"nodeName"`
}

// Port is a port of the node that leads to the game server.
type Port struct {
	Name string `json:"name"`
	Port int    `json:"port"`
}

// Fleet is many GameServers that are made alike.
type Fleet struct {
	Metadata Meta        `json:"metadata"`
	Spec     FleetSpec   `json:"spec"`
	Status   FleetStatus `json:"status"`
}

// FleetSpec says what a Fleet should be.
type FleetSpec struct {
	Replicas int           `json:"replicas"`
	Template FleetTemplate `json:"template"`
}

// FleetTemplate is what its GameServers are made from.
type FleetTemplate struct {
	Spec GameServerSpec `json:"spec"`
}

// FleetStatus is what it is, a few seconds ago.
type FleetStatus struct {
	Replicas          int `json:"replicas"`
	ReadyReplicas     int `json:"readyReplicas"`
	ReservedReplicas  int `json:"reservedReplicas"`
	AllocatedReplicas int `json:"allocatedReplicas"`
}
