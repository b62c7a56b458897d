package server

import (
	"fmt"
	"strings"
	"unsafe"

	"go.lsp.dev/jsonrpc2"
	"go.lsp.dev/protocol"
	"go.lsp.dev/uri"

	"github.com/dx-py/dx-py-ls/engine/pytest"
	"github.com/dx-py/dx-py-ls/engine/workspace"
)

// codeLens offers to run each test, class and file, with how many cases there
// are and how they ended when they last ran. Titles are there at once: nothing
// is left to resolve. Where a key has changed none of it, the answer is the last
// one.
func (s *server) codeLens(params []byte) (any, error) {
	none := jsonrpc2.RawMessage("[]")
	var p protocol.CodeLensParams
	if err := protocol.Unmarshal(params, &p); err != nil {
		return nil, fmt.Errorf("%w: %w", jsonrpc2.ErrInvalidParams, err)
	}
	path, ok := pathOf(p.TextDocument.URI)
	if !ok {
		return none, nil
	}
	stamp := s.results.stamp()
	v, doc, err := s.view(path)
	if err != nil || doc == nil || len(v.Items) == 0 {
		return none, nil // no configuration to use, or closed meanwhile: nothing to show
	}
	s.mu.Lock()
	due := s.folderOf(path).due.Load()
	s.mu.Unlock()
	now := lensesOf{of(v.Items), stamp, due, doc.uri}
	s.lensMu.Lock()
	kept := s.lensKept[path]
	s.lensMu.Unlock()
	if kept.of != now {
		kept = keptLenses{now, s.lenses(v, newLines(v.Text), doc, due)}
		s.lensMu.Lock()
		if s.lensKept == nil {
			s.lensKept = map[string]keptLenses{}
		}
		s.lensKept[path] = kept
		s.lensMu.Unlock()
	}
	return kept.text, nil
}

// items tells lists of items apart: a View whose tests are those of the one
// before has the same list.
type items struct {
	first **pytest.Item
	n     int
}

func of(its []*pytest.Item) items { return items{unsafe.SliceData(its), len(its)} }

// lensesOf is all that lenses are made of: rows and columns of names are the
// items'.
type lensesOf struct {
	items
	stamp int64
	due   *dueNow
	uri   uri.URI
}

type keptLenses struct {
	of   lensesOf
	text jsonrpc2.RawMessage
}

// spot is a place that gets one lens.
type spot struct {
	row, col uint32
	n        int    // length of the name
	end      uint32 // last row, of a class
	cases    int
	reason   pytest.Reason
	class    bool
	name     string // behind the file in the id: ::Class, ::Class::test
}

func (s *server) lenses(v *workspace.View, l *lines, doc *document, due *dueNow) jsonrpc2.RawMessage {
	out := make([]byte, 1, 256+200*len(v.Items))
	out[0] = '['
	title := s.results.titles(doc.path)
	dues := due.names(doc.path)
	var arguments []byte
	about := func(name string) {
		arguments = appendString(append(arguments[:0], `{"uri":`...), string(doc.uri))
		arguments = append(appendField(arguments, `,"name":`, name), '}')
	}
	affected := func(r protocol.Range, name string) {
		if dues[name] {
			out = appendLens(out, r, "Run affected", commandRunAffected, arguments)
		}
	}
	top := s.span(l, 0, 0, 0)
	about("")
	out = appendLens(out, top, title("")+total(v.Items), commandRun, arguments)
	affected(top, "")
	for _, sp := range spots(v) {
		r := s.span(l, sp.row, sp.col, sp.n)
		about(sp.name)
		out = appendLens(out, r, title(sp.name)+sp.title(), commandRun, arguments)
		if sp.class {
			affected(r, sp.name)
			continue
		}
		if s.can.debugs { // to others a second lens would be a question at each run: Neovim asks which
			out = appendLens(out, r, "Debug", clientDebug, arguments)
		}
	}
	return append(out, ']')
}

// total is the lens of a file.
func total(items []*pytest.Item) string {
	bare := 0
	for _, it := range items {
		if !it.Exact() {
			bare++
		}
	}
	t := fmt.Sprintf("Run %d", len(items))
	if bare > 0 {
		t += fmt.Sprintf(" · %d with cases known at run time", bare)
	}
	return t
}

func (sp spot) title() string {
	switch {
	case sp.class:
		return fmt.Sprintf("Run %d", sp.cases)
	case sp.reason == pytest.Conditional:
		return "Run, if its condition holds"
	case sp.reason != pytest.Exact:
		return "Run · cases known at run time (" + string(sp.reason) + ")"
	case sp.cases > 1:
		return fmt.Sprintf("Run %d", sp.cases)
	}
	return "Run"
}

// spots returns the functions and classes of a view that have tests, in the
// order of their rows. Tests that a class inherits from another file count
// for the class.
func spots(v *workspace.View) []spot {
	byRow := map[uint32]*spot{}
	var rows []uint32
	var sp *spot
	for _, it := range v.Items {
		if it.Source != v.Path || it.Kind == pytest.Doctest {
			continue
		}
		if sp == nil || sp.row != it.Head-1 { // cases of a function mostly stand together
			sp = byRow[it.Head]
		}
		if sp == nil {
			sp = &spot{row: it.Head - 1, col: it.Col, n: len(nameOf(it)), reason: it.Reason, name: names(it)}
			byRow[it.Head] = sp
			rows = append(rows, it.Head)
		}
		sp.cases++
	}
	classes := classSpots(v)
	out := make([]spot, 0, len(rows)+len(classes))
	out = append(out, classes...)
	for _, r := range rows {
		out = append(out, *byRow[r])
	}
	sortSpots(out)
	return out
}

// names is what stands behind the file in an item's id, without its case.
func names(it *pytest.Item) string {
	_, name, ok := strings.Cut(pytest.Bare(it.ID), "::")
	if !ok {
		return ""
	}
	return "::" + name
}

func nameOf(it *pytest.Item) string {
	names := pytest.ParseID(it.ID).Names
	if len(names) == 0 {
		return ""
	}
	return names[len(names)-1]
}
