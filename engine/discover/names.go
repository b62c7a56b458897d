package discover

import (
	"path/filepath"
	"slices"
	"sort"
	"strings"
	"sync"

	"github.com/dx-py/dx-py-ls/engine/pytest"
)

// Fixture is one fixture. Rows and columns count from 0, columns in bytes.
type Fixture struct {
	Name         string
	Path         string // absolute; "" for one of pytest's own
	Func         string // the function's name
	Head, EndRow uint32 // of the def
	Col          uint32 // of the function's name
	Scope        pytest.Scope
	Autouse      bool
	Parametrized bool
	Args         []string // what it asks for
}

// User is a function that pytest gives fixtures: a test or a fixture.
type User struct {
	Name              string
	Row, Head, EndRow uint32 // of the first decorator, the def, the last line
	Col               uint32 // of the name
	Fixture           string // the fixture's name, "" for a test
	Args              []string
	Used              []string // by usefixtures marks
	Missing           []string // of both, what is surely no fixture

	chain *chain
	stmt  uint32
}

// Names are the fixtures of one file and who asks for them. It is safe for
// concurrent use.
type Names struct {
	Users []User

	mu   *sync.Mutex // around w
	w    *world
	path string
	m    *module
	rows func(row uint32) (uint32, bool) // where a row of m is now, nil for there
}

// Moved are the names of a file of which rows have moved, and nothing else. It
// is false where one cannot be told.
func (n *Names) Moved(rows func(row uint32) (uint32, bool)) (*Names, bool) {
	out := &Names{Users: slices.Clone(n.Users), mu: n.mu, w: n.w, path: n.path, m: n.m, rows: rows}
	for i := range out.Users {
		u := &out.Users[i]
		for _, r := range []*uint32{&u.Row, &u.Head, &u.EndRow} {
			var ok bool
			if *r, ok = rows(*r); !ok {
				return nil, false
			}
		}
	}
	return out, true
}

// asks notes what a test asks for.
func (w *world) asks(f *function, c *chain, args, used []string) {
	n := w.names
	if n == nil || f.s.mod.path != n.path || n.user(f.stmt) != nil {
		return
	}
	n.add(f, c, args).Used = used
}

func (n *Names) add(f *function, c *chain, args []string) *User {
	st := &f.s.mod.src.Stmts[f.stmt]
	n.m = f.s.mod
	n.Users = append(n.Users, User{
		Name: strings.Clone(f.name), Row: st.Row, Head: st.Head, EndRow: st.EndRow, Col: st.Col, Args: args, chain: c, stmt: f.stmt,
	})
	return &n.Users[len(n.Users)-1]
}

func (n *Names) user(stmt uint32) *User {
	// the newest first: a test is noted just before what it misses
	for i := len(n.Users) - 1; i >= 0; i-- {
		if n.Users[i].stmt == stmt {
			return &n.Users[i]
		}
		if len(n.Users)-i > 8 {
			break
		}
	}
	return nil
}

// misses notes a name that is surely no fixture of a test.
func (w *world) misses(f *function, name string) {
	if w.names == nil || f.s.mod.path != w.names.path {
		return
	}
	if u := w.names.user(f.stmt); u != nil && !slices.Contains(u.Missing, name) {
		u.Missing = append(u.Missing, name)
	}
}

// complete adds the file's fixtures, which ask for others too.
func (n *Names) complete() {
	if n.m = n.w.modules[n.path]; n.m == nil {
		return
	}
	done := map[uint32]bool{}
	from := func(c *chain) {
		for ; c != nil; c = c.up {
			if c.set.scope.mod != n.m {
				continue
			}
			names := make([]string, 0, len(c.set.defs))
			for name := range c.set.defs {
				names = append(names, name)
			}
			sort.Strings(names)
			for _, name := range names {
				d := c.set.defs[name]
				if d.fn == nil || d.fn.s.mod != n.m || done[d.fn.stmt] {
					continue
				}
				done[d.fn.stmt] = true
				u := n.add(d.fn, c, d.args)
				u.Fixture = strings.Clone(name)
				u.Missing = n.missing(u)
			}
		}
	}
	from(n.own())
	for i := range len(n.Users) {
		from(n.Users[i].chain)
	}
}

// own is what a test of the module, outside of classes, sees.
func (n *Names) own() *chain {
	c := n.w.conftestOf(filepath.Dir(n.path)).chain
	if filepath.Base(n.path) == "conftest.py" && c != nil && c.set.scope.mod == n.m {
		return c
	}
	return n.w.link(c, n.m.fixturesOf())
}

// missing are the arguments of a fixture that are surely no fixtures.
func (n *Names) missing(u *User) []string {
	var out []string
	for _, a := range u.Args {
		if !builtinFixtures[a] && n.find(u, a) == nil && !n.w.unread && !u.chain.hides() && filepath.Base(n.path) != "conftest.py" {
			out = append(out, a)
		}
	}
	return out
}

// find is the definition that a user gets for a name. A fixture that asks for
// its own name gets the one that it overrides.
func (n *Names) find(u *User, name string) *fixtureDef {
	for _, d := range u.chain.find(name) {
		if u.Fixture == name && d.fn != nil && d.fn.s.mod == n.m && d.fn.stmt == u.stmt {
			continue
		}
		return d
	}
	return nil
}

// Find returns the fixture that a user gets for a name, nil when there is none
// or it is not seen.
func (n *Names) Find(u *User, name string) *Fixture {
	n.mu.Lock()
	defer n.mu.Unlock()
	if d := n.find(u, name); d != nil {
		return n.export(d)
	}
	if builtinFixtures[name] && name != "self" {
		return &Fixture{Name: name}
	}
	return nil
}

// Visible returns the fixtures that a function at a row sees, by name.
func (n *Names) Visible(row uint32) []*Fixture {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.m == nil {
		return nil
	}
	c := n.own()
	for i := range n.Users {
		if u := &n.Users[i]; row >= u.Row && row <= u.EndRow && u.chain != nil {
			c = u.chain
		}
	}
	seen := map[string]bool{"self": true}
	var out []*Fixture
	for ; c != nil; c = c.up {
		for name := range c.set.opaque {
			c.set.def(name)
		}
		for name, d := range c.set.defs {
			if !seen[name] {
				seen[name] = true
				out = append(out, n.export(d))
			}
		}
	}
	for name := range builtinFixtures {
		if !seen[name] {
			out = append(out, &Fixture{Name: name})
		}
	}
	sort.Slice(out, func(i, j int) bool { return out[i].Name < out[j].Name })
	return out
}

func (n *Names) export(d *fixtureDef) *Fixture {
	f := &Fixture{
		Name: strings.Clone(d.name), Scope: d.scope, Autouse: d.autouse, Parametrized: d.params != nil,
	}
	for _, a := range d.args {
		f.Args = append(f.Args, strings.Clone(a))
	}
	if d.fn != nil {
		st := &d.fn.s.mod.src.Stmts[d.fn.stmt]
		f.Path, f.Func = d.fn.s.mod.path, strings.Clone(d.fn.name)
		f.Head, f.EndRow, f.Col = st.Head, st.EndRow, st.Col
		if n.rows != nil && d.fn.s.mod == n.m {
			f.Head, _ = n.rows(f.Head)
			f.EndRow, _ = n.rows(f.EndRow)
		}
	}
	return f
}
