package server

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/textproto"
	"strconv"
	"strings"
	"testing"

	"go.lsp.dev/jsonrpc2"
	"pgregory.net/rapid"

	"github.com/dx-py/dx-py-ls/lsp/testproto"
)

// told reads what an announcer sends.
func told(t interface{ Fatal(...any) }, r *bufio.Reader) (method string, params json.RawMessage) {
	h, err := textproto.NewReader(r).ReadMIMEHeader()
	if err != nil {
		t.Fatal(err)
	}
	n, err := strconv.Atoi(h.Get("Content-Length"))
	if err != nil {
		t.Fatal(err)
	}
	body := make([]byte, n)
	if _, err := io.ReadFull(r, body); err != nil {
		t.Fatal(err)
	}
	var m struct {
		Method string
		Params json.RawMessage
	}
	if err := json.Unmarshal(body, &m); err != nil {
		t.Fatal(err)
	}
	return m.Method, m.Params
}

// announcing is an announcer and the client's end of its pipe.
func announcing() (*announcer, *bufio.Reader, func()) {
	out, w := io.Pipe()
	in, _ := io.Pipe()
	conn := jsonrpc2.NewConn(jsonrpc2.NewHeaderStream(pipe{in, w, func() {}}), jsonrpc2.WithCodec(codec{}))
	conn.Go(context.Background(), jsonrpc2.MethodNotFoundHandler)
	s := &server{conn: conn, base: context.Background(), log: slog.New(slog.DiscardHandler)}
	return newAnnouncer(s, "r", true), bufio.NewReader(out), func() { conn.Close(); out.Close() }
}

// TestAnnouncerDoesNotBlock tells of 100,000 tests to a client that does not
// read, then reads all of it: no terminal state is lost.
func TestAnnouncerDoesNotBlock(t *testing.T) {
	a, r, stop := announcing()
	defer stop()
	const n = 100_000
	ref := func(i int) testproto.Ref { return testproto.Ref{Root: "file:///a", ID: fmt.Sprint("t.py::test_", i)} }
	for _, state := range []testproto.State{testproto.Enqueued, testproto.Started, testproto.Passed} {
		for i := range n {
			a.state(testproto.Change{Ref: ref(i), State: state})
		}
	}
	a.says(testproto.OutputParams{Stream: "stdout", Text: strings.Repeat("x", maxOutput-1) + "\n"})
	a.says(testproto.OutputParams{Stream: "stdout", Text: strings.Repeat("x", maxOutput)})
	go a.end(testproto.EndedParams{RunID: "r", Outcome: "passed"})
	last := map[string]testproto.State{}
	output := ""
	for {
		method, params := told(t, r)
		if method == testproto.MethodRunEnded {
			break
		}
		if method == testproto.MethodRunOutput {
			var p testproto.OutputParams
			if err := json.Unmarshal(params, &p); err != nil {
				t.Fatal(err)
			}
			output += p.Text
			continue
		}
		var p testproto.StatesParams
		if err := json.Unmarshal(params, &p); err != nil {
			t.Fatal(err)
		}
		for _, c := range p.Changes {
			last[c.Ref.ID] = c.State
		}
	}
	for i := range n {
		if got := last[ref(i).ID]; got != testproto.Passed {
			t.Fatalf("test %d ended %q", i, got)
		}
	}
	if !strings.HasSuffix(output, "[output was left out: the client did not read it]\r\n") {
		t.Errorf("%d bytes of output that end in %q", len(output), output[max(0, len(output)-80):])
	}
}

// TestAnnouncerEndsEveryTest has random states come and the run end: whatever
// was enqueued has one terminal state, the last that came or cancelled, and
// nothing follows the end.
func TestAnnouncerEndsEveryTest(t *testing.T) {
	states := []testproto.State{testproto.Enqueued, testproto.Started, testproto.Passed, testproto.Failed, testproto.Skipped}
	rapid.Check(t, func(rt *rapid.T) {
		a, r, stop := announcing()
		defer stop()
		want := map[string]testproto.State{}
		for range rapid.IntRange(0, 30).Draw(rt, "events") {
			id := rapid.SampledFrom([]string{"a", "b", "c::x", "c::x[1]"}).Draw(rt, "id")
			state := rapid.SampledFrom(states).Draw(rt, "state")
			if have := want[id]; have != "" && have.Terminal() {
				continue // a test ends once
			}
			want[id] = state
			a.state(testproto.Change{Ref: testproto.Ref{ID: id}, State: state})
		}
		for id, s := range want {
			if !s.Terminal() {
				want[id] = testproto.Cancelled
			}
		}
		if c := want["c::x[1]"]; want["c::x"] == testproto.Cancelled && c != "" {
			want["c::x"] = c // a function without a result of its own is what its cases are
		}
		go a.end(testproto.EndedParams{RunID: "r"})
		got := map[string]testproto.State{}
		for {
			method, params := told(rt, r)
			if method == testproto.MethodRunEnded {
				break
			}
			var p testproto.StatesParams
			if err := json.Unmarshal(params, &p); err != nil {
				rt.Fatal(err)
			}
			for _, c := range p.Changes {
				if old := got[c.Ref.ID]; old != "" && old.Terminal() {
					rt.Fatalf("%s: %s follows %s", c.Ref.ID, c.State, old)
				}
				got[c.Ref.ID] = c.State
			}
		}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			rt.Fatalf("states %v, not %v", got, want)
		}
	})
}

func TestMapRow(t *testing.T) {
	from := "a\nb\nc\nd\n"
	for _, c := range []struct {
		to   string
		want []uint32 // of the rows of from
	}{
		{from, []uint32{0, 1, 2, 3}},
		{"new\n" + from, []uint32{1, 2, 3, 4}},
		{"a\nb\nnew\nnew\nc\nd\n", []uint32{0, 1, 4, 5}},
		{"a\nd\n", []uint32{0, 0, 0, 1}},
		{"a\nB\nc\nd\n", []uint32{0, 1, 2, 3}},
		{"", []uint32{0, 0, 0, 0}},
	} {
		for row, want := range c.want {
			if got := mapRow([]byte(from), []byte(c.to), uint32(row)); got != want {
				t.Errorf("row %d in %q is %d, not %d", row, c.to, got, want)
			}
		}
	}
}
