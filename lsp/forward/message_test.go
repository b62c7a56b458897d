package forward

import (
	"bufio"
	"bytes"
	"encoding/json"
	"io"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// TestParts finds what stands on the outermost level, as encoding/json does.
func TestParts(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		value := rapid.Deferred(func() *rapid.Generator[any] { return anything(3) })
		object := map[string]any{"jsonrpc": "2.0"}
		for _, key := range []string{"id", "method", "params", "extra", "error"} {
			if rapid.Bool().Draw(r, key) {
				object[key] = value.Draw(r, "value of "+key)
			}
		}
		if _, ok := object["method"]; ok {
			object["method"] = rapid.String().Draw(r, "method's name")
		}
		var body []byte
		var err error
		if rapid.Bool().Draw(r, "indented") {
			body, err = json.MarshalIndent(object, "\r\t", "  ")
		} else {
			body, err = json.Marshal(object)
		}
		if err != nil {
			r.Fatal(err)
		}
		m := new(message)
		m.take(body)
		var want struct {
			ID, Params json.RawMessage
			Method     string
		}
		if err := json.Unmarshal(body, &want); err != nil {
			r.Fatal(err)
		}
		_, failed := object["error"]
		if failed && object["id"] != nil { // an answer: nothing is looked for behind it
			want.Method, want.Params = m.method, m.params
		}
		same := func(a []byte, b []byte) bool { return string(a) == string(b) || string(b) == "null" && len(a) == 0 }
		if !failed && (!same([]byte(m.id), want.ID) || m.method != want.Method || !same(m.params, want.Params)) {
			r.Fatalf("%s\nid %q method %q params %q", body, m.id, m.method, m.params)
		}
	})
}

func anything(depth int) *rapid.Generator[any] {
	one := []*rapid.Generator[any]{rapid.String().AsAny(), rapid.Int().AsAny(), rapid.Bool().AsAny(), rapid.Just[any](nil)}
	if depth > 0 {
		deeper := rapid.Deferred(func() *rapid.Generator[any] { return anything(depth - 1) })
		one = append(one, rapid.SliceOfN(deeper, 0, 3).AsAny(), rapid.MapOfN(rapid.String(), deeper, 0, 3).AsAny())
	}
	return rapid.OneOf(one...)
}

// FuzzTake takes any bytes for a body.
func FuzzTake(f *testing.F) {
	f.Add([]byte(`{"jsonrpc":"2.0","id":1,"method":"a","params":{"x":["\\\"",{}]}}`))
	f.Fuzz(func(_ *testing.T, b []byte) { new(message).take(b) })
}

func TestRead(t *testing.T) {
	for in, want := range map[string]string{
		"Content-Length: 2\r\n\r\n{}":             "Content-Length: 2\r\n\r\n{}",
		"content-length:2\nContent-Type: x\n\n{}": "Content-Length: 2\r\n\r\n{}",
		"":                            "EOF",
		"Content-Length: 3\r\n\r\n{}": "unexpected EOF",
		"Content-Le":                  "unexpected EOF",
		"Content-Length: -1\r\n\r\n":  `"Content-Length: -1" is no length`,
		"Content-Length: 9999999999999999999999\r\n\r\n": `"Content-Length: 9999999999999999999999" is no length`,
		"Content-Length: 900000000000\r\n\r\n{}":         "unexpected EOF", // and takes no such memory
		"\r\n":                                           "a message without a length",
		"nonsense\r\n\r\n":                               `"nonsense" is no line of a header`,
		"Content-Length: 2" + strings.Repeat(" ", 5000) + "\r\n\r\n{}": "a line of a header of more than 4096 bytes",
	} {
		m, err := read(bufio.NewReaderSize(strings.NewReader(in), maxHeader))
		got := ""
		if err != nil {
			got = err.Error()
		} else {
			got = string(m.frame)
		}
		if got != want {
			t.Errorf("%.40q: %q, want %q", in, got, want)
		}
	}
	var b bytes.Buffer
	for range 3 {
		b.Write(notification("a", object{"x": "é\n"}).frame)
	}
	r := bufio.NewReaderSize(&b, maxHeader)
	for range 3 {
		if m, err := read(r); err != nil || m.method != "a" || m.id != "" || string(m.params) != `{"x":"é\n"}` {
			t.Errorf("%+v, %v", m, err)
		}
	}
	if _, err := read(r); err != io.EOF {
		t.Error(err)
	}
	if m := request("7", "a", nil).withID(`"x"`); m.id != `"x"` || m.method != "a" {
		t.Errorf("%+v", m)
	}
}
