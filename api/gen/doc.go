// Package gen is made from openapi.yaml: types, server and client. Only
// convert.go, control.go and fields.go are written by hand; both the door and
// its clients use them to turn the generated types into the dictionary's.
//
// gen.sum holds what gen.go was made from; a test of package api compares.
package gen

//go:generate go tool -modfile=../../tools/go.mod oapi-codegen -config config.yaml ../openapi.yaml
//go:generate sh -c "sha256sum ../openapi.yaml config.yaml gen.go > gen.sum"
