package place_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/place"
)

func zip(content []byte) []byte {
	var b bytes.Buffer
	w, err := gzip.NewWriterLevel(&b, level(content))
	if err != nil {
		panic(err)
	}
	if _, err := w.Write(content); err != nil {
		panic(err)
	}
	if err := w.Close(); err != nil {
		panic(err)
	}
	return b.Bytes()
}

// level is chosen for the test's speed: noise is not worth the work.
func level(content []byte) int {
	if len(content) > 1<<20 && bytes.Count(content, []byte{0}) < len(content)/2 {
		return gzip.NoCompression
	}
	return gzip.BestSpeed
}

// entry is a tar header with its content.
type entry struct {
	tar.Header
	content string
}

func file(name, content string) entry {
	return entry{tar.Header{Name: name, Typeflag: tar.TypeReg, Mode: 0o600, Size: int64(len(content)), ModTime: time.Unix(1e9, 0)}, content}
}

func upload(tb testing.TB, entries ...entry) []byte {
	tb.Helper()
	return zip(tarball(tb, entries...))
}

func tarball(tb testing.TB, entries ...entry) []byte {
	tb.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, e := range entries {
		if err := w.WriteHeader(&e.Header); err != nil {
			tb.Fatal(err)
		}
		if _, err := io.WriteString(w, e.content); err != nil {
			tb.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		tb.Fatal(err)
	}
	return b.Bytes()
}

func TestWriteUploadReadUpload(t *testing.T) {
	var b bytes.Buffer
	if err := place.WriteUpload(&b, someFiles); err != nil {
		t.Fatal(err)
	}
	got, err := place.ReadUpload(&b)
	if err != nil || !sameFiles(got, someFiles) {
		t.Errorf("got %d files, %v, want what was written", len(got), err)
	}
	if err := place.WriteUpload(io.Discard, map[string][]byte{"../a": nil}); throng.KindOf(err) != throng.Invalid || err == nil {
		t.Errorf("a path that leads out: got %v", err)
	}
}

// What tar and git write is read: folders, a dot before each path, long paths
// in pax headers, a comment.
func TestReadUploadOfOtherTools(t *testing.T) {
	long := strings.Repeat("ü/", 40) + strings.Repeat("x", 70)
	got, err := place.ReadUpload(bytes.NewReader(upload(
		t,
		entry{tar.Header{Typeflag: tar.TypeXGlobalHeader, Name: "pax_global_header", PAXRecords: map[string]string{"comment": "0123"}}, ""},
		entry{tar.Header{Typeflag: tar.TypeDir, Name: "./", Mode: 0o755}, ""},
		file("./place.yaml", "id: a"),
		entry{tar.Header{Typeflag: tar.TypeDir, Name: "./scripts/", Mode: 0o755}, ""},
		file("./scripts/main.lua", "--"),
		file(long, "long"),
	)))
	want := map[string][]byte{"place.yaml": []byte("id: a"), "scripts/main.lua": []byte("--"), long: []byte("long")}
	if err != nil || !sameFiles(got, want) {
		t.Errorf("got %q, %v, want %q", slices.Sorted(maps.Keys(got)), err, slices.Sorted(maps.Keys(want)))
	}
}

func TestReadUploadRefuses(t *testing.T) {
	noise := make([]byte, place.MaxFile)
	rand.Read(noise)
	good := upload(t, file("place.yaml", "id: a"), file("main.lua", string(noise[:4000])))
	flipped := bytes.Clone(good)
	flipped[len(flipped)-6] ^= 1 // gzip's checksum
	huge := file("huge.bin", "")
	huge.Size = place.MaxFile + 1
	manyFiles, manyFolders := make([]entry, place.MaxFiles+1), make([]entry, 2*place.MaxFiles+1001)
	for i := range manyFiles {
		manyFiles[i] = file(fmt.Sprintf("f%d", i), "")
	}
	for i := range manyFolders {
		manyFolders[i] = entry{tar.Header{Typeflag: tar.TypeDir, Name: fmt.Sprintf("d%d/", i)}, ""}
	}
	for name, c := range map[string]struct {
		upload []byte
		want   string
	}{
		"empty":          {nil, "upload: is not a gzipped tar: it is empty or cut off"},
		"not gzip":       {[]byte("PK\x03\x04 a zip archive, perhaps"), "upload: is not a gzipped tar"},
		"not tar":        {zip(bytes.Repeat([]byte("x"), 2000)), "after the first file: "},
		"cut":            {good[:len(good)/2], "main.lua: the upload is cut off here"},
		"checksum":       {flipped, "upload: "},
		"absolute":       {upload(t, file("/etc/passwd", "x")), "/etc/passwd: "},
		"out":            {upload(t, file("ok", ""), file("../x", "x")), "../x: "},
		"out behind dot": {upload(t, file("./../x", "x")), "../x: "},
		"backslash":      {upload(t, file(`a\b`, "x")), `a\b: `},
		"twice":          {upload(t, file("a", "1"), file("a", "2")), "a: is there twice"},
		"twice by a dot": {upload(t, file("a", "1"), file("./a", "2")), "a: is there twice"},
		"file in file":   {upload(t, file("a", "1"), file("a/b", "2")), "a: is a file and the folder of another file"},
		"symbolic link":  {upload(t, entry{tar.Header{Typeflag: tar.TypeSymlink, Name: "l", Linkname: "/etc/passwd"}, ""}), `l: is a link to "/etc/passwd"`},
		"hard link":      {upload(t, entry{tar.Header{Typeflag: tar.TypeLink, Name: "l", Linkname: "a"}, ""}), `l: is a link to "a"`},
		"device":         {upload(t, entry{tar.Header{Typeflag: tar.TypeChar, Name: "dev"}, ""}), "dev: is neither a file nor a folder"},
		"pipe":           {upload(t, entry{tar.Header{Typeflag: tar.TypeFifo, Name: "p"}, ""}), "p: is neither a file nor a folder"},
		"many files":     {upload(t, manyFiles...), "f2000: is one file too many"},
		"many folders":   {upload(t, manyFolders...), "d4999: is one of more than 5000 entries"},
		"bomb":           {upload(t, file("a", "1"), file("zeros.bin", strings.Repeat("\x00", 8<<20))), "zeros.bin: the upload unpacks to more than 200 times"},
		"bomb at end":    {zip(make([]byte, 90<<20)), "upload: the upload unpacks to more than"},
		"large file":     {header(t, huge), "huge.bin: has 16777217 bytes, at most 16777216"},
		"large together": {upload(t, file("a", string(noise)), file("b", string(noise)), file("c", string(noise)), file("d", string(noise)), file("e", "1")), "e: brings the files to more than 67108864"},
	} {
		files, err := place.ReadUpload(bytes.NewReader(c.upload))
		if err == nil || files != nil || !strings.HasPrefix(err.Error(), c.want) || throng.KindOf(err) != throng.Invalid {
			t.Errorf("%s: got %d files, %v %v, want invalid %q", name, len(files), throng.KindOf(err), err, c.want)
		}
	}
}

// A million files cost what the first 2,000 cost: the rest is never read.
func TestReadUploadOfAMillionFiles(t *testing.T) {
	from, to := io.Pipe()
	wrote := make(chan int)
	go func() {
		zip, err := gzip.NewWriterLevel(to, gzip.HuffmanOnly)
		if err != nil {
			panic(err)
		}
		w, n := tar.NewWriter(zip), 0
		for ; n < 1_000_000; n++ {
			if err := w.WriteHeader(&tar.Header{Name: fmt.Sprintf("f%d", n), Typeflag: tar.TypeReg}); err != nil {
				break
			}
		}
		_ = to.CloseWithError(errors.Join(w.Close(), zip.Close())) // the reader may be gone
		wrote <- n
	}()
	files, err := place.ReadUpload(from)
	_ = from.Close()
	n := <-wrote
	if err == nil || files != nil || !strings.HasPrefix(err.Error(), "f2000: is one file too many, at most 2000") {
		t.Errorf("got %d files and %v, want one file too many", len(files), err)
	}
	if n > 20_000 {
		t.Errorf("%d files were taken off the wire, want little more than %d", n, place.MaxFiles)
	}
}

// header is an upload that ends after a header.
func header(t *testing.T, e entry) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := tar.NewWriter(&b).WriteHeader(&e.Header); err != nil {
		t.Fatal(err)
	}
	return zip(b.Bytes())
}

func TestReadDir(t *testing.T) {
	folder := fstest.MapFS{
		"place.yaml":        {Data: []byte("id: a")},
		"scripts/main.lua":  {Data: []byte("--")},
		".git/config":       {Data: []byte("secret")},
		"scripts/.main.swp": {Data: []byte("x")},
		".hidden":           {Data: []byte("x")},
	}
	got, err := place.ReadDir(folder)
	want := map[string][]byte{"place.yaml": []byte("id: a"), "scripts/main.lua": []byte("--")}
	if err != nil || !sameFiles(got, want) {
		t.Errorf("got %q, %v, want %q", slices.Sorted(maps.Keys(got)), err, slices.Sorted(maps.Keys(want)))
	}

	onDisk := t.TempDir()
	if err := os.Symlink("/etc/passwd", filepath.Join(onDisk, "link.lua")); err != nil {
		t.Fatal(err)
	}
	if _, err := place.ReadDir(os.DirFS(onDisk)); err == nil || !strings.Contains(err.Error(), "link.lua: is not a regular file") {
		t.Errorf("a link: got %v", err)
	}
	folder["big.bin"] = &fstest.MapFile{Data: make([]byte, place.MaxFile+1)}
	if _, err := place.ReadDir(folder); err == nil || !strings.Contains(err.Error(), "big.bin: has 16777217 bytes") {
		t.Errorf("a large file: got %v", err)
	}
	if _, err := place.ReadDir(os.DirFS(filepath.Join(onDisk, "none"))); err == nil {
		t.Error("no folder: got no error")
	}
}

func FuzzReadUpload(f *testing.F) {
	f.Add(upload(f, file("place.yaml", goodManifest), file("a/b.lua", "--")))
	f.Add(upload(f, entry{tar.Header{Typeflag: tar.TypeSymlink, Name: "l", Linkname: "../.."}, ""}))
	f.Add([]byte("\x1f\x8b"))
	f.Fuzz(func(t *testing.T, data []byte) {
		// Most changes break gzip's checksum: the bytes are tried as a tar, too.
		for _, up := range [][]byte{data, zip(data)} {
			files, err := place.ReadUpload(bytes.NewReader(up))
			if err != nil {
				if throng.KindOf(err) != throng.Invalid || files != nil {
					t.Errorf("got %d files and %v %v, want none and invalid", len(files), throng.KindOf(err), err)
				}
				continue
			}
			content, hash, err := place.Pack(files)
			if err != nil {
				t.Fatalf("what was read can't be packed: %v", err)
			}
			again, err := place.Unpack(bytes.NewReader(content), hash)
			if err != nil || !sameFiles(again, files) {
				t.Errorf("unpacked %d files, %v, want %d", len(again), err, len(files))
			}
		}
	})
}
