package pysrc

// Simple statements.

// simples reads simple statements from p to the end of the logical line.
func (o *outline) simples(p int) {
	for {
		end := o.simple(p)
		o.endRow = o.row
		if end < len(o.src) && o.src[end] == ';' {
			p = o.gap(end + 1)
			if !o.atEOL(p) {
				continue
			}
			end = p
		}
		o.lineEnd(end)
		return
	}
}

// lineEnd moves behind the line end or comment at p. endRow is the row of the
// last code: not of an empty row behind a continued line end.
func (o *outline) lineEnd(p int) {
	j := p
	row := o.row
	for j > 0 && row > 0 {
		c := o.src[j-1]
		if c == '\n' {
			row--
		} else if c != ' ' && c != '\t' && c != '\r' && c != '\\' && c != '\f' {
			break
		}
		j--
	}
	o.endRow = row
	o.skipLine(p)
}

// docstring skips a statement that is nothing but a string, and returns where
// it ends; -1 when p holds something else. A first statement's examples are
// noted at the block, or module, that it documents.
func (o *outline) docstring(p int, first bool) int {
	at, examples := o.onlyString(p)
	if at >= 0 && first && examples {
		if k := len(o.blocks); k > 0 {
			o.b.stmts[o.blocks[k-1].stmt].Flags |= Doctest
		} else {
			o.b.doctest = true
		}
	}
	return at
}

// onlyString skips a string that is all of its statement and returns where it
// ends, -1 when p holds something else, and whether a docstring made of it has
// examples.
func (o *outline) onlyString(p int) (at int, examples bool) {
	row, doubt := o.row, o.doubt
	q := p
	for q < len(o.src) && q < p+2 && stringPrefix(o.src[q]) {
		q++
	}
	if q >= len(o.src) || o.src[q] != '"' && o.src[q] != '\'' {
		return -1, false
	}
	e := o.str(q, o.fprefix(q))
	at = o.blanks(e)
	if !o.atEOL(at) {
		o.row, o.doubt = row, doubt
		return -1, false
	}
	return at, plainPrefix(o.src[p:q]) && hasExample(o.src[q:e][quotes(o.src[q:e]):])
}

func stringPrefix(c byte) bool {
	switch c | 0x20 {
	case 'r', 'b', 'u', 'f', 't':
		return true
	}
	return false
}

// plainPrefix reports whether a string with this prefix can be a docstring.
func plainPrefix(p []byte) bool {
	return len(p) == 0 || len(p) == 1 && (p[0]|0x20 == 'r' || p[0]|0x20 == 'u')
}

func quotes(s []byte) int {
	if len(s) > 5 && s[1] == s[0] && s[2] == s[0] {
		return 3
	}
	return 1
}

// simple reads one simple statement and returns where it ends.
func (o *outline) simple(p int) int {
	src := o.src
	row := o.row
	col := uint32(p - o.lineStart(p))
	switch src[p] {
	case 'i', 'f':
		if o.word(p, "import") || o.word(p, "from") {
			end := o.scan(p, simple, nil)
			o.dynamics = o.dynamics[:0]
			o.importStmt(p, end, row, col, 0)
			return end
		}
	}
	end := o.scan(p, simple, nil)
	stop := o.trim(p, end)
	kind, from := None, p
	switch src[p] {
	case 'd':
		if o.word(p, "del") {
			kind, from = Del, o.blanks(p+3)
		}
	case 'r':
		if o.word(p, "raise") {
			kind, from = Raise, o.blanks(p+5)
		} else if o.word(p, "return") {
			kind, from = Return, o.blanks(p+6)
		}
	case 'p':
		if o.word(p, "pass") {
			return o.skip(end)
		}
	case 'g':
		if o.word(p, "global") {
			return o.skip(end)
		}
	case 'n':
		if o.word(p, "nonlocal") {
			return o.skip(end)
		}
	case 'b', 'c':
		if o.word(p, "break") && stop == p+5 {
			kind, from = Break, stop
		} else if o.word(p, "continue") && stop == p+8 {
			kind, from = Continue, stop
		}
	case 'a':
		if o.word(p, "assert") {
			o.flush()
			return end
		}
	case 't':
		if o.word(p, "type") && o.typeAlias(p, stop, row, col) {
			return end
		}
	}
	switch {
	case kind != None:
		o.b.add(Stmt{Kind: kind, Row: row, Head: row, Col: col, A: text(from, max(from, stop))})
	case o.op != 0:
		t := o.eq - 1
		if t > p && src[t] == src[t-1] && (src[t] == '*' || src[t] == '/' || src[t] == '<' || src[t] == '>') {
			t--
		}
		o.b.add(Stmt{
			Kind: AugAssign, Level: uint16(o.op), Row: row, Head: row, Col: col,
			A: text(p, o.trim(p, t)), B: o.value(stop),
		})
	case o.eq >= 0:
		target := o.trim(p, o.lastEq)
		if o.colon >= 0 && o.colon < o.eq {
			target = o.trim(p, o.colon)
		}
		o.b.add(Stmt{Kind: Assign, Row: row, Head: row, Col: col, A: text(p, target), B: o.value(stop)})
	case o.colon >= 0 && !o.word(p, "lambda"):
		// an annotation without a value binds nothing
	case stop > p && !o.inert(p, stop):
		o.b.add(Stmt{Kind: Expr, Row: row, Head: row, Col: col, A: text(p, stop)})
	}
	o.flush()
	return end
}

// inert reports whether an expression statement does nothing: "..." or a
// string.
func (o *outline) inert(p, stop int) bool {
	if string(o.src[p:stop]) == "..." {
		return true
	}
	q := p
	for q < stop && q < p+2 && stringPrefix(o.src[q]) {
		q++
	}
	if q >= stop || o.src[q] != '"' && o.src[q] != '\'' {
		return false
	}
	row, doubt := o.row, o.doubt
	e := o.str(q, o.fprefix(q))
	o.row, o.doubt = row, doubt
	return e == stop
}

// skip ends a statement that says nothing but its dynamic imports.
func (o *outline) skip(end int) int {
	o.flush()
	return end
}

// value is the text behind the last '=' of the statement.
func (o *outline) value(stop int) Text {
	from := o.lastEq + 1
	for from < stop && (o.src[from] == ' ' || o.src[from] == '\t' || o.src[from] == '\\' || o.src[from] == '\n' || o.src[from] == '\r') {
		from++
	}
	return text(from, max(from, stop))
}

// typeAlias reads "type X = value".
func (o *outline) typeAlias(p, stop int, row, col uint32) bool {
	name := o.blanks(p + 4)
	end := o.name(name)
	if end == name || name == p+4 || o.eq < 0 {
		return false
	}
	o.b.add(Stmt{Kind: Assign, Row: row, Head: row, Col: col, A: text(name, end), B: o.value(stop)})
	o.flush()
	return true
}
