package graph

import (
	"maps"
	"path/filepath"
	"reflect"
	"slices"
	"strings"

	"github.com/dx-py/dx-py-ls/engine/file"
)

// maxDead bounds the names of what is gone that Updates leave behind, in names
// for each file of the project; in use are about five, measured on the public
// suites.
const maxDead = 50

// Update returns the Graph of an input in which some files have changed since
// the receiver was made: the receiver when that makes no difference. It reads
// the changed files, and those whose look-ups lead elsewhere now.
func (g *Graph) Update(in Input, changes []file.Change) *Graph {
	if len(changes) == 0 && slices.Equal(g.in.Roots, in.Roots) && g.sameInput(&in) {
		return g
	}
	if !g.sameInput(&in) || g.paths.len()+g.keys.len() > maxDead*(len(g.project)+1000) {
		return Build(in)
	}
	next := g.clone()
	b := newBuilder(next, in)
	b.shared = true
	paths := make([]string, 0, len(changes))
	for _, c := range changes {
		if !slices.Contains(paths, c.Path) {
			paths = append(paths, c.Path)
		}
	}
	if !b.rootsStay(g, paths) || slices.ContainsFunc(paths, b.isFolder) {
		return Build(in)
	}
	var looks []int32
	changed := false
	for _, p := range paths {
		if _, had := slices.BinarySearch(g.project, p); had && b.exists(p) {
			continue // edited: no name leads elsewhere
		}
		changed = b.changeProject(p) || changed
		looks = append(looks, b.concerned(p)...)
	}
	changed = b.changeRoots(g) || changed
	slices.Sort(looks)
	reload := map[int32]bool{}
	for _, l := range slices.Compact(looks) {
		if b.refresh(l, reload) {
			changed = true
		}
	}
	for _, p := range paths {
		if id, ok := g.paths.get(p); ok && next.node(id) != nil {
			reload[id] = true
		}
	}
	for id := range reload {
		old := next.files[id]
		b.load(id)
		if !reflect.DeepEqual(old, next.files[id]) {
			changed = true
		}
	}
	b.finish()
	if !changed {
		return g
	}
	return next
}

// sameInput reports whether all but the files is as it was.
func (g *Graph) sameInput(in *Input) bool {
	return reflect.DeepEqual(g.in.Config, in.Config) && reflect.DeepEqual(g.in.Env, in.Env) && slices.Equal(g.in.Paths, in.Paths) &&
		reflect.DeepEqual(g.in.Observed, in.Observed)
}

func (g *Graph) clone() *Graph {
	return &Graph{
		paths: g.paths, keys: g.keys, files: slices.Clone(g.files), sources: slices.Clone(g.sources), looks: slices.Clone(g.looks),
		users: slices.Clone(g.users), roots: g.roots, inserted: g.inserted, order: g.order, project: g.project, stdlib: g.stdlib, stdlibAt: g.stdlibAt,
		scopes: maps.Clone(g.scopes), dependents: g.dependents, scratch: g.scratch,
	}
}

// rootsStay reports whether pytest puts the same folders on sys.path.
func (b *builder) rootsStay(g *Graph, paths []string) bool {
	same := slices.Equal(g.in.Roots, b.in.Roots)
	for _, p := range paths {
		if n := filepath.Base(p); n == "__init__.py" || n == "conftest.py" {
			same = false
		}
	}
	return same || slices.Equal(b.bases(), g.inserted)
}

// isFolder reports whether a path is, or was, a folder.
func (b *builder) isFolder(p string) bool {
	return b.in.Source.List(p) != nil || len(b.g.under(p)) > 0
}

// changeRoots takes the new list of files with tests over.
func (b *builder) changeRoots(old *Graph) bool {
	if slices.Equal(old.in.Roots, b.in.Roots) {
		return false
	}
	now := make(map[string]bool, len(b.in.Roots))
	for _, r := range b.in.Roots {
		now[r] = true
	}
	for i, r := range old.in.Roots {
		if id := old.roots[i]; !now[r] {
			b.g.files[id] = b.asRoot(b.g.files[id], false)
			b.load(id)
		}
	}
	was := make(map[string]bool, len(old.in.Roots))
	for _, r := range old.in.Roots {
		was[r] = true
	}
	b.setRoots()
	for i, r := range b.in.Roots {
		if !was[r] {
			b.load(b.g.roots[i])
		}
	}
	return true
}

// changeProject keeps the list of the project's files.
func (b *builder) changeProject(p string) bool {
	if !strings.HasSuffix(p, ".py") {
		return false
	}
	i, had := slices.BinarySearch(b.g.project, p)
	switch has := b.exists(p) && b.walks(p); {
	case has && !had:
		b.g.project = slices.Insert(slices.Clone(b.g.project), i, p)
		b.widen(p)
	case !has && had:
		b.g.project = slices.Delete(slices.Clone(b.g.project), i, i+1)
	default:
		return false
	}
	return true
}

// widen reads a new file that a computed import may name.
func (b *builder) widen(p string) {
	for a := range b.g.scopes {
		if _, in := file.Rel(a.dir, p); in {
			if id := b.path(p); b.g.files[id] == nil {
				b.queue = append(b.queue, id)
			}
		}
	}
}

// concerned returns the look-ups whose answer a path may have to do with: by
// its names, the names above them (a folder may have appeared with it) and
// below (a package may have).
func (b *builder) concerned(p string) []int32 {
	g := b.g
	var out []int32
	if id, ok := g.paths.get(p); ok && int(id) < len(g.sources) {
		out = append(out, g.sources[id]...)
	}
	add := func(k string) {
		if id, ok := g.keys.get(k); ok && int(id) < len(g.looks) && g.looks[id] != nil {
			out = append(out, id)
		}
	}
	add(exactKey(p))
	for _, d := range file.Parents(p) { // a folder comes and goes with what is in it
		add(exactKey(d))
	}
	if !strings.HasSuffix(p, ".py") {
		return out
	}
	var prefixes []string
	namesOf(p, func(dir, dotted string) {
		for i := 0; i <= len(dotted); i++ {
			if i == len(dotted) || dotted[i] == '.' {
				add(nameKey(dir, dotted[:i]))
				add(dotted[:i])
			}
		}
		prefixes = append(prefixes, nameKey(dir, dotted)+".", dotted+".")
	})
	for id, l := range g.looks {
		if l == nil {
			continue
		}
		k := g.keys.name(int32(id))
		if slices.ContainsFunc(prefixes, func(x string) bool { return strings.HasPrefix(k, x) }) {
			out = append(out, int32(id))
		}
	}
	return out
}

// refresh looks up again, and adds the files to be read again since other
// names matter to them now.
func (b *builder) refresh(id int32, reload map[int32]bool) (changed bool) {
	k := b.g.keys.name(id)
	if k == sessionKey {
		return false
	}
	old, l := b.g.looks[id], b.resolve(k)
	if reflect.DeepEqual(old, l) {
		return false
	}
	b.setLook(id, l)
	if len(b.g.users[id]) > 0 {
		b.need(l)
	}
	if old.status != l.status || !slices.Equal(old.dirs, l.dirs) || (len(old.targets) == 0) != (len(l.targets) == 0) {
		for f, n := range b.g.files {
			if n != nil && slices.ContainsFunc(n.refs, func(r ref) bool { return r.look == id }) {
				reload[int32(f)] = true
			}
		}
	}
	return true
}
