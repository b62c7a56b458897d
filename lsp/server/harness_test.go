package server_test

import (
	"bufio"
	"encoding/json"
	"io"
	"log/slog"
	"net/textproto"
	"strconv"
)

// quiet is a log for tests that send what is wrong on purpose.
func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

// newDecoder reads the messages of a stream.
func newDecoder(r io.Reader) func(v any) error {
	b := bufio.NewReader(r)
	return func(v any) error {
		h, err := textproto.NewReader(b).ReadMIMEHeader()
		if err != nil {
			return err
		}
		n, err := strconv.Atoi(h.Get("Content-Length"))
		if err != nil {
			return err
		}
		body := make([]byte, n)
		if _, err := io.ReadFull(b, body); err != nil {
			return err
		}
		return json.Unmarshal(body, v)
	}
}
