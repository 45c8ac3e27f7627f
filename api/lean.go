package api

import (
	"bufio"
	"bytes"
	"net"
	"net/http"
)

// lean is a ResponseWriter whose connection has small buffers of its own once it
// is hijacked. Those of net/http are 4 KiB each way, for as long as it is open.
type lean struct{ http.ResponseWriter }

// Hijack is net/http's.
func (l lean) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, rw, err := http.NewResponseController(l.ResponseWriter).Hijack()
	if err != nil {
		return nil, nil, err
	}
	early, err := rw.Peek(rw.Reader.Buffered())
	if err != nil {
		return nil, nil, err
	}
	// What came too early is handed on as what is buffered.
	r := bufio.NewReaderSize(bytes.NewReader(bytes.Clone(early)), max(controlBuffer, len(early)))
	if _, err := r.Peek(len(early)); err != nil {
		return nil, nil, err
	}
	return conn, bufio.NewReadWriter(r, bufio.NewWriterSize(conn, controlBuffer)), nil
}
