// Package autoscale tells Agones how many GameServers each Fleet should have:
// those that are occupied, and as many Ready ones below the stock of the
// orchestrator as are going to be allocated until new ones have started.
//
// Webhook (webhook.go) answers the FleetAutoscalers of a region's clusters.
// plan.go decides, purely; demand.go brings it the region's numbers once a
// second, so that an answer costs microseconds and waits for nobody. When there
// are no fresh numbers it says so by an error: behind the webhook, in a Chain,
// stands a Buffer policy, and fallback.go keeps its size what the webhook would
// say, so that losing the webhook takes nothing away. objects.go reads and
// patches the FleetAutoscalers.
//
// Neighbours are in needs.go: what is known of the clusters, of the demand, and
// the FleetAutoscaler objects.
//
// When it misbehaves: throng_autoscale_answers_total by result shows whether
// Agones asks at all and what it is told, throng_autoscale_ready_servers what is
// wanted, throng_autoscale_fallback_total whether the Buffers are kept.
package autoscale
