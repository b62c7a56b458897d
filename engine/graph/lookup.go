package graph

import (
	"math"
	"path/filepath"
	"slices"
	"strings"

	"github.com/dx-py/dx-py-ls/engine/file"
	"github.com/dx-py/dx-py-ls/engine/resolve"
)

// The keys of look-ups: "=PATH" for one file, "DIR\x00a.b" for a name below a
// folder, "a.b" for a name on sys.path.
func exactKey(p string) string { return "=" + p }

func nameKey(dir, dotted string) string {
	if dir == "" {
		return dotted
	}
	return dir + "\x00" + dotted
}

func (b *builder) key(k string) int32 {
	id := b.g.keys.put(k)
	for int(id) >= len(b.g.looks) {
		b.g.looks = append(b.g.looks, nil)
		b.g.users = append(b.g.users, nil)
	}
	return id
}

// look returns the number of a look-up, made when it is new.
func (b *builder) look(k string) int32 {
	id := b.key(k)
	if b.g.looks[id] == nil {
		b.setLook(id, b.resolve(k))
	}
	return id
}

// setLook replaces a look-up, and tells the files who leads to them.
func (b *builder) setLook(id int32, l *look) {
	g := b.g
	if old := g.looks[id]; old != nil {
		for _, t := range old.targets {
			if !slices.Contains(l.targets, t) {
				g.sources[t] = slices.DeleteFunc(slices.Clone(g.sources[t]), func(x int32) bool { return x == id })
			}
		}
	}
	g.looks[id] = l
	for _, t := range l.targets {
		if slices.Contains(g.sources[t], id) {
			continue
		}
		if b.shared {
			g.sources[t] = slices.Clip(g.sources[t])
		}
		g.sources[t] = append(g.sources[t], id)
	}
}

// resolve makes a look-up from what is on disk.
func (b *builder) resolve(k string) *look {
	if p, exact := strings.CutPrefix(k, "="); exact {
		if !b.exists(p) {
			return &look{}
		}
		return &look{status: plainModule, targets: []int32{b.path(p)}}
	}
	dir, dotted, below := strings.Cut(k, "\x00")
	if !below {
		dir, dotted = "", k
	}
	l := &look{at: math.MaxInt32}
	for _, t := range b.find(dir, dotted) {
		b.take(l, t, dotted)
	}
	if l.status == notFound && dir == "" {
		for _, p := range b.guesses(dotted) {
			l.targets = append(l.targets, b.path(p))
		}
	}
	return l
}

// take adds one thing that a name may be.
func (b *builder) take(l *look, t resolve.Target, dotted string) {
	switch {
	case t.Kind == resolve.Source && b.own(t.Path):
		if id := b.path(t.Path); !slices.Contains(l.targets, id) {
			l.targets = append(l.targets, id)
		}
		if t.Package {
			l.status = pack
			l.dirs = append(l.dirs, t.Dirs...)
		} else if l.status != pack {
			l.status = plainModule
		}
	case t.Kind == resolve.Namespace && slices.ContainsFunc(t.Dirs, b.own):
		l.status = pack
		for _, d := range t.Dirs {
			if b.own(d) && !slices.Contains(l.dirs, d) {
				l.dirs = append(l.dirs, d)
			}
		}
		return // a package with __init__.py anywhere goes before it
	case t.Kind != resolve.NotFound:
		if l.status == notFound {
			l.status = installed
		}
	}
	if t.Path != "" {
		d := filepath.Dir(t.Path)
		if t.Package {
			d = filepath.Dir(d)
		}
		if i, ok := b.g.order[up(d, strings.Count(dotted, "."))]; ok && i >= 0 {
			l.at = min(l.at, i)
		}
	}
}

// find returns all that a name may be: the first on sys.path, and what each
// folder that pytest inserts has of that name, since the order in which files
// are collected decides which of them is in front.
func (b *builder) find(dir, dotted string) []resolve.Target {
	k := nameKey(dir, dotted)
	if ts, ok := b.found[k]; ok {
		return ts
	}
	var out []resolve.Target
	add := func(t resolve.Target) {
		if t.Kind != resolve.NotFound && !slices.ContainsFunc(out, func(o resolve.Target) bool {
			return o.Kind == t.Kind && o.Path == t.Path && slices.Equal(o.Dirs, t.Dirs)
		}) {
			out = append(out, t)
		}
	}
	i := strings.LastIndexByte(dotted, '.')
	switch {
	case dir != "":
		dirs := []string{dir}
		if i >= 0 {
			dirs = nil
			for _, t := range b.find(dir, dotted[:i]) {
				dirs = append(dirs, t.Dirs...)
			}
		}
		add(b.res.Below(dirs, dotted[i+1:]))
	default:
		first := b.res.Find(dotted, "")
		add(first)
		if b.in.Config.ImportMode != "append" || first.Kind == resolve.NotFound || first.Kind == resolve.Namespace {
			top, _, _ := strings.Cut(dotted, ".")
			for _, d := range b.g.inserted {
				if b.holds(d, top) {
					add(b.res.Find(dotted, d))
				}
			}
		}
	}
	if slices.ContainsFunc(out, func(t resolve.Target) bool { return t.Kind != resolve.Namespace }) {
		out = slices.DeleteFunc(out, func(t resolve.Target) bool { return t.Kind == resolve.Namespace })
	}
	b.found[k] = out
	return out
}

// holds reports whether a folder has something that a top-level name may be.
func (b *builder) holds(dir, name string) bool {
	es := b.in.Source.List(dir)
	i, _ := slices.BinarySearchFunc(es, name, func(e file.Entry, n string) int { return strings.Compare(e.Name, n) })
	for ; i < len(es) && strings.HasPrefix(es[i].Name, name); i++ {
		if rest := es[i].Name[len(name):]; rest == "" || rest[0] == '.' {
			return true
		}
	}
	return false
}

// guesses returns the project's files that satisfy a name that was not found,
// if their folder were on sys.path: a conftest may put it there.
func (b *builder) guesses(dotted string) []string {
	top, _, inner := strings.Cut(dotted, ".")
	if inner && len(b.find("", top)) > 0 {
		return nil // an attribute, or a submodule that is not there
	}
	if b.stems == nil {
		b.stems = map[string][]string{}
		for _, p := range b.g.project {
			s := stem(p)
			b.stems[s] = append(b.stems[s], p)
		}
	}
	tail := "/" + strings.ReplaceAll(dotted, ".", "/")
	var out []string
	for _, p := range b.stems[tail[strings.LastIndexByte(tail, '/')+1:]] {
		if strings.HasSuffix(strings.TrimSuffix(strings.TrimSuffix(p, ".py"), "/__init__"), tail) {
			out = append(out, p)
		}
	}
	return out
}

// stem is the last part of the name that a file has as a module.
func stem(p string) string {
	s := strings.TrimSuffix(strings.TrimSuffix(p, ".py"), "/__init__")
	return s[strings.LastIndexByte(s, '/')+1:]
}

// namesOf calls f with each folder above a Python file and the dotted name
// that the file has from there.
func namesOf(p string, f func(dir, dotted string)) {
	p = strings.TrimSuffix(filepath.ToSlash(strings.TrimSuffix(p, ".py")), "/__init__")
	dotted := ""
	for {
		i := strings.LastIndexByte(p, '/')
		if i < 0 {
			return
		}
		if dotted == "" {
			dotted = p[i+1:]
		} else {
			dotted = p[i+1:] + "." + dotted
		}
		if p = p[:i]; p == "" {
			f("/", dotted)
			return
		}
		f(p, dotted)
	}
}

// lookingFor returns the look-ups that would find a path if it were there, or
// a folder that is there for the sake of the changed files only.
func (g *Graph) lookingFor(p string, changed map[string]bool) []int32 {
	var out []int32
	find := func(k string, ok func(*look) bool) {
		if id, has := g.keys.get(k); has && int(id) < len(g.looks) && g.looks[id] != nil && len(g.users[id]) > 0 && ok(g.looks[id]) {
			out = append(out, id)
		}
	}
	find(exactKey(p), func(*look) bool { return true })
	if !strings.HasSuffix(p, ".py") {
		return out
	}
	_, there := slices.BinarySearch(g.project, p)
	namesOf(p, func(dir, dotted string) {
		for i, end := 0, false; !end; i++ {
			if end = i == len(dotted); !end && dotted[i] != '.' {
				continue
			}
			if end && there {
				return // what finds the file leads to it
			}
			name := dotted[:i]
			folder := filepath.Join(dir, strings.ReplaceAll(name, ".", "/"))
			if !end && slices.ContainsFunc(g.under(folder), func(q string) bool { return !changed[q] }) {
				continue
			}
			find(nameKey(dir, name), func(*look) bool { return true })
			find(name, func(l *look) bool {
				at, searched := g.order[dir]
				return l.status == notFound || l.status == pack && len(l.targets) == 0 || searched && at < l.at
			})
		}
	})
	return out
}
