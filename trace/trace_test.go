package trace

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"google.golang.org/protobuf/proto"

	"github.com/throng-gg/throng"
)

func key(n int) throng.TicketKey {
	return throng.TicketKey{Caller: "ada", Ticket: throng.TicketID(fmt.Sprint("t", n))}
}

func arrival(n int) throng.Arrival {
	at := time.Unix(1_800_000_000, 0)
	return throng.Arrival{
		Key: key(n), Player: "ada", Epoch: 9, Session: "ses_local_00aaaaaaaaaaaaaaaa", Place: "arena", Version: 3,
		Connected: at, Confirmed: at.Add(2 * time.Millisecond), Entered: at.Add(3 * time.Millisecond), Snapshot: at.Add(20 * time.Millisecond),
	}
}

func TestNewChecksItsConfig(t *testing.T) {
	for _, c := range []Config{{}, {Endpoint: "localhost:4318"}, {Endpoint: "http://127.0.0.1:1", Share: 1.1}, {Endpoint: "http://127.0.0.1:1", Share: -1}} {
		if _, err := New(c); throng.KindOf(err) != throng.Invalid || err == nil {
			t.Errorf("%+v: got %v, want it invalid", c, err)
		}
	}
}

// run runs a tracer until stop, which returns when all is sent.
func run(t *testing.T, c Config) (tr *Tracer, stop func()) {
	t.Helper()
	tr, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- tr.Run(ctx) }()
	return tr, func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	}
}

// kept is an exporter whose spans outlive its shutdown.
type kept struct{ *tracetest.InMemoryExporter }

// Shutdown forgets nothing.
func (kept) Shutdown(context.Context) error { return nil }

func TestArrivalIsPartOfItsTicketsTrace(t *testing.T) {
	spans := kept{tracetest.NewInMemoryExporter()}
	tr, stop := run(t, Config{Share: 1, Exporter: spans})
	tr.Arrived(arrival(1))
	late := arrival(2)
	late.Confirmed = time.Time{}
	tr.Arrived(late)
	stop()
	var got []string
	wantTrace, wantFirst := ids(key(1))
	byName := map[string]tracetest.SpanStub{}
	for _, s := range spans.GetSpans() {
		got = append(got, fmt.Sprintf("%s %v", s.Name, s.EndTime.Sub(s.StartTime)))
		if s.SpanContext.TraceID() == wantTrace {
			byName[s.Name] = s
		}
	}
	want := []string{"confirm 2ms", "first snapshot 17ms", "arrive 20ms", "first snapshot 17ms", "arrive 20ms"}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("spans: got %v, want %v", got, want)
	}
	arrive := byName["arrive"]
	if len(byName) != 3 || arrive.Parent.SpanID() != wantFirst || byName["confirm"].Parent.SpanID() != arrive.SpanContext.SpanID() {
		t.Errorf("the spans of ticket t1 do not hang together: %+v", byName)
	}
}

// TestJoinAndArrivalAreOneTrace is the door's process and the game server's, which
// have only the ticket's key in common.
func TestJoinAndArrivalAreOneTrace(t *testing.T) {
	spans := kept{tracetest.NewInMemoryExporter()}
	control, stopControl := run(t, Config{Share: 1, Exporter: spans, Service: "throng control"})
	server, stopServer := run(t, Config{Share: 1, Exporter: spans, Service: "throng gameserver"})
	a := arrival(1)
	record := throng.JoinRecord{
		Ticket: a.Key.Ticket, Caller: a.Key.Caller, At: a.Connected.Add(-10 * time.Millisecond), TookMs: 8, Code: "ok", Session: a.Session,
		Steps: []throng.JoinStep{
			{AfterMs: 1, Step: throng.StepClaimed},
			{AfterMs: 3, Step: throng.StepHeld, Session: a.Session},
			{AfterMs: 8, Step: throng.StepAnswered},
		},
	}
	control.Record(record)
	server.Arrived(a)
	again := record
	again.Code, again.Detail = "unavailable", "away"
	again.Steps = []throng.JoinStep{{AfterMs: 1, Step: throng.StepKnown}}
	control.Record(again)
	stopServer()
	stopControl()
	wantTrace, root := ids(a.Key)
	parents := map[string]string{}
	names := map[string]string{}
	for _, s := range spans.GetSpans() {
		if s.SpanContext.TraceID() != wantTrace {
			t.Errorf("%s is in another trace", s.Name)
		}
		names[s.SpanContext.SpanID().String()] = s.Name
	}
	for _, s := range spans.GetSpans() {
		parents[s.Name] = names[s.Parent.SpanID().String()]
		if s.Name == "join" && (s.SpanContext.SpanID() != root || s.Parent.IsValid()) {
			t.Error("the join is not the trace's first span")
		}
		if s.Name == throng.StepHeld && s.EndTime.Sub(s.StartTime) != 2*time.Millisecond {
			t.Errorf("held took %v, want 2ms", s.EndTime.Sub(s.StartTime))
		}
		if s.Name == "join again" && s.Status.Description != "unavailable: away" {
			t.Errorf("an error is told as %+v", s.Status)
		}
	}
	want := map[string]string{
		"join": "", "claimed": "join", "held": "join", "answered": "join", "join again": "join", "known": "join again",
		"arrive": "join", "confirm": "arrive", "first snapshot": "arrive",
	}
	if fmt.Sprint(parents) != fmt.Sprint(want) {
		t.Errorf("spans and their parents: got %v, want %v", parents, want)
	}
}

func TestShareIsTheSameForAllWhoAsk(t *testing.T) {
	const n = 20000
	in := 0
	for i := range n {
		a, span := ids(key(i))
		b, _ := ids(key(i))
		if a != b || !a.IsValid() || !span.IsValid() {
			t.Fatalf("ticket %d has the IDs %v and %v", i, a, b)
		}
		if sampled(a, 0.1) {
			in++
			if !sampled(a, 0.2) {
				t.Errorf("ticket %d is in a tenth and not in a fifth", i)
			}
		}
		if sampled(a, 0) || !sampled(a, 1) {
			t.Errorf("ticket %d: none are none, and all are all", i)
		}
	}
	if in < n/10*9/10 || in > n/10*11/10 {
		t.Errorf("%d of %d are in a tenth", in, n)
	}
}

func TestWhatDoesNotFitIsDroppedAndCounted(t *testing.T) {
	tr, err := New(Config{Share: 1, Exporter: tracetest.NewNoopExporter()})
	if err != nil {
		t.Fatal(err)
	}
	for i := range queue + 10 {
		tr.Arrived(arrival(i)) // nobody runs it
	}
	if len(tr.spans) != queue {
		t.Errorf("%d wait, want %d", len(tr.spans), queue)
	}
}

// TestCollector sends to a real HTTP collector and reads what came.
func TestCollector(t *testing.T) {
	var mu sync.Mutex
	var names []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var body io.Reader = r.Body
		if r.Header.Get("Content-Encoding") == "gzip" {
			zipped, err := gzip.NewReader(r.Body)
			if err != nil {
				t.Error(err)
				return
			}
			body = zipped
		}
		data, err := io.ReadAll(body)
		var req collector.ExportTraceServiceRequest
		if err = errors.Join(err, proto.Unmarshal(data, &req)); err != nil || r.URL.Path != "/v1/traces" {
			t.Errorf("%s: %v", r.URL.Path, err)
		}
		mu.Lock()
		defer mu.Unlock()
		for _, rs := range req.GetResourceSpans() {
			for _, ss := range rs.GetScopeSpans() {
				for _, s := range ss.GetSpans() {
					names = append(names, s.GetName())
				}
			}
		}
		w.WriteHeader(http.StatusOK)
	}))
	defer server.Close()
	tr, stop := run(t, Config{Endpoint: server.URL, Share: 1, Service: "throng test", Region: "local"})
	tr.Arrived(arrival(1))
	stop()
	if got := strings.Join(names, ","); got != "confirm,first snapshot,arrive" {
		t.Errorf("the collector got %q", got)
	}
}

type broken struct{ sdk.SpanExporter }

// ExportSpans fails.
func (broken) ExportSpans(context.Context, []sdk.ReadOnlySpan) error { return errors.New("no route") }

func TestCollectorThatIsAwayIsSaidOnceAMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		s := &said{SpanExporter: broken{tracetest.NewNoopExporter()}, logger: slog.New(slog.NewTextHandler(&log, nil))}
		for range 130 {
			if err := s.ExportSpans(t.Context(), nil); err != nil {
				t.Error(err)
			}
			<-time.After(time.Second)
		}
		if n := strings.Count(log.String(), "not taken"); n != 3 {
			t.Errorf("said %d times in 130 s, want 3", n)
		}
	})
}

func BenchmarkArrived(b *testing.B) {
	for name, share := range map[string]float64{"not sampled": 0, "sampled": 1} {
		b.Run(name, func(b *testing.B) {
			tr, err := New(Config{Share: share, Exporter: tracetest.NewNoopExporter()})
			if err != nil {
				b.Fatal(err)
			}
			a := arrival(1)
			for b.Loop() {
				tr.Arrived(a)
			}
		})
	}
}
