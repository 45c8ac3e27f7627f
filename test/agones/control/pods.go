package control

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"

	"github.com/throng-gg/throng/test/agones/object"
)

// What the Pods of game servers have.
const (
	ServiceAccount = "agones-sdk"
	sidecarName    = "agones-gameserver-sidecar"
	roleLabel      = "agones.dev/role"
	nameLabel      = "agones.dev/gameserver"
	tokenPath      = "/var/run/secrets/kubernetes.io/serviceaccount" //nolint:gosec // a path
	healthPort     = 8080
)

func podInformer(kube kubernetes.Interface, namespace string) cache.SharedIndexInformer {
	return informers.NewSharedInformerFactoryWithOptions(kube, 0, informers.WithNamespace(namespace),
		informers.WithTweakListOptions(func(o *metav1.ListOptions) { o.LabelSelector = roleLabel + "=gameserver" }),
	).Core().V1().Pods().Informer()
}

// pod finds a server's Pod, nil if it has none.
func (c *Controller) pod(ctx context.Context, gs *object.GameServer) (*corev1.Pod, error) {
	if c.pods != nil {
		if p, ok := get[*corev1.Pod](c.pods, key(gs)); ok && metav1.IsControlledBy(p, gs) {
			return p, nil
		}
	}
	p, err := c.cfg.Kube.CoreV1().Pods(gs.Namespace).Get(ctx, gs.Name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) || err == nil && !metav1.IsControlledBy(p, gs) {
		return nil, nil //nolint:nilnil // no Pod is an answer
	}
	return p, err
}

func (c *Controller) makePod(ctx context.Context, gs *object.GameServer) error {
	_, err := c.cfg.Kube.CoreV1().Pods(gs.Namespace).Create(ctx, c.newPod(gs), metav1.CreateOptions{})
	if apierrors.IsAlreadyExists(err) {
		return nil
	}
	return err
}

// newPod is the Pod of a server: its template, a sidecar that starts first and
// restarts, host ports, and no service account token for the game itself.
func (c *Controller) newPod(gs *object.GameServer) *corev1.Pod {
	t := gs.Spec.Template.DeepCopy()
	p := &corev1.Pod{ObjectMeta: t.ObjectMeta, Spec: t.Spec}
	p.Name, p.Namespace = gs.Name, gs.Namespace
	p.Labels, p.Annotations = maps.Clone(p.Labels), maps.Clone(p.Annotations)
	if p.Labels == nil {
		p.Labels = map[string]string{}
	}
	if p.Annotations == nil {
		p.Annotations = map[string]string{}
	}
	p.Labels[nameLabel] = gs.Name
	p.Labels[roleLabel] = "gameserver"
	p.Labels["agones.dev/safe-to-evict"] = "false"
	p.Annotations["agones.dev/container"] = gs.Spec.Container
	p.Annotations[object.VersionKey] = object.Version
	p.Annotations["cluster-autoscaler.kubernetes.io/safe-to-evict"] = "false"
	p.OwnerReferences = []metav1.OwnerReference{*metav1.NewControllerRef(gs, version("GameServer"))}
	p.Spec.RestartPolicy = corev1.RestartPolicyNever
	if p.Spec.ServiceAccountName == "" {
		p.Spec.ServiceAccountName = ServiceAccount
	}
	p.Spec.Volumes = append(p.Spec.Volumes, corev1.Volume{
		Name: "empty", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}},
	})
	for i := range p.Spec.Containers {
		dress(&p.Spec.Containers[i], gs)
	}
	p.Spec.InitContainers = append([]corev1.Container{c.sidecar(gs)}, p.Spec.InitContainers...)
	return p
}

// dress gives a container of the template what Agones gives it.
func dress(ct *corev1.Container, gs *object.GameServer) {
	ct.Env = append(ct.Env,
		corev1.EnvVar{Name: "AGONES_SDK_GRPC_PORT", Value: strconv.Itoa(int(gs.Spec.SDKServer.GRPCPort))},
		corev1.EnvVar{Name: "AGONES_SDK_HTTP_PORT", Value: strconv.Itoa(int(gs.Spec.SDKServer.HTTPPort))})
	ct.VolumeMounts = append(ct.VolumeMounts, corev1.VolumeMount{Name: "empty", ReadOnly: true, MountPath: tokenPath})
	if ct.Name != gs.Spec.Container {
		return
	}
	for _, port := range gs.Spec.Ports {
		if port.HostPort != 0 {
			ct.Ports = append(ct.Ports, corev1.ContainerPort{
				HostPort: port.HostPort, ContainerPort: port.ContainerPort, Protocol: port.Protocol,
			})
		}
	}
	if h := gs.Spec.Health; !h.Disabled && ct.LivenessProbe == nil {
		ct.LivenessProbe = probe("/gshealthz", h.InitialDelaySeconds, h.PeriodSeconds, h.FailureThreshold)
	}
}

func probe(path string, delay, period, threshold int32) *corev1.Probe {
	return &corev1.Probe{
		ProbeHandler: corev1.ProbeHandler{
			HTTPGet: &corev1.HTTPGetAction{Path: path, Port: intstr.FromInt32(healthPort)},
		},
		InitialDelaySeconds: delay, PeriodSeconds: period, FailureThreshold: threshold,
	}
}

func (c *Controller) sidecar(gs *object.GameServer) corev1.Container {
	always := corev1.ContainerRestartPolicyAlways
	no, yes, user := false, true, int64(1000)
	return corev1.Container{
		Name:  sidecarName,
		Image: c.cfg.SDKImage,
		Args: append(slices.Clone(c.cfg.SDKArgs),
			fmt.Sprintf("--grpc-port=%d", gs.Spec.SDKServer.GRPCPort),
			fmt.Sprintf("--http-port=%d", gs.Spec.SDKServer.HTTPPort)),
		Env: []corev1.EnvVar{
			{Name: "GAMESERVER_NAME", Value: gs.Name},
			{Name: "POD_NAMESPACE", ValueFrom: &corev1.EnvVarSource{
				FieldRef: &corev1.ObjectFieldSelector{FieldPath: "metadata.namespace"},
			}},
			{Name: "LOG_LEVEL", Value: gs.Spec.SDKServer.LogLevel},
			{Name: "REQUESTS_RATE_LIMIT", Value: "500ms"},
		},
		Resources: corev1.ResourceRequirements{
			Requests: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("30m")},
		},
		ImagePullPolicy: corev1.PullIfNotPresent,
		RestartPolicy:   &always,
		LivenessProbe:   probe("/healthz", 3, 3, 3),
		SecurityContext: &corev1.SecurityContext{AllowPrivilegeEscalation: &no, RunAsNonRoot: &yes, RunAsUser: &user},
	}
}

// podFate writes what a real Pod's end means for its server. It tells whether
// that was all there is to do.
func (c *Controller) podFate(ctx context.Context, gs *object.GameServer) (bool, error) {
	switch gs.Status.State {
	case object.PortAllocation, object.Creating, object.Unhealthy, object.Shutdown, object.Error:
		return false, nil
	case object.Starting, object.Scheduled, object.RequestReady, object.Ready, object.Reserved, object.Allocated:
	}
	p, err := c.pod(ctx, gs)
	switch {
	case err != nil:
		return false, err
	case p == nil, p.DeletionTimestamp == nil && p.Status.Phase == corev1.PodFailed:
		return true, c.unhealthy(ctx, gs)
	case p.DeletionTimestamp == nil && p.Status.Phase == corev1.PodSucceeded:
		return true, c.succeeded(ctx, gs)
	}
	return false, nil
}

func (c *Controller) schedulePod(ctx context.Context, gs *object.GameServer) error {
	p, err := c.pod(ctx, gs)
	if err != nil || p == nil || p.Spec.NodeName == "" {
		return err // its Pod's next change brings us back
	}
	node, err := c.cfg.Kube.CoreV1().Nodes().Get(ctx, p.Spec.NodeName, metav1.GetOptions{})
	if err != nil {
		return err
	}
	return c.move(ctx, gs, object.Scheduled, "Address and port populated", func(gs *object.GameServer) {
		gs.Status.NodeName = node.Name
		gs.Status.Ports = statusPorts(gs)
		gs.Status.Addresses = slices.Clone(node.Status.Addresses)
		for _, kind := range []corev1.NodeAddressType{corev1.NodeInternalIP, corev1.NodeExternalIP} {
			for _, a := range node.Status.Addresses {
				if a.Type == kind {
					gs.Status.Address = a.Address // an external one wins
				}
			}
		}
	})
}

// podIP adds the Pod's address once there is one.
func (c *Controller) podIP(ctx context.Context, gs *object.GameServer) error {
	p, err := c.pod(ctx, gs)
	if err != nil || p == nil || p.Status.PodIP == "" {
		return err
	}
	ip := corev1.NodeAddress{Type: "PodIP", Address: p.Status.PodIP}
	if slices.Contains(gs.Status.Addresses, ip) {
		return nil
	}
	next := gs.DeepCopy()
	next.Status.Addresses = append(next.Status.Addresses, ip)
	_, err = c.cfg.Clients.GameServers.Update(ctx, next)
	return err
}

// removePod deletes a server's Pod and tells whether it is gone.
func (c *Controller) removePod(ctx context.Context, gs *object.GameServer) (bool, error) {
	p, err := c.pod(ctx, gs)
	if err != nil || p == nil {
		return p == nil, err
	}
	if p.DeletionTimestamp != nil {
		return false, nil
	}
	opts := metav1.DeleteOptions{Preconditions: metav1.NewUIDPreconditions(string(p.UID))}
	if c.cfg.Pods == PaperPods {
		now := int64(0)
		opts.GracePeriodSeconds = &now
	}
	if err := ignoreGone(c.cfg.Kube.CoreV1().Pods(p.Namespace).Delete(ctx, p.Name, opts)); err != nil {
		return false, err
	}
	c.event(gs, corev1.EventTypeNormal, string(gs.Status.State), "Deleting Pod "+p.Name)
	return c.cfg.Pods == PaperPods, nil
}
