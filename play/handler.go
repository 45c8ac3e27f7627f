package play

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"io/fs"
	"maps"
	"mime"
	"net/http"
	"path"
	"strings"
)

//go:embed dist
var dist embed.FS

// policy lets the page load what is its own and nothing else. Game servers have
// addresses of their own, so it may connect anywhere that is encrypted, and to
// WebSockets and beacons that are not where the page itself is not.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; " +
	"connect-src 'self' https: http: wss: ws:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// file is one file of the page with all of its answer.
type file struct {
	header http.Header
	body   []byte
}

// Handler serves the page at / and what it is made of below /assets/, whose names
// change with their content. All else is not found.
func Handler() (http.Handler, error) {
	files := map[string]file{}
	err := fs.WalkDir(dist, "dist", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		body, err := dist.ReadFile(name)
		if err != nil {
			return err
		}
		at := strings.TrimPrefix(name, "dist")
		if at == "/index.html" {
			at = "/"
		}
		files[at] = file{header: headers(name, body), body: body}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read the players' page: %w", err)
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f, ok := files[r.URL.Path]
		if !ok {
			http.NotFound(w, r)
			return
		}
		maps.Copy(w.Header(), f.header)
		if r.Header.Get("If-None-Match") == f.header.Get("Etag") {
			w.WriteHeader(http.StatusNotModified)
			return
		}
		_, _ = w.Write(f.body)
	}), nil
}

func headers(name string, body []byte) http.Header {
	sum := sha256.Sum256(body)
	h := http.Header{}
	h.Set("Content-Type", mime.TypeByExtension(path.Ext(name)))
	h.Set("Content-Security-Policy", policy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer") // links hold invites
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Etag", `"`+hex.EncodeToString(sum[:8])+`"`)
	if strings.HasPrefix(name, "dist/assets/") {
		h.Set("Cache-Control", "public, max-age=31536000, immutable")
	} else {
		h.Set("Cache-Control", "no-cache")
	}
	return h
}
