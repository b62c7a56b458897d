package plan

import (
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/bmatcuk/doublestar/v4"

	"github.com/dx-py/dx-py-ls/engine/config"
	"github.com/dx-py/dx-py-ls/engine/file"
	"github.com/dx-py/dx-py-ls/engine/graph"
	"github.com/dx-py/dx-py-ls/engine/history"
	"github.com/dx-py/dx-py-ls/engine/pytest"
)

// Reason says why a test is due, or need not run.
type Reason struct {
	Due  bool
	Text string
	Path []graph.Edge // from the test's file to what changed; nil when that is no file, or the file itself
	// Itself says that it is the test's own file that changed.
	Itself bool
}

// Due is all that decides about which tests are due.
type Due struct {
	Items  []*pytest.Item
	All    []*pytest.Item      // of the project, where Items are some of them
	Empty  []string            // files, absolute, that pytest imports and finds no test in
	Graph  func() *graph.Graph // asked only when something has changed
	Root   string
	Now    history.State
	Opened history.Opened
	Tool   config.Tool
	// Selection is the names and marks that are asked for.
	Selection string
	// Known calls with what is known, the newest first, until it returns false.
	Known func(func(history.Known) bool)
	// Narrow goes by functions too; nil for files alone.
	Narrow *Narrow
}

// Decide gives each item its reason, then each file of Empty. A test is due
// unless it passed, was skipped or failed as expected in a state that differs
// from now only in what it does not depend on, and did not fail in a later such
// state; a file of Empty unless it was imported in such a state by a run
// without an error.
func (d *Due) Decide() []Reason {
	items := slices.Clip(d.Items)
	for _, p := range d.Empty {
		items = append(items, &pytest.Item{ID: d.Rel(p), Path: p})
	}
	out := make([]Reason, len(items))
	open := make([]int, 0, len(items)) // the items that no state has decided yet
	for i, it := range items {
		out[i] = Reason{Due: true, Text: "it has not passed yet"}
		if d.matches(d.Tool.Always, d.Rel(it.Path), it.ID) {
			out[i].Text = "[tool.dx-py] always"
			continue
		}
		open = append(open, i)
	}
	reached := map[string]*Reached{} // many states differ from now in the same files
	d.Known(func(k history.Known) bool {
		edit := NewEdit(k.State.Differs(d.Now), k.State, d.Now)
		edit.Tests = d.tested(&k, edit.Paths)
		c := reached[edit.Key()]
		if c == nil {
			c = d.Reach(edit)
			reached[edit.Key()] = c
		}
		open = slices.DeleteFunc(open, func(i int) bool {
			it, r := items[i], &out[i]
			passed, failed := d.passed(k, it), d.failed(k, it)
			if !passed && !failed {
				return false
			}
			// The reason is asked for once: its path costs more than the rest.
			reason, reached := Reason{}, c.reaches(it)
			if reached && r.Text == "it has not passed yet" && passed {
				reason, _ = c.Reason(it)
			}
			narrowed := reached && d.Narrow != nil && d.Narrow.same(d, &k, it)
			reached = reached && !narrowed
			switch {
			case reached && r.Text == "it has not passed yet" && passed:
				*r = reason
			case failed && (!reached || r.Text == "it has not passed yet"):
				*r = Reason{Due: true, Text: "it failed the last time"}
			case reached:
			case narrowed:
				*r = Reason{Text: d.Narrow.text(d, &k)}
			default:
				*r = Reason{Text: fmt.Sprintf("unchanged: all it depends on is as it was when it passed (%s)", k.When.Format(time.DateTime))}
			}
			return !reached
		})
		return len(open) > 0
	})
	return out
}

// failed reports whether a test, or a case of a function whose cases are not
// known, failed.
func (d *Due) failed(k history.Known, it *pytest.Item) bool {
	if k.Failed[it.ID] {
		return true
	}
	if it.Exact() {
		return false
	}
	for id := range k.Failed {
		if pytest.Bare(id) == it.ID {
			return true
		}
	}
	return false
}

// passed reports whether a test, or all cases of a function whose cases are not
// known, passed. Where all of its file ran, a test that did not is none that
// pytest would run: the project's hooks deselect it.
func (d *Due) passed(k history.Known, it *pytest.Item) bool {
	switch path := pytest.ParseID(it.ID).Path; {
	case it.ID == d.Rel(it.Path):
		return k.Whole[it.ID]
	case k.Whole[path] && (k.Selection == "" || k.Selection == d.Selection):
		return !d.failed(k, it)
	}
	return k.Passed[it.ID]
}

// Rel is a path as Reach takes it: relative to the root.
func (d *Due) Rel(p string) string {
	if rel, in := file.Rel(d.Root, p); in {
		return rel
	}
	return filepath.ToSlash(p)
}

// Abs is a path that is relative to the root.
func (d *Due) Abs(rel string) string { return file.Abs(d.Root, filepath.FromSlash(rel)) }

// matches reports whether a glob names one of the words.
func (d *Due) matches(globs []string, words ...string) bool {
	return slices.ContainsFunc(globs, func(g string) bool {
		return slices.ContainsFunc(words, func(w string) bool {
			ok, err := doublestar.Match(g, w)
			return err == nil && ok || g == w
		})
	})
}

// Edit is the difference of two states. Paths are relative to the root.
type Edit struct {
	Paths []string
	Moved []string // those of Paths that came or went
	Tests []string // those of Paths that had tests, whatever they seem to be now
	// Wide are those of Paths whose old text was graph's SessionWide; nil where
	// nobody knows the old texts.
	Wide []string
	// Idle says that nothing is to be run: Python files that nobody imports, and
	// of which no run has shown yet who reads them, reach nothing.
	Idle bool
}

// NewEdit is the change of some files from one state to another.
func NewEdit(paths []string, from, to history.State) Edit {
	e := Edit{Paths: paths}
	for _, p := range paths {
		_, was := from[p]
		if _, is := to[p]; was != is {
			e.Moved = append(e.Moved, p)
		}
	}
	return e
}

// Key is another one for another edit.
func (e *Edit) Key() string {
	return strings.Join(e.Paths, "\x00") + "\x00\x00" + strings.Join(e.Moved, "\x00") + "\x00\x00" + strings.Join(e.Tests, "\x00")
}

// tested are those of some files that had tests in a known run, and have none
// now: they are gone, or broken.
func (d *Due) tested(k *history.Known, paths []string) (had []string) {
	left := map[string]bool{}
	for _, p := range paths {
		_, there := d.Now[p]
		if strings.HasSuffix(p, ".py") && (!there || slices.Contains(d.Empty, d.Abs(p))) {
			left[p] = true
		}
	}
	for _, ids := range []map[string]bool{k.Passed, k.Failed} {
		if len(left) == 0 {
			break
		}
		for id := range ids {
			if path := pytest.ParseID(id).Path; left[path] {
				had = append(had, path)
				delete(left, path)
			}
		}
	}
	slices.Sort(had)
	return had
}

// Reached is what a change reaches.
type Reached struct {
	d       *Due
	changed []string // relative
	reach   *graph.Reach
	roots   map[string]bool
	all     string          // why all tests are reached, "" when they are not
	opaque  map[string]bool // files with tests that depend on what starts processes of which nothing was heard
	started map[string]bool // such of which was heard what they opened, where a file came or went: what they looked for, nobody hears
	moved   string
	named   map[string]string
}

// Reach finds what an edit reaches.
func (d *Due) Reach(e Edit) *Reached {
	c := &Reached{d: d, roots: map[string]bool{}, opaque: map[string]bool{}, named: map[string]string{}}
	output := map[string]bool{} // written, and read by nobody
	for _, p := range d.Opened.Written {
		output[p] = !strings.HasSuffix(p, ".py")
	}
	for _, by := range []map[string][]string{d.Opened.Edges, d.Opened.Started} {
		for _, read := range by {
			for _, p := range read {
				delete(output, p)
			}
		}
	}
	for _, p := range e.Paths {
		if !output[p] {
			c.changed = append(c.changed, p)
		}
	}
	if len(c.changed) == 0 {
		return c
	}
	var changed, wide []string
	for _, p := range c.changed {
		abs := d.Abs(p)
		if changed = append(changed, abs); slices.Contains(e.Wide, p) || e.Wide == nil && filepath.Base(p) == "conftest.py" {
			wide = append(wide, abs) // what its hooks were is not known any more
		}
		if d.matches(d.Tool.RerunAll, p) {
			c.all = p + " changed, which [tool.dx-py] rerun_all names"
		}
		for glob, tests := range d.Tool.Depends {
			if d.matches([]string{glob}, p) {
				for _, it := range d.Items {
					if rel := d.Rel(it.Path); d.matches(tests, rel, it.ID) {
						c.named[it.ID] = p + " changed, on which it depends by [tool.dx-py] depends"
					}
				}
			}
		}
		for _, opened := range d.Opened.Edges[""] {
			if opened == p || opened == pathDir(p) {
				c.all = p + " changed, which was read while the session began"
			}
		}
	}
	in := graph.Edit{Paths: changed, Wide: wide}
	for _, p := range e.Tests {
		in.Tests = append(in.Tests, d.Abs(p))
	}
	cameOrWent := map[string]bool{}
	for _, p := range e.Moved {
		cameOrWent[p] = true
	}
	for _, p := range c.changed {
		if strings.HasSuffix(p, history.Names) {
			in.Listed = append(in.Listed, d.Abs(p))
		} else if !cameOrWent[p] {
			in.Edited = append(in.Edited, d.Abs(p))
		}
	}
	c.reach = d.Graph().Reach(in)
	for _, r := range c.reach.Roots() {
		c.roots[d.Rel(r)] = true
	}
	if d.Opened.Edges == nil && c.all == "" && !e.Idle { // no run has shown who reads what
		for _, p := range c.changed {
			if strings.HasSuffix(p, ".py") && !slices.Contains(e.Tests, p) && len(d.Graph().Affected([]string{d.Abs(p)}).Roots()) == 0 {
				c.all = p + " changed, which nobody imports, and no run has shown yet who reads it"
				break
			}
		}
	}
	var all bool
	if c.opaque, all = d.starting(d.Opened.Opaque); all {
		c.all = "a process was started while the session began: what it reads is not known"
	}
	moved := slices.DeleteFunc(slices.Clone(e.Paths), func(p string) bool {
		return output[p] || !filepath.IsAbs(p) && !strings.HasSuffix(p, history.Names) && !slices.Contains(e.Moved, p) // what is opened outside of the root is not heard
	})
	if len(moved) > 0 && len(d.Opened.Started) > 0 {
		c.started, c.moved = d.looking(moved, e.Tests)
	}
	return c
}

// looking are the files with tests that depend on processes which may have
// looked for one of some files that came or went: for one with tests only those
// do that list its folder.
func (d *Due) looking(moved, had []string) (files map[string]bool, example string) {
	tests := map[string]bool{}
	for _, p := range had {
		tests[p] = true
	}
	last := ""
	for _, it := range slices.Concat(d.Items, d.All) {
		if it.Path != last {
			last = it.Path
			tests[d.Rel(last)] = true
		}
	}
	folders := map[string][]string{} // that look another way since a file with tests came or went
	for _, p := range moved {
		if tests[p] {
			folders[p] = d.parents(p, moved)
		}
	}
	var openers []string
	for _, opener := range slices.Sorted(maps.Keys(d.Opened.Started)) {
		i := slices.IndexFunc(moved, func(p string) bool {
			if folder, listed := strings.CutSuffix(p, history.Names); listed {
				return slices.Contains(d.Opened.Started[opener], folder+"/")
			}
			return !tests[p] || slices.ContainsFunc(folders[p], func(dir string) bool { return slices.Contains(d.Opened.Started[opener], dir) })
		})
		if i >= 0 {
			openers, example = append(openers, opener), moved[i]
		}
	}
	files, _ = d.starting(openers)
	return files, example
}

// parents are a file's folder and, while it has no file but some that came or
// went, those that it is in: it may have come or gone too. Each ends in a slash.
func (d *Due) parents(rel string, moved []string) (dirs []string) {
	for dir := pathDir(rel); ; dir = pathDir(dir) {
		dirs = append(dirs, dir+"/")
		if dir == "." || dir == "/" {
			return dirs
		}
		for p := range d.Now {
			if strings.HasPrefix(p, dir+"/") && !slices.Contains(moved, p) {
				return dirs
			}
		}
	}
}

func pathDir(rel string) string {
	if i := strings.LastIndexByte(rel, '/'); i >= 0 {
		return rel[:i]
	}
	return "."
}

// reaches reports whether a test is reached by the change.
func (c *Reached) reaches(it *pytest.Item) bool {
	rel := c.d.Rel(it.Path)
	return len(c.changed) > 0 && (c.all != "" || c.named[it.ID] != "" || c.roots[rel] || c.opaque[rel] || c.started[rel])
}

// Reason says why a test is reached by the change; false when it is not.
func (c *Reached) Reason(it *pytest.Item) (Reason, bool) {
	rel := c.d.Rel(it.Path)
	switch {
	case !c.reaches(it):
		return Reason{}, false
	case c.all != "":
		return Reason{Due: true, Text: c.all}, true
	case c.named[it.ID] != "":
		return Reason{Due: true, Text: c.named[it.ID]}, true
	case c.roots[rel]:
		path, _ := c.reach.Path(it.Path)
		if len(path) == 0 {
			return Reason{Due: true, Text: rel + " changed", Itself: true}, true
		}
		return Reason{Due: true, Text: c.d.Rel(path[len(path)-1].To) + " changed", Path: path}, true
	}
	if c.opaque[rel] {
		return Reason{Due: true, Text: c.changed[0] + " changed, and it starts processes: what these read is not known"}, true
	}
	return Reason{Due: true, Text: c.moved + " came, went or is not in the project, and it starts processes: what these look for is not known"}, true
}
