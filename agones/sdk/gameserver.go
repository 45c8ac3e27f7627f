package sdk

import (
	"encoding/json"
	"net/netip"
	"strconv"
	"time"

	"github.com/throng-gg/throng"
)

// State is where a GameServer stands.
type State string

// The states that matter to a game server. There are more.
const (
	Ready     State = "Ready"
	Allocated State = "Allocated"
	Shutdown  State = "Shutdown"
	Unhealthy State = "Unhealthy"
	Failed    State = "Error"
)

// Over says whether nothing comes after the state.
func (s State) Over() bool { return s == Shutdown || s == Unhealthy || s == Failed }

// GameServer is what the sidecar tells of the server's own GameServer.
type GameServer struct {
	Meta   Meta   `json:"object_meta"`
	Spec   Spec   `json:"spec"`
	Status Status `json:"status"`
}

// Meta names it.
type Meta struct {
	Name        string            `json:"name"`
	Namespace   string            `json:"namespace"`
	UID         string            `json:"uid"`
	Labels      map[string]string `json:"labels"`
	Annotations map[string]string `json:"annotations"`
	Deleted     Int               `json:"deletion_timestamp"` // Unix seconds; 0: it is not being deleted
}

// Spec is what it was made with.
type Spec struct {
	Health Health `json:"health"`
}

// Health is how often signs of life are expected.
type Health struct {
	Disabled         bool `json:"disabled"`
	PeriodSeconds    int  `json:"period_seconds"`
	FailureThreshold int  `json:"failure_threshold"`
}

// Status is how it is.
type Status struct {
	State     State              `json:"state"`
	Address   string             `json:"address"`
	Addresses []Address          `json:"addresses"`
	Ports     []Port             `json:"ports"`
	Counters  map[string]Counter `json:"counters"`
	Lists     map[string]List    `json:"lists"`
}

// Address is one of the node's.
type Address struct {
	Type    string `json:"type"` // ExternalIP, InternalIP, Hostname, PodIP
	Address string `json:"address"`
}

// Port is one by which players come to it.
type Port struct {
	Name string `json:"name"`
	Port uint16 `json:"port"`
}

// Counter is a number with a bound.
type Counter struct {
	Count    Int `json:"count"`
	Capacity Int `json:"capacity"`
}

// List is a set of words with a bound.
type List struct {
	Capacity Int      `json:"capacity"`
	Values   []string `json:"values"`
}

// Int is a number that the sidecar writes as a string; it takes both.
type Int int64

// MarshalJSON writes it as the sidecar does.
func (i Int) MarshalJSON() ([]byte, error) { return json.Marshal(strconv.FormatInt(int64(i), 10)) }

// UnmarshalJSON reads a string or a number.
func (i *Int) UnmarshalJSON(text []byte) error {
	if len(text) > 1 && text[0] == '"' {
		text = text[1 : len(text)-1]
	}
	n, err := strconv.ParseInt(string(text), 10, 64)
	*i = Int(n)
	return err
}

// IP returns where the server is reached from outside: the status' own address
// where that is one, else the node's external one, else its internal one.
func (g GameServer) IP() (netip.Addr, error) {
	if ip, err := netip.ParseAddr(g.Status.Address); err == nil {
		return ip, nil
	}
	for _, kind := range []string{"ExternalIP", "InternalIP"} {
		for _, a := range g.Status.Addresses {
			if ip, err := netip.ParseAddr(a.Address); a.Type == kind && err == nil {
				return ip, nil
			}
		}
	}
	return netip.Addr{}, throng.Errorf(throng.Unavailable, "GameServer %s has no IP address yet, only %q", g.Meta.Name, g.Status.Address)
}

// Port returns the first of the names that there is a port of; 0: of none.
func (g GameServer) Port(names ...string) uint16 {
	for _, name := range names {
		for _, p := range g.Status.Ports {
			if p.Name == name {
				return p.Port
			}
		}
	}
	return 0
}

// HealthEvery is how often to send signs of life: twice in each period, so that
// a sidecar that restarts costs none.
func (g GameServer) HealthEvery() time.Duration {
	period := time.Duration(g.Spec.Health.PeriodSeconds) * time.Second
	if period <= 0 {
		return defaultHealth
	}
	return min(max(period/2, 500*time.Millisecond), defaultHealth)
}
