package joinlog

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// maxLine is the longest record that is read back, bytes.
const maxLine = 1 << 20

// ring is two files of JSON lines. When the one that is written is full, the
// other one is emptied and written next.
type ring struct {
	dir  string
	most int64 // bytes of both files

	file *os.File
	out  *bufio.Writer
	now  int // which file is written
	size int64
}

func (r *ring) path(n int) string { return filepath.Join(r.dir, fmt.Sprintf("joins-%d.jsonl", n)) }

// openRing opens the files and gives each line to take, oldest first. A line
// that was cut off by a crash is left out.
func openRing(dir string, most int64, take func(line []byte)) (*ring, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("folder of the joins: %w", err)
	}
	r := &ring{dir: dir, most: most}
	newest := [2]int64{}
	for n := range newest {
		if info, err := os.Stat(r.path(n)); err == nil && info.Size() > 0 {
			newest[n] = info.ModTime().UnixNano()
		}
	}
	if newest[1] > newest[0] {
		r.now = 1
	}
	for _, n := range []int{1 - r.now, r.now} {
		if err := readLines(r.path(n), take); err != nil {
			return nil, fmt.Errorf("read the joins of before: %w", err)
		}
	}
	return r, r.open(os.O_APPEND)
}

func readLines(path string, take func(line []byte)) error {
	f, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close() //nolint:errcheck // it is only read
	in := bufio.NewReaderSize(f, maxLine)
	for {
		line, err := in.ReadSlice('\n')
		switch {
		case errors.Is(err, io.EOF):
			return nil // what is behind the last line end was not written to its end
		case errors.Is(err, bufio.ErrBufferFull):
			continue // no record of ours
		case err != nil:
			return err
		}
		take(bytes.TrimSuffix(line, []byte{'\n'}))
	}
}

// open opens the file that is written, with O_APPEND or O_TRUNC.
func (r *ring) open(how int) error {
	f, err := os.OpenFile(r.path(r.now), os.O_CREATE|os.O_WRONLY|how, 0o600)
	if err != nil {
		return err
	}
	info, err := f.Stat()
	if err != nil {
		return errors.Join(err, f.Close())
	}
	r.file, r.size, r.out = f, info.Size(), bufio.NewWriterSize(f, 256<<10)
	if r.size > 0 { // after a crash its last line may have no end
		r.size++
		return r.out.WriteByte('\n')
	}
	return nil
}

// write appends a line.
func (r *ring) write(line []byte) error {
	if r.size > 0 && r.size+int64(len(line)) > r.most/2 {
		if err := r.close(); err != nil {
			return err
		}
		r.now = 1 - r.now
		if err := r.open(os.O_TRUNC); err != nil {
			return err
		}
	}
	r.size += int64(len(line)) + 1
	if _, err := r.out.Write(line); err != nil {
		return err
	}
	return r.out.WriteByte('\n')
}

func (r *ring) flush() error { return r.out.Flush() }

func (r *ring) close() error { return errors.Join(r.out.Flush(), r.file.Close()) }
