// Package graph says which files a test depends on: the imports of every
// kind, packages' __init__.py, conftest.py, plugins, configuration. It is made
// from Modules and listings alone; nothing is imported.
//
// A name that is looked up is a node of its own between the files that look
// for it and the files that it leads to. Names that lead nowhere are kept too,
// so that a file that appears or goes away concerns exactly who looked for it.
//
// Installed packages are left out, but for those that require a distribution
// of the project: a test of such a package's behaviour depends on the project
// through it.
//
// Where only running can tell (two folders on sys.path hold the same name, an
// import fails, a module's name is computed), all files that it may be are
// depended on: the graph may say too much, and must not say too little.
package graph

import (
	"cmp"
	"iter"
	"slices"
	"strings"
	"sync"

	"github.com/dx-py/dx-py-ls/engine/config"
	"github.com/dx-py/dx-py-ls/engine/pyenv"
	"github.com/dx-py/dx-py-ls/engine/pysrc"
)

// Kind says why a file depends on another.
type Kind uint8

const (
	Import       Kind = iota // when the module is loaded
	Lazy                     // an import in a function
	Dynamic                  // a call of import_module, __import__ or importorskip with a literal
	Opaque                   // such a call whose name only running can tell: it may be any
	Init                     // the package's __init__.py
	Conftest                 // a conftest.py above a test, or one whose hooks see all tests
	Plugin                   // pytest_plugins, -p, or an entry point of the project
	Config                   // pytest's configuration
	Data                     // observed: the file was opened, or its folder listed
	Unread                   // a file that is no Python source and that nobody is known to read: any test may
	Absent                   // a look-up that failed, and that this file satisfies or would satisfy
	TypeChecking             // an import for type checkers: never followed
)

var kindNames = [...]string{
	"import", "lazy", "dynamic", "opaque", "init", "conftest", "plugin", "config", "data", "unread", "absent", "type-checking",
}

func (k Kind) String() string { return kindNames[k] }

// Edge says that From depends on To. Paths are absolute.
type Edge struct {
	From, To string
	Kind     Kind
	Line     uint32 // of From, from 1; 0 where no line says so
	Tests    bool   // of an Opaque edge to a folder: files with tests are meant too
}

// Input is all that decides about a Graph.
type Input struct {
	Config *config.Config
	Env    *pyenv.Env
	Source pysrc.Source
	// Roots are the files with tests, absolute, in pytest's order. Their
	// conftest.py files are found from them.
	Roots []string
	// Code are those of them that are modules of the program, collected for the
	// doctests in them, and those in which no test was found: pytest may have an
	// error of them, and a computed import may mean them.
	Code map[string]bool
	// Paths are further folders on sys.path, such as the working directory of
	// `python -m pytest`.
	Paths []string
	// Observed says which files and folders a file was seen to open, list or
	// import while tests ran. It adds to what the text says.
	Observed map[string][]string
}

// Graph is the dependencies between a project's files. It is immutable and
// safe for concurrent use, and shares no memory with Modules.
type Graph struct {
	in    Input // without Source
	paths *table
	keys  *table

	// by path
	files   []*node
	sources [][]int32 // look-ups that lead to the file
	// by key
	looks []*look
	users [][]use // who looks it up, TypeChecking left out

	roots    []int32
	inserted []string // what pytest puts on sys.path
	order    map[string]int
	project  []string        // all Python files of the project, sorted
	stdlib   map[string]bool // its modules but for "test", which is what projects call their tests
	stdlibAt int             // where on sys.path it is
	scopes   map[area][]use
	// top-level modules that are installed and followed, since they need the project
	dependents map[string]bool

	once    sync.Once
	live    []bool // by path: reached by a root
	scratch *sync.Pool
}

// node is what one file depends on.
type node struct {
	refs   []ref
	opaque []scopeRef
	stars  []int32 // look-ups of modules whose names it has, hooks among them
	global bool
	root   bool
	code   bool // a root among Input.Code
}

type ref struct {
	look int32
	kind Kind
	line uint32
}

// area is the files that a computed import may mean: the Python files in a
// folder and below. An import of a wholly unknown name is taken to mean no
// file with tests: each edit of a test would reach all others otherwise, for
// the sake of programs that load a test module by a name they compute, and
// give no hint of the package.
type area struct {
	dir  string
	code bool // without the files with tests
}

// scopeRef says that any module of an area may be imported.
type scopeRef struct {
	area
	line uint32
}

// use is a ref seen from the look-up.
type use struct {
	file int32
	kind Kind
	line uint32
}

type status uint8

const (
	notFound status = iota
	plainModule
	pack      // a package, with or without __init__.py
	installed // not the project's
)

// look is a look-up and what it leads to.
type look struct {
	status  status
	targets []int32
	dirs    []string // where submodules are looked for
	kinds   []Kind   // of the session look-up: a kind for each target
	at      int      // where on sys.path it was found, math.MaxInt32 for nowhere
}

// sessionKey is the look-up of what all tests depend on.
const sessionKey = "\x00session"

// table gives numbers to strings. Graphs that came from one another share it:
// numbers are never taken back.
type table struct {
	mu    sync.RWMutex
	ids   map[string]int32
	names []string
}

func newTable() *table { return &table{ids: map[string]int32{}} }

func (t *table) get(s string) (int32, bool) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	id, ok := t.ids[s]
	return id, ok
}

func (t *table) name(id int32) string {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.names[id]
}

func (t *table) len() int {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return len(t.names)
}

// Roots returns the files with tests.
func (g *Graph) Roots() []string { return g.in.Roots }

// Has reports whether a file is part of the graph: a root, or reached by one.
func (g *Graph) Has(path string) bool {
	id, ok := g.paths.get(path)
	return ok && g.isLive(id)
}

// IsRoot reports whether a file is one with tests.
func (g *Graph) IsRoot(path string) bool {
	id, ok := g.paths.get(path)
	return ok && g.node(id) != nil && g.node(id).root
}

// LooksFor reports whether some file would depend on a path if it were there.
func (g *Graph) LooksFor(path string) bool {
	return len(g.lookingFor(path, map[string]bool{path: true})) > 0
}

func (g *Graph) node(id int32) *node {
	if int(id) >= len(g.files) {
		return nil
	}
	return g.files[id]
}

func (g *Graph) isLive(id int32) bool { return int(id) < len(g.files) && g.liveFiles()[id] }

// liveFiles says of each path whether roots reach it. What an edit cut off
// stays in memory until the next Build, but nobody sees it.
func (g *Graph) liveFiles() []bool {
	g.once.Do(func() {
		s := g.newSearch()
		defer g.scratch.Put(s)
		for _, r := range g.roots {
			s.visit(r)
		}
		s.forward(g, nil)
		g.live = make([]bool, len(g.files))
		for _, id := range s.queue {
			g.live[id] = true
		}
	})
	return g.live
}

// Files iterates over the files of the graph, sorted.
func (g *Graph) Files() iter.Seq[string] {
	var names []string
	for id, live := range g.liveFiles() {
		if live {
			names = append(names, g.paths.name(int32(id)))
		}
	}
	slices.Sort(names)
	return slices.Values(names)
}

// Edges returns what a file depends on, TypeChecking edges and the configuration of roots
// included, in the order of its lines. The files that an Opaque edge may mean
// are not listed: To is the folder that holds them.
func (g *Graph) Edges(path string) []Edge {
	id, ok := g.paths.get(path)
	n := g.node(id)
	if !ok || n == nil {
		return nil
	}
	var out []Edge
	seen := map[int32]bool{}
	for _, r := range n.refs {
		l := g.looks[r.look]
		for i, t := range l.targets {
			if !seen[t] && t != id {
				seen[t] = r.kind != TypeChecking
				out = append(out, Edge{From: path, To: g.paths.name(t), Kind: l.kind(i, r.kind), Line: r.line})
			}
		}
	}
	for _, o := range n.opaque {
		out = append(out, Edge{path, o.dir, Opaque, o.line, !o.code})
	}
	slices.SortStableFunc(out, func(a, b Edge) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Kind, b.Kind), strings.Compare(a.To, b.To))
	})
	return out
}

// kind is the kind of the edge to target i for somebody who looks it up.
func (l *look) kind(i int, by Kind) Kind {
	switch {
	case l.kinds != nil:
		return l.kinds[i]
	case l.status == notFound && (by == Import || by == Lazy || by == Dynamic || by == Plugin):
		return Absent
	}
	return by
}
