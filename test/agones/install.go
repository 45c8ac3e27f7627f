package agones

import (
	"bytes"
	"context"
	_ "embed" // the custom resources
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/dynamic"

	"github.com/throng-gg/throng/test/agones/control"
	kinds "github.com/throng-gg/throng/test/agones/object"
)

//go:embed crd.yaml
var resources []byte

const (
	service     = "agones-controller-service"
	servicePort = 443
	patience    = 60 * time.Second // until the API server serves what was installed
	look        = 50 * time.Millisecond
	callTimeout = 10 // seconds that the API server waits for a webhook
)

type object = map[string]any

func gvr(group, resource string) schema.GroupVersionResource {
	return schema.GroupVersionResource{Group: group, Version: "v1", Resource: resource}
}

// apply creates an object or replaces the one that is there.
func (s *Standin) apply(ctx context.Context, r schema.GroupVersionResource, namespace string, o object) error {
	u := &unstructured.Unstructured{Object: o}
	var c dynamic.ResourceInterface = s.dynamic.Resource(r)
	if namespace != "" {
		c = s.dynamic.Resource(r).Namespace(namespace)
	}
	_, err := c.Create(ctx, u, metav1.CreateOptions{})
	for apierrors.IsAlreadyExists(err) || apierrors.IsConflict(err) {
		var was *unstructured.Unstructured
		if was, err = c.Get(ctx, u.GetName(), metav1.GetOptions{}); err == nil {
			u.SetResourceVersion(was.GetResourceVersion())
			_, err = c.Update(ctx, u, metav1.UpdateOptions{})
		}
	}
	if err != nil {
		return fmt.Errorf("install %s %s: %w", r.Resource, u.GetName(), err)
	}
	return nil
}

// install puts the custom resources, the aggregated API and the webhooks in
// place and waits until the API server serves them.
func (s *Standin) install(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if err := s.apply(ctx, gvr("", "namespaces"), "", object{
		"apiVersion": "v1", "kind": "Namespace", "metadata": object{"name": s.opts.System},
	}); err != nil {
		return err
	}
	if err := s.installResources(ctx); err != nil {
		return err
	}
	if err := s.installService(ctx); err != nil {
		return err
	}
	ca := base64.StdEncoding.EncodeToString(s.ca.pem)
	if err := s.apply(ctx, gvr("apiregistration.k8s.io", "apiservices"), "", object{
		"apiVersion": "apiregistration.k8s.io/v1", "kind": "APIService",
		"metadata": object{"name": "v1.allocation.agones.dev"},
		"spec": object{
			"group": "allocation.agones.dev", "version": "v1", "groupPriorityMinimum": 1000, "versionPriority": 15,
			"caBundle": ca, "service": object{"namespace": s.opts.System, "name": service, "port": s.servicePort()},
		},
	}); err != nil {
		return err
	}
	if err := s.installWebhooks(ctx, ca); err != nil {
		return err
	}
	for _, ns := range s.opts.Namespaces {
		if err := s.installAccount(ctx, ns); err != nil {
			return err
		}
	}
	return s.served(ctx)
}

func (s *Standin) installResources(ctx context.Context) error {
	d := yaml.NewYAMLOrJSONDecoder(bytes.NewReader(resources), 4096)
	for {
		var o object
		if err := d.Decode(&o); err != nil {
			if errors.Is(err, io.EOF) {
				return nil
			}
			return fmt.Errorf("crd.yaml: %w", err)
		}
		if o == nil {
			continue
		}
		if err := s.apply(ctx, gvr("apiextensions.k8s.io", "customresourcedefinitions"), "", o); err != nil {
			return err
		}
	}
}

// loopback tells whether the API server finds us at its own loopback address:
// then the Service is an alias of it, which works without aggregator routing.
func (s *Standin) loopback() bool {
	ip := net.ParseIP(s.opts.Host)
	return ip == nil || ip.IsLoopback()
}

func (s *Standin) servicePort() int64 {
	if s.loopback() {
		return int64(s.port)
	}
	return servicePort
}

// installService makes the Service by which the API server finds us.
func (s *Standin) installService(ctx context.Context) error {
	spec := object{"type": "ExternalName", "externalName": "localhost"}
	if !s.loopback() {
		spec = object{"ports": []any{object{"name": "https", "port": int64(servicePort), "targetPort": int64(s.port)}}}
	}
	if err := s.replaceService(ctx, spec); err != nil {
		return err
	}
	if s.loopback() {
		return nil
	}
	return s.apply(ctx, gvr("discovery.k8s.io", "endpointslices"), s.opts.System, object{
		"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
		"metadata":    object{"name": service, "labels": object{"kubernetes.io/service-name": service}},
		"addressType": "IPv4",
		"endpoints":   []any{object{"addresses": []any{s.opts.Host}, "conditions": object{"ready": true}}},
		"ports":       []any{object{"name": "https", "port": int64(s.port), "protocol": "TCP"}},
	})
}

// replaceService makes it anew: its cluster IP can't be changed by an update.
func (s *Standin) replaceService(ctx context.Context, spec object) error {
	r := gvr("", "services")
	err := s.dynamic.Resource(r).Namespace(s.opts.System).Delete(ctx, service, metav1.DeleteOptions{})
	if err != nil && !apierrors.IsNotFound(err) {
		return err
	}
	return s.apply(ctx, r, s.opts.System, object{
		"apiVersion": "v1", "kind": "Service", "metadata": object{"name": service}, "spec": spec,
	})
}

// removeService makes the API server lose us.
func (s *Standin) removeService(ctx context.Context) error {
	r, name := gvr("", "services"), service
	if !s.loopback() {
		r = gvr("discovery.k8s.io", "endpointslices")
	}
	return s.dynamic.Resource(r).Namespace(s.opts.System).Delete(ctx, name, metav1.DeleteOptions{})
}

func (s *Standin) installWebhooks(ctx context.Context, ca string) error {
	client := func(path string) object {
		return object{"caBundle": ca, "service": object{
			"namespace": s.opts.System, "name": service, "path": path, "port": s.servicePort(),
		}}
	}
	rule := func(group, resource string, operations ...any) object {
		return object{
			"apiGroups": []any{group}, "apiVersions": []any{"v1"},
			"resources": []any{resource}, "operations": operations,
		}
	}
	hook := func(name, path string, rules ...any) []any {
		return []any{object{
			"name": name, "clientConfig": client(path), "rules": rules, "failurePolicy": "Fail",
			"sideEffects": "None", "admissionReviewVersions": []any{"v1"}, "timeoutSeconds": int64(callTimeout),
		}}
	}
	for kind, hooks := range map[string][]any{
		"Mutating": hook("mutations.agones.dev", "/mutate",
			rule("agones.dev", "gameservers", "CREATE"),
			rule("agones.dev", "fleets", "CREATE", "UPDATE"),
			rule("autoscaling.agones.dev", "fleetautoscalers", "CREATE", "UPDATE")),
		"Validating": hook("validations.agones.dev", "/validate",
			rule("agones.dev", "gameservers", "CREATE"),
			rule("autoscaling.agones.dev", "fleetautoscalers", "CREATE", "UPDATE")),
	} {
		r := gvr("admissionregistration.k8s.io", strings.ToLower(kind)+"webhookconfigurations")
		if err := s.apply(ctx, r, "", object{
			"apiVersion": "admissionregistration.k8s.io/v1", "kind": kind + "WebhookConfiguration",
			"metadata": object{"name": "agones-stand-in"}, "webhooks": hooks,
		}); err != nil {
			return err
		}
	}
	return nil
}

// installAccount gives the Pods of a namespace their account.
func (s *Standin) installAccount(ctx context.Context, namespace string) error {
	if err := s.apply(ctx, gvr("", "namespaces"), "", object{
		"apiVersion": "v1", "kind": "Namespace", "metadata": object{"name": namespace},
	}); err != nil {
		return err
	}
	if err := s.apply(ctx, gvr("", "serviceaccounts"), namespace, object{
		"apiVersion": "v1", "kind": "ServiceAccount", "metadata": object{"name": control.ServiceAccount},
	}); err != nil {
		return err
	}
	if err := s.apply(ctx, gvr("rbac.authorization.k8s.io", "clusterroles"), "", object{
		"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": object{"name": control.ServiceAccount},
		"rules": []any{
			object{"apiGroups": []any{"agones.dev"}, "resources": []any{"gameservers"}, "verbs": []any{"list", "update", "watch", "get", "patch"}},
			object{"apiGroups": []any{""}, "resources": []any{"events"}, "verbs": []any{"create", "patch"}},
		},
	}); err != nil {
		return err
	}
	return s.apply(ctx, gvr("rbac.authorization.k8s.io", "rolebindings"), namespace, object{
		"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": object{"name": control.ServiceAccount},
		"subjects": []any{object{"kind": "ServiceAccount", "name": control.ServiceAccount, "namespace": namespace}},
		"roleRef":  object{"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": control.ServiceAccount},
	})
}

// served waits until all of it answers.
func (s *Standin) served(ctx context.Context) error {
	paths := []string{
		"/apis/agones.dev/v1/fleets?limit=1", "/apis/agones.dev/v1/gameservers?limit=1",
		"/apis/agones.dev/v1/gameserversets?limit=1",
		"/apis/autoscaling.agones.dev/v1/fleetautoscalers?limit=1", "/apis/allocation.agones.dev/v1",
	}
	for _, p := range paths {
		if err := s.until(ctx, p, func(err error) bool { return err == nil }); err != nil {
			return err
		}
	}
	return s.admitted(ctx)
}

// admitted waits until what is created goes through the webhooks.
func (s *Standin) admitted(ctx context.Context) error {
	probe := &unstructured.Unstructured{Object: object{
		"apiVersion": "agones.dev/v1", "kind": "Fleet", "metadata": object{"name": "probe"},
		"spec": object{"replicas": int64(0), "template": object{"spec": object{"template": object{}}}},
	}}
	for {
		got, err := s.dynamic.Resource(gvr("agones.dev", "fleets")).Namespace(s.opts.Namespaces[0]).
			Create(ctx, probe, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
		if err == nil && got.GetAnnotations()[kinds.VersionKey] != "" {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("a dry run is not admitted by our webhooks: %w (%w)", err, context.Cause(ctx))
		case <-time.After(look):
		}
	}
}

// until asks the API server for a path until the answer is as wanted.
func (s *Standin) until(ctx context.Context, path string, wanted func(error) bool) error {
	uri, query, _ := strings.Cut(path, "?")
	for {
		req := s.kube.Discovery().RESTClient().Get().AbsPath(uri)
		if k, v, ok := strings.Cut(query, "="); ok {
			req = req.Param(k, v)
		}
		err := req.Do(ctx).Error()
		if wanted(err) {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s still answers %w: %w", path, err, context.Cause(ctx))
		case <-time.After(look):
		}
	}
}

func hostPort(host string, port int) string { return net.JoinHostPort(host, strconv.Itoa(port)) }
