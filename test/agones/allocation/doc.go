// Package allocation is the stand-in's allocator: it collects requests, waits
// for its batch, picks servers and writes them. It speaks as the aggregated API
// allocation.agones.dev/v1 (kube.go) and as the allocator service (rest.go).
// What it answers when is held to the recordings in test/agones/testdata.
package allocation
