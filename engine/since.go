package engine

import (
	"maps"

	"github.com/dx-py/dx-py-ls/engine/file"
	"github.com/dx-py/dx-py-ls/engine/history"
	"github.com/dx-py/dx-py-ls/engine/plan"
	"github.com/dx-py/dx-py-ls/engine/pytest"
	"github.com/dx-py/dx-py-ls/engine/workspace"
)

// Since compares the project with what it was, by the functions that tests
// enter. nil does not: files decide. Close it.
type Since struct {
	on *plan.Due
	k  history.Known
}

// NewSince is nil where what is due is not found by functions. changed are all
// files, absolute, that are not as they were; was gives what they held, false
// for those that were not there.
func NewSince(snap *workspace.Snapshot, r *Request, changed []string, was func(path string) ([]byte, bool)) *Since {
	narrow := Narrowing(r)
	if narrow == nil {
		return nil
	}
	s := &Since{}
	var err error
	if s.on, err = Dependence(snap, r); err != nil {
		narrow.Close()
		return nil
	}
	s.on.Narrow, s.on.Now = narrow, workspace.StateOf(r.State, r.Config, r.Env)
	s.k.State = maps.Clone(s.on.Now)
	for _, p := range changed {
		rel, in := file.Rel(r.Root, p)
		if !in || s.on.Now == nil { // of what lies elsewhere no execution tells
			narrow.Close()
			return nil
		}
		delete(s.k.State, rel)
		if content, there := was(p); there {
			narrow.Shapes.Add(content)
			s.k.State[rel] = history.Digest(content)
		}
	}
	return s
}

// Same reports whether a test has the same outcome as it had, and says why.
func (s *Since) Same(it *pytest.Item) (why string, same bool) {
	if s == nil || !it.Exact() {
		return "", false
	}
	return s.on.Same(&s.k, it)
}

// Close gives up what is read.
func (s *Since) Close() {
	if s != nil {
		s.on.Narrow.Close()
	}
}
