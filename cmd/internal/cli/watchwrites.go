package cli

import (
	"maps"
	"path/filepath"
	"slices"

	"github.com/dx-py/dx-py-ls/engine/file"
)

// writes tells what tests write into the project from what people do: without
// that a test that writes a file would be run for ever. A file that comes while
// tests run stands for its folder, since it may have another name each time.
type writes struct {
	own    map[string]bool // written by the tests: they changed in two runs, one after the other
	came   map[string]bool // files that came in a run
	now    map[string]bool // changed in the run that goes on
	before map[string]bool // changed in the last run that ended by itself
	stops  map[string]int  // how many runs in a row a path has cancelled
	hit    map[string]bool // what has cancelled the run that goes on
}

func newWrites() writes {
	return writes{
		own: map[string]bool{}, came: map[string]bool{}, now: map[string]bool{}, before: map[string]bool{}, stops: map[string]int{}, hit: map[string]bool{},
	}
}

// name is what a path stands for.
func (w *writes) name(path string) string {
	if w.came[path] {
		return filepath.Join(filepath.Dir(path), "*")
	}
	return path
}

// known takes a change while tests run, and reports whether it is the tests'
// own. came says that the file was not there before.
func (w *writes) known(path string, came bool) bool {
	if came {
		w.came[path] = true
	}
	if !w.isOwn(path) {
		return false
	}
	w.now[w.name(path)] = true
	return true
}

func (w *writes) isOwn(path string) bool { return w.own[w.name(path)] }

// temporary reports whether a file came in a run and has gone.
func (w *writes) temporary(path string) bool { return w.came[path] && !file.Exists(path) }

// anything stands for more files than are named one by one.
const anything = "*"

// maxStops is how many runs in a row an edit of the same file may cancel. A
// third one is answered when the run has ended, since tests that write source
// files would else never come to an end.
const maxStops = 2

// during takes a change while tests run, and reports whether the run is to be
// cancelled for it.
func (w *writes) during(path string) bool {
	w.now[w.name(path)] = true
	if path != anything && !isSource(path) {
		return false
	}
	w.hit[path] = true
	return w.stops[path] < maxStops
}

// isSource reports whether a file is code or configuration.
func isSource(path string) bool {
	return slices.Contains([]string{".py", ".pyi", ".toml", ".ini", ".cfg"}, filepath.Ext(path))
}

// cancelled ends a run that was cancelled. What changed in it says nothing: it
// is an edit that cancelled it.
func (w *writes) cancelled() {
	for p := range w.stops {
		if !w.hit[p] {
			delete(w.stops, p)
		}
	}
	for p := range w.hit {
		w.stops[p]++
	}
	clear(w.hit)
	clear(w.now)
}

// ended ends a run that ended by itself. all says that no test was left out:
// what did not change in it is not the tests' (any more).
func (w *writes) ended(all bool) {
	for p := range w.now {
		if w.before[p] {
			w.own[p] = true
		}
	}
	if all {
		maps.DeleteFunc(w.own, func(p string, _ bool) bool { return !w.now[p] })
	}
	w.before, w.now = w.now, map[string]bool{}
	clear(w.stops)
	clear(w.hit)
}

// paths names what the tests write, for people.
func (w *writes) paths() []string { return slices.Sorted(maps.Keys(w.own)) }
