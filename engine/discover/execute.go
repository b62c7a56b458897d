package discover

import (
	"slices"
	"strings"

	"github.com/dx-py/dx-py-ls/engine/pyeval"
	"github.com/dx-py/dx-py-ls/engine/pyexpr"
	"github.com/dx-py/dx-py-ls/engine/pysrc"
)

// Executing the statements of a module or class body.

// end notes that the body ends at a statement, surely or maybe.
func (s *scope) end(stmt uint32, how stopKind, maybe bool) bool {
	if maybe {
		s.doubt = true
		return true
	}
	s.stop, s.last = how, stmt
	return false
}

func isName(s string) bool {
	for i := 0; i < len(s); i++ {
		if c := s[i]; c != '_' && (c < '0' || c > '9') && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && c < 0x80 {
			return false
		}
	}
	return s != ""
}

// chain runs the branch of an if statement that is taken, or all of them when
// that is not known. It returns the statement behind the chain.
func (s *scope) chain(i, end uint32, maybe bool) (uint32, bool) {
	m := s.mod.src
	decided, unsure := false, false
	for first := true; i < end; first = false {
		st := &m.Stmts[i]
		if !first && st.Kind != pysrc.Elif && st.Kind != pysrc.Else {
			break
		}
		truth, known := true, true
		if !decided && st.Kind != pysrc.Else {
			truth, known = s.condition(m.A(i), i)
		}
		switch {
		case decided || known && !truth:
		case known && !unsure:
			decided = true
			if !s.run(i+1, st.Next, maybe) {
				return st.Next, false
			}
		default:
			decided = known && truth // nothing behind a branch that is surely taken
			unsure = true
			if !s.run(i+1, st.Next, true) {
				return st.Next, false
			}
		}
		i = st.Next
	}
	return i, true
}

func (s *scope) condition(text string, pos uint32) (truth, known bool) {
	return pyeval.Condition(evalText(text, s.view(pos)))
}

// loop binds what the body of a loop or match may bind.
func (s *scope) loop(i, end uint32) uint32 {
	m := s.mod.src
	st := &m.Stmts[i]
	if st.Kind == pysrc.For {
		s.targets(m.A(i), i, binding{kind: bindUnknown, stmt: i, maybe: true})
	}
	s.run(i+1, st.Next, true)
	next := st.Next
	if st.Kind == pysrc.Match {
		for c := i + 1; c < st.Next; c = m.Stmts[c].Next {
			s.run(c+1, m.Stmts[c].Next, true)
		}
	}
	for next < end && m.Stmts[next].Kind == pysrc.Else {
		s.run(next+1, m.Stmts[next].Next, true)
		next = m.Stmts[next].Next
	}
	return next
}

// behind returns the statement behind a loop and its else.
func (s *scope) behind(i, end uint32) uint32 {
	next := s.mod.src.Stmts[i].Next
	if next < end && s.mod.src.Stmts[next].Kind == pysrc.Else {
		next = s.mod.src.Stmts[next].Next
	}
	return next
}

// follow executes a loop of the module's body that sets names by
// globals()[...]; false when that is not certain, or not needed.
func (s *scope) follow(i uint32) bool {
	m := s.mod.src
	needed := false
	for k := i; k < m.Stmts[i].Next; k++ {
		needed = needed || m.Stmts[k].Kind == pysrc.Assign && strings.HasPrefix(m.A(k), "globals()[")
	}
	if !needed {
		return false
	}
	f := &frame{w: s.mod.w, mod: s.mod, src: m, scope: s, pos: i, locals: map[string]pyeval.Value{}, fresh: map[string]bool{}}
	if _, r := f.loop(i, m.End()); r == goesOn {
		for name, v := range f.locals {
			s.bind(name, binding{kind: bindMade, stmt: i, value: v})
		}
		return true
	}
	for k := len(f.made) - 1; k >= 0; k-- {
		f.made[k].in.unbind(f.made[k].name)
	}
	return false
}

// unbind takes the last binding of a name back.
func (s *scope) unbind(name string) {
	e := s.index[name]
	if e.binds = e.binds[:len(e.binds)-1]; len(e.binds) > 0 {
		return
	}
	delete(s.index, name)
	s.entries = slices.DeleteFunc(s.entries, func(x *entry) bool { return x == e })
}

// try runs a try statement with its clauses.
func (s *scope) try(i, end uint32, maybe bool) (uint32, bool) {
	m := s.mod.src
	from, to := i+1, m.Stmts[i].Next
	raised := !s.run(from, to, maybe)
	unsure := !raised && s.mayRaise(from, to)
	if raised && s.stop == skips { // pytest.skip is no Exception
		return i, false
	}
	caught, ok := false, true
	for i = m.Stmts[i].Next; i < end; i = m.Stmts[i].Next {
		st := &m.Stmts[i]
		switch st.Kind {
		case pysrc.Except:
			if unsure {
				s.perhaps(i+1, st.Next)
			}
			if !raised || caught || !catches(m.A(i)) {
				continue
			}
			caught = true
			s.stop = runsOn
			ok = s.run(i+1, st.Next, maybe)
			continue
		case pysrc.Else:
			if !raised {
				ok = s.run(i+1, st.Next, maybe)
			}
			continue
		case pysrc.Finally:
			ok = s.run(i+1, st.Next, maybe) && ok
			continue
		}
		break
	}
	if raised && !caught {
		s.stop = raises
		return i, false
	}
	return i, ok
}

// mayRaise reports whether only running can tell whether the statements of a
// try or with raise what is caught there, and makes what they define behind
// that point conditional. Imports of modules that are found count as safe but
// for the names they take from the standard library, of which not all are
// known.
func (s *scope) mayRaise(i, end uint32) bool {
	m := s.mod.src
	unsure := false
	for ; i < end; i = m.Stmts[i].Next {
		switch st := &m.Stmts[i]; st.Kind {
		case pysrc.Expr:
			unsure = unsure || !strings.HasPrefix(m.A(i), `"`) && !strings.HasPrefix(m.A(i), "'")
		case pysrc.Assign:
			unsure = unsure || strings.ContainsAny(m.B(i), "([")
		case pysrc.FromImport:
			v, symbolic := s.mod.w.importDotted(s.mod.absolute(i), s.mod.base).(*symbol)
			unsure = unsure || symbolic && v != nil
		case pysrc.Def, pysrc.Class:
			if e := s.index[pyexpr.Identifier(m.A(i))]; unsure && e != nil && s.mod.w.mayBeTest(e.name) {
				e.binds[len(e.binds)-1].maybe = true
			}
		}
	}
	return unsure
}

// perhaps binds the tests of a handler of which only running can tell whether
// it is entered.
func (s *scope) perhaps(i, end uint32) {
	m := s.mod.src
	for ; i < end; i = m.Stmts[i].Next {
		kind := bindDef
		switch m.Stmts[i].Kind {
		case pysrc.Def:
		case pysrc.Class:
			kind = bindClass
		default:
			continue
		}
		if name := pyexpr.Identifier(m.A(i)); s.mod.w.mayBeTest(name) && s.index[name] == nil {
			s.bind(name, binding{kind: kind, stmt: i, maybe: true})
		}
	}
}

// catches reports whether a handler takes an ImportError or NameError: the
// exceptions that are foreseen.
func catches(what string) bool {
	if what == "" {
		return true
	}
	for _, w := range strings.FieldsFunc(what, func(r rune) bool { return !strings.ContainsRune("_.", r) && !isName(string(r)) }) {
		switch w[strings.LastIndexByte(w, '.')+1:] {
		case "ImportError", "ModuleNotFoundError", "Exception", "BaseException", "NameError", "AttributeError":
			return true
		}
	}
	return false
}

func (s *scope) assign(i uint32, maybe bool) {
	m := s.mod.src
	a := m.A(i)
	s.changesIn(m.B(i), i, maybe)
	if isName(a) {
		a = pyexpr.Identifier(a)
		if of := m.B(i); isName(of) && s.index[of] != nil {
			if s.copies == nil {
				s.copies = map[string][]string{}
			}
			s.copies[of] = append(s.copies[of], a)
		}
		s.bind(a, binding{kind: bindAssign, stmt: i, maybe: maybe})
		return
	}
	for _, part := range splitTargets(a) {
		s.targets(part, i, binding{kind: bindAssign, stmt: i, maybe: maybe})
	}
}

// splitTargets splits "a = b, c" at the "=" outside of brackets.
func splitTargets(a string) []string {
	var out []string
	depth, from := 0, 0
	for i := 0; i < len(a); i++ {
		switch a[i] {
		case '(', '[', '{':
			depth++
		case ')', ']', '}':
			depth--
		case '=':
			if depth == 0 {
				out = append(out, a[from:i])
				from = i + 1
			}
		}
	}
	return append(out, a[from:])
}

// targets binds the names of one assignment target.
func (s *scope) targets(target string, i uint32, b binding) {
	n, err := pyexpr.Parse(strings.TrimSpace(target))
	if err != nil {
		return
	}
	s.target(n, b)
}

func (s *scope) target(n *pyexpr.Node, b binding) {
	switch n.Kind {
	case pyexpr.Name:
		s.bind(n.Text, b)
	case pyexpr.Tuple, pyexpr.List:
		star := false
		for k, kid := range n.Kids {
			c := b
			c.path = append(append([]int{}, b.path...), k)
			if kid.Kind == pyexpr.Star {
				star = true
				kid = kid.Kids[0]
			}
			if star && c.kind == bindAssign {
				c.kind = bindUnknown
			}
			s.target(kid, c)
		}
	case pyexpr.Subscript:
		root := n
		for root.Kind == pyexpr.Subscript || root.Kind == pyexpr.Attribute {
			root = root.Kids[0]
		}
		switch {
		case root.Kind == pyexpr.Name && s.index[root.Text] != nil:
			b.kind = bindChange
			s.alsoChanged(root.Text, b.stmt)
			s.bind(root.Text, b)
		case root.Kind == pyexpr.Call:
			if f := root.Kids[0].Dotted(); f == "globals" || f == "locals" || f == "vars" {
				s.open = true
				s.mod.gap(b.stmt, f+"()[...] binds names that only running can tell")
			}
		}
	case pyexpr.Attribute:
		if n.Kids[0].Kind == pyexpr.Name {
			s.mod.setAttr(s, n.Kids[0].Text, n.Text, b.stmt)
			if value, err := pyexpr.Parse(s.mod.src.B(b.stmt)); err == nil && len(b.path) == 0 {
				s.mod.setMethod(s, n.Kids[0].Text, n.Text, value, b)
			}
		}
	}
}

// expression looks at an expression statement: skips, changes in place, and
// the names that do not exist.
func (s *scope) expression(i uint32, maybe bool) bool {
	m := s.mod.src
	text := m.A(i)
	if isName(text) {
		if _, missing := s.view(i).Name(text).(pyeval.Missing); missing {
			return s.end(i, raises, maybe)
		}
		return true
	}
	open := strings.IndexByte(text, '(')
	if open < 0 {
		return true
	}
	s.changesIn(text, i, maybe)
	head := strings.TrimSpace(text[:open])
	switch head {
	case "exec", "setattr":
		if n, err := pyexpr.Parse(text); err == nil && n.Kind == pyexpr.Call && len(n.Kids) == 4 &&
			n.Kids[1].Kind == pyexpr.Name && n.Kids[2].Kind == pyexpr.Str && s.class == nil {
			s.mod.setAttr(s, n.Kids[1].Text, n.Kids[2].Text, i)
			s.mod.setMethod(s, n.Kids[1].Text, n.Kids[2].Text, n.Kids[3], binding{stmt: i, maybe: maybe})
			return true
		}
		s.mod.gap(i, head+"() binds names that only running can tell")
		if head == "exec" {
			s.open = true
		}
		return true
	case "pytest.skip", "skip", "pytest.exit", "sys.exit", "exit":
		n, err := pyexpr.Parse(text)
		if err != nil || n.Kind != pyexpr.Call {
			return true
		}
		switch f := s.view(i).eval(n.Kids[0]).(type) {
		case *symbol:
			if f.path == "pytest.skip" && s.class == nil {
				return s.end(i, skips, maybe)
			}
			if f.path == "sys.exit" || f.path == "pytest.exit" {
				return s.end(i, raises, maybe)
			}
		}
		return true
	}
	if root, method, ok := strings.Cut(head, "."); ok && isName(root) && s.index[root] != nil && changes[method] {
		s.alsoChanged(root, i)
		s.bind(root, binding{kind: bindChange, stmt: i, maybe: maybe})
		return true
	}
	// a module's list or dict handed to a call may come back changed
	n, err := pyexpr.Parse(text)
	if err != nil || n.Kind != pyexpr.Call {
		return true
	}
	if f, ok := s.view(i).eval(n.Kids[0]).(*symbol); ok && f.pure() {
		return true
	}
	for _, a := range n.Kids[1:] {
		if a.Kind != pyexpr.Name {
			continue
		}
		if v, ok := s.at(a.Text, i); ok {
			switch v.(type) {
			case *pyeval.List, *pyeval.Dict, *pyeval.Set:
				s.bind(a.Text, binding{kind: bindUnknown, stmt: i, maybe: maybe})
			}
		}
	}
	return true
}

// changesIn finds the calls NAME.append(...) and NAME.ATTR.append(...) in an
// expression, but for the expression NAME.append(...) itself. What they change
// is not known any more.
func (s *scope) changesIn(text string, i uint32, maybe bool) {
	for at := 0; ; {
		k := strings.IndexByte(text[at:], '(')
		if k < 0 {
			return
		}
		at += k + 1
		head := text[:at-1]
		from := len(head)
		for from > 0 && (head[from-1] == '.' || isName(head[from-1:from])) {
			from--
		}
		parts := strings.Split(head[from:], ".")
		last := len(parts) - 1
		if last < 1 || !changes[parts[last]] || s.index[parts[0]] == nil {
			continue
		}
		switch {
		case last == 2:
			s.changeOf(parts[0], parts[1], i)
		case last == 1 && (from > 0 || s.mod.src.Stmts[i].Kind == pysrc.Assign):
			s.alsoChanged(parts[0], i)
			s.bind(parts[0], binding{kind: bindUnknown, stmt: i, maybe: maybe})
		}
	}
}

// changeOf notes that an attribute of a class or module is changed in place.
func (s *scope) changeOf(name, attr string, i uint32) {
	e := s.index[name]
	switch b := &e.binds[len(e.binds)-1]; b.kind {
	case bindClass:
		s.mod.setAttr(s, name, attr, i) // an expression statement: no value
	case bindImport, bindFrom:
		if v, ok := s.value(e, len(e.binds)-1).(moduleValue); ok {
			v.m.change(attr)
		}
	}
}

// alsoChanged makes the other names of an object unknown that is changed
// under one name: NAME = OTHER, and what is imported from a module.
func (s *scope) alsoChanged(name string, i uint32) {
	m := s.mod.src
	e := s.index[name]
	for k := len(e.binds) - 1; k >= 0; k-- {
		b := &e.binds[k]
		switch b.kind {
		case bindChange, bindAug:
			continue
		case bindFrom:
			if v, ok := s.mod.w.importDotted(s.mod.absolute(b.stmt), s.mod.base).(moduleValue); ok {
				v.m.change(m.A(b.alias))
			}
		case bindAssign:
			if other := m.B(b.stmt); isName(other) && s.index[other] != nil {
				s.bind(other, binding{kind: bindUnknown, stmt: i})
			}
		}
		break
	}
	for _, other := range s.copies[name] {
		o := s.index[other]
		if b := &o.binds[len(o.binds)-1]; b.kind == bindAssign && m.B(b.stmt) == name {
			s.bind(other, binding{kind: bindUnknown, stmt: i})
		}
	}
}

var changes = map[string]bool{
	"append": true, "extend": true, "insert": true, "remove": true, "pop": true, "clear": true, "sort": true, "reverse": true,
	"add": true, "discard": true, "update": true, "setdefault": true, "appendleft": true, "extendleft": true, "popitem": true,
}
