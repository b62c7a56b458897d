package graph

import (
	"slices"
	"strings"
)

// search is the memory of a walk to what files depend on, used for many walks
// one after another: a history asks for each test.
type search struct {
	round int32
	seen  []int32 // by path: the round that saw it
	asked []int32 // by key
	queue []int32
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
	}
	if n := len(g.looks) - len(s.asked); n > 0 {
		s.asked = append(s.asked, make([]int32, n)...)
	}
	s.round++
	s.queue = s.queue[:0]
	return s
}

func (s *search) visit(id int32) bool {
	if s.seen[id] == s.round {
		return false
	}
	s.seen[id] = s.round
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
			if s.visit(t) && f != nil {
				f(t, step{id, k, line})
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
	return n != nil && n.root && (len(g.in.Empty) == 0 || !g.in.Empty[g.paths.name(id)])
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
	s.visit(id)
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
	s.visit(id)
	var out []Edge
	s.forward(g, func(to int32, by step) {
		out = append(out, Edge{From: g.paths.name(by.from), To: g.paths.name(to), Kind: by.kind, Line: by.line})
	})
	return out
}
