package cli

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/dx-py/dx-py-ls/engine/config"
	"github.com/dx-py/dx-py-ls/engine/discover"
	"github.com/dx-py/dx-py-ls/engine/file"
	"github.com/dx-py/dx-py-ls/engine/pytest"
	"github.com/dx-py/dx-py-ls/engine/run"
)

// outcomes is what is known of the tests after some runs.
type outcomes struct {
	dir, root string          // the working directory, and what ids are relative to
	patterns  []string        // python_files
	within    []string        // the files and folders whose tests are watched
	narrow    bool            // these say all of what is watched: no id, line or pattern does
	bad       []string        // ids that failed when they last ran, in that order
	files     map[string]bool // that have tests, absolute
}

// outcomesOf knows nothing yet. words are the WHERE of the command line.
func outcomesOf(cfg *config.Config, dir string, words []string) *outcomes {
	o := &outcomes{dir: dir, root: dir, files: map[string]bool{}}
	if cfg == nil {
		return o
	}
	o.root, o.patterns, o.narrow = cfg.Root, cfg.PythonFiles, true
	for _, w := range words {
		o.narrow = o.narrow && file.Exists(absolute(dir, w))
	}
	for _, a := range cfg.Args {
		o.within = append(o.within, file.Abs(dir, a))
	}
	return o
}

// selectAfter returns pytest's arguments for the tests to run after some files
// changed: those that failed, then the files of tests that changed. nil is
// all: anything else can have changed any test.
func selectAfter(changes []file.Change, last *outcomes) []string {
	if !last.narrow {
		return nil
	}
	var first, then []string
	for _, c := range changes {
		switch {
		case !last.testFile(c.Path):
			return nil
		case !file.Exists(c.Path):
			if last.files[c.Path] {
				continue // its tests are gone
			}
		case slices.ContainsFunc(last.bad, func(id string) bool { return last.path(id) == c.Path }):
			first = append(first, last.argument(c.Path))
		default:
			then = append(then, last.argument(c.Path))
		}
	}
	out := []string{}
	for _, id := range last.bad {
		p := last.path(id)
		if file.Exists(p) && !slices.ContainsFunc(changes, func(c file.Change) bool { return c.Path == p }) {
			out = append(out, last.id(id))
		}
	}
	return append(append(out, first...), then...)
}

// testFile reports whether a file holds tests and is among what is watched.
// That another file of tests imports it is not seen here.
func (o *outcomes) testFile(path string) bool {
	name := filepath.Base(path)
	if name == "conftest.py" || name == "__init__.py" || !strings.HasSuffix(name, ".py") {
		return false
	}
	if !slices.ContainsFunc(o.within, func(w string) bool { _, in := file.Rel(w, path); return in }) {
		return false
	}
	return o.files[path] || slices.ContainsFunc(o.patterns, func(p string) bool { return discover.Fnmatch(p, name) })
}

// path returns the file of an id.
func (o *outcomes) path(id string) string {
	p, _, _ := strings.Cut(id, "::")
	return file.Abs(o.root, filepath.FromSlash(p))
}

// argument names a file for pytest and for people.
func (o *outcomes) argument(path string) string {
	if rel, in := file.Rel(o.dir, path); in {
		return rel
	}
	return path
}

// id is an id as an argument, which is relative to the working directory.
func (o *outcomes) id(id string) string {
	_, rest, _ := strings.Cut(id, "::")
	return o.argument(o.path(id)) + "::" + rest
}

// learn takes in the results of a run that ended by itself. whole are the files
// of which all tests ran; all says that nothing was left out.
func (o *outcomes) learn(t *tally, whole map[string]bool, all bool) {
	if all {
		o.bad, o.files = nil, map[string]bool{}
	}
	o.bad = slices.DeleteFunc(o.bad, func(id string) bool { return t.ran[id] || whole[o.path(id)] })
	o.bad = append(o.bad, t.bad...)
	for id := range t.ran {
		o.files[o.path(id)] = true
	}
}

// tally is a sink that keeps what --watch wants to know of a run.
type tally struct {
	ran   map[string]bool
	bad   []string
	ended run.Ended
}

// Event keeps results.
func (t *tally) Event(e run.Event) {
	switch {
	case e.Test != nil:
		t.ran[e.Test.ID] = true
		if e.Test.Outcome.Bad() {
			t.bad = append(t.bad, e.Test.ID)
		}
	case e.Ended != nil:
		t.ended = *e.Ended
	}
}

// line is the result in words; status is pytest's.
func (t *tally) line(status int, spent time.Duration) string {
	var parts []string
	for _, o := range []pytest.Outcome{pytest.Failed, pytest.Error, pytest.Passed, pytest.Skipped, pytest.XFailed, pytest.XPassed} {
		if n := t.ended.Totals[o]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, o))
		}
	}
	switch {
	case len(parts) == 0 && status == exitNoTests:
		return "no tests ran"
	case len(parts) == 0:
		return fmt.Sprintf("no tests ran, exit status %d", status)
	}
	s := fmt.Sprintf("%s in %.2f s", strings.Join(parts, ", "), spent.Seconds())
	if status != exitOK && len(t.bad) == 0 {
		s += fmt.Sprintf(", exit status %d", status)
	}
	return s
}
