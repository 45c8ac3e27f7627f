package place_test

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/place"
)

func sameFiles(a, b map[string][]byte) bool {
	return maps.EqualFunc(a, b, bytes.Equal)
}

var someFiles = map[string][]byte{
	"place.yaml":        []byte(goodManifest),
	"scripts/main.lua":  []byte("print('hello')\n"),
	"scripts/empty.lua": {},
	"assets/épée 1.png": bytes.Repeat([]byte{1, 2, 3}, 1000),
	"assets/block.bin":  make([]byte, 512),
	strings.Repeat("d/", 60) + strings.Repeat("x", 80): []byte("deep"),
}

// The hash is written down: when it changes, every package that was published
// gets another name.
func TestPackIsCanonical(t *testing.T) {
	content, hash, err := place.Pack(someFiles)
	if err != nil {
		t.Fatal(err)
	}
	const want = "e97583ad1f68b3a6b43ceb35cba993295b4f8d4b838869e929330066a929313a"
	if hash != want || hash != place.Hash(content) {
		t.Errorf("got hash %s, want %s", hash, want)
	}
	if len(content)%512 != 0 {
		t.Errorf("length %d is not in blocks", len(content))
	}
	again, _, err := place.Pack(maps.Clone(someFiles))
	if err != nil || !bytes.Equal(again, content) {
		t.Errorf("packed again it is different (%v)", err)
	}
}

// Other tar readers see the same files.
func TestPackIsTar(t *testing.T) {
	content, _, err := place.Pack(someFiles)
	if err != nil {
		t.Fatal(err)
	}
	got := map[string][]byte{}
	var order []string
	r := tar.NewReader(bytes.NewReader(content))
	for {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if h.Mode != 0o644 || h.ModTime.Unix() != 0 || h.Uid != 0 || h.Uname != "" || h.Typeflag != tar.TypeReg {
			t.Errorf("%s: got header %+v", h.Name, h)
		}
		order = append(order, h.Name)
		got[h.Name], err = io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
	}
	if !sameFiles(got, someFiles) || !slices.IsSorted(order) {
		t.Errorf("got files %q, want %q", order, slices.Sorted(maps.Keys(someFiles)))
	}
}

func TestUnpack(t *testing.T) {
	content, hash, err := place.Pack(someFiles)
	if err != nil {
		t.Fatal(err)
	}
	got, err := place.Unpack(bytes.NewReader(content), hash)
	if err != nil || !sameFiles(got, someFiles) {
		t.Fatalf("got %d files, %v, want what was packed", len(got), err)
	}
	for name, bad := range map[string][]byte{
		"empty":        {},
		"one byte":     flip(content, 600),
		"header":       flip(content, 3),
		"cut":          content[:len(content)-1],
		"cut in half":  content[:len(content)/2],
		"longer":       append(bytes.Clone(content), 0),
		"another file": mustPack(t, map[string][]byte{"a": nil}),
	} {
		got, err := place.Unpack(bytes.NewReader(bad), hash)
		if err == nil || got != nil || throng.KindOf(err) != throng.Internal || !strings.Contains(err.Error(), "damaged") {
			t.Errorf("%s: got %d files and %v, want none and a damaged package", name, len(got), err)
		}
	}
	if _, err := place.Unpack(endless{}, hash); err == nil || !strings.Contains(err.Error(), "longer than") {
		t.Errorf("endless: got %v", err)
	}
}

// Who runs a place gets its code alone, of a package that is checked as a whole.
func TestUnpackScripts(t *testing.T) {
	files := map[string][]byte{place.ManifestFile: []byte("id: a"), "main.lua": []byte("-- a"), "lib/b.lua": {}, "c.bin": make([]byte, 5000), "d.lua.txt": []byte("d")}
	content, hash, err := place.Pack(files)
	if err != nil {
		t.Fatal(err)
	}
	code := map[string][]byte{place.ManifestFile: files[place.ManifestFile], "main.lua": files["main.lua"], "lib/b.lua": {}}
	if got, err := place.UnpackScripts(bytes.NewReader(content), hash); err != nil || !sameFiles(got, code) {
		t.Errorf("got files %q and %v, want %q", slices.Sorted(maps.Keys(got)), err, slices.Sorted(maps.Keys(code)))
	}
	asset := bytes.Index(content, []byte("c.bin"))
	for name, bad := range map[string][]byte{
		"an asset's byte": flip(content, asset+600), "an asset's name": flip(content, asset), "cut in the asset": content[:asset+1000],
	} {
		if got, err := place.UnpackScripts(bytes.NewReader(bad), hash); err == nil || got != nil || throng.KindOf(err) != throng.Internal {
			t.Errorf("%s: got %d files and %v, want none and a damaged package", name, len(got), err)
		}
	}
	link := tarball(t, entry{tar.Header{Name: "c.bin", Typeflag: tar.TypeSymlink, Linkname: "/etc/passwd"}, ""})
	if _, err := place.UnpackScripts(bytes.NewReader(link), place.Hash(link)); err == nil || !strings.Contains(err.Error(), "is a link") {
		t.Errorf("a link among the assets: got %v", err)
	}
}

func BenchmarkUnpack30MiB(b *testing.B) {
	files := map[string][]byte{place.ManifestFile: []byte("id: a"), "main.lua": []byte("-- a")}
	for n := range 4 {
		files[fmt.Sprintf("asset-%d.bin", n)] = make([]byte, min(place.MaxFile, 30<<18))
	}
	content, hash, err := place.Pack(files)
	if err != nil {
		b.Fatal(err)
	}
	file := filepath.Join(b.TempDir(), "package.tar")
	if err := os.WriteFile(file, content, 0o600); err != nil {
		b.Fatal(err)
	}
	for name, unpack := range map[string]func(io.Reader, throng.PackageHash) (map[string][]byte, error){"all": place.Unpack, "scripts": place.UnpackScripts} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(content)))
			for b.Loop() {
				f, err := os.Open(file)
				if err != nil {
					b.Fatal(err)
				}
				if _, err := unpack(f, hash); err != nil {
					b.Fatal(err)
				}
				_ = f.Close() // it was only read
			}
		})
	}
	b.Run("hash", func(b *testing.B) {
		b.SetBytes(int64(len(content)))
		for b.Loop() {
			place.Hash(content)
		}
	})
}

type endless struct{}

func (endless) Read(p []byte) (int, error) { clear(p); return len(p), nil }

func flip(content []byte, at int) []byte {
	bad := bytes.Clone(content)
	bad[at] ^= 1
	return bad
}

func mustPack(t *testing.T, files map[string][]byte) []byte {
	t.Helper()
	content, _, err := place.Pack(files)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

func TestPackRefuses(t *testing.T) {
	many := map[string][]byte{}
	for i := range place.MaxFiles + 1 {
		many["f"+strings.Repeat("x", i%40)+string(rune('a'+i/40%26))+string(rune('a'+i/1040))] = nil
	}
	big := make([]byte, place.MaxFile)
	for name, c := range map[string]struct {
		files map[string][]byte
		want  string
	}{
		"empty path":     {map[string][]byte{"": nil}, "a path is empty"},
		"absolute":       {map[string][]byte{"/etc/passwd": nil}, "/etc/passwd: \"/etc/passwd\" must be relative"},
		"out":            {map[string][]byte{"a/../../b": nil}, "a/../../b: \"a/../../b\" leads out"},
		"dots":           {map[string][]byte{"..": nil}, "leads out"},
		"not clean":      {map[string][]byte{"a//b": nil}, "not in its shortest form, \"a/b\""},
		"dot":            {map[string][]byte{"./a": nil}, "not in its shortest form"},
		"folder":         {map[string][]byte{"a/": nil}, "not in its shortest form"},
		"backslash":      {map[string][]byte{`a\b`: nil}, "backslash"},
		"new line":       {map[string][]byte{"a\nb": nil}, "can't be printed"},
		"zero":           {map[string][]byte{"a\x00b": nil}, "can't be printed"},
		"not UTF-8":      {map[string][]byte{"a\xff": nil}, "is not UTF-8"},
		"long":           {map[string][]byte{strings.Repeat("d/", 100) + "x": nil}, "has 201 bytes, at most 200"},
		"long name":      {map[string][]byte{"d/" + strings.Repeat("x", 101): nil}, "a file name of more than 100 bytes"},
		"file in file":   {map[string][]byte{"a": nil, "a/b": nil}, "a: is a file and the folder of another file"},
		"too many":       {many, "is one file too many, at most 2000"},
		"large file":     {map[string][]byte{"a": append(slices.Clip(big), 0)}, "a: has 16777217 bytes, at most 16777216"},
		"large together": {map[string][]byte{"a": big, "b": big, "c": big, "d": big, "e": {0}}, "e: brings the files to more than 67108864"},
	} {
		_, _, err := place.Pack(c.files)
		if err == nil || !strings.Contains(err.Error(), c.want) || throng.KindOf(err) != throng.Invalid {
			t.Errorf("%s: got %v, want %q", name, err, c.want)
		}
	}
	if _, _, err := place.Pack(map[string][]byte{"a": big, "b": big, "c": big, "d": big}); err != nil {
		t.Errorf("as much as is allowed: got %v", err)
	}
}

func TestParseHash(t *testing.T) {
	good := string(place.Hash(nil))
	if got, err := place.ParseHash("package", good); err != nil || string(got) != good {
		t.Errorf("got %s, %v", got, err)
	}
	for _, s := range []string{"", good[1:], good + "0", strings.ToUpper(good), "../" + good[3:]} {
		if _, err := place.ParseHash("package", s); throng.KindOf(err) != throng.Invalid || err == nil {
			t.Errorf("%q: got %v, want invalid", s, err)
		}
	}
}

// A damaged package is never half read, and a good one is what it was packed from.
func FuzzUnpack(f *testing.F) {
	content, _, err := place.Pack(someFiles)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(content, 0)
	f.Add(content[:len(content)-512], 700)
	f.Add([]byte("not a tar"), 3)
	f.Fuzz(func(t *testing.T, data []byte, at int) {
		// Under its own name: any bytes that a store may hold.
		files, err := place.Unpack(bytes.NewReader(data), place.Hash(data))
		if err != nil && files != nil {
			t.Errorf("got %d files and %v", len(files), err)
		}
		if err == nil {
			if again, _, err := place.Pack(files); err != nil {
				t.Errorf("what was unpacked can't be packed: %v", err)
			} else if _, err := place.Unpack(bytes.NewReader(again), place.Hash(again)); err != nil {
				t.Errorf("packed again: %v", err)
			}
		}
		if len(data) == 0 {
			return
		}
		// Under another one.
		bad := flip(data, int(uint(at)%uint(len(data))))
		if files, err := place.Unpack(bytes.NewReader(bad), place.Hash(data)); err == nil || files != nil {
			t.Errorf("one bit is wrong: got %d files and %v, want an error", len(files), err)
		}
		r := place.Verified(io.NopCloser(bytes.NewReader(bad)), int64(len(bad)), place.Hash(data))
		if got, err := io.ReadAll(r); err == nil || len(got) >= len(bad) {
			t.Errorf("one bit is wrong: read %d of %d bytes and %v, want fewer and an error", len(got), len(bad), err)
		}
	})
}
