package server

import (
	"strings"

	"github.com/dx-py/dx-py-ls/engine/pysrc"
	"github.com/dx-py/dx-py-ls/engine/workspace"
)

// duplicate is a test that a later definition of its name takes away.
type duplicate struct {
	row, col uint32
	name     string
	again    uint32 // row of the definition that counts
}

// shadowed are the tests of a file that pytest does not see because the same
// body defines their name again. Definitions behind conditions and those with
// decorators, which may keep the first, are not judged.
func shadowed(v *workspace.View) []duplicate {
	tests := map[uint32]bool{}
	for _, it := range v.Items {
		if it.Source == v.Path {
			tests[it.Head-1] = true
		}
	}
	var out []duplicate
	m := v.Module
	var visit func(i, end uint32)
	visit = func(i, end uint32) {
		first := map[string][]uint32{}
		m.Body(i, end, func(i uint32) bool {
			st := &m.Stmts[i]
			decorators, body := m.Decorators(i)
			switch st.Kind {
			case pysrc.Class:
				visit(body, st.Next)
			case pysrc.Def:
				name := m.A(i)
				if tests[st.Head] {
					for _, j := range first[name] {
						x := &m.Stmts[j]
						out = append(out, duplicate{x.Head, x.Col, strings.Clone(name), st.Head})
					}
				}
				if len(decorators) == 0 || marksOnly(m, decorators) {
					first[name] = append(first[name], i)
				}
			}
			return true
		})
	}
	visit(0, m.End())
	return out
}

func marksOnly(m *pysrc.Module, decorators []uint32) bool {
	for _, d := range decorators {
		if !strings.HasPrefix(m.A(d), "pytest.mark.") {
			return false
		}
	}
	return true
}
