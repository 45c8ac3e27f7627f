// Package trace makes one OpenTelemetry trace of each join, from the door to the
// first snapshot.
//
// Nothing has to carry the trace from process to process: its ID, and the ID of
// its first span, follow from the ticket's key, which the door, the matchmaker
// and the game server know anyway (id.go). So they also agree, without a word,
// on which joins are traced. Spans are made after the fact (join.go), of what
// the matchmaker remembers of a join and of what the game server saw of an
// arrival, so that tracing costs a join nothing but a place in a queue.
//
// Tracer (trace.go) sends them by OTLP over HTTP. Where to look when spans are
// missing: throng_trace_dropped_total (the queue was full), and the log, which
// says once a minute when the collector does not take them.
package trace
