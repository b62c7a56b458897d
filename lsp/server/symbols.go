package server

import (
	"context"
	"slices"
	"strings"

	"go.lsp.dev/protocol"

	"github.com/dx-py/dx-py-ls/engine/pysrc"
	"github.com/dx-py/dx-py-ls/engine/pytest"
	"github.com/dx-py/dx-py-ls/engine/workspace"
)

// DocumentSymbol lists the classes, tests and fixtures of a file.
func (s *server) DocumentSymbol(_ context.Context, p *protocol.DocumentSymbolParams) (protocol.DocumentSymbolResult, error) {
	path, ok := pathOf(p.TextDocument.URI)
	if !ok {
		return protocol.DocumentSymbolSlice{}, nil
	}
	v, doc, err := s.view(path)
	if err != nil || doc == nil {
		return protocol.DocumentSymbolSlice{}, nil
	}
	l := newLines(v.Text)
	tests := map[uint32]bool{}
	for _, it := range v.Items {
		if it.Source == path {
			tests[it.Head-1] = true
		}
	}
	return protocol.DocumentSymbolSlice(s.symbols(v.Module, l, tests, 0, v.Module.End())), nil
}

func (s *server) symbols(m *pysrc.Module, l *lines, tests map[uint32]bool, i, end uint32) []protocol.DocumentSymbol {
	out := []protocol.DocumentSymbol{}
	m.Body(i, end, func(i uint32) bool {
		st := &m.Stmts[i]
		switch st.Kind {
		case pysrc.Class, pysrc.Def:
			sym := protocol.DocumentSymbol{
				Name: m.A(i), Kind: protocol.SymbolKindFunction, Range: s.rows(l, st.Row, max(st.EndRow, st.Head)),
				SelectionRange: s.span(l, st.Head, st.Col, int(st.A.Len)),
			}
			detail := ""
			decorators, body := m.Decorators(i)
			switch {
			case st.Kind == pysrc.Class:
				sym.Kind = protocol.SymbolKindClass
				sym.Children = s.symbols(m, l, tests, body, st.Next)
			case tests[st.Head]:
				sym.Kind, detail = protocol.SymbolKindMethod, "test"
			case slices.ContainsFunc(decorators, func(d uint32) bool { return isFixture(m.A(d)) }):
				sym.Kind, detail = protocol.SymbolKindEvent, "fixture"
			}
			if detail != "" {
				sym.Detail = &detail
			}
			out = append(out, sym)
		case pysrc.If, pysrc.Elif, pysrc.Else, pysrc.Try, pysrc.Except, pysrc.Finally, pysrc.With:
			out = append(out, s.symbols(m, l, tests, i+1, st.Next)...)
		}
		return true
	})
	return out
}

// isFixture reports whether a decorator's text is pytest.fixture, under the
// names it usually has.
func isFixture(text string) bool {
	head, _, _ := strings.Cut(text, "(")
	return head == "fixture" || strings.HasSuffix(head, ".fixture")
}

// classSpots counts the tests below each class of a view.
func classSpots(v *workspace.View) []spot {
	counts := map[string]int{}
	for _, it := range v.Items {
		if it.Kind == pytest.Doctest {
			continue
		}
		id := pytest.ParseID(it.ID)
		name := ""
		for _, n := range id.Names[:max(0, len(id.Names)-1)] {
			name += "::" + n
			counts[name]++
		}
	}
	var out []spot
	var visit func(i, end uint32, prefix string)
	visit = func(i, end uint32, prefix string) {
		m := v.Module
		m.Body(i, end, func(i uint32) bool {
			st := &m.Stmts[i]
			switch st.Kind {
			case pysrc.Class:
				name := prefix + "::" + m.A(i)
				if n := counts[name]; n > 0 {
					out = append(out, spot{row: st.Head, col: st.Col, n: int(st.A.Len), end: st.EndRow, cases: n, class: true, name: name})
					counts[name] = 0
				}
				_, body := m.Decorators(i)
				visit(body, st.Next, name)
			case pysrc.If, pysrc.Elif, pysrc.Else, pysrc.Try, pysrc.Except, pysrc.With:
				visit(i+1, st.Next, prefix)
			}
			return true
		})
	}
	visit(0, v.Module.End(), "")
	return out
}

func sortSpots(s []spot) {
	slices.SortStableFunc(s, func(a, b spot) int { return int(a.row) - int(b.row) })
}
