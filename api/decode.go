package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strings"

	"github.com/throng-gg/throng"
)

// decodeError says what is wrong with a JSON body, and where.
func decodeError(err error) error {
	var syntax *json.SyntaxError
	var wrong *json.UnmarshalTypeError
	switch {
	case errors.Is(err, io.EOF):
		return throng.Errorf(throng.Invalid, "the body is empty")
	case errors.Is(err, io.ErrUnexpectedEOF):
		return throng.Errorf(throng.Invalid, "the body ends in the middle of its JSON")
	case errors.As(err, &syntax):
		return throng.Errorf(throng.Invalid, "the body is not JSON at byte %d: %s", syntax.Offset, syntax.Error())
	case errors.As(err, &wrong):
		return throng.AtField(throng.Invalid, wrong.Field, "is a JSON %s at byte %d, which does not fit", wrong.Value, wrong.Offset)
	}
	return throng.Errorf(throng.Invalid, "the body does not fit: %w", err)
}

// decodeStrict decodes the one JSON value that body is, and refuses fields that
// v does not have.
func decodeStrict(body []byte, v any) error {
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.DisallowUnknownFields()
	if err := dec.Decode(v); err != nil {
		if name, ok := unknownField(err); ok {
			return throng.AtField(throng.Invalid, name, "is not a field of this request, at byte %d", keyOffset(body, name))
		}
		return decodeError(err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return throng.Errorf(throng.Invalid, "the body goes on after its JSON at byte %d", dec.InputOffset())
	}
	return nil
}

// unknownField reads the name out of encoding/json's words, which have no type.
func unknownField(err error) (string, bool) {
	name, ok := strings.CutPrefix(err.Error(), `json: unknown field "`)
	return strings.TrimSuffix(name, `"`), ok
}

// keyOffset finds where a key of the outermost object stands, in bytes from 1.
func keyOffset(body []byte, name string) int64 {
	dec := json.NewDecoder(bytes.NewReader(body))
	depth, isKey := 0, false
	for {
		token, err := dec.Token()
		if err != nil {
			return 0
		}
		switch t := token.(type) {
		case json.Delim:
			switch t {
			case '{', '[':
				depth++
				isKey = t == '{' && depth == 1
			default:
				depth--
				isKey = depth == 1
			}
			continue
		case string:
			if depth == 1 && isKey && t == name {
				return dec.InputOffset() - int64(len(name)) - 1
			}
		}
		if depth == 1 {
			isKey = !isKey
		}
	}
}
