package pyexpr

import (
	"errors"
	"slices"
)

// ErrSyntax is the only error: the text is no expression. Where and why is
// for Python to say; here it means "value unknown".
var ErrSyntax = errors.New("not a Python expression")

// maxDepth bounds the nesting of expressions; CPython's parser stops at 200
// brackets.
const maxDepth = 200

type parser struct {
	src   string
	at    int // behind tok
	tok   token
	depth int
	slab  []Node
	bad   bool
}

// Parse parses an expression, or several with commas between them, which make
// a Tuple.
func Parse(src string) (*Node, error) {
	p := parser{src: src}
	p.next()
	n := p.exprList(true)
	if p.bad || p.tok.kind != tEOF {
		return nil, ErrSyntax
	}
	return n, nil
}

// ParseArgs parses the inside of a call's brackets.
func ParseArgs(src string) ([]*Node, error) {
	p := parser{src: src}
	p.next()
	var args []*Node
	for p.tok.kind != tEOF && !p.bad {
		args = append(args, p.argument())
		if !p.accept(",") {
			break
		}
	}
	if p.bad || p.tok.kind != tEOF {
		return nil, ErrSyntax
	}
	return args, nil
}

// ParseParams parses the inside of a def's brackets.
func ParseParams(src string) ([]Param, error) {
	p := parser{src: src}
	p.next()
	params := p.params(true)
	if p.bad || p.tok.kind != tEOF {
		return nil, ErrSyntax
	}
	return params, nil
}

// sub parses a part of the text with the nesting so far.
func (p *parser) sub(src string) (*Node, error) {
	if p.depth++; p.depth > maxDepth {
		return nil, ErrSyntax
	}
	defer func() { p.depth-- }()
	q := parser{src: src, depth: p.depth, slab: p.slab}
	q.next()
	n := q.exprList(true)
	p.slab = q.slab
	if q.bad || q.tok.kind != tEOF {
		return nil, ErrSyntax
	}
	return n, nil
}

func (p *parser) node(k Kind, text string, kids ...*Node) *Node {
	if len(p.slab) == 0 {
		p.slab = make([]Node, 16)
	}
	n := &p.slab[0]
	p.slab = p.slab[1:]
	n.Kind, n.Text = k, text
	if len(kids) > 0 {
		n.Kids = kids
	}
	return n
}

func (p *parser) op(k Kind, op byte, kids ...*Node) *Node {
	n := p.node(k, "", kids...)
	n.Op = op
	return n
}

func (p *parser) fail() *Node {
	p.bad = true
	p.at = len(p.src)
	p.tok = token{kind: tEOF, at: p.at}
	return p.node(Invalid, "")
}

func (p *parser) is(op string) bool { return p.tok.kind == tOp && p.tok.text == op }

func (p *parser) isWord(w string) bool {
	return p.tok.kind == tName && p.tok.text == w
}

func (p *parser) accept(op string) bool {
	if p.is(op) {
		p.next()
		return true
	}
	return false
}

func (p *parser) acceptWord(w string) bool {
	if p.isWord(w) {
		p.next()
		return true
	}
	return false
}

func (p *parser) expect(op string) {
	if !p.accept(op) {
		p.fail()
	}
}

// exprList parses expressions separated by commas.
func (p *parser) exprList(star bool) *Node {
	first := p.starExpr(star)
	if !p.is(",") {
		return first
	}
	kids := []*Node{first}
	for p.accept(",") {
		if p.endOfList() {
			break
		}
		kids = append(kids, p.starExpr(star))
	}
	return p.node(Tuple, "", kids...)
}

func (p *parser) endOfList() bool {
	return p.tok.kind == tEOF || p.tok.kind == tOp && (p.tok.text == ")" || p.tok.text == "]" || p.tok.text == "}" || p.tok.text == "=" || p.tok.text == ":")
}

func (p *parser) starExpr(star bool) *Node {
	if star && p.is("*") {
		p.next()
		return p.node(Star, "", p.binary(5))
	}
	return p.named()
}

// named parses an expression that may be NAME := value.
func (p *parser) named() *Node {
	n := p.expr()
	if n.Kind == Name && p.is(":=") {
		p.next()
		return p.node(Walrus, n.Text, p.expr())
	}
	return n
}

func (p *parser) expr() *Node {
	if p.depth++; p.depth > maxDepth {
		return p.fail()
	}
	defer func() { p.depth-- }()
	switch {
	case p.isWord("lambda"):
		return p.lambda()
	case p.isWord("yield"):
		p.next()
		p.acceptWord("from")
		if !p.endOfList() {
			p.exprList(true)
		}
		return p.node(Yield, "")
	}
	n := p.binary(1)
	if p.acceptWord("if") {
		test := p.binary(1)
		if !p.acceptWord("else") {
			return p.fail()
		}
		n = p.node(IfExp, "", n, test, p.expr())
	}
	return n
}

func (p *parser) lambda() *Node {
	from := p.tok.at
	p.next()
	p.params(false)
	p.expect(":")
	body := p.expr()
	return p.node(Lambda, p.src[from:min(p.tok.at, len(p.src))], body)
}

// Binding strength of the operators, weakest first (Python's reference, 6.17).
func strength(t token) (level int, op byte) {
	if t.kind == tName {
		switch t.text {
		case "or":
			return 1, 'o'
		case "and":
			return 2, 'a'
		case "in", "not", "is":
			return 4, 'c'
		}
		return 0, 0
	}
	if t.kind != tOp {
		return 0, 0
	}
	switch t.text {
	case "<", ">", "==", ">=", "<=", "!=":
		return 4, 'c'
	case "|":
		return 5, '|'
	case "^":
		return 6, '^'
	case "&":
		return 7, '&'
	case "<<":
		return 8, 'l'
	case ">>":
		return 8, 'r'
	case "+", "-":
		return 9, t.text[0]
	case "*", "/", "%", "@":
		return 10, t.text[0]
	case "//":
		return 10, 'd'
	}
	return 0, 0
}

// binary parses operators that bind at least as strongly as level.
func (p *parser) binary(level int) *Node {
	if level <= 3 && p.isWord("not") {
		p.next()
		if p.depth++; p.depth > maxDepth {
			return p.fail()
		}
		n := p.op(Unary, 'n', p.binary(3))
		p.depth--
		return p.rest(n, level)
	}
	return p.rest(p.unary(), level)
}

func (p *parser) rest(left *Node, level int) *Node {
	for {
		l, op := strength(p.tok)
		if l == 0 || l < level {
			return left
		}
		switch op {
		case 'o', 'a':
			left = p.boolOp(left, l, op)
		case 'c':
			if left = p.compare(left); left.Kind == Invalid {
				return left
			}
		default:
			p.next()
			left = p.op(Binary, op, left, p.binary(l+1))
		}
	}
}

func (p *parser) boolOp(left *Node, level int, op byte) *Node {
	kids := []*Node{left}
	word, kind := "or", Or
	if op == 'a' {
		word, kind = "and", And
	}
	for p.acceptWord(word) {
		kids = append(kids, p.binary(level+1))
	}
	return p.node(kind, "", kids...)
}

func (p *parser) compare(left *Node) *Node {
	n := p.node(Compare, "", left)
	for {
		l, op := strength(p.tok)
		if l != 4 || op != 'c' {
			return n
		}
		text := p.tok.text
		p.next()
		switch {
		case text == "not":
			if !p.acceptWord("in") {
				return p.fail()
			}
			text = "not in"
		case text == "is" && p.acceptWord("not"):
			text = "is not"
		}
		n.Ops = append(n.Ops, text)
		n.Kids = append(n.Kids, p.binary(5))
	}
}

func (p *parser) unary() *Node {
	if p.tok.kind == tOp {
		switch c := p.tok.text; c {
		case "+", "-", "~":
			p.next()
			if p.depth++; p.depth > maxDepth {
				return p.fail()
			}
			n := p.op(Unary, c[0], p.unary())
			p.depth--
			return n
		}
	}
	if p.isWord("await") {
		p.next()
		return p.node(Await, "", p.unary())
	}
	n := p.postfix(p.atom())
	if p.accept("**") {
		if p.depth++; p.depth > maxDepth {
			return p.fail()
		}
		n = p.op(Binary, 'p', n, p.unary())
		p.depth--
	}
	return n
}

func (p *parser) postfix(n *Node) *Node {
	for {
		switch {
		case p.is("."):
			p.next()
			if p.tok.kind != tName {
				return p.fail()
			}
			n = p.node(Attribute, Identifier(p.tok.text), n)
			p.next()
		case p.is("("):
			p.next()
			call := p.node(Call, "", n)
			for !p.is(")") && !p.bad {
				call.Kids = append(call.Kids, p.argument())
				if !p.accept(",") {
					break
				}
			}
			p.expect(")")
			n = call
		case p.is("["):
			p.next()
			n = p.node(Subscript, "", n, p.index())
			p.expect("]")
		default:
			return n
		}
	}
}

// argument parses one argument of a call.
func (p *parser) argument() *Node {
	switch {
	case p.accept("*"):
		return p.node(Star, "", p.expr())
	case p.accept("**"):
		return p.node(DoubleStar, "", p.expr())
	}
	n := p.named()
	if n.Kind == Name && p.accept("=") {
		return p.node(Keyword, n.Text, p.expr())
	}
	if p.isWord("for") || p.isWord("async") {
		return p.comprehension(GenExp, n)
	}
	return n
}

func (p *parser) index() *Node {
	first := p.slice()
	if !p.is(",") {
		if first.Kind == Star {
			return p.node(Tuple, "", first)
		}
		return first
	}
	kids := []*Node{first}
	for p.accept(",") {
		if p.is("]") {
			break
		}
		kids = append(kids, p.slice())
	}
	return p.node(Tuple, "", kids...)
}

func (p *parser) slice() *Node {
	if p.is("*") {
		return p.starExpr(true)
	}
	var parts [3]*Node
	if !p.is(":") {
		parts[0] = p.named()
		if !p.is(":") {
			return parts[0]
		}
	}
	for k := 1; k < 3 && p.accept(":"); k++ {
		if !p.is(":") && !p.is("]") && !p.is(",") {
			parts[k] = p.expr()
		}
	}
	return p.node(Slice, "", parts[:]...)
}

func (p *parser) atom() *Node {
	t := p.tok
	switch t.kind {
	case tName:
		p.next()
		switch t.text {
		case "True", "False", "None":
			return p.node(Const, t.text)
		case "if", "else", "for", "in", "is", "and", "or", "not", "lambda", "yield", "await", "async", "def", "class", "import", "from", "return", "with", "while", "try", "del", "assert", "pass", "raise", "as":
			return p.fail()
		}
		return p.node(Name, Identifier(t.text))
	case tNumber:
		p.next()
		return p.number(t.text)
	case tString:
		return p.strings()
	case tOp:
		switch t.text {
		case "(":
			return p.paren()
		case "[":
			p.next()
			return p.display(List, ListComp, "]")
		case "{":
			p.next()
			return p.braces()
		case "...":
			p.next()
			return p.node(Const, "...")
		}
	}
	return p.fail()
}

func (p *parser) number(s string) *Node {
	switch last := s[len(s)-1]; {
	case last == 'j' || last == 'J':
		return p.node(Imag, s[:len(s)-1])
	case len(s) > 1 && s[0] == '0' && (s[1]|0x20 == 'x' || s[1]|0x20 == 'o' || s[1]|0x20 == 'b'):
		return p.node(Int, s)
	}
	for i := 0; i < len(s); i++ {
		if s[i] == '.' || s[i]|0x20 == 'e' {
			return p.node(Float, s)
		}
	}
	return p.node(Int, s)
}

// strings joins adjacent literals.
func (p *parser) strings() *Node {
	n := p.literal(p.tok.text)
	p.next()
	for p.tok.kind == tString {
		m := p.literal(p.tok.text)
		p.next()
		switch {
		case n.Kind == Invalid || m.Kind == Invalid || (n.Kind == Bytes) != (m.Kind == Bytes):
			return p.fail()
		case n.Kind == Opaque || m.Kind == Opaque:
			n = p.node(Opaque, "")
		case n.Kind == m.Kind && n.Kind != FString:
			n = p.node(n.Kind, n.Text+m.Text)
		default:
			n = p.node(FString, "", append(parts(n), parts(m)...)...)
		}
	}
	if n.Kind == Invalid {
		return p.fail()
	}
	return n
}

func parts(n *Node) []*Node {
	if n.Kind == FString {
		return slices.Clone(n.Kids)
	}
	return []*Node{n}
}
