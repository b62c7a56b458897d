package server_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/dx-py/dx-py-ls/lsp/lsptest"
	"github.com/dx-py/dx-py-ls/lsp/server"
)

// lines of Python that edits are made of, good and bad.
var pieces = []string{
	"def test_a(): pass\n", "def test_a(x, y): pass\n", "class TestX:\n    def test_y(self, fix): pass\n", "import pytest\n", "@pytest.fixture\ndef fix(): return 1\n",
	"@pytest.mark.parametrize(\"n\", [1, 2])\n", "@pytest.mark.usefixtures(\"fix\")\n", "(", ")", "\"", "'''", "😀", "é", "\x00", "\r\n", "\r", "\t", "\\", "", "#", "    ", "\ufeff", "🜁\u0301",
	"async def test_b(", "if x:\n", "from . import *\n", "pytestmark = [", "match x:\n case 1: pass\n",
}

// TestAnySequence sends random messages, right and wrong ones. The server
// answers each request, does not end, and knows what a fresh one knows that is
// given the same buffers.
func TestAnySequence(t *testing.T) { anySequence(t, false) }

// TestAnySequenceKilled does so through a forwarder, and kills the server now
// and then.
func TestAnySequenceKilled(t *testing.T) { anySequence(t, true) }

func anySequence(t *testing.T, killed bool) {
	rapid.Check(t, func(r *rapid.T) {
		dir := project(t, map[string]string{"pytest.ini": "[pytest]\n", "conftest.py": conftest, "test_a.py": failing, "test_b.py": fixtures})
		opts := options
		opts.Log = quiet()
		capabilities := map[string]any{"experimental": map[string]any{"dxPyTests": map[string]any{"version": 1}}}
		if rapid.Bool().Draw(r, "utf8") {
			capabilities["general"] = map[string]any{"positionEncodings": []string{"utf-8"}}
		}
		client, mortal := lsptest.Client{Capabilities: capabilities}, &lsptest.Mortal{}
		if killed {
			client.Serve = mortal.Serve
		}
		e := lsptest.StartClient(t, dir, opts, client)
		names := []string{"test_a.py", "test_b.py", "conftest.py", "new/test_new.py", "notes.txt"}
		for range rapid.IntRange(1, 40).Draw(r, "messages") {
			if killed && rapid.IntRange(0, 4).Draw(r, "kill") == 0 {
				mortal.Kill()
			}
			act(r, e, rapid.SampledFrom(names).Draw(r, "file"))
		}
		fresh := lsptest.StartClient(t, dir, opts, lsptest.Client{Capabilities: capabilities})
		for _, name := range names {
			if _, open := e.Buffer(name); open {
				fresh.Open(name, e.Text(name))
			}
		}
		for _, name := range names {
			if _, open := e.Buffer(name); !open {
				continue
			}
			if diff := cmp.Diff(state(fresh, name), state(e, name)); diff != "" {
				r.Fatalf("%s in a fresh server (-) and here (+):\n%s\ntext: %q", name, diff, e.Text(name))
			}
		}
		e.Stop()
		fresh.Stop()
	})
}

// state is all that a server says of a buffer.
func state(e *lsptest.Editor, name string) map[string]any {
	out := map[string]any{"lenses": e.Lenses(name), "symbols": e.Symbols(name)}
	var tests struct{ Tests []any }
	e.Call("dx-py/discoverTests", map[string]any{"uri": e.URI(name)}, &tests)
	out["tests"] = tests.Tests
	e.Synchronize()
	out["problems"] = e.Problems(name)
	return out
}

// act sends one message.
func act(r *rapid.T, e *lsptest.Editor, name string) {
	text, open := e.Buffer(name)
	doc := map[string]any{"uri": e.URI(name), "version": 7}
	bad := func(line, character int) map[string]any { return map[string]any{"line": line, "character": character} }
	switch rapid.IntRange(0, 13).Draw(r, "what") {
	case 0, 1, 2, 3, 4, 5:
		if !open {
			e.Open(name, strings.Join(rapid.SliceOfN(rapid.SampledFrom(pieces), 0, 6).Draw(r, "text"), ""))
			return
		}
		from := rapid.IntRange(0, len(text)).Draw(r, "from")
		to := rapid.IntRange(from, min(len(text), from+8)).Draw(r, "to")
		for from > 0 && from < len(text) && text[from]&0xC0 == 0x80 {
			from--
		}
		for to < len(text) && text[to]&0xC0 == 0x80 {
			to++
		}
		e.Change(name, from, to, rapid.SampledFrom(pieces).Draw(r, "insert"))
	case 6:
		if open {
			e.CloseFile(name)
		} else {
			e.Notify("textDocument/didClose", map[string]any{"textDocument": doc})
		}
	case 7: // an edit that cannot be meant
		e.Notify("textDocument/didChange", map[string]any{"textDocument": doc, "contentChanges": []any{map[string]any{
			"range": map[string]any{"start": bad(1<<30, 5), "end": bad(1, 0)}, "text": "x",
		}}})
	case 8:
		if open { // half of a pair
			e.Raw(message(fmt.Sprintf(`{"jsonrpc":"2.0","method":"textDocument/hover","id":"half","params":{"textDocument":{"uri":%q},"position":{"line":0,"character":0},"x":"\ud800"}}`, e.URI(name))))
		}
	case 9: // methods that do not exist
		e.Notify("$/"+rapid.StringMatching(`[a-z]{1,8}`).Draw(r, "method"), map[string]any{"x": nil})
		if err := e.Try("no/"+rapid.StringMatching(`[a-z]{1,8}`).Draw(r, "method"), nil, nil); err == nil || !strings.Contains(err.Error(), "-32601") {
			r.Fatalf("an unknown method: %v", err)
		}
	case 10: // parameters of the wrong shape
		method := rapid.SampledFrom([]string{
			"textDocument/codeLens", "textDocument/hover", "textDocument/completion", "workspace/executeCommand", "dx-py/runTests", "dx-py/explain", "textDocument/references",
		}).Draw(r, "method")
		params := rapid.SampledFrom([]any{7, "x", []any{}, map[string]any{"textDocument": 3, "ref": 3, "runId": 3, "command": 3}}).Draw(r, "params")
		if err := e.Try(method, params, nil); err == nil {
			r.Fatalf("%s with %v succeeded", method, params)
		}
	case 11: // positions that are nowhere
		method := rapid.SampledFrom([]string{"textDocument/hover", "textDocument/completion", "textDocument/definition"}).Draw(r, "method")
		p := map[string]any{"textDocument": doc, "position": bad(rapid.IntRange(0, 1<<20).Draw(r, "line"), rapid.IntRange(0, 1<<20).Draw(r, "character"))}
		if err := e.Try(method, p, nil); err != nil {
			r.Fatal(err)
		}
	case 12: // an id that is in use, then one that is not known
		e.Raw(message(`{"jsonrpc":"2.0","id":"same","method":"shutdown"}`) + message(`{"jsonrpc":"2.0","id":"same","method":"workspace/symbol","params":{"query":""}}`))
		e.Notify("$/cancelRequest", map[string]any{"id": 99999})
	case 13:
		e.Notify(rapid.SampledFrom([]string{"workspace/didChangeWatchedFiles", "textDocument/didSave", "workspace/didChangeConfiguration", "dx-py/trust", "window/workDoneProgress/cancel"}).Draw(r, "method"),
			rapid.SampledFrom([]any{nil, map[string]any{}, map[string]any{"settings": nil}, map[string]any{"token": 4}, []any{}}).Draw(r, "params"))
	}
}

func message(body string) string { return fmt.Sprintf("Content-Length: %d\r\n\r\n%s", len(body), body) }

// TestHugeDocument opens and edits 10 MB.
func TestHugeDocument(t *testing.T) {
	e := lsptest.Start(t, project(t, map[string]string{"pytest.ini": "[pytest]\n"}), options)
	text := "def test_a(): pass\n" + strings.Repeat("x = \"some text that is long enough\"\n", 300_000) + "def test_z(): pass\n"
	e.Open("test_a.py", text)
	e.Change("test_a.py", 0, 0, "def test_0(): pass\n")
	if got := e.Lenses("test_a.py"); len(got) != 4 || got[3] != "300003: Run" {
		t.Errorf("lenses %q", got)
	}
	e.Change("test_a.py", 0, len(e.Text("test_a.py")), "")
	if got := e.Lenses("test_a.py"); len(got) != 0 {
		t.Errorf("lenses of an emptied file %q", got)
	}
}

// TestClosedPipe closes the client's end at every place of a message.
func TestClosedPipe(t *testing.T) {
	dir := project(t, map[string]string{"pytest.ini": "[pytest]\n"})
	whole := message(`{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"processId":null,"rootUri":"file://`+dir+`","capabilities":{}}}`) +
		message(`{"jsonrpc":"2.0","method":"initialized","params":{}}`)
	for cut := 0; cut <= len(whole); cut += 7 {
		opts := options
		opts.Log = quiet()
		ended := make(chan error, 1)
		out, w := io.Pipe()
		go func() { _, _ = io.Copy(io.Discard, out) }()
		go func() {
			ended <- server.Serve(context.Background(), io.NopCloser(strings.NewReader(whole[:cut])), w, opts)
		}()
		select {
		case <-ended:
		case <-time.After(20 * time.Second):
			t.Fatalf("the server goes on though the pipe is closed behind %q", whole[:cut])
		}
		w.Close()
	}
}

// TestExitEndsTheServer keeps the client's end of a real pipe open.
func TestExitEndsTheServer(t *testing.T) {
	dir := project(t, map[string]string{"pytest.ini": "[pytest]\n"})
	in, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	defer w.Close()
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(context.Background(), in, io.Discard, options) }()
	for _, m := range []string{
		`{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"processId":null,"rootUri":"file://` + dir + `","capabilities":{}}}`,
		`{"jsonrpc":"2.0","id":2,"method":"shutdown"}`, `{"jsonrpc":"2.0","method":"exit"}`,
	} {
		if _, err := io.WriteString(w, message(m)); err != nil {
			t.Fatal(err)
		}
	}
	select {
	case err := <-ended:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(20 * time.Second):
		t.Fatal("the server goes on behind exit")
	}
}

// TestBeforeInitialize asks too early.
func TestBeforeInitialize(t *testing.T) {
	in, w := io.Pipe()
	out, fromServer := io.Pipe()
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(context.Background(), in, fromServer, options) }()
	go func() {
		_, _ = io.WriteString(w, message(`{"jsonrpc":"2.0","method":"textDocument/didOpen","params":{"textDocument":{"uri":"file:///a/test_a.py","languageId":"python","version":1,"text":""}}}`)+
			message(`{"jsonrpc":"2.0","id":1,"method":"workspace/symbol","params":{"query":""}}`)+message(`{"jsonrpc":"2.0","method":"exit"}`))
	}()
	var m struct{ Error struct{ Code int } }
	if err := newDecoder(out)(&m); err != nil || m.Error.Code != -32002 {
		t.Errorf("answered %+v, %v", m, err)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
	w.Close()
}

// TestGarbage sends what is no message at all.
func TestGarbage(t *testing.T) {
	for _, garbage := range []string{"", "\r\n\r\n", "Content-Length: x\r\n\r\n", "Content-Length: -1\r\n\r\n", "Content-Length: 99999999999999\r\n\r\n{}", message("{"), message("[]"), message("null"), message(`{"jsonrpc":"1.0"}`)} {
		opts := options
		opts.Log = quiet()
		ended := make(chan error, 1)
		go func() {
			ended <- server.Serve(context.Background(), io.NopCloser(strings.NewReader(garbage)), io.Discard, opts)
		}()
		select {
		case <-ended:
		case <-time.After(20 * time.Second):
			t.Fatalf("the server goes on behind %q", garbage)
		}
	}
}

// TestReusedID has two requests under way with one id: both are answered.
func TestReusedID(t *testing.T) {
	dir := project(t, map[string]string{"pytest.ini": "[pytest]\n"})
	in, w := io.Pipe()
	out, fromServer := io.Pipe()
	ended := make(chan error, 1)
	go func() {
		ended <- server.Serve(context.Background(), in, fromServer, options)
		fromServer.Close()
	}()
	go func() {
		_, _ = io.WriteString(w, message(`{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"processId":null,"rootUri":"file://`+dir+`","capabilities":{}}}`)+
			message(`{"jsonrpc":"2.0","id":1,"method":"workspace/symbol","params":{"query":""}}`)+message(`{"jsonrpc":"2.0","id":1,"method":"workspace/symbol","params":{"query":"x"}}`)+
			message(`{"jsonrpc":"2.0","id":2,"method":"shutdown"}`))
	}()
	var ids []string
	for d := newDecoder(out); len(ids) < 4; {
		var m struct{ ID json.RawMessage }
		if err := d(&m); err != nil {
			t.Fatal(err)
		}
		ids = append(ids, string(m.ID))
	}
	slices.Sort(ids)
	if !slices.Equal(ids, []string{"1", "1", "1", "2"}) {
		t.Errorf("answered %q", ids)
	}
	go func() { _, _ = io.WriteString(w, message(`{"jsonrpc":"2.0","method":"exit"}`)) }()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	w.Close()
}
