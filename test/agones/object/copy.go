package object

import (
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

// ListOf is a list of a kind.
type ListOf[T any] struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata"`

	Items []T `json:"items"`
}

// GameServerList is a list of game servers.
type GameServerList struct{ ListOf[GameServer] }

// GameServerSetList is a list of sets.
type GameServerSetList struct{ ListOf[GameServerSet] }

// FleetList is a list of Fleets.
type FleetList struct{ ListOf[Fleet] }

// FleetAutoscalerList is a list of autoscalers.
type FleetAutoscalerList struct{ ListOf[FleetAutoscaler] }

// DeepCopyObject implements runtime.Object.
func (l *GameServerList) DeepCopyObject() runtime.Object { c := *l; return &c }

// DeepCopyObject implements runtime.Object.
func (l *GameServerSetList) DeepCopyObject() runtime.Object { c := *l; return &c }

// DeepCopyObject implements runtime.Object.
func (l *FleetList) DeepCopyObject() runtime.Object { c := *l; return &c }

// DeepCopyObject implements runtime.Object.
func (l *FleetAutoscalerList) DeepCopyObject() runtime.Object { c := *l; return &c }

func copyLists(m map[string]List) map[string]List {
	c := maps.Clone(m)
	for k, l := range c {
		l.Values = slices.Clone(l.Values)
		c[k] = l
	}
	return c
}

func (s GameServerSpec) copied() GameServerSpec {
	s.Ports = slices.Clone(s.Ports)
	s.Template = *s.Template.DeepCopy()
	s.Counters = maps.Clone(s.Counters)
	s.Lists = copyLists(s.Lists)
	return s
}

// DeepCopy returns a GameServer that shares nothing that is ever changed.
func (g *GameServer) DeepCopy() *GameServer {
	c := *g
	c.ObjectMeta = *g.ObjectMeta.DeepCopy()
	c.Spec = g.Spec.copied()
	c.Status.Ports = slices.Clone(g.Status.Ports)
	c.Status.Addresses = append([]corev1.NodeAddress(nil), g.Status.Addresses...)
	c.Status.Counters = maps.Clone(g.Status.Counters)
	c.Status.Lists = copyLists(g.Status.Lists)
	return &c
}

// DeepCopyObject implements runtime.Object.
func (g *GameServer) DeepCopyObject() runtime.Object { return g.DeepCopy() }

func (t Template) copied() Template {
	meta := t.ObjectMeta
	t.ObjectMeta = *meta.DeepCopy()
	t.Spec = t.Spec.copied()
	return t
}

// DeepCopy returns a set that shares nothing that is ever changed.
func (s *GameServerSet) DeepCopy() *GameServerSet {
	c := *s
	c.ObjectMeta = *s.ObjectMeta.DeepCopy()
	c.Spec.Template = s.Spec.Template.copied()
	return &c
}

// DeepCopyObject implements runtime.Object.
func (s *GameServerSet) DeepCopyObject() runtime.Object { return s.DeepCopy() }

// DeepCopy returns a Fleet that shares nothing that is ever changed.
func (f *Fleet) DeepCopy() *Fleet {
	c := *f
	c.ObjectMeta = *f.ObjectMeta.DeepCopy()
	c.Spec.Template = f.Spec.Template.copied()
	return &c
}

// DeepCopyObject implements runtime.Object.
func (f *Fleet) DeepCopyObject() runtime.Object { return f.DeepCopy() }

// DeepCopy returns an autoscaler that shares nothing that is ever changed.
func (f *FleetAutoscaler) DeepCopy() *FleetAutoscaler {
	c := *f
	c.ObjectMeta = *f.ObjectMeta.DeepCopy()
	return &c
}

// DeepCopyObject implements runtime.Object.
func (f *FleetAutoscaler) DeepCopyObject() runtime.Object { return f.DeepCopy() }
