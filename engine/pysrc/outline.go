package pysrc

import "bytes"

// outline reads the statements of a file by lexical rules and indentation
// alone. It reads every shape that decides about tests, fixtures and imports,
// and skips the bodies of functions but for the imports in them.
//
// The trial in front of this design sent the compound statements (7 % of the
// bytes) to tree-sitter. Reading them here too is no more code than merging
// the two results was, needs no cgo, and is twice as fast; what a header says
// beyond its keyword is kept as text and parsed on demand either way.
type outline struct {
	scanner
	b       builder
	blocks  []block
	pending []decorator
	bodyCtx []bodyCtx
	first   bool // the next statement may be the module's docstring
	at      int  // where the statement begins that is read
	// the last question to lineStart and its answer
	lineAsked, lineFound int

	inClass bool // the def that is being read stands in a class

	colons map[uint32]int // by Def, where its body begins; nil where nobody asks
}

// block is an open compound statement.
type block struct {
	header int    // column of its header
	col    int    // column of its statements, -1 before the first
	stmt   uint32 // index
	first  bool   // the next statement is its first
}

type decorator struct {
	row, col uint32
	expr     Text
	dynamics []dynamic
}

// bodyCtx is a try or "if TYPE_CHECKING" block in the body of a function.
type bodyCtx struct {
	col  int
	flag Flag
}

// parse reads a text up to the first statement that it doubts.
func (o *outline) parse(src []byte) Doubt {
	o.reset(src)
	if i := bytes.IndexByte(src, 0); i >= 0 {
		o.breaks(DoubtNUL, i, "a NUL byte in the source")
	}
	n := len(src)
	for o.pos < n {
		if o.doubt != 0 && !o.mending {
			return o.doubt
		}
		o.at = o.pos
		col, p := o.column(o.pos)
		if p >= n {
			o.pos = n
			break
		}
		if c := src[p]; c == '\n' || c == '#' || c == '\r' && p+1 < n && src[p+1] == '\n' {
			o.skipLine(p)
			continue
		}
		if src[p] == '\\' {
			o.doubt |= DoubtIndent // Python takes the next row's column; too rare to follow
		}
		o.level(p, col)
		o.statement(p, col)
	}
	for len(o.blocks) > 0 {
		if top := &o.blocks[len(o.blocks)-1]; top.col < 0 {
			o.breaks(DoubtIndent, o.at, noBlock)
		}
		o.pop()
	}
	if len(o.pending) > 0 {
		o.breaks(DoubtHeader, o.at, noDef)
	}
	o.b.rows = o.row
	if o.row != uint32(bytes.Count(src, newline)) {
		o.doubt |= DoubtRows
	}
	return o.doubt
}

// What is wrong, in Python's words.
const (
	noBlock     = "expected an indented block"
	badIndent   = "unexpected indent"
	badUnindent = "unindent does not match any outer indentation level"
	noDef       = "a decorator without a function or class"
)

// mend reads a text again that was parsed with doubt, and that Python rejects, or
// as good as: what is broken ends where it must have been meant to, and the rest
// is as if it were not. What it finds depends on nothing but the text.
func (o *outline) mend(src []byte) *Module {
	at, why := o.at, "invalid syntax"
	if o.doubt&Broken != 0 {
		at, why = o.brokenAt, o.why
	}
	o.mending = true
	o.parse(src)
	o.mending = false
	row := uint32(bytes.Count(src[:at], newline))
	o.b.problems = append(o.b.problems, Problem{row, uint32(at - bytes.LastIndexByte(src[:at], '\n') - 1), why})
	return o.b.finish()
}

func (o *outline) reset(src []byte) {
	o.scanner = scanner{src: src, dynamics: o.dynamics[:0], mending: o.mending}
	o.b.reset(src)
	o.blocks, o.pending, o.bodyCtx = o.blocks[:0], o.pending[:0], o.bodyCtx[:0]
	o.first = true
	o.lineAsked, o.lineFound = 0, 0
}

// column returns the column of the first byte that is no blank, and its
// offset. A tab goes to the next multiple of 8, a form feed to 0.
func (o *outline) column(p int) (int, int) {
	src := o.src
	n := len(src)
	col := 0
	for p < n {
		switch src[p] {
		case ' ':
			col++
		case '\t':
			if col&7 != 0 {
				o.doubt |= DoubtTabs
			}
			col = (col | 7) + 1
		case '\f':
			col = 0
		default:
			return col, p
		}
		p++
	}
	return col, p
}

// level opens and closes blocks for a statement at the given column.
func (o *outline) level(p, col int) {
	want, outer := 0, len(o.blocks)
	for k := len(o.blocks); k > 0; k = len(o.blocks) {
		top := &o.blocks[k-1]
		if top.col < 0 {
			if col > top.header {
				top.col = col
				return
			}
			o.breaks(DoubtIndent, p, noBlock)
		} else if col >= top.col {
			want = top.col
			break
		}
		o.pop()
	}
	switch {
	case col == want:
	case len(o.blocks) == outer:
		o.breaks(DoubtIndent, p, badIndent)
	default:
		o.breaks(DoubtIndent, p, badUnindent)
	}
}

func (o *outline) pop() {
	k := len(o.blocks) - 1
	st := o.blocks[k].stmt
	o.blocks = o.blocks[:k]
	if o.b.stmts[st].Kind == Class {
		o.b.stmts[st].EndRow = o.endRow
	}
	o.b.close(st)
}

// parent returns the kind of the innermost open statement.
func (o *outline) parent() Kind {
	if k := len(o.blocks); k > 0 {
		return o.b.stmts[o.blocks[k-1].stmt].Kind
	}
	return None
}

// classOpen reports whether a class is among the open statements.
func (o *outline) classOpen() bool {
	for _, b := range o.blocks {
		if o.b.stmts[b.stmt].Kind == Class {
			return true
		}
	}
	return false
}

// isFirst reports whether this is the first statement of a class or module.
func (o *outline) isFirst() bool {
	k := len(o.blocks)
	if k == 0 {
		first := o.first
		o.first = false
		return first
	}
	first := o.blocks[k-1].first
	o.blocks[k-1].first = false
	return first && o.parent() == Class
}

// statement reads the logical line at p, simple statements behind ';' too.
func (o *outline) statement(p, col int) {
	first := o.isFirst()
	if len(o.pending) > 0 {
		if c := o.src[p]; c != '@' && c != 'd' && c != 'c' && c != 'a' {
			o.breaks(DoubtHeader, p, noDef)
			o.pending = o.pending[:0]
		}
	}
	if o.compound(p, col) {
		return
	}
	if q := o.docstring(p, first); q >= 0 {
		o.endRow = o.row
		o.lineEnd(q)
		return
	}
	o.simples(p)
}

// compound reads a compound statement's header, or a decorator, at p.
func (o *outline) compound(p, col int) bool {
	src := o.src
	kind := None
	var flags Flag
	at := p
	switch src[p] {
	case '@':
		o.decorator(p, col)
		return true
	case 'd':
		if o.word(p, "def") {
			kind = Def
		}
	case 'c':
		if o.word(p, "class") {
			kind = Class
		} else if o.word(p, "case") && o.parent() == Match {
			kind = Case
		}
	case 'a':
		if o.word(p, "async") {
			row := o.row
			at = o.gap(p + 5)
			switch {
			case o.word(at, "def"):
				kind = Def
			case o.word(at, "for"):
				kind = For
			case o.word(at, "with"):
				kind = With
			default:
				o.row = row
			}
			flags = Async
		}
	case 'i':
		if o.word(p, "if") {
			kind = If
		}
	case 'e':
		switch {
		case o.word(p, "elif"):
			kind = Elif
		case o.word(p, "else"):
			kind = Else
		case o.word(p, "except"):
			kind = Except
		}
	case 't':
		if o.word(p, "try") {
			kind = Try
		}
	case 'f':
		if o.word(p, "for") {
			kind = For
		} else if o.word(p, "finally") {
			kind = Finally
		}
	case 'w':
		if o.word(p, "while") {
			kind = While
		} else if o.word(p, "with") {
			kind = With
		}
	case 'm':
		if o.word(p, "match") && o.isMatch(p) {
			kind = Match
		}
	}
	switch kind {
	case None:
		return false
	case Def:
		o.def(p, at, col, flags)
	case Class:
		o.class(p, col)
	default:
		o.other(p, o.name(at), col, kind, flags)
	}
	return true
}

// isMatch tells a match statement from an expression that begins with the
// name: it has a subject, a ':' and nothing behind that.
func (o *outline) isMatch(p int) bool {
	row, doubt := o.row, o.doubt
	end := o.scan(p, header, nil)
	o.dynamics = o.dynamics[:0]
	ok := end < len(o.src) && o.src[end] == ':' && o.eq < 0 && o.trim(p+5, end) > o.blanks(p+5) && o.atEOL(o.blanks(end+1))
	o.row, o.doubt = row, doubt
	return ok
}

func (o *outline) decorator(p, col int) {
	row := o.row
	from := o.blanks(p + 1)
	end := o.scan(from, simple, nil)
	d := decorator{row: row, col: uint32(p - o.lineStart(p)), expr: text(from, o.trim(from, end))}
	if len(o.dynamics) > 0 {
		d.dynamics = append(d.dynamics, o.dynamics...)
		o.dynamics = o.dynamics[:0]
	}
	if d.expr.Len == 0 || end < len(o.src) && o.src[end] == ';' {
		o.breaks(DoubtHeader, p, "invalid syntax")
	}
	o.pending = append(o.pending, d)
	o.lineEnd(end)
}

// lineStart returns the offset of the first byte of the row that p is in.
// The search goes back to the last answer at most: on a row of a thousand
// statements each would walk the whole row again.
func (o *outline) lineStart(p int) int {
	from := 0
	if o.lineAsked <= p {
		from = o.lineAsked
	}
	if k := bytes.LastIndexByte(o.src[from:p], '\n'); k >= 0 {
		o.lineFound = from + k + 1
	} else if from == 0 {
		o.lineFound = 0
	}
	o.lineAsked = p
	return o.lineFound
}

// open adds a statement and, for a Def or Class, its decorators.
func (o *outline) open(s Stmt) uint32 {
	s.Head = s.Row
	if len(o.pending) == 0 || s.Kind != Def && s.Kind != Class {
		i := o.b.add(s)
		o.flush()
		return i
	}
	s.Row = o.pending[0].row
	i := o.b.add(s)
	for _, d := range o.pending {
		o.b.add(Stmt{Kind: Decorator, Row: d.row, Col: d.col, A: d.expr})
		for _, y := range d.dynamics {
			o.b.addDynamic(y, 0)
		}
	}
	o.pending = o.pending[:0]
	o.flush()
	return i
}

// flush adds the calls of dynamic imports that the last scan met.
func (o *outline) flush() {
	for _, d := range o.dynamics {
		o.b.addDynamic(d, 0)
	}
	o.dynamics = o.dynamics[:0]
}

func (b *builder) addDynamic(d dynamic, f Flag) {
	if d.noArgs {
		f |= Cut
	}
	b.add(Stmt{Kind: Dynamic, Flags: f, Row: d.row, A: d.word, B: d.args})
}

// other reads the header of any other compound statement; from is the offset
// behind its keyword.
func (o *outline) other(p, from, col int, kind Kind, flags Flag) {
	row := o.row
	colon := o.scan(from, header, nil)
	if colon >= len(o.src) || o.src[colon] != ':' {
		o.dynamics = o.dynamics[:0]
		o.badHeader(p, row, Stmt{}, col)
		return
	}
	s := Stmt{Kind: kind, Flags: flags, Row: row, Col: uint32(p - o.lineStart(p))}
	at := o.blanks(from)
	end := o.trim(at, colon)
	switch kind {
	case If, Elif, While, With, Match, Case:
		if s.A = text(at, max(at, end)); end <= at {
			o.breaks(DoubtHeader, p, "invalid syntax")
		}
	case Except:
		s.A = text(at, max(at, end))
	case For:
		in := o.forIn(at, end)
		if in < 0 {
			o.doubt |= DoubtHeader
			in = end
		}
		s.A = text(at, o.trim(at, in))
		if f := o.blanks(in + 2); f < end {
			s.B = text(f, end)
		}
	default:
		if end > at {
			o.doubt |= DoubtHeader
		}
	}
	i := o.open(s)
	o.suite(i, colon, col)
}

// forIn returns the offset of the "in" of a for statement, or -1.
func (o *outline) forIn(p, end int) int {
	depth := 0
	for i := p; i < end; i++ {
		switch c := o.src[i]; {
		case c == '(' || c == '[' || c == '{':
			depth++
		case c == ')' || c == ']' || c == '}':
			depth--
		case c == '\'' || c == '"' || c == '#':
			return -1 // as good as never: a string or comment in the target
		case c == 'i' && depth == 0 && !ident[o.src[i-1]] && o.word(i, "in"):
			return i
		}
	}
	return -1
}

// suite opens the block behind a header whose ':' stands at colon, or reads
// the statements on the same line.
func (o *outline) suite(i uint32, colon, col int) {
	o.endRow = o.row
	q := o.blanks(colon + 1)
	if o.atEOL(q) {
		o.skipLine(q)
		o.blocks = append(o.blocks, block{header: col, col: -1, stmt: i, first: true})
		return
	}
	o.simples(q)
	if o.b.stmts[i].Kind == Class {
		o.b.stmts[i].EndRow = o.endRow
	}
	o.b.close(i)
}
