//go:build cgo

package pysrc

import "bytes"

// reader turns a flattened tree into statements, in the order and with the
// texts that the outline parser gives them. Bodies of functions are scanned
// by the outline parser's own code: the grammar says nothing about them that
// is kept.
type reader struct {
	o       *outline
	src     []byte
	ns      []node
	dynamic bool // a dynamic import word stands somewhere in the file
}

func (r *reader) module() {
	for _, w := range dynamicWords {
		r.dynamic = r.dynamic || bytes.Contains(r.src, []byte(w))
	}
	if len(r.ns) == 0 {
		return
	}
	r.block(0, None, true)
	r.problems()
}

func (r *reader) name(i uint32) string {
	if s := r.ns[i].sym; int(s) < len(grammar().names) {
		return grammar().names[s]
	}
	return "ERROR"
}

// kids calls f for each child of node i.
func (r *reader) kids(i uint32, f func(c uint32)) {
	for c := i + 1; c < r.ns[i].next; c = r.ns[c].next {
		f(c)
	}
}

func (r *reader) text(i uint32) Text { return text(int(r.ns[i].start), int(r.ns[i].end)) }

func (r *reader) col(at uint32) uint32 { return at - uint32(r.o.lineStart(int(at))) }

// block reads the statements of a module or block and returns the last row
// with code.
func (r *reader) block(i uint32, parent Kind, first bool) (endRow uint32) {
	endRow = r.ns[i].row
	r.kids(i, func(c uint32) {
		endRow = max(endRow, r.stmt(c, first && (parent == Class || parent == None)))
		first = false
	})
	return endRow
}

// add appends the statement for node i, with the dynamic imports of the text
// from node i to the offset end.
func (r *reader) add(i uint32, s Stmt, end uint32) uint32 {
	n := &r.ns[i]
	s.Row, s.Head = n.row, n.row
	if s.Col == 0 {
		s.Col = r.col(n.start)
	}
	at := r.o.b.add(s)
	r.dynamics(n.start, end, n.row)
	return at
}

// dynamics adds the calls of dynamic imports that stand in [from, to).
func (r *reader) dynamics(from, to, row uint32) {
	if !r.dynamic {
		return
	}
	r.o.row, r.o.dynamics = row, r.o.dynamics[:0]
	src := r.o.src
	r.o.src = src[:to]
	r.o.scan(int(from), simple, nil)
	r.o.src = src
	r.o.flush()
}

func (r *reader) stmt(i uint32, first bool) (endRow uint32) {
	n := r.ns[i]
	endRow = n.endRow
	switch name := r.name(i); name {
	case "decorated_definition", "function_definition", "class_definition":
		return r.definition(i)
	case "import_statement", "import_from_statement", "future_import_statement":
		r.importStmt(i, name)
	case "expression_statement":
		r.expression(i, first)
	case "print_statement", "exec_statement": // Python 2
		r.add(i, Stmt{Kind: Expr, A: text(int(n.start), int(n.end))}, n.end)
	case "delete_statement":
		r.keyword(i, Del, 3)
	case "raise_statement":
		r.keyword(i, Raise, 5)
	case "break_statement":
		r.keyword(i, Break, 5)
	case "continue_statement":
		r.keyword(i, Continue, 8)
	case "return_statement":
		r.keyword(i, Return, 6)
	case "type_alias_statement":
		r.typeAlias(i)
	case "if_statement":
		return r.compound(i, If)
	case "for_statement":
		return r.compound(i, For)
	case "while_statement":
		return r.compound(i, While)
	case "with_statement":
		return r.compound(i, With)
	case "try_statement":
		return r.compound(i, Try)
	case "match_statement":
		return r.compound(i, Match)
	case "ERROR":
		// what the grammar did not understand; its row is in the problems
	default:
		r.dynamics(n.start, n.end, n.row)
	}
	return endRow
}

func (r *reader) keyword(i uint32, k Kind, skip int) {
	n := r.ns[i]
	from := r.o.blanks(int(n.start) + skip)
	r.add(i, Stmt{Kind: k, A: text(from, max(from, int(n.end)))}, n.end)
}

func (r *reader) typeAlias(i uint32) {
	var left, right uint32
	r.kids(i, func(c uint32) {
		if r.name(c) == "type" && r.ns[c].end-r.ns[c].start > 0 {
			switch {
			case string(r.src[r.ns[c].start:r.ns[c].end]) == "type" && left == 0 && r.ns[c].start == r.ns[i].start:
			case left == 0:
				left = c
			default:
				right = c
			}
		}
	})
	if left == 0 || right == 0 {
		return
	}
	t := r.text(left)
	t.Len = uint32(r.o.name(int(t.Off))) - t.Off
	r.add(i, Stmt{Kind: Assign, A: t, B: r.text(right)}, r.ns[i].end)
}

func (r *reader) expression(i uint32, first bool) {
	n := r.ns[i]
	c := i + 1
	if c >= n.next {
		return
	}
	switch r.name(c) {
	case "assignment":
		r.assignment(i, c)
	case "augmented_assignment":
		var kids []uint32
		r.kids(c, func(k uint32) { kids = append(kids, k) })
		if len(kids) == 3 {
			r.add(i, Stmt{Kind: AugAssign, Level: uint16(r.src[r.ns[kids[1]].start]), A: r.text(kids[0]), B: r.text(kids[2])}, n.end)
		}
	case "string":
		if r.ns[c].next == n.next {
			if first {
				r.docstring(c)
			}
			return
		}
		fallthrough
	default:
		if string(r.src[n.start:n.end]) != "..." {
			r.add(i, Stmt{Kind: Expr, A: text(int(n.start), int(n.end))}, n.end)
		}
	}
}

func (r *reader) docstring(c uint32) {
	s := r.src[r.ns[c].start:r.ns[c].end]
	q := 0
	for q < len(s) && q < 2 && stringPrefix(s[q]) {
		q++
	}
	rest := r.o.blanks(int(r.ns[c].end))
	if !r.o.atEOL(rest) || !plainPrefix(s[:q]) || !hasExample(s[q:][quotes(s[q:]):]) {
		return
	}
	if k := len(r.o.blocks); k > 0 {
		r.o.b.stmts[r.o.blocks[k-1].stmt].Flags |= Doctest
	} else {
		r.o.b.doctest = true
	}
}

// assignment reads "a = b = value", "a: T = value" and the like.
func (r *reader) assignment(i, c uint32) {
	var last, right, annotated uint32
	for c != 0 {
		next := uint32(0)
		seenEq := false
		colon := false
		r.kids(c, func(k uint32) {
			switch r.name(k) {
			case "=":
				seenEq = true
			case ":":
				colon = true
			case "assignment":
				next = k
			default:
				if !seenEq && !colon {
					last = k
				} else if seenEq {
					right = k
				}
			}
		})
		if colon {
			annotated = last
			if !seenEq {
				return
			}
		}
		c = next
	}
	if right == 0 {
		return
	}
	n := r.ns[i]
	a := text(int(n.start), int(r.ns[last].end))
	if annotated != 0 {
		a = r.text(annotated)
	}
	r.add(i, Stmt{Kind: Assign, A: a, B: text(int(r.ns[right].start), int(n.end))}, n.end)
}

// definition reads a function or class with its decorators.
func (r *reader) definition(i uint32) (endRow uint32) {
	def := i
	var decorators []uint32
	if r.name(i) == "decorated_definition" {
		r.kids(i, func(c uint32) {
			if r.name(c) == "decorator" {
				decorators = append(decorators, c)
			} else {
				def = c
			}
		})
		if def == i {
			return r.ns[i].endRow
		}
	}
	n := r.ns[def]
	s := Stmt{Kind: Def, Row: n.row, Head: n.row}
	var colon, body uint32
	r.kids(def, func(c uint32) {
		t := r.text(c)
		switch r.name(c) {
		case "identifier":
			if s.A.Len == 0 {
				s.A, s.Col = t, r.col(t.Off)
			}
		case "parameters", "argument_list":
			s.B = text(int(t.Off)+1, r.o.trim(int(t.Off)+1, int(t.Off+t.Len)-1))
		case "async":
			s.Flags |= Async
		case "class":
			s.Kind = Class
		case ":":
			colon = c
		case "block":
			body = c
		}
	})
	if colon == 0 || s.A.Len == 0 {
		return n.endRow
	}
	if len(decorators) > 0 {
		s.Row = r.ns[decorators[0]].row
	}
	at := r.o.b.add(s)
	for _, d := range decorators {
		dn := r.ns[d]
		from := r.o.blanks(int(dn.start) + 1)
		end := dn.end
		if e := r.ns[d+1].next; e < dn.next { // "@", the expression, sometimes the line end
			end = r.ns[e].end
		}
		r.o.b.add(Stmt{Kind: Decorator, Row: dn.row, Col: r.col(dn.start), A: text(from, r.o.trim(from, int(end)))})
		r.dynamics(uint32(from), end, dn.row)
	}
	if s.B.Len > 0 {
		r.dynamics(s.B.Off-1, r.ns[colon].start, n.row)
	}
	endRow = r.ns[colon].endRow
	if s.Kind == Def {
		endRow = r.body(at, def, colon)
	} else if body != 0 {
		r.o.blocks = append(r.o.blocks, block{stmt: at})
		inline := r.ns[body].row == r.ns[colon].row
		endRow = max(endRow, r.block(body, Class, !inline))
		r.o.blocks = r.o.blocks[:len(r.o.blocks)-1]
	}
	r.o.b.stmts[at].EndRow = endRow
	r.o.b.close(at)
	return endRow
}

// body scans the body of the Def at and returns its last row.
func (r *reader) body(at, def, colon uint32) uint32 {
	o := r.o
	o.row = r.ns[colon].row
	o.endRow = o.row
	col, _ := o.column(o.lineStart(int(r.ns[def].start)))
	o.inClass = len(o.blocks) > 0 // the reader opens only classes
	o.bodyFrom(int(r.ns[colon].end), at, col)
	return o.endRow
}

// compound reads any other compound statement with its clauses, which follow
// it as siblings.
func (r *reader) compound(i uint32, kind Kind) (endRow uint32) {
	n := r.ns[i]
	var clauses []uint32
	var colon, body, in uint32
	key := i + 1 // the keyword, behind "async"
	var flags Flag
	if r.name(key) == "async" {
		flags = Async
		key = r.ns[key].next
	}
	var cases []uint32
	for c := r.ns[key].next; c < n.next; c = r.ns[c].next {
		switch r.name(c) {
		case ":":
			if colon == 0 {
				colon = c
			}
		case "in":
			if in == 0 {
				in = c
			}
		case "block":
			body = c
		case "case_clause", "case_block":
			cases = append(cases, c)
		case "elif_clause", "else_clause", "except_clause", "except_group_clause", "finally_clause":
			clauses = append(clauses, c)
		}
	}
	if colon == 0 {
		return n.endRow
	}
	from := r.o.blanks(int(r.ns[key].end))
	stop := r.o.trim(from, int(r.ns[colon].start))
	s := Stmt{Kind: kind, Flags: flags}
	switch kind {
	case For:
		if in == 0 {
			return n.endRow
		}
		s.A = text(from, r.o.trim(from, int(r.ns[in].start)))
		s.B = text(r.o.blanks(int(r.ns[in].end)), stop)
	case Try, Else, Finally:
	default:
		s.A = text(from, max(from, stop))
	}
	at := r.add(i, s, r.ns[colon].start)
	endRow = r.ns[colon].endRow
	if body != 0 {
		if kind == Match {
			r.kids(body, func(c uint32) {
				if name := r.name(c); name == "case_clause" || name == "case_block" {
					cases = append(cases, c)
				}
			})
		} else {
			endRow = max(endRow, r.block(body, kind, false))
		}
	}
	for _, c := range cases {
		endRow = max(endRow, r.compound(c, Case))
	}
	r.o.b.close(at)
	for _, c := range clauses {
		k := Else
		switch r.name(c) {
		case "elif_clause":
			k = Elif
		case "except_clause", "except_group_clause":
			k = Except
		case "finally_clause":
			k = Finally
		}
		endRow = max(endRow, r.compound(c, k))
	}
	return endRow
}

func (r *reader) importStmt(i uint32, name string) {
	n := r.ns[i]
	s := Stmt{Kind: FromImport, Row: n.row, Head: n.row, Col: r.col(n.start)}
	if name == "import_statement" {
		s.Kind = Import
	}
	type alias struct{ a, b Text }
	var as []alias
	seenImport := s.Kind == Import
	r.kids(i, func(c uint32) {
		switch r.name(c) {
		case "import":
			seenImport = true
		case "__future__":
			s.A = r.text(c)
		case "relative_import":
			t := r.text(c)
			for k := t.Off; k < t.Off+t.Len; k++ {
				if r.src[k] == '.' && s.A.Len == 0 {
					s.Level++
				} else if ident[r.src[k]] {
					s.A = text(int(k), int(t.Off+t.Len))
					break
				}
			}
		case "dotted_name":
			if seenImport {
				as = append(as, alias{a: r.text(c)})
			} else {
				s.A = r.text(c)
			}
		case "aliased_import":
			var x alias
			r.kids(c, func(k uint32) {
				switch r.name(k) {
				case "dotted_name":
					x.a = r.text(k)
				case "identifier":
					x.b = r.text(k)
				}
			})
			as = append(as, x)
		case "wildcard_import":
			as = append(as, alias{a: r.text(c)})
		}
	})
	at := r.o.b.add(s)
	for _, x := range as {
		r.o.b.add(Stmt{Kind: Alias, Row: n.row, A: x.a, B: x.b})
	}
	r.o.b.close(at)
}

// problems notes where the grammar found errors, once a row.
func (r *reader) problems() {
	last := ^uint32(0)
	for i := range r.ns {
		n := &r.ns[i]
		if int(n.sym) < len(grammar().names) && n.missing == 0 || n.row == last {
			continue
		}
		last = n.row
		msg := "invalid syntax"
		if n.missing != 0 {
			msg = "invalid syntax: missing " + r.name(uint32(i))
		}
		r.o.b.problems = append(r.o.b.problems, Problem{n.row, r.col(n.start), msg})
	}
}
