package bolt

import "encoding/binary"

func appendText(out []byte, s string) []byte {
	return append(binary.AppendUvarint(out, uint64(len(s))), s...)
}

// fields takes stored fields apart. Once bad, all that follows is zero.
type fields struct {
	data []byte
	bad  bool
}

func (f *fields) byte() byte {
	if f.bad || len(f.data) == 0 {
		f.bad = true
		return 0
	}
	b := f.data[0]
	f.data = f.data[1:]
	return b
}

func (f *fields) number() uint64 {
	v, n := binary.Uvarint(f.data)
	if f.bad || n <= 0 {
		f.bad = true
		return 0
	}
	f.data = f.data[n:]
	return v
}

func (f *fields) signed() int64 {
	v, n := binary.Varint(f.data)
	if f.bad || n <= 0 {
		f.bad = true
		return 0
	}
	f.data = f.data[n:]
	return v
}

func (f *fields) text() string {
	n := f.number()
	if f.bad || n > uint64(len(f.data)) {
		f.bad = true
		return ""
	}
	s := string(f.data[:n])
	f.data = f.data[n:]
	return s
}
