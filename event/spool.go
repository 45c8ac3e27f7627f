package event

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/throng-gg/throng"
)

const (
	segmentMost  = 1 << 20
	segmentFirst = 1 << 32 // number of the first file, so that there is room before it
	entryHead    = 8       // length and CRC of an entry
	segmentName  = ".events"
)

// spool is events in files, oldest first. A file has entries of a length, a CRC and
// an event as JSON. It is not synced: it outlives the process, not the machine.
type spool struct {
	dir      string
	segments []segment
	file     *os.File // the last segment, for writing; nil: a new one is begun
	bytes    int64    // of all segments
	at       int64    // in the first segment: what is before is published
	ahead    int64    // in the first segment: what is before was read
}

// segment is a file.
type segment struct {
	number uint64
	bytes  int64
}

// openSpool opens a folder, made when missing, with what it has.
func openSpool(dir string) (*spool, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, throng.Errorf(throng.Unavailable, "folder for events: %w", err)
	}
	list, err := os.ReadDir(dir)
	if err != nil {
		return nil, throng.Errorf(throng.Unavailable, "folder for events: %w", err)
	}
	s := &spool{dir: dir}
	for _, entry := range list {
		name, ok := strings.CutSuffix(entry.Name(), segmentName)
		number, err := strconv.ParseUint(name, 16, 64)
		info, gone := entry.Info()
		if !ok || err != nil || gone != nil {
			continue
		}
		s.segments = append(s.segments, segment{number, info.Size()})
		s.bytes += info.Size()
	}
	slices.SortFunc(s.segments, func(a, b segment) int {
		if a.number < b.number {
			return -1
		}
		return 1
	})
	return s, nil
}

func (s *spool) path(number uint64) string {
	return filepath.Join(s.dir, fmt.Sprintf("%016x%s", number, segmentName))
}

// empty says that all is published.
func (s *spool) empty() bool { return len(s.segments) == 0 }

func (s *spool) close() {
	if s.file != nil {
		_ = s.file.Close()
		s.file = nil
	}
}

// append writes events behind all others. wrote is how many are there.
func (s *spool) append(list []throng.Event) (wrote int, err error) {
	var buffer []byte
	for i, e := range list {
		buffer = appendEntry(buffer, e)
		if len(buffer) < segmentMost/4 && i < len(list)-1 {
			continue
		}
		if err := s.write(buffer); err != nil {
			return wrote, err
		}
		wrote, buffer = i+1, buffer[:0]
	}
	return wrote, nil
}

func (s *spool) write(entries []byte) error {
	if s.file != nil && s.segments[len(s.segments)-1].bytes >= segmentMost {
		s.close()
	}
	if s.file == nil {
		number := uint64(segmentFirst)
		if n := len(s.segments); n > 0 {
			number = s.segments[n-1].number + 1
		}
		file, err := os.OpenFile(s.path(number), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
		if err != nil {
			return err
		}
		s.file = file
		s.segments = append(s.segments, segment{number: number})
	}
	last := &s.segments[len(s.segments)-1]
	if _, err := s.file.Write(entries); err != nil {
		// Whatever of it is there would be read: the file ends before it.
		err = errors.Join(err, s.file.Truncate(last.bytes))
		s.close()
		if last.bytes == 0 {
			_ = os.Remove(s.path(last.number))
			s.segments = s.segments[:len(s.segments)-1]
		}
		return err
	}
	last.bytes += int64(len(entries))
	s.bytes += int64(len(entries))
	return nil
}

// prepend writes events before all others, of which none is being read.
func (s *spool) prepend(list []throng.Event) error {
	if s.empty() {
		_, err := s.append(list)
		return err
	}
	var entries []byte
	for _, e := range list {
		entries = appendEntry(entries, e)
	}
	number := s.segments[0].number - 1
	if s.at > 0 { // its published part is not to come again behind these
		rest, err := os.ReadFile(s.path(s.segments[0].number))
		if err != nil {
			return err
		}
		entries = append(entries, rest[min(s.at, int64(len(rest))):]...)
	}
	if err := os.WriteFile(s.path(number), entries, 0o600); err != nil {
		return err
	}
	if s.at > 0 {
		s.removeFirst()
	}
	s.segments = slices.Insert(s.segments, 0, segment{number, int64(len(entries))})
	s.bytes += int64(len(entries))
	return nil
}

func appendEntry(b []byte, e throng.Event) []byte {
	text, err := json.Marshal(e)
	if err != nil {
		return b // its data was checked: it can be written
	}
	b = binary.LittleEndian.AppendUint32(b, uint32(len(text)))
	b = binary.LittleEndian.AppendUint32(b, crc32.ChecksumIEEE(text))
	return append(b, text...)
}

// parseEntry reads the first entry. n 0: there is none that is whole.
func parseEntry(b []byte) (e throng.Event, n int) {
	if len(b) < entryHead {
		return e, 0
	}
	size := int(binary.LittleEndian.Uint32(b))
	if size > len(b)-entryHead {
		return e, 0
	}
	text := b[entryHead : entryHead+size]
	if crc32.ChecksumIEEE(text) != binary.LittleEndian.Uint32(b[4:]) || json.Unmarshal(text, &e) != nil {
		return e, 0
	}
	return e, entryHead + size
}

// read returns the oldest events, until done is called the same ones. broken is how
// many files had a rest that cannot be read, which is passed over.
func (s *spool) read(most int) (list []throng.Event, broken int) {
	for !s.empty() {
		first := s.segments[0]
		data, err := os.ReadFile(s.path(first.number))
		if err != nil || int64(len(data)) < s.at {
			s.removeFirst()
			broken++
			continue
		}
		at, bytes := s.at, 0
		for len(list) < most && bytes < batchBytes {
			e, n := parseEntry(data[at:])
			if n == 0 {
				break
			}
			list, at, bytes = append(list, e), at+int64(n), bytes+n
		}
		if len(list) > 0 {
			s.ahead = at
			return list, broken
		}
		if at < int64(len(data)) {
			broken++
		}
		s.removeFirst()
	}
	return nil, broken
}

// done lets go of what read returned.
func (s *spool) done() {
	if s.empty() {
		return
	}
	if s.at = s.ahead; s.at >= s.segments[0].bytes {
		s.removeFirst()
	}
}

func (s *spool) removeFirst() { s.remove(0) }

func (s *spool) remove(i int) {
	if i == len(s.segments)-1 {
		s.close()
	}
	_ = os.Remove(s.path(s.segments[i].number))
	s.bytes -= s.segments[i].bytes
	s.segments = slices.Delete(s.segments, i, i+1)
	if i == 0 {
		s.at, s.ahead = 0, 0
	}
}

// again says that what read returned was not published.
func (s *spool) again() { s.ahead = s.at }

// shrink removes the oldest files until the rest takes at most so many bytes, and
// returns the streams of the events that are gone with them. A file that is being
// published from stays.
func (s *spool) shrink(most int64) (gone []throng.Stream) {
	for s.bytes > most {
		i := 0
		if s.ahead > s.at {
			i = 1
		}
		if len(s.segments) <= i+1 { // the one that is written to stays
			return gone
		}
		data, err := os.ReadFile(s.path(s.segments[i].number))
		at := int64(0)
		if i == 0 {
			at = min(s.at, int64(len(data)))
		}
		for err == nil {
			e, n := parseEntry(data[at:])
			if n == 0 {
				break
			}
			gone = append(gone, e.Stream)
			at += int64(n)
		}
		s.remove(i)
	}
	return gone
}
