package discover

import (
	"strings"

	"github.com/dx-py/dx-py-ls/engine/pyeval"
	"github.com/dx-py/dx-py-ls/engine/pyexpr"
	"github.com/dx-py/dx-py-ls/engine/pysrc"
)

// scope is the namespace of a module or class body as executing it top to
// bottom would leave it: names in the order of their first binding, as in
// __dict__, each with all its bindings.
type scope struct {
	mod     *module
	class   *class // nil for the module's own
	entries []*entry
	index   map[string]*entry
	copies  map[string][]string // NAME = OTHER, by OTHER
	// open says that names may be bound that are not in entries: a star import
	// of what cannot be read, exec, globals().
	open bool
	// stop is set where the body surely ends early: an exception, a skip.
	stop stopKind
	// doubt is set where it may end early: what follows may not exist.
	doubt bool
	// last is the statement where it stops.
	last uint32
}

type stopKind uint8

const (
	runsOn stopKind = iota
	skips           // pytest.skip or importorskip at module level
	raises          // an exception
)

type entry struct {
	name  string
	binds []binding
}

type bindKind uint8

const (
	bindDef bindKind = iota
	bindClass
	bindImport // import a.b [as c]
	bindFrom   // from m import a [as b]
	bindStar   // from m import *: one of m's names
	bindAssign
	bindAug
	bindChange // NAME.append(...), NAME[...] = ...
	bindUnknown
	bindDel
	bindMade // by following code: value is set
)

type binding struct {
	kind  bindKind
	maybe bool // only running can tell whether this statement is reached
	stmt  uint32
	alias uint32 // of imports
	from  *module
	path  []int // of an unpacked assignment: where in the targets
	value pyeval.Value
	busy  bool
}

func newScope(m *module, c *class) *scope {
	return &scope{mod: m, class: c, index: map[string]*entry{}}
}

func (s *scope) bind(name string, b binding) {
	e := s.index[name]
	if e == nil {
		e = &entry{name: name}
		s.index[name] = e
		s.entries = append(s.entries, e)
	} else if k := len(e.binds); k > 0 && e.binds[k-1].kind == bindDel && !e.binds[k-1].maybe {
		// bound again behind a del: a new place in the order
		for i, x := range s.entries {
			if x == e {
				s.entries = append(append(s.entries[:i:i], s.entries[i+1:]...), e)
				break
			}
		}
	}
	e.binds = append(e.binds, b)
}

// always is a position behind every statement.
const always = ^uint32(0)

// at returns what name is bound to in front of statement pos, and whether the
// scope decides about it: false sends the look-up outwards.
func (s *scope) at(name string, pos uint32) (pyeval.Value, bool) {
	e := s.index[name]
	if e != nil {
		for i := len(e.binds) - 1; i >= 0; i-- {
			b := &e.binds[i]
			if b.stmt >= pos {
				continue
			}
			if b.maybe {
				return pyeval.Unknown{Why: name + " is bound conditionally"}, true
			}
			if b.kind == bindDel {
				return nil, false
			}
			if s.class == nil && s.mod.mutated(name) {
				return pyeval.Unknown{Why: name + " is changed by a function"}, true
			}
			v := s.value(e, i)
			if pos != always && i+1 < len(e.binds) && (e.binds[i+1].kind == bindChange || e.binds[i+1].kind == bindAug) {
				switch v.(type) {
				case *pyeval.List, *pyeval.Dict, *pyeval.Set: // whoever keeps it sees it change
					return pyeval.Unknown{Why: name + " is changed later"}, true
				}
			}
			return v, true
		}
	}
	if s.open {
		return pyeval.Unknown{Why: name + " may come from a star import"}, true
	}
	return nil, false
}

// value evaluates binding i of e.
func (s *scope) value(e *entry, i int) pyeval.Value {
	b := &e.binds[i]
	if b.value != nil {
		return b.value
	}
	if b.busy {
		return pyeval.Unknown{Why: "circular"}
	}
	b.busy = true
	v := s.evaluate(e, i)
	b = &e.binds[i]
	b.busy = false
	b.value = v
	return v
}

func (s *scope) evaluate(e *entry, i int) pyeval.Value {
	b := e.binds[i]
	m := s.mod.src
	switch b.kind {
	case bindDef:
		return s.function(b.stmt)
	case bindClass:
		return s.mod.classAt(s, b.stmt)
	case bindImport:
		return s.mod.importValue(m.A(b.alias), m.B(b.alias) != "")
	case bindFrom:
		return s.mod.fromValue(b.stmt, m.A(b.alias))
	case bindStar:
		return b.from.attr(e.name)
	case bindAssign:
		if m.Stmts[b.stmt].Flags&pysrc.Cut != 0 {
			return pyeval.Unknown{Why: "a value too large to keep"}
		}
		v := evalText(m.B(b.stmt), s.view(b.stmt))
		for _, k := range b.path {
			items, ok := pyeval.Iterate(v)
			if !ok || k >= len(items) {
				return pyeval.Unknown{Why: "unpacking"}
			}
			v = items[k]
		}
		return v
	case bindAug:
		return s.augmented(e, i)
	case bindChange:
		return s.changed(e, i)
	}
	return pyeval.Unknown{Why: e.name + " is computed"}
}

// previous is the value of e in front of binding i.
func (s *scope) previous(e *entry, i int) pyeval.Value {
	if i == 0 || e.binds[i-1].maybe || e.binds[i-1].kind == bindDel {
		return pyeval.Unknown{Why: e.name + " is bound conditionally"}
	}
	return s.value(e, i-1)
}

func (s *scope) augmented(e *entry, i int) pyeval.Value {
	b := e.binds[i]
	st := &s.mod.src.Stmts[b.stmt]
	if st.Level != '+' && st.Level != '|' {
		return pyeval.Unknown{Why: e.name + " is computed"}
	}
	prev := s.previous(e, i)
	v := evalText(s.mod.src.B(b.stmt), s.view(b.stmt))
	if l, ok := prev.(*pyeval.List); ok { // += takes any iterable
		items, ok := pyeval.Iterate(v)
		if !ok {
			return pyeval.Unknown{Why: e.name + " is computed"}
		}
		return &pyeval.List{Items: append(append([]pyeval.Value{}, l.Items...), items...)}
	}
	return pyeval.Combine(byte(st.Level), prev, v)
}

// changed evaluates NAME.append(x), NAME.extend(xs), NAME.update(d) and
// NAME[k] = v.
func (s *scope) changed(e *entry, i int) pyeval.Value {
	b := e.binds[i]
	m := s.mod.src
	why := pyeval.Unknown{Why: e.name + " is changed in place"}
	prev := s.previous(e, i)
	if m.Stmts[b.stmt].Kind == pysrc.Assign {
		target, err := pyexpr.Parse(m.A(b.stmt))
		d, ok := prev.(*pyeval.Dict)
		if err != nil || !ok || target.Kind != pyexpr.Subscript || target.Kids[0].Kind != pyexpr.Name {
			return why
		}
		v := s.view(b.stmt)
		d = &pyeval.Dict{Keys: append([]pyeval.Value{}, d.Keys...), Values: append([]pyeval.Value{}, d.Values...)}
		if !d.Set(v.eval(target.Kids[1]), evalText(m.B(b.stmt), v)) {
			return why
		}
		return d
	}
	n, err := pyexpr.Parse(m.A(b.stmt))
	if err != nil || n.Kind != pyexpr.Call || n.Kids[0].Kind != pyexpr.Attribute || len(n.Kids) != 2 || n.Kids[1].Kind == pyexpr.Star || n.Kids[1].Kind == pyexpr.Keyword {
		return why
	}
	arg := s.view(b.stmt).eval(n.Kids[1])
	switch p := prev.(type) {
	case *pyeval.List:
		items := append([]pyeval.Value{}, p.Items...)
		switch n.Kids[0].Text {
		case "append":
			return &pyeval.List{Items: append(items, arg)}
		case "extend":
			if more, ok := pyeval.Iterate(arg); ok {
				return &pyeval.List{Items: append(items, more...)}
			}
		}
	case *pyeval.Dict:
		if q, ok := arg.(*pyeval.Dict); ok && n.Kids[0].Text == "update" {
			return pyeval.Combine('|', p, q)
		}
	}
	return why
}

// view resolves the names of an expression that stands at a statement.
type view struct {
	s   *scope
	pos uint32
}

func (s *scope) view(pos uint32) view { return view{s, pos} }

func (v view) Name(name string) pyeval.Value {
	if x, ok := v.s.at(name, v.pos); ok {
		return x
	}
	if v.s.class != nil {
		if x, ok := v.s.mod.scope.at(name, v.pos); ok {
			return x
		}
	}
	switch name {
	case "__file__":
		return pyeval.Str(v.s.mod.path)
	case "__name__":
		return pyeval.Str(v.s.mod.name)
	case "__package__":
		return pyeval.Str(v.s.mod.pkg)
	}
	return pyeval.Builtin(name, v.s.mod.w.env.Version.Minor)
}

// eval evaluates an expression as if its statement were executed now.
func (v view) eval(n *pyexpr.Node) pyeval.Value {
	w := v.s.mod.w
	before := w.now
	w.now = v
	x := pyeval.Eval(n, v)
	w.now = before
	return x
}

// evalText evaluates an expression of a module's source.
func evalText(src string, v view) pyeval.Value {
	n, err := v.s.mod.w.parse(src)
	if err != nil {
		return pyeval.Unknown{Why: "not an expression"}
	}
	return v.eval(n)
}

// parse parses an expression, each text once: the same decorators and values
// stand in many places of a project.
func (w *world) parse(src string) (*pyexpr.Node, error) { return w.exprs.parse(src) }

// run executes the statements [i, end). maybe says that only running can tell
// whether they are reached. It returns false where the body surely ends.
func (s *scope) run(i, end uint32, maybe bool) bool {
	m := s.mod.src
	for i < end {
		st := &m.Stmts[i]
		next := st.Next
		switch st.Kind {
		case pysrc.Def:
			s.bind(pyexpr.Identifier(m.A(i)), binding{kind: bindDef, stmt: i, maybe: maybe})
		case pysrc.Class:
			s.bind(pyexpr.Identifier(m.A(i)), binding{kind: bindClass, stmt: i, maybe: maybe})
		case pysrc.Import, pysrc.FromImport:
			if !s.imports(i, maybe) {
				return false
			}
		case pysrc.Assign:
			s.assign(i, maybe)
		case pysrc.AugAssign:
			if name := m.A(i); isName(name) {
				if s.index[name] != nil {
					s.alsoChanged(name, i)
				}
				s.bind(name, binding{kind: bindAug, stmt: i, maybe: maybe})
			}
		case pysrc.Expr:
			if !s.expression(i, maybe) {
				return false
			}
		case pysrc.Dynamic:
			if m.A(i) == "importorskip" && !s.importOrSkip(i, maybe) {
				return false
			}
		case pysrc.Del:
			for _, name := range strings.Split(m.A(i), ",") {
				name = strings.TrimSpace(name)
				if of, attr, ok := strings.Cut(name, "."); ok {
					s.mod.setMethod(s, of, attr, nil, binding{kind: bindDel, stmt: i, maybe: maybe})
				} else if s.index[name] != nil {
					s.bind(name, binding{kind: bindDel, stmt: i, maybe: maybe})
				}
			}
		case pysrc.Raise:
			if strings.Contains(m.A(i), "Skip") { // unittest.SkipTest
				return s.end(i, skips, maybe)
			}
			return s.end(i, raises, maybe)
		case pysrc.If:
			var ok bool
			if next, ok = s.chain(i, end, maybe); !ok {
				return false
			}
		case pysrc.Try:
			var ok bool
			if next, ok = s.try(i, end, maybe); !ok {
				return false
			}
		case pysrc.With:
			catches := strings.Contains(m.A(i), "suppress") || strings.Contains(m.A(i), "raises")
			if !s.run(i+1, next, maybe) {
				if !catches || s.stop == skips { // pytest.skip is no Exception
					return false
				}
				s.stop = runsOn
			} else if catches {
				s.mayRaise(i+1, next)
			}
		case pysrc.For, pysrc.While, pysrc.Match:
			if st.Kind == pysrc.For && !maybe && s.class == nil && s.follow(i) {
				next = s.behind(i, end)
				break
			}
			if next = s.loop(i, end); s.stop != runsOn {
				s.stop = runsOn // a loop may not be entered at all
				s.doubt = true
			}
		}
		i = next
	}
	return true
}
