package discover

import (
	"strings"

	"github.com/dx-py/dx-py-ls/engine/pyeval"
	"github.com/dx-py/dx-py-ls/engine/pyexpr"
	"github.com/dx-py/dx-py-ls/engine/pysrc"
)

// Functions of the project that make values, tests or decisions about files
// are followed statement by statement, without effects: on values that are
// known, within a budget, giving up at the first thing that is not certain.

// maxStatements bounds what one call from outside executes.
const maxStatements = 200_000

// frame is one call, or a loop of a module's body.
type frame struct {
	w      *world
	mod    *module // whose globals are seen
	src    *pysrc.Module
	row    uint32 // of the function, in its file
	locals map[string]pyeval.Value
	fresh  map[string]bool // locals whose list or dict nobody else holds
	up     *frame
	scope  *scope // of a module's loop: its names are the locals
	pos    uint32 // the statement of that loop
	made   []made // what the loop bound and unbound so far
	result pyeval.Value
	yields []pyeval.Value
	gen    bool
	depth  int
}

// made is one binding that a loop of a module made.
type made struct {
	in   *scope
	name string
}

type flow uint8

const (
	goesOn flow = iota
	returns
	breaks
	continues
	fails // something is not certain
)

// maxCalls bounds how deep functions call each other.
const maxCalls = 24

// callee is a function whose body can be followed.
type callee struct {
	w      *world
	mod    *module
	name   string
	params string
	body   string
	flags  pysrc.Flag
	row    uint32
	up     *frame
	view   pyeval.Scope // where defaults are evaluated
}

// callee returns the function's body to follow, nil when it is not kept.
func (f *function) callee() *callee {
	m := f.s.mod.src
	st := &m.Stmts[f.stmt]
	if st.Flags&pysrc.Async != 0 {
		return nil
	}
	for i := f.stmt + 1; i < st.Next; i++ {
		if m.Stmts[i].Kind == pysrc.Body {
			return &callee{
				w: f.s.mod.w, mod: f.s.mod, name: f.name, params: m.B(f.stmt), body: m.A(i), flags: st.Flags, row: st.Head,
				view: f.s.view(f.stmt),
			}
		}
	}
	return nil
}

// closure is a function defined in a frame.
type closure struct {
	c   *callee
	doc pyeval.Value
}

func (c *closure) PyName() string { return c.c.name }
func (c *closure) Attr(name string) pyeval.Value {
	if name == "__doc__" && c.doc != nil {
		return c.doc
	}
	return pyeval.Unknown{Why: "attribute " + name}
}
func (c *closure) Call(args []pyeval.Value, kwargs map[string]pyeval.Value) pyeval.Value {
	return c.c.call(args, kwargs)
}

var failed = pyeval.Unknown{Why: "a call that only running can answer"}

// call follows a call. The arguments are not changed.
func (c *callee) call(args []pyeval.Value, kwargs map[string]pyeval.Value) pyeval.Value {
	w := c.w
	if w.calls >= maxCalls {
		return failed
	}
	if w.calls == 0 {
		w.steps = 0
	}
	w.calls++
	defer func() { w.calls-- }()
	f := &frame{
		w: w, mod: c.mod, row: c.row, up: c.up, locals: map[string]pyeval.Value{}, fresh: map[string]bool{},
		gen: c.flags&pysrc.Yields != 0,
	}
	if !c.bind(f, args, kwargs) {
		return failed
	}
	return f.run(w.bodyOf(c.body))
}

// run executes a parsed body.
func (f *frame) run(src *pysrc.Module) pyeval.Value {
	if f.src = src; src == nil {
		return failed
	}
	switch f.exec(1, src.Stmts[0].Next) {
	case goesOn:
		f.result = pyeval.None{}
	case returns:
	default:
		return failed
	}
	if f.gen {
		return &pyeval.Iter{Items: f.yields}
	}
	return f.result
}

// bodyOf parses the text of a body, once.
func (w *world) bodyOf(body string) *pysrc.Module {
	if m, ok := w.bodies[body]; ok {
		return m
	}
	head := "if 1:\n"
	if body != "" && body[0] != ' ' && body[0] != '\t' {
		head = "if 1: "
	}
	m, doubt := pysrc.ParseDoubt([]byte(head + body + "\n"))
	if doubt != 0 || len(m.Stmts) == 0 {
		m = nil
	}
	w.bodies[body] = m
	return m
}

// bind gives the parameters their values.
func (c *callee) bind(f *frame, args []pyeval.Value, kwargs map[string]pyeval.Value) bool {
	params, err := pyexpr.ParseParams(c.params)
	if err != nil {
		return false
	}
	used := 0
	at := 0
	for _, p := range params {
		switch p.Kind {
		case pyexpr.VarPositional:
			f.locals[p.Name] = pyeval.Tuple{Items: append([]pyeval.Value{}, args[min(at, len(args)):]...)}
			at = len(args)
			continue
		case pyexpr.VarKeyword:
			d := &pyeval.Dict{}
			for k, v := range kwargs {
				if _, bound := f.locals[k]; !bound {
					d.Set(pyeval.Str(k), v)
					used++
				}
			}
			if len(d.Keys) > 1 {
				return false // their order is not known here
			}
			f.locals[p.Name] = d
			continue
		case pyexpr.PositionalOnly, pyexpr.PositionalOrKeyword:
			if at < len(args) {
				f.locals[p.Name] = args[at]
				at++
				continue
			}
		}
		if v, ok := kwargs[p.Name]; ok {
			f.locals[p.Name] = v
			used++
		} else if p.Value != nil {
			f.locals[p.Name] = pyeval.Eval(p.Value, c.view)
		} else {
			return false
		}
	}
	return at == len(args) && used == len(kwargs)
}

// Name resolves a name inside of the frame.
func (f *frame) Name(name string) pyeval.Value {
	for x := f; x != nil; x = x.up {
		if v, ok := x.locals[name]; ok {
			return v
		}
	}
	if f.scope != nil {
		return f.scope.view(f.pos).Name(name)
	}
	if now := f.w.now; now.s != nil && now.s.mod == f.mod {
		return f.mod.scope.view(now.pos).Name(name)
	}
	return f.mod.scope.view(always).Name(name)
}

func (f *frame) eval(text string) pyeval.Value {
	n, err := pyexpr.Parse(text)
	if err != nil {
		return failed
	}
	return pyeval.Eval(n, f)
}

// exec executes the statements [i, end).
func (f *frame) exec(i, end uint32) flow {
	m := f.src
	for i < end {
		if f.w.steps++; f.w.steps > maxStatements {
			return fails
		}
		st := &m.Stmts[i]
		next := st.Next
		r := goesOn
		switch st.Kind {
		case pysrc.Return:
			f.result = pyeval.None{}
			if text := m.A(i); text != "" {
				f.result = f.eval(text)
			}
			return returns
		case pysrc.Break:
			return breaks
		case pysrc.Continue:
			return continues
		case pysrc.Expr:
			r = f.expression(m.A(i))
		case pysrc.Assign:
			r = f.assign(i)
		case pysrc.AugAssign:
			r = f.augmented(i)
		case pysrc.If:
			next, r = f.chain(i, end)
		case pysrc.For:
			next, r = f.loop(i, end)
		case pysrc.With:
			if !strings.Contains(m.A(i), "warnings") {
				return fails
			}
			r = f.exec(i+1, next)
		case pysrc.Def:
			f.define(i)
		case pysrc.Import, pysrc.FromImport:
			r = f.imports(i)
		case pysrc.Dynamic:
		case pysrc.Del:
			for _, name := range strings.Split(m.A(i), ",") {
				delete(f.locals, strings.TrimSpace(name))
			}
		default:
			return fails
		}
		if r != goesOn {
			return r
		}
		i = next
	}
	return goesOn
}

func (f *frame) chain(i, end uint32) (uint32, flow) {
	m := f.src
	r := goesOn
	decided := false
	for first := true; i < end; first = false {
		st := &m.Stmts[i]
		if !first && st.Kind != pysrc.Elif && st.Kind != pysrc.Else {
			break
		}
		if !decided {
			truth, known := true, true
			if st.Kind != pysrc.Else {
				truth, known = pyeval.Condition(f.eval(m.A(i)))
			}
			if !known {
				return i, fails
			}
			if truth {
				decided = true
				if r = f.exec(i+1, st.Next); r != goesOn {
					return i, r
				}
			}
		}
		i = st.Next
	}
	return i, r
}

func (f *frame) loop(i, end uint32) (uint32, flow) {
	m := f.src
	st := &m.Stmts[i]
	items, ok := pyeval.Iterate(f.eval(m.B(i)))
	target, err := pyexpr.Parse(m.A(i))
	if !ok || err != nil {
		return i, fails
	}
	broken := false
	for _, v := range items {
		if !f.bind(target, v, false) {
			return i, fails
		}
		r := f.exec(i+1, st.Next)
		if r == breaks {
			broken = true
			break
		}
		if r != goesOn && r != continues {
			return i, r
		}
	}
	next := st.Next
	if next < end && m.Stmts[next].Kind == pysrc.Else {
		if !broken {
			if r := f.exec(next+1, m.Stmts[next].Next); r != goesOn {
				return i, r
			}
		}
		next = m.Stmts[next].Next
	}
	return next, goesOn
}

// bind assigns to a target.
func (f *frame) bind(t *pyexpr.Node, v pyeval.Value, fresh bool) bool {
	switch t.Kind {
	case pyexpr.Name:
		f.locals[t.Text] = v
		f.fresh[t.Text] = fresh
		return true
	case pyexpr.Tuple, pyexpr.List:
		if pyeval.IsUnknown(v) {
			for _, k := range t.Kids {
				if k.Kind == pyexpr.Star || !f.bind(k, v, false) {
					return false
				}
			}
			return true
		}
		return pyeval.Unpack(t, v, func(t *pyexpr.Node, v pyeval.Value) bool { return f.bind(t, v, false) })
	case pyexpr.Subscript:
		root := t.Kids[0]
		if root.Kind == pyexpr.Name && f.fresh[root.Text] {
			d, ok := f.locals[root.Text].(*pyeval.Dict)
			return ok && d.Set(pyeval.Eval(t.Kids[1], f), v)
		}
		if f.scope != nil && root.Kind == pyexpr.Call && root.Kids[0].Dotted() == "globals" {
			name, ok := pyeval.Eval(t.Kids[1], f).(pyeval.Str)
			if ok {
				f.make(f.scope, string(name), binding{kind: bindMade, stmt: f.pos, value: v})
			}
			return ok
		}
	case pyexpr.Attribute:
		switch o := pyeval.Eval(t.Kids[0], f).(type) {
		case *object:
			if t.Kids[0].Kind == pyexpr.Name {
				o.attrs[t.Text] = v
				return true
			}
		case *closure:
			if t.Text == "__doc__" {
				o.doc = v
				return true
			}
		}
	}
	return false
}

func (f *frame) make(s *scope, name string, b binding) {
	s.bind(name, b)
	f.made = append(f.made, made{s, name})
}

// isFresh reports whether an expression makes a new object.
func isFresh(n *pyexpr.Node) bool {
	switch n.Kind {
	case pyexpr.List, pyexpr.Dict, pyexpr.Set, pyexpr.ListComp, pyexpr.DictComp, pyexpr.SetComp, pyexpr.Binary:
		return true
	case pyexpr.Call:
		switch last := n.Kids[0]; {
		case last.Kind == pyexpr.Name:
			return last.Text == "list" || last.Text == "dict" || last.Text == "set" || last.Text == "sorted"
		case last.Kind == pyexpr.Attribute:
			return last.Text == "copy"
		}
	}
	return false
}

func (f *frame) assign(i uint32) flow {
	n, err := pyexpr.Parse(f.src.B(i))
	if err != nil {
		return fails
	}
	v := pyeval.Eval(n, f)
	targets := splitTargets(f.src.A(i))
	for _, part := range targets {
		t, err := pyexpr.Parse(strings.TrimSpace(part))
		if err != nil || !f.bind(t, v, isFresh(n) && len(targets) == 1) {
			return fails
		}
	}
	return goesOn
}

func (f *frame) augmented(i uint32) flow {
	name := f.src.A(i)
	old, ok := f.locals[name]
	if !ok || !isName(name) {
		return fails
	}
	v := f.eval(f.src.B(i))
	op := byte(f.src.Stmts[i].Level)
	if l, ok := old.(*pyeval.List); ok && op == '+' {
		items, known := pyeval.Iterate(v)
		if !known || !f.fresh[name] {
			return fails
		}
		l.Items = append(l.Items, items...)
		return goesOn
	}
	f.locals[name] = pyeval.Combine(op, old, v)
	return goesOn
}

// expression executes a statement that is one expression: changes of lists
// and dicts that nobody else holds, yields, and calls of functions.
func (f *frame) expression(text string) flow {
	if rest, ok := strings.CutPrefix(text, "yield"); ok && f.gen {
		rest = strings.TrimSpace(rest)
		if inner, from := strings.CutPrefix(rest, "from "); from {
			items, ok := pyeval.Iterate(f.eval(inner))
			if !ok {
				return fails
			}
			f.yields = append(f.yields, items...)
			return goesOn
		}
		f.yields = append(f.yields, f.eval(rest))
		return goesOn
	}
	n, err := pyexpr.Parse(text)
	if err != nil {
		return fails
	}
	if n.Kind == pyexpr.Str {
		return goesOn
	}
	if n.Kind != pyexpr.Call {
		return fails
	}
	if n.Kids[0].Kind == pyexpr.Name && n.Kids[0].Text == "delattr" && f.scope != nil && len(n.Kids) == 3 {
		k, ok1 := pyeval.Eval(n.Kids[1], f).(*class)
		name, ok2 := pyeval.Eval(n.Kids[2], f).(pyeval.Str)
		if ok1 && ok2 && k.scope.index[string(name)] != nil {
			f.make(k.scope, string(name), binding{kind: bindDel, stmt: k.scope.mod.src.Stmts[k.stmt].Next})
			return goesOn
		}
		return fails
	}
	if n.Kids[0].Kind != pyexpr.Attribute || len(n.Kids) < 2 {
		return fails
	}
	root := n.Kids[0].Kids[0]
	name := root
	for name.Kind == pyexpr.Subscript {
		name = name.Kids[0]
	}
	if name.Kind != pyexpr.Name || !f.fresh[name.Text] {
		return fails
	}
	var args []pyeval.Value
	for _, a := range n.Kids[1:] {
		if a.Kind == pyexpr.Keyword || a.Kind == pyexpr.Star || a.Kind == pyexpr.DoubleStar {
			return fails
		}
		args = append(args, pyeval.Eval(a, f))
	}
	if !change(pyeval.Eval(root, f), n.Kids[0].Text, args) {
		return fails
	}
	return goesOn
}

// change calls a method that changes its list, dict or set.
func change(v pyeval.Value, method string, args []pyeval.Value) bool {
	switch v := v.(type) {
	case *pyeval.List:
		switch {
		case method == "append" && len(args) == 1:
			v.Items = append(v.Items, args[0])
			return true
		case method == "extend" && len(args) == 1:
			items, ok := pyeval.Iterate(args[0])
			v.Items = append(v.Items, items...)
			return ok
		}
	case *pyeval.Dict:
		if d, ok := one(args).(*pyeval.Dict); ok && method == "update" {
			for i := range d.Keys {
				v.Set(d.Keys[i], d.Values[i])
			}
			return true
		}
	case *pyeval.Set:
		if method == "add" {
			return v.Add(one(args))
		}
	case *object, pyeval.Unknown: // not known before, not known behind it
		return true
	}
	return false
}

// define binds a function defined inside.
func (f *frame) define(i uint32) {
	m := f.src
	st := &m.Stmts[i]
	name := m.A(i)
	f.fresh[name] = false
	ds, body := m.Decorators(i)
	if len(ds) > 0 || st.Flags&pysrc.Async != 0 {
		f.locals[name] = failed
		return
	}
	c := &callee{w: f.w, mod: f.mod, name: name, params: m.B(i), flags: st.Flags, row: f.row + st.Head, up: f, view: f}
	for ; body < st.Next; body++ {
		if m.Stmts[body].Kind == pysrc.Body {
			c.body = m.A(body)
		}
	}
	f.locals[name] = &closure{c: c}
}

func (f *frame) imports(i uint32) flow {
	m := f.src
	st := &m.Stmts[i]
	for a := i + 1; a < st.Next; a = m.Stmts[a].Next {
		name, as := m.A(a), m.B(a)
		if st.Kind == pysrc.Import {
			v := f.mod.importValue(name, as != "")
			if as == "" {
				as = topOf(name)
			}
			f.locals[as] = v
			continue
		}
		if name == "*" {
			return fails
		}
		if as == "" {
			as = name
		}
		o, ok := f.w.importDotted(f.mod.absoluteOf(m.A(i), int(st.Level)), f.mod.base).(pyeval.Object)
		if !ok {
			return fails
		}
		f.locals[as] = o.Attr(name)
	}
	return goesOn
}
