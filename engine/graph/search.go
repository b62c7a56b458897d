package graph

import (
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"github.com/dx-py/dx-py-ls/engine/file"
)

// search is the memory of one walk over a Graph.
type search struct {
	round int32
	seen  []int32 // by path: the round that saw it
	asked []int32 // by key
	queue []int32
	via   []step // by path, valid where seen
}

// step is how a walk came to a file: the file before it, and the edge between.
type step struct {
	from int32 // the path before it; -1-i for the i-th changed path
	kind Kind
	line uint32
}

func (g *Graph) newSearch() *search {
	s, _ := g.scratch.Get().(*search)
	if s == nil {
		s = &search{}
	}
	if n := len(g.files) - len(s.seen); n > 0 {
		s.seen = append(s.seen, make([]int32, n)...)
		s.via = append(s.via, make([]step, n)...)
	}
	if n := len(g.looks) - len(s.asked); n > 0 {
		s.asked = append(s.asked, make([]int32, n)...)
	}
	s.round++
	s.queue = s.queue[:0]
	return s
}

func (s *search) start(id int32) bool { return s.visit(id, step{from: id}) }

func (s *search) visit(id int32, by step) bool {
	if s.seen[id] == s.round {
		return false
	}
	s.seen[id] = s.round
	s.via[id] = by
	s.queue = append(s.queue, id)
	return true
}

// forward walks to what the queued files depend on. f is told each new file.
func (s *search) forward(g *Graph, f func(id int32, by step)) {
	done := map[area]bool{}
	for at := 0; at < len(s.queue); at++ {
		id := s.queue[at]
		n := g.node(id)
		if n == nil {
			continue
		}
		to := func(t int32, k Kind, line uint32) {
			if by := (step{id, k, line}); s.visit(t, by) && f != nil {
				f(t, by)
			}
		}
		for _, r := range n.refs {
			if r.kind == TypeChecking || s.asked[r.look] == s.round {
				continue
			}
			s.asked[r.look] = s.round
			l := g.looks[r.look]
			for i, t := range l.targets {
				to(t, l.kind(i, r.kind), r.line)
			}
		}
		for _, o := range n.opaque {
			if done[o.area] {
				continue
			}
			done[o.area] = true
			for _, p := range g.under(o.dir) {
				if t, ok := g.paths.get(p); ok && !(o.code && g.hasTests(t)) && g.node(t) != nil {
					to(t, Opaque, o.line)
				}
			}
		}
	}
}

func (g *Graph) hasTests(id int32) bool {
	n := g.node(id)
	return n != nil && n.root
}

// under returns the project's Python files in a folder and below.
func (g *Graph) under(dir string) []string {
	prefix := strings.TrimSuffix(dir, "/") + "/"
	i, _ := slices.BinarySearch(g.project, prefix)
	j := i
	for j < len(g.project) && strings.HasPrefix(g.project[j], prefix) {
		j++
	}
	return g.project[i:j]
}

// Depends returns all files that a file depends on, itself included, sorted.
func (g *Graph) Depends(path string) []string {
	id, ok := g.paths.get(path)
	if !ok || g.node(id) == nil {
		return nil
	}
	s := g.newSearch()
	defer g.scratch.Put(s)
	s.start(id)
	s.forward(g, nil)
	out := make([]string, len(s.queue))
	for i, x := range s.queue {
		out[i] = g.paths.name(x)
	}
	slices.Sort(out)
	return out
}

// Reasons returns an edge for each file that a file depends on, by which a
// shortest path leads to it: the edges of nearer files first.
func (g *Graph) Reasons(path string) []Edge {
	id, ok := g.paths.get(path)
	if !ok || g.node(id) == nil {
		return nil
	}
	s := g.newSearch()
	defer g.scratch.Put(s)
	s.start(id)
	var out []Edge
	s.forward(g, func(to int32, by step) {
		out = append(out, Edge{g.paths.name(by.from), g.paths.name(to), by.kind, by.line})
	})
	return out
}

// Reach is what a change reaches.
type Reach struct {
	g       *Graph
	changed []string
	via     map[int32]step
	files   []int32
}

// Affected returns what is reached by changes to files: edited, new or
// deleted ones. wide are those of them whose old text was SessionWide.
func (g *Graph) Affected(changed []string, wide ...string) *Reach {
	r := &Reach{g: g, changed: changed}
	s := g.newSearch()
	defer g.scratch.Put(s)
	areas := slices.SortedFunc(maps.Keys(g.scopes), func(a, b area) int {
		if a.dir == b.dir && a.code != b.code {
			return map[bool]int{true: 1, false: -1}[a.code]
		}
		return strings.Compare(a.dir, b.dir)
	})
	done := map[area]bool{}
	scopes := func(p string, from int32, tests bool) {
		for _, a := range areas {
			if done[a] || a.code && tests || !strings.HasSuffix(p, ".py") {
				continue
			}
			if _, in := file.Rel(a.dir, p); in {
				done[a] = true
				for _, u := range g.scopes[a] {
					s.visit(u.file, step{from, Opaque, u.line})
				}
			}
		}
	}
	expand := func(l int32, target int, from int32) {
		if s.asked[l] == s.round {
			return
		}
		s.asked[l] = s.round
		for _, u := range g.users[l] {
			s.visit(u.file, step{from, g.looks[l].kind(target, u.kind), u.line})
		}
	}
	for i, p := range changed {
		from := int32(-1 - i)
		known := g.observed(p, expand, from)
		if id, ok := g.paths.get(p); ok && g.node(id) != nil {
			known = true
			s.start(id)
		}
		for _, l := range g.lookingFor(p) {
			known = true
			expand(l, 0, from)
		}
		scopes(p, from, g.IsRoot(p))
		if slices.Contains(wide, p) {
			for _, root := range g.roots {
				s.visit(root, step{from, Conftest, 0})
			}
		}
		if _, in := file.Rel(g.in.Config.Root, p); !known && in && !ignored(p) && !strings.HasSuffix(p, ".py") {
			for _, root := range g.roots {
				s.visit(root, step{from, Unread, 0})
			}
		}
	}
	for at := 0; at < len(s.queue); at++ {
		id := s.queue[at]
		for _, l := range g.sources[id] {
			expand(l, slices.Index(g.looks[l].targets, id), id)
		}
		if len(areas) > 0 {
			scopes(g.paths.name(id), id, g.hasTests(id))
		}
	}
	r.files = slices.Clone(s.queue)
	r.via = make(map[int32]step, len(s.queue))
	for _, id := range s.queue {
		r.via[id] = s.via[id]
	}
	return r
}

// observed expands who was seen to read the file, or to list its folder.
func (g *Graph) observed(p string, expand func(l int32, target int, from int32), from int32) bool {
	if len(g.in.Observed) == 0 {
		return false
	}
	known := false
	for _, k := range [...]string{exactKey(p), exactKey(filepath.Dir(p))} {
		if l, ok := g.keys.get(k); ok && int(l) < len(g.users) && len(g.users[l]) > 0 {
			known = true
			expand(l, 0, from)
		}
	}
	return known
}

// ignored reports whether a path is made by running tests: compiled modules
// and pytest's own cache.
func ignored(p string) bool {
	return strings.Contains(p, "/__pycache__/") || strings.HasSuffix(p, ".pyc") || strings.Contains(p, "/.pytest_cache/")
}

// Files returns the files of the graph that are reached, the changed ones
// among them, sorted.
func (r *Reach) Files() []string {
	var out []string
	for _, id := range r.files {
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
		if _, ok := r.via[id]; ok {
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
	if !ok {
		return nil, false
	}
	if _, ok = r.via[id]; !ok {
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
