// Package suite plays a whole region on a real cluster with Agones: the chart is
// installed, bots play over the pods' host ports, game servers are killed, the
// engine is updated, the webhook is lost. It has tests only.
//
// With THRONG_KUBECONFIG it runs against that cluster, which has Agones and the
// image THRONG_IMAGE (make images) on its nodes, also under the same name with
// "-next" at its end, and whose nodes this machine reaches (make test-agones). Without, it starts a node of its own (package lab)
// and the stand-in for Agones (package test/agones); the tests are the same.
// Everything is installed into one namespace (THRONG_NAMESPACE; Agones must
// know it as one of game servers), and removed in the end.
package suite
