package forward_test

import (
	"bufio"
	"encoding/json"
	"io"
	"net/textproto"
	"strconv"
)

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
