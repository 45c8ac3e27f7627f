package kind

// Keys of pods: Agones'.
const (
	// LabelRole is "gameserver" on the pods of GameServers, which have their names.
	LabelRole = "agones.dev/role"
	// AnnotationContainer names the container of a pod that is the game server.
	AnnotationContainer = "agones.dev/container"
)

// Pod is a pod, of Kubernetes' own API.
type Pod struct {
	Metadata PodMeta   `json:"metadata"`
	Status   PodStatus `json:"status"`
}

// PodMeta is a pod's metadata.
type PodMeta struct {
	Meta
	OwnerReferences []OwnerReference `json:"ownerReferences"`
}

// OwnerReference names what a pod belongs to.
type OwnerReference struct {
	Kind string `json:"kind"`
	UID  string `json:"uid"`
}

// PodStatus is what became of a pod.
type PodStatus struct {
	ContainerStatuses []ContainerStatus `json:"containerStatuses"`
}

// ContainerStatus is what became of one process of a pod.
type ContainerStatus struct {
	Name  string         `json:"name"`
	State ContainerState `json:"state"`
}

// ContainerState is where a process stands.
type ContainerState struct {
	Terminated *Terminated `json:"terminated"` // nil: it waits or runs
}

// Terminated is how a process ended.
type Terminated struct {
	ExitCode int    `json:"exitCode"` // 128 and a signal's number, where one ended it
	Reason   string `json:"reason"`   // "Error", "OOMKilled", "Completed"
}

// Server is the UID of the GameServer that the pod belongs to; empty: of none.
func (p Pod) Server() string {
	for _, o := range p.Metadata.OwnerReferences {
		if o.Kind == "GameServer" {
			return o.UID
		}
	}
	return ""
}

// Ended is how the game server's process ended; nil: it did not.
func (p Pod) Ended() *Terminated {
	name := p.Metadata.Annotations[AnnotationContainer]
	for _, c := range p.Status.ContainerStatuses {
		if c.Name == name && name != "" {
			return c.State.Terminated
		}
	}
	return nil
}
