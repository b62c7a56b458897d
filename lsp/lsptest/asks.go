package lsptest

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// Lenses returns the lenses of a buffer as "LINE: TITLE", lines from 1.
func (e *Editor) Lenses(name string) []string {
	e.t.Helper()
	var ls []struct {
		Range   struct{ Start struct{ Line int } }
		Command struct{ Title string }
	}
	e.Call("textDocument/codeLens", map[string]any{"textDocument": e.doc(name)}, &ls)
	out := []string{}
	for _, l := range ls {
		out = append(out, fmt.Sprintf("%d: %s", l.Range.Start.Line+1, l.Command.Title))
	}
	return out
}

// Click runs the command of the lens on a line, from 1, and returns the
// command's error.
func (e *Editor) Click(name string, line int) error {
	e.t.Helper()
	var ls []struct {
		Range   struct{ Start struct{ Line int } }
		Command struct {
			Command   string
			Arguments json.RawMessage
		}
	}
	e.Call("textDocument/codeLens", map[string]any{"textDocument": e.doc(name)}, &ls)
	for _, l := range ls {
		if l.Range.Start.Line+1 == line {
			return e.Try("workspace/executeCommand", map[string]any{"command": l.Command.Command, "arguments": l.Command.Arguments}, nil)
		}
	}
	return fmt.Errorf("no lens on line %d", line)
}

// Messages are what the server has shown to the user.
func (e *Editor) Messages() []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Clone(e.messages)
}

// Symbol is one document symbol.
type Symbol struct {
	Name     string
	Detail   string
	Children []Symbol
}

// Symbols returns the symbols of a buffer.
func (e *Editor) Symbols(name string) []Symbol {
	e.t.Helper()
	var out []Symbol
	e.Call("textDocument/documentSymbol", map[string]any{"textDocument": e.doc(name)}, &out)
	return out
}

// AfterProblems waits until want holds of the problems, "LINE: MESSAGE", that
// the server has published for a buffer. It ends with the test's own deadline.
func (e *Editor) AfterProblems(name string, want func(messages []string) bool) []string {
	e.t.Helper()
	for {
		e.mu.Lock()
		d, changed := e.diags[name], e.changed
		e.mu.Unlock()
		if want(d.messages) {
			return d.messages
		}
		select {
		case <-changed:
		case <-e.done:
			e.t.Fatalf("the connection broke: %v", e.err)
		}
	}
}

// At is the parameters of a request about a position: that of the first place
// of "before|after" in a buffer, without the bar.
func (e *Editor) At(name, place string) map[string]any {
	e.t.Helper()
	before, after, _ := strings.Cut(place, "|")
	at := strings.Index(e.texts[name], before+after)
	if at < 0 {
		e.t.Fatalf("%s has no %q", name, place)
	}
	return map[string]any{"textDocument": e.doc(name), "position": e.position(e.texts[name], at+len(before))}
}

// Command runs a server command with one argument, or none.
func (e *Editor) Command(command string, argument, result any) error {
	p := map[string]any{"command": command}
	if argument != nil {
		p["arguments"] = []any{argument}
	}
	return e.Try("workspace/executeCommand", p, result)
}

// Synchronize waits until what was sent has had its effect.
func (e *Editor) Synchronize() {
	e.t.Helper()
	e.Call("dx-py/synchronize", nil, nil)
}
