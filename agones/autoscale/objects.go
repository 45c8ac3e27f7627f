package autoscale

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/agones/kind"
)

// maxObject is the largest answer of an API server that is read, in bytes.
const maxObject = 1 << 20

// Objects reads and patches FleetAutoscalers through the clusters' API servers.
// It is Autoscalers.
type Objects struct {
	// API is a cluster's API server: its URL, and what calls it with the right
	// credentials. NotFound: there is no such cluster.
	API func(cluster string) (base string, client *http.Client, err error)
}

// autoscaler is what is read of a FleetAutoscaler.
type autoscaler struct {
	Spec struct {
		Policy struct {
			Type  string  `json:"type"`
			Chain []entry `json:"chain"`
		} `json:"policy"`
	} `json:"spec"`
}

type entry struct {
	ID     string  `json:"id"`
	Type   string  `json:"type"`
	Buffer *buffer `json:"buffer"`
}

type buffer struct {
	Size  json.RawMessage `json:"bufferSize"` // a number, or a text like "20%"
	Least int             `json:"minReplicas"`
	Most  int             `json:"maxReplicas"`
}

// Fallback is of Autoscalers.
func (o Objects) Fallback(ctx context.Context, f Fleet) (Buffer, error) {
	var a autoscaler
	if err := o.call(ctx, f, http.MethodGet, nil, &a); err != nil {
		return Buffer{}, fmt.Errorf("read the autoscaler of %s: %w", f.key(), err)
	}
	chain := a.Spec.Policy.Chain
	i := slices.IndexFunc(chain, func(e entry) bool { return e.Type == "Buffer" && e.Buffer != nil })
	if a.Spec.Policy.Type != "Chain" || i < 0 {
		return Buffer{}, throng.Errorf(throng.NotFound, "the autoscaler of %s has no Buffer in a Chain", f.key())
	}
	size, err := strconv.Atoi(string(chain[i].Buffer.Size))
	if err != nil {
		return Buffer{}, throng.Errorf(throng.NotFound, "the Buffer of %s is %s: only a number of servers is kept", f.key(), chain[i].Buffer.Size)
	}
	return Buffer{Entry: i, ID: chain[i].ID, Size: size, Least: chain[i].Buffer.Least, Most: chain[i].Buffer.Most}, nil
}

// operation is one of a JSON Patch (RFC 6902).
type operation struct {
	Op    string `json:"op"`
	Path  string `json:"path"`
	Value any    `json:"value"`
}

// SetFallback is of Autoscalers.
func (o Objects) SetFallback(ctx context.Context, f Fleet, was, next Buffer) error {
	at := "/spec/policy/chain/" + strconv.Itoa(was.Entry)
	patch := []operation{
		{"test", at + "/id", was.ID},
		{"test", at + "/buffer/bufferSize", was.Size},
		{"replace", at + "/buffer/bufferSize", next.Size},
		{"add", at + "/buffer/minReplicas", next.Least},
		{"add", at + "/buffer/maxReplicas", next.Most},
	}
	if err := o.call(ctx, f, http.MethodPatch, patch, nil); err != nil {
		return fmt.Errorf("write the Buffer of %s: %w", f.key(), err)
	}
	return nil
}

// call asks a cluster's API server about a Fleet's autoscaler.
func (o Objects) call(ctx context.Context, f Fleet, method string, patch []operation, out any) error {
	base, client, err := o.API(f.Cluster)
	if err != nil {
		return err
	}
	where, err := url.JoinPath(base, "apis/autoscaling.agones.dev/v1/namespaces", f.Namespace, "fleetautoscalers", f.Name)
	if err != nil {
		return throng.Errorf(throng.Invalid, "URL of cluster %s: %w", f.Cluster, err)
	}
	body, err := json.Marshal(patch)
	if err != nil {
		return err
	}
	r, err := http.NewRequestWithContext(ctx, method, where, bytes.NewReader(body))
	if err != nil {
		return throng.Errorf(throng.Invalid, "URL of cluster %s: %w", f.Cluster, err)
	}
	if patch != nil {
		r.Header.Set("Content-Type", "application/json-patch+json")
	}
	r.Header.Set("Accept", "application/json")
	answer, err := client.Do(r)
	if err != nil {
		return throng.Errorf(throng.Unavailable, "cluster %s: %w", f.Cluster, err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(io.LimitReader(answer.Body, maxObject))
	if err != nil {
		return throng.Errorf(throng.Unavailable, "cluster %s: %w", f.Cluster, err)
	}
	if answer.StatusCode/100 != 2 {
		return refusal(answer.StatusCode, text)
	}
	if out == nil {
		return nil
	}
	if err := json.Unmarshal(text, out); err != nil {
		return throng.Errorf(throng.Internal, "the API server's answer is not understood: %w", err)
	}
	return nil
}

// refusal is an API server's answer that is no success.
func refusal(status int, text []byte) error {
	var s kind.Status
	if json.Unmarshal(text, &s) != nil || s.Message == "" {
		s.Message = http.StatusText(status)
	}
	k := throng.Internal
	switch status {
	case http.StatusNotFound:
		k = throng.NotFound
	case http.StatusForbidden, http.StatusUnauthorized:
		k = throng.Denied
	case http.StatusConflict, http.StatusUnprocessableEntity: // a test of the patch failed, or Agones refuses
		k = throng.Conflict
	case http.StatusTooManyRequests, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		k = throng.Unavailable
	}
	return throng.Errorf(k, "%d: %s", status, s.Message)
}
