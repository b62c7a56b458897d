package lsptest

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/textproto"
	"strconv"
	"testing"
)

// Debugger is a client of the debug adapter protocol. Its methods fail the test
// when the adapter does not answer as it should.
type Debugger struct {
	t    testing.TB
	conn net.Conn
	in   *bufio.Reader
	seq  int
	said []dapMessage // events that nobody has waited for
}

type dapMessage struct {
	Type       string
	Event      string
	Command    string
	RequestSeq int `json:"request_seq"`
	Success    bool
	Message    string
	Body       json.RawMessage
}

// Debug connects to an adapter.
func Debug(t testing.TB, host string, port int) *Debugger {
	t.Helper()
	conn, err := net.Dial("tcp", net.JoinHostPort(host, strconv.Itoa(port)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return &Debugger{t: t, conn: conn, in: bufio.NewReader(conn)}
}

// Send sends a request and returns its number.
func (d *Debugger) Send(command string, arguments any) int {
	d.t.Helper()
	d.seq++
	b, err := json.Marshal(map[string]any{"seq": d.seq, "type": "request", "command": command, "arguments": arguments})
	if err == nil {
		_, err = fmt.Fprintf(d.conn, "Content-Length: %d\r\n\r\n%s", len(b), b)
	}
	if err != nil {
		d.t.Fatal(err)
	}
	return d.seq
}

// Call sends a request and waits for its answer.
func (d *Debugger) Call(command string, arguments, body any) {
	d.t.Helper()
	d.Answer(d.Send(command, arguments), body)
}

// Answer waits for the answer to a request.
func (d *Debugger) Answer(seq int, body any) {
	d.t.Helper()
	for {
		m := d.read()
		switch {
		case m.Type == "event":
			d.said = append(d.said, m)
		case m.RequestSeq == seq:
			if !m.Success {
				d.t.Fatalf("%s: %s", m.Command, m.Message)
			}
			d.decode(m, body)
			return
		}
	}
}

// Event waits for the next event of a name. A request that fails meanwhile fails
// the test.
func (d *Debugger) Event(name string, body any) {
	d.t.Helper()
	for i, m := range d.said {
		if m.Event == name {
			d.said = append(d.said[:i], d.said[i+1:]...)
			d.decode(m, body)
			return
		}
	}
	for {
		switch m := d.read(); {
		case m.Type == "event" && m.Event == name:
			d.decode(m, body)
			return
		case m.Type == "event":
			d.said = append(d.said, m)
		case m.Type == "response" && !m.Success:
			d.t.Fatalf("%s: %s", m.Command, m.Message)
		}
	}
}

func (d *Debugger) decode(m dapMessage, body any) {
	d.t.Helper()
	if body != nil {
		if err := json.Unmarshal(m.Body, body); err != nil {
			d.t.Fatal(err)
		}
	}
}

func (d *Debugger) read() (m dapMessage) {
	d.t.Helper()
	h, err := textproto.NewReader(d.in).ReadMIMEHeader()
	if err == nil {
		var n int
		if n, err = strconv.Atoi(h.Get("Content-Length")); err == nil {
			b := make([]byte, n)
			if _, err = io.ReadFull(d.in, b); err == nil {
				err = json.Unmarshal(b, &m)
			}
		}
	}
	if err != nil {
		d.t.Fatalf("the debug adapter: %v", err)
	}
	return m
}
