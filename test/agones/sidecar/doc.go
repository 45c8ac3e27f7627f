// Package sidecar is the stand-in's SDK server, the sidecar of one game server:
// the REST API on port 9358 with which a game says that it is ready, sees what
// becomes of it and leaves notes. Writes land up to Config.Delay later, as
// recorded in test/agones/testdata/sdk-incluster. Only what is recorded is
// there: no gRPC, no players.
package sidecar
