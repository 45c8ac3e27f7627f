package agones

import (
	"context"
	"errors"
)

// sidecar serves the SDK of one server until ctx ends.
func (s *Standin) sidecar(context.Context, string, string) (string, error) {
	return "", errors.New("the stand-in has no sidecar yet")
}
