package graph

import (
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"github.com/dx-py/dx-py-ls/engine/file"
)

// Reach is what a change reaches.
type Reach struct {
	g       *Graph
	changed []string
	seen    []bool // by path
	via     []step // by path
	queue   []int32
	asked   []bool // by key
	areas   []area // those that nothing was found in yet
	tests   []string
}

// Edit is a change of files: edited, new or deleted ones.
type Edit struct {
	Paths []string
	Wide  []string // those of Paths whose old text was SessionWide
	Tests []string // those of Paths that were there for their tests: deleted, or broken, they seem to be code
	// Edited are those of Paths that neither came nor went. Who lists the folder
	// of such a Python file sees no difference: it reads the text by an import or
	// an open, which are known. Of other files it may be a library that does.
	Edited []string
	Listed []string // those of Paths that are folders in which something has come or gone
}

// Affected returns what is reached by changes to files: edited, new or
// deleted ones. wide are those of them whose old text was SessionWide.
func (g *Graph) Affected(changed []string, wide ...string) *Reach {
	return g.Reach(Edit{Paths: changed, Wide: wide})
}

// Reach returns what an edit reaches.
//
// What an edit takes away from a file's own dependencies needs no care, the
// file itself is among the changed. But a new file can stand in front of
// another, and then the Graph of before it knows who loaded that one: with
// both Graphs at hand, ask both. What a new test file or __init__.py does to
// sys.path is not followed further: it changes which of two files of one name,
// in different folders with tests, other tests find.
func (g *Graph) Reach(e Edit) *Reach {
	changed := e.Paths
	r := &Reach{g: g, changed: changed, tests: e.Tests, seen: make([]bool, len(g.files)), via: make([]step, len(g.files)), asked: make([]bool, len(g.looks))}
	r.areas = slices.SortedFunc(maps.Keys(g.scopes), func(a, b area) int {
		if a.dir == b.dir && a.code != b.code {
			return map[bool]int{true: 1, false: -1}[a.code]
		}
		return strings.Compare(a.dir, b.dir)
	})
	set := make(map[string]bool, len(changed))
	for _, p := range changed {
		set[p] = true
	}
	stayed := map[string]bool{}
	for _, p := range e.Edited {
		stayed[p] = strings.HasSuffix(p, ".py")
	}
	for i, p := range changed {
		if slices.Contains(e.Listed, p) {
			if l, ok := g.keys.get(exactKey(p)); ok && int(l) < len(g.looks) {
				r.users(l, 0, int32(-1-i))
			}
			continue
		}
		r.change(p, int32(-1-i), set, slices.Contains(e.Wide, p), stayed[p])
	}
	for at := 0; at < len(r.queue); at++ {
		id := r.queue[at]
		for _, l := range g.sources[id] {
			r.users(l, slices.Index(g.looks[l].targets, id), id)
		}
		if len(r.areas) > 0 {
			r.computed(g.paths.name(id), id)
		}
	}
	return r
}

// change begins with one changed path, whose number is from. unseen: nobody
// who lists its folder sees it.
func (r *Reach) change(p string, from int32, all map[string]bool, wide, unseen bool) {
	g := r.g
	known := false
	if id, ok := g.paths.get(p); ok && g.node(id) != nil {
		known = g.isLive(id)
		r.visit(id, step{from: id})
	}
	looks := g.lookingFor(p, all)
	for dir := filepath.Dir(p); len(g.in.Observed) > 0 && !unseen; dir = filepath.Dir(dir) {
		if l, ok := g.keys.get(exactKey(dir)); ok && int(l) < len(g.looks) {
			looks = append(looks, l) // who lists the folder
		}
		if _, in := file.Rel(g.in.Config.Root, filepath.Dir(dir)); !in || slices.ContainsFunc(g.under(dir), func(q string) bool { return !all[q] }) {
			break // else the folder may have come or gone with the file
		}
	}
	for _, l := range looks {
		r.users(l, 0, from)
		known = known || slices.ContainsFunc(g.users[l], func(u use) bool { return g.isLive(u.file) })
	}
	r.computed(p, from)
	if !unseen {
		for _, root := range g.Namesakes([]string{p}) {
			if id, ok := g.paths.get(root); ok {
				r.visit(id, step{from, Absent, 0})
			}
		}
	}
	var kind Kind
	switch _, in := file.Rel(g.in.Config.Root, p); {
	case wide:
		kind = Conftest
	case filepath.Dir(p) == g.in.Config.Root && configures(filepath.Base(p)):
		kind = Config
	case g.shadows(p):
		kind = Absent
	case !known && in && !strings.HasSuffix(p, ".py") && !made(p):
		kind = Unread
	default:
		return
	}
	for _, root := range g.roots {
		r.visit(root, step{from, kind, 0})
	}
}

// Namesakes are the files with tests, absolute, that pytest imports by the name
// of a module that some other path is, or would be: it loads one of them, and
// takes that for an error in the other.
func (g *Graph) Namesakes(paths []string) (roots []string) {
	modules := map[string][]string{} // of the paths, by what a file with tests is called
	for _, p := range paths {
		if base, name := g.moduleOf(p); strings.HasSuffix(p, ".py") && slices.Contains(g.inserted, base) {
			last := name[strings.LastIndexByte(name, '/')+1:] + ".py"
			modules[last] = append(modules[last], p)
		}
	}
	if len(modules) == 0 {
		return nil
	}
	for _, root := range g.in.Roots {
		same := modules[filepath.Base(root)]
		if len(same) == 0 {
			continue
		}
		_, name := g.moduleOf(root)
		if slices.ContainsFunc(same, func(p string) bool { _, other := g.moduleOf(p); return p != root && other == name }) {
			roots = append(roots, root)
		}
	}
	return roots
}

// moduleOf is the folder above the packages that a Python file is in, and its
// path from there, without its suffix.
func (g *Graph) moduleOf(p string) (base, name string) {
	module := strings.TrimSuffix(p, ".py")
	if filepath.Base(p) == "__init__.py" {
		module = filepath.Dir(p)
	}
	base = filepath.Dir(module)
	for {
		_, is := slices.BinarySearch(g.project, filepath.Join(base, "__init__.py"))
		if !is || filepath.Dir(base) == base {
			break
		}
		base = filepath.Dir(base)
	}
	name, _ = file.Rel(base, module)
	return base, name
}

// shadows reports whether a file is, or would be, imported in the place of a
// module of the standard library: installed code, which is not followed, may
// import that.
func (g *Graph) shadows(p string) bool {
	if !strings.HasSuffix(p, ".py") {
		return false
	}
	found := false
	namesOf(p, func(dir, dotted string) {
		at, searched := g.order[dir]
		top, _, _ := strings.Cut(dotted, ".")
		if found || !searched || at >= g.stdlibAt || !g.stdlib[top] && !atStart[top] {
			return
		}
		// A folder without __init__.py is found behind all modules.
		init := filepath.Join(dir, top, "__init__.py")
		found = p == init || p == filepath.Join(dir, top+".py") || slices.Contains(g.under(filepath.Dir(init)), init)
	})
	return found
}

// atStart are modules that the interpreter imports by itself where it finds them.
var atStart = words("sitecustomize usercustomize")

// configures reports whether a file in the rootdir is a configuration of tests
// or says what is installed, whoever else reads it.
func configures(name string) bool {
	return configFiles[name] || strings.HasSuffix(name, ".txt") && (strings.HasPrefix(name, "requirements") || strings.HasPrefix(name, "constraints"))
}

var configFiles = words(`pytest.ini .pytest.ini pytest.toml .pytest.toml pyproject.toml tox.ini setup.cfg .python-version
	uv.lock poetry.lock pdm.lock pylock.toml Pipfile Pipfile.lock pixi.toml pixi.lock conda-lock.yml environment.yml`)

func (r *Reach) visit(id int32, by step) {
	if !r.seen[id] {
		r.seen[id] = true
		r.via[id] = by
		r.queue = append(r.queue, id)
	}
}

// users visits who looks something up.
func (r *Reach) users(l int32, target int, from int32) {
	if r.asked[l] {
		return
	}
	r.asked[l] = true
	for _, u := range r.g.users[l] {
		r.visit(u.file, step{from, r.g.looks[l].kind(target, u.kind), u.line})
	}
}

// computed visits the files with an import that may mean p.
func (r *Reach) computed(p string, from int32) {
	if !strings.HasSuffix(p, ".py") {
		return
	}
	id, known := r.g.paths.get(p)
	tests := known && r.g.hasTests(id) || slices.Contains(r.tests, p)
	for i := 0; i < len(r.areas); i++ {
		a := r.areas[i]
		if _, in := file.Rel(a.dir, p); !in || a.code && tests {
			continue
		}
		r.areas = slices.Delete(r.areas, i, i+1)
		i--
		for _, u := range r.g.scopes[a] {
			r.visit(u.file, step{from, Opaque, u.line})
		}
	}
}

// made reports whether a path is made by running tests: compiled modules and
// pytest's own cache.
func made(p string) bool {
	return strings.Contains(p, "/__pycache__/") || strings.HasSuffix(p, ".pyc") || strings.Contains(p, "/.pytest_cache/")
}

// Files returns the files of the graph that are reached, the changed ones
// among them, sorted.
func (r *Reach) Files() []string {
	var out []string
	for _, id := range r.queue {
		if r.g.isLive(id) {
			out = append(out, r.g.paths.name(id))
		}
	}
	slices.Sort(out)
	return out
}

// Roots returns the files with tests that are reached, in pytest's order.
func (r *Reach) Roots() []string {
	var out []string
	for i, id := range r.g.roots {
		if r.seen[id] {
			out = append(out, r.g.in.Roots[i])
		}
	}
	return out
}

// Path returns the edges that lead from a file to a changed one, as few as
// there can be: none for a changed file. False says that the file is not
// reached.
func (r *Reach) Path(path string) ([]Edge, bool) {
	id, ok := r.g.paths.get(path)
	if !ok || int(id) >= len(r.seen) || !r.seen[id] {
		return nil, false
	}
	var out []Edge
	for {
		s := r.via[id]
		if s.from == id {
			return out, true
		}
		e := Edge{From: r.g.paths.name(id), Kind: s.kind, Line: s.line}
		if s.from < 0 {
			e.To = r.changed[-1-s.from]
			return append(out, e), true
		}
		e.To = r.g.paths.name(s.from)
		out = append(out, e)
		id = s.from
	}
}
