package event

import (
	"context"

	"github.com/throng-gg/throng"
)

// Log is where events go.
type Log interface {
	// Publish writes events, those of a key in their order. Nil: they are durable.
	// Invalid: one of them never will be. Other errors: it is not known which are;
	// all of them are published again.
	Publish(ctx context.Context, list []throng.Event) error
}
