package control

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	discovery "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/uuid"

	"github.com/throng-gg/throng/test/agones/object"
)

const (
	maxAnswer = 1 << 20

	// WebhookTimeout is how long a webhook is waited for, as recorded.
	WebhookTimeout = 15 * time.Second
)

// buffer keeps a number, or a share, of servers Ready.
func buffer(b object.Buffer, fleet *object.Fleet) (decision, error) {
	var allocated int32
	if fleet.Status != nil {
		allocated = fleet.Status.AllocatedReplicas
	}
	var d decision
	if b.BufferSize.Type == intstr.Int {
		d.replicas = allocated + b.BufferSize.IntVal
	} else {
		share, err := intstr.GetScaledValueFromIntOrPercent(&b.BufferSize, 100, true)
		if err != nil || share < 1 || share > 99 {
			return d, fmt.Errorf("buffer size %s: %w", b.BufferSize.String(), errors.Join(err, errors.New("not from 1% to 99%")))
		}
		left := int32(100 - share) //nolint:gosec // from 1 to 99
		d.replicas = (allocated*100 + left - 1) / left
	}
	if d.replicas < b.MinReplicas {
		d.replicas, d.limited = b.MinReplicas, fmt.Sprintf("minimum size of %d", b.MinReplicas)
	}
	if d.replicas > b.MaxReplicas {
		d.replicas, d.limited = b.MaxReplicas, fmt.Sprintf("maximum size of %d", b.MaxReplicas)
	}
	return d, nil
}

// ask posts a review to a webhook.
func (c *Controller) ask(ctx context.Context, w object.Webhook, fleet *object.Fleet) (int32, error) {
	target, err := address(w)
	if err != nil {
		return 0, err
	}
	var status object.FleetStatus
	if fleet.Status != nil {
		status = *fleet.Status
	}
	body, err := json.Marshal(object.Review{Request: &object.ReviewRequest{
		UID: uuid.NewUUID(), Name: fleet.Name, Namespace: fleet.Namespace, Status: status,
		Labels: fleet.Labels, Annotations: fleet.Annotations,
	}})
	if err != nil {
		return 0, err
	}
	client, err := c.webhookClient(w)
	if err != nil {
		return 0, err
	}
	defer client.CloseIdleConnections()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, target, bytes.NewReader(body))
	if err != nil {
		return 0, err
	}
	req.Header.Set("Content-Type", "application/json")
	res, err := client.Do(req)
	if err != nil {
		return 0, err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return 0, fmt.Errorf("bad status code %d from the server: %s", res.StatusCode, target)
	}
	b, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	if err != nil {
		return 0, err
	}
	var review object.Review
	if err := json.Unmarshal(b, &review); err != nil {
		return 0, err
	}
	if review.Response == nil {
		return 0, errors.New("webhook response missing required 'response' field")
	}
	if !review.Response.Scale {
		return status.Replicas, nil
	}
	return review.Response.Replicas, nil
}

// address is the webhook's URL.
func address(w object.Webhook) (string, error) {
	if w.URL != nil && *w.URL != "" {
		return *w.URL, nil
	}
	if w.Service == nil {
		return "", errors.New("service was not provided, either URL or Service must be provided")
	}
	scheme, port, path := "http", int32(8000), ""
	if len(w.CABundle) > 0 {
		scheme = "https"
	}
	if w.Service.Port != nil {
		port = *w.Service.Port
	}
	if w.Service.Path != nil {
		path = strings.TrimPrefix(*w.Service.Path, "/")
	}
	return fmt.Sprintf("%s://%s.%s.svc:%d/%s", scheme, w.Service.Name, w.Service.Namespace, port, path), nil
}

func (c *Controller) webhookClient(w object.Webhook) (*http.Client, error) {
	t := &http.Transport{DialContext: c.dial}
	if len(w.CABundle) > 0 {
		pool := x509.NewCertPool()
		if !pool.AppendCertsFromPEM(w.CABundle) {
			return nil, errors.New("no certs were appended from caBundle")
		}
		t.TLSClientConfig = &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
	}
	return &http.Client{Transport: t, Timeout: c.cfg.WebhookTimeout}, nil
}

// dial connects to a Service by what the API server knows of it, so that this
// works inside and outside of the cluster, without its DNS.
func (c *Controller) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, err
	}
	var d net.Dialer
	service, ok := strings.CutSuffix(host, ".svc")
	if !ok {
		return d.DialContext(ctx, network, addr)
	}
	name, namespace, _ := strings.Cut(service, ".")
	target, err := c.resolve(ctx, namespace, name, port)
	if err != nil {
		return nil, err
	}
	return d.DialContext(ctx, network, target)
}

func (c *Controller) resolve(ctx context.Context, namespace, name, port string) (string, error) {
	svc, err := c.cfg.Kube.CoreV1().Services(namespace).Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return "", err
	}
	if svc.Spec.Type == corev1.ServiceTypeExternalName {
		return net.JoinHostPort(svc.Spec.ExternalName, port), nil
	}
	found, err := c.cfg.Kube.DiscoveryV1().EndpointSlices(namespace).List(ctx,
		metav1.ListOptions{LabelSelector: "kubernetes.io/service-name=" + name})
	if err != nil {
		return "", err
	}
	for _, wanted := range svc.Spec.Ports {
		if strconv.Itoa(int(wanted.Port)) != port {
			continue
		}
		for _, s := range found.Items {
			if target := endpoint(s, wanted.Name); target != "" {
				return target, nil
			}
		}
	}
	return "", fmt.Errorf("no endpoint of service %s/%s has port %s", namespace, name, port)
}

// endpoint finds one that is ready, with the port of that name.
func endpoint(s discovery.EndpointSlice, port string) string {
	for _, p := range s.Ports {
		if p.Port == nil || p.Name != nil && *p.Name != port {
			continue
		}
		for _, e := range s.Endpoints {
			if (e.Conditions.Ready == nil || *e.Conditions.Ready) && len(e.Addresses) > 0 {
				return net.JoinHostPort(e.Addresses[0], strconv.Itoa(int(*p.Port)))
			}
		}
	}
	return ""
}
