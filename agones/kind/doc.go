// Package kind is what Throng reads and writes of Agones' and Kubernetes' API:
// plain JSON structs with the fields that it uses, no more, so that a watch of
// thousands of servers costs little. They are not good for writing an object
// back: what is not here would be lost.
package kind
