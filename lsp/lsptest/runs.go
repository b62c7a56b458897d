package lsptest

import (
	"encoding/json"
	"slices"
	"strings"

	"github.com/dx-py/dx-py-ls/lsp/testproto"
)

// Run is what the server has told of one run.
type Run struct {
	States []string // "ID STATE", the last of each test, sorted
	Last   map[string]testproto.Change
	Output string
	Ended  testproto.EndedParams
}

// Run has tests run and waits for the end.
func (e *Editor) Run(p testproto.RunParams) Run {
	e.t.Helper()
	e.Call(testproto.MethodRunTests, p, nil)
	return e.AfterRun(p.RunID)
}

// AfterRun waits for the end of a run. It fails the test when a terminal state
// is followed by another, or anything follows the end.
func (e *Editor) AfterRun(id string) Run {
	e.t.Helper()
	r := Run{Last: map[string]testproto.Change{}}
	e.After(testproto.MethodRunEnded, func(all []json.RawMessage) bool {
		for _, raw := range all {
			if err := json.Unmarshal(raw, &r.Ended); err == nil && r.Ended.RunID == id {
				return true
			}
		}
		return false
	})
	e.mu.Lock()
	defer e.mu.Unlock()
	ended := false
	for _, m := range e.said {
		var head struct{ RunID string }
		if !strings.HasPrefix(m.Method, "dx-py/") || json.Unmarshal(m.Params, &head) != nil || head.RunID != id {
			continue
		}
		if ended {
			e.t.Errorf("%s follows the end of run %s", m.Method, id)
		}
		switch m.Method {
		case testproto.MethodTestStates:
			var p testproto.StatesParams
			if err := json.Unmarshal(m.Params, &p); err != nil {
				e.t.Error(err)
			}
			for _, c := range p.Changes {
				if old, ok := r.Last[c.Ref.ID]; ok && old.State.Terminal() {
					e.t.Errorf("%s: %s follows %s", c.Ref.ID, c.State, old.State)
				}
				r.Last[c.Ref.ID] = c
			}
		case testproto.MethodRunOutput:
			var p testproto.OutputParams
			if err := json.Unmarshal(m.Params, &p); err != nil {
				e.t.Error(err)
			}
			r.Output += p.Text
		case testproto.MethodRunEnded:
			ended = true
		}
	}
	for id, c := range r.Last {
		r.States = append(r.States, id+" "+string(c.State))
	}
	slices.Sort(r.States)
	return r
}
