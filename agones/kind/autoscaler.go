package kind

// FleetAutoscaleReview is what Agones' FleetAutoscaler asks a webhook, and what
// the webhook answers, in the same envelope.
type FleetAutoscaleReview struct {
	Request  *FleetAutoscaleRequest  `json:"request"`
	Response *FleetAutoscaleResponse `json:"response"`
}

// FleetAutoscaleRequest describes the Fleet: its name, its labels.
type FleetAutoscaleRequest struct {
	UID         string            `json:"uid"`
	Name        string            `json:"name"`
	Namespace   string            `json:"namespace"`
	Status      FleetStatus       `json:"status"`
	Labels      map[string]string `json:"labels,omitempty"`
	Annotations map[string]string `json:"annotations,omitempty"`
}

// FleetAutoscaleResponse is how many GameServers the Fleet shall have; without
// Scale as many as it has.
type FleetAutoscaleResponse struct {
	UID      string `json:"uid"`
	Scale    bool   `json:"scale"`
	Replicas int    `json:"replicas"`
}
