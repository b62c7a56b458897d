package pytest

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"unicode/utf8"
)

// Expression is a compiled -k or -m expression (_pytest/mark/expression.py).
type Expression struct {
	root  expr
	Names []string // the identifiers in it
}

// Matcher says whether a name, with the keyword arguments given to it, holds.
type Matcher func(name string, kwargs map[string]any) bool

type expr interface{ eval(Matcher) bool }

type (
	orExpr   []expr
	andExpr  []expr
	notExpr  struct{ x expr }
	nameExpr struct {
		name   string
		kwargs map[string]any
	}
	falseExpr struct{}
)

func (o orExpr) eval(m Matcher) bool {
	return slices.ContainsFunc(o, func(x expr) bool { return x.eval(m) })
}
func (a andExpr) eval(m Matcher) bool {
	return !slices.ContainsFunc(a, func(x expr) bool { return !x.eval(m) })
}
func (n notExpr) eval(m Matcher) bool  { return !n.x.eval(m) }
func (n nameExpr) eval(m Matcher) bool { return m(n.name, n.kwargs) }
func (falseExpr) eval(Matcher) bool    { return false }

// Match evaluates the expression.
func (e *Expression) Match(m Matcher) bool { return e.root.eval(m) }

// Expr is a token of the expression language.
type exprToken struct {
	kind byte // '(' ')' ',' '=' 's' string, 'n' name, '|' or, '&' and, '!' not, 0 end
	text string
	pos  int // 0-based, in characters as Python counts
}

var kindText = map[byte]string{
	'(': "left parenthesis", ')': "right parenthesis", ',': ",", '=': "=", 's': "string literal", 'n': "identifier",
	'|': "or", '&': "and", '!': "not", 0: "end of input",
}

// identWord matches an identifier; "/" and "\" count from pytest 7.0 on.
var identWord = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`^(?::?[\pL\pN_]|:|\+|-|\.|\[|\]|\\|/)+`)
})

type exprParser struct {
	input string
	at    int
	tok   exprToken
	v     Version
	names []string
}

type exprError struct {
	pos int
	msg string
}

// CompileExpression compiles an expression by the rules of a pytest version.
// The error reads as pytest's, without what introduces it.
func CompileExpression(input string, v Version) (e *Expression, err error) {
	p := &exprParser{input: input, v: v}
	defer func() {
		if r := recover(); r != nil {
			x, ok := r.(exprError)
			if !ok {
				panic(r)
			}
			e, err = nil, fmt.Errorf("%s: at column %d: %s", input, x.pos+1, x.msg)
		}
	}()
	p.next()
	var root expr = falseExpr{}
	if p.tok.kind != 0 {
		root = p.or()
		p.expect(0)
	}
	return &Expression{root, p.names}, nil
}

func (p *exprParser) next() {
	for p.at < len(p.input) && (p.input[p.at] == ' ' || p.input[p.at] == '\t') {
		p.at++
	}
	pos := utf8.RuneCountInString(p.input[:p.at])
	if p.at >= len(p.input) {
		p.tok = exprToken{pos: utf8.RuneCountInString(p.input)}
		return
	}
	rest := p.input[p.at:]
	switch c := rest[0]; {
	case c == '(' || c == ')':
		p.tok = exprToken{c, rest[:1], pos}
	case (c == '=' || c == ',') && p.v.AtLeast(8, 3):
		p.tok = exprToken{c, rest[:1], pos}
	case (c == '"' || c == '\'') && p.v.AtLeast(8, 3):
		e := strings.IndexByte(rest[1:], c)
		if e < 0 {
			panic(exprError{pos, fmt.Sprintf("closing quote \"%c\" is missing", c)})
		}
		lit := rest[:e+2]
		if k := strings.IndexByte(lit, '\\'); k >= 0 {
			panic(exprError{pos + utf8.RuneCountInString(lit[:k]), `escaping with "\" not supported in marker expression`})
		}
		p.tok = exprToken{'s', lit, pos}
	default:
		w := identWord().FindString(rest)
		if w != "" && !p.v.AtLeast(7, 0) {
			if k := strings.IndexAny(w, `/\`); k >= 0 {
				w = w[:k]
			}
		}
		if w == "" {
			r, _ := utf8.DecodeRuneInString(rest)
			panic(exprError{pos, fmt.Sprintf("unexpected character \"%c\"", r)})
		}
		kind := byte('n')
		switch w {
		case "or":
			kind = '|'
		case "and":
			kind = '&'
		case "not":
			kind = '!'
		}
		p.tok = exprToken{kind, w, pos}
	}
	p.at += len(p.tok.text)
}

func (p *exprParser) accept(kind byte) (exprToken, bool) {
	t := p.tok
	if t.kind != kind {
		return t, false
	}
	if kind != 0 {
		p.next()
	}
	return t, true
}

func (p *exprParser) expect(kinds ...byte) exprToken {
	if t, ok := p.accept(kinds[0]); ok {
		return t
	}
	return p.reject(kinds...)
}

func (p *exprParser) reject(kinds ...byte) exprToken {
	var want []string
	for _, k := range kinds {
		want = append(want, kindText[k])
	}
	panic(exprError{p.tok.pos, "expected " + strings.Join(want, " OR ") + "; got " + kindText[p.tok.kind]})
}

func (p *exprParser) or() expr {
	out := orExpr{p.and()}
	for {
		if _, ok := p.accept('|'); !ok {
			return out
		}
		out = append(out, p.and())
	}
}

func (p *exprParser) and() expr {
	out := andExpr{p.not()}
	for {
		if _, ok := p.accept('&'); !ok {
			return out
		}
		out = append(out, p.not())
	}
}

func (p *exprParser) not() expr {
	if _, ok := p.accept('!'); ok {
		return notExpr{p.not()}
	}
	if _, ok := p.accept('('); ok {
		x := p.or()
		p.expect(')')
		return x
	}
	t, ok := p.accept('n')
	if !ok {
		p.reject('!', '(', 'n')
	}
	p.names = append(p.names, t.text)
	n := nameExpr{name: t.text}
	if p.tok.kind == '(' && p.v.AtLeast(8, 3) {
		p.next()
		n.kwargs = map[string]any{}
		for {
			p.kwarg(n.kwargs)
			if _, ok := p.accept(','); !ok {
				break
			}
		}
		p.expect(')')
	}
	return n
}

var keywords = strings.Fields(`False None True and as assert async await break class continue def del elif else except finally for from
	global if import in is lambda nonlocal not or pass raise return try while with yield`)

var identifier = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[\pL_][\pL\pN_]*$`) })

func (p *exprParser) kwarg(into map[string]any) {
	name := p.expect('n')
	if !identifier().MatchString(name.text) {
		panic(exprError{name.pos, "not a valid python identifier " + name.text})
	}
	if slices.Contains(keywords, name.text) {
		panic(exprError{name.pos, "unexpected reserved python keyword `" + name.text + "`"})
	}
	p.expect('=')
	if s, ok := p.accept('s'); ok {
		into[name.text] = s.text[1 : len(s.text)-1]
		return
	}
	t := p.expect('n')
	if n, err := strconv.ParseInt(t.text, 10, 64); err == nil && t.text[0] != '+' {
		into[name.text] = n
		return
	}
	switch t.text {
	case "True":
		into[name.text] = true
	case "False":
		into[name.text] = false
	case "None":
		into[name.text] = nil
	default:
		panic(exprError{t.pos, `unexpected character/s "` + t.text + `"`})
	}
}

// Keywords evaluates -k for an item: a name holds when it is a part, without
// regard to case, of a name in the item's chain.
func (e *Expression) Keywords(it *Item) bool {
	var names []string
	for n := it.Node; n != nil; n = n.Parent {
		if !n.NoName {
			names = append(names, strings.ToLower(n.Name))
		}
		for _, m := range n.Marks {
			names = append(names, strings.ToLower(m.Name))
		}
		for _, x := range n.Extra {
			names = append(names, strings.ToLower(x))
		}
	}
	if it.Kind == Case { // its own name holds the case
		last := it.ID[strings.LastIndex(Bare(it.ID), "::")+2:]
		names = append(names, strings.ToLower(last))
	}
	for _, m := range it.Params {
		names = append(names, strings.ToLower(m.Name))
	}
	return e.Match(func(name string, _ map[string]any) bool {
		name = strings.ToLower(name)
		return slices.ContainsFunc(names, func(s string) bool { return strings.Contains(s, name) })
	})
}

// Marks evaluates -m for an item.
func (e *Expression) Marks(it *Item) bool {
	return e.Match(func(name string, kwargs map[string]any) bool {
		has := func(ms []Mark) bool {
			return slices.ContainsFunc(ms, func(m Mark) bool { return m.Name == name && m.holds(kwargs) })
		}
		if has(it.Params) {
			return true
		}
		for n := it.Node; n != nil; n = n.Parent {
			if has(n.Marks) {
				return true
			}
		}
		return false
	})
}

func (m Mark) holds(kwargs map[string]any) bool {
	for k, want := range kwargs {
		got, ok := m.Kwargs[k]
		if !ok || got != want && !(isTrue(got) && want == int64(1)) {
			return false
		}
	}
	return true
}

func isTrue(v any) bool { b, ok := v.(bool); return ok && b }
