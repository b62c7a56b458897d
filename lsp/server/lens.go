package server

import (
	"context"
	"fmt"
	"strings"

	"go.lsp.dev/protocol"

	"github.com/dx-py/dx-py-ls/engine/pytest"
	"github.com/dx-py/dx-py-ls/engine/workspace"
)

// CodeLens offers to run each test, class and file, with how many cases there
// are and how they ended when they last ran.
func (s *server) CodeLens(_ context.Context, p *protocol.CodeLensParams) ([]protocol.CodeLens, error) {
	path, ok := pathOf(p.TextDocument.URI)
	if !ok {
		return []protocol.CodeLens{}, nil
	}
	v, doc, err := s.view(path)
	if err != nil || doc == nil {
		return []protocol.CodeLens{}, nil // no configuration to use, or closed meanwhile: nothing to show
	}
	return s.lenses(v, newLines(v.Text), doc), nil
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

func (s *server) lenses(v *workspace.View, l *lines, doc *document) []protocol.CodeLens {
	out := []protocol.CodeLens{}
	if len(v.Items) == 0 {
		return out
	}
	add := func(r protocol.Range, title, name string) {
		out = append(out, protocol.CodeLens{Range: r, Command: protocol.Command{
			Title: s.results.title(doc.path, name) + title, Command: commandRun, Arguments: runArguments(doc.uri, name),
		}})
	}
	s.mu.Lock()
	due := s.folderOf(doc.path).due.Load()
	s.mu.Unlock()
	affected := func(r protocol.Range, name string) {
		if due.any(doc.path, name) {
			out = append(out, protocol.CodeLens{Range: r, Command: protocol.Command{
				Title: "Run affected", Command: commandRunAffected, Arguments: runArguments(doc.uri, name),
			}})
		}
	}
	top := s.span(l, 0, 0, 0)
	add(top, total(v.Items), "")
	affected(top, "")
	for _, sp := range spots(v) {
		r := s.span(l, sp.row, sp.col, sp.n)
		add(r, sp.title(), sp.name)
		if sp.class {
			affected(r, sp.name)
			continue
		}
		if s.can.debugs { // to others a second lens would be a question at each run: Neovim asks which
			out = append(out, protocol.CodeLens{Range: r, Command: protocol.Command{
				Title: "Debug", Command: clientDebug, Arguments: runArguments(doc.uri, sp.name),
			}})
		}
	}
	return out
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
	for _, it := range v.Items {
		if it.Source != v.Path || it.Kind == pytest.Doctest {
			continue
		}
		sp := byRow[it.Head]
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
