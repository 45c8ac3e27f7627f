package place

import (
	"strings"

	"github.com/throng-gg/throng"
)

// CheckScripts compiles a place's scripts, the entry first. Its errors are
// Invalid and name the file and the line.
type CheckScripts func(files map[string][]byte, entry string) error

// Check says whether files are a place that can run: a good manifest, whose
// entry is there and whose scripts compile. Invalid errors name file and line.
func Check(files map[string][]byte, scripts CheckScripts) (Manifest, error) {
	data, ok := files[ManifestFile]
	if !ok {
		return Manifest{}, throng.AtField(throng.Invalid, ManifestFile, "is missing%s", elsewhere(files))
	}
	m, err := ParseManifest(data)
	if err != nil {
		return Manifest{}, err
	}
	if _, ok := files[m.Entry]; !ok {
		return Manifest{}, throng.AtField(throng.Invalid, ManifestFile, "entry: there is no file %q", m.Entry)
	}
	if err := scripts(files, m.Entry); err != nil {
		return Manifest{}, err
	}
	return m, nil
}

// elsewhere helps those who packed the folder and not what is in it.
func elsewhere(files map[string][]byte) string {
	found := ""
	for p := range files {
		if strings.HasSuffix(p, "/"+ManifestFile) && (found == "" || p < found) {
			found = p
		}
	}
	if found == "" {
		return ""
	}
	return "; there is " + found + ", was its folder packed in place of what is in it?"
}
