package object

import (
	"context"
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
)

// NewScheme knows the kinds of this package.
func NewScheme() *runtime.Scheme {
	s := runtime.NewScheme()
	core := schema.GroupVersion{Group: Group, Version: "v1"}
	s.AddKnownTypes(core, &GameServer{}, &GameServerList{}, &GameServerSet{}, &GameServerSetList{}, &Fleet{}, &FleetList{})
	metav1.AddToGroupVersion(s, core)
	scaling := schema.GroupVersion{Group: ScalingGroup, Version: "v1"}
	s.AddKnownTypes(scaling, &FleetAutoscaler{}, &FleetAutoscalerList{})
	metav1.AddToGroupVersion(s, scaling)
	return s
}

// Object is a kind of this package.
type Object interface {
	runtime.Object
	metav1.Object
}

// Client reads and writes one kind.
type Client[T Object] struct {
	rest     *rest.RESTClient
	resource string
	fresh    func() T
}

// Clients are those of all kinds.
type Clients struct {
	GameServers *Client[*GameServer]
	Sets        *Client[*GameServerSet]
	Fleets      *Client[*Fleet]
	Scalers     *Client[*FleetAutoscaler]
}

// NewClients connects to the API server of cfg.
func NewClients(cfg *rest.Config) (*Clients, error) {
	scheme := NewScheme()
	client := func(group string) (*rest.RESTClient, error) {
		c := rest.CopyConfig(cfg)
		c.APIPath = "/apis"
		c.GroupVersion = &schema.GroupVersion{Group: group, Version: "v1"}
		c.NegotiatedSerializer = serializer.NewCodecFactory(scheme).WithoutConversion()
		c.ContentType, c.AcceptContentTypes = "application/json", "application/json"
		return rest.RESTClientFor(c)
	}
	core, err := client(Group)
	if err != nil {
		return nil, fmt.Errorf("client of %s: %w", Group, err)
	}
	scaling, err := client(ScalingGroup)
	if err != nil {
		return nil, fmt.Errorf("client of %s: %w", ScalingGroup, err)
	}
	return &Clients{
		GameServers: &Client[*GameServer]{core, "gameservers", func() *GameServer { return new(GameServer) }},
		Sets:        &Client[*GameServerSet]{core, "gameserversets", func() *GameServerSet { return new(GameServerSet) }},
		Fleets:      &Client[*Fleet]{core, "fleets", func() *Fleet { return new(Fleet) }},
		Scalers:     &Client[*FleetAutoscaler]{scaling, "fleetautoscalers", func() *FleetAutoscaler { return new(FleetAutoscaler) }},
	}, nil
}

// Get reads one.
func (c *Client[T]) Get(ctx context.Context, namespace, name string) (T, error) {
	o := c.fresh()
	return o, c.rest.Get().Namespace(namespace).Resource(c.resource).Name(name).Do(ctx).Into(o)
}

// Create makes one.
func (c *Client[T]) Create(ctx context.Context, in T) (T, error) {
	o := c.fresh()
	return o, c.rest.Post().Namespace(in.GetNamespace()).Resource(c.resource).Body(in).Do(ctx).Into(o)
}

// Update writes one that was read before, or fails with a conflict.
func (c *Client[T]) Update(ctx context.Context, in T) (T, error) {
	o := c.fresh()
	return o, c.rest.Put().Namespace(in.GetNamespace()).Resource(c.resource).Name(in.GetName()).Body(in).Do(ctx).Into(o)
}

// UpdateStatus writes the status of one that was read before.
func (c *Client[T]) UpdateStatus(ctx context.Context, in T) (T, error) {
	o := c.fresh()
	return o, c.rest.Put().Namespace(in.GetNamespace()).Resource(c.resource).Name(in.GetName()).
		SubResource("status").Body(in).Do(ctx).Into(o)
}

// Patch changes one by a merge patch.
func (c *Client[T]) Patch(ctx context.Context, namespace, name string, patch []byte) (T, error) {
	o := c.fresh()
	return o, c.rest.Patch(types.MergePatchType).Namespace(namespace).Resource(c.resource).Name(name).Body(patch).Do(ctx).Into(o)
}

// Delete removes the one with that UID.
func (c *Client[T]) Delete(ctx context.Context, in T) error {
	uid := in.GetUID()
	background := metav1.DeletePropagationBackground
	return c.rest.Delete().Namespace(in.GetNamespace()).Resource(c.resource).Name(in.GetName()).
		Body(&metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &uid}, PropagationPolicy: &background}).
		Do(ctx).Error()
}

// Informer watches all of a namespace ("" is all), or those that tweak selects.
func (c *Client[T]) Informer(namespace string, tweak func(*metav1.ListOptions)) cache.SharedIndexInformer {
	if tweak == nil {
		tweak = func(*metav1.ListOptions) {}
	}
	lw := cache.NewFilteredListWatchFromClient(c.rest, c.resource, namespace, tweak)
	return cache.NewSharedIndexInformer(lw, c.fresh(), 0, cache.Indexers{cache.NamespaceIndex: cache.MetaNamespaceIndexFunc})
}
