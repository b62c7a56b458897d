package plan

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/dx-py/dx-py-ls/engine/history"
	"github.com/dx-py/dx-py-ls/engine/pytest"
)

// Narrow goes by functions where files say that a test is reached. A test has
// the same outcome in two states when each differs from that in which its
// execution was seen only in files that do not reach it, and in bodies of
// functions that neither the test nor the session enters: up to the first of
// these it runs the same code. It is not safe for concurrent use.
type Narrow struct {
	Env      string // as history.Known's
	Executed *history.Executed
	Shapes   *history.Shapes

	ready   bool
	readers map[string]map[string]bool // by Python file, files with tests that depend on what reads it as data
	opaque  map[string]bool            // files with tests that start processes
	toNow   map[int]*difference
	toKnown map[int]*difference // by pass, of the state asked for last
	known   *history.Known
	said    string // of the state asked for last
}

// difference is that of a pass's state to another one.
type difference struct {
	hard *Reached          // by what is no body of a function, or one of the session's
	soft [][2]string       // files and functions
	read []map[string]bool // of the readers, those of these files
	// files with tests that depend on what started processes for the session; all says that all do
	opaque map[string]bool
	all    bool
}

// Close gives up what is read.
func (n *Narrow) Close() {
	if n != nil {
		n.Executed.Close()
		n.Shapes.Close()
	}
}

// prepare looks at what is the same for all tests.
func (n *Narrow) prepare(d *Due) {
	if n.ready {
		return
	}
	n.ready, n.readers, n.toNow = true, map[string]map[string]bool{}, map[int]*difference{}
	openers := map[string][]string{}
	for opener, read := range d.Opened.Edges {
		for _, p := range read {
			if strings.HasSuffix(p, ".py") {
				openers[p] = append(openers[p], d.Abs(opener))
			}
		}
	}
	for p, by := range openers {
		n.readers[p] = d.roots(by)
	}
	_ = n.Shapes.Learn(d.Root, d.Now) // what is not known is any edit
}

// Same reports whether a test has the same outcome now as in a known state, by
// which functions it enters, and says why; it needs Now, and Narrow.
func (d *Due) Same(k *history.Known, it *pytest.Item) (why string, same bool) {
	if d.Narrow == nil || !d.Narrow.same(d, k, it) {
		return "", false
	}
	return d.Narrow.text(d, k), true
}

func (n *Narrow) same(d *Due, k *history.Known, it *pytest.Item) bool {
	n.prepare(d)
	if n.known != k {
		n.known, n.toKnown, n.said = k, map[int]*difference{}, ""
	}
	ids := []string{it.ID}
	if !it.Exact() {
		ids = ids[:0]
		for _, some := range []map[string]bool{k.Passed, k.Failed} {
			for id := range some {
				if id == it.ID || pytest.Bare(id) == it.ID {
					ids = append(ids, id)
				}
			}
		}
	}
	for _, id := range ids {
		if !slices.ContainsFunc(n.Executed.Of(id), func(x history.Execution) bool {
			return x.Env == n.Env && n.apart(d, &x, it, n.between(d, &x, d.Now, n.toNow)) && n.apart(d, &x, it, n.between(d, &x, k.State, n.toKnown))
		}) {
			return false
		}
	}
	return len(ids) > 0
}

// apart reports whether a difference does not concern a test.
func (n *Narrow) apart(d *Due, x *history.Execution, it *pytest.Item, c *difference) bool {
	if c.hard.reaches(it) {
		return false
	}
	if len(c.soft) > 0 && (c.all || c.opaque[d.Rel(it.Path)]) {
		return false
	}
	if slices.ContainsFunc(c.read, func(by map[string]bool) bool { return by[d.Rel(it.Path)] }) {
		return false
	}
	return !slices.ContainsFunc(c.soft, func(f [2]string) bool { return x.Enters(f[0], f[1]) })
}

func (n *Narrow) between(d *Due, x *history.Execution, to history.State, cache map[int]*difference) *difference {
	c := cache[x.Number]
	if c != nil {
		return c
	}
	c = new(difference)
	c.opaque, c.all = d.starting(x.Opaque)
	var hard Edit
	edit := NewEdit(x.State.Differs(to), x.State, to)
	for _, p := range edit.Paths {
		names, ok := n.bodies(x.State[p], to[p])
		if !ok || filepath.IsAbs(p) || slices.Contains(d.Opened.Edges[""], p) || slices.Contains(x.Early, p) || d.named(p) ||
			slices.ContainsFunc(names, func(name string) bool { return slices.Contains(x.Session[p], name) }) {
			if hard.Paths = append(hard.Paths, p); slices.Contains(edit.Moved, p) {
				hard.Moved = append(hard.Moved, p)
			}
			continue
		}
		if by := n.readers[p]; by != nil {
			c.read = append(c.read, by)
		}
		for _, name := range names {
			c.soft = append(c.soft, [2]string{p, name})
		}
	}
	c.hard = d.Reach(hard)
	cache[x.Number] = c
	return c
}

// bodies names the functions whose bodies make the difference of two contents.
func (n *Narrow) bodies(from, to string) (names []string, ok bool) {
	if from == "" || to == "" {
		return nil, false
	}
	return n.Shapes.Of(from).Changed(n.Shapes.Of(to))
}

// text says what has changed since a state, for a test that it does not concern.
func (n *Narrow) text(d *Due, k *history.Known) string {
	if n.said != "" {
		return n.said
	}
	var changed []string
	for _, p := range k.State.Differs(d.Now) {
		names, _ := n.bodies(k.State[p], d.Now[p])
		for _, name := range names {
			changed = append(changed, p+"::"+history.Function(name))
		}
	}
	changed = slices.Compact(changed)
	if n := len(changed); n > 3 {
		changed = append(changed[:3], fmt.Sprintf("and %d more", n-3))
	}
	n.said = "only code that it does not execute changed, in the bodies of " + strings.Join(changed, ", ")
	return n.said
}

// named reports whether the configuration says of a file which tests depend on
// it.
func (d *Due) named(p string) bool {
	if d.matches(d.Tool.RerunAll, p) {
		return true
	}
	for glob := range d.Tool.Depends {
		if d.matches([]string{glob}, p) {
			return true
		}
	}
	return false
}

// Opaque says why the tests of a file, relative to the root, depend on
// everything as what a pass saw; "" when they do not.
func (d *Due) Opaque(p *history.Pass, rel string) string {
	switch files, all := d.starting(p.Opaque); {
	case all:
		return "a process was started while the session began"
	case files[rel]:
		return "what it depends on starts processes"
	}
	return ""
}

// starting are the files with tests that depend on what starts processes; all
// says that all tests do.
func (d *Due) starting(by []string) (files map[string]bool, all bool) {
	var openers []string
	for _, p := range by {
		if p == "" {
			all = true
			continue
		}
		openers = append(openers, d.Abs(p))
	}
	return d.roots(openers), all
}

// roots are the files with tests that depend on some files.
func (d *Due) roots(on []string) map[string]bool {
	files := map[string]bool{}
	if len(on) > 0 {
		for _, r := range d.Graph().Affected(on).Roots() {
			files[d.Rel(r)] = true
		}
	}
	return files
}
