package main

import (
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"google.golang.org/protobuf/proto"

	"github.com/throng-gg/throng/bot"
)

// spans is an OpenTelemetry collector: what it got, by trace.
type spans struct {
	mu     sync.Mutex
	traces map[string][]string // "service: name (parent)"
	names  map[string]string   // by span ID
}

// ServeHTTP takes spans.
func (s *spans) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var body io.Reader = r.Body
	if r.Header.Get("Content-Encoding") == "gzip" {
		body, _ = gzip.NewReader(r.Body)
	}
	data, err := io.ReadAll(body)
	var req collector.ExportTraceServiceRequest
	if err != nil || proto.Unmarshal(data, &req) != nil {
		http.Error(w, "not OTLP", http.StatusBadRequest)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, rs := range req.GetResourceSpans() {
		service := ""
		for _, a := range rs.GetResource().GetAttributes() {
			if a.GetKey() == "service.name" {
				service = a.GetValue().GetStringValue()
			}
		}
		for _, ss := range rs.GetScopeSpans() {
			for _, sp := range ss.GetSpans() {
				id := string(sp.GetTraceId())
				s.names[string(sp.GetSpanId())] = sp.GetName()
				s.traces[id] = append(s.traces[id], service+": "+sp.GetName()+"|"+string(sp.GetParentSpanId()))
			}
		}
	}
}

// whole returns the traces that go from the door to a first snapshot.
func (s *spans) whole() [][]string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all [][]string
	for _, t := range s.traces {
		var named []string
		for _, sp := range t {
			name, parent, _ := strings.Cut(sp, "|")
			named = append(named, name+" ("+s.names[parent]+")")
		}
		slices.Sort(named)
		if slices.Contains(named, "throng control: join ()") && slices.Contains(named, "throng gameserver: first snapshot (arrive)") {
			all = append(all, named)
		}
	}
	return all
}

// TestTrace sees each join as one trace, of two processes that tell each other
// nothing of it.
func TestTrace(t *testing.T) {
	got := &spans{traces: map[string][]string{}, names: map[string]string{}}
	server := httptest.NewServer(got)
	defer server.Close()
	r := startDev(t, "--traces", server.URL, "--trace-share", "1")
	ctx, cancel := context.WithCancel(t.Context())
	crowd := r.crowd(ctx, bot.Config{Place: "starter", Players: 5, For: time.Hour})
	deadline := time.After(time.Minute)
	for len(got.whole()) < 5 {
		select {
		case <-deadline:
			t.Fatalf("whole traces: %v, want 5; all: %v", got.whole(), fmt.Sprint(got.traces))
		case <-time.After(50 * time.Millisecond):
		}
	}
	cancel()
	<-crowd
	for _, trace := range got.whole() {
		for _, want := range []string{
			"throng control: claimed (join)", "throng control: held (join)", "throng control: settled (join)",
			"throng control: answered (join)", "throng gameserver: arrive (join)", "throng gameserver: confirm (arrive)",
		} {
			if !slices.Contains(trace, want) {
				t.Errorf("a trace lacks %q: %v", want, trace)
			}
		}
	}
}
