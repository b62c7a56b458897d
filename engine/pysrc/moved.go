package pysrc

// Moved reports whether two Modules say the same but for the rows of it, and
// what Python rejects. rows is where the rows of m that it names are in o, in
// strictly the same order, nil for where they were; a row that it does not name
// has none.
func (m *Module) Moved(o *Module) (rows func(row uint32) (uint32, bool), same bool) {
	if len(m.Stmts) != len(o.Stmts) || m.Doctest != o.Doctest {
		return nil, false
	}
	to := make([]uint32, m.Rows+2) // row+1 in o, 0 for none
	put := func(from, at uint32) bool {
		if int(from) >= len(to) || to[from] != 0 && to[from] != at+1 {
			return false
		}
		to[from] = at + 1
		return true
	}
	for i := range m.Stmts {
		a, b := m.Stmts[i], o.Stmts[i]
		// which fields are rows at all, see Stmt: a Mutate has none
		if a.Kind != Mutate && !put(a.Row, b.Row) || a.Head|b.Head != 0 && !put(a.Head, b.Head) {
			return nil, false
		}
		if (a.Kind == Def || a.Kind == Class) && !put(a.EndRow, b.EndRow) {
			return nil, false
		}
		if m.Text(a.A) != o.Text(b.A) || m.Text(a.B) != o.Text(b.B) {
			return nil, false
		}
		a.Row, a.Head, a.EndRow, a.A, a.B = b.Row, b.Head, b.EndRow, b.A, b.B
		if a != b {
			return nil, false
		}
	}
	last, there := uint32(0), true
	for row, at := range to {
		if at == 0 {
			continue
		}
		there = there && at == uint32(row)+1
		if at <= last {
			return nil, false
		}
		last = at
	}
	if there {
		return nil, true
	}
	return func(row uint32) (uint32, bool) {
		if int(row) >= len(to) || to[row] == 0 {
			return 0, false
		}
		return to[row] - 1, true
	}, true
}
