// Package agones runs game servers on Kubernetes with Agones: it is a
// fleet.Backend over one or several clusters of a region.
//
// Backend (backend.go) is the door. A server is allocated under its ID, which
// its GameServer then bears as a label, so that whatever gets lost is found
// again: claim.go asks a cluster once for each ID (choose.go decides which one,
// purely; order.go asks the API server, allocator.go the allocator service,
// answer.go reads what they say), mirror.go watches all GameServers that bear a
// label of ours, table.go keeps what was seen and decides, purely, what is over
// and what must be deleted, cleaner.go deletes it. identity.go tells which
// server a pod is that brings its service account token.
//
// Agones itself is at a distance: no code of it is here, only its API (package
// kind) and what it was observed to do (docs/agones.md).
//
// When it misbehaves: throng_agones_connected says which clusters are watched,
// throng_agones_allocations_total how allocations end, throng_agones_cleaned_total
// what had to be deleted that nobody asked for, throng_agones_requests_total
// what the API servers are asked for: no "list" in quiet times.
package agones
