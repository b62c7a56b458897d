// Package lsptest is a fake editor: it speaks LSP to a server over pipes, as
// an editor would, and keeps its own copy of each buffer to compare with.
package lsptest

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/textproto"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"
	"unicode/utf16"

	"github.com/dx-py/dx-py-ls/lsp/server"
)

// Editor is one connection. Its methods fail the test when the server does
// not answer as the protocol says.
type Editor struct {
	t   testing.TB
	dir string
	in  io.WriteCloser

	mu       sync.Mutex
	wait     map[int]chan reply
	next     int
	texts    map[string]string // what the editor shows, by file name
	version  map[string]int
	diags    map[string]diagnostics
	messages []string      // of window/showMessage
	said     []Message     // notifications and requests of the server, in order
	settings any           // what workspace/configuration is answered with
	changed  chan struct{} // closed and replaced when a message comes
	err      error
	done     chan struct{}
	served   chan error
	stopped  bool
	utf8     bool

	Initialized struct{ Capabilities map[string]any } // what initialize was answered with
}

type reply struct {
	at     time.Time       // when all of it was there
	Result json.RawMessage `json:"result"`
	Error  *struct {
		Code    int    `json:"code"`
		Message string `json:"message"`
	} `json:"error"`
}

type diagnostics struct {
	version  int
	messages []string
}

// Message is what the server has sent, without being asked.
type Message struct {
	Method string
	Params json.RawMessage
}

// Client says what an editor is like. The zero Client trusts nothing and can
// nothing but redraw lenses.
type Client struct {
	Capabilities map[string]any // over those
	Options      map[string]any // initializationOptions
	Folders      []string       // of the workspace; none: the editor's
	Settings     any            // what workspace/configuration is answered with

	// Serve is what serves, nil for server.Serve.
	Serve func(ctx context.Context, in io.Reader, out io.Writer, o server.Options) error
}

// Rich is a client that draws a tree of tests, in a workspace that the user
// trusts.
func Rich() Client {
	return Client{
		Options: map[string]any{"trusted": true},
		Capabilities: map[string]any{
			"experimental": map[string]any{"dxPyTests": map[string]any{"version": 1}, "serverStatusNotification": true},
			"window":       map[string]any{"workDoneProgress": true, "showDocument": map[string]any{"support": true}},
		},
	}
}

// Start runs a server for a folder that the user trusts, and initializes it.
func Start(t testing.TB, dir string, opts server.Options) *Editor {
	t.Helper()
	return StartClient(t, dir, opts, Client{Options: map[string]any{"trusted": true}})
}

// StartUntrusted is Start without the user's trust.
func StartUntrusted(t testing.TB, dir string, opts server.Options) *Editor {
	t.Helper()
	return StartClient(t, dir, opts, Client{})
}

// StartClient is Start for any client.
func StartClient(t testing.TB, dir string, opts server.Options, c Client) *Editor {
	t.Helper()
	serve := c.Serve
	if serve == nil {
		serve = server.Serve
	}
	e := connect(t, dir, opts, serve)
	e.settings = c.Settings
	capabilities := map[string]any{"workspace": map[string]any{"codeLens": map[string]any{"refreshSupport": true}}}
	for k, v := range c.Capabilities {
		capabilities[k] = v
	}
	folders := []any{}
	for _, f := range append(c.Folders, dir)[:max(1, len(c.Folders))] {
		folders = append(folders, map[string]any{"uri": "file://" + f, "name": filepath.Base(f)})
	}
	e.Call("initialize", map[string]any{
		"processId": nil, "rootUri": "file://" + dir, "initializationOptions": c.Options, "capabilities": capabilities, "workspaceFolders": folders,
	}, &e.Initialized)
	e.utf8 = e.Initialized.Capabilities["positionEncoding"] == "utf-8"
	e.Notify("initialized", map[string]any{})
	t.Cleanup(e.Stop)
	return e
}

// connect runs a server that waits for initialize.
func connect(t testing.TB, dir string, opts server.Options, serve func(context.Context, io.Reader, io.Writer, server.Options) error) *Editor {
	toServer, in := io.Pipe()
	out, fromServer := io.Pipe()
	e := &Editor{
		t: t, dir: dir, in: in, wait: map[int]chan reply{}, texts: map[string]string{}, version: map[string]int{},
		diags: map[string]diagnostics{}, changed: make(chan struct{}), done: make(chan struct{}), served: make(chan error, 1),
	}
	go func() {
		err := serve(context.Background(), toServer, fromServer, opts)
		fromServer.Close() // as the end of a process would
		toServer.Close()
		e.served <- err
	}()
	go e.read(out)
	return e
}

// Stop ends the server. Cleanup does it, where a test does not.
func (e *Editor) Stop() {
	if e.stopped {
		return
	}
	e.stopped = true
	e.Call("shutdown", nil, nil)
	e.Notify("exit", nil)
	if err := <-e.served; err != nil {
		e.t.Errorf("the server ended with %v", err)
	}
	e.in.Close()
	<-e.done
}

// Ended waits for the server to end by itself, and returns why.
func (e *Editor) Ended() error {
	e.stopped = true
	err := <-e.served
	e.in.Close()
	<-e.done
	return err
}

func (e *Editor) write(msg map[string]any) {
	msg["jsonrpc"] = "2.0"
	b, err := json.Marshal(msg)
	if err != nil {
		e.t.Fatal(err)
	}
	e.Raw(fmt.Sprintf("Content-Length: %d\r\n\r\n%s", len(b), b))
}

// Raw sends bytes as they are.
func (e *Editor) Raw(s string) {
	if _, err := io.WriteString(e.in, s); err != nil {
		e.t.Errorf("writing to the server: %v", err)
	}
}

// Notify sends a notification.
func (e *Editor) Notify(method string, params any) {
	msg := map[string]any{"method": method}
	if params != nil {
		msg["params"] = params
	}
	e.write(msg)
}

// Try sends a request and returns the error of its reply.
func (e *Editor) Try(method string, params, result any) error {
	_, err := e.try(method, params, result)
	return err
}

// Timed is Call for who wants to know when the reply was there, to its last
// byte: what an editor then makes of it is not the server's time.
func (e *Editor) Timed(method string, params any) time.Time {
	at, err := e.try(method, params, nil)
	if err != nil {
		e.t.Error(err)
	}
	return at
}

func (e *Editor) try(method string, params, result any) (time.Time, error) {
	e.mu.Lock()
	e.next++
	id := e.next
	ch := make(chan reply, 1)
	e.wait[id] = ch
	e.mu.Unlock()
	msg := map[string]any{"id": id, "method": method}
	if params != nil {
		msg["params"] = params
	}
	e.write(msg)
	r := reply{}
	select {
	case r = <-ch:
	case <-e.done:
		return r.at, fmt.Errorf("%s: the connection broke: %w", method, e.err)
	}
	switch {
	case r.Error != nil:
		return r.at, fmt.Errorf("%s: %d %s", method, r.Error.Code, r.Error.Message)
	case result != nil:
		return r.at, json.Unmarshal(r.Result, result)
	}
	return r.at, nil
}

// Call is Try for requests that must succeed.
func (e *Editor) Call(method string, params, result any) {
	e.t.Helper()
	if err := e.Try(method, params, result); err != nil {
		e.t.Error(err)
	}
}

// read reads what the server sends. Another goroutine decodes it: a server
// waits for no editor that has still to look at what came before.
func (e *Editor) read(out io.Reader) {
	type arrived struct {
		body []byte
		at   time.Time
	}
	all := make(chan arrived, 1024)
	go func() {
		defer close(e.done)
		for a := range all {
			e.message(a.body, a.at)
		}
	}()
	defer close(all)
	r := bufio.NewReader(out)
	for {
		h, err := textproto.NewReader(r).ReadMIMEHeader()
		if err != nil {
			e.err = err
			return
		}
		n, err := strconv.Atoi(h.Get("Content-Length"))
		if err != nil {
			e.err = err
			return
		}
		body := make([]byte, n)
		if _, err := io.ReadFull(r, body); err != nil {
			e.err = err
			return
		}
		all <- arrived{body, time.Now()}
	}
}

func (e *Editor) message(body []byte, at time.Time) {
	var m struct {
		ID     json.RawMessage `json:"id"`
		Method string          `json:"method"`
		Params json.RawMessage `json:"params"`
		reply
	}
	if err := json.Unmarshal(body, &m); err != nil {
		e.t.Errorf("the server sent %q: %v", body, err)
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if m.Method == "" {
		if id, err := strconv.Atoi(string(m.ID)); err == nil && e.wait[id] != nil {
			m.at = at
			e.wait[id] <- m.reply
			delete(e.wait, id)
		}
		return
	}
	e.said = append(e.said, Message{m.Method, m.Params})
	switch m.Method {
	case "textDocument/publishDiagnostics":
		e.published(m.Params)
	case "window/showMessage":
		var p struct{ Message string }
		if err := json.Unmarshal(m.Params, &p); err != nil {
			e.t.Error(err)
		}
		e.messages = append(e.messages, p.Message)
	}
	close(e.changed)
	e.changed = make(chan struct{})
	if m.ID != nil {
		result := any(nil)
		switch m.Method {
		case "workspace/configuration":
			var p struct{ Items []any }
			if err := json.Unmarshal(m.Params, &p); err != nil {
				e.t.Error(err)
			}
			result = slices.Repeat([]any{e.settings}, len(p.Items))
		case "window/showDocument":
			result = map[string]any{"success": true}
		}
		go e.answer(m.ID, result) // the server may not read while it writes
	}
}

// answer answers the server. It may have ended meanwhile.
func (e *Editor) answer(id json.RawMessage, result any) {
	b, err := json.Marshal(map[string]any{"jsonrpc": "2.0", "id": id, "result": result})
	if err != nil {
		e.t.Error(err)
		return
	}
	_, _ = fmt.Fprintf(e.in, "Content-Length: %d\r\n\r\n%s", len(b), b)
}

func (e *Editor) published(params json.RawMessage) {
	var p struct {
		URI         string
		Version     int
		Diagnostics []struct {
			Message string
			Range   struct{ Start struct{ Line int } }
		}
	}
	if err := json.Unmarshal(params, &p); err != nil {
		e.t.Error(err)
	}
	d := diagnostics{version: p.Version}
	for _, x := range p.Diagnostics {
		d.messages = append(d.messages, fmt.Sprintf("%d: %s", x.Range.Start.Line+1, x.Message))
	}
	e.diags[filepath.Base(p.URI)] = d
}

// All returns what the server has sent without being asked, in order.
func (e *Editor) All() []Message {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Clone(e.said)
}

// Forget forgets what the server has sent without being asked.
func (e *Editor) Forget() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.said = nil
}

// Said returns what the server has sent of a method, in order.
func (e *Editor) Said(method string) []json.RawMessage {
	e.mu.Lock()
	defer e.mu.Unlock()
	var out []json.RawMessage
	for _, m := range e.said {
		if m.Method == method {
			out = append(out, m.Params)
		}
	}
	return out
}

// After waits until want holds of what the server has sent of a method. It
// ends with the test's own deadline.
func (e *Editor) After(method string, want func(params []json.RawMessage) bool) {
	e.t.Helper()
	for {
		e.mu.Lock()
		changed := e.changed
		e.mu.Unlock()
		if want(e.Said(method)) {
			return
		}
		select {
		case <-changed:
		case <-e.done:
			e.t.Fatalf("the connection broke: %v", e.err)
		}
	}
}

// URI is that of a file in the editor's folder.
func (e *Editor) URI(name string) string { return "file://" + filepath.Join(e.dir, name) }

func (e *Editor) doc(name string) map[string]any {
	return map[string]any{"uri": "file://" + filepath.Join(e.dir, name)}
}

// Open opens a buffer.
func (e *Editor) Open(name, text string) {
	d := e.doc(name)
	d["languageId"], d["version"], d["text"] = "python", 1, text
	e.texts[name], e.version[name] = text, 1
	e.Notify("textDocument/didOpen", map[string]any{"textDocument": d})
}

// Text is what the editor shows.
func (e *Editor) Text(name string) string { return e.texts[name] }

// Change replaces the bytes [from, to) of a buffer.
func (e *Editor) Change(name string, from, to int, text string) {
	old := e.texts[name]
	e.version[name]++
	d := e.doc(name)
	d["version"] = e.version[name]
	e.Notify("textDocument/didChange", map[string]any{
		"textDocument": d,
		"contentChanges": []any{map[string]any{
			"range": map[string]any{"start": e.position(old, from), "end": e.position(old, to)}, "text": text,
		}},
	})
	e.texts[name] = old[:from] + text + old[to:]
}

// Buffer is what the editor shows, and whether it is open.
func (e *Editor) Buffer(name string) (text string, open bool) {
	text, open = e.texts[name]
	return text, open
}

// Problems are those that were published last, "LINE: MESSAGE".
func (e *Editor) Problems(name string) []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Clone(e.diags[name].messages)
}

// position is the LSP position of a byte offset.
func (e *Editor) position(text string, at int) map[string]any {
	line, start := 0, 0
	for i := 0; i < at; i++ {
		if text[i] == '\n' {
			line, start = line+1, i+1
		}
	}
	if e.utf8 {
		return map[string]any{"line": line, "character": at - start}
	}
	return map[string]any{"line": line, "character": len(utf16.Encode([]rune(text[start:at])))}
}

// CloseFile closes a buffer.
func (e *Editor) CloseFile(name string) {
	e.Notify("textDocument/didClose", map[string]any{"textDocument": e.doc(name)})
	delete(e.texts, name)
}
