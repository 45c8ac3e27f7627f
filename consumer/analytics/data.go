package analytics

import (
	"encoding/json"

	"github.com/throng-gg/throng"
)

// dataOf reads an event's data. Invalid: it is not what the type says.
func dataOf(e *throng.EventRecord, v any) error {
	if err := json.Unmarshal(e.Data, v); err != nil {
		return throng.AtField(throng.Invalid, "data", "cannot be read: %w", err)
	}
	return nil
}
