package pysrc

import "bytes"

// def reads a function: its header, and of its body what bodyOf keeps.
func (o *outline) def(p, at, col int, flags Flag) {
	row := o.row
	name := o.gap(at + 3)
	end := o.name(name)
	q := o.gap(end)
	if q < len(o.src) && o.src[q] == '[' {
		if q = o.bracket(q); q >= 0 {
			q = o.gap(q)
		}
	}
	half := Stmt{Kind: Def, Flags: flags, Row: row, Col: uint32(name - o.lineStart(name)), A: text(name, end)}
	if q < 0 || q >= len(o.src) || o.src[q] != '(' || end == name {
		half.Kind = None
		o.badHeader(p, row, half, col)
		return
	}
	open := q
	params := q + 1
	if e := o.plainParams(q); e >= 0 {
		q = e
	} else {
		q = o.bracket(q)
	}
	if q < 0 {
		o.badHeader(p, row, half, col)
		return
	}
	paramsEnd := q - 1
	colon := o.scan(q, header, nil)
	if colon >= len(o.src) || o.src[colon] != ':' {
		o.badHeader(p, row, half, col)
		return
	}
	if o.mayCall(params, colon) {
		o.headerCalls(open, row)
	}
	half.B = text(params, o.trim(params, paramsEnd))
	i := o.open(half)
	if o.colons != nil {
		o.colons[i] = colon + 1
	}
	o.endRow = o.row
	o.inClass = o.classOpen()
	o.bodyFrom(colon+1, i, col)
	o.b.stmts[i].EndRow = o.endRow
	o.b.close(i)
}

var plainParam [256]bool

func init() {
	for c := range plainParam {
		plainParam[c] = ident[c] || bytes.IndexByte([]byte(" ,*=/.-"), byte(c)) >= 0
	}
}

// plainParams returns the offset behind the ')' of parameters that hold only
// names, commas and plain defaults, -1 for others.
func (o *outline) plainParams(q int) int {
	q++
	for q < len(o.src) && plainParam[o.src[q]] {
		q++
	}
	if q < len(o.src) && o.src[q] == ')' {
		return q + 1
	}
	return -1
}

// mayCall reports whether a call stands in the text.
func (o *outline) mayCall(from, to int) bool { return bytes.IndexByte(o.src[from:to], '(') >= 0 }

// headerCalls looks for dynamic imports in the header whose '(' stands at p.
func (o *outline) headerCalls(p int, row uint32) {
	r := o.row
	o.row, o.dynamics = row, o.dynamics[:0]
	o.scan(p, header, nil)
	o.row = r
}

// badHeader skips a compound statement that has no readable header. What is
// mended keeps the class, or the function whose parameters had begun, that half
// stands for: what is in it belongs nowhere else.
func (o *outline) badHeader(p int, row uint32, half Stmt, col int) {
	o.breaks(DoubtHeader, p, "invalid syntax")
	o.row = row
	o.dynamics = o.dynamics[:0]
	end := p // what is mended goes on with the next line, whatever is open
	if k := bytes.IndexByte(o.src[p:], '\n'); k >= 0 {
		end += k
	} else {
		end = len(o.src)
	}
	if !o.mending || half.Kind == None {
		o.pending = o.pending[:0]
		o.lineEnd(end)
		return
	}
	i := o.open(half)
	o.lineEnd(end)
	if half.Kind == Class {
		o.b.stmts[i].EndRow = o.endRow
		o.blocks = append(o.blocks, block{header: col, col: -1, stmt: i, first: true})
		return
	}
	o.inClass = o.classOpen()
	o.bodyOf(i, col)
	o.b.stmts[i].EndRow = o.endRow
	o.b.close(i)
}

func (o *outline) class(p, col int) {
	row := o.row
	name := o.gap(p + 5)
	end := o.name(name)
	q := o.gap(end)
	if q < len(o.src) && o.src[q] == '[' {
		if q = o.bracket(q); q >= 0 {
			q = o.gap(q)
		}
	}
	args := Text{}
	if q >= 0 && q < len(o.src) && o.src[q] == '(' {
		from := q + 1
		if q = o.bracket(q); q >= 0 {
			args = text(from, o.trim(from, q-1))
			q = o.gap(q)
		}
	}
	half := Stmt{Kind: Class, Row: row, Col: uint32(name - o.lineStart(name)), A: text(name, end), B: args}
	if q < 0 || q >= len(o.src) || o.src[q] != ':' || end == name {
		if end == name {
			half.Kind = None
		}
		o.badHeader(p, row, half, col)
		return
	}
	colon := q
	if args.Len > 0 && o.mayCall(int(args.Off), int(args.Off+args.Len)) {
		o.headerCalls(int(args.Off)-1, row)
	}
	i := o.open(half)
	o.b.stmts[i].EndRow = o.row
	o.suite(i, colon, col)
}
