// Package event takes events from parts that must not wait, and publishes them.
//
//	Publish ─▶ queue ─▶ lane: memory ─▶ Log          economy and telemetry are a lane each
//	                         └▶ spool (files) ─▶ Log   while the Log is away, or slow
//
// Publish checks size and type and returns at once, whatever the Log does. While the
// Log is away a lane's events go to files, and from there to the Log when it is
// back, in their order. The files take at most Config.SpoolBytes; then the oldest
// events of telemetry are dropped, counted and said, those of economy never.
//
// A process that ends leaves what it could not publish in its folder; the next one
// on the machine that has the same Config.Dir publishes it. Events may be published
// twice, and are known by their IDs.
//
// Neighbours: kafka is the Log; game servers and the control plane publish;
// cmd/throng connects. Events are missing: look at
// throng_event_dropped_total and at the line "events are kept on disk".
package event
