package discover

import (
	"strings"

	"github.com/dx-py/dx-py-ls/engine/pyeval"
	"github.com/dx-py/dx-py-ls/engine/pyexpr"
)

// function is a def as a value.
type function struct {
	s    *scope
	stmt uint32
	name string
}

// function returns what a def statement binds: the function, or what its
// decorators make of it.
func (s *scope) function(stmt uint32) pyeval.Value {
	m := s.mod.src
	f := &function{s, stmt, pyexpr.Identifier(m.A(stmt))}
	var v pyeval.Value = f
	decorators, _ := m.Decorators(stmt)
	for k := len(decorators) - 1; k >= 0; k-- {
		d := evalText(m.A(decorators[k]), s.view(stmt))
		switch d := d.(type) {
		case mark:
			continue
		case fixtureDecorator:
			return fixtureValue{f, d}
		case *symbol:
			if _, ok := d.markName(); ok {
				continue
			}
			switch d.path {
			case "pytest.fixture":
				return fixtureValue{f, fixtureDecorator{}}
			case "typing.overload", "typing.final", "typing.no_type_check", "functools.cache", "functools.lru_cache", "abc.abstractmethod":
				continue // the name stays; the wrapper of cache copies it
			}
		}
		return decorated{f, d}
	}
	return v
}

// decorated is a function behind a decorator that is not understood.
type decorated struct {
	fn *function
	by pyeval.Value
}

func (f *function) PyName() string { return f.name }
func (f *function) Attr(name string) pyeval.Value {
	if v, ok := f.s.mod.attrValue(f.stmt, name); ok {
		return v
	}
	switch name {
	case "__name__":
		return pyeval.Str(f.name)
	case "__doc__":
		return docOf{f}
	}
	return pyeval.Unknown{Why: "attribute " + name}
}
func (f *function) Call(args []pyeval.Value, kwargs map[string]pyeval.Value) pyeval.Value {
	if c := f.callee(); c != nil {
		return c.call(args, kwargs)
	}
	return pyeval.Unknown{Why: "call of " + f.name}
}

// docOf is the docstring of a function: whether it holds examples is all that
// is kept of it.
type docOf struct{ f *function }

// class is a class statement as a value.
type class struct {
	mod   *module
	outer *scope
	stmt  uint32
	name  string
	scope *scope

	bases   []pyeval.Value // *class or *symbol or unknown
	meta    pyeval.Value   // metaclass=, nil for none
	linear  []pyeval.Value // method resolution order, itself first
	known   bool           // linear holds all bases, all of them known
	ready   bool
	enum    *enumInfo
	marking bool

	metaDone, metaKnown bool // the metaclass was followed, to its end
}

// classAt returns the class of a class statement, the same each time.
func (m *module) classAt(outer *scope, stmt uint32) pyeval.Value {
	c := m.classes[stmt]
	if c == nil {
		c = &class{mod: m, outer: outer, stmt: stmt, name: pyexpr.Identifier(m.src.A(stmt))}
		m.classes[stmt] = c
		c.scope = newScope(m, c)
		_, body := m.src.Decorators(stmt)
		c.scope.run(body, m.src.Stmts[stmt].Next, false)
	}
	decorators, _ := m.src.Decorators(stmt)
	for k := len(decorators) - 1; k >= 0; k-- {
		if !c.transparent(evalText(m.src.A(decorators[k]), outer.view(stmt))) {
			return decoratedClass{c}
		}
	}
	return c
}

// decoratedClass is a class behind a decorator that is not understood.
type decoratedClass struct{ c *class }

// transparent reports whether a class decorator returns the class itself, or
// one of the same name and methods.
func (c *class) transparent(d pyeval.Value) bool {
	switch d := d.(type) {
	case mark, identity:
		return true
	case *symbol:
		if _, ok := d.markName(); ok {
			return true
		}
		return classDecorators[d.path]
	case pyeval.Unknown:
		return false
	}
	return false
}

var classDecorators = words(`unittest.skip unittest.skipIf unittest.skipUnless unittest.expectedFailure dataclasses.dataclass enum.unique
	functools.total_ordering typing.final typing.runtime_checkable freezegun.freeze_time unittest.mock.patch`)

// resolve computes bases and the method resolution order.
func (c *class) resolve() {
	if c.ready {
		return
	}
	c.ready = true
	c.known = true
	c.linear = []pyeval.Value{c}
	args, err := pyexpr.ParseArgs(c.mod.src.B(c.stmt))
	if err != nil {
		c.known = false
		return
	}
	view := c.outer.view(c.stmt)
	for _, a := range args {
		switch a.Kind {
		case pyexpr.Keyword:
			if a.Text == "metaclass" {
				c.meta = view.eval(a.Kids[0])
			}
			continue
		case pyexpr.Star, pyexpr.DoubleStar:
			c.known = false
			continue
		case pyexpr.Subscript: // Generic[T], Base[int]
			a = a.Kids[0]
		}
		c.bases = append(c.bases, c.base(view.eval(a)))
	}
	var seqs [][]pyeval.Value
	for _, b := range c.bases {
		switch b := b.(type) {
		case *class:
			b.resolve()
			c.known = c.known && b.known
			if c.meta == nil {
				c.meta = b.meta
			}
			seqs = append(seqs, append([]pyeval.Value{}, b.linear...))
		case *symbol:
			seqs = append(seqs, []pyeval.Value{b})
		case builtinClass:
			seqs = append(seqs, []pyeval.Value{b})
		default:
			c.known = false
		}
	}
	seqs = append(seqs, append([]pyeval.Value{}, c.bases...))
	c.linear = append(c.linear, merge(seqs)...)
	c.made()
}

// builtinClass is a class of the builtins module as a base.
type builtinClass string

func (c *class) base(v pyeval.Value) pyeval.Value {
	switch v := v.(type) {
	case *class:
		return v
	case decoratedClass:
		return v.c
	case *symbol:
		if v.isClass() {
			return v
		}
		return pyeval.Unknown{Why: "base class " + v.path}
	case pyeval.Object:
		if name := v.PyName(); pyeval.IsBuiltinClass(name) {
			return builtinClass(name)
		}
	}
	return pyeval.Unknown{Why: "a base class"}
}

// merge is the C3 linearization of the bases' orders; unknown bases stand out
// of it.
func merge(seqs [][]pyeval.Value) []pyeval.Value {
	var out []pyeval.Value
	same := func(a, b pyeval.Value) bool {
		if x, ok := a.(*symbol); ok {
			y, ok := b.(*symbol)
			return ok && x.path == y.path
		}
		return a == b
	}
	for {
		var pick pyeval.Value
		left := false
		for _, s := range seqs {
			if len(s) == 0 {
				continue
			}
			left = true
			if _, unknown := s[0].(pyeval.Unknown); unknown {
				pick = s[0]
				break
			}
			inTail := false
			for _, t := range seqs {
				for k := 1; k < len(t); k++ {
					inTail = inTail || same(t[k], s[0])
				}
			}
			if !inTail {
				pick = s[0]
				break
			}
		}
		if !left || pick == nil {
			return out
		}
		if _, unknown := pick.(pyeval.Unknown); !unknown {
			out = append(out, pick)
		}
		for i, s := range seqs {
			if len(s) > 0 && same(s[0], pick) {
				seqs[i] = s[1:]
			}
		}
	}
}

// find looks a name up along the method resolution order. The class that has
// it comes with it.
func (c *class) find(name string) (v pyeval.Value, owner *class, found bool) {
	c.resolve()
	for _, b := range c.linear {
		k, ok := b.(*class)
		if !ok {
			continue
		}
		if v, ok := k.mod.attrValue(k.stmt, name); ok {
			return v, k, true
		}
		if v, ok := k.scope.at(name, always); ok {
			return v, k, true
		}
	}
	return nil, nil, false
}

// isA reports whether one of the named library classes is among the bases.
func (c *class) isA(paths ...string) bool {
	c.resolve()
	for _, b := range c.linear {
		for _, p := range paths {
			switch b := b.(type) {
			case *symbol:
				if b.path == p {
					return true
				}
			case builtinClass:
				if string(b) == p {
					return true
				}
			case *class:
				// the library's own source, read as a project's
				if b.mod.name+"."+b.name == p {
					return true
				}
			}
		}
	}
	return false
}

func (c *class) isTestCase() bool {
	return c.isA("unittest.TestCase", "unittest.case.TestCase", "unittest.IsolatedAsyncioTestCase",
		"unittest.async_case.IsolatedAsyncioTestCase", "unittest.FunctionTestCase")
}

func (c *class) PyName() string { return c.name }

func (c *class) Attr(name string) pyeval.Value {
	if name == "__name__" {
		return pyeval.Str(c.name)
	}
	if e := c.enumeration(); e != nil {
		if name == "__members__" && len(e.aliases) > 0 {
			return pyeval.Unknown{Why: "aliases"}
		}
		if name == "__members__" {
			d := &pyeval.Dict{}
			for _, m := range e.members {
				d.Set(pyeval.Str(m.Name), m)
			}
			return d
		}
		for _, m := range e.members {
			if m.Name == name {
				return m
			}
		}
		if of, ok := e.aliases[name]; ok {
			return of
		}
		return pyeval.Unknown{Why: "attribute " + name}
	}
	if v, _, ok := c.find(name); ok {
		return v
	}
	if name == "__dict__" {
		d := &pyeval.Dict{}
		for _, e := range c.scope.entries {
			if v, ok := c.scope.at(e.name, always); ok {
				d.Set(pyeval.Str(e.name), v)
			}
		}
		return d
	}
	if c.known && c.meta == nil && !strings.HasPrefix(name, "__") && c.plain() {
		return pyeval.Missing{}
	}
	return pyeval.Unknown{Why: "attribute " + name}
}

// plain reports whether all bases are classes of the project.
func (c *class) plain() bool {
	for _, b := range c.linear {
		if _, ok := b.(*class); !ok && b != builtinClass("object") {
			return false
		}
	}
	return true
}

// Call makes an instance: opaque unless the class may make something that has
// an id of its own.
func (c *class) Call(args []pyeval.Value, kwargs map[string]pyeval.Value) pyeval.Value {
	if e := c.enumeration(); e != nil {
		for _, m := range e.members {
			if eq, ok := pyeval.Equal(m.Value, one(args)); ok && eq {
				return m
			}
		}
		return pyeval.Unknown{Why: "call of " + c.name}
	}
	if c.opaque() {
		if o := c.construct(args, kwargs); o != nil {
			return o
		}
		return pyeval.Instance{Class: c}
	}
	return pyeval.Unknown{Why: "call of " + c.name}
}

// AnyArgs reports whether a call gives an opaque instance whatever the
// arguments are.
func (c *class) AnyArgs() bool { return c.enumeration() == nil && c.opaque() }

// opaque reports whether instances surely have no __name__, and are of no
// type that makes an id by itself.
func (c *class) opaque() bool {
	c.resolve()
	if !c.known || c.meta != nil && !c.isABCMeta() {
		return false
	}
	for _, b := range c.linear {
		switch b := b.(type) {
		case *class:
			for _, name := range [...]string{"__name__", "__getattr__", "__getattribute__", "__new__", "__slots__"} {
				e := b.scope.index[name]
				if e == nil && b.scope.open {
					return false
				}
				if e != nil && name != "__slots__" {
					return false
				}
			}
		case *symbol:
			if !opaqueClasses[b.path] && !opaqueBases[b.path] {
				return false
			}
		case builtinClass:
			switch b {
			case "str", "bytes", "int", "float", "complex", "bool", "type", "property", "classmethod", "staticmethod", "super":
				return false
			}
		}
	}
	return true
}

var opaqueBases = words(`abc.ABC typing.Generic typing.Protocol typing_extensions.Protocol unittest.TestCase io.IOBase io.RawIOBase io.BufferedIOBase
	io.TextIOBase json.JSONEncoder json.JSONDecoder datetime.tzinfo string.Formatter string.Template collections.abc.Mapping
	collections.abc.MutableMapping collections.abc.Sequence collections.abc.MutableSequence collections.abc.Set
	collections.abc.MutableSet collections.abc.Iterable collections.abc.Iterator collections.abc.Hashable collections.abc.Callable
	collections.abc.Container collections.abc.Sized contextlib.ContextDecorator contextlib.AbstractContextManager threading.Thread`)

func (c *class) isABCMeta() bool {
	m, ok := c.meta.(*symbol)
	return ok && m.path == "abc.ABCMeta"
}

// abstract reports whether inspect.isabstract holds: a metaclass ABCMeta and
// an abstract method that no class nearer overrides.
func (c *class) abstract() bool {
	if !c.isABCMeta() && !c.isA("abc.ABC", "typing.Protocol", "typing_extensions.Protocol") {
		return false
	}
	seen := map[string]bool{}
	for _, b := range c.linear {
		k, ok := b.(*class)
		if !ok {
			continue
		}
		for _, e := range k.scope.entries {
			if seen[e.name] {
				continue
			}
			seen[e.name] = true
			if k.isAbstractMethod(e) {
				return true
			}
		}
	}
	return false
}

func (c *class) isAbstractMethod(e *entry) bool {
	b := e.binds[len(e.binds)-1]
	if b.kind != bindDef {
		return false
	}
	decorators, _ := c.mod.src.Decorators(b.stmt)
	for _, d := range decorators {
		text := c.mod.src.A(d)
		if strings.HasPrefix(text[strings.LastIndexByte(text, '.')+1:], "abstract") {
			return true
		}
	}
	return false
}

// HasInstance is isinstance(v, c).
func (c *class) HasInstance(v pyeval.Value) (is, known bool) {
	var of *class
	switch v := v.(type) {
	case *object:
		of = v.class
	case pyeval.Instance:
		k, ok := v.Class.(*class)
		if !ok {
			return false, false
		}
		of = k
	case *function, *closure, pyeval.Str, pyeval.Int, pyeval.Bool, pyeval.None, pyeval.Float, *pyeval.List, pyeval.Tuple, *pyeval.Dict, docOf:
		return false, c.plain()
	case decorated:
		by, ok := v.by.(pyeval.Object)
		return false, ok && c.plain() && pyeval.IsBuiltinClass(by.PyName())
	default:
		return false, false
	}
	of.resolve()
	for _, b := range of.linear {
		if b == pyeval.Value(c) {
			return true, true
		}
	}
	return false, of.known
}

func init() { pyeval.TypeNew = typeNew{} }
