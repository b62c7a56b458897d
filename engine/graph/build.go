package graph

import (
	"math"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/dx-py/dx-py-ls/engine/file"
	"github.com/dx-py/dx-py-ls/engine/resolve"
)

// Build makes a Graph from nothing.
func Build(in Input) *Graph {
	g := &Graph{paths: newTable(), keys: newTable(), scopes: map[area][]use{}, scratch: &sync.Pool{}}
	b := newBuilder(g, in)
	g.dependents = in.Env.Dependents()
	in.Source.Prefetch(in.Roots)
	g.inserted = b.bases()
	g.order = b.searchOrder()
	b.standard()
	g.project = b.walk()
	b.setRoots()
	for _, id := range g.roots {
		b.load(id)
	}
	b.finish()
	return g
}

// builder fills a Graph that nobody else sees yet.
type builder struct {
	g       *Graph
	in      Input
	res     *resolve.Resolver
	implied map[string][]ref // by folder: what its files with tests depend on
	shared  bool             // slices in the Graph are an older Graph's too
	found   map[string][]resolve.Target
	stems   map[string][]string

	// of the file that is being read
	refs  []ref
	marks []int32 // by key: index in refs, from 1
	queue []int32 // files that are named and not read
}

func newBuilder(g *Graph, in Input) *builder {
	b := &builder{g: g, in: in, found: map[string][]resolve.Target{}, implied: map[string][]ref{}}
	b.res = resolve.New(in.Env, in.Source, slices.Concat(in.Paths, in.Config.PythonPath))
	g.in = in
	g.in.Source = nil
	return b
}

// put returns the number of a string, a new one for one not seen.
func (t *table) put(s string) int32 {
	if id, ok := t.get(s); ok {
		return id
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if id, ok := t.ids[s]; ok {
		return id
	}
	s = strings.Clone(s)
	id := int32(len(t.names))
	t.names = append(t.names, s)
	t.ids[s] = id
	return id
}

func (b *builder) path(p string) int32 {
	id := b.g.paths.put(p)
	for int(id) >= len(b.g.files) {
		b.g.files = append(b.g.files, nil)
		b.g.sources = append(b.g.sources, nil)
	}
	return id
}

// bases returns the folders that pytest puts on sys.path, sorted.
func (b *builder) bases() []string {
	if b.in.Config.ImportMode == "importlib" {
		return nil
	}
	set, seen := map[string]bool{}, map[string]bool{}
	for _, r := range b.in.Roots {
		dir := filepath.Dir(r)
		if seen[dir] {
			continue
		}
		seen[dir] = true
		set[resolve.Base(b.in.Source, r)] = true
		for _, d := range b.conftestDirs(r) {
			if p := filepath.Join(d, "conftest.py"); b.exists(p) {
				set[resolve.Base(b.in.Source, p)] = true
			}
		}
	}
	out := make([]string, 0, len(set))
	for d := range set {
		out = append(out, d)
	}
	slices.Sort(out)
	return out
}

// conftestDirs returns the folders whose conftest.py files count for a test.
func (b *builder) conftestDirs(root string) []string {
	cfg := b.in.Config
	if cfg.NoConftest {
		return nil
	}
	var out []string
	for _, d := range file.Parents(root) {
		if _, in := file.Rel(cfg.ConfCutDir, d); !in {
			break
		}
		out = append(out, d)
	}
	return out
}

// searchOrder numbers the folders in which absolute names are looked up.
func (b *builder) searchOrder() map[string]int {
	order := map[string]int{}
	for _, d := range slices.Concat(b.in.Paths, b.in.Config.PythonPath, b.in.Env.Path) {
		if _, dup := order[d]; !dup {
			order[d] = len(order)
		}
	}
	for _, d := range b.g.inserted {
		if b.in.Config.ImportMode != "append" {
			order[d] = -1
		} else if _, dup := order[d]; !dup {
			order[d] = math.MaxInt32 - 1
		}
	}
	return order
}

// standard lists the modules of the standard library.
func (b *builder) standard() {
	at, ok := b.g.order[b.in.Env.Stdlib]
	if !ok {
		return
	}
	b.g.stdlib, b.g.stdlibAt = map[string]bool{}, at
	for _, e := range b.in.Source.List(b.in.Env.Stdlib) {
		if name, py := strings.CutSuffix(e.Name, ".py"); py || e.Kind == file.Dir && name != "test" && !strings.ContainsAny(name, "-.") {
			b.g.stdlib[name] = true
		}
	}
}

// exists reports whether a path is a regular file or a folder.
func (b *builder) exists(p string) bool {
	name := filepath.Base(p)
	es := b.in.Source.List(filepath.Dir(p))
	i, ok := slices.BinarySearchFunc(es, name, func(e file.Entry, n string) int { return strings.Compare(e.Name, n) })
	return ok && es[i].Kind != file.Other
}

// own reports whether a file is to be followed: of the project, or of an
// installed package that needs it.
func (b *builder) own(p string) bool {
	if !b.in.Env.Installed(b.in.Config.Root, p) {
		return true
	}
	if len(b.g.dependents) == 0 {
		return false
	}
	for _, s := range b.in.Env.Sites {
		if rel, in := file.Rel(s, p); in {
			top, _, _ := strings.Cut(rel, "/")
			return b.g.dependents[strings.TrimSuffix(top, ".py")]
		}
	}
	return false
}

func (b *builder) setRoots() {
	b.g.roots = make([]int32, len(b.in.Roots))
	for i, r := range b.in.Roots {
		id := b.path(r)
		b.g.roots[i] = id
		if n := b.g.files[id]; n == nil || !n.root {
			b.g.files[id] = b.asRoot(n, true)
			b.g.files[id].code = b.in.Code[r]
		}
	}
}

func (b *builder) asRoot(n *node, root bool) *node {
	c := node{}
	if n != nil {
		c = *n
	}
	c.root, c.code = root, false
	return &c
}

// finish reads what was named, then says what all tests depend on.
func (b *builder) finish() {
	for _, p := range b.g.project {
		if strings.HasSuffix(p, "/conftest.py") { // pytest loads those of folders without tests too
			if id := b.path(p); b.g.files[id] == nil {
				b.queue = append(b.queue, id)
			}
		}
	}
	b.drain()
	b.session()
	b.drain()
}

func (b *builder) drain() {
	for len(b.queue) > 0 {
		id := b.queue[len(b.queue)-1]
		b.queue = b.queue[:len(b.queue)-1]
		if b.g.files[id] == nil {
			b.load(id)
		}
	}
}

// load reads one file and notes what it depends on.
func (b *builder) load(id int32) {
	p := b.g.paths.name(id)
	old := b.g.files[id]
	n := &node{}
	if old != nil {
		n.root, n.code = old.root, old.code
	}
	if !b.exists(p) {
		b.set(id, n)
		return
	}
	r := refs{b, n}
	n.refs = b.refs[:0]
	if n.root {
		r.implicit(p)
	}
	if strings.HasSuffix(p, ".py") {
		if m := b.in.Source.Module(p); m != nil {
			r.module(p, read(p, m))
			if n.root && b.in.Config.DoctestModules && hasExamples(m) {
				r.examples(p)
			}
		}
	} else if n.root {
		r.examples(p)
	}
	for _, o := range b.in.Observed[p] {
		r.add(exactKey(o), Data, 0)
	}
	for _, x := range n.refs {
		b.marks[x.look] = 0
	}
	b.refs = n.refs
	n.refs = append([]ref(nil), n.refs...)
	b.set(id, n)
}

// set replaces a node, and tells the look-ups who uses them.
func (b *builder) set(id int32, n *node) {
	g := b.g
	var kept map[ref]bool // most refs outlive an edit, and some look-ups have ten thousand users
	if old := g.files[id]; old != nil && len(old.refs) > 0 {
		kept = make(map[ref]bool, len(n.refs))
		for _, r := range n.refs {
			kept[r] = false
		}
		for _, r := range old.refs {
			if _, again := kept[r]; again {
				kept[r] = true
			} else if r.kind != TypeChecking {
				b.drop(r.look, id)
			}
		}
		for _, o := range old.opaque {
			g.scopes[o.area] = slices.DeleteFunc(slices.Clone(g.scopes[o.area]), func(u use) bool { return u.file == id })
			if len(g.scopes[o.area]) == 0 {
				delete(g.scopes, o.area)
			}
		}
	}
	g.files[id] = n
	for _, r := range n.refs {
		if r.kind == TypeChecking || kept[r] {
			continue
		}
		if b.shared {
			g.users[r.look] = slices.Clip(g.users[r.look])
		}
		g.users[r.look] = append(g.users[r.look], use{id, r.kind, r.line})
		b.need(g.looks[r.look])
	}
	for _, o := range n.opaque {
		g.scopes[o.area] = append(slices.Clip(g.scopes[o.area]), use{id, Opaque, o.line})
		for _, p := range g.under(o.dir) {
			if t := b.path(p); g.files[t] == nil {
				b.queue = append(b.queue, t)
			}
		}
	}
}

// need queues the files that a look-up leads to.
func (b *builder) need(l *look) {
	for _, t := range l.targets {
		if b.g.files[t] == nil {
			b.queue = append(b.queue, t)
		}
	}
}

func (b *builder) drop(l, id int32) {
	us := b.g.users[l]
	i := slices.IndexFunc(us, func(u use) bool { return u.file == id })
	if i < 0 {
		return
	}
	if b.shared {
		us = slices.Clone(us)
	}
	b.g.users[l] = slices.Delete(us, i, i+1)
}

// sessionWide reports whether a conftest has a hook that sees all tests, its
// own or by "from ... import *".
func (b *builder) sessionWide(id int32, seen map[int32]bool) bool {
	n := b.g.node(id)
	if n == nil || seen[id] {
		return false
	}
	if n.global {
		return true
	}
	seen[id] = true
	for _, l := range n.stars {
		if slices.ContainsFunc(b.g.looks[l].targets, func(t int32) bool { return b.sessionWide(t, seen) }) {
			return true
		}
	}
	return false
}

// session makes the look-up of what all tests depend on.
func (b *builder) session() {
	g := b.g
	l := &look{status: plainModule, kinds: []Kind{}}
	add := func(t int32, k Kind) {
		if !slices.Contains(l.targets, t) {
			l.targets = append(l.targets, t)
			l.kinds = append(l.kinds, k)
		}
	}
	for _, p := range b.in.Config.Files {
		if b.own(p) && b.exists(p) {
			add(b.path(p), Config)
		}
	}
	names := []string{"pytest"}
	for _, p := range b.in.Config.Plugins {
		if !strings.HasPrefix(p, "no:") {
			names = append(names, p)
		}
	}
	if !b.in.Config.NoAutoload {
		for _, p := range b.in.Env.Plugins {
			names = append(names, p.Module)
		}
	}
	for _, p := range names {
		for i := 0; i <= len(p); i++ {
			if i < len(p) && p[i] != '.' {
				continue
			}
			x := b.look(p[:i])
			for _, t := range g.looks[x].targets {
				add(t, Plugin)
			}
		}
	}
	for id, n := range g.files {
		if n != nil && (n.global || len(n.stars) > 0) && (n.root || strings.HasSuffix(g.paths.name(int32(id)), "/conftest.py")) &&
			b.sessionWide(int32(id), map[int32]bool{}) {
			add(int32(id), Conftest)
		}
	}
	x := b.key(sessionKey)
	b.setLook(x, l)
	b.need(l)
}
