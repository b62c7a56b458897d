package forward

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/dx-py/dx-py-ls/lsp/server"
	"github.com/dx-py/dx-py-ls/lsp/testproto"
)

// session is what an editor and its hosts have said, as far as the next host
// and the editor need to know of it when a host is lost.
type session struct {
	parent int // process of the editor, 0 where it is not known

	initialize  json.RawMessage // parameters; nil: it has not been sent
	answered    bool
	initialized bool
	exited      bool
	folders     []json.RawMessage // of the workspace, now
	settings    *message          // the last word
	trust       *message
	buffers     server.Buffers
	listed      map[string]bool // parameters of discoverTests

	calls map[string]*call // of the editor's, without an answer, by id
	next  int
	asked map[string]question // of hosts', without an answer, by the id that the editor knows

	runs     map[string]*running
	problems map[string]bool // documents that have some
	progress map[string]json.RawMessage
}

type call struct {
	*message
	at    int  // in their order
	tries int  // hosts that were lost with it
	over  bool // the run that it asks for has ended before the answer
}

type question struct {
	lost int // which host's
	id   string
}

// running is a run that has not ended, and its tests that have not.
type running struct {
	tests      map[testproto.Ref]bool
	continuous bool // it does not end by itself
}

func newSession() *session {
	return &session{
		listed: map[string]bool{}, calls: map[string]*call{}, asked: map[string]question{},
		runs: map[string]*running{}, problems: map[string]bool{}, progress: map[string]json.RawMessage{},
	}
}

// fromEditor takes a message in, and returns what the host is told; nil for
// nothing. lost is how many hosts there were before it.
func (s *session) fromEditor(m *message, lost int) *message {
	switch {
	case m.method == "" && m.id != "":
		q, ok := s.asked[m.id]
		delete(s.asked, m.id)
		if !ok || q.lost != lost {
			return nil // who asked is gone
		}
		if q.id != m.id {
			return m.withID(q.id)
		}
	case m.id != "":
		s.called(m)
	default:
		s.heard(m)
	}
	return m
}

func (s *session) called(m *message) {
	s.next++
	s.calls[m.id] = &call{message: m, at: s.next}
	switch m.method {
	case "initialize":
		if s.initialize != nil {
			return // it will be refused
		}
		s.initialize = m.params
		var p struct{ ProcessID *int }
		if json.Unmarshal(m.params, &p) == nil && p.ProcessID != nil {
			s.parent = *p.ProcessID
		}
		s.folders = foldersOf(m.params)
	case testproto.MethodDiscoverTests:
		var b bytes.Buffer
		if len(m.params) == 0 {
			s.listed["{}"] = true
		} else if json.Compact(&b, m.params) == nil {
			s.listed[b.String()] = true
		}
	}
}

func (s *session) heard(m *message) {
	switch m.method {
	case "initialized":
		s.initialized = true
	case "exit":
		s.exited = true
	case "workspace/didChangeConfiguration":
		s.settings = m
	case testproto.MethodTrust:
		s.trust = m
	case "workspace/didChangeWorkspaceFolders":
		var p struct {
			Event struct{ Added, Removed []json.RawMessage }
		}
		if json.Unmarshal(m.params, &p) != nil {
			return
		}
		for _, gone := range p.Event.Removed {
			s.folders = slices.DeleteFunc(s.folders, func(f json.RawMessage) bool { return uriOf(f) == uriOf(gone) })
		}
		for _, f := range p.Event.Added {
			if !slices.ContainsFunc(s.folders, func(have json.RawMessage) bool { return uriOf(have) == uriOf(f) }) {
				s.folders = append(s.folders, f)
			}
		}
	default:
		s.buffers.Note(m.method, m.params)
	}
}

func uriOf(folder json.RawMessage) string {
	var f struct{ URI string }
	_ = json.Unmarshal(folder, &f) // "" for what is no folder
	return f.URI
}

// foldersOf are the workspace's folders in the parameters of initialize.
func foldersOf(params json.RawMessage) []json.RawMessage {
	var p struct {
		WorkspaceFolders []json.RawMessage
		RootURI          *string
	}
	if json.Unmarshal(params, &p) == nil && len(p.WorkspaceFolders) == 0 && p.RootURI != nil {
		return []json.RawMessage{raw(object{"uri": *p.RootURI, "name": *p.RootURI})}
	}
	return p.WorkspaceFolders
}

// now are the parameters of initialize for a host that comes now.
func (s *session) now() json.RawMessage {
	var parts map[string]json.RawMessage
	if json.Unmarshal(s.initialize, &parts) != nil {
		return s.initialize
	}
	parts["workspaceFolders"] = raw(append([]json.RawMessage{}, s.folders...))
	if len(s.folders) == 0 {
		delete(parts, "rootUri")
	}
	return raw(parts)
}

// paths are the workspace's folders.
func (s *session) paths() []string { return server.Folders(s.now()) }

// Ids of the calls that the forwarder makes itself.
const (
	ourInitialize = `"dx-py-again-initialize"`
	ourDiscovery  = `"dx-py-again-tests-`
)

// again is what the next host is told, so that it knows what the last one knew.
func (s *session) again() (out []*message) {
	if s.answered {
		out = append(out, request(ourInitialize, "initialize", s.now()))
		if s.initialized {
			out = append(out, notification("initialized", object{}))
		}
		for _, m := range []*message{s.trust, s.settings} {
			if m != nil {
				out = append(out, m)
			}
		}
		for _, p := range s.buffers.Opened() {
			out = append(out, notification("textDocument/didOpen", p))
		}
		for i, p := range slices.Sorted(maps.Keys(s.listed)) {
			out = append(out, request(ourDiscovery+strconv.Itoa(i)+`"`, testproto.MethodDiscoverTests, json.RawMessage(p)))
		}
	}
	for _, c := range s.waiting() {
		out = append(out, c.message)
	}
	if s.exited {
		out = append(out, notification("exit", nil))
	}
	return out
}

// waiting are the calls without an answer, in their order.
func (s *session) waiting() []*call {
	return slices.SortedFunc(maps.Values(s.calls), func(a, b *call) int { return a.at - b.at })
}

// fromHost takes a message in, and returns what the editor is told; nil for
// nothing.
func (s *session) fromHost(m *message, lost int) *message {
	switch {
	case m.method == "" && (m.id == ourInitialize || m.id == ourPing):
		return nil
	case m.method == "" && strings.HasPrefix(m.id, ourDiscovery):
		var a struct{ Result json.RawMessage }
		if json.Unmarshal(m.body, &a) != nil || len(a.Result) == 0 {
			return nil
		}
		return notification(testproto.MethodDiscoveredTests, a.Result)
	case m.method == "" && m.id != "":
		s.answer(m)
	case m.id != "":
		id := m.id
		if lost > 0 { // the editor may still think of one with the same id
			s.next++
			id = string(raw(fmt.Sprintf("dx-py-%d", s.next)))
		}
		s.asked[id] = question{lost, m.id}
		if id != m.id {
			return m.withID(id)
		}
	default:
		s.told(m)
	}
	return m
}

// answer takes in what a call of the editor's was answered with.
func (s *session) answer(m *message) {
	c := s.calls[m.id]
	delete(s.calls, m.id)
	if c == nil {
		return
	}
	switch c.method {
	case "initialize":
		var a struct {
			Result *struct {
				Capabilities struct{ PositionEncoding string }
			}
		}
		if json.Unmarshal(m.body, &a) == nil && a.Result != nil {
			s.answered, s.buffers.Bytes = true, a.Result.Capabilities.PositionEncoding == "utf-8"
		}
	case testproto.MethodRunTests:
		var a struct{ Result *testproto.RunResult }
		var p testproto.RunParams
		if c.over || json.Unmarshal(m.body, &a) != nil || a.Result == nil || json.Unmarshal(c.params, &p) != nil {
			return
		}
		r := s.run(p.RunID)
		r.continuous = p.Continuous
		for _, ref := range a.Result.Enqueued {
			r.tests[ref] = true
		}
	}
}

func (s *session) run(id string) *running {
	if s.runs[id] == nil {
		s.runs[id] = &running{tests: map[testproto.Ref]bool{}}
	}
	return s.runs[id]
}

// told takes in a notification of a host's.
func (s *session) told(m *message) {
	switch m.method {
	case "textDocument/publishDiagnostics":
		var p struct {
			URI         string
			Diagnostics []json.RawMessage
		}
		if json.Unmarshal(m.params, &p) == nil {
			if len(p.Diagnostics) > 0 {
				s.problems[p.URI] = true
			} else {
				delete(s.problems, p.URI)
			}
		}
	case "$/progress":
		var p struct {
			Token json.RawMessage
			Value struct{ Kind string }
		}
		if json.Unmarshal(m.params, &p) == nil {
			if p.Value.Kind == "end" {
				delete(s.progress, string(p.Token))
			} else {
				s.progress[string(p.Token)] = p.Token
			}
		}
	case testproto.MethodTestStates:
		var p testproto.StatesParams
		if json.Unmarshal(m.params, &p) != nil || p.RunID == "" {
			return
		}
		r := s.run(p.RunID)
		for _, c := range p.Changes {
			if c.State == testproto.Enqueued || c.State == testproto.Started {
				r.tests[c.Ref] = true
			} else {
				delete(r.tests, c.Ref)
			}
		}
	case testproto.MethodRunRestarted:
		var p testproto.RestartedParams
		if json.Unmarshal(m.params, &p) == nil {
			r := s.run(p.RunID)
			for _, ref := range p.Enqueued {
				r.tests[ref] = true
			}
		}
	case testproto.MethodRunEnded:
		var p testproto.EndedParams
		if json.Unmarshal(m.params, &p) == nil {
			delete(s.runs, p.RunID)
			s.over(p.RunID)
		}
	}
}

// over notes that a run has ended whose call may not be answered yet.
func (s *session) over(id string) {
	for _, c := range s.calls {
		var p testproto.RunParams
		if c.method == testproto.MethodRunTests && json.Unmarshal(c.params, &p) == nil && p.RunID == id {
			c.over = true
		}
	}
}

// waits reports whether the editor does: for an answer, the end of a run, or
// that of a test in one that goes on.
func (s *session) waits() bool {
	for _, r := range s.runs {
		if !r.continuous || len(r.tests) > 0 {
			return true
		}
	}
	return len(s.calls) > 0
}

// notAgain are the calls that may have done what must not be done twice.
var notAgain = map[string]bool{"workspace/executeCommand": true, testproto.MethodRunTests: true}

// maxTries is how many hosts may be lost with a call: it may be what ends them.
const maxTries = 2

// requestFailed is LSP's code for a request that is right and cannot be done.
const requestFailed = -32803

// end is what the editor is told when a host is lost: what it thinks is under
// way is not, what it shows of that is gone.
func (s *session) end(why error) (out []*message) {
	const text = "the process that ran it has ended; run it again"
	kind := info
	for _, c := range s.waiting() {
		if c.tries++; notAgain[c.method] || c.tries == maxTries {
			kind = warning
			delete(s.calls, c.id)
			out = append(out, made(object{"jsonrpc": "2.0", "id": json.RawMessage(c.id), "error": object{"code": requestFailed, "message": text}}))
		}
	}
	for _, id := range slices.Sorted(maps.Keys(s.runs)) {
		kind = warning
		p := testproto.StatesParams{RunID: id}
		for ref := range s.runs[id].tests {
			p.Changes = append(p.Changes, testproto.Change{Ref: ref, State: testproto.Cancelled})
		}
		if len(p.Changes) > 0 {
			out = append(out, notification(testproto.MethodTestStates, p))
		}
		out = append(out, notification(testproto.MethodRunEnded, testproto.EndedParams{
			RunID: id, Outcome: "error", Totals: map[string]int{}, Message: text,
		}))
	}
	for _, key := range slices.Sorted(maps.Keys(s.progress)) {
		out = append(out, notification("$/progress", object{"token": s.progress[key], "value": object{"kind": "end"}}))
	}
	for _, uri := range slices.Sorted(maps.Keys(s.problems)) {
		out = append(out, notification("textDocument/publishDiagnostics", object{"uri": uri, "diagnostics": []any{}}))
	}
	s.runs, s.progress, s.problems = map[string]*running{}, map[string]json.RawMessage{}, map[string]bool{}
	if s.answered {
		reason := "dx-py: the resident process has ended"
		if why != nil {
			reason = "dx-py: " + why.Error()
		}
		if kind == warning {
			reason += "; a run was lost with it"
		}
		out = append(out, told(kind, reason))
	}
	return out
}
