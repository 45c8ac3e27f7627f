// Package examples holds places that people can play and copy. `throng dev`
// publishes them at its first start.
package examples

import "embed"

// Places is the folder places, one folder a place.
//
//go:embed places
var Places embed.FS
