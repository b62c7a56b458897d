package forward

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
)

// message is one of JSON-RPC's, as it came.
type message struct {
	frame  []byte // with its header
	id     string // as JSON, "" for none
	method string // "" in an answer
	body   []byte
	params []byte
}

// maxHeader is how long a line of a header may be; LSP's two have 70 bytes at
// most.
const maxHeader = 4 << 10

// atOnce is how much is taken for a message before it has come: a length that
// is a mistake costs no more.
const atOnce = 1 << 20

// read reads the next message. A body that is no JSON object has no parts.
func read(r *bufio.Reader) (*message, error) {
	length := -1
	for first := true; ; first = false {
		line, err := r.ReadSlice('\n')
		switch {
		case err == io.EOF && first && len(line) == 0:
			return nil, io.EOF
		case err == bufio.ErrBufferFull:
			return nil, fmt.Errorf("a line of a header of more than %d bytes", maxHeader)
		case err != nil:
			return nil, noEOF(err)
		}
		text := strings.TrimRight(string(line), "\r\n")
		if text == "" {
			break
		}
		name, value, ok := strings.Cut(text, ":")
		if !ok {
			return nil, fmt.Errorf("%q is no line of a header", text)
		}
		if strings.EqualFold(name, "Content-Length") {
			if length, err = strconv.Atoi(strings.TrimSpace(value)); err != nil || length < 0 {
				return nil, fmt.Errorf("%q is no length", text)
			}
		}
	}
	if length < 0 {
		return nil, errors.New("a message without a length")
	}
	head := fmt.Appendf(nil, "Content-Length: %d\r\n\r\n", length)
	frame := append(make([]byte, 0, len(head)+min(length, atOnce)), head...)
	for left := length; left > 0; left -= min(left, atOnce) {
		at, n := len(frame), min(left, atOnce)
		frame = slices.Grow(frame, n)[:at+n]
		if _, err := io.ReadFull(r, frame[at:]); err != nil {
			return nil, noEOF(err)
		}
	}
	m := &message{frame: frame}
	m.take(m.frame[len(head):])
	return m, nil
}

func noEOF(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

// made is a message of the forwarder's own.
func made(v any) *message {
	body, err := json.Marshal(v)
	if err != nil {
		return nil // of nothing that is sent
	}
	m := &message{frame: append(fmt.Appendf(nil, "Content-Length: %d\r\n\r\n", len(body)), body...)}
	m.take(m.frame[len(m.frame)-len(body):])
	return m
}

type object = map[string]any

func request(id, method string, params any) *message {
	return made(object{"jsonrpc": "2.0", "id": json.RawMessage(id), "method": method, "params": params})
}

func notification(method string, params any) *message {
	return made(object{"jsonrpc": "2.0", "method": method, "params": params})
}

// withID is the message with another id.
func (m *message) withID(id string) *message {
	var parts map[string]json.RawMessage
	if json.Unmarshal(m.body, &parts) != nil {
		return nil
	}
	parts["id"] = json.RawMessage(id)
	return made(parts)
}

// take finds the parts of a body. Only what stands on the outermost level is
// looked at, and no more than is needed: answers are long, and have nothing
// else behind their result.
func (m *message) take(body []byte) {
	m.body = body
	i := space(body, 0)
	if i >= len(body) || body[i] != '{' {
		return
	}
	for i++; ; i++ {
		i = space(body, i)
		from := i
		if i >= len(body) || body[i] != '"' {
			return
		}
		i = behind(body, i)
		key := body[from:min(i, len(body))]
		i = space(body, i)
		if i >= len(body) || body[i] != ':' {
			return
		}
		i = space(body, i+1)
		name := string(key)
		if m.id != "" && m.method == "" && (name == `"result"` || name == `"error"`) {
			return
		}
		from = i
		i = behind(body, i)
		value := body[from:min(i, len(body))]
		switch name {
		case `"id"`:
			m.id = string(value)
		case `"method"`:
			_ = json.Unmarshal(value, &m.method)
		case `"params"`:
			m.params = value
		}
		if i = space(body, i); i >= len(body) || body[i] != ',' {
			return
		}
	}
}

func space(b []byte, i int) int {
	for i < len(b) && (b[i] == ' ' || b[i] == '\t' || b[i] == '\n' || b[i] == '\r') {
		i++
	}
	return i
}

// behind is where the value ends that begins at i.
func behind(b []byte, i int) int {
	for depth := 0; i < len(b); {
		switch b[i] {
		case '"':
			if i = quoted(b, i); depth == 0 {
				return i
			}
			continue
		case '{', '[':
			depth++
		case '}', ']':
			if depth--; depth < 0 {
				return i
			}
			if depth == 0 {
				return i + 1
			}
		case ',', ' ', '\t', '\n', '\r':
			if depth == 0 {
				return i
			}
		}
		i++
	}
	return i
}

// quoted is where the string ends that begins at i.
func quoted(b []byte, i int) int {
	for i++; ; {
		k := bytes.IndexByte(b[i:], '"')
		if k < 0 {
			return len(b)
		}
		i += k
		slashes := 0
		for b[i-1-slashes] == '\\' {
			slashes++
		}
		i++
		if slashes%2 == 0 {
			return i
		}
	}
}
