package pysrc

import "bytes"

// The body of a function says three things to the rest of the program: what
// it imports, which names of the module it changes, and where it ends.

// bodyFrom reads the body of the Def i behind its ':', whose header stands at
// column col.
func (o *outline) bodyFrom(after int, i uint32, col int) {
	q := o.blanks(after)
	if o.atEOL(q) {
		o.skipLine(q)
		q = o.pos
		o.bodyOf(i, col)
	} else {
		o.bodyCtx = o.bodyCtx[:0]
		o.bodyLine(q, i)
	}
	if n := o.pos - q; n < maxBody && o.keepBody(i, n) {
		o.b.add(Stmt{Kind: Body, Row: o.b.stmts[i].Row, A: text(q, max(q, o.trim(q, o.pos)))})
	}
}

// maxBody bounds the bodies that are kept. Functions that make values for
// parametrize, hooks and metaclasses are short: the longest that matters in the
// public suites has 2.3 KB.
const maxBody = 4 << 10

// keepBody reports whether the body of a function may decide about tests: a
// module's own function that is no test, a constructor, a hook.
func (o *outline) keepBody(i uint32, n int) bool {
	s := &o.b.stmts[i]
	name := o.src[s.A.Off : s.A.Off+s.A.Len]
	switch string(name) {
	case "__new__", "__init__":
		return true
	}
	return !o.inClass && !bytes.HasPrefix(name, testPrefix)
}

var testPrefix = []byte("test")

// bodyOf skips the block of the Def i, whose header stands at column col.
func (o *outline) bodyOf(i uint32, col int) {
	src := o.src
	n := len(src)
	o.bodyCtx = o.bodyCtx[:0]
	first, want := true, -1
	for o.pos < n {
		p := o.pos
		for p < n && src[p] == ' ' {
			p++
		}
		in := p - o.pos
		if p < n && (src[p] == '\t' || src[p] == '\f') {
			in, p = o.column(o.pos)
		}
		if p >= n {
			o.pos = n
			break
		}
		c := src[p]
		if c == '\n' {
			o.pos = p + 1
			o.row++
			continue
		}
		if c == '#' || c == '\r' && p+1 < n && src[p+1] == '\n' {
			o.skipLine(p)
			continue
		}
		if in <= col {
			break
		}
		if first {
			want = in
			first = false
			if q := o.bodyDoc(p, i); q >= 0 {
				o.lineEnd(q)
				continue
			}
		}
		if c == '\\' {
			o.doubt |= DoubtIndent
		}
		if in < want {
			o.breaks(DoubtIndent, p, badUnindent) // between the header's column and the body's
		}
		if len(o.bodyCtx) > 0 {
			o.leaveCtx(in, p)
		}
		switch c {
		case 'i':
			if o.word(p, "if") && typeChecking(src[p:]) {
				o.bodyCtx = append(o.bodyCtx, bodyCtx{in, TypeChecking})
			}
		case 't':
			if o.word(p, "try") {
				o.bodyCtx = append(o.bodyCtx, bodyCtx{in, InTry})
			}
		}
		o.bodyLine(p, i)
	}
	if first {
		s := &o.b.stmts[i]
		o.breaks(DoubtIndent, int(s.A.Off), noBlock)
	}
}

var typeCheckingWord = []byte("TYPE_CHECKING")

// typeChecking reports whether the "if" on this line is never true when the
// program runs: its condition is TYPE_CHECKING, or that and something else.
func typeChecking(line []byte) bool {
	if e := bytes.IndexByte(line, '\n'); e >= 0 {
		line = line[:e]
	}
	cond := bytes.TrimLeft(line[2:], " \t")
	end := 0
	for end < len(cond) && (ident[cond[end]] || cond[end] == '.') {
		end++
	}
	name, ok := bytes.CutSuffix(cond[:end], typeCheckingWord)
	if !ok || len(name) > 0 && name[len(name)-1] != '.' {
		return false
	}
	rest := bytes.TrimLeft(cond[end:], " \t")
	return len(rest) > 0 && rest[0] == ':' || bytes.HasPrefix(rest, []byte("and ")) && !bytes.Contains(rest, []byte(" or "))
}

// bodyDoc skips a docstring that is all of its line, and notes its examples.
func (o *outline) bodyDoc(p int, i uint32) int {
	at, examples := o.onlyString(p)
	if examples {
		o.b.stmts[i].Flags |= Doctest
	}
	return at
}

func (o *outline) leaveCtx(in, p int) {
	for k := len(o.bodyCtx); k > 0; k = len(o.bodyCtx) {
		t := o.bodyCtx[k-1]
		if in > t.col {
			return
		}
		if in == t.col && t.flag == InTry && (o.word(p, "except") || o.word(p, "finally") || o.word(p, "else")) {
			return
		}
		o.bodyCtx = o.bodyCtx[:k-1]
	}
}

// bodyLine reads one logical line of the body of Def i.
func (o *outline) bodyLine(p int, i uint32) {
	src := o.src
	flags := InFunc
	for _, c := range o.bodyCtx {
		flags |= c.flag
	}
	for {
		row := o.row
		var end int
		switch {
		case src[p] == 'i' && o.word(p, "import"), src[p] == 'f' && o.word(p, "from"):
			col := uint32(p - o.lineStart(p))
			end = o.scan(p, simple, nil)
			o.dynamics = o.dynamics[:0]
			o.importStmt(p, end, row, col, flags)
		case src[p] == 'g' && o.word(p, "global"):
			end = o.scan(p, simple, nil)
			for _, name := range bytes.FieldsFunc(src[p+6:o.trim(p+6, end)], func(r rune) bool { return r == ',' || r == ' ' || r == '\\' || r == '\n' }) {
				o.b.mutate(name)
			}
		default:
			if src[p] == 'y' && o.word(p, "yield") {
				o.b.stmts[i].Flags |= Yields
			}
			end = o.scan(p, inFunc, o.b.mutate)
			o.itemAssign(p)
			for _, d := range o.dynamics {
				o.b.addDynamic(d, flags)
			}
			o.dynamics = o.dynamics[:0]
		}
		if end < len(src) && (src[end] == ';' || src[end] == ':') {
			if q := o.gap(end + 1); !o.atEOL(q) {
				p = q
				continue
			}
			end++
		}
		o.lineEnd(min(end, len(src)))
		return
	}
}

// itemAssign notes "NAME[...] = value" and "NAME += value".
func (o *outline) itemAssign(p int) {
	if o.eq < 0 {
		return
	}
	e := o.name(p)
	if e > p && e < len(o.src) && (o.src[e] == '[' || o.op != 0 && o.blanks(e) >= o.eq-2) {
		o.b.mutate(o.src[p:e])
	}
}

// importStmt reads the import statement in [p, end).
func (o *outline) importStmt(p, end int, row, col uint32, flags Flag) {
	t := tokens{src: o.src, at: p, end: end}
	s := Stmt{Kind: Import, Flags: flags, Row: row, Head: row, Col: col}
	ok := false
	mark := len(o.b.stmts)
	switch {
	case o.word(p, "import"):
		t.at += 6
		i := o.b.add(s)
		ok = o.aliases(&t, true, row)
		o.b.close(i)
	default:
		t.at += 4
		s.Kind = FromImport
		for t.peek() == '.' {
			s.Level++
			t.at++
		}
		t.peek()
		if !t.keyword("import") {
			if s.A, ok = t.dotted(); !ok {
				break
			}
		} else if s.Level == 0 {
			break
		}
		i := o.b.add(s)
		t.peek()
		ok = t.keyword("import")
		if ok {
			t.at += 6
			if t.peek() == '*' {
				o.b.add(Stmt{Kind: Alias, Row: row, A: text(t.at, t.at+1)})
				t.at++
			} else {
				ok = o.aliases(&t, false, row)
			}
		}
		o.b.close(i)
	}
	if !ok || t.peek() != 0 {
		o.breaks(DoubtImport, p, "invalid syntax")
		o.b.stmts = o.b.stmts[:mark]
	}
}

// aliases reads "a.b as c, d" or, in brackets, the same over several rows.
func (o *outline) aliases(t *tokens, dotted bool, row uint32) bool {
	paren := false
	if !dotted && t.peek() == '(' {
		paren = true
		t.paren = true
		t.at++
	}
	for {
		t.peek()
		var name, as Text
		ok := false
		if dotted {
			name, ok = t.dotted()
		} else {
			name, ok = t.ident()
		}
		if !ok {
			return false
		}
		if t.peek() == 'a' && t.keyword("as") {
			t.at += 2
			t.peek()
			if as, ok = t.ident(); !ok {
				return false
			}
		}
		o.b.add(Stmt{Kind: Alias, Row: row, A: name, B: as})
		if t.peek() != ',' {
			break
		}
		t.at++
		if paren && t.peek() == ')' {
			break
		}
	}
	if paren {
		if t.peek() != ')' {
			return false
		}
		t.at++
		t.paren = false
	}
	return true
}

// tokens walks over the tokens of an import statement.
type tokens struct {
	src     []byte
	at, end int
	paren   bool
}

// peek skips white space and returns the byte there, 0 at the end.
func (t *tokens) peek() byte {
	for t.at < t.end {
		switch c := t.src[t.at]; {
		case c == ' ' || c == '\t' || c == '\f' || c == '\r':
			t.at++
		case c == '\\' && t.at+1 < t.end && (t.src[t.at+1] == '\n' || t.src[t.at+1] == '\r'):
			t.at += 2
		case c == '\n':
			t.at++
		case c == '#' && t.paren:
			for t.at < t.end && t.src[t.at] != '\n' {
				t.at++
			}
		default:
			return c
		}
	}
	return 0
}

func (t *tokens) keyword(w string) bool {
	e := t.at + len(w)
	return e <= t.end && string(t.src[t.at:e]) == w && (e == t.end || !ident[t.src[e]])
}

func (t *tokens) ident() (Text, bool) {
	b := t.at
	for t.at < t.end && ident[t.src[t.at]] {
		t.at++
	}
	return text(b, t.at), t.at > b
}

// dotted reads a dotted name; blanks around its dots stay in the text.
func (t *tokens) dotted() (Text, bool) {
	first, ok := t.ident()
	if !ok {
		return first, false
	}
	stop := t.at
	for t.peek() == '.' {
		t.at++
		t.peek()
		part, ok := t.ident()
		if !ok {
			return first, false
		}
		stop = int(part.Off + part.Len)
	}
	t.at = stop
	return text(int(first.Off), stop), true
}
