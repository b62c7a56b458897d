package pyeval

import (
	"math/big"
	"strconv"
	"strings"

	"github.com/dx-py/dx-py-ls/engine/pyexpr"
)

// Scope resolves the names of an expression.
type Scope interface {
	// Name returns what name is bound to where the expression stands; Missing
	// when it surely is bound to nothing, builtins included.
	Name(name string) Value
}

// Limits of one evaluation. A table of 100,000 cases is the largest that any
// of the suites under test computes (packaging: 51,000 ids of one function).
const (
	maxSteps = 4 << 20
	maxItems = 1 << 18
	maxBytes = 1 << 20
	maxDepth = 64
)

// Eval evaluates one expression in scope.
func Eval(n *pyexpr.Node, scope Scope) Value {
	e := &evaluator{scope: scope}
	return e.eval(n)
}

// EvalText parses and evaluates.
func EvalText(src string, scope Scope) Value {
	n, err := pyexpr.Parse(src)
	if err != nil {
		return Unknown{"not an expression"}
	}
	return Eval(n, scope)
}

type evaluator struct {
	scope  Scope
	locals *local // comprehension and lambda variables, innermost first
	steps  int
	depth  int
}

type local struct {
	name string
	v    Value
	up   *local
}

func (e *evaluator) name(name string) Value {
	for l := e.locals; l != nil; l = l.up {
		if l.name == name {
			return l.v
		}
	}
	return e.scope.Name(name)
}

func (e *evaluator) eval(n *pyexpr.Node) Value {
	if n == nil {
		return None{}
	}
	if e.steps++; e.steps > maxSteps || e.depth > maxDepth {
		return unknown("too much to compute")
	}
	e.depth++
	defer func() { e.depth-- }()
	switch n.Kind {
	case pyexpr.Name:
		return e.name(n.Text)
	case pyexpr.Int:
		return parseInt(n.Text)
	case pyexpr.Float:
		f, err := strconv.ParseFloat(strings.ReplaceAll(n.Text, "_", ""), 64)
		if err != nil && f == 0 {
			return unknown("number")
		}
		return Float(f)
	case pyexpr.Imag:
		f, err := strconv.ParseFloat(strings.ReplaceAll(n.Text, "_", ""), 64)
		if err != nil {
			return unknown("number")
		}
		return Complex(complex(0, f))
	case pyexpr.Str:
		return Str(n.Text)
	case pyexpr.Bytes:
		return Bytes(n.Text)
	case pyexpr.Const:
		return constant(n.Text)
	case pyexpr.Tuple:
		return Tuple{Items: e.elements(n.Kids)}.orUnknown()
	case pyexpr.List:
		return listOf(e.elements(n.Kids))
	case pyexpr.Set:
		return setOf(e.elements(n.Kids))
	case pyexpr.Dict:
		return e.dict(n)
	case pyexpr.Call:
		return e.call(n)
	case pyexpr.Attribute:
		return Attr(e.eval(n.Kids[0]), n.Text)
	case pyexpr.Subscript:
		return e.subscript(n)
	case pyexpr.Unary:
		return unary(n.Op, e.eval(n.Kids[0]))
	case pyexpr.Binary:
		return binary(n.Op, e.eval(n.Kids[0]), e.eval(n.Kids[1]))
	case pyexpr.And, pyexpr.Or:
		return e.boolOp(n)
	case pyexpr.Compare:
		return e.compare(n)
	case pyexpr.IfExp:
		t, ok := Truth(e.eval(n.Kids[1]))
		if !ok {
			return unknown("condition")
		}
		if t {
			return e.eval(n.Kids[0])
		}
		return e.eval(n.Kids[2])
	case pyexpr.Lambda:
		return &lambda{e: e, scope: e.locals, node: n}
	case pyexpr.ListComp, pyexpr.GenExp, pyexpr.SetComp, pyexpr.DictComp:
		return e.comprehension(n)
	case pyexpr.Walrus:
		return e.eval(n.Kids[0])
	case pyexpr.FString:
		return e.fstring(n)
	}
	return unknown("expression")
}

func constant(text string) Value {
	switch text {
	case "True":
		return Bool(true)
	case "False":
		return Bool(false)
	case "None":
		return None{}
	}
	return Ellipsis{}
}

func parseInt(s string) Value {
	s = strings.ReplaceAll(s, "_", "")
	if v, err := strconv.ParseInt(s, 0, 64); err == nil && (len(s) < 2 || s[0] != '0' || s[1] > '9') {
		return Int(v)
	}
	if strings.Trim(s, "0") == "" {
		return Int(0)
	}
	if v, ok := new(big.Int).SetString(s, 0); ok && len(s) < 5000 {
		return BigInt{v}
	}
	return unknown("number")
}

func (t Tuple) orUnknown() Value {
	if t.Items == nil {
		t.Items = []Value{}
	}
	if len(t.Items) == 1 {
		if u, ok := t.Items[0].(tooMany); ok {
			return Unknown{string(u)}
		}
	}
	return t
}

// tooMany stands alone in the elements of a display that cannot be known.
type tooMany string

func listOf(items []Value) Value {
	if len(items) == 1 {
		if u, ok := items[0].(tooMany); ok {
			return Unknown{string(u)}
		}
	}
	return &List{items}
}

func setOf(items []Value) Value {
	s := &Set{}
	seen := map[string]bool{}
	for _, v := range items {
		if u, ok := v.(tooMany); ok {
			return Unknown{string(u)}
		}
		k, ok := key(v)
		if !ok {
			return unknown("set")
		}
		if !seen[k] {
			seen[k] = true
			s.Items = append(s.Items, v)
		}
	}
	return s
}

// elements evaluates the elements of a display, starred ones too.
func (e *evaluator) elements(kids []*pyexpr.Node) []Value {
	out := make([]Value, 0, len(kids))
	for _, k := range kids {
		if k.Kind != pyexpr.Star {
			out = append(out, e.eval(k))
			continue
		}
		items, ok := Iterate(e.eval(k.Kids[0]))
		if !ok || len(out)+len(items) > maxItems {
			return []Value{tooMany("starred value")}
		}
		out = append(out, items...)
	}
	return out
}

func (e *evaluator) dict(n *pyexpr.Node) Value {
	d := &Dict{}
	index := map[string]int{}
	put := func(k, v Value) bool {
		s, ok := key(k)
		if !ok {
			return false
		}
		if i, dup := index[s]; dup {
			d.Values[i] = v
			return true
		}
		index[s] = len(d.Keys)
		d.Keys, d.Values = append(d.Keys, k), append(d.Values, v)
		return true
	}
	for i := 0; i+1 < len(n.Kids); i += 2 {
		if k := n.Kids[i]; k.Kind == pyexpr.DoubleStar {
			m, ok := e.eval(k.Kids[0]).(*Dict)
			if !ok {
				return unknown("mapping")
			}
			for j := range m.Keys {
				put(m.Keys[j], m.Values[j])
			}
			continue
		}
		if !put(e.eval(n.Kids[i]), e.eval(n.Kids[i+1])) {
			return unknown("key")
		}
	}
	return d
}

func (e *evaluator) boolOp(n *pyexpr.Node) Value {
	var v Value
	for i, k := range n.Kids {
		v = e.eval(k)
		if i == len(n.Kids)-1 {
			break
		}
		t, ok := Truth(v)
		if !ok {
			return e.unknownBool(n, i)
		}
		if t == (n.Kind == pyexpr.Or) {
			return v
		}
	}
	return v
}

// unknownBool answers "unknown and False" and "unknown or True": the truth of
// the whole is known though its operand is not. What is returned is good for
// a condition only when it is a plain bool anyway.
func (e *evaluator) unknownBool(n *pyexpr.Node, at int) Value {
	for _, k := range n.Kids[at+1:] {
		if t, ok := Truth(e.eval(k)); ok && t == (n.Kind == pyexpr.Or) {
			return Decided{t}
		}
	}
	return unknown("condition")
}

// Decided is a value of which only the truth is known.
type Decided struct{ Truth bool }

// Condition is the truth of an expression that stands as a condition.
func Condition(v Value) (truth, ok bool) {
	if d, is := v.(Decided); is {
		return d.Truth, true
	}
	return Truth(v)
}

func (e *evaluator) subscript(n *pyexpr.Node) Value {
	v := e.eval(n.Kids[0])
	ix := n.Kids[1]
	if ix.Kind != pyexpr.Slice {
		return item(v, e.eval(ix))
	}
	var bounds [3]Value
	for i, k := range ix.Kids {
		if k != nil {
			bounds[i] = e.eval(k)
		}
	}
	return slice(v, bounds)
}

// comprehension evaluates list, set and dict comprehensions and generators.
func (e *evaluator) comprehension(n *pyexpr.Node) Value {
	width := 1
	if n.Kind == pyexpr.DictComp {
		width = 2
	}
	var out []Value
	saved := e.locals
	ok := e.clauses(n.Kids[width:], func() bool {
		for _, k := range n.Kids[:width] {
			out = append(out, e.eval(k))
		}
		return len(out) < maxItems
	})
	e.locals = saved
	if !ok {
		return unknown("comprehension")
	}
	switch n.Kind {
	case pyexpr.ListComp:
		return &List{out}
	case pyexpr.GenExp:
		return &Iter{Items: out}
	case pyexpr.SetComp:
		return setOf(out)
	}
	d := &Dict{}
	for i := 0; i < len(out); i += 2 {
		if !d.Set(out[i], out[i+1]) {
			return unknown("key")
		}
	}
	return d
}

// Set sets d[k] = v; false when k is not known or not hashable.
func (d *Dict) Set(k, v Value) bool {
	s, ok := key(k)
	if !ok {
		return false
	}
	for i := range d.Keys {
		if t, _ := key(d.Keys[i]); t == s {
			d.Values[i] = v
			return true
		}
	}
	d.Keys, d.Values = append(d.Keys, k), append(d.Values, v)
	return true
}

// Get returns d[k].
func (d *Dict) Get(k Value) (Value, bool) {
	s, ok := key(k)
	if !ok {
		return nil, false
	}
	for i := range d.Keys {
		if t, _ := key(d.Keys[i]); t == s {
			return d.Values[i], true
		}
	}
	return nil, false
}

func (e *evaluator) clauses(cs []*pyexpr.Node, yield func() bool) bool {
	if len(cs) == 0 {
		return yield()
	}
	c := cs[0]
	if c.Kind == pyexpr.CompIf {
		t, ok := Condition(e.eval(c.Kids[0]))
		if !ok {
			return false
		}
		return !t || e.clauses(cs[1:], yield)
	}
	items, ok := Iterate(e.eval(c.Kids[1]))
	if !ok {
		return false
	}
	saved := e.locals
	for _, v := range items {
		e.locals = saved
		if e.steps++; e.steps > maxSteps || !e.bind(c.Kids[0], v) || !e.clauses(cs[1:], yield) {
			return false
		}
	}
	e.locals = saved
	return true
}

// bind assigns v to the target of a loop.
func (e *evaluator) bind(target *pyexpr.Node, v Value) bool {
	switch target.Kind {
	case pyexpr.Name:
		e.locals = &local{target.Text, v, e.locals}
		return true
	case pyexpr.Tuple, pyexpr.List:
		return Unpack(target, v, func(t *pyexpr.Node, v Value) bool { return e.bind(t, v) })
	}
	return false
}

// Unpack assigns the elements of v to the targets of a tuple or list.
func Unpack(target *pyexpr.Node, v Value, bind func(*pyexpr.Node, Value) bool) bool {
	items, ok := Iterate(v)
	if !ok {
		return false
	}
	star := -1
	for i, t := range target.Kids {
		if t.Kind == pyexpr.Star {
			star = i
		}
	}
	if star < 0 && len(items) != len(target.Kids) || star >= 0 && len(items) < len(target.Kids)-1 {
		return false
	}
	for i, t := range target.Kids {
		switch {
		case i == star:
			n := len(items) - len(target.Kids) + 1
			if !bind(t.Kids[0], &List{items[i : i+n]}) {
				return false
			}
			items = append(append([]Value{}, items[:i+1]...), items[i+n:]...)
			if n == 0 {
				items = append(items[:i+1:i+1], items[i:]...)
			}
		default:
			if !bind(t, items[i]) {
				return false
			}
		}
	}
	return true
}

func (e *evaluator) fstring(n *pyexpr.Node) Value {
	var b strings.Builder
	for _, k := range n.Kids {
		if k.Kind == pyexpr.Str {
			b.WriteString(k.Text)
			continue
		}
		v := e.eval(k.Kids[0])
		spec := ""
		if len(k.Kids) > 1 {
			s, ok := e.fstring(k.Kids[1]).(Str)
			if !ok {
				return unknown("format")
			}
			spec = string(s)
		}
		s, ok := convert(v, k.Text, spec)
		if !ok || b.Len()+len(s) > maxBytes {
			return unknown("format")
		}
		b.WriteString(s)
	}
	return Str(b.String())
}

// convert is format(v, spec) behind the conversion "r", "s", "a" or "".
func convert(v Value, conv, spec string) (string, bool) {
	switch conv {
	case "r":
		s, ok := Repr(v)
		if !ok {
			return "", false
		}
		v = Str(s)
	case "s":
		s, ok := ToStr(v)
		if !ok {
			return "", false
		}
		v = Str(s)
	case "":
	default:
		return "", false
	}
	return Format(v, spec)
}

// lambda is a function whose body is known.
type lambda struct {
	e     *evaluator
	scope *local
	node  *pyexpr.Node
}

func (l *lambda) PyName() string    { return "<lambda>" }
func (l *lambda) Attr(string) Value { return unknown("attribute of a lambda") }
func (l *lambda) Call(args []Value, kwargs map[string]Value) Value {
	head, _, _ := strings.Cut(strings.TrimPrefix(l.node.Text, "lambda"), ":")
	params, err := pyexpr.ParseParams(head)
	if err != nil || len(kwargs) > 0 || len(params) != len(args) || strings.Contains(head, "=") {
		return unknown("call of a lambda")
	}
	saved, depth := l.e.locals, l.e.depth
	l.e.locals = l.scope
	for i, p := range params {
		if p.Kind > pyexpr.PositionalOrKeyword {
			l.e.locals = saved
			return unknown("call of a lambda")
		}
		l.e.locals = &local{p.Name, args[i], l.e.locals}
	}
	v := l.e.eval(l.node.Kids[0])
	l.e.locals, l.e.depth = saved, depth
	return v
}
