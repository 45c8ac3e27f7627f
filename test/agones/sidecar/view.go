package sidecar

import (
	corev1 "k8s.io/api/core/v1"

	"github.com/throng-gg/throng/test/agones/object"
)

// gameServer is a GameServer as the SDK shows it: snake case, whole numbers of
// 64 bits as strings, nothing left out.
type gameServer struct {
	ObjectMeta struct {
		Name              string            `json:"name"`
		Namespace         string            `json:"namespace"`
		UID               string            `json:"uid"`
		ResourceVersion   string            `json:"resource_version"`
		Generation        number            `json:"generation"`
		CreationTimestamp number            `json:"creation_timestamp"`
		DeletionTimestamp number            `json:"deletion_timestamp"`
		Annotations       map[string]string `json:"annotations"`
		Labels            map[string]string `json:"labels"`
	} `json:"object_meta"`
	Spec struct {
		Health health `json:"health"`
	} `json:"spec"`
	Status struct {
		State     object.State            `json:"state"`
		Address   string                  `json:"address"`
		Addresses []address               `json:"addresses"`
		Ports     []object.StatusPort     `json:"ports"`
		Players   *struct{}               `json:"players"`
		Counters  map[string]shownCounter `json:"counters"`
		Lists     map[string]shownList    `json:"lists"`
	} `json:"status"`
}

type health struct {
	Disabled            bool  `json:"disabled"`
	PeriodSeconds       int32 `json:"period_seconds"`
	FailureThreshold    int32 `json:"failure_threshold"`
	InitialDelaySeconds int32 `json:"initial_delay_seconds"`
}

type address struct {
	Type    corev1.NodeAddressType `json:"type"`
	Address string                 `json:"address"`
}

type shownCounter struct {
	Count    number `json:"count"`
	Capacity number `json:"capacity"`
}

type shownList struct {
	Capacity number   `json:"capacity"`
	Values   []string `json:"values"`
}

func view(gs *object.GameServer) gameServer {
	var v gameServer
	m := &v.ObjectMeta
	m.Name, m.Namespace, m.UID = gs.Name, gs.Namespace, string(gs.UID)
	m.ResourceVersion, m.Generation = gs.ResourceVersion, number(gs.Generation)
	m.CreationTimestamp = number(gs.CreationTimestamp.Unix())
	if gs.DeletionTimestamp != nil {
		m.DeletionTimestamp = number(gs.DeletionTimestamp.Unix())
	}
	m.Annotations, m.Labels = some(gs.Annotations), some(gs.Labels)
	h := gs.Spec.Health
	v.Spec.Health = health{h.Disabled, h.PeriodSeconds, h.FailureThreshold, h.InitialDelaySeconds}
	st := &v.Status
	st.State, st.Address = gs.Status.State, gs.Status.Address
	st.Addresses = []address{}
	for _, a := range gs.Status.Addresses {
		st.Addresses = append(st.Addresses, address{a.Type, a.Address})
	}
	st.Ports = append([]object.StatusPort{}, gs.Status.Ports...)
	st.Counters, st.Lists = map[string]shownCounter{}, map[string]shownList{}
	for name, c := range gs.Status.Counters {
		st.Counters[name] = shownCounter{number(c.Count), number(c.Capacity)}
	}
	for name, l := range gs.Status.Lists {
		st.Lists[name] = shownList{number(l.Capacity), append([]string{}, l.Values...)}
	}
	return v
}

func some(m map[string]string) map[string]string {
	if m == nil {
		return map[string]string{}
	}
	return m
}
